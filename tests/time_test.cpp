// Sleeping, timers and tickers at exact moments of virtual time.
#include "skein/time.hpp"

#include <atomic>
#include <chrono>
#include <limits>
#include <optional>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;

struct elapsed {
  skein::time_point start = skein::now();
  skein::duration operator()() const { return skein::now() - start; }
};

// covers: T1 D4
TEST(sleep, lasts_exactly_as_long_as_asked) {
  in_simulation([] {
    const elapsed t;
    skein::sleep_for(1ns);
    EXPECT_EQ(t(), 1ns);
    skein::sleep_for(3h);
    EXPECT_EQ(t(), 3h + 1ns);
    skein::sleep_until(t.start + 4h);
    EXPECT_EQ(t(), 4h);
    skein::sleep_for(std::chrono::duration<double>(0.5));
    EXPECT_EQ(t(), 4h + 500ms);
  });
}

// covers: T1
TEST(sleep, of_no_or_negative_length_costs_no_time) {
  in_simulation([] {
    const elapsed t;
    skein::sleep_for(0s);
    skein::sleep_for(-1s);
    skein::sleep_for(std::chrono::hours::min());
    skein::sleep_for(skein::duration::min());
    skein::sleep_until(skein::time_point::min());
    skein::sleep_until(t.start);
    skein::sleep_for(std::chrono::duration<double>(-1e300));
    skein::sleep_for(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
    EXPECT_EQ(t(), 0s);
  });
}

// covers: T1
TEST(sleep, of_overflowing_length_does_not_end_at_once) {
  in_simulation([] {
    int woken = 0;
    for (int i = 0; i < 4; ++i)
      skein::go([&woken, i] {
        switch (i) {
          case 0: skein::sleep_for(skein::duration::max()); break;
          case 1: skein::sleep_for(std::chrono::hours::max()); break;
          case 2: skein::sleep_for(std::chrono::duration<double>(1e300)); break;
          case 3: skein::sleep_until(skein::time_point::max()); break;
        }
        ++woken;
      });
    skein::sleep_for(24h * 365 * 100);
    EXPECT_EQ(woken, 0);
  });
}

// covers: T1 X3 D4
TEST(sleep, ends_with_its_context_at_the_latest) {
  in_simulation([] {
    const elapsed t;
    EXPECT_TRUE(skein::sleep_for(skein::background(), 1h));
    EXPECT_EQ(t(), 1h);
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 2h);
    EXPECT_TRUE(skein::sleep_for(ctx, 1h));
    EXPECT_FALSE(skein::sleep_until(ctx, skein::time_point::max()));
    EXPECT_EQ(t(), 3h);
    EXPECT_FALSE(skein::sleep_for(ctx, 1h));
    EXPECT_FALSE(skein::sleep_for(ctx, -1h));
    EXPECT_TRUE(skein::sleep_for(skein::background(), -1h));
    EXPECT_EQ(t(), 3h);
  });
}

struct sleeping : everywhere::on_procs {};
SKEIN_EVERYWHERE(sleeping);

// covers: T1 X3
TEST_P(sleeping, its_end_and_a_cancel_may_race) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    for (const auto d : {1ns, 1000ns, 20'000ns})
      wg.go([c = ctx, d] {
        const elapsed t;
        if (skein::sleep_for(c, d)) {
          EXPECT_GE(t(), d);
        } else {
          EXPECT_EQ(c.err(), skein::errc::canceled);
        }
      });
    wg.go([c = ctx] { EXPECT_FALSE(skein::sleep_for(c, 1h)); });
    wg.go([c = &cancel] { (*c)(); });
    wg.wait();
    if (simulated()) skein::sleep_for(2h);  // past what a deadline left behind would do
  });
}

// covers: X3 R4
TEST(sleep, of_a_plain_thread_ends_with_its_context) {
  skein::runtime r(everywhere::with_procs(1));
  for (std::uint64_t i = scaled(200); i > 0; --i) {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    r.run([c = &cancel] { skein::go([c] { (*c)(); }); });
    EXPECT_FALSE(skein::sleep_for(ctx, 1h));
    EXPECT_TRUE(skein::sleep_for(skein::background(), 1ns));
  }
}

