// Idle processors, sleeping workers, waking them.
//
// Invariant (S2): runnable work that others may take, and an idle processor, imply that a worker is
// awake and looking, or on its way.
//
//   who makes work visible                   who goes idle
//     push to a queue                          processor -> idle list, idle_procs + 1
//     light_barrier                            spinning - 1, if it was spinning
//     idle_procs == 0: nobody could help       heavy_barrier
//     spinning != 0: somebody is looking       work anywhere: take an idle processor and go on
//     else wake_worker()                       else sleep
//
// Either the pusher sees the idle processor (and no spinner), or the idler sees the work. A pusher
// that trusts a spinner may do so: the spinner looks once more after it has stopped being counted.
// The last spinner that finds work wakes the next one, so wake-ups follow each other instead of
// coming in a burst; each costs 35 us of a sleeping core. A worker that was woken for less work than
// that doubles the number of pushes that wake nobody; the monitor, every millisecond, wakes whatever
// the throttle has left asleep, and one worthwhile wake-up ends it.
//
// The LIFO slot is not visible to others. Work that stays there behind a goroutine which computes is
// freed by the monitor, which takes the whole processor away.
//
// One idle worker sleeps in the poller, until the earliest deadline of all processors; the others
// sleep on their futexes. A new earlier deadline wakes the poller:
//
//   who adds a deadline                      the poller
//     add to a heap                            poll_until = earliest
//     light_barrier                            heavy_barrier
//     when < poll_until: interrupt             earliest again; sleep until then
//
// idle_lock guards the lists, `given`, `polling`; no other lock is taken under it.
#include <algorithm>
#include <utility>

#include "sched/sched.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

constexpr std::uint64_t futile_cycles = 75'000;  // 25 us: less work than the wake-up cost
constexpr std::int64_t no_sleeper = std::numeric_limits<std::int64_t>::min();

void push_idle(runtime_state* rt, proc* p) noexcept {
  p->next_idle = rt->idle_proc_list;
  rt->idle_proc_list = p;
  rt->idle_procs.fetch_add(1, std::memory_order_relaxed);
}

proc* pop_idle(runtime_state* rt) noexcept {
  proc* p = rt->idle_proc_list;
  if (p == nullptr) return nullptr;
  rt->idle_proc_list = p->next_idle;
  rt->idle_procs.fetch_sub(1, std::memory_order_relaxed);
  return p;
}

// Gives p to a sleeping worker, or to a new one, to begin with `first` if that is not null. Called with
// idle_lock held; returns without.
void assign(runtime_state* rt, proc* p, bool spinning, goroutine* first = nullptr) noexcept {
  if (worker* w = rt->idle_worker_list) {
    rt->idle_worker_list = w->next_idle;
    w->given = p;
    w->given_g = first;
    w->spinning = spinning;
    rt->idle_lock.unlock();
    w->wake.store(1, std::memory_order_release);
    sys::futex_wake(w->wake, 1);
  } else if (rt->polling == poll_phase::sleeping) {
    worker* w2 = rt->poll_worker;
    w2->given = p;
    w2->given_g = first;
    w2->spinning = spinning;
    rt->polling = poll_phase::interrupted;
    rt->idle_lock.unlock();
    rt->io.interrupt();
  } else {
    rt->idle_lock.unlock();
    if (!new_worker(rt, p, spinning, first)) {
      // No thread to be had now. The monitor tries again; a worker that goes idle helps as well.
      // What only the processor's owner could run must not wait for that very processor.
      goroutine_list hidden;
      if (first != nullptr) hidden.push(first);
      while (p->batch.left() != 0) hidden.push(p->batch.pop());
      if (goroutine* g = p->lifo.exchange(nullptr, std::memory_order_relaxed)) hidden.push(g);
      if (hidden.head != nullptr) rt->inject.push(hidden);
      rt->idle_lock.lock();
      push_idle(rt, p);
      rt->idle_lock.unlock();
      if (spinning) rt->spinning.fetch_sub(1, std::memory_order_relaxed);
      wake_monitor(rt);
      if (rt->draining.load(std::memory_order_acquire)) check_drained(rt);  // the last may have ended meanwhile
      return;
    }
  }
  rt->wakeups.fetch_add(1, std::memory_order_relaxed);
  if (rt->monitor_asleep.load(std::memory_order_relaxed)) wake_monitor(rt);
}

