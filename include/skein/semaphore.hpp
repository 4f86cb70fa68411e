// Semaphore: hands out a fixed weight in pieces (Go: golang.org/x/sync/semaphore, Weighted).
//
//   skein::semaphore memory(512);                       // MiB
//   memory.acquire(64);
//   encode(picture);
//   memory.release(64);
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/wait_queue.hpp"

namespace skein::inline SKEIN_ABI {

// semaphore: a weight of `size`, of which goroutines and threads acquire and release parts. Any of
// them may release what another has acquired. Uncontended acquire and release are one atomic
// operation each.
//
// Strictly FIFO: nobody passes one who waits, however little he asks for, so large requests do not
// starve; once a large request gives up, those behind it that fit now are served. An acquire of
// nothing waits its turn like the others.
//
// What happens before a release is seen after the acquire that it makes possible. Negative weights
// and a negative size throw misuse.
class semaphore {
 public:
  explicit semaphore(std::ptrdiff_t size);
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;
  ~semaphore() { waiters_.settle(); }

  // acquire() blocks until n is to be had. More than the size never is: misuse.
  void acquire(std::ptrdiff_t n = 1);
  // try_acquire() does not wait: false if n is not free, or others wait.
  [[nodiscard]] bool try_acquire(std::ptrdiff_t n = 1);
  // release() gives n back and serves those who wait. Throws misuse, changing nothing, if less than n
  // is acquired.
  void release(std::ptrdiff_t n = 1);

  // The limited forms return false, with nothing acquired, if time or ctx ends first. More than the
  // size is waited for in vain until then, in nobody's way; if ctx cannot end, that is misuse.
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> d, std::ptrdiff_t n = 1) {
    return acquire(n, detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur>
  [[nodiscard]] bool try_acquire_until(std::chrono::time_point<Clock, Dur> t, std::ptrdiff_t n = 1) {
    return acquire(n, detail::limit::until(detail::deadline_at(t)));
  }
  [[nodiscard]] bool acquire(const context& ctx, std::ptrdiff_t n = 1) {
    return acquire(n, detail::limit::by(ctx));
  }

  std::ptrdiff_t size() const noexcept { return size_; }

 private:
  bool take(std::ptrdiff_t n) noexcept;
  bool acquire(std::ptrdiff_t n, const detail::limit& l);
  bool acquire_slow(std::ptrdiff_t n, const detail::limit& l);
  std::ptrdiff_t freeze() noexcept;
  void serve(std::ptrdiff_t held) noexcept;

  const std::ptrdiff_t size_;
  detail::atomic<std::uint64_t> state_{0};  // what is acquired << 1 | somebody waits
  detail::wait_queue waiters_;
};

}  // namespace skein::inline SKEIN_ABI