// covers: T1 T2
TEST(timers, go_off_in_order_of_their_times) {
  in_simulation([] {
    const elapsed t;
    everywhere::journal<int> order;
    skein::wait_group wg;
    for (const int ms : {7, 3, 9, 1, 5, 8, 2, 6, 4})
      wg.go([&, ms] {
        const auto at = skein::after(std::chrono::milliseconds(ms)).recv();
        EXPECT_EQ(at.value() - t.start, std::chrono::milliseconds(ms));
        order.note(ms);
      });
    wg.wait();
    EXPECT_EQ(order.notes(), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  });
}

// covers: T1
TEST(timers, that_are_over_or_overflow) {
  in_simulation([] {
    const elapsed t;
    EXPECT_TRUE(skein::after(0s).recv().has_value());
    EXPECT_TRUE(skein::after(-1h).recv().has_value());
    EXPECT_TRUE(skein::after(skein::duration::min()).recv().has_value());
    EXPECT_EQ(t(), 0s);
    for (const auto d : {skein::duration::max(), skein::duration::max() - 1ns}) {
      skein::timer never(d);
      skein::sleep_for(24h * 365 * 50);
      EXPECT_TRUE(never.chan().try_recv().empty());
      EXPECT_TRUE(never.stop());
    }
  });
}

// covers: T2 C1
TEST(timers, have_a_channel_without_a_buffer) {
  in_simulation([] {
    skein::timer t(1ms);
    EXPECT_EQ(t.chan().capacity(), 0u);
    skein::sleep_for(2ms);
    EXPECT_EQ(t.chan().size(), 0u);
    EXPECT_EQ(t.chan().capacity(), 0u);
    EXPECT_TRUE(t.chan().try_recv().has_value());
    EXPECT_TRUE(t.chan().try_recv().empty());
  }, 100);
}

// covers: T2
TEST(timers, stop_and_reset_tell_what_they_did) {
  in_simulation([] {
    skein::timer t(5ms);
    EXPECT_TRUE(t.stop());
    EXPECT_FALSE(t.stop());
    EXPECT_FALSE(t.reset(3ms));  // it was stopped
    EXPECT_TRUE(t.reset(2ms));
    const elapsed since;
    EXPECT_TRUE(t.chan().recv().has_value());
    EXPECT_EQ(since(), 2ms);
    EXPECT_FALSE(t.stop());
    EXPECT_FALSE(t.reset(1ms));
    EXPECT_EQ(t.chan().recv().value(), since.start + 3ms);
    // Expired, but nobody has received: not fired as far as anybody can see.
    t.reset(1ms);
    skein::sleep_for(2ms);
    EXPECT_TRUE(t.stop());
    EXPECT_TRUE(t.chan().try_recv().empty());
    t.reset(1ms);
    skein::sleep_for(2ms);
    EXPECT_TRUE(t.reset(5ms));
    EXPECT_TRUE(t.chan().try_recv().empty());
    skein::sleep_for(6ms);
    EXPECT_TRUE(t.chan().try_recv().has_value());
  }, 200);
}

// covers: T2
TEST(timers, can_be_moved_and_replaced) {
  in_simulation([] {
    const elapsed t;
    skein::timer a(1ms);
    skein::timer b(std::move(a));
    a = skein::timer(4ms);
    EXPECT_EQ(b.chan().recv().value() - t.start, 1ms);
    std::swap(a, b);
    EXPECT_EQ(b.chan().recv().value() - t.start, 4ms);
    EXPECT_FALSE(a.stop());
  }, 100);
}

// covers: T1 T2
TEST(ticker, ticks_at_its_rate_and_drops_what_nobody_takes) {
  in_simulation([] {
    const elapsed t;
    skein::ticker every(10ms);
    for (int i = 1; i <= 5; ++i) EXPECT_EQ(every.chan().recv().value() - t.start, i * 10ms);
    skein::sleep_for(35ms);  // until 85: ticks at 60, 70, 80
    EXPECT_LE(every.chan().recv().value() - t.start, 85ms);
    EXPECT_EQ(t(), 85ms);
    EXPECT_TRUE(every.chan().try_recv().empty());  // one, no burst
    EXPECT_EQ(every.chan().recv().value() - t.start, 90ms);
    every.reset(1ms);
    EXPECT_EQ(every.chan().recv().value() - t.start, 91ms);
    EXPECT_EQ(every.chan().recv().value() - t.start, 92ms);
    every.stop();
    EXPECT_EQ(every.chan().recv_for(1h).status(), skein::status::timeout);
    every.reset(2ms);
    EXPECT_EQ(every.chan().recv().value() - t.start, 92ms + 1h + 2ms);
  }, 200);
}

// covers: T1
TEST(ticker, with_a_period_that_is_not_positive_is_misuse) {
  in_simulation([] {
    EXPECT_THROW(skein::ticker(0s), skein::misuse);
    EXPECT_THROW(skein::ticker(-1ms), skein::misuse);
    EXPECT_THROW(static_cast<void>(skein::tick(0s)), skein::misuse);
    skein::ticker t(1ms);
    EXPECT_THROW(t.reset(0s), skein::misuse);
    EXPECT_TRUE(t.chan().recv().has_value());  // as it was
    skein::ticker longest(skein::duration::max());
    EXPECT_EQ(longest.chan().recv_for(1h).status(), skein::status::timeout);
  }, 50);
}

// covers: T1 T2
TEST(after_func, runs_once_on_a_goroutine_of_its_own_at_its_time) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<skein::duration> c;
    auto f = skein::after_func(3ms, [&] { c.send(t()), skein::yield(); });
    EXPECT_EQ(c.recv(), 3ms);
    EXPECT_FALSE(f.stop());
    EXPECT_FALSE(f.reset(2ms));  // it has run; it will run again
    EXPECT_EQ(c.recv(), 5ms);
    EXPECT_FALSE(f.reset(7ms));
    EXPECT_TRUE(f.reset(1ms));
    EXPECT_EQ(c.recv(), 6ms);
    f.reset(1ms);
    EXPECT_TRUE(f.stop());
    EXPECT_FALSE(f.stop());
    EXPECT_EQ(c.recv_for(1h).status(), skein::status::timeout);
    auto now = skein::after_func(-1s, [&] { c.send(0s); });
    EXPECT_EQ(c.recv(), 0s);
  }, 200);
}

