// Barriers: phases, completions, drop-outs, limits, misuse.
#include "skein/barrier.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
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
using everywhere::scaled;

struct barrier : everywhere::on_procs {};
SKEIN_EVERYWHERE(barrier);

// covers: Y10 Y12
TEST_P(barrier, everybody_sees_what_all_did_before) {
  repeat([] {
    constexpr int members = 4;
    const int turns = static_cast<int>(rounds(100, 4));
    std::vector<int> written(members);
    const auto all_are = [&](int turn) {
      for (const int w : written) EXPECT_EQ(w, turn);
    };
    int phases = 0;
    skein::barrier step(members, [&]() noexcept { all_are(phases++ / 2 + 1); });
    skein::wait_group wg;
    for (std::size_t k = 0; k < members; ++k)
      wg.go([&, k] {
        for (int i = 1; i <= turns; ++i) {
          written[k] = i;
          if (i % 3 == 0)
            step.wait(step.arrive());
          else
            step.arrive_and_wait();
          EXPECT_EQ(phases, 2 * i - 1);
          all_are(i);
          step.arrive_and_wait();  // all have looked
        }
      });
    wg.wait();
    EXPECT_EQ(phases, 2 * turns);
  }, 20);
}

// covers: Y10
TEST_P(barrier, arrivals_may_be_counted_by_one_and_waited_for_by_another) {
  repeat([] {
    skein::barrier b(3);
    auto token = b.arrive(2);
    EXPECT_FALSE(b.wait_for(token, 0s));
    skein::go([&] { (void)b.arrive(); });
    b.wait(token);
    b.wait(token);  // over is over
    EXPECT_TRUE(b.wait_for(token, 0s));
    (void)b.arrive(3);
    token = b.arrive(3);
    b.wait(std::move(token));
  });
}

// covers: Y10
TEST_P(barrier, who_drops_out_is_not_waited_for) {
  repeat([] {
    std::atomic<int> phases{0};
    skein::barrier b(4, [&]() noexcept { ++phases; });
    skein::wait_group wg;
    for (int k = 0; k < 4; ++k)
      wg.go([&, k] {
        for (int i = 0; i < k; ++i) b.arrive_and_wait();
        b.arrive_and_drop();  // one in each phase
      });
    wg.wait();
    EXPECT_EQ(phases, 4);
    EXPECT_THROW(b.arrive_and_drop(), skein::misuse) << "nobody is left";
  }, 100);
}

// covers: Y10
TEST_P(barrier, a_completion_may_park_and_holds_everybody_back) {
  repeat([] {
    bool completed = false;
    skein::barrier b(3, [&]() noexcept {
      skein::sleep_for(1us);
      completed = true;
    });
    skein::wait_group wg;
    for (int k = 0; k < 2; ++k)
      wg.go([&] {
        b.arrive_and_wait();
        EXPECT_TRUE(completed);
      });
    b.arrive_and_wait();
    EXPECT_TRUE(completed);
    wg.wait();
  }, 100);
}

// covers: Y10
TEST_P(barrier, misuse_throws_and_changes_nothing) {
  repeat([] {
    EXPECT_THROW(skein::barrier<>(-1), skein::misuse);
    skein::barrier none(0);
    EXPECT_THROW((void)none.arrive(), skein::misuse);
    skein::barrier b(2);
    EXPECT_THROW((void)b.arrive(0), skein::misuse);
    EXPECT_THROW((void)b.arrive(-1), skein::misuse);
    EXPECT_THROW((void)b.arrive(3), skein::misuse);
    const auto token = b.arrive();
    EXPECT_THROW((void)b.arrive(2), skein::misuse);
    EXPECT_FALSE(b.wait_for(token, 0s));
    (void)b.arrive();
    EXPECT_TRUE(b.wait_for(token, 0s));
  }, 20);
}

// covers: Y10 L4 D4
TEST(barrier_time, a_wait_can_be_given_up_and_the_arrival_stands) {
  in_simulation([] {
    const auto start = skein::now();
    skein::barrier b(2);
    const auto token = b.arrive();
    EXPECT_FALSE(b.wait_for(token, 2ms));
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_FALSE(b.wait_until(token, start + 3ms));
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
    EXPECT_FALSE(b.wait(token, ctx));
    EXPECT_EQ(skein::now() - start, 4ms);
    skein::go([&] {
      skein::sleep_for(1ms);
      b.arrive_and_wait();  // at once: the other has arrived
    });
    EXPECT_TRUE(b.wait_for(token, 1h));
    EXPECT_EQ(skein::now() - start, 5ms);
    EXPECT_TRUE(b.wait(token, ctx)) << "the phase is over, whatever the context says";
  });
}

// covers: Y10 L4 X1
TEST_P(barrier, time_cancel_and_the_end_of_a_phase_may_race) {
  repeat([] {
    skein::barrier b(4);
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    wg.go([&] {
      const auto t = b.arrive();
      if (!b.wait_for(t, 1us)) b.wait(t);
    });
    wg.go([&, c = ctx] {
      const auto t = b.arrive();
      if (!b.wait(t, c)) b.wait(t);
    });
    wg.go([&] { b.arrive_and_wait(); });
    wg.go([&] { cancel(); });
    skein::sleep_for(1us);
    b.arrive_and_wait();
    wg.wait();
  });
}

// covers: Y10
TEST_P(barrier, may_be_destroyed_by_who_waited) {
  repeat([] {
    auto b = std::make_unique<skein::barrier<>>(3);
    for (int i = 0; i < 2; ++i) skein::go([p = b.get()] { (void)p->arrive(); });
    b->arrive_and_wait();
    b.reset();
  });
}

// covers: Y10 R4
TEST_P(barrier, threads_and_goroutines_go_in_step) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  run([] {
    const int turns = static_cast<int>(scaled(50));
    long phases = 0;
    skein::barrier b(4, [&]() noexcept { ++phases; });
    const auto work = [&] {
      for (int i = 0; i < turns; ++i) b.arrive_and_wait();
    };
    std::vector<std::thread> threads;
    skein::wait_group wg;
    for (int k = 0; k < 2; ++k) threads.emplace_back(work);
    for (int k = 0; k < 2; ++k) wg.go(work);
    wg.wait();
    skein::blocking([&] { for (auto& t : threads) t.join(); });
    EXPECT_EQ(phases, turns);
  });
}

}  // namespace