// What assign() left for w, which holds idle_lock.
proc* take_given(worker* w) noexcept {
  if (w->given_g != nullptr) w->picked = std::exchange(w->given_g, nullptr);
  return std::exchange(w->given, nullptr);
}

bool nobody_runs(const runtime_state* rt) noexcept {
  return rt->idle_procs.load(std::memory_order_relaxed) >= static_cast<std::uint32_t>(rt->procs.load(std::memory_order_relaxed));
}

// Sleeps in the poller until a deadline, an event or an interruption; fills `list` with what became
// ready.
void poll_sleep(runtime_state* rt, goroutine_list& list) noexcept {
  std::int64_t until = next_deadline(rt);
  rt->poll_until.store(until, std::memory_order_relaxed);
  heavy_barrier();  // pairs with note_deadline()
  until = std::min(until, next_deadline(rt));
  std::int64_t timeout = -1;
  if (until != detail::never) timeout = std::max<std::int64_t>(0, until - clock_of(rt));
  rt->io.wait(timeout, list);
  send_home(rt, list);
  rt->last_poll.fetch_add(1, std::memory_order_relaxed);
  rt->poll_until.store(no_sleeper, std::memory_order_relaxed);
}

void forget_idle_worker(runtime_state* rt, worker* w) noexcept {
  for (worker** at = &rt->idle_worker_list; *at != nullptr; at = &(*at)->next_idle)
    if (*at == w) {
      *at = w->next_idle;
      return;
    }
}

}  // namespace

void bind(worker* w, proc* p) noexcept {
  p->holder.store(w, std::memory_order_release);  // pairs with the monitor's acquire
  w->held.store(p, std::memory_order_relaxed);
  w->attention_word.fetch_and(~attention::no_proc, std::memory_order_relaxed);
}

void unbind(worker* w, proc* p) noexcept {
  w->handoff.lock();  // the monitor may be trying to take p and would put it back
  w->held.store(nullptr, std::memory_order_relaxed);
  p->holder.store(nullptr, std::memory_order_relaxed);
  w->attention_word.fetch_or(attention::no_proc, std::memory_order_relaxed);
  w->handoff.unlock();
}

proc* settled_proc(worker* w) noexcept {
  w->handoff.lock();
  proc* p = w->held.load(std::memory_order_relaxed);
  w->handoff.unlock();
  return p;
}

void no_stray(worker* w) noexcept {
  w->handoff.lock();
  const stray was = std::exchange(w->strays, stray::no);
  w->handoff.unlock();
  if (was == stray::computes) w->rt->hogs.fetch_sub(1, std::memory_order_relaxed);
  if (was != stray::no) w->rt->strays.fetch_sub(1, std::memory_order_relaxed);
}

proc* take_idle_proc(runtime_state* rt) noexcept {
  if (rt->idle_procs.load(std::memory_order_relaxed) == 0) return nullptr;
  rt->idle_lock.lock();
  proc* p = pop_idle(rt);
  rt->idle_lock.unlock();
  if (p != nullptr && rt->monitor_asleep.load(std::memory_order_relaxed)) wake_monitor(rt);
  return p;
}

bool work_anywhere(runtime_state* rt) noexcept {
  if (rt->inject.size() != 0) return true;
  const int n = rt->made_procs.load(std::memory_order_acquire);
  for (int i = 0; i < n; ++i)
    if (!rt->all_procs[i].load(std::memory_order_acquire)->queue.empty()) return true;
  return false;
}

std::int64_t next_deadline(runtime_state* rt) noexcept {
  std::int64_t first = rt->outside_timers.next();
  const int n = rt->made_procs.load(std::memory_order_acquire);
  for (int i = 0; i < n; ++i) first = std::min(first, rt->all_procs[i].load(std::memory_order_acquire)->timers.next());
  return first;
}

void note_deadline(runtime_state* rt, std::int64_t when) noexcept {
  light_barrier();  // pairs with poll_sleep()
  if (when >= rt->poll_until.load(std::memory_order_relaxed)) return;
  rt->idle_lock.lock();
  const bool asleep = rt->polling == poll_phase::sleeping;
  rt->idle_lock.unlock();
  if (asleep) rt->io.interrupt();
}

// While wake-ups prove futile most are skipped. Not when nobody runs at all, for then the monitor may
// sleep too: the pusher sees that all are idle, or the last one to go idle sees the work.
static bool skip_wake(runtime_state* rt) noexcept {
  const std::uint32_t left = rt->wake_skips.load(std::memory_order_relaxed);
  if (left == 0 || nobody_runs(rt)) return false;
  rt->wake_skips.store(left - 1, std::memory_order_relaxed);
  return true;
}

