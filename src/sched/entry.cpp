// Where goroutines begin and end, and the calls they make about themselves.
#include <errno.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <new>
#include <stdexcept>
#include <utility>

#include "parts/locals.hpp"
#include "sched/goexit.hpp"
#include "sched/sched.hpp"
#include "sched/sim.hpp"
#include "skein/go.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {

namespace {

// What a goroutine needs before it runs; all of it is in its first cache line.
SKEIN_ALWAYS_INLINE void set_up(goroutine* g, const void* site, int cls) noexcept {
  g->site = site;
  g->hold.store(goroutine::fresh, std::memory_order_relaxed);
  g->state.store(status::runnable, std::memory_order_relaxed);
  g->stack_class = static_cast<std::uint8_t>(cls);
  g->extras = 0;
  g->mutexes.clear();
  ++g->epoch;
}

// take_cached() is a goroutine from the processor's cache; null when that is empty.
SKEIN_ALWAYS_INLINE goroutine* take_cached(proc* p) noexcept {
  const int n = p->free_count - 1;
  if (n < 0) [[unlikely]] return nullptr;
  p->free_count = n;
  if (n >= 4) __builtin_prefetch(p->free[n - 4], 1);
  bump(p->started);
  return p->free[n];
}

int class_of(runtime_state* rt, const go_options& o) {
  if (o.stack == 0) return rt->stack_class;
  const int cls = arch::class_for(o.stack);
  if (cls < 0) throw std::invalid_argument("skein: a goroutine's stack is at most 8 MiB");
  return cls;
}

}  // namespace

goroutine* new_goroutine(runtime_state* rt, const go_options& o, const void* site) {
  const int cls = class_of(rt, o);
  worker* w = current();
  goroutine* g = nullptr;
  proc* p = enter(w);
  if (p != nullptr && p->rt == rt) {
    if (p->free_count == 0) p->free_count = rt->slab.take(p->free, detail::shrunk(64, 2));
    g = take_cached(p);
    leave(w);
  } else {
    leave(w);
    if (rt->slab.take(&g, 1) == 1) rt->started.fetch_add(1, std::memory_order_relaxed);
  }
  if (g == nullptr) throw std::bad_alloc();
  set_up(g, site, cls);
  return g;
}

// The older half, so that what was used last stays.
SKEIN_COLD static void give_back_half(proc* p) noexcept {
  const sys::unseen own;
  constexpr int half = proc::most_free / 2;
  p->rt->slab.put(p->free, half);
  std::copy(p->free + half, p->free + proc::most_free, p->free);
  p->free_count = half;
}

void free_goroutine(runtime_state* rt, proc* p, goroutine* g) noexcept {
  g->state.store(status::free, std::memory_order_relaxed);
  if (p == nullptr) {
    rt->ended.fetch_add(1, std::memory_order_relaxed);
    rt->slab.put(&g, 1);
    return;
  }
  bump(p->ended);
  if (p->free_count == proc::most_free) [[unlikely]] give_back_half(p);
  p->free[p->free_count++] = g;
}

void submit(runtime_state* rt, goroutine* g) noexcept {
  worker* w = current();
  proc* p = enter(w);
  if (p != nullptr && p->rt == rt) {
    push_local(p, g);
    leave(w);
    maybe_wake(rt);
    return;
  }
  leave(w);
  ready_slow(g);
}

// Whoever makes more than that many runnable gives way to them at its next entry: run soon they are
// still in the cache (a million of them in half the time), and a burst takes little memory.
static constexpr std::size_t crowd = 512;

void push_surplus(proc* p, goroutine* g) noexcept {
  do {
    goroutine* half[detail::run_queue::slots / 2];
    p->rt->inject.push(half, p->queue.shed(half));
  } while (!p->queue.push(g));
  if (p->rt->inject.fresh() > crowd) current()->attention_word.fetch_or(attention::crowd, std::memory_order_relaxed);
}

