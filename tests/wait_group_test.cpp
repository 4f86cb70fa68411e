// Wait groups: counting, waiting, limits, reuse, misuse.
#include "skein/wait_group.hpp"

#include <atomic>
#include <chrono>
#include <climits>
#include <memory>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;
using everywhere::throwing;

struct wait_group : everywhere::on_procs {};
SKEIN_EVERYWHERE(wait_group);

// covers: Y4 Y12
TEST_P(wait_group, wait_sees_all_that_was_done) {
  repeat([] {
    skein::wait_group wg;
    std::vector<int> out(10);
    wg.add(10);
    for (std::size_t i = 0; i < 10; ++i)
      skein::go([&, i] {
        out[i] = 1;
        wg.done();
      });
    wg.wait();
    for (const int v : out) EXPECT_EQ(v, 1);
  });
}

// covers: Y4
TEST_P(wait_group, at_zero_nobody_waits) {
  repeat([] {
    skein::wait_group wg;
    wg.wait();
    EXPECT_TRUE(wg.wait_for(0s));
    EXPECT_TRUE(wg.wait_until(skein::time_point::min()));
    wg.add(3);
    wg.add(-2);
    wg.done();
    wg.wait();
    wg.add(0);
    wg.wait();
  });
}

// covers: Y4
TEST_P(wait_group, go_counts_and_ends_by_return_and_by_exit) {
  repeat([] {
    skein::wait_group wg;
    std::atomic<int> ran{0};
    wg.go([&] { ++ran; });
    wg.go([&, p = std::make_unique<int>(1)] { ran += *p; });
    wg.go([&] {
      ++ran;
      skein::exit_goroutine();
    });
    wg.wait();
    EXPECT_EQ(ran, 3);
  });
}

// covers: Y4 G1
TEST_P(wait_group, go_that_starts_nothing_counts_nothing) {
  repeat([] {
    throwing::reset();
    skein::wait_group wg;
    {
      const throwing t(1);
      const auto f = [t] {};
      throwing::on_copy(1);
      EXPECT_THROW(wg.go(f), throwing::error);
      throwing::on_copy(0);
    }
    wg.wait();
  });
}

// covers: Y4
TEST_P(wait_group, misuse_throws_and_changes_nothing) {
  repeat([] {
    skein::wait_group wg;
    EXPECT_THROW(wg.done(), skein::misuse);
    EXPECT_THROW(wg.add(-1), skein::misuse);
    wg.add(2);
    EXPECT_THROW(wg.add(-3), skein::misuse);
    EXPECT_THROW(wg.add(INT_MIN), skein::misuse);
    wg.add(INT_MAX - 2);
    EXPECT_THROW(wg.add(1), skein::misuse);
    EXPECT_THROW(wg.add(INT_MAX), skein::misuse);
    wg.add(-(INT_MAX - 2));
    wg.done();
    EXPECT_FALSE(wg.wait_for(0s));
    wg.done();
    wg.wait();
  }, 20);
}

// covers: Y4
TEST_P(wait_group, any_number_may_wait) {
  repeat([] {
    skein::wait_group wg;
    skein::wait_group waiters;
    std::atomic<int> released{0};
    wg.add(2);
    for (int i = 0; i < 20; ++i)
      waiters.go([&, i] {
        if (i % 2 == 0)
          wg.wait();
        else
          EXPECT_TRUE(wg.wait_for(1h));
        ++released;
      });
    wg.done();
    skein::yield();
    EXPECT_EQ(released, 0);
    wg.done();
    waiters.wait();
    EXPECT_EQ(released, 20);
  }, 100);
}

// covers: Y4
TEST_P(wait_group, can_be_used_again) {
  repeat([] {
    skein::wait_group wg;
    for (int round = 0; round < 10; ++round) {
      std::atomic<int> ran{0};
      for (int i = 0; i < 3; ++i) wg.go([&] { ++ran; });
      wg.wait();
      EXPECT_EQ(ran, 3);
    }
  }, 100);
}

// covers: Y4 Y12
TEST_P(wait_group, may_be_destroyed_right_after_the_wait) {
  repeat([] {
    auto wg = std::make_unique<skein::wait_group>();
    wg->add(3);
    for (int i = 0; i < 3; ++i) skein::go([g = wg.get()] { g->done(); });
    wg->wait();
    wg.reset();
  });
}

// covers: Y4
TEST_P(wait_group, may_be_destroyed_after_a_wait_that_was_tried_again) {
  repeat([] {
    auto wg = std::make_unique<skein::wait_group>();
    wg->add(2);
    for (int i = 0; i < 2; ++i)
      skein::go([g = wg.get()] {
        skein::sleep_for(1us);
        g->done();
      });
    while (!wg->wait_for(1us)) {
    }
    wg.reset();
  });
}

// covers: Y4 R4
TEST_P(wait_group, serves_plain_threads_as_well) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  repeat([] {
    skein::wait_group wg;
    wg.add(4);
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back([&] { wg.done(), wg.wait(); });
    for (int i = 0; i < 2; ++i) skein::go([&] { wg.done(); });
    wg.wait();
    skein::blocking([&] { for (auto& t : threads) t.join(); });
  }, 20);
}

// covers: Y4 L4 D4
TEST(wait_group_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    const auto start = skein::now();
    skein::wait_group wg;
    wg.add();
    EXPECT_FALSE(wg.wait_for(3ms));
    EXPECT_EQ(skein::now() - start, 3ms);
    EXPECT_FALSE(wg.wait_until(start + 5ms));
    EXPECT_EQ(skein::now() - start, 5ms);
    EXPECT_FALSE(wg.wait_for(-1s));
    {
      auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
      EXPECT_FALSE(wg.wait(ctx));
      EXPECT_EQ(skein::now() - start, 6ms);
      EXPECT_FALSE(wg.wait(ctx));
    }
    skein::go([&] {
      skein::sleep_for(2ms);
      wg.done();
    });
    EXPECT_TRUE(wg.wait_for(1h));
    EXPECT_EQ(skein::now() - start, 8ms);
  });
}

// covers: Y4 X1 L4
TEST_P(wait_group, time_cancel_and_release_may_race) {
  repeat([] {
    skein::wait_group wg;
    skein::wait_group all;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    wg.add();
    std::atomic<int> told_zero{0};
    std::atomic<int> told_not{0};
    for (int i = 0; i < 3; ++i) {
      all.go([&, ctx] { ++(wg.wait(ctx) ? told_zero : told_not); });
      all.go([&] { ++(wg.wait_for(1us) ? told_zero : told_not); });
      all.go([&] { wg.wait(), ++told_zero; });
    }
    all.go([&] { cancel(); });
    all.go([&] {
      skein::sleep_for(1us);
      wg.done();
    });
    all.wait();
    EXPECT_GE(told_zero, 3);
    EXPECT_EQ(told_zero + told_not, 9);
    wg.wait();
    wg.add();
    EXPECT_FALSE(wg.wait_for(0s));
    wg.done();
  });
}

}  // namespace