// What a worker did between being woken and running out of work tells whether it was worth it.
static void judge_wake(worker* w, bool trifles) noexcept {
  if (w->woken_at == 0) return;
  runtime_state* rt = w->rt;
  const std::uint64_t busy = w->work_began == 0 || trifles ? 0 : detail::cycles() - w->work_began;
  w->woken_at = w->work_began = 0;
  std::uint32_t penalty = rt->wake_penalty.load(std::memory_order_relaxed);
  penalty = busy < futile_cycles ? std::clamp(penalty * 2, 16u, 4096u) : busy < 4 * futile_cycles ? penalty / 2 : 0;
  rt->wake_penalty.store(penalty, std::memory_order_relaxed);
  rt->wake_skips.store(penalty, std::memory_order_relaxed);
}

void wake_worker(runtime_state* rt, bool urgent) noexcept {
  if (!urgent && skip_wake(rt)) return;
  for (;;) {
    std::uint32_t none = 0;
    if (!rt->spinning.compare_exchange_strong(none, 1, std::memory_order_acq_rel, std::memory_order_relaxed)) return;
    rt->idle_lock.lock();
    if (proc* p = rt->stopping.load(std::memory_order_relaxed) ? nullptr : pop_idle(rt)) {
      assign(rt, p, true);
      return;
    }
    rt->idle_lock.unlock();
    rt->spinning.fetch_sub(1, std::memory_order_relaxed);
    // A pusher may have trusted the spinner that there was not to be.
    heavy_barrier();
    if (rt->stopping.load(std::memory_order_relaxed) || rt->idle_procs.load(std::memory_order_relaxed) == 0 || !work_anywhere(rt)) return;
  }
}

void stop_spinning(worker* w) noexcept {
  w->spinning = false;
  w->work_began = detail::cycles();
  if (w->rt->spinning.fetch_sub(1, std::memory_order_acq_rel) != 1 || w->rt->idle_procs.load(std::memory_order_relaxed) == 0) return;
  heavy_barrier();  // pairs with maybe_wake(): a pusher may have trusted this spinner
  if (work_anywhere(w->rt)) maybe_wake(w->rt);
}

idle_result go_idle(worker* w, proc* p, bool declines) noexcept {
  runtime_state* rt = w->rt;
  judge_wake(w, declines);
  unbind(w, p);
  rt->idle_lock.lock();
  push_idle(rt, p);
  rt->idle_lock.unlock();
  if (w->spinning) {
    w->spinning = false;
    rt->spinning.fetch_sub(1, std::memory_order_relaxed);
  }
  heavy_barrier();  // pairs with maybe_wake()
  // The last one to go idle may not decline: somebody has to be awake while there is work.
  if ((!declines || nobody_runs(rt)) && work_anywhere(rt)) {
    if (proc* again = take_idle_proc(rt)) {
      bind(w, again);
      w->spinning = true;
      rt->spinning.fetch_add(1, std::memory_order_relaxed);
      return idle_result::has_proc;
    }
  }
  if (rt->draining.load(std::memory_order_acquire)) check_drained(rt);
  return idle_result::sleep;
}

