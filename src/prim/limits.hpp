// How long a wait may take: its deadline and its context as sources of the waiter.
#pragma once

#include "prim/chan_core.hpp"
#include "sched/sched.hpp"

namespace skein::inline SKEIN_ABI::prim {

using detail::chan_status;
using detail::goroutine;
using detail::goroutine_list;
using detail::limit;
using detail::wait_node;
using sched::status;
using sched::waiter;
using sched::worker;

// The sources that a limit adds have indices that no list of cases reaches.
inline constexpr std::uint32_t timeout_index = 0xfffffff0;
inline constexpr std::uint32_t cancel_index = 0xfffffff1;

// limit_guard arms a limit on a waiter and takes it back. Between arm() and the end of the wait the
// waiter may be claimed by time or context at any moment, also before it has been linked anywhere:
// whoever finds its condition met claims the waiter itself first (rule 4 of sched/wait.hpp).
class limit_guard {
 public:
  limit_guard(waiter& w, const limit& l) noexcept : w_(w), l_(l) {}

  // over() tells whether the limit has been reached before the wait begins.
  static bool over(const limit& l, chan_status& why);
  bool needed() const noexcept { return l_.has_deadline || l_.ctx != nullptr; }
  void arm();
  void disarm() noexcept;

  // wait() blocks until the waiter is woken; it was published, and no lock is held.
  void wait(status why) noexcept;
  // consume() takes the wake-up of a waiter that was claimed before it slept.
  void consume(status why) noexcept;

 private:
  struct deadline_timer : detail::timer {
    waiter* who;
  };
  static std::int64_t fire(detail::timer* t, std::int64_t now, goroutine_list& ready) noexcept;

  waiter& w_;
  const limit& l_;
  deadline_timer timer_;
  detail::timers* heap_ = nullptr;
  wait_node node_;
  detail::chan_core* done_ = nullptr;
};

inline chan_status status_of(std::uint32_t winner) noexcept {
  return winner == timeout_index ? chan_status::timeout : winner == cancel_index ? chan_status::canceled : chan_status::done;
}

// blocker: a wait in one wait_queue.
//
//   blocker b(limit, status::mutex);
//   if (!b.begin(result)) return result;      // the limit is reached already
//   queue.lock.lock();
//   if (condition) { ...; queue.lock.unlock(); if (b.withdraw()) ... met ... else ... result() ... }
//   b.link(queue); queue.lock.unlock();
//   result = b.wait();                        // done: taken out of the queue and woken
class blocker {
 public:
  blocker(const limit& l, status why) noexcept : w_(sched::current_goroutine()), guard_(w_, l), l_(l), why_(why) {}

  bool begin(chan_status& result) {
    if (limit_guard::over(l_, result)) return false;
    if (guard_.needed()) guard_.arm();
    return true;
  }
  // withdraw() is for a condition that was met before the sleep: true if the wait is the caller's own
  // to end. If not, time or context were first: result() says which.
  bool withdraw() noexcept {
    if (!guard_.needed()) return true;
    const bool mine = w_.try_claim(0);
    if (!mine) guard_.consume(why_);
    guard_.disarm();
    return mine;
  }
  chan_status result() const noexcept { return status_of(w_.winner()); }
  // link() publishes the wait, with a word of the frame for those who serve it.
  void link(detail::spin_lock& lock, detail::wait_list& list, bool front = false, void* slot = nullptr) noexcept;
  void link(detail::wait_queue& q, bool front = false, void* slot = nullptr) noexcept {
    link(q.lock, q.list, front, slot);
  }
  chan_status wait() noexcept;
  bool handed() const noexcept { return node_.ok; }  // what the waker left in node.ok

 private:
  waiter w_;
  limit_guard guard_;
  const limit& l_;
  status why_;
  wait_node node_{};
};

// wake_list: waiters that were taken out of their lists under a lock and will be woken, in that order,
// after it is dropped.
class wake_list {
 public:
  void add(wait_node* n) noexcept {
    n->next = nullptr;
    (list_.tail != nullptr ? list_.tail->next : list_.head) = n;
    list_.tail = n;
  }
  void wake() noexcept;

 private:
  detail::wait_list list_;
};

// wake_all() takes everybody out of a queue and wakes them; the lock is held and dropped here. Those
// whose time or context ended first are skipped.
void wake_all(detail::wait_queue& q) noexcept;

// block_for_ever() is the wait that nothing ends.
[[noreturn]] void block_for_ever(status why) noexcept;

}  // namespace skein::inline SKEIN_ABI::prim
