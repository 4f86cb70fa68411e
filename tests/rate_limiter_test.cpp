// Rate limiter: against a model in whole nanoseconds, and in virtual time to the nanosecond.
#include "skein/rate_limiter.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "skein/mutex.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using skein::duration;
using skein::every;
using skein::time_point;

const time_point t0{1h};
time_point at(int tenths) { return t0 + tenths * 100ms; }

struct rate_limiter : everywhere::on_procs {};
SKEIN_EVERYWHERE(rate_limiter);

TEST(rate, of_an_interval) {
  EXPECT_DOUBLE_EQ(every(100ms), 10);
  EXPECT_DOUBLE_EQ(every(1h), 1.0 / 3600);
  EXPECT_EQ(every(0s), skein::unlimited);
  EXPECT_EQ(every(-1s), skein::unlimited);
}

TEST(rate, a_burst_and_then_what_flows_in) {
  skein::rate_limiter l(10, 3);
  for (const bool want : {true, true, true, false, false}) EXPECT_EQ(l.allow_n(at(0), 1), want);
  EXPECT_TRUE(l.allow_n(at(1), 1));
  EXPECT_FALSE(l.allow_n(at(1), 1));
  EXPECT_FALSE(l.allow_n(at(2), 2));
  EXPECT_TRUE(l.allow_n(at(3), 2));
  EXPECT_DOUBLE_EQ(l.tokens_at(at(9)), 3);
  EXPECT_FALSE(l.allow_n(at(9), 4));
  EXPECT_TRUE(l.allow_n(at(9), 3));
  EXPECT_TRUE(l.allow_n(at(9), 0));
  EXPECT_TRUE(l.allow_n(at(8), 0));  // a clock that goes back takes nothing away
  EXPECT_EQ(l.burst(), 3U);
  EXPECT_EQ(l.limit(), 10);
}

TEST(rate, limits_that_are_none) {
  skein::rate_limiter all(skein::unlimited, 0);
  EXPECT_TRUE(all.allow_n(at(0), 1000));
  EXPECT_EQ(all.reserve_n(at(0), 1000).delay_from(at(0)), 0s);
  for (const double nothing : {0.0, -1.0, std::nan("")}) {
    skein::rate_limiter none(nothing, 1);
    EXPECT_TRUE(none.allow_n(at(0), 1));
    EXPECT_FALSE(none.allow_n(at(9000), 1));
    EXPECT_FALSE(none.reserve_n(at(0), 1).ok());
    EXPECT_EQ(none.reserve_n(at(0), 1).delay_from(at(0)), duration::max());
  }
  skein::rate_limiter slow(1e-300, 1);
  EXPECT_TRUE(slow.allow_n(time_point::min(), 1));
  EXPECT_FALSE(slow.reserve_n(time_point::max(), 1).ok());
  skein::rate_limiter fast(1e300, 2);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(fast.allow_n(at(i), 2));
}

TEST(rate, reservations_queue_up) {
  skein::rate_limiter l(10, 2);
  EXPECT_EQ(l.reserve_n(at(0), 2).delay_from(at(0)), 0s);
  const auto r = l.reserve_n(at(0), 2);
  EXPECT_EQ(r.delay_from(at(0)), 200ms);
  EXPECT_EQ(r.delay_from(at(1)), 100ms);
  EXPECT_EQ(r.delay_from(at(7)), 0s);
  EXPECT_EQ(l.reserve_n(at(3), 2).delay_from(at(3)), 100ms);
  EXPECT_FALSE(l.reserve_n(at(0), 3).ok());
  EXPECT_FALSE(l.allow_n(at(3), 1));
  EXPECT_DOUBLE_EQ(l.tokens_at(at(3)), -1);
}

