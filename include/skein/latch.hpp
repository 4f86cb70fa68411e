// Latch: a gate that opens once, after so many have arrived (std::latch; Go uses a WaitGroup).
//
//   skein::latch loaded(2);
//   skein::go([&] { load_maps(); loaded.count_down(); });
//   skein::go([&] { load_sounds(); loaded.count_down(); });
//   loaded.wait();
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>

#include "skein/error.hpp"
#include "skein/wait_group.hpp"

namespace skein::inline SKEIN_ABI {

// latch has std::latch's interface, and forms with a time limit or a context. Goroutines and threads
// may use it alike. It counts down to zero and stays there. What happens before a count_down() is
// seen after the wait() that it releases.
class latch {
 public:
  // Throws misuse for a negative count and one above max().
  explicit latch(std::ptrdiff_t expected) { counter_.change(checked(expected), ""); }
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  static constexpr std::ptrdiff_t max() noexcept { return std::numeric_limits<int>::max(); }

  // count_down() does not wait. Throws misuse, changing nothing, for a negative n and one above what
  // is left to count.
  void count_down(std::ptrdiff_t n = 1) {
    counter_.change(-checked(n), "skein: a latch counted down below zero");
  }
  bool try_wait() const noexcept { return counter_.try_wait(); }

  // wait() blocks until the count is zero. The timed and context forms return false when it is not
  // zero by then; count_down() is not taken back.
  void wait() const { counter_.wait(); }
  template <class Rep, class Period> bool wait_for(std::chrono::duration<Rep, Period> d) const {
    return counter_.wait_for(d);
  }
  template <class Clock, class Dur> bool wait_until(std::chrono::time_point<Clock, Dur> t) const {
    return counter_.wait_until(t);
  }
  bool wait(const context& ctx) const { return counter_.wait(ctx); }

  void arrive_and_wait(std::ptrdiff_t n = 1) {
    count_down(n);
    wait();
  }

 private:
  static int checked(std::ptrdiff_t n) {
    if (n < 0 || n > max()) throw misuse("skein: a latch counts from 0 to 2^31 - 1");
    return static_cast<int>(n);
  }

  mutable wait_group counter_;
};

}  // namespace skein::inline SKEIN_ABI
