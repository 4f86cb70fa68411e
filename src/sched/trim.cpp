// Giving memory back: pages that a stack has needed once and does not need now (G7).
//
// The monitor goes round in small steps, each of which keeps it for some 100 us at most:
//
//   phase   what it does to each goroutine that is parked              hold
//   mark    remembers it                                               0 -> seen, by CAS
//   grace   waits for half a second, and until no worker is left that
//           may have read a hold of 0 before the mark was to be seen
//   trim    gives the pages below its stack pointer back               seen -> trimming -> trimmed
//   pool    the same for stacks that nobody has used for a round
//
// A worker that is about to run a goroutine reads its hold. Zero: it may switch, and its store of
// on_cpu wipes out a mark it did not see. Anything else sends it to the scheduler loop, which takes
// the marks off by CAS (unmark), so that either the worker or the monitor gets the goroutine. What
// remains is a worker between its read of zero and its store, for as long as the kernel likes. It
// stands inside enter() and leave() with a processor. So the monitor, after a heavy_barrier() that
// makes its marks visible, waits until each processor was seen without a holder, or with one outside
// the runtime, or two switches on; then a second heavy_barrier() makes the stores of those workers
// visible to it. A goroutine that still is `seen` has not run since it was marked.
//
// A goroutine that has been trimmed is left alone until it has run again. A round begins only when
// something has parked since the last one; a process at rest is not woken for this.
#include "sched/trim.hpp"

#include <sched.h>

#include <utility>

#include "sched/sched.hpp"
#include "sched/stack_report.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

constexpr std::int64_t tick_ns = 1'000'000;
constexpr int chunks_marked = 16;               // per step; 8,000 goroutines
constexpr int chunks_trimmed = 1;
constexpr int stacks_released = 256;

constexpr std::uint8_t marks = goroutine::seen | goroutine::trimming | goroutine::trimmed;

// Stacks that wait in the caches of processors that nobody holds go to the pool, where they age.
void empty_idle_caches(runtime_state* rt) noexcept {
  arch::stack* lists[max_procs];
  int n = 0;
  const auto take = [&](proc* p) {
    if (p->stacks != nullptr) lists[n++] = std::exchange(p->stacks, nullptr);
    p->stack_count = 0;
  };
  rt->idle_lock.lock();
  for (proc* p = rt->idle_proc_list; p != nullptr; p = p->next_idle) take(p);
  for (int i = rt->made_procs.load(std::memory_order_acquire) - 1; i >= 0; --i)
    if (proc* p = rt->all_procs[i].load(std::memory_order_acquire); p->out) take(p);
  rt->idle_lock.unlock();
  for (int i = 0; i < n; ++i) rt->stacks.put(lists[i]->cls, lists[i]);
}

}  // namespace

constinit atomic<std::int64_t> trim_pause_ns{400'000'000};

void unmark(goroutine* g) noexcept {
  std::uint8_t h = g->hold.load(std::memory_order_relaxed);
  while ((h & marks) != 0) {
    if ((h & goroutine::trimming) != 0) {
      ::sched_yield();
      h = g->hold.load(std::memory_order_relaxed);
    } else if (g->hold.compare_exchange_weak(h, h & static_cast<std::uint8_t>(~marks), std::memory_order_acquire,
                                             std::memory_order_relaxed)) {  // pairs with flush()
      return;
    }
  }
}

std::uint64_t trimmer::activity() const noexcept {
  std::uint64_t n = rt_->parks.load(std::memory_order_relaxed) + rt_->ended.load(std::memory_order_relaxed);
  for (int i = rt_->made_procs.load(std::memory_order_acquire) - 1; i >= 0; --i) {
    const proc* p = rt_->all_procs[i].load(std::memory_order_acquire);
    n += p->parks.load(std::memory_order_relaxed) + p->ended.load(std::memory_order_relaxed);
  }
  return n;
}