bool sleep_for_proc(worker* w) noexcept {
  runtime_state* rt = w->rt;
  rt->idle_lock.lock();
  for (;;) {
    if (rt->stopping.load(std::memory_order_relaxed)) {
      rt->idle_lock.unlock();
      return false;
    }
    if (proc* p = take_given(w)) {
      rt->idle_lock.unlock();
      w->wake.store(0, std::memory_order_relaxed);
      if (w->spinning) w->woken_at = detail::cycles();
      bind(w, p);
      return true;
    }
    if (w->locked_g == nullptr && rt->polling == poll_phase::nobody) {
      rt->polling = poll_phase::sleeping;
      rt->poll_worker = w;
      rt->idle_lock.unlock();
      goroutine_list list;
      poll_sleep(rt, list);
      const bool due = next_deadline(rt) <= clock_of(rt);
      rt->idle_lock.lock();
      rt->polling = poll_phase::nobody;
      rt->poll_worker = nullptr;
      proc* p = take_given(w);
      if (p == nullptr && (list.head != nullptr || due)) {
        p = pop_idle(rt);
        if (p != nullptr) w->spinning = false;
      }
      if (p != nullptr) {
        rt->idle_lock.unlock();
        if (rt->monitor_asleep.load(std::memory_order_relaxed)) wake_monitor(rt);
        bind(w, p);
        make_ready(p, list);
        return true;
      }
      if (list.head != nullptr) {
        // Every processor is in use: whoever looks first takes them.
        rt->idle_lock.unlock();
        rt->inject.push(list);
        maybe_wake(rt);
        rt->idle_lock.lock();
      }
      if (due && rt->polling == poll_phase::nobody) {
        // Deadlines are due in heaps whose workers are busy; they fire at their next look. Sleeping
        // in the poller until then would be a busy loop.
        w->next_idle = rt->idle_worker_list;
        rt->idle_worker_list = w;
        rt->idle_lock.unlock();
        sys::futex_wait(w->wake, 0, nullptr);
        rt->idle_lock.lock();
        forget_idle_worker(rt, w);
        w->wake.store(0, std::memory_order_relaxed);
      }
      continue;
    }
    if (w->locked_g == nullptr) {
      w->next_idle = rt->idle_worker_list;
      rt->idle_worker_list = w;
    }
    rt->idle_lock.unlock();
    sys::futex_wait(w->wake, 0, nullptr);
    rt->idle_lock.lock();
    if (w->given == nullptr && w->locked_g == nullptr) forget_idle_worker(rt, w);
    w->wake.store(0, std::memory_order_relaxed);
  }
}

void poll_now(runtime_state* rt, goroutine_list& list) noexcept {
  if (rt->io.waiters() == 0 || !rt->idle_lock.try_lock()) return;
  const bool mine = rt->polling == poll_phase::nobody;
  if (mine) rt->polling = poll_phase::interrupted;
  rt->idle_lock.unlock();
  if (!mine) return;
  rt->io.wait(0, list);
  rt->last_poll.fetch_add(1, std::memory_order_relaxed);
  rt->idle_lock.lock();
  rt->polling = poll_phase::nobody;
  rt->idle_lock.unlock();
  send_home(rt, list);
}

void ensure_poller(runtime_state* rt) noexcept {
  rt->idle_lock.lock();
  const bool wanted = rt->polling == poll_phase::nobody && !rt->stopping.load(std::memory_order_relaxed) &&
                      (next_deadline(rt) != detail::never || rt->io.waiters() != 0);
  if (wanted) {
    if (worker* w = rt->idle_worker_list) {  // it takes itself off the list and polls
      w->wake.store(1, std::memory_order_release);
      sys::futex_wake(w->wake, 1);
    } else if (proc* p = pop_idle(rt)) {
      assign(rt, p, false);
      return;
    }
  }
  rt->idle_lock.unlock();
}

#if defined(SKEIN_FORCE_MIGRATION)
void hand_to_another(worker* w, proc* p, goroutine* g) noexcept {
  g->ran_on = nullptr;  // if there is no other thread it goes on here after all
  unbind(w, p);
  w->rt->idle_lock.lock();
  assign(w->rt, p, false, g);
}
#endif

void release_proc(proc* p) noexcept {
  runtime_state* rt = p->rt;
  if (has_local_work(p) || rt->inject.size() != 0) {
    rt->idle_lock.lock();
    assign(rt, p, false);
    return;
  }
  rt->idle_lock.lock();
  push_idle(rt, p);
  rt->idle_lock.unlock();
  heavy_barrier();  // pairs with maybe_wake()
  if (work_anywhere(rt)) wake_worker(rt, true);
  ensure_poller(rt);
  if (rt->draining.load(std::memory_order_acquire)) check_drained(rt);
}

void retire_if_asked(worker* w, proc* p) noexcept {
  runtime_state* rt = w->rt;
  goroutine_list rest;
  while (p->batch.left() != 0) rest.push(p->batch.pop());
  while (goroutine* g = p->queue.pop()) rest.push(g);
  if (goroutine* g = p->lifo.exchange(nullptr, std::memory_order_relaxed)) rest.push(g);
  unbind(w, p);
  if (w->spinning) {
    w->spinning = false;
    rt->spinning.fetch_sub(1, std::memory_order_relaxed);
  }
  rt->idle_lock.lock();
  if (p->retired.load(std::memory_order_relaxed))
    p->out = true;
  else
    push_idle(rt, p);  // wanted again meanwhile
  rt->idle_lock.unlock();
  rt->inject.push(rest);
  maybe_wake(rt);
}

}  // namespace skein::inline SKEIN_ABI::sched
