// Latches: counting, waiting, limits, misuse.
#include "skein/latch.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "skein/context.hpp"
#include "skein/error.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;

struct latch : everywhere::on_procs {};
SKEIN_EVERYWHERE(latch);

// covers: Y10 Y12
TEST_P(latch, opens_for_all_once_everybody_has_counted) {
  repeat([] {
    skein::latch l(6);
    skein::wait_group wg;
    std::vector<int> done(6);
    const auto all_done = [&] {
      for (const int d : done) EXPECT_EQ(d, 1);
    };
    for (std::size_t i = 0; i < 6; ++i)
      wg.go([&, i] {
        done[i] = 1;
        if (i % 2 == 0) {
          l.count_down();
          return;
        }
        l.arrive_and_wait();
        all_done();
      });
    for (int i = 0; i < 2; ++i)
      wg.go([&] {
        l.wait();
        EXPECT_TRUE(l.try_wait());
        all_done();
      });
    wg.wait();
  });
}

// covers: Y10
TEST_P(latch, counts_by_more_than_one_and_stays_open) {
  repeat([] {
    skein::latch l(5);
    EXPECT_FALSE(l.try_wait());
    l.count_down(0);
    l.count_down(3);
    EXPECT_FALSE(l.try_wait());
    l.arrive_and_wait(2);
    EXPECT_TRUE(l.try_wait());
    l.wait();
    EXPECT_TRUE(l.wait_for(0s));
    EXPECT_TRUE(l.wait(skein::background()));
    l.count_down(0);
    const skein::latch open(0);
    open.wait();
    EXPECT_TRUE(open.try_wait());
  }, 20);
}

// covers: Y10
TEST_P(latch, misuse_throws_and_changes_nothing) {
  repeat([] {
    EXPECT_THROW(skein::latch(-1), skein::misuse);
    EXPECT_THROW(skein::latch(skein::latch::max() + 1), skein::misuse);
    skein::latch l(2);
    EXPECT_THROW(l.count_down(3), skein::misuse);
    EXPECT_THROW(l.count_down(-1), skein::misuse);
    EXPECT_THROW(l.arrive_and_wait(skein::latch::max() + 2), skein::misuse);
    l.count_down(2);
    EXPECT_THROW(l.count_down(), skein::misuse);
    EXPECT_TRUE(l.try_wait());
    skein::latch most(skein::latch::max());
    most.count_down(skein::latch::max());
    most.wait();
  }, 20);
}

// covers: Y10 L4 D4
TEST(latch_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    const auto start = skein::now();
    skein::latch l(1);
    EXPECT_FALSE(l.wait_for(2ms));
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_FALSE(l.wait_until(start + 3ms));
    EXPECT_FALSE(l.wait_for(-1h));
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
    EXPECT_FALSE(l.wait(ctx));
    EXPECT_EQ(skein::now() - start, 4ms);
    skein::go([&] {
      skein::sleep_for(1ms);
      l.count_down();
    });
    EXPECT_TRUE(l.wait_for(1h));
    EXPECT_EQ(skein::now() - start, 5ms);
  });
}

// covers: Y10
TEST_P(latch, may_be_destroyed_by_who_waited) {
  repeat([] {
    auto l = std::make_unique<skein::latch>(3);
    for (int i = 0; i < 3; ++i) skein::go([p = l.get()] { p->count_down(); });
    l->wait();
    l.reset();
  });
}

// covers: Y10 R4
TEST_P(latch, threads_and_goroutines_meet) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  repeat([] {
    skein::latch l(4);
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back([&] { l.arrive_and_wait(); });
    for (int i = 0; i < 2; ++i) skein::go([&] { l.count_down(); });
    l.wait();
    skein::blocking([&] { for (auto& t : threads) t.join(); });
  }, 20);
}

}  // namespace
