#include "parts/locals.hpp"
#include "prim/limits.hpp"
#include "sched/goexit.hpp"
#include "skein/task.hpp"

namespace skein::inline SKEIN_ABI::detail {

using prim::blocker;

namespace {

// Tells everybody that c is over, unless it is already: one lost may still be done, on a thread that was left behind.
void finish(task_core* c, std::uint32_t how) noexcept {
  c->waiters.lock.lock();
  if (c->state.load(std::memory_order_relaxed) >= task_core::done) {
    c->waiters.lock.unlock();
    return;
  }
  c->state.store(how, std::memory_order_release);
  chan_core* done = c->done_chan;
  prim::wake_all(c->waiters);
  if (done != nullptr) chan_close(done);
}

// Runs c's function if nobody has begun to. True if this call ran it. Whichever goroutine that is, the
// function sees values of locals that are the task's own and end before it is done.
bool run_if_waiting(task_core* c) noexcept {
  std::uint32_t s = task_core::waiting;
  if (!c->state.compare_exchange_strong(s, task_core::running, std::memory_order_acquire, std::memory_order_relaxed))
    return false;
  arch::edge_acquire(c);
  {
    const fresh_locals own(sched::current_goroutine());
    try {
      c->call();
    } catch (sched::goexit& e) {
      e.arrived();
      c->error = std::make_exception_ptr(goroutine_exited());
    } catch (...) {
      c->error = std::current_exception();
    }
  }
  sched::show_release("task.ends", c, &c->state);
  finish(c, task_core::done);
  return true;
}

// While the closure holds c the goroutine owns its reference; see lose_task().
void run_task(void* closure) {
  task_core* c = *static_cast<task_core**>(closure);
  run_if_waiting(c);
  *static_cast<task_core**>(closure) = nullptr;
  task_release(c);
}

bool is_over(task_core* c) noexcept {
  if (c->state.load(std::memory_order_acquire) < task_core::done) return false;
  arch::edge_acquire(&c->state);
  return true;
}

}  // namespace
}  // namespace skein::inline SKEIN_ABI::detail

namespace skein::inline SKEIN_ABI::sched {

// g takes no further step, so the reference that it owns stays.
void lose_task(goroutine& g) noexcept {
  if (g.run != &detail::run_task) return;
  auto* c = *static_cast<detail::task_core**>(g.closure_data());
  if (c != nullptr) detail::finish(c, detail::task_core::lost);
}

}  // namespace skein::inline SKEIN_ABI::sched

namespace skein::inline SKEIN_ABI::detail {

void task_start(runtime_state* rt, const go_options& o, task_core* c) {
  if (o.stack == 0) c->home = sched::runtime_ref(rt).get();  // to compare with, no more
  arch::edge_release(c);
  go_bytes(o, &run_task, &c, sizeof c, rt);
}

bool task_wait(task_core* c, const limit& l) {
  sched::attend_if_asked("task.join", c);
  const bool endless = !l.has_deadline && l.ctx == nullptr;
  goroutine* g = sched::current_goroutine();
  if (endless && g != nullptr && c->home == sched::runtime_of(g) && run_if_waiting(c)) return true;
  if (is_over(c)) return true;
  blocker b(l, status::join);
  chan_status result;
  if (!b.begin(result)) return false;
  c->waiters.lock.lock();
  bool met;
  if (c->state.load(std::memory_order_acquire) >= task_core::done) {
    c->waiters.lock.unlock();
    met = b.withdraw();
  } else {
    b.link(c->waiters);
    c->waiters.lock.unlock();
    met = b.wait() == chan_status::done;
  }
  if (met) arch::edge_acquire(&c->state);
  return met;
}

void task_drop(task_core* c) noexcept {
  if (!c->error) return;
  c->error = nullptr;
  const sched::runtime_ref ours;
  if (runtime_state* rt = ours.get())
    rt->dropped_exceptions.fetch_add(1, std::memory_order_relaxed);
}

void task_rethrow(task_core* c) {
  if (c->state.load(std::memory_order_relaxed) == task_core::lost)
    throw goroutine_exited("skein: no result, because the runtime ended before the task did");
  if (c->error) std::rethrow_exception(std::exchange(c->error, nullptr));
}

chan_core* task_done(task_core* c) {
  chan_core* made = chan_make(elem<unit>::ops, 0);
  c->waiters.lock.lock();
  chan_core* ours = c->done_chan != nullptr ? c->done_chan : (c->done_chan = made);
  const bool late = ours == made && c->state.load(std::memory_order_relaxed) >= task_core::done;
  c->waiters.lock.unlock();
  if (ours != made) chan_release(made);
  if (late) {
    arch::edge_acquire(&c->state);
    chan_close(ours);
  }
  chan_retain(ours);
  return ours;
}

void task_release(task_core* c) noexcept {
  arch::unwatched_edges::release(&c->refs);
  if (c->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  arch::unwatched_edges::acquire(&c->refs);
  if (c->done_chan != nullptr) chan_release(c->done_chan);
  delete c;
}

}  // namespace skein::inline SKEIN_ABI::detail