void ready_slow(goroutine* g) noexcept {
  runtime_state* rt = runtime_of(g);
  if (rt->sim != nullptr) {
    rt->sim->ready(g);
    return;
  }
  rt->outsiders.fetch_add(1, std::memory_order_acq_rel);  // keeps rt: see drop_goroutines()
  rt->inject.push(g);
  maybe_wake(rt);
  rt->outsiders.fetch_sub(1, std::memory_order_release);
}

void ready_all(goroutine_list& list) noexcept {
  while (goroutine* g = list.pop()) submit(runtime_of(g), g);
}

void yield(worker* w, give_way how) noexcept {
  goroutine* g = w->g;
  g->state.store(status::runnable, std::memory_order_relaxed);
  proc* p = enter(w);
  goroutine* n = nullptr;
  if (p == nullptr || how != give_way::here) {
    runtime_state* rt = runtime_of(g);
    w->attention_word.fetch_and(~(attention::slice | attention::crowd), std::memory_order_relaxed);
    if (how == give_way::tired) {
      if (p != nullptr) p->tired_at = clock_of(rt);
      rt->inject.push_tired(g);
    } else {
      rt->inject.push(g);
    }
    maybe_wake(rt);
  } else if (w->attention_word.load(std::memory_order_relaxed) != 0) {
    push_local(p, g);
    maybe_wake(p->rt);
  } else {
    n = take_local(p);
    if (n == nullptr && p->until_look != look_every && p->rt->inject.size() == 0) {
      g->state.store(status::running, std::memory_order_relaxed);
      leave(w);
      return;  // nobody to give way to
    }
    push_local(p, g);
    if (n != nullptr) {
      if (ready_to_run(p, n)) {
        bump(p->switches);
      } else {
        w->picked = n;
        n = nullptr;
      }
    }
    maybe_wake(p->rt);
  }
  switch_away(w, g, n);
  resumed();
}

namespace {

// The goroutine runs on its own thread without a processor: take an idle one or stand in line.
void acquire_proc(worker* w) noexcept {
  w->in_runtime.store(1, std::memory_order_relaxed);
  light_barrier();
  if (settled_proc(w) == nullptr) {
    runtime_state* rt = w->rt;
    if (proc* p = take_idle_proc(rt)) {
      bind(w, p);
      no_stray(w);
    } else {
      goroutine* g = w->g;
      g->state.store(status::runnable, std::memory_order_relaxed);
      w->strays == stray::computes ? rt->inject.push_tired(g) : rt->inject.push(g);
      no_stray(w);
      maybe_wake(rt);
      switch_away(w, g, nullptr);
      w = current();
    }
  }
  leave(w);
}

// The runtime has ended: this goroutine is not resumed any more.
[[noreturn]] void abandon(worker* w) noexcept {
  goroutine* g = w->g;
  lose_task(*g);
  enter(w);
  pack(w);
  arch::unwatched_edges::release(&w->rt->live_threads);  // as in switch_away()
  arch::switch_context(&g->ctx, &w->loop, g);
  base::fatal("a goroutine was resumed after its runtime ended");
}

void check_canary(const goroutine& g, const arch::stack& s) noexcept {
  if (!s.guarded && !arch::canary_intact(s)) report_overflow(g, s);
}

void free_closure(goroutine* g) noexcept {
  if ((g->extras & goroutine::boxed) != 0) ::operator delete(g->closure_data(), std::align_val_t(64));
}

// Runs what goroutines run and turns exit_goroutine() into a return. The handler names the private
// type alone: any other exception finds no handler, so std::terminate is called where it was thrown,
// with the whole stack in place.
void call_closure(goroutine* g) {
  try {
    g->run(g->closure_data());
  } catch (goexit& e) {
    e.arrived();
  }
  if (g->extras == 0) return;
  free_closure(g);
  detail::end_locals(g);
}

}  // namespace

