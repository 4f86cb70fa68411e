// What a goroutine does when somebody asks for its worker's attention, and when it gives way by itself.
#include <sched.h>

#include <utility>

#include "sched/sched.hpp"
#include "sched/sim.hpp"
#include "skein/go.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {
namespace {

// Gives way to all other runnable goroutines. A tired one has used up its time, and goes on when nobody else
// is runnable or one like it has had a turn long enough ago.
SKEIN_COLD void yield_to_all(worker* w, bool tired) noexcept {
  goroutine* g = w->g;
  g->state.store(status::runnable, std::memory_order_relaxed);
  proc* p = enter(w);
  runtime_state* rt = runtime_of(g);
  w->attention_word.fetch_and(~(attention::slice | attention::crowd), std::memory_order_relaxed);
  if (tired) {
    if (p != nullptr) p->tired_at = clock_of(rt);
    rt->inject.push_tired(g);
  } else {
    rt->inject.push(g);
  }
  maybe_wake(rt);
  switch_away(w, g, nullptr);
  resumed();
}

// Gives way to what the loop finds next: the processor's own goroutines, or more if a look at more is due.
SKEIN_COLD void yield_to_loop(worker* w, proc* p) noexcept {
  goroutine* g = w->g;
  g->state.store(status::runnable, std::memory_order_relaxed);
  push_local(p, g);
  maybe_wake(p->rt);
  switch_away(w, g, nullptr);
  resumed();
}

// No goroutine of the processor's own is runnable, or a look at more is due.
void yield_alone(worker* w, proc* p) noexcept {
  if (p->until_look == look_every || p->rt->inject.size() != 0) return yield_to_loop(w, p);
  leave(w);  // nobody to give way to
}

SKEIN_COLD void yield_asked(worker* w, const void* site) {
  attend(w, {simulation::yields, nullptr, site});
  w = current();
  if (w->rt->sim != nullptr) return;
  proc* p = enter(w);
  p != nullptr ? yield_to_loop(w, p) : yield_to_all(w, false);
}

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
  *exceptions(w) = {};
  arch::unwatched_edges::release(&w->rt->live_threads);  // as in switch_away()
  arch::switch_context(&g->ctx, &w->loop, g);
  base::fatal("a goroutine was resumed after its runtime ended");
}

}  // namespace

SKEIN_COLD void switch_in_handler(worker* w, goroutine* g, goroutine* n) noexcept {
  const eh_globals own = std::exchange(*exceptions(w), {});
  switch_with_errno(w, g, n);
  *exceptions(current()) = own;
}

void check_canary(const goroutine& g, const arch::stack& s) noexcept {
  if (!s.guarded && !arch::canary_intact(s)) report_overflow(g, s);
}

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
    if (const arch::stack* s = w->rt->stacks.find(__builtin_frame_address(0)))
      check_canary(*w->g, *s);
  if ((a & attention::no_proc) != 0) {
    acquire_proc(w);
    w = current();
  }
  if ((a & attention::slice) != 0)
    yield_to_all(w, true);
  else if ((a & attention::crowd) != 0)
    yield_to_all(w, false);
}

}  // namespace sched

// The short way is all in one function: the return from it is the only one that a switch to other code makes
// the processor mispredict.
SKEIN_NOINLINE void yield() {
  sched::worker* w = sched::current();
  detail::goroutine* g = w->g;
  if (g == nullptr) [[unlikely]] {
    ::sched_yield();
    return;
  }
  if (w->attention_word.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    sched::yield_asked(w, __builtin_return_address(0));
    return;
  }
  sched::proc* p = sched::enter(w);
  if (p == nullptr) [[unlikely]]
    return sched::yield_to_all(w, false);
  detail::goroutine* n = sched::take_local(p);
  if (n == nullptr) [[unlikely]]
    return sched::yield_alone(w, p);
  if (!sched::ready_to_run(p, n)) [[unlikely]] {
    w->picked = n;
    return sched::yield_to_loop(w, p);
  }
  g->state.store(detail::status::runnable, std::memory_order_relaxed);
  sched::bump(p->switches);
  sched::push_local(p, g);
  sched::maybe_wake(p->rt);
  sched::switch_away(w, g, n);
  sched::resumed();
}

void checkpoint() { sched::attend_if_asked("checkpoint"); }

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
  g->hold.fetch_and(static_cast<std::uint8_t>(~detail::goroutine::locked),
                    std::memory_order_relaxed);
  w->locked_g = nullptr;
  w->attention_word.fetch_and(~sched::attention::locked, std::memory_order_relaxed);
}

}  // namespace skein::inline SKEIN_ABI
