// The monitor: one thread per runtime that looks at the processors every millisecond while any of
// them is in use, and sleeps while all are idle. It
//   - takes a processor from a goroutine that has computed, or blocked its thread, for 10 ms while
//     work waits behind it (or at once when other processors are idle and could do that work);
//   - asks a chain of goroutines that has filled its time slice to give way;
//   - sees to timers and descriptors that no worker has looked at for a while;
//   - gives memory back that stacks do not need any more (trim.cpp);
//   - follows the cgroup's quota;
//   - wakes a worker if runnable work and an idle processor should ever meet without one;
//   - reports when everything sleeps for ever.
#include <algorithm>
#include <new>

#include "os/cpus.hpp"
#include "os/procfs.hpp"
#include "sched/sched.hpp"
#include "sched/trim.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

constexpr std::int64_t tick_ns = 1'000'000;
constexpr std::int64_t slice_ns = 10'000'000;
constexpr std::int64_t short_slice_ns = 4'000'000;  // when others wait who have not used up theirs
constexpr std::int64_t soon_ns = 1'000'000;
// How long at most until it asks again whether all are asleep: while a thread moves, and while threads that are
// not ours sleep. Nobody says when such a thread is gone.
constexpr std::int64_t most_unsure_ns = 100'000'000;
constexpr std::int64_t least_outside_ns = 50'000'000;
constexpr std::int64_t most_outside_ns = 10'000'000'000;

std::int64_t next_patience(verdict v, std::int64_t patience) noexcept {
  switch (v) {
    case verdict::unsure: return std::min(patience * 2, most_unsure_ns);
    case verdict::outside: return std::clamp(patience * 2, least_outside_ns, most_outside_ns);
    default: return tick_ns;
  }
}

// By count, which falls before assign() looks whether the monitor sleeps; and by holders, for a
// processor out of use is on no list while somebody still holds it.
bool all_idle(runtime_state* rt) noexcept {
  return rt->idle_procs.load(std::memory_order_acquire) >= static_cast<std::uint32_t>(rt->procs.load(std::memory_order_acquire)) &&
         nobody_holds(rt) && rt->strays.load(std::memory_order_acquire) == 0;
}

void sleep_on(runtime_state* rt, std::int64_t until) noexcept {
  timespec ts{static_cast<time_t>(until / 1'000'000'000), static_cast<long>(until % 1'000'000'000)};
  sys::futex_wait(rt->monitor_word, 0, until == detail::never ? nullptr : &ts);
  rt->monitor_word.store(0, std::memory_order_relaxed);
}

// Takes p from its worker if that is in user code; see state.hpp for the protocol.
bool take_away(runtime_state* rt, proc* p, stray why) noexcept {
  worker* w = p->holder.load(std::memory_order_acquire);
  if (w == nullptr || !w->handoff.try_lock()) return false;
  bool taken = false;
  if (w->held.load(std::memory_order_relaxed) == p) {
    w->held.store(nullptr, std::memory_order_relaxed);
    heavy_barrier();
    if (w->in_runtime.load(std::memory_order_acquire) != 0) {
      w->held.store(p, std::memory_order_relaxed);
    } else {
      taken = true;
      w->strays = why;
      rt->strays.fetch_add(1, std::memory_order_relaxed);
      if (why == stray::computes) rt->hogs.fetch_add(1, std::memory_order_relaxed);
      p->holder.store(nullptr, std::memory_order_relaxed);
      w->attention_word.fetch_or(attention::no_proc, std::memory_order_relaxed);
    }
  }
  w->handoff.unlock();
  if (taken) {
    rt->handoffs.fetch_add(1, std::memory_order_relaxed);
    release_proc(p);
  }
  return taken;
}

std::uint32_t most_hogs(runtime_state* rt) noexcept {
  if (rt->opt.max_hogs >= 0) return static_cast<std::uint32_t>(rt->opt.max_hogs);
  return static_cast<std::uint32_t>(std::max(8, 4 * rt->procs.load(std::memory_order_relaxed)));
}

void ask(proc* p, std::uint32_t what) noexcept {
  worker* w = p->holder.load(std::memory_order_acquire);
  if (w == nullptr || !w->handoff.try_lock()) return;
  if (w->held.load(std::memory_order_relaxed) == p) w->attention_word.fetch_or(what, std::memory_order_relaxed);
  w->handoff.unlock();
}

// The kernel tells whether a thread waits for something. One that it has preempted looks like one that
// computes, and is treated as such: after a slice without a switch the processor is better off
// elsewhere, and whoever lost it stands in line at its next entry. (Waiting until the thread has had a
// slice of CPU time doubled the waits behind it on a busy machine.)
bool blocks(const worker* w) noexcept {
  const char state = os::thread_state(w->tid.load(std::memory_order_relaxed));
  return state != 'R' && state != '\0';
}

