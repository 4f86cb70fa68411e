// Where goroutines begin and end, and the calls they make about themselves.
#include <errno.h>

#include <algorithm>
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

namespace {

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

// end() disposes of the goroutine that has just ended. Null: the next one starts on this very stack, as the
// worker's goroutine. Otherwise the stack is to be left for good, to there.
arch::context* end(worker* w, goroutine* g, arch::stack* s) noexcept {
  g->state.store(status::ended, std::memory_order_relaxed);
  proc* p = enter(w);
  if (p == nullptr || w->attention_word.load(std::memory_order_relaxed) != 0) {
    check_canary(*g, *s);
    if ((w->attention_word.load(std::memory_order_relaxed) & attention::fp) != 0) arch::set_fp_control(w->rt->fp);
    w->dead = g;
    w->dead_stack = s;
    return &w->loop;
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
      return nullptr;
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
  return to;
}

// A race detector that sees the runtime counts the calls that each fiber is in, without a look at its limit of
// 65,536. Whoever leaves a stack for good returns from none of them, so there it does that from one that is not
// counted.
#if defined(SKEIN_SEES_TSAN)
#define SKEIN_COUNTED SKEIN_NOINLINE
#define SKEIN_NOT_COUNTED __attribute__((disable_sanitizer_instrumentation))
#else
#define SKEIN_COUNTED SKEIN_ALWAYS_INLINE
#define SKEIN_NOT_COUNTED
#endif

// Runs goroutines on a stack until it is to be left, and returns to where.
SKEIN_COUNTED arch::context* run_goroutines(void* before, arch::stack* s) {
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
    if (arch::context* to = end(w, w->g, s)) return to;
  }
}

}  // namespace

extern "C" [[gnu::used]] SKEIN_NOT_COUNTED void skein_goroutine_main(void* before, arch::stack* s) {
  arch::on_fresh_stack();
  arch::context unused;
  arch::switch_context<arch::leaving::for_good>(&unused, run_goroutines(before, s), nullptr);
  __builtin_unreachable();
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

}  // namespace detail

void exit_goroutine() {
  if (sched::current_goroutine() == nullptr) throw misuse("skein: exit_goroutine() outside a goroutine");
  throw sched::goexit();
}

std::size_t num_goroutine() noexcept {
  const sched::runtime_ref rt;
  return rt.get() == nullptr ? 0 : sched::live_goroutines(rt.get());
}

}  // namespace skein::inline SKEIN_ABI
