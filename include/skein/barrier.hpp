// Barrier: lets a group go on together, phase after phase (std::barrier; Go has none).
//
//   skein::barrier step(workers, [&]() noexcept { swap(now, next); });
//   for (int k = 0; k < workers; ++k)
//     wg.go([&, k] { for (int t = 0; t < steps; ++t) { compute(k); step.arrive_and_wait(); } });
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/wait_queue.hpp"

namespace skein::inline SKEIN_ABI {

namespace detail {

class barrier_core {
 public:
  explicit barrier_core(std::ptrdiff_t expected);
  barrier_core(const barrier_core&) = delete;
  barrier_core& operator=(const barrier_core&) = delete;
  ~barrier_core() { waiters_.settle(); }

  struct arrival {
    std::uint64_t phase;
    bool last;  // the caller runs the completion and then begin_next()
  };
  arrival arrive(std::ptrdiff_t n, std::ptrdiff_t drop);
  void begin_next() noexcept;
  bool wait(std::uint64_t phase, const limit& l);

 private:
  atomic<std::uint64_t> phase_{0};
  std::ptrdiff_t expected_;  // in each phase from the next on; under the lock of waiters_
  std::ptrdiff_t left_;      // to arrive in this phase; the same
  wait_queue waiters_;
};

struct nothing_to_complete {
  void operator()() const noexcept {}
};

}  // namespace detail

// barrier has std::barrier's interface, and forms with a time limit or a context. Goroutines and
// threads may use it alike. A phase ends when `expected` arrivals have been counted: the last one to
// arrive calls the completion, which must not throw, then everybody who waits goes on and the next
// phase begins. The completion may park. What happens before an arrival is seen by the completion,
// and what the completion does by all that wait.
//
// An arrival cannot be taken back: the others may have gone on because of it. So only the wait for
// the end of a phase can be given up, and arrive_and_wait() has no limited form.
template <class Completion = detail::nothing_to_complete> class barrier {
  static_assert(std::is_nothrow_invocable_v<Completion&>, "the completion of a barrier must be noexcept");

 public:
  // arrival_token names a phase. It stays good for waiting any number of times, at once when the
  // phase is over.
  class arrival_token {
    friend barrier;
    explicit arrival_token(std::uint64_t phase) noexcept : phase_(phase) {}
    std::uint64_t phase_;
  };

  // Throws misuse if expected is negative.
  explicit barrier(std::ptrdiff_t expected, Completion f = Completion())
      : core_(expected), completion_(std::move(f)) {}

  static constexpr std::ptrdiff_t max() noexcept { return std::numeric_limits<std::ptrdiff_t>::max(); }

  // arrive() counts n arrivals and does not wait, but for the completion if they are the last. Throws
  // misuse, changing nothing, unless 1 <= n <= what is missing in this phase.
  [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) { return count(n, 0); }
  // arrive_and_drop() arrives, and is not expected in the phases after this one.
  void arrive_and_drop() { count(1, 1); }

  // wait() blocks until the token's phase is over. The timed and context forms return false if it is
  // not by then; the arrival stands, and one may wait again.
  void wait(const arrival_token& t) { core_.wait(t.phase_, detail::limit::forever()); }
  template <class Rep, class Period>
  bool wait_for(const arrival_token& t, std::chrono::duration<Rep, Period> d) {
    return core_.wait(t.phase_, detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur>
  bool wait_until(const arrival_token& t, std::chrono::time_point<Clock, Dur> when) {
    return core_.wait(t.phase_, detail::limit::until(detail::deadline_at(when)));
  }
  bool wait(const arrival_token& t, const context& ctx) {
    return core_.wait(t.phase_, detail::limit::by(ctx));
  }

  void arrive_and_wait() { wait(arrive()); }

 private:
  arrival_token count(std::ptrdiff_t n, std::ptrdiff_t drop) {
    const auto a = core_.arrive(n, drop);
    if (a.last) {
      completion_();
      core_.begin_next();
    }
    return arrival_token(a.phase);
  }

  detail::barrier_core core_;
  [[no_unique_address]] Completion completion_;
};

}  // namespace skein::inline SKEIN_ABI
