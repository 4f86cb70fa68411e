// Timers against stop, reset and receivers: exactly one story is true.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;

struct timer_race : everywhere::on_procs {};
SKEIN_EVERYWHERE(timer_race);

// covers: T2
TEST_P(timer_race, stop_returned_true_or_the_time_was_received) {
  repeat([] {
    skein::timer t(1us);
    auto receiver = skein::spawn({.stack = 64 * 1024}, [&] { return t.chan().recv_for(1ms).has_value(); });
    auto stopper = skein::spawn({.stack = 64 * 1024}, [&] {
      skein::sleep_for(1us);
      return t.stop();
    });
    const bool received = receiver.join();
    const bool stopped = stopper.join();
    // Both false: expired without a receiver, which came too late, and then nobody stopped it.
    EXPECT_FALSE(received && stopped);
    t.stop();
    EXPECT_TRUE(t.chan().try_recv().empty());
  }, 300);
}

// covers: T2
TEST_P(timer_race, several_stoppers_have_one_winner) {
  repeat([] {
    skein::timer t(1h);
    std::atomic<int> winners{0};
    skein::wait_group wg;
    for (int i = 0; i < 4; ++i) wg.go([&] { winners += t.stop() ? 1 : 0; });
    wg.wait();
    EXPECT_EQ(winners, 1);
  });
}

// covers: T2
TEST_P(timer_race, no_stale_value_after_stop) {
  repeat([] {
    skein::timer t(1us);
    skein::sleep_for(1us);
    t.stop();
    EXPECT_EQ(skein::try_select(recv(t.chan())), -1);
    EXPECT_TRUE(t.chan().try_recv().empty());
    EXPECT_EQ(t.chan().recv_for(5us).status(), skein::status::timeout);
  });
}

// covers: T2
TEST_P(timer_race, no_stale_value_after_reset) {
  repeat([] {
    skein::timer t(1us);
    skein::yield();
    const auto start = skein::now();
    t.reset(50us);
    EXPECT_GE(t.chan().recv().value() - start, 50us);
    t.reset(0s);
    skein::yield();
    const auto again = skein::now();
    t.reset(20us);
    EXPECT_GE(t.chan().recv().value() - again, 20us);
  });
}

// covers: T2
TEST(timer_race_in_simulation, stop_reset_and_receive_for_ten_thousand_seeds) {
  in_simulation([] {
    const auto start = skein::now();
    skein::timer t(2ns);
    auto receiver = skein::spawn([&] {
      std::vector<skein::duration> received;
      while (auto at = t.chan().recv_for(10ns)) received.push_back(*at - start);
      return received;
    });
    skein::sleep_for(2ns);
    const bool kept_first = t.reset(3ns);
    skein::sleep_for(3ns);
    const bool kept_second = t.stop();
    const auto received = receiver.join();
    ASSERT_EQ(received.size(), (kept_first ? 0u : 1u) + (kept_second ? 0u : 1u));
    EXPECT_TRUE(kept_first || received.front() == 2ns);
    EXPECT_TRUE(kept_second || received.back() == 5ns);
  }, 10'000);
}

// covers: T2
TEST_P(timer_race, after_func_runs_or_was_stopped) {
  repeat([] {
    for (int i = 0; i < 10; ++i) {
      const auto ran = std::make_shared<std::atomic<int>>(0);
      auto f = skein::after_func(std::chrono::microseconds(i % 3), [ran] { ++*ran; });
      if (i % 2 == 0) skein::sleep_for(std::chrono::microseconds(i % 4));
      if (f.stop()) {
        EXPECT_EQ(*ran, 0);
        skein::yield();
        EXPECT_EQ(*ran, 0);
      } else {
        while (*ran == 0) skein::yield();
        EXPECT_EQ(*ran, 1);
      }
    }
  }, 100);
}

// covers: T2
TEST_P(timer_race, resets_of_after_func_run_it_once_for_each_time_they_lost) {
  repeat([] {
    std::atomic<int> ran{0};
    auto f = skein::after_func(1us, [&] { ++ran; });
    int due = 1;
    for (int i = 0; i < 10; ++i) {
      skein::sleep_for(std::chrono::microseconds(i % 3));
      if (!f.reset(1us)) ++due;
    }
    if (f.stop()) --due;
    while (ran < due) skein::yield();
    for (int i = 0; i < 5; ++i) skein::yield();
    EXPECT_EQ(ran, due);
  }, 100);
}

// covers: T2 L3
TEST_P(timer_race, the_last_handle_may_go_while_it_fires) {
  repeat([] {
    for (int i = 0; i < 20; ++i) {
      const auto c = skein::after(std::chrono::microseconds(i % 3));
      skein::ticker every(1us);
      auto other = skein::after_func(std::chrono::microseconds(i % 2), [] {});
      skein::yield();
      if (i % 4 == 0) skein::sleep_for(1us);
    }
  }, 100);
}

// covers: T2 R3
TEST(timer_race_across_runtimes, one_side_resets_what_the_other_receives) {
  skein::runtime one;
  skein::runtime two;
  skein::timer t(1us);
  const std::uint64_t n = scaled(2000);
  std::atomic<bool> over{false};
  std::thread changer([&] {
    while (!over) one.run([&] { t.reset(1us), skein::yield(); });
  });
  two.run([&] { for (std::uint64_t i = 0; i < n; ++i) EXPECT_TRUE(t.chan().recv().has_value()); });
  over = true;
  changer.join();
  t.stop();
  EXPECT_TRUE(t.chan().try_recv().empty());
}

// covers: T2 R4
TEST(timer_race_on_plain_threads, stop_or_fire) {
  for (std::uint64_t i = scaled(2000); i > 0; --i) {
    std::atomic<int> ran{0};
    auto f = skein::after_func(std::chrono::microseconds(i % 20), [&] {
      ++ran;
      ran.notify_all();
    });
    if (f.stop()) {
      EXPECT_EQ(ran, 0);
    } else {
      ran.wait(0);
    }
    skein::timer t(std::chrono::microseconds(i % 5));
    if (i % 2 == 0) {
      EXPECT_TRUE(t.chan().recv().has_value());
    }
    t.stop();
    EXPECT_TRUE(t.chan().try_recv().empty());
  }
}

}  // namespace
