// Wait group, mutex, once.
#include "prim/limits.hpp"
#include "skein/mutex.hpp"
#include "skein/once.hpp"
#include "skein/wait_group.hpp"

namespace skein::inline SKEIN_ABI {

using detail::chan_status;
using prim::blocker;
using prim::wake_all;
using sched::status;

// wait_group
//
//   state_   counter << 32 | waiting
//   counter  changed by anyone; who brings it to zero and sees `waiting` releases the waiters
//   waiting  set under the queue's lock by a waiter that saw the counter above zero in the same CAS;
//            cleared, under the lock, by the one who releases
//
// A state of zero means that done() does not touch the object any more: a waiter that finds it may
// destroy the group at once. One that finds the counter at zero but `waiting` still set joins the
// queue, for whoever is about to release it.

void wait_group::change(int n, const char* below_zero) {
  constexpr std::uint64_t one = std::uint64_t{1} << 32;
  sched::worker* w = sched::current();
  if (w->attention_word.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    sched::attend(w, {n < 0 ? "wait_group.done" : "wait_group.add", this, __builtin_return_address(0)});
    if (n < 0) arch::edge_release(this);
  } else if (n < 0) {
    arch::unwatched_edges::release(this);
  }
  std::uint64_t before = state_.load(std::memory_order_relaxed);
  std::uint64_t after;
  do {
    const std::int64_t counter = static_cast<std::int64_t>(before >> 32) + n;
    if (counter < 0) throw misuse(below_zero);
    if (counter > 0x7fffffff) throw misuse("skein: wait_group counter overflow");
    after = (static_cast<std::uint64_t>(counter) * one) | (before & 1);
    // acq_rel: the one who reaches zero passes on what all the others did.
  } while (!state_.compare_exchange_weak(before, after, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (after != 1) return;
  waiters_.lock.lock();
  state_.fetch_and(~std::uint64_t{1}, std::memory_order_relaxed);
  wake_all(waiters_);
}

bool wait_group::try_wait() noexcept {
  sched::show("latch.try_wait", this);
  return is_zero();
}

bool wait_group::is_zero() noexcept {
  if (state_.load(std::memory_order_acquire) != 0) return false;
  arch::edge_acquire(this);
  return true;
}

bool wait_group::wait(const detail::limit& l) {
  sched::attend_if_asked("wait_group.wait", this);
  if (is_zero()) return true;
  blocker b(l, status::wait_group);
  chan_status result;
  if (!b.begin(result)) return false;
  waiters_.lock.lock();
  std::uint64_t s = state_.load(std::memory_order_acquire);
  while (s != 0 && (s & 1) == 0 &&
         !state_.compare_exchange_weak(s, s | 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
  }
  if (s == 0) {
    waiters_.lock.unlock();
    if (!b.withdraw()) return false;
  } else {
    b.link(waiters_);
    waiters_.lock.unlock();
    if (b.wait() != chan_status::done) return false;
  }
  arch::edge_acquire(this);
  return true;
}

// mutex
//
//   state_    meaning                              changed by
//   locked    somebody holds it                    lock: CAS; unlock: CAS, or under the queue's lock;
//                                                  hand-over keeps it
//   waiting   the queue is not empty               under the queue's lock
//   starving  hand over instead of letting those   under the queue's lock
//             who run compete
//
// A waiter that is woken competes again, standing at the front of the queue if it loses. woken_ keeps
// unlock() from waking a second one meanwhile.

namespace {
constexpr std::uint32_t locked = 1, waiting = 2, starving = 4;
constexpr std::int64_t patience_ns = 1'000'000;
}  // namespace

void mutex::lock() {
  sched::worker* w = sched::current();
  if (w->attention_word.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    sched::attend(w, {"mutex.lock", this, __builtin_return_address(0)});
    if (!take_free()) lock_slow(detail::limit::forever());
    arch::edge_acquire(this);
    return;
  }
  std::uint32_t free = 0;
  if (!state_.compare_exchange_strong(free, locked, std::memory_order_acquire, std::memory_order_relaxed)) [[unlikely]]
    lock_slow(detail::limit::forever());
  arch::unwatched_edges::acquire(this);
}

bool mutex::take_free() noexcept {
  std::uint32_t s = state_.load(std::memory_order_relaxed);
  if ((s & (locked | starving)) != 0) return false;
  return state_.compare_exchange_strong(s, s | locked, std::memory_order_acquire, std::memory_order_relaxed);
}

bool mutex::try_lock() noexcept {
  sched::show("mutex.try_lock", this);
  if (!take_free()) return false;
  arch::edge_acquire(this);
  return true;
}

bool mutex::lock(const detail::limit& l) {
  sched::attend_if_asked("mutex.lock", this);
  chan_status why;
  if (l.ctx != nullptr && prim::limit_guard::over({true, false, {}, l.ctx}, why)) return false;
  if (!take_free() && !lock_slow(l)) return false;
  arch::edge_acquire(this);
  return true;
}

SKEIN_ALWAYS_INLINE void mutex::unlock_now() {
  arch::unwatched_edges::release(this);
  std::uint32_t s = locked;
  if (state_.compare_exchange_strong(s, 0, std::memory_order_release, std::memory_order_relaxed)) [[likely]] return;
  if ((s & locked) == 0) throw misuse("skein: unlock of unlocked mutex");
  unlock_slow();
}

void mutex::unlock() {
  if (arch::any_simulation()) [[unlikely]] return unlock_simulated();
  unlock_now();
}

// Jumped to, so the caller is unlock()'s; to ask there who that is would cost unlock() a frame.
SKEIN_COLD void mutex::unlock_simulated() {
  sched::release_simulated("mutex.unlock", this, this, __builtin_return_address(0));
  unlock_now();
}

void mutex::unlock_to_wait() {
  if (arch::any_simulation()) [[unlikely]] arch::watch_edge(this, true);
  unlock_now();
}

bool mutex::lock_slow(const detail::limit& l) {
  std::int64_t since = 0;
  bool again = false;  // has been woken before
  for (;;) {
    blocker b(l, status::mutex);
    chan_status result;
    bool may_wait = false;
    try {
      may_wait = b.begin(result);
    } catch (...) {
      if (again) give_up();
      throw;
    }
    if (!may_wait) {
      if (again) give_up();
      return false;
    }
    waiters_.lock.lock();
    std::uint32_t s = state_.load(std::memory_order_relaxed);
    const bool impatient = since != 0 && sched::current_ns() - since > patience_ns;
    bool taken = false;
    for (;;) {
      // A starving mutex goes to its queue; one who has just been woken is its front.
      taken = (s & locked) == 0 && ((s & starving) == 0 || again);
      const std::uint32_t next = taken ? s | locked : s | waiting | (impatient ? starving : 0);
      if (state_.compare_exchange_weak(s, next, std::memory_order_acquire, std::memory_order_relaxed)) break;
    }
    if (again) woken_ = false;
    if (taken) {
      waiters_.lock.unlock();
      if (b.withdraw()) return true;
      unlock();
      return false;
    }
    b.link(waiters_, again);
    waiters_.lock.unlock();
    // From the first time it came too late: reading the clock costs as much as the rest of a short wait.
    if (again && since == 0) since = sched::current_ns();
    if (b.wait() != chan_status::done) {
      settle_queue();
      return false;
    }
    if (b.handed()) return true;
    again = true;
  }
}

// A waiter that was woken but may not wait any longer passes its turn on.
void mutex::give_up() {
  waiters_.lock.lock();
  woken_ = false;
  const bool free = (state_.load(std::memory_order_relaxed) & locked) == 0;
  detail::wait_node* n = nullptr;
  if (free && (n = detail::take_waiter(waiters_.list)) != nullptr) woken_ = true;
  clear_if_empty();
  waiters_.lock.unlock();
  if (n != nullptr) sched::wake(n->who);
}

// After a waiter has left the queue by itself.
void mutex::settle_queue() {
  waiters_.lock.lock();
  clear_if_empty();
  waiters_.lock.unlock();
}

void mutex::clear_if_empty() noexcept {
  if (waiters_.list.empty()) state_.fetch_and(~(waiting | starving), std::memory_order_relaxed);
}

void mutex::unlock_slow() {
  waiters_.lock.lock();
  const std::uint32_t s = state_.load(std::memory_order_relaxed);
  if ((s & starving) != 0) {
    if (detail::wait_node* n = detail::take_waiter(waiters_.list)) {
      n->ok = true;  // still locked: it is theirs now
      clear_if_empty();
      waiters_.lock.unlock();
      sched::wake(n->who);
      return;
    }
  }
  detail::wait_node* n = nullptr;
  if (!woken_ && (n = detail::take_waiter(waiters_.list)) != nullptr) woken_ = true;
  state_.fetch_and(~locked, std::memory_order_release);
  clear_if_empty();
  waiters_.lock.unlock();
  if (n != nullptr) sched::wake(n->who);
}

// once: see state_ in the header; 0 -> 1 by CAS, 1 -> done by the one who ran f, with release, under the
// queue's lock; read with acquire by those who do not take the lock.

once::turn once::begin(const detail::limit& l) {
  sched::attend_if_asked("once", this);
  std::uint32_t s = state_.load(std::memory_order_acquire);
  // Acquire is for the failure; g++ 12 warns of a success that has a weaker order.
  if (s == 0 && state_.compare_exchange_strong(s, 1, std::memory_order_acquire)) return turn::run;
  if (s < done_state) {
    blocker b(l, status::once);
    chan_status result;
    if (!b.begin(result)) return turn::gave_up;
    waiters_.lock.lock();
    bool met;
    if (state_.load(std::memory_order_relaxed) >= done_state) {
      waiters_.lock.unlock();
      met = b.withdraw();
    } else {
      b.link(waiters_);
      waiters_.lock.unlock();
      met = b.wait() == chan_status::done;
    }
    if (!met) return turn::gave_up;
  }
  arch::edge_acquire(this);
  return turn::ended;
}

void once::end() noexcept {
  sched::show_release("once.done", this, this);
  const std::uint32_t asked = sched::current()->attention_word.load(std::memory_order_relaxed);
  const bool simulated = (asked & sched::attention::simulated) != 0;
  waiters_.lock.lock();
  state_.store(simulated ? done_in_simulation : done_state, std::memory_order_release);
  wake_all(waiters_);
}

}  // namespace skein::inline SKEIN_ABI