void attend(worker* w, const act& what) {
  const std::uint32_t a = w->attention_word.load(std::memory_order_relaxed);
  if ((a & attention::forked) != 0) check_fork();
  if (w->g == nullptr) return;
  if ((a & attention::stop) != 0) abandon(w);
  if ((a & attention::simulated) != 0) {
    w->rt->sim->point(w, what);
    return;
  }
  if ((a & attention::canary) != 0)
    if (const arch::stack* s = w->rt->stacks.find(__builtin_frame_address(0))) check_canary(*w->g, *s);
  if ((a & attention::no_proc) != 0) {
    acquire_proc(w);
    w = current();
  }
  if ((a & attention::slice) != 0)
    yield(w, give_way::tired);
  else if ((a & attention::crowd) != 0)
    yield(w, give_way::to_all);
}

namespace {

// end() disposes of the goroutine that has just ended. It returns if the next one can start on this
// very stack, as the worker's goroutine; otherwise it leaves the stack for good.
void end(worker* w, goroutine* g, arch::stack* s) noexcept {
  g->state.store(status::ended, std::memory_order_relaxed);
  proc* p = enter(w);
  if (p == nullptr || w->attention_word.load(std::memory_order_relaxed) != 0) {
    check_canary(*g, *s);
    if ((w->attention_word.load(std::memory_order_relaxed) & attention::fp) != 0) arch::set_fp_control(w->rt->fp);
    w->dead = g;
    w->dead_stack = s;
    arch::switch_context<arch::leaving::for_good>(&g->ctx, &w->loop, nullptr);
    __builtin_unreachable();
  }
  free_goroutine(w->rt, p, g);
  goroutine* n = take_local(p);
  arch::context* to = &w->loop;
  const bool cached = s->cls == p->stack_class;
  if (n != nullptr) {
    const std::uint8_t hold = n->hold.load(std::memory_order_acquire);
    if (hold == goroutine::fresh && n->stack_class == s->cls) {
      bump(p->switches);
#if defined(SKEIN_SEES_ASAN)
      n->ctx.bottom = s->limit();
      n->ctx.size = static_cast<std::size_t>(s->top() - s->limit());
#endif
#if defined(SKEIN_TSAN_FIBERS)
      n->ctx.fiber = s->fiber;
#endif
      begin_run(w, n);
      return;
    }
    if (cached && ready_to_run(p, n)) {
      bump(p->switches);
      begin_run(w, n);
      to = &n->ctx;
    } else {
      w->picked = n;
    }
  }
  // From the cache only this worker, standing in the scheduler, can take the stack again, and not
  // before it has left it. To the pool, where anybody may take it, the loop gives it, after that.
  if (cached)
    put_stack(p, s);
  else
    w->dead_stack = s;
  arch::context unused;
  arch::switch_context<arch::leaving::for_good>(&unused, to, nullptr);
  __builtin_unreachable();
}

}  // namespace

extern "C" [[gnu::used]] void skein_goroutine_main(void* before, arch::stack* s) {
  arch::on_fresh_stack();
  release_held(before);
  for (;;) {
    worker* w = current();
    leave(w);
    goroutine* g = w->g;
    arch::unwatched_edges::acquire(&w->loop);
    arch::unwatched_edges::acquire(g);  // a simulation sees to it in run_guarded()
    call_closure(g);
    w = current();
    arch::unwatched_edges::release(&w->rt->live_threads);  // as in switch_away()
    end(w, w->g, s);
  }
}

}  // namespace sched

