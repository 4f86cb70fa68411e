// Timers as the program sees them.
//
// A timer_core is a channel and an entry of a deadline heap in one object with one count of
// references, so the timer ends with the last handle to either face.
//
//   lock order: control -> heap -> channel. A firing holds the heap's lock and takes the channel's;
//   stop() and reset() hold control, so one of them at a time changes the timer's home.
//
// stop() takes the timer out of its heap, after which no firing is under way, and then empties the
// hidden buffer: what nobody has received did not happen. So either stop() returns true or the time
// was received (or f was started), never both, never neither.
#include <memory>
#include <mutex>
#include <new>
#include <system_error>

#include "prim/limits.hpp"
#include "skein/go.hpp"
#include "skein/time.hpp"

namespace skein::inline SKEIN_ABI {
namespace detail {

struct timer_core : chan_core, timer {
  timer_core() noexcept : chan_core(elem<time_point>::ops, 1, value) { special = kind::timer; }

  spin_lock control;
  duration period{0};

  // after_func only
  void* func = nullptr;
  void (*call)(void*) = nullptr;
  void (*destroy)(void*) noexcept = nullptr;
  goroutine* prepared = nullptr;  // starts f at the firing; holds a reference
  timer_core* next_due = nullptr; // in the deadline service's list

  alignas(time_point) char value[sizeof(time_point)];
};

namespace {

using sched::waiter;

timer_core* core_of(chan_core* c) noexcept { return static_cast<timer_core*>(c); }

// The deadlines of plain threads, served by one thread that is started on first use.
class service {
 public:
  static service& get() {
    static service* const s = [] {
      const sys::unseen own;  // or its making would race with the use that others make of it
      return new service;
    }();
    return *s;
  }
  void add(timer_core* t, std::int64_t when) {
    start();
    if (heap_.add(t, when)) kick();
  }
  bool has(const timers* heap) const noexcept { return heap == &heap_; }
  bool busy() const noexcept { return heap_.next() != never; }
  // Called under the heap's lock.
  void due(timer_core* t) noexcept {
    t->next_due = due_;
    due_ = t;
  }

 private:
  void start() {
    std::lock_guard hold(starting_);
    if (started_) return;
    pthread_t thread;
    const int r = sys::thread_create(&thread, nullptr, [](void* p) -> void* {
      static_cast<service*>(p)->serve();
      return nullptr;
    }, this);
    if (r != 0)
      throw std::system_error(-r, std::generic_category(), "skein: cannot start the thread for deadlines");
    started_ = true;
    pthread_detach(thread);
    sched::known_threads(1);
  }
  void kick() noexcept {
    word_.store(1, std::memory_order_release);
    sys::futex_wake(word_, 1);
  }
  void serve() noexcept {
    pthread_setname_np(pthread_self(), "skein/timers");
    for (;;) {
      const std::int64_t next = heap_.next();
      const timespec ts{static_cast<time_t>(next / 1'000'000'000), static_cast<long>(next % 1'000'000'000)};
      if (next > sys::monotonic_ns()) sys::futex_wait(word_, 0, next == never ? nullptr : &ts);
      word_.store(0, std::memory_order_relaxed);
      goroutine_list ready;
      heap_.run(sys::monotonic_ns(), ready);
      sched::ready_all(ready);
      // due_ is written under the heap's lock by firings, which only this thread runs.
      while (timer_core* t = due_) {
        due_ = t->next_due;
        arch::edge_acquire(&t->func);
        t->call(t->func);
        timer_release(t);
      }
    }
  }

