// Runtimes: made, found, ended.
//
// The end (R2). When main returns `stopping` is set and every worker is asked to stop. A worker in
// the scheduler ends its thread; one in user code does at its next entry, and leaves its goroutine
// where it stands. When all threads are gone the goroutines that are parked are unlinked from what
// they wait for, under the locks of those objects, and only then any stack is freed: an object may
// live on another goroutine's stack. If a thread does not come back within stop_grace everything it
// may touch is left behind with it: no memory is freed then.
#include <errno.h>
#include <sched.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "base/check.hpp"
#include "os/cpus.hpp"
#include "parts/locals.hpp"
#include "sched/goexit.hpp"
#include "sched/registry.hpp"
#include "sched/sched.hpp"
#include "sched/settings.hpp"
#include "sched/sim.hpp"
#include "skein/go.hpp"
#include "skein/task.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {

registry& runtimes() noexcept {
  // A union: it outlives every static destructor, and needs no memory that might not be there.
  static union place {
    registry r;
    place() noexcept : r() {
      // In the child no worker runs. Whoever uses skein there meets the attention word.
      pthread_atfork(nullptr, nullptr, [] {
        runtimes().forked.store(true, std::memory_order_relaxed);
        current()->attention_word.fetch_or(attention::forked, std::memory_order_relaxed);
      });
    }
    ~place() {}
  } kept;
  return kept.r;
}

namespace {

// What a thread is attached to, by number: an address may be that of a later runtime.
thread_local std::uint64_t attached = 0;

// Takes a goroutine that nobody will resume out of whatever it waits for.
void unlink_wait(goroutine* g) noexcept {
  waiter* w = g->waiting;
  if (w == nullptr) return;
  const auto take_out = [](detail::wait_node& n) {
    if (n.lock == nullptr || !n.linked) return;  // what it stood in may be gone
    n.lock->lock();
    if (n.linked) detail::unlink(*n.list, &n);
    n.lock->unlock();
  };
  for (std::uint32_t i = 0; i < w->count; ++i) take_out(w->nodes[i]);
  if (w->context != nullptr) take_out(*w->context);
  if (w->deadline != nullptr)
    if (detail::timers* heap = w->deadline->home.load(std::memory_order_relaxed)) heap->remove(w->deadline);
  if (w->io != nullptr) runtime_of(g)->io.disarm(w->io);
  g->waiting = nullptr;
}

bool wait_for_threads(runtime_state* rt) noexcept {
  const std::int64_t until = sys::monotonic_ns() + std::max<std::int64_t>(0, rt->opt.stop_grace.count());
  const timespec ts{static_cast<time_t>(until / 1'000'000'000), static_cast<long>(until % 1'000'000'000)};
  for (;;) {
    const std::uint32_t n = rt->live_threads.load(std::memory_order_acquire);
    if (n == 0) return true;
    if (sys::futex_wait(rt->live_threads, n, &ts) == -ETIMEDOUT) return rt->live_threads.load(std::memory_order_acquire) == 0;
  }
}

}  // namespace

std::int64_t clock_of(runtime_state* rt) noexcept { return rt->sim != nullptr ? rt->sim->now() : sys::monotonic_ns(); }

std::int64_t current_ns() noexcept {
  worker* w = current();
  return w->rt != nullptr && w->rt->sim != nullptr ? w->rt->sim->now() : sys::monotonic_ns();
}

detail::timers& heap_for(worker* w) noexcept {
  proc* p = w->held.load(std::memory_order_relaxed);
  return p != nullptr ? p->timers : w->rt->outside_timers;
}

void check_fork() noexcept {
  if (runtimes().forked.load(std::memory_order_relaxed))
    base::fatal("used in a fork child: its workers are in the parent; call exec, or fork before skein starts");
}

// A worker's runtime outlives it. A plain thread keeps nothing alive; while it looks at a runtime it is one
// of its outsiders, counted under the registry's lock: destroy_runtime() takes the runtime off the list under
// that lock before drop_goroutines() waits for the outsiders, so either the thread does not find the runtime
// or the runtime waits for the thread.
void runtime_ref::find() noexcept {
  registry& r = runtimes();
  std::lock_guard hold(r.lock);
  runtime_state* rt = r.first;
  if (attached != 0)
    while (rt != nullptr && rt->number != attached) rt = rt->next_runtime;
  else if (rt != nullptr && rt->next_runtime != nullptr)
    rt = nullptr;
  if (rt == nullptr) return;
  rt->outsiders.fetch_add(1, std::memory_order_relaxed);  // ordered by the lock
  rt_ = rt;
  counted_ = true;
}