// covers: T1
TEST(after_func, goes_on_without_its_handle_and_frees_what_it_held) {
  in_simulation([] {
    everywhere::tracked::reset();
    const skein::chan<int> c;
    static_cast<void>(skein::after_func(1ms, [c, k = everywhere::tracked(3)] { c.send(k.value); }));
    EXPECT_EQ(c.recv(), 3);
    skein::sleep_for(1ms);
    EXPECT_EQ(everywhere::tracked::live(), 0);
    auto stopped = std::make_optional(skein::after_func(1ms, [k = everywhere::tracked(4)] {}));
    EXPECT_TRUE(stopped->stop());
    stopped.reset();
    EXPECT_EQ(everywhere::tracked::live(), 0);
  }, 200);
}

// covers: L3 T2
TEST(timers, in_a_select_in_a_loop_leave_nothing_behind) {
  skein::run([] {
    const skein::chan<int> c(1);
    const auto round = [&](std::uint64_t n) {
      for (; n > 0; --n) {
        c.send(1);
        skein::select(recv(c), recv(skein::after(1h)));
      }
    };
    round(scaled(10'000));
    const auto before = everywhere::memory_in_use();
    round(scaled(100'000));
    EXPECT_LE(everywhere::memory_in_use(), before + (1 << 20));
  }, everywhere::with_procs(2));
}

// covers: T2
TEST(timers, a_million_of_them) {
  skein::run([] {
    const std::size_t n = scaled(1'000'000);
    std::vector<skein::timer> timers;
    timers.reserve(n);
    everywhere::dice dice(1);
    for (std::size_t i = 0; i < n; ++i) timers.emplace_back(1h + std::chrono::nanoseconds(dice.below(1'000'000'000)));
    std::size_t stopped = 0;
    for (std::size_t i = 0; i < n; i += 2) stopped += timers[i].stop() ? 1 : 0;
    EXPECT_EQ(stopped, (n + 1) / 2);
    for (std::size_t i = 1; i < n; i += 4) EXPECT_TRUE(timers[i].reset(2h));
    timers.clear();
  }, everywhere::with_procs(1));
}

// covers: T2
TEST(timers, a_crowd_of_them_all_go_off) {
  for (const int procs : {1, 2, 4, 8})
    skein::run([] {
      const int n = static_cast<int>(scaled(20'000));
      std::atomic<int> fired{0};
      skein::wait_group wg;
      wg.add(n);
      for (int i = 0; i < n; ++i)
        static_cast<void>(skein::after_func(std::chrono::microseconds(i % 100), [&] { ++fired, wg.done(); }));
      wg.wait();
      EXPECT_EQ(fired, n);
    }, everywhere::with_procs(procs));
}

}  // namespace
