// Barrier.
//
//   phase_     changed by the one who was last, under the lock, after the completion; read by anyone
//   left_      changed under the lock. Zero: the last one has arrived, the phase is about to change,
//              and nobody may arrive
//   expected_  changed under the lock by those who drop out
//
// A waiter links itself under the lock if the phase is still its own, so whoever changes the phase
// finds it.
#include "skein/barrier.hpp"

#include "prim/limits.hpp"
#include "skein/error.hpp"

namespace skein::inline SKEIN_ABI::detail {

barrier_core::barrier_core(std::ptrdiff_t expected) : expected_(expected), left_(expected) {
  if (expected < 0) throw misuse("skein: a barrier that expects a negative number");
}

barrier_core::arrival barrier_core::arrive(std::ptrdiff_t n, std::ptrdiff_t drop) {
  sched::attend_if_asked("barrier.arrive", this);
  arch::edge_release(this);
  waiters_.lock.lock();
  const bool fits = n > 0 && n <= left_;
  if (fits) {
    left_ -= n;
    expected_ -= drop;
  }
  const arrival a{phase_.load(std::memory_order_relaxed), fits && left_ == 0};
  waiters_.lock.unlock();
  if (!fits) throw misuse("skein: arrivals at a barrier that does not expect them");
  if (a.last) arch::edge_acquire(this);
  return a;
}

void barrier_core::begin_next() noexcept {
  sched::show_release("barrier.next_phase", this, this);
  waiters_.lock.lock();
  left_ = expected_;
  // Release pairs with the acquire of a wait() that need not take the lock.
  phase_.store(phase_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  prim::wake_all(waiters_);
}

bool barrier_core::wait(std::uint64_t phase, const limit& l) {
  sched::attend_if_asked("barrier.wait", this);
  const auto over = [&] { return phase_.load(std::memory_order_acquire) != phase; };
  bool met = over();
  if (!met) {
    prim::blocker b(l, sched::status::barrier);
    chan_status result;
    if (!b.begin(result)) return false;
    waiters_.lock.lock();
    if (over()) {
      waiters_.lock.unlock();
      met = b.withdraw();
    } else {
      b.link(waiters_);
      waiters_.lock.unlock();
      met = b.wait() == chan_status::done;
    }
  }
  if (met) arch::edge_acquire(this);
  return met;
}

}  // namespace skein::inline SKEIN_ABI::detail