void leave_runtime(runtime_state* rt) noexcept {
  rt->outsiders.fetch_sub(1, std::memory_order_release);  // pairs with drop_goroutines()
}

runtime_state* runtime_ref::required() const {
  check_fork();
  if (rt_ != nullptr) return rt_;
  if (attached != 0) throw no_runtime("skein: the runtime that this thread is attached to has ended");
  throw no_runtime("skein: no runtime to use: none exists, or several; "
                   "call this inside skein::run(), or attach the thread");
}

std::size_t live_goroutines(runtime_state* rt) noexcept {
  // Ended first: a goroutine that starts and ends in between is then not counted below zero.
  std::uint64_t ended = rt->ended.load(std::memory_order_relaxed);
  const int n = rt->made_procs.load(std::memory_order_acquire);
  for (int i = 0; i < n; ++i) ended += rt->all_procs[i].load(std::memory_order_acquire)->ended.load(std::memory_order_relaxed);
  std::uint64_t started = rt->started.load(std::memory_order_relaxed);
  for (int i = 0; i < n; ++i) started += rt->all_procs[i].load(std::memory_order_acquire)->started.load(std::memory_order_relaxed);
  return started > ended ? started - ended : 0;
}

runtime_state* create_runtime(const options& o) {
  check_fork();
  const sys::unseen own;
  refuse_shadow_stack();
  check_options(o);
  const bool speaks = wants_start_line();
  const int asked = asked_procs(o);
  const int quota = asked != 0 ? 0 : os::quota_cpus();
  const int procs = asked != 0 ? asked : std::min(quota != 0 ? quota : os::allowed_cpus(), max_procs);
  if (o.max_threads < procs + 1) throw std::invalid_argument("skein: options.max_threads must be greater than procs");
  probe_fences();
  install_fault_handlers();
  std::unique_ptr<runtime_state, void (*)(runtime_state*)> rt(new runtime_state(o), &free_runtime);
  rt->stack_class = arch::class_for(o.stack == 0 ? arch::class_bytes(default_class) : o.stack);
  choose_guards(rt->stacks);
  rt->cpus = os::allowed_cpus();
  if (const int r = rt->io.open(); r < 0) throw std::system_error(-r, std::generic_category(), "skein: cannot open the poller");
  rt->procs.store(procs, std::memory_order_relaxed);
  rt->follows_quota.store(asked == 0, std::memory_order_relaxed);
  for (int i = 0; i < procs; ++i) {
    proc* p = add_proc(rt.get());
    p->next_idle = rt->idle_proc_list;
    rt->idle_proc_list = p;
  }
  rt->idle_procs.store(static_cast<std::uint32_t>(procs), std::memory_order_relaxed);
  registry& r = runtimes();
  r.lock.lock();
  rt->number = ++r.made;  // before its threads, who read it
  r.lock.unlock();
  arch::edge_release(&rt->opt);  // pairs with worker_thread(), which calls the hooks
  start_monitor(rt.get());
  // The first worker now, so that a system without threads says so here.
  proc* first = take_idle_proc(rt.get());
  if (!new_worker(rt.get(), first, false)) {
    begin_stop(rt.get());
    destroy_runtime(rt.release());
    throw std::system_error(EAGAIN, std::generic_category(), "skein: cannot start a worker thread");
  }
  r.lock.lock();
  rt->next_runtime = r.first;
  r.first = rt.get();
  r.lock.unlock();
  if (speaks) print_start_line(rt.get());
  return rt.release();
}

namespace {

// A runtime that cannot be freed stays reachable.
void keep(runtime_state* rt) noexcept {
  registry& r = runtimes();
  std::lock_guard hold(r.lock);
  rt->next_runtime = r.kept;
  r.kept = rt;
}

// What goroutines own that were not resumed leaks by design. The leak detector is told to see it as
// reachable, so that it reports the program's own leaks alone: slabs, stacks and what stands in the
// detector's copies of frames stay, as roots.
#if defined(SKEIN_SEES_ASAN)

// The size of the mapping in which AddressSanitizer keeps the frames of a stack: a header page, flags,
// and eleven size classes, each as large as the stack rounded up (asan_fake_stack.h).
std::size_t fake_stack_bytes(std::size_t stack) noexcept {
  const int log = std::clamp(static_cast<int>(std::bit_width(stack - 1)), 16, 20);
  const std::size_t flags = std::max<std::size_t>(4096, std::size_t{1} << (log - 5));
  return 4096 + flags + (std::size_t{11} << log);
}

void keep_as_roots(runtime_state* rt) noexcept {
  rt->io.close();
  rt->slab.for_each([](goroutine& g, std::size_t) {
    const status s = g.state.load(std::memory_order_relaxed);
    if (s == status::free || s == status::ended) return;
    __lsan_register_root_region(&g, sizeof g);
    if ((g.hold.load(std::memory_order_relaxed) & goroutine::fresh) != 0) return;
    const char* sp = static_cast<const char*>(g.ctx.sp);
    const char* end = static_cast<const char*>(g.ctx.bottom) + g.ctx.size;
    if (sp < end) __lsan_register_root_region(sp, static_cast<std::size_t>(end - sp));
    if (g.ctx.fake_stack != nullptr) __lsan_register_root_region(g.ctx.fake_stack, fake_stack_bytes(g.ctx.size));
  });
  keep(rt);
}
constexpr bool keeps_roots = true;
#else
void keep_as_roots(runtime_state*) noexcept {}
constexpr bool keeps_roots = false;
#endif

}  // namespace

