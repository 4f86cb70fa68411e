// Rate limiter: a token bucket (Go: x/time/rate).
//
//   skein::rate_limiter gate(skein::every(100ms), 5);   // 10 a second, bursts of 5
//   for (auto& r : requests)
//     if (gate.wait(ctx)) serve(r);                     // in time, or false when ctx ends
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>

#include "skein/context.hpp"
#include "skein/detail/atomic.hpp"
#include "skein/time.hpp"

namespace skein::inline SKEIN_ABI {

// Limits are events per second. every(d) is one event every d; no limit if d <= 0.
inline constexpr double unlimited = std::numeric_limits<double>::infinity();
template <class Rep, class Period>
constexpr double every(std::chrono::duration<Rep, Period> d) noexcept {
  const duration interval = detail::saturate(d);
  return interval > duration::zero() ? 1e9 / static_cast<double>(interval.count()) : unlimited;
}

// rate_limiter: a bucket of `burst` tokens, full at first, into which `limit` tokens flow per second; an
// event takes a token. With an unlimited rate everything is allowed and the burst does not matter; a
// limit of 0 or less adds none. Time is skein's clock, virtual in a simulation; the forms that are given
// a moment serve callers with a clock of their own, which should not run backwards. All members may be
// called from any goroutine or thread; those but wait take a few dozen nanoseconds and never block.
class rate_limiter {
 public:
  // reservation: tokens taken in advance. Its limiter must live as long.
  class reservation {
   public:
    // ok() is false if the tokens can never be had: more than the burst, or none are flowing.
    bool ok() const noexcept { return ok_; }
    // delay() is how long to wait before the event, duration::max() if it must not happen at all.
    duration delay() const noexcept { return delay_from(now()); }
    duration delay_from(time_point t) const noexcept;
    // cancel() gives the tokens back as far as later reservations have not built on them. Once the
    // event's time has come it does nothing, and neither does a second cancel().
    void cancel() noexcept { cancel_at(now()); }
    void cancel_at(time_point t) noexcept;

   private:
    friend class rate_limiter;
    rate_limiter* from_ = nullptr;
    bool ok_ = false;
    std::size_t tokens_ = 0;
    time_point act_{};
    double limit_ = 0;  // at the time of the reservation
  };

  rate_limiter(double limit, std::size_t burst) noexcept;
  rate_limiter(const rate_limiter&) = delete;
  rate_limiter& operator=(const rate_limiter&) = delete;

  double limit() const noexcept;
  std::size_t burst() const noexcept;
  // tokens() is what the bucket holds; below zero, what is owed to reservations.
  double tokens() const noexcept { return tokens_at(now()); }
  double tokens_at(time_point t) const noexcept;

  // set_limit(), set_burst() keep the tokens there are. Reservations made before keep their times.
  void set_limit(double limit) noexcept { set_limit_at(now(), limit); }
  void set_limit_at(time_point t, double limit) noexcept;
  void set_burst(std::size_t burst) noexcept { set_burst_at(now(), burst); }
  void set_burst_at(time_point t, std::size_t burst) noexcept;

  // allow() takes a token if there is one, for events that are dropped otherwise.
  bool allow() noexcept { return allow_n(1); }
  bool allow_n(std::size_t n) noexcept { return take(nullptr, n, nullptr).ok(); }
  bool allow_n(time_point t, std::size_t n) noexcept { return take(&t, n, nullptr).ok(); }

  // reserve() takes a token that may still have to flow: the caller waits for delay() itself.
  reservation reserve() noexcept { return reserve_n(1); }
  reservation reserve_n(std::size_t n) noexcept { return take(nullptr, n, &end_of_time); }
  reservation reserve_n(time_point t, std::size_t n) noexcept { return take(&t, n, &end_of_time); }

  // wait() parks the caller until it has a token, in the order of the calls. false, with no token taken,
  // if it can never have it; if it could not have it within the time or the context's deadline, which
  // is known at once; or if the context ends.
  [[nodiscard]] bool wait() { return wait_n(1); }
  [[nodiscard]] bool wait(const context& ctx) { return wait_n(ctx, 1); }
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) {
    return wait_n_for(1, d);
  }
  template <class Clock, class Dur>
  [[nodiscard]] bool wait_until(std::chrono::time_point<Clock, Dur> t) {
    return wait_n_until(1, t);
  }
  [[nodiscard]] bool wait_n(std::size_t n) { return wait_n(background(), n, end_of_time); }
  [[nodiscard]] bool wait_n(const context& ctx, std::size_t n) {
    return wait_n(ctx, n, ctx.deadline().value_or(end_of_time));
  }
  template <class Rep, class Period>
  [[nodiscard]] bool wait_n_for(std::size_t n, std::chrono::duration<Rep, Period> d) {
    return wait_n(background(), n, detail::deadline_after(d));
  }
  template <class Clock, class Dur>
  [[nodiscard]] bool wait_n_until(std::size_t n, std::chrono::time_point<Clock, Dur> t) {
    return wait_n(background(), n, detail::deadline_at(t));
  }

 private:
  static constexpr time_point end_of_time = time_point::max();
  reservation take(const time_point* at, std::size_t n, const time_point* latest) noexcept;
  bool wait_n(const context& ctx, std::size_t n, time_point latest);
  double advanced(time_point t) const noexcept;
  void settle(time_point t) noexcept;

  // All under lock_, which is held for a few dozen instructions.
  mutable detail::spin_lock lock_;
  double limit_;
  std::size_t burst_;
  double tokens_;  // at last_; negative: reserved beyond what there was
  time_point last_{};
  time_point newest_{};  // when the event of the newest reservation happens
};

}  // namespace skein::inline SKEIN_ABI
