// Time: sleeping, one-shot and repeating timers (Go: package time).
//
//   skein::sleep_for(10ms);
//   auto v = c.recv_for(1s);                         // most time-outs need no timer
//   skein::ticker t(100ms);
//   for (skein::time_point at : t.chan()) report(at);
#pragma once

#include <chrono>
#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "skein/chan.hpp"
#include "skein/time_point.hpp"

namespace skein::inline SKEIN_ABI {
namespace detail {

struct timer_core;
timer_core* timer_chan(time_point when, duration period);  // one reference, armed
chan_core* timer_channel(timer_core* t) noexcept;           // adds a reference to the channel
// Takes over f, which call() runs at each firing and destroy() ends; also when it throws.
timer_core* timer_func(time_point when, void* f, void (*call)(void*), void (*destroy)(void*) noexcept);
bool timer_stop(timer_core* t) noexcept;
bool timer_reset(timer_core* t, time_point when, duration period);
void timer_retain(timer_core* t) noexcept;
void timer_release(timer_core* t) noexcept;
bool sleep(const limit& l);  // true: until its time, false: its context ended first

}  // namespace detail

// sleep_for(), sleep_until() park the caller. A negative or zero time yields.
template <class Rep, class Period> void sleep_for(std::chrono::duration<Rep, Period> d) {
  detail::sleep(detail::limit::until(detail::deadline_after(d)));
}
template <class Clock, class Dur> void sleep_until(std::chrono::time_point<Clock, Dur> t) {
  detail::sleep(detail::limit::until(detail::deadline_at(t)));
}
// The context forms return false when ctx ends first, and at once when it has ended already.
template <class Rep, class Period>
bool sleep_for(const context& ctx, std::chrono::duration<Rep, Period> d) {
  return detail::sleep(detail::limit::by(ctx, detail::deadline_after(d)));
}
template <class Clock, class Dur>
bool sleep_until(const context& ctx, std::chrono::time_point<Clock, Dur> t) {
  return detail::sleep(detail::limit::by(ctx, detail::deadline_at(t)));
}

// timer: sends the time on chan() once, when d is over (Go: time.NewTimer).
//
// stop() returns true if it kept the timer from firing: exactly one of "stop returned true" and
// "the time was received" holds. After stop() or reset() no stale value is seen, as in Go since
// 1.23; so the channel has no buffer to look at: its size and capacity are 0. reset() says as
// stop() does whether the timer was still to fire. The timer is gone with the last handle to it or
// to its channel. All members may be called from any goroutine or thread.
class timer {
 public:
  template <class Rep, class Period>
  explicit timer(std::chrono::duration<Rep, Period> d)
      : core_(detail::timer_chan(detail::deadline_after(d), duration::zero())), chan_(detail::chan_handle(detail::timer_channel(core_))) {}
  timer(timer&& o) noexcept : core_(std::exchange(o.core_, nullptr)), chan_(std::move(o.chan_)) {}
  timer& operator=(timer&& o) noexcept {
    std::swap(core_, o.core_);
    std::swap(chan_, o.chan_);
    return *this;
  }
  ~timer() {
    if (core_ != nullptr) detail::timer_release(core_);
  }

  const receiver<time_point>& chan() const noexcept { return chan_; }
  bool stop() noexcept { return detail::timer_stop(core_); }
  template <class Rep, class Period> bool reset(std::chrono::duration<Rep, Period> d) {
    return detail::timer_reset(core_, detail::deadline_after(d), duration::zero());
  }

 private:
  detail::timer_core* core_;
  receiver<time_point> chan_;
};

// ticker: sends the time on chan() every d; a slow receiver misses ticks, it never meets a burst
// (Go: time.NewTicker). d <= 0 throws misuse. stop() does not close the channel.
class ticker {
 public:
  template <class Rep, class Period> explicit ticker(std::chrono::duration<Rep, Period> d) : ticker(check(detail::saturate(d))) {}
  ticker(ticker&& o) noexcept : core_(std::exchange(o.core_, nullptr)), chan_(std::move(o.chan_)) {}
  ticker& operator=(ticker&& o) noexcept {
    std::swap(core_, o.core_);
    std::swap(chan_, o.chan_);
    return *this;
  }
  ~ticker() {
    if (core_ != nullptr) detail::timer_release(core_);
  }

  const receiver<time_point>& chan() const noexcept { return chan_; }
  void stop() noexcept { detail::timer_stop(core_); }
  template <class Rep, class Period> void reset(std::chrono::duration<Rep, Period> d) {
    const duration p = check(detail::saturate(d)).every;
    detail::timer_reset(core_, detail::deadline_after(p), p);
  }

 private:
  struct period {
    duration every;
  };
  static period check(duration d) {
    if (d <= duration::zero()) throw misuse("skein: ticker with a period that is not positive");
    return {d};
  }
  explicit ticker(period p)
      : core_(detail::timer_chan(detail::deadline_after(p.every), p.every)), chan_(detail::chan_handle(detail::timer_channel(core_))) {}

  detail::timer_core* core_;
  receiver<time_point> chan_;
};

// after(d) is a channel that gives the time when d is over (Go: time.After). It is gone, timer and
// all, with its last handle: a select in a loop accumulates nothing.
template <class Rep, class Period> receiver<time_point> after(std::chrono::duration<Rep, Period> d) {
  return timer(d).chan();
}
// tick(d) is the channel of a ticker (Go: time.Tick).
template <class Rep, class Period> receiver<time_point> tick(std::chrono::duration<Rep, Period> d) {
  return ticker(d).chan();
}

// func_timer: the handle of after_func().
class func_timer {
 public:
  func_timer(func_timer&& o) noexcept : core_(std::exchange(o.core_, nullptr)) {}
  func_timer& operator=(func_timer&& o) noexcept {
    std::swap(core_, o.core_);
    return *this;
  }
  // The destructor does not stop the timer.
  ~func_timer() {
    if (core_ != nullptr) detail::timer_release(core_);
  }
  // stop() returns true if f will not run; it does not wait for an f that has begun.
  bool stop() noexcept { return detail::timer_stop(core_); }
  template <class Rep, class Period> bool reset(std::chrono::duration<Rep, Period> d) {
    return detail::timer_reset(core_, detail::deadline_after(d), duration::zero());
  }

 private:
  template <class Rep, class Period, class F>
  friend func_timer after_func(std::chrono::duration<Rep, Period> d, F&& f);
  explicit func_timer(detail::timer_core* c) noexcept : core_(c) {}
  detail::timer_core* core_;
};

// after_func(d, f) runs f as a goroutine of its own when d is over (Go: time.AfterFunc). Without a
// runtime f runs on the thread that serves deadlines and should be short.
template <class Rep, class Period, class F>
func_timer after_func(std::chrono::duration<Rep, Period> d, F&& f) {
  using fn = std::decay_t<F>;
  return func_timer(detail::timer_func(
      detail::deadline_after(d), new fn(std::forward<F>(f)), [](void* p) { (*static_cast<fn*>(p))(); },
      [](void* p) noexcept { delete static_cast<fn*>(p); }));
}

}  // namespace skein::inline SKEIN_ABI
