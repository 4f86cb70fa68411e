// Mutex: mutual exclusion that parks the goroutine, not the thread (Go: sync.Mutex).
//
//   skein::mutex m;
//   { std::lock_guard hold(m); balance += amount; }
#pragma once

#include <chrono>
#include <mutex>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/wait_queue.hpp"

namespace skein::inline SKEIN_ABI {

// mutex meets the standard's TimedLockable, so lock_guard, unique_lock and scoped_lock work as with
// std::mutex. Usable from goroutines and threads; a goroutine may hold it while it parks, and
// another goroutine may unlock it, as in Go. Not recursive. Uncontended lock and unlock are one
// atomic operation each.
//
// Waiters are served in FIFO order, but a running goroutine may take the lock before one that has
// just been woken. Once that has happened to a waiter for a millisecond the lock is handed over in
// order until the queue is empty (Go's starvation mode).
class mutex {
 public:
  mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() { waiters_.settle(); }

  void lock();
  bool try_lock() noexcept;
  // unlock() throws misuse if the mutex is not locked.
  void unlock();

  template <class Rep, class Period> bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    return lock(detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur> bool try_lock_until(std::chrono::time_point<Clock, Dur> t) {
    return lock(detail::limit::until(detail::deadline_at(t)));
  }
  // lock(ctx): false, without the lock, if ctx ends first.
  [[nodiscard]] bool lock(const context& ctx) { return lock(detail::limit::by(ctx)); }

 private:
  friend class condition_variable;
  bool lock(const detail::limit& l);
  bool take_free() noexcept;
  bool lock_slow(const detail::limit& l);
  void unlock_now();
  void unlock_simulated();
  void unlock_to_wait();  // with the caller in a queue already: no point of a simulation
  void unlock_slow();
  void give_up();
  void settle_queue();
  void clear_if_empty() noexcept;

  detail::atomic<std::uint32_t> state_{0};
  bool woken_ = false;  // under waiters_: somebody has been woken and has not tried yet
  detail::wait_queue waiters_;
};

}  // namespace skein::inline SKEIN_ABI