void free_runtime(runtime_state* rt) noexcept {
  const sys::unseen own;
  if (keeps_roots && live_goroutines(rt) != 0)
    keep_as_roots(rt);
  else
    delete rt;
}

namespace {

// Whoever claimed a waiter makes its goroutine ready soon; collect() notes those who have arrived.
void note_arrived(runtime_state* rt) noexcept {
  const auto note = [](goroutine* g) { g->state.store(status::runnable, std::memory_order_relaxed); };
  for (goroutine* g; rt->inject.pop(&g, 1) == 1;) note(g);
  while (goroutine* g = rt->inject.pop_tired()) note(g);
  const int n = rt->made_procs.load(std::memory_order_acquire);
  for (int i = 0; i < n; ++i) {
    proc* p = rt->all_procs[i].load(std::memory_order_acquire);
    if (goroutine* g = p->lifo.exchange(nullptr, std::memory_order_relaxed)) note(g);
    while (p->batch.left() != 0) note(p->batch.pop());
    while (goroutine* g = p->queue.pop()) note(g);
  }
  rt->idle_lock.lock();  // an outsider may be starting a last worker
  for (worker* w = rt->all_workers; w != nullptr; w = w->next_all)
    for (goroutine** g : {&w->picked, &w->given_g})
      if (*g != nullptr) note(std::exchange(*g, nullptr));
  rt->idle_lock.unlock();
}

// Has somebody claimed the wait of a parked goroutine? If not, nobody will any more.
bool claimed(goroutine* g) noexcept {
  waiter* w = g->waiting;
  if (w == nullptr) return false;
  if (w->count == 1 && !w->nodes[0].many) {
    detail::wait_node& n = w->nodes[0];
    w->count = 0;
    if (n.lock == nullptr) return false;  // what it waited for is gone
    n.lock->lock();
    const bool taken = !n.linked;
    if (!taken) detail::unlink(*n.list, &n);
    n.lock->unlock();
    return taken;
  }
  return !w->try_claim(shutdown_index);
}

}  // namespace

// No thread of rt resumes goroutines any more, but threads of others may be about to make its goroutines ready: they
// have claimed a waiter, under its object's lock, and are on their way to ready_slow(). Such a
// goroutine is waited for, if memory is to be freed; the others are claimed here, so nobody begins.
void drop_goroutines(runtime_state* rt, bool to_free) noexcept {
  arch::edge_acquire(&rt->live_threads);  // what goroutines did comes before the end of their runtime
  note_arrived(rt);
  rt->slab.for_each([&](goroutine& g, std::size_t) {
    if (g.waiting == nullptr || g.state.load(std::memory_order_relaxed) == status::free) return;
    if (detail::is_parked(g) && claimed(&g) && to_free)
      while (detail::is_parked(g)) {
        ::sched_yield();
        note_arrived(rt);
      }
    if (g.state.load(std::memory_order_relaxed) != status::running) unlink_wait(&g);
  });
  while (to_free && rt->outsiders.load(std::memory_order_acquire) != 0) ::sched_yield();
  // Those that a thread left behind still runs may end; abandon() tells of the others among them.
  rt->slab.for_each([](goroutine& g, std::size_t) {
    const status s = g.state.load(std::memory_order_relaxed);
    if (s != status::free && s != status::ended && s != status::running) lose_task(g);
  });
  // One of them may have started a last worker, which finds the end and goes.
  while (to_free && rt->live_threads.load(std::memory_order_acquire) != 0) ::sched_yield();
}

void begin_stop(runtime_state* rt) noexcept {
  rt->idle_lock.lock();
  rt->stopping.store(true, std::memory_order_seq_cst);
  for (worker* w = rt->all_workers; w != nullptr; w = w->next_all) {
    w->attention_word.fetch_or(attention::stop, std::memory_order_relaxed);
    w->wake.store(1, std::memory_order_release);
    sys::futex_wake(w->wake, 1);
  }
  rt->idle_lock.unlock();
  rt->io.interrupt();
  wake_monitor(rt);
}

