// The poller: tells which waits for file descriptors are over. It knows no scheduling; like the
// timers it collects goroutines for its caller.
//
// Contract of a backend
//   arm()        one-shot: the wait fires at most once, when its descriptor is ready or broken.
//                0, or -errno: EPERM for a file that is always ready, EEXIST when another wait of
//                the same direction is armed.
//   disarm()     afterwards the wait does not fire any more. True if it was still armed.
//   wait()       blocks up to timeout_ns (< 0: for ever, 0: not), fires what is ready. One caller
//                at a time.
//   interrupt()  makes the current or next wait() return. Any thread.
// Here: epoll with EPOLLONESHOT. An event names the descriptor and the arming it belongs to, so an
// event left over from a closed descriptor never reaches the next file of the same number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "parts/run_queue.hpp"
#include "skein/detail/fd_event.hpp"

namespace skein::inline SKEIN_ABI::detail {

struct fd_wait {
  // Called under the poller's lock; may claim a wait and collect goroutines.
  void (*fire)(fd_wait* self, goroutine_list& ready) noexcept;
  int fd = -1;
  fd_event event{};
  atomic<class poller*> home{nullptr};  // while armed; null also once that poller is gone
};

class poller {
 public:
  poller() noexcept = default;
  ~poller();
  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  int open() noexcept;
  void close() noexcept;
  int arm(fd_wait* w) noexcept;
  bool disarm(fd_wait* w) noexcept;
  std::size_t wait(std::int64_t timeout_ns, goroutine_list& ready) noexcept;
  void interrupt() noexcept;
  std::size_t waiters() const noexcept { return waiters_.load(std::memory_order_relaxed); }

 private:
  struct record {
    fd_wait* by[2];  // by direction
    std::uint32_t arming;
    bool registered;
  };

  record* find(int fd) noexcept;
  int update(int fd, record& r) noexcept;

  int epoll_ = -1;
  int wake_ = -1;
  spin_lock lock_;
  record* records_ = nullptr;  // by descriptor; all below under lock_
  std::size_t size_ = 0;
  atomic<std::size_t> waiters_{0};
};

}  // namespace skein::inline SKEIN_ABI::detail