namespace detail {
namespace {

template <class Edges> void fill_closure(goroutine* g, closure_fn run, const void* closure, std::size_t size) {
  g->run = run;
#if defined(SKEIN_TSAN)
  // From the heap, where the race detector knows that memory is new.
  void* box = ::operator new(size, std::align_val_t(64));
  for (std::size_t i = 0; i < size; ++i) static_cast<volatile char*>(box)[i] = static_cast<const volatile char*>(closure)[i];
  g->set_box(box);
#else
  if (size == 8)
    __builtin_memcpy(g->closure, closure, 8);
  else
    __builtin_memcpy(g->closure, closure, size);
#endif
  Edges::release(g);
}

SKEIN_COLD void go_bytes_slow(const go_options& o, closure_fn run, const void* closure, std::size_t size, runtime_state* rt,
                              const void* site) {
  sched::attend_if_asked("go");
  const sched::runtime_ref home(rt);
  goroutine* g = sched::new_goroutine(home.required(), o, site);
  fill_closure<arch::edges>(g, run, closure, size);
  sched::submit(home.get(), g);
}

}  // namespace

SKEIN_NOINLINE void go_bytes(const go_options& o, closure_fn run, const void* closure, std::size_t size, runtime_state* rt) {
  const void* site = __builtin_return_address(0);
  sched::worker* w = sched::current();
  if (w->attention_word.load(std::memory_order_relaxed) == 0 && rt == nullptr && o.stack == 0) [[likely]] {
    sched::proc* p = sched::enter(w);
    if (p != nullptr) [[likely]] {
      if (goroutine* g = sched::take_cached(p)) [[likely]] {
        sched::set_up(g, site, p->stack_class);
        fill_closure<arch::unwatched_edges>(g, run, closure, size);
        sched::push_local(p, g);
        sched::leave(w);
        sched::maybe_wake(p->rt);
        return;
      }
    }
    sched::leave(w);
  }
  go_bytes_slow(o, run, closure, size, rt, site);
}

SKEIN_NOINLINE prepared go_prepare(const go_options& o, std::size_t size, [[maybe_unused]] std::size_t align, runtime_state* rt) {
  const void* site = __builtin_return_address(0);
  sched::attend_if_asked("go");
  sched::runtime_ref home(rt);
  goroutine* g = sched::new_goroutine(home.required(), o, site);
  g->run = nullptr;  // the runtime may end while the closure is built: see lose_task()
#if defined(SKEIN_TSAN)
  const bool fits = false;
#else
  const bool fits = size <= inline_closure && align <= 16;
#endif
  if (fits) return {g, g->closure, home.keep()};
  try {
    g->set_box(sys::allocate(size, 64));
  } catch (...) {
    go_abandon({g, nullptr, false});
    throw;
  }
  return {g, g->closure_data(), home.keep()};
}

void go_commit(prepared p, closure_fn run) noexcept {
  p.g->run = run;
  arch::edge_release(p.g);
  runtime_state* rt = sched::runtime_of(p.g);
  sched::submit(rt, p.g);
  if (p.held) sched::leave_runtime(rt);
}

void go_abandon(prepared p) noexcept {
  runtime_state* rt = sched::runtime_of(p.g);
  sched::free_closure(p.g);
  sched::free_goroutine(rt, nullptr, p.g);
  if (p.held) sched::leave_runtime(rt);
}

bool blocking_begin() {
  sched::attend_if_asked("blocking");
  sched::worker* w = sched::current();
  if (w->g == nullptr || w->rt->sim != nullptr) return false;
  w->rt->blocked.fetch_add(1, std::memory_order_relaxed);
  sched::proc* p = sched::enter(w);
  if (p == nullptr) p = sched::settled_proc(w);
  if (p != nullptr) {
    sched::unbind(w, p);
    sched::release_proc(p);
  }
  sched::leave(w);
  return true;
}

void blocking_end() noexcept {
  const int kept = errno;
  sched::worker* w = sched::current();
  runtime_state* rt = w->rt;
  sched::attend(w, {"blocking", nullptr, nullptr});
  rt->blocked.fetch_sub(1, std::memory_order_relaxed);
  *sched::current()->errno_place = kept;
}

namespace {

// on_fiber_of: while it lives g, which runs, is the stack's fiber to the race detector. What is done on
// a stack is done by its fiber; so whoever has the stack next goes on where the one before has ended.
class on_fiber_of {
 public:
#if defined(SKEIN_TSAN_FIBERS)
  on_fiber_of(goroutine* g, arch::stack* s) noexcept : g_(g), before_(std::exchange(g->ctx.fiber, s->own_fiber())) {
    __tsan_switch_to_fiber(g->ctx.fiber, 0);
  }
  on_fiber_of(const on_fiber_of&) = delete;
  on_fiber_of& operator=(const on_fiber_of&) = delete;
  ~on_fiber_of() {
    g_->ctx.fiber = before_;
    __tsan_switch_to_fiber(before_, 0);
  }