void destroy_runtime(runtime_state* rt) noexcept {
  registry& r = runtimes();
  if (r.forked.load(std::memory_order_relaxed)) return;  // the parent's
  if (current()->g != nullptr && current()->rt == rt)
    base::fatal("a runtime was destroyed by one of its own goroutines, for whose end its destructor waits; "
                "let another thread destroy it");
  if (!rt->stopping.load(std::memory_order_acquire)) begin_stop(rt);
  r.lock.lock();
  for (runtime_state** at = &r.first; *at != nullptr; at = &(*at)->next_runtime)
    if (*at == rt) {
      *at = rt->next_runtime;
      break;
    }
  r.lock.unlock();
  const bool all_gone = wait_for_threads(rt);
  drop_goroutines(rt, all_gone);
  if (all_gone)
    free_runtime(rt);
  else
    keep(rt);
}

void check_drained(runtime_state* rt) noexcept {
  rt->idle_lock.lock();
  const bool still = rt->idle_procs.load(std::memory_order_relaxed) >= static_cast<std::uint32_t>(rt->procs.load(std::memory_order_relaxed));
  const bool over = still && live_goroutines(rt) == 0;
  rt->idle_lock.unlock();
  if (!over || rt->main_done.exchange(1, std::memory_order_acq_rel) != 0) return;
  rt->main_waits.wake(rt->main_done);
}

}  // namespace sched

namespace detail {

runtime_state::runtime_state(const options& o) : opt(o), slab(this) {}

runtime_state::~runtime_state() {
  for (int i = 0; i < made_procs.load(std::memory_order_relaxed); ++i) {
    sched::proc* p = all_procs[i].load(std::memory_order_relaxed);
    p->~proc();
    sys::deallocate(p, sizeof(sched::proc), alignof(sched::proc));
  }
  while (all_workers != nullptr) {
    sched::worker* w = all_workers;
    all_workers = w->next_all;
    w->~worker();
    sys::deallocate(w, sizeof(sched::worker), alignof(sched::worker));
  }
}

namespace {

struct main_frame_of {
  main_call* m;
  runtime_state* rt;
};

// main's end is the program's end, unless it left by exit_goroutine(): then the others go on.
void run_main_goroutine(void* closure) {
  const auto f = *static_cast<main_frame_of*>(closure);
  try {
    f.m->run(f.m->self);
  } catch (sched::goexit&) {
    if (f.rt->opt.on_exit == on_exit::wait_all) f.rt->draining.store(true, std::memory_order_release);
    throw;
  } catch (...) {
    f.m->error = std::current_exception();
  }
  end_locals(sched::current_goroutine());
  if (f.rt->opt.on_exit == on_exit::wait_all && !f.m->error) {
    arch::edge_release(&f.rt->main_done);
    f.rt->draining.store(true, std::memory_order_release);
    return;
  }
  arch::edge_release(&f.rt->main_done);
  sched::begin_stop(f.rt);
  f.rt->main_done.store(1, std::memory_order_release);
  f.rt->main_waits.wake(f.rt->main_done);
}

}  // namespace

void run_main(const options& o, main_call& m) {
  if (sched::current_goroutine() != nullptr) throw misuse("skein: run() on a goroutine; use skein::runtime for a runtime inside another");
  runtime_state* rt = sched::create_runtime(o);
  struct ender {
    runtime_state* rt;
    ~ender() { sched::destroy_runtime(rt); }
  } e{rt};
  const main_frame_of f{&m, rt};
  go_bytes({}, &run_main_goroutine, &f, sizeof f, rt);
  sched::thread_waits(1);
  rt->main_waits.wait_while_zero(rt->main_done);
  arch::edge_acquire(&rt->main_done);
  sched::thread_waits(-1);
}

}  // namespace detail

runtime::runtime(const options& o) : state_(sched::create_runtime(o), &sched::destroy_runtime) {}
runtime::~runtime() = default;

void runtime::run_and_wait(const std::function<void()>& f) {
  const go_options own_stack{.stack = state_->opt.stack};  // so that no joiner runs it in place
  auto t = spawn_on(state_.get(), own_stack, [&f] { f(); });
  t.join();
}

runtime::attachment::attachment(runtime& r) {
  if (sched::current_goroutine() != nullptr) throw misuse("skein: a goroutine belongs to its runtime and cannot be attached to another");
  before_ = std::exchange(sched::attached, r.state_->number);
}
runtime::attachment::~attachment() { sched::attached = before_; }

}  // namespace skein::inline SKEIN_ABI