void trimmer::mark(goroutine& g) noexcept {
  if (g.hold.load(std::memory_order_relaxed) != 0 || !detail::is_parked(g)) return;
  std::uint8_t none = 0;
  // acquire: its registers are saved (release_held)
  marked_ |= g.hold.compare_exchange_strong(none, goroutine::seen, std::memory_order_acquire, std::memory_order_relaxed);
}

void trimmer::remember_procs() noexcept {
  for (int i = rt_->made_procs.load(std::memory_order_acquire) - 1; i >= 0; --i) {
    switches_[i] = rt_->all_procs[i].load(std::memory_order_acquire)->switches.load(std::memory_order_relaxed);
    passed_[i] = false;
  }
}

// Processors made since the marks were set have had no worker that could have missed them: whatever is
// said of them is right.
bool trimmer::all_passed() noexcept {
  bool all = true;
  for (int i = rt_->made_procs.load(std::memory_order_acquire) - 1; i >= 0; --i) {
    if (passed_[i]) continue;
    const proc* p = rt_->all_procs[i].load(std::memory_order_acquire);
    const worker* w = p->holder.load(std::memory_order_acquire);
    passed_[i] = w == nullptr || w->in_runtime.load(std::memory_order_acquire) == 0 ||
                 p->switches.load(std::memory_order_relaxed) - switches_[i] >= 2;
    all = all && passed_[i];
  }
  return all;
}

void trimmer::trim(goroutine& g) noexcept {
  if (g.hold.load(std::memory_order_relaxed) != goroutine::seen) return;
  std::uint8_t expected = goroutine::seen;
  if (!g.hold.compare_exchange_strong(expected, goroutine::trimming, std::memory_order_acquire, std::memory_order_relaxed)) return;
  // Its stack, or the big one on which it is (on_system_stack).
  const arch::stack* s = rt_->stacks.find(g.ctx.sp);
  if (s != nullptr && stacks_watched()) note_depth(g, *s, false);
  const iovec pages = s != nullptr ? arch::below(*s, g.ctx.sp) : iovec{nullptr, 0};
  if (pages.iov_len == 0) {
    g.hold.store(goroutine::trimmed, std::memory_order_release);
    return;
  }
  taken_[count_] = &g;
  pages_[count_++] = pages;
  if (count_ == batch) flush();
}

void trimmer::flush() noexcept {
  if (count_ == 0) return;
  sys::give_back(pages_, count_);
  for (int i = 0; i < count_; ++i) taken_[i]->hold.store(goroutine::trimmed, std::memory_order_release);  // pairs with unmark()
  count_ = 0;
}

std::int64_t trimmer::step(std::int64_t now) noexcept {
  switch (phase_) {
    case phase::rest: {
      if (now < next_) return next_;
      const std::uint64_t active = activity();
      if (active == seen_activity_ && settled_) return detail::never;
      seen_activity_ = active;
      at_ = rt_->slab.first_chunk();
      marked_ = false;
      phase_ = phase::mark;
      break;
    }
    case phase::mark:
      at_ = rt_->slab.walk(at_, chunks_marked, [this](goroutine& g, std::size_t) { mark(g); });
      if (at_ != nullptr) break;
      heavy_barrier();
      remember_procs();
      next_ = now + trim_pause_ns.load(std::memory_order_relaxed);
      phase_ = phase::grace;
      break;
    case phase::grace:
      if (!all_passed()) break;
      if (now < next_) return next_;
      heavy_barrier();
      at_ = rt_->slab.first_chunk();
      phase_ = phase::trim;
      break;
    case phase::trim:
      at_ = rt_->slab.walk(at_, chunks_trimmed, [this](goroutine& g, std::size_t) { trim(g); });
      flush();
      if (at_ != nullptr) break;
      empty_idle_caches(rt_);
      phase_ = phase::pool;
      break;
    case phase::pool:
      if (rt_->stacks.release(stacks_released) != 0) break;
      settled_ = !rt_->stacks.age() && !marked_;
      next_ = now + trim_pause_ns.load(std::memory_order_relaxed);
      phase_ = phase::rest;
      return next_;
  }
  return now + tick_ns;
}

}  // namespace skein::inline SKEIN_ABI::sched