TEST(rate, cancel_gives_back_what_nobody_built_on) {
  {
    skein::rate_limiter l(10, 2);  // the newest one
    l.reserve_n(at(0), 2);
    auto r = l.reserve_n(at(0), 2);
    r.cancel_at(at(1));
    r.cancel_at(at(1));  // once
    EXPECT_EQ(l.reserve_n(at(1), 2).delay_from(at(1)), 100ms);
  }
  {
    skein::rate_limiter l(10, 2);  // too late
    auto r = l.reserve_n(at(0), 2);
    l.reserve_n(at(0), 2);
    r.cancel_at(at(1));
    EXPECT_EQ(l.reserve_n(at(1), 2).delay_from(at(1)), 300ms);
  }
  {
    skein::rate_limiter l(10, 2);  // another has built on all of it
    l.reserve_n(at(0), 2);
    auto r = l.reserve_n(at(0), 1);
    l.reserve_n(at(0), 1);
    r.cancel_at(at(0));
    EXPECT_EQ(l.reserve_n(at(0), 1).delay_from(at(0)), 300ms);
  }
  {
    skein::rate_limiter l(10, 2);  // on one of the two
    l.reserve_n(at(0), 2);
    auto r = l.reserve_n(at(0), 2);
    l.reserve_n(at(0), 1);
    r.cancel_at(at(0));
    EXPECT_EQ(l.reserve_n(at(0), 1).delay_from(at(0)), 300ms);
  }
  {
    skein::rate_limiter l(10, 5);  // one that was made without a limit took nothing
    l.allow_n(at(0), 5);
    l.set_limit_at(at(0), skein::unlimited);
    auto r = l.reserve_n(at(0), 3);
    l.set_limit_at(at(0), 10);
    l.set_burst_at(at(0), 3);
    l.allow_n(at(0), 3);
    r.cancel_at(at(0));
    EXPECT_FALSE(l.allow_n(at(0), 1));
  }
}

TEST(rate, limit_and_burst_change_from_then_on) {
  skein::rate_limiter l(10, 2);
  l.reserve_n(at(0), 2);
  l.set_limit_at(at(1), 5);
  EXPECT_DOUBLE_EQ(l.tokens_at(at(1)), 1);
  EXPECT_DOUBLE_EQ(l.tokens_at(at(2)), 1.5);
  l.set_burst_at(at(3), 1);
  EXPECT_DOUBLE_EQ(l.tokens_at(at(3)), 1);
  EXPECT_FALSE(l.allow_n(at(9), 2));
  l.set_burst_at(at(3), 4);
  EXPECT_DOUBLE_EQ(l.tokens_at(at(7)), 3);
}

// model: the same bucket in whole nanoseconds: a token costs `interval` of them.
struct model {
  __extension__ typedef __int128 wide;
  wide interval, burst, filled, last = 0;
  model(std::int64_t i, std::int64_t b) : interval(i), burst(b), filled(interval * b) {}
  wide have(wide t) const { return std::min(burst * interval, filled + (t > last ? t - last : 0)); }
  // How long the tokens take; -1: no.
  std::int64_t take(std::int64_t t, std::int64_t n, std::int64_t patience) {
    const wide left = have(t) - n * interval;
    const std::int64_t wait = left < 0 ? static_cast<std::int64_t>(-left) : 0;
    if (n > burst || wait > patience) return -1;
    filled = left, last = t;
    return wait;
  }
};

TEST(rate, agrees_with_the_model) {
  everywhere::dice d(everywhere::fresh_seed());
  for (std::uint64_t round = everywhere::scaled(300); round > 0; --round) {
    const auto interval = static_cast<std::int64_t>(1 + d.below(d.one_in(2) ? 50 : 5'000'000));
    const auto burst = static_cast<std::int64_t>(d.below(10));
    model m(interval, burst);
    skein::rate_limiter l(every(duration(interval)), static_cast<std::size_t>(burst));
    std::int64_t t = 0;
    for (int i = 0; i < 200; ++i) {
      t += static_cast<std::int64_t>(d.below(static_cast<std::uint64_t>(2 * interval) + 1));
      const auto n = static_cast<std::int64_t>(d.below(static_cast<std::uint64_t>(burst) + 2));
      const time_point now{duration(t)};
      if (d.one_in(2)) {
        ASSERT_EQ(l.allow_n(now, static_cast<std::size_t>(n)), m.take(t, n, 0) == 0)
            << interval << ' ' << burst << ' ' << i;
      } else {
        const auto r = l.reserve_n(now, static_cast<std::size_t>(n));
        const std::int64_t wait = m.take(t, n, std::numeric_limits<std::int64_t>::max());
        ASSERT_EQ(r.ok() ? r.delay_from(now).count() : -1, wait)
            << interval << ' ' << burst << ' ' << i;
      }
    }
  }
}

