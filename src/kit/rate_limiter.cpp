// The bucket as one number: the tokens there were at a moment. Taking more than there are makes it
// negative, and the debt over the limit is how long the taker waits; so waiters need no queue, and who
// takes later waits behind those before.
#include "skein/rate_limiter.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

#include "prim/limits.hpp"

namespace skein::inline SKEIN_ABI {
namespace {

// Seconds from a to b, 0 if b is not later. The difference fits an unsigned number wherever both stand.
double seconds(time_point a, time_point b) noexcept {
  if (b <= a) return 0;
  return static_cast<double>(static_cast<std::uint64_t>(b.time_since_epoch().count()) -
                             static_cast<std::uint64_t>(a.time_since_epoch().count())) /
         1e9;
}

// t + seconds to the nearest nanosecond, so that the error of a floating-point division does not show;
// held at the ends of time.
time_point shifted(time_point t, double by) noexcept {
  const double ns = std::nearbyint(by * 1e9);
  constexpr auto most = std::numeric_limits<duration::rep>::max();
  duration::rep sum = 0;
  if (!(std::abs(ns) < static_cast<double>(most)) ||
      __builtin_add_overflow(t.time_since_epoch().count(), static_cast<duration::rep>(ns), &sum))
    return ns < 0 ? time_point::min() : time_point::max();
  return time_point(duration(sum));
}

double sane(double limit) noexcept { return limit > 0 ? limit : 0; }  // NaN too

}  // namespace

rate_limiter::rate_limiter(double limit, std::size_t burst) noexcept
    : limit_(sane(limit)), burst_(burst), tokens_(static_cast<double>(burst)) {}

double rate_limiter::limit() const noexcept {
  sched::show("rate_limiter.limit", this);
  std::lock_guard hold(lock_);
  return limit_;
}

std::size_t rate_limiter::burst() const noexcept {
  sched::show("rate_limiter.burst", this);
  std::lock_guard hold(lock_);
  return burst_;
}

double rate_limiter::tokens_at(time_point t) const noexcept {
  sched::show("rate_limiter.tokens", this);
  std::lock_guard hold(lock_);
  return advanced(t);
}

void rate_limiter::set_limit_at(time_point t, double limit) noexcept {
  sched::show("rate_limiter.set_limit", this);
  std::lock_guard hold(lock_);
  settle(t);
  limit_ = sane(limit);
}

void rate_limiter::set_burst_at(time_point t, std::size_t burst) noexcept {
  sched::show("rate_limiter.set_burst", this);
  std::lock_guard hold(lock_);
  settle(t);
  burst_ = burst;
}

// What the bucket holds at t.
double rate_limiter::advanced(time_point t) const noexcept {
  const double full = static_cast<double>(burst_);
  if (limit_ == unlimited) return full;
  return std::min(full, tokens_ + seconds(last_, t) * limit_);
}

void rate_limiter::settle(time_point t) noexcept {
  tokens_ = advanced(t);
  last_ = t;
}

// Takes n tokens at *at for an event until *latest, which is *at when null. Without `at` it is now, looked up
// under the lock: of callers that bring moments out of order each would have the time between them flow twice.
rate_limiter::reservation rate_limiter::take(const time_point* at, std::size_t n,
                                             const time_point* latest) noexcept {
  sched::show("rate_limiter.take", this);
  reservation r;
  r.from_ = this;
  std::lock_guard hold(lock_);
  const time_point t = at != nullptr ? *at : now();
  const time_point until = latest != nullptr ? *latest : t;
  r.limit_ = limit_;
  if (limit_ == unlimited) {
    r.ok_ = t <= until;
    r.tokens_ = n;
    r.act_ = t;
    return r;
  }
  const double left = advanced(t) - static_cast<double>(n);
  // A debt that no time fills has no end.
  r.act_ = left >= 0 ? t : limit_ == 0 ? time_point::max() : shifted(t, -left / limit_);
  r.ok_ = n <= burst_ && r.act_ <= until && (left >= 0 || r.act_ != time_point::max());
  if (!r.ok_) return r;
  r.tokens_ = n;
  tokens_ = left;
  last_ = t;
  newest_ = r.act_;
  return r;
}

bool rate_limiter::wait_n(const context& ctx, std::size_t n, time_point latest) {
  sched::attend_if_asked("rate_limiter.wait", this);
  if (ctx.err()) return false;
  reservation r = take(nullptr, n, &latest);
  if (!r.ok()) return false;
  if (r.delay() == duration::zero()) return true;
  if (sleep_until(ctx, r.act_)) return true;
  r.cancel();
  return false;
}

duration rate_limiter::reservation::delay_from(time_point t) const noexcept {
  if (!ok_) return duration::max();
  if (act_ <= t) return duration::zero();
  duration::rep wait = 0;
  if (__builtin_sub_overflow(act_.time_since_epoch().count(), t.time_since_epoch().count(), &wait))
    return duration::max();
  return duration(wait);
}

void rate_limiter::reservation::cancel_at(time_point t) noexcept {
  if (!ok_) return;
  sched::show("rate_limiter.cancel", from_);
  std::lock_guard hold(from_->lock_);
  const double taken = static_cast<double>(std::exchange(tokens_, 0));
  if (taken == 0 || limit_ == unlimited || from_->limit_ == unlimited || act_ < t) return;
  // What flows in between this event and the newest one has been promised to those after it.
  const double back = taken - seconds(act_, from_->newest_) * limit_;
  if (back <= 0) return;
  from_->settle(t);
  from_->tokens_ = std::min(static_cast<double>(from_->burst_), from_->tokens_ + back);
  if (act_ != from_->newest_) return;
  const time_point before = shifted(act_, -taken / limit_);
  if (before >= t) from_->newest_ = before;
}

}  // namespace skein::inline SKEIN_ABI
