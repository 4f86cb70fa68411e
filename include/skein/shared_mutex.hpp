// Shared mutex: one writer or any number of readers (Go: sync.RWMutex).
//
//   skein::shared_mutex m;
//   { std::shared_lock hold(m); show(table); }
//   { std::unique_lock hold(m); table.insert(entry); }
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/read_slots.hpp"
#include "skein/detail/wait_queue.hpp"

namespace skein::inline SKEIN_ABI {

namespace prim {
class wake_list;
}

// shared_mutex has the interface of std::shared_timed_mutex, so shared_lock, unique_lock and
// scoped_lock work, and forms with a context. Usable from goroutines and threads; a goroutine may
// hold it while it parks, and another goroutine may unlock it. Not recursive, not even for readers:
// a second lock_shared() waits for a writer that waits for the first.
//
// A writer that waits goes before readers that come after it; readers that wait for a writer all go
// before the next writer. So neither side starves. Writers are served in FIFO order.
//
// Uncontended, each call costs one atomic operation. A lock that is read a thousand times without a
// write lets the readers of each processor count in a cache line of their own, with plain stores:
// they do not disturb each other, and the next writer pays for it with a system call (about a
// microsecond). That may take 64 bytes of memory for each processor; it works without them.
class shared_mutex {
 public:
  shared_mutex() noexcept = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;
  ~shared_mutex();

  // For a writer. unlock() throws misuse if no writer holds the mutex.
  void lock();
  bool try_lock();
  void unlock();
  template <class Rep, class Period> bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    return lock(detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur> bool try_lock_until(std::chrono::time_point<Clock, Dur> t) {
    return lock(detail::limit::until(detail::deadline_at(t)));
  }
  // lock(ctx): false, without the lock, if ctx ends first. Readers that came after the writer do not
  // wait any longer then.
  [[nodiscard]] bool lock(const context& ctx) { return lock(detail::limit::by(ctx)); }

  // For a reader. unlock_shared() throws misuse if no reader holds the mutex.
  void lock_shared();
  bool try_lock_shared();
  void unlock_shared();
  template <class Rep, class Period>
  bool try_lock_shared_for(std::chrono::duration<Rep, Period> d) {
    return lock_shared(detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur>
  bool try_lock_shared_until(std::chrono::time_point<Clock, Dur> t) {
    return lock_shared(detail::limit::until(detail::deadline_at(t)));
  }
  [[nodiscard]] bool lock_shared(const context& ctx) {
    return lock_shared(detail::limit::by(ctx));
  }

 private:
  // What the private functions do stands above them, in the source.
  bool lock(const detail::limit& l);
  bool lock_shared(const detail::limit& l);
  bool lock_fast() noexcept;
  bool lock_shared_fast(sched::worker* w) noexcept;
  bool lock_shared_here() noexcept;
  bool lock_slow(const detail::limit& l);
  bool lock_shared_slow(const detail::limit& l);
  void wait_shared();
  void turn_back(detail::read_slot& slot) noexcept;
  void unlock_shared_late(detail::read_slot& slot) noexcept;
  void unlock_shared_here();
  void unlock_shared_slow();

  std::uint64_t freeze() noexcept;
  void thaw(std::uint64_t s) noexcept;
  std::uint64_t admit(std::uint64_t s, prim::wake_list& woken) noexcept;
  std::uint64_t advance(std::uint64_t s, bool readers_first, prim::wake_list& woken) noexcept;
  void settle() noexcept;

  void balance(detail::read_slot& slot, prim::wake_list& woken) noexcept;
  std::uint64_t revoke(std::uint64_t s) noexcept;
  void spread() noexcept;

  detail::atomic<std::uint64_t> state_{0};
  detail::read_slots slots_;
  detail::wait_queue writers_;
  detail::wait_list readers_;  // under the lock of writers_
};

}  // namespace skein::inline SKEIN_ABI