 private:
  goroutine* g_;
  void* before_;
#else
  on_fiber_of(goroutine*, arch::stack*) noexcept {}
#endif
};

}  // namespace

void call_on_big_stack(void (*f)(void*), void* arg) {
  sched::worker* w = sched::current();
  goroutine* g = w->g;
  if (g == nullptr) {
    f(arg);
    return;
  }
  runtime_state* rt = w->rt;
  arch::stack* big = rt->stacks.take(arch::stack_classes - 1, 1);
  if (big == nullptr) throw std::bad_alloc();
  struct giver {
    runtime_state* rt;
    arch::stack* s;
    ~giver() {
      s->next = nullptr;
      rt->stacks.put(s->cls, s);
    }
  } give_back{rt, big};
  const on_fiber_of fiber(g, big);
#if defined(SKEIN_SEES_ASAN)
  struct frame {
    void (*f)(void*);
    void* arg;
    goroutine* g;
    const void* bottom;
    std::size_t size;
    void* fake;
    std::exception_ptr error;
    [[gnu::no_sanitize_address]] static void enter(void* p) {
      auto* fr = static_cast<frame*>(p);
      __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
      try {
        fr->f(fr->arg);
      } catch (...) {
        fr->error = std::current_exception();
      }
      __sanitizer_start_switch_fiber(nullptr, fr->bottom, fr->size);
    }
  } fr{f, arg, g, g->ctx.bottom, g->ctx.size, nullptr, nullptr};
  g->ctx.bottom = big->limit();
  g->ctx.size = static_cast<std::size_t>(big->top() - big->limit());
  __sanitizer_start_switch_fiber(&fr.fake, g->ctx.bottom, g->ctx.size);
  skein_call_on_stack(&frame::enter, &fr, big->top());
  __sanitizer_finish_switch_fiber(fr.fake, nullptr, nullptr);
  g->ctx.bottom = fr.bottom;
  g->ctx.size = fr.size;
  if (fr.error) std::rethrow_exception(fr.error);
#else
  skein_call_on_stack(f, arg, big->top());
#endif
}

}  // namespace detail

SKEIN_NOINLINE void yield() {
  sched::worker* w = sched::current();
  if (w->g == nullptr) {
    ::sched_yield();
    return;
  }
  if (w->attention_word.load(std::memory_order_relaxed) != 0) {
    sched::attend(w, {sched::simulation::yields, nullptr, __builtin_return_address(0)});
    w = sched::current();
    if (w->rt->sim != nullptr) return;
  }
  sched::yield(w, sched::give_way::here);
}

void checkpoint() { sched::attend_if_asked("checkpoint"); }

void exit_goroutine() {
  if (sched::current_goroutine() == nullptr) throw misuse("skein: exit_goroutine() outside a goroutine");
  throw sched::goexit();
}

void lock_os_thread() {
  sched::worker* w = sched::current();
  if (w->g == nullptr || w->rt->sim != nullptr) return;
  detail::goroutine* g = w->g;
  if (g->lock_depth == 255) throw misuse("skein: lock_os_thread() nested too deeply");
  if (g->lock_depth++ != 0) return;
  g->locked_to = w;
  g->hold.fetch_or(detail::goroutine::locked, std::memory_order_relaxed);
  w->locked_g = g;
  w->attention_word.fetch_or(sched::attention::locked, std::memory_order_relaxed);
}

void unlock_os_thread() {
  sched::worker* w = sched::current();
  if (w->g == nullptr || w->rt->sim != nullptr) return;
  detail::goroutine* g = w->g;
  if (g->lock_depth == 0) throw misuse("skein: unlock_os_thread() without lock_os_thread()");
  if (--g->lock_depth != 0) return;
  g->hold.fetch_and(static_cast<std::uint8_t>(~detail::goroutine::locked), std::memory_order_relaxed);
  w->locked_g = nullptr;
  w->attention_word.fetch_and(~sched::attention::locked, std::memory_order_relaxed);
}

std::size_t num_goroutine() noexcept {
  const sched::runtime_ref rt;
  return rt.get() == nullptr ? 0 : sched::live_goroutines(rt.get());
}

}  // namespace skein::inline SKEIN_ABI
