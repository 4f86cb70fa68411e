// Condition variable: waits until somebody says that a condition may have changed (Go: sync.Cond).
//
//   skein::mutex m;
//   skein::condition_variable filled;
//   std::deque<job> jobs;
//   skein::go([&] { std::unique_lock hold(m); filled.wait(hold, [&] { return !jobs.empty(); }); run(jobs.front()); });
//   { std::lock_guard hold(m); jobs.push_back(next); }
//   filled.notify_one();
#pragma once

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <mutex>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/wait_queue.hpp"
#include "skein/mutex.hpp"

namespace skein::inline SKEIN_ABI {

using std::cv_status;

// condition_variable has std::condition_variable's interface, with skein::mutex for std::mutex, and
// forms with a context. Goroutines and threads may wait and notify.
//
// Each wait releases the lock and begins to wait in one step: a notify that comes after the lock was
// free finds the waiter. Waiters are notified in FIFO order. A waiter is either notified or gives up,
// never both, so no notify is spent on one that has given up. There are no spurious wake-ups, but as
// always the condition may have changed again before the waiter has the lock.
//
// However a wait ends it returns with the lock held; nothing interrupts that last step. A wait whose
// unique_lock does not own its mutex throws misuse. Code may destroy the object as soon as everybody
// who waits has been notified.
class condition_variable {
 public:
  condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;
  ~condition_variable() { waiters_.settle(); }

  // notify_one() wakes who has waited longest, notify_all() everybody (Go: Signal, Broadcast). With
  // or without the lock. What happens before a notify is seen after the wait that it ends.
  void notify_one();
  void notify_all();

  // wait() blocks until notified; with a predicate, until pred() holds. pred runs with the lock held.
  void wait(std::unique_lock<mutex>& lock) { wait(lock, detail::limit::forever()); }
  template <std::predicate P> void wait(std::unique_lock<mutex>& lock, P pred) {
    while (!pred()) wait(lock);
  }

  // The timed forms tell whether they were notified; with a predicate, what pred() says at the end.
  template <class Rep, class Period>
  cv_status wait_for(std::unique_lock<mutex>& lock, std::chrono::duration<Rep, Period> d) {
    return wait_until(lock, detail::deadline_after(d));
  }
  template <class Clock, class Dur>
  cv_status wait_until(std::unique_lock<mutex>& lock, std::chrono::time_point<Clock, Dur> t) {
    return wait(lock, detail::limit::until(detail::deadline_at(t))) ? cv_status::no_timeout : cv_status::timeout;
  }
  template <class Rep, class Period, std::predicate P>
  bool wait_for(std::unique_lock<mutex>& lock, std::chrono::duration<Rep, Period> d, P pred) {
    return wait(lock, detail::limit::until(detail::deadline_after(d)), pred);
  }
  template <class Clock, class Dur, std::predicate P>
  bool wait_until(std::unique_lock<mutex>& lock, std::chrono::time_point<Clock, Dur> t, P pred) {
    return wait(lock, detail::limit::until(detail::deadline_at(t)), pred);
  }

  // wait(lock, ctx): false if ctx ended first; with a predicate, what pred() says at the end.
  [[nodiscard]] bool wait(std::unique_lock<mutex>& lock, const context& ctx) {
    return wait(lock, detail::limit::by(ctx));
  }
  template <std::predicate P> bool wait(std::unique_lock<mutex>& lock, const context& ctx, P pred) {
    return wait(lock, detail::limit::by(ctx), pred);
  }

 private:
  bool wait(std::unique_lock<mutex>& lock, const detail::limit& l);  // true: notified
  template <class P> bool wait(std::unique_lock<mutex>& lock, const detail::limit& l, P& pred) {
    while (!pred())
      if (!wait(lock, l)) return pred();
    return true;
  }

  detail::wait_queue waiters_;
};

}  // namespace skein::inline SKEIN_ABI