  timers heap_;
  timer_core* due_ = nullptr;
  std::mutex starting_;
  bool started_ = false;
  atomic<std::uint32_t> word_{0};
};
atomic<bool> service_in_use{false};

std::int64_t next_tick(const timer_core* t, std::int64_t now) noexcept {
  const std::int64_t p = t->period.count();
  if (p == 0) return never;
  const std::int64_t behind = (now - t->when) / p;
  return t->when + (behind + 1) * p;
}

std::int64_t fire_chan(timer* base, std::int64_t now, goroutine_list& ready) noexcept {
  auto* t = static_cast<timer_core*>(base);
  chan_core* c = t;
  time_point at{duration(now)};
  offer(c, &at, ready);  // a full buffer means a tick that nobody took: this one is dropped
  return next_tick(t, now);
}

std::int64_t fire_func(timer* base, std::int64_t, goroutine_list& ready) noexcept {
  auto* t = static_cast<timer_core*>(base);
  if (goroutine* g = std::exchange(t->prepared, nullptr)) {
    sched::runtime_of(g)->started.fetch_add(1, std::memory_order_relaxed);
    ready.push(g);
  } else {
    service::get().due(t);
  }
  return never;
}

// The runtime ended before the time came: the firing's reference goes, its goroutine with the runtime.
void drop_func(timer* base) noexcept {
  auto* t = static_cast<timer_core*>(base);
  t->prepared = nullptr;
  timer_release(t);
}

void run_func(void* closure) {
  timer_core* t = *static_cast<timer_core**>(closure);
  struct ender {
    timer_core* t;
    ~ender() { timer_release(t); }
  } end{t};
  t->call(t->func);
}

// Takes back a goroutine that is not going to start.
void drop_prepared(timer_core* t) noexcept {
  goroutine* g = std::exchange(t->prepared, nullptr);
  if (g == nullptr) return;
  sched::runtime_of(g)->started.fetch_add(1, std::memory_order_relaxed);
  go_abandon({g, nullptr, false});
}

// Arms t, which is in no heap. For after_func this takes a reference that the firing gives back.
void arm(timer_core* t, std::int64_t when) {
  sched::worker* w = sched::current();
  if (t->call != nullptr) {
    if (w->rt != nullptr) {
      timer_core* self = t;
      t->prepared = sched::new_goroutine(w->rt, {}, reinterpret_cast<const void*>(t->call));
      t->prepared->run = &run_func;
      __builtin_memcpy(t->prepared->closure, &self, sizeof self);
      arch::edge_release(t->prepared);
      // It counts as a goroutine once it starts.
      w->rt->started.fetch_sub(1, std::memory_order_relaxed);
    }
    timer_retain(t);
  }
  try {
    w = sched::current();
    if (w->rt == nullptr) {
      service& s = service::get();
      service_in_use.store(true, std::memory_order_relaxed);
      arch::edge_release(&t->func);  // its start comes before its firing
      s.add(t, when);
    } else if (sched::heap_for(w).add(t, when)) {
      sched::note_deadline(w->rt, when);
    }
  } catch (...) {
    if (t->call != nullptr) {
      drop_prepared(t);
      timer_release(t);
    }
    throw;
  }
}

// Takes t out of its heap and forgets a time nobody has received. `control` is held. True if that
// kept it from firing; `spare` is a reference to give back.
bool disarm(timer_core* t, bool& spare) noexcept {
  timers* home = t->home.load(std::memory_order_acquire);
  bool pending = home != nullptr && home->remove(t);
  if (t->call != nullptr) {
    spare = pending;
    if (pending) drop_prepared(t);
    return pending;
  }
  chan_core* c = t;
  c->lock.lock();
  if (c->count > 0) {
    c->count = 0;
    pending = true;
  }
  c->lock.unlock();
  return pending;
}

std::unique_ptr<timer_core, void (*)(timer_core*)> make_core() {
  auto* t = new (sys::allocate(sizeof(timer_core), alignof(timer_core))) timer_core;
  return {t, [](timer_core* x) { timer_release(x); }};
}

}  // namespace

timer_core* timer_chan(time_point when, duration period) {
  auto t = make_core();
  t->fire = &fire_chan;
  t->period = period;
  arm(t.get(), when.time_since_epoch().count());
  return t.release();
}

timer_core* timer_func(time_point when, void* f, void (*call)(void*), void (*destroy)(void*) noexcept) {
  try {
    auto t = make_core();
    t->fire = &fire_func;
    t->dropped = &drop_func;
    t->func = f;
    t->call = call;
    t->destroy = destroy;
    f = nullptr;
    arm(t.get(), when.time_since_epoch().count());
    return t.release();
  } catch (...) {
    if (f != nullptr) destroy(f);
    throw;
  }
}

chan_core* timer_channel(timer_core* t) noexcept {
  chan_retain(t);
  return t;
}

bool timer_stop(timer_core* t) noexcept {
  sched::show("timer.stop", t);
  bool spare = false;
  t->control.lock();
  const bool pending = disarm(t, spare);
  t->control.unlock();
  if (spare) timer_release(t);
  return pending;
}

bool timer_reset(timer_core* t, time_point when, duration period) {
  sched::show("timer.reset", t);
  bool spare = false;
  t->control.lock();
  const bool pending = disarm(t, spare);
  t->period = period;
  try {
    arm(t, when.time_since_epoch().count());
  } catch (...) {
    t->control.unlock();
    if (spare) timer_release(t);
    throw;
  }
  t->control.unlock();
  if (spare) timer_release(t);
  return pending;
}

void timer_retain(timer_core* t) noexcept { chan_retain(t); }
void timer_release(timer_core* t) noexcept { chan_release(t); }

void timer_destroy(chan_core* c) noexcept {
  timer_core* t = core_of(c);
  if (timers* home = t->home.load(std::memory_order_acquire)) home->remove(t);
  if (t->destroy != nullptr) t->destroy(t->func);
  t->~timer_core();
  sys::deallocate(t, sizeof(timer_core), alignof(timer_core));
}

bool sleep(const limit& l) {
  sched::attend_if_asked("sleep");
  chan_status why;
  if (prim::limit_guard::over(l, why)) {
    if (why == chan_status::canceled) return false;
    yield();
    return true;
  }
  waiter me(sched::current_goroutine());
  prim::limit_guard guard(me, l);
  guard.arm();
  guard.wait(status::sleep);
  guard.disarm();
  return me.winner() == prim::timeout_index;
}

}  // namespace detail

namespace sched {
bool outside_deadlines() noexcept {
  return detail::service_in_use.load(std::memory_order_relaxed) && detail::service::get().busy();
}
}  // namespace sched

time_point now() noexcept { return time_point(duration(sched::current_ns())); }

}  // namespace skein::inline SKEIN_ABI
