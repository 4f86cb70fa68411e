// The runtime's clock: monotonic, in nanoseconds, virtual inside a simulation.
#pragma once

#include <chrono>
#include <cmath>
#include <concepts>
#include <limits>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI {

using duration = std::chrono::nanoseconds;
using time_point = std::chrono::steady_clock::time_point;

// now() is the time that every deadline of skein is measured in: steady_clock's, or the virtual
// time of the simulation the caller runs in.
time_point now() noexcept;

namespace detail {

// saturate() converts any duration to nanoseconds; one out of range becomes the nearest end of it
// (about 292 years), and NaN becomes zero.
template <class Rep, class Period>
constexpr duration saturate(std::chrono::duration<Rep, Period> d) noexcept {
  if constexpr (std::is_floating_point_v<Rep>) {
    const long double ns = static_cast<long double>(d.count()) * Period::num / Period::den * 1e9L;
    if (!(ns == ns)) return duration::zero();
    if (ns >= static_cast<long double>(duration::max().count())) return duration::max();
    if (ns <= static_cast<long double>(duration::min().count())) return duration::min();
    return duration(static_cast<duration::rep>(ns));
  } else {
    __extension__ using wide = __int128;
    const wide ns = static_cast<wide>(d.count()) * Period::num * 1'000'000'000 / Period::den;
    if (ns > duration::max().count()) return duration::max();
    if (ns < duration::min().count()) return duration::min();
    return duration(static_cast<duration::rep>(ns));
  }
}

// deadline_after() is now() + d, held at the end of time instead of overflowing.
template <class Rep, class Period>
time_point deadline_after(std::chrono::duration<Rep, Period> d) noexcept {
  const duration wait = saturate(d);
  const time_point t = now();
  if (wait > duration::zero() && t.time_since_epoch() > duration::max() - wait) return time_point::max();
  if (wait < duration::zero()) return time_point::min();  // over is over, however long ago
  return t + wait;
}

template <class Clock, class Dur>
time_point deadline_at(std::chrono::time_point<Clock, Dur> t) noexcept {
  if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
    return time_point(saturate(t.time_since_epoch()));
  } else {
    const duration to = saturate(t.time_since_epoch());
    const duration from = saturate(Clock::now().time_since_epoch());
    if (from > duration::zero() && to < duration::min() + from) return time_point::min();
    if (from < duration::zero() && to > duration::max() + from) return time_point::max();
    return deadline_after(to - from);
  }
}

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