void visit(runtime_state* rt, proc* p, std::int64_t now) noexcept {
  const worker* w = p->holder.load(std::memory_order_acquire);
  const std::uint64_t switches = p->switches.load(std::memory_order_relaxed);
  if (w == nullptr || switches != p->seen_switches) {
    // Moving. A chain in the LIFO slot may still keep the others waiting; looks bound that.
    p->seen_switches = switches;
    p->seen_since = now;
    if (w != nullptr && p->timers.next() <= now - tick_ns) ask(p, attention::look);
    return;
  }
  const std::int64_t still = now - p->seen_since;
  const bool waits_here = has_local_work(p) || p->timers.next() <= now;
  const bool others_idle = rt->idle_procs.load(std::memory_order_relaxed) != 0;
  const bool wanted = waits_here || (!others_idle && rt->inject.fresh() != 0);
  if (still >= (wanted ? short_slice_ns : slice_ns)) ask(p, attention::slice);
  const bool tired_wait = still >= slice_ns && !others_idle && rt->inject.tired() != 0;
  if ((!wanted && !tired_wait) || still < soon_ns) return;
  const std::uint32_t most = most_hogs(rt);
  if (most == 0) return;
  if (blocks(w))
    take_away(rt, p, stray::blocks);
  else if (still >= (others_idle ? soon_ns : slice_ns) && rt->hogs.load(std::memory_order_relaxed) < most)
    take_away(rt, p, stray::computes);
}

// The cgroup's quota may change while the program runs. Only where nobody has asked for a number.
void follow_quota(runtime_state* rt, std::int64_t now) noexcept {
  constexpr std::int64_t period_ns = 1'000'000'000;
  if (!rt->follows_quota.load(std::memory_order_relaxed) || now - rt->quota_read_at < period_ns) return;
  rt->quota_read_at = now;
  const int n = std::min(os::quota_cpus(), max_procs);
  if (n == 0 || n == rt->procs.load(std::memory_order_relaxed)) return;
  try {
    change_procs(rt, n);
  } catch (const std::bad_alloc&) {
    return;  // the next look tries again
  }
}

void poll_if_neglected(runtime_state* rt, std::uint32_t& seen) noexcept {
  const std::uint32_t polls = rt->last_poll.load(std::memory_order_relaxed);
  if (polls != seen || rt->io.waiters() == 0) {
    seen = polls;
    return;
  }
  goroutine_list list;
  poll_now(rt, list);
  seen = rt->last_poll.load(std::memory_order_relaxed);
  if (list.head == nullptr) return;
  rt->inject.push(list);
  maybe_wake(rt);
}

}  // namespace

bool nobody_holds(runtime_state* rt) noexcept {
  const int n = rt->made_procs.load(std::memory_order_acquire);
  for (int i = 0; i < n; ++i)
    if (rt->all_procs[i].load(std::memory_order_acquire)->holder.load(std::memory_order_acquire) != nullptr) return false;
  return true;
}

void wake_monitor(runtime_state* rt) noexcept {
  rt->monitor_word.store(1, std::memory_order_release);
  sys::futex_wake(rt->monitor_word, 1);
}

void run_monitor(runtime_state* rt) noexcept {
  std::uint32_t seen_polls = 0;
  int quiet = 0;
  std::int64_t patience = tick_ns;  // how long to wait before asking again whether all are asleep
  trimmer trim(rt);
  while (!rt->stopping.load(std::memory_order_acquire)) {
    sleep_on(rt, sys::monotonic_ns() + tick_ns);
    if (rt->stopping.load(std::memory_order_acquire)) return;
    const std::int64_t now = sys::monotonic_ns();
    const int n = rt->made_procs.load(std::memory_order_acquire);
    bool overdue = false;
    for (int i = 0; i < n; ++i) {
      proc* p = rt->all_procs[i].load(std::memory_order_acquire);
      visit(rt, p, now);
      overdue = overdue || p->timers.next() <= now - tick_ns;
    }
    poll_if_neglected(rt, seen_polls);
    follow_quota(rt, now);
    const std::int64_t trim_at = trim.step(now);
    ensure_poller(rt);
    if (rt->idle_procs.load(std::memory_order_relaxed) != 0 && (overdue || work_anywhere(rt))) wake_worker(rt, true);
    if (!all_idle(rt)) {
      quiet = 0;
      patience = tick_ns;
      continue;
    }
    // A few quiet ticks before going to sleep: programs that work in bursts should not pay for a
    // wake-up of the monitor each time.
    if (++quiet < 5) continue;
    const verdict v = report_if_all_asleep();
    const bool asks_again = v != verdict::awake;
    patience = next_patience(v, patience);
    rt->monitor_asleep.store(true, std::memory_order_relaxed);
    heavy_barrier();  // pairs with assign(), which reads monitor_asleep after it took a processor
    ensure_poller(rt);
    if (all_idle(rt) && !work_anywhere(rt) && !rt->stopping.load(std::memory_order_acquire))
      sleep_on(rt, std::min(trim_at, asks_again ? sys::monotonic_ns() + patience : detail::never));
    rt->monitor_asleep.store(false, std::memory_order_relaxed);
    quiet = asks_again ? quiet : 0;
  }
}

}  // namespace skein::inline SKEIN_ABI::sched
