// The programs of docs/simulation.md: a class that loses a wake-up, the test that finds it, and the class without it.
#include <deque>
#include <iostream>
#include <mutex>

#include <gtest/gtest.h>

#include "skein/condition_variable.hpp"
#include "skein/mutex.hpp"
#include "skein/test/sim.hpp"
#include "skein/test/var.hpp"
#include "skein/wait_group.hpp"
#include "support/found.hpp"

namespace {

void log(const char* what) { std::clog << what << '\n'; }

namespace first {

// mailbox: items go from one goroutine to another.
class mailbox {
 public:
  void put(int item) {
    {
      const std::lock_guard hold(m_);
      items_.push_back(item);
    }
    filled_.notify_one();
  }

  int take() {
    std::unique_lock hold(m_);
    if (items_.empty()) {
      hold.unlock();  // not while others want to put something in
      log("mailbox: waiting");
      hold.lock();
      filled_.wait(hold);
    }
    const int item = items_.front();
    items_.pop_front();
    return item;
  }

 private:
  skein::mutex m_;
  skein::condition_variable filled_;
  std::deque<int> items_;
};

}  // namespace first

namespace fixed {

class mailbox {
 public:
  void put(int item) {
    {
      const std::lock_guard hold(m_);
      items_.push_back(item);
    }
    filled_.notify_one();
  }

  int take() {
    std::unique_lock hold(m_);
    filled_.wait(hold, [&] { return !items_.empty(); });
    const int item = items_.front();
    items_.pop_front();
    return item;
  }

 private:
  skein::mutex m_;
  skein::condition_variable filled_;
  std::deque<int> items_;
};

}  // namespace fixed

template <class Mailbox> void hands_over() {
  Mailbox box;
  skein::wait_group wg;
  wg.go([&] { box.put(7); });
  EXPECT_EQ(box.take(), 7);
  wg.wait();
}

const skein::test::explore_options options{.schedules = 10'000,
                                           .failed = [] { return ::testing::Test::HasFailure(); }};

using fixed::mailbox;
TEST(mailbox, hands_over) { skein::test::explore(hands_over<mailbox>, options); }

TEST(mailbox, hands_over_in_every_schedule_with_three_preemptions) {
  const auto all = skein::test::exhaust(hands_over<mailbox>, {.preemptions = 3});
  EXPECT_TRUE(all.complete);
}

// covers: D4
TEST(tutorial, finds_the_lost_wake_up) {
  const auto what = everywhere::found(hands_over<first::mailbox>, options);
  ASSERT_TRUE(what.has_value());
  std::cout << what->what();
  everywhere::expect_found(hands_over<first::mailbox>, "all goroutines are asleep - deadlock",
                           options);
}

void counts_hits() {
  skein::test::var<int> hits;
  skein::wait_group wg;
  for (int i = 0; i < 2; ++i) wg.go([&] { ++hits; });
  wg.wait();
}

// covers: D4
TEST(tutorial, finds_the_data_race) { everywhere::expect_found(counts_hits, "data race"); }

}  // namespace