// covers: T1
TEST(rate_time, waiters_go_at_their_very_moments) {
  in_simulation([] {
    skein::rate_limiter l(every(3ms), 4);
    const time_point start = skein::now();
    skein::mutex m;
    std::vector<duration> went;
    skein::wait_group wg;
    for (int i = 0; i < 20; ++i)
      wg.go([&] {
        EXPECT_TRUE(l.wait());
        std::lock_guard hold(m);
        went.push_back(skein::now() - start);
      });
    wg.wait();
    ASSERT_EQ(went.size(), 20U);
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(went[static_cast<std::size_t>(i)], std::max(0, i - 3) * 3ms);
  });
}

// covers: T1 X1 X3
TEST(rate_time, who_cannot_have_it_in_time_hears_it_at_once) {
  in_simulation(
      [] {
        skein::rate_limiter l(every(10ms), 2);
        const time_point start = skein::now();
        EXPECT_FALSE(l.wait_n(3));
        EXPECT_TRUE(l.wait_n(2));
        EXPECT_FALSE(l.wait_n_for(2, 19ms));
        auto [ctx, cancel] = skein::with_timeout(skein::background(), 9ms);
        EXPECT_FALSE(l.wait(ctx));
        EXPECT_FALSE(ctx.err());
        EXPECT_FALSE(l.wait_until(start - 1s));
        EXPECT_EQ(skein::now(), start);
        EXPECT_TRUE(l.wait_for(10ms));
        EXPECT_EQ(skein::now() - start, 10ms);
        EXPECT_FALSE(l.wait(ctx));
        skein::rate_limiter none(0, 1);
        EXPECT_TRUE(none.wait());
        EXPECT_FALSE(none.wait());
        EXPECT_EQ(skein::now() - start, 10ms);
      },
      100);
}

// covers: X3
TEST(rate_time, a_canceled_wait_gives_its_token_back) {
  in_simulation([] {
    skein::rate_limiter l(every(10ms), 1);
    const time_point start = skein::now();
    EXPECT_TRUE(l.wait());
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    wg.go([&] {
      EXPECT_FALSE(l.wait(ctx));
      EXPECT_EQ(skein::now() - start, 5ms);
    });
    skein::sleep_for(5ms);
    cancel();
    wg.wait();
    EXPECT_FALSE(l.wait(ctx));
    EXPECT_TRUE(l.wait());
    EXPECT_EQ(skein::now() - start, 10ms);
  });
}

// covers: T1
TEST_P(rate_limiter, lets_no_more_through_than_its_rate) {
  repeat(
      [] {
        skein::rate_limiter l(every(20us), 5);
        const time_point start = skein::now();
        std::atomic<int> through{0};
        skein::wait_group wg;
        for (int i = 0; i < 8; ++i)
          wg.go([&] {
            for (int k = 0; k < 50; ++k) {
              if (l.allow()) ++through;
              skein::yield();
            }
            if (l.wait_for(1ms)) ++through;
          });
        wg.wait();
        EXPECT_LE(through, 5 + (skein::now() - start) / 20us + 1);
        EXPECT_GE(through, 5);
      },
      30);
}

// covers: R4
TEST(rate_threads, a_plain_thread_waits_too) {
  skein::rate_limiter l(every(100us), 1);
  const time_point start = skein::now();
  std::atomic<int> through{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) through += l.wait() ? 1 : 0;
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(through, 15);
  EXPECT_GE(skein::now() - start, 14 * 100us);
}

}  // namespace
