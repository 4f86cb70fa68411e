// Condition variables: forms, order, limits, misuse, and notifies that nobody loses.
#include "skein/condition_variable.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;
using skein::cv_status;
using lock = std::unique_lock<skein::mutex>;

struct condition_variable : everywhere::on_procs {};
SKEIN_EVERYWHERE(condition_variable);

// A queue as textbooks have it, of at most two numbers.
struct box {
  skein::mutex m;
  skein::condition_variable filled;
  skein::condition_variable emptied;
  std::vector<int> numbers;

  void put(int v) {
    lock hold(m);
    emptied.wait(hold, [&] { return numbers.size() < 2; });
    numbers.push_back(v);
    hold.unlock();
    filled.notify_one();
  }
  int take() {
    lock hold(m);
    filled.wait(hold, [&] { return !numbers.empty(); });
    const int v = numbers.front();
    numbers.erase(numbers.begin());
    emptied.notify_one();
    return v;
  }
};

// covers: Y3 Y12
TEST_P(condition_variable, carries_a_queue) {
  repeat([] {
    box b;
    skein::wait_group wg;
    const int n = static_cast<int>(rounds(100, 5));
    std::atomic<long> sum{0};
    for (int k = 0; k < 3; ++k) {
      wg.go([&] { for (int i = 1; i <= n; ++i) b.put(i); });
      wg.go([&] { for (int i = 1; i <= n; ++i) sum += b.take(); });
    }
    wg.wait();
    EXPECT_EQ(sum, 3L * n * (n + 1) / 2);
    EXPECT_TRUE(b.numbers.empty());
  }, 20);
}

// covers: Y3
TEST_P(condition_variable, releases_and_waits_in_one_step) {
  repeat([] {
    skein::mutex m;
    skein::condition_variable cv;
    bool told = false;
    lock hold(m);
    skein::go([&] {
      { const std::lock_guard h(m); told = true; }  // only once the other waits
      cv.notify_one();                              // and it is found
    });
    cv.wait(hold);
    EXPECT_TRUE(told);
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_FALSE(m.try_lock());
  });
}

// covers: Y3
TEST(condition_variable_order, is_first_in_first_out) {
  in_simulation([] {
    skein::mutex m;
    skein::condition_variable cv;
    skein::wait_group wg;
    std::vector<int> order;
    for (int i = 0; i < 4; ++i) {
      wg.go([&, i] {
        lock hold(m);
        cv.wait(hold);
        order.push_back(i);
      });
      skein::sleep_for(1ns);  // they queue in this order
    }
    for (int i = 0; i < 4; ++i) {
      cv.notify_one();
      skein::sleep_for(1ns);
      const std::lock_guard hold(m);
      EXPECT_EQ(order.size(), static_cast<std::size_t>(i) + 1) << "one notify, one waiter";
    }
    wg.wait();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  });
}

// covers: Y3
TEST_P(condition_variable, notify_all_wakes_everybody_who_waits) {
  repeat([] {
    skein::mutex m;
    skein::condition_variable cv;
    skein::wait_group wg;
    bool open = false;
    int through = 0;
    for (int i = 0; i < 8; ++i)
      wg.go([&, i] {
        lock hold(m);
        const auto opened = [&] { return open; };
        if (i % 2 == 0)
          cv.wait(hold, opened);
        else
          EXPECT_TRUE(cv.wait_for(hold, 1h, opened));
        ++through;
      });
    skein::yield();
    { const std::lock_guard h(m); open = true; }
    cv.notify_all();
    wg.wait();
    EXPECT_EQ(through, 8);
    cv.notify_all();
    cv.notify_one();  // nobody waits: nothing is stored
    lock hold(m);
    EXPECT_EQ(cv.wait_for(hold, 1us), cv_status::timeout);
  }, 100);
}

// covers: Y3 L4 D4
TEST(condition_variable_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    skein::mutex m;
    skein::condition_variable cv;
    const auto start = skein::now();
    lock hold(m);
    EXPECT_EQ(cv.wait_for(hold, 2ms), cv_status::timeout);
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_EQ(cv.wait_until(hold, start + 3ms), cv_status::timeout);
    EXPECT_EQ(skein::now() - start, 3ms);
    EXPECT_EQ(cv.wait_for(hold, -1h), cv_status::timeout);
    EXPECT_EQ(cv.wait_until(hold, skein::time_point::min()), cv_status::timeout);
    EXPECT_FALSE(cv.wait_for(hold, 1ms, [] { return false; }));
    EXPECT_TRUE(cv.wait_for(hold, 1ms, [] { return true; }));
    EXPECT_EQ(skein::now() - start, 4ms);
    EXPECT_TRUE(cv.wait_until(hold, start + 5ms, [&] { return skein::now() >= start + 5ms; })) << "asked at the end";
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
    EXPECT_FALSE(cv.wait(hold, ctx));
    EXPECT_EQ(skein::now() - start, 6ms);
    EXPECT_FALSE(cv.wait(hold, ctx)) << "it has ended";
    EXPECT_FALSE(cv.wait(hold, ctx, [] { return false; }));
    EXPECT_TRUE(cv.wait(hold, ctx, [] { return true; }));
    skein::go([&] {
      skein::sleep_for(1ms);
      cv.notify_one();
    });
    EXPECT_EQ(cv.wait_for(hold, 1h), cv_status::no_timeout);
    EXPECT_EQ(skein::now() - start, 7ms);
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_FALSE(m.try_lock());
  });
}

// covers: Y3
TEST(condition_variable_time, takes_its_lock_again_however_long_that_takes) {
  in_simulation([] {
    skein::mutex m;
    skein::condition_variable cv;
    const auto start = skein::now();
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    wg.go([&, c = ctx] {
      lock hold(m);
      EXPECT_FALSE(cv.wait(hold, c));
      EXPECT_GE(skein::now() - start, 1h);
      EXPECT_TRUE(hold.owns_lock());
    });
    wg.go([&] {
      lock hold(m);
      EXPECT_EQ(cv.wait_for(hold, 10ms), cv_status::timeout);
      EXPECT_GE(skein::now() - start, 1h);
      EXPECT_TRUE(hold.owns_lock());
    });
    skein::sleep_for(1ms);
    m.lock();
    cancel();
    skein::sleep_for(1h);
    m.unlock();
    wg.wait();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

// covers: Y3
TEST_P(condition_variable, a_late_wait_lets_others_have_the_lock) {
  repeat([] {
    skein::mutex m;
    skein::condition_variable cv;
    bool told = false;
    skein::wait_group wg;
    lock hold(m);
    wg.go([&] {
      const std::lock_guard h(m);
      told = true;
    });
    while (!told) EXPECT_EQ(cv.wait_for(hold, 0s), cv_status::timeout);
    hold.unlock();
    wg.wait();
  }, 20);
}

// covers: Y3
TEST_P(condition_variable, wait_without_the_lock_is_misuse) {
  repeat([] {
    skein::mutex m;
    skein::condition_variable cv;
    lock none;
    EXPECT_THROW(cv.wait(none), skein::misuse);
    lock hold(m, std::defer_lock);
    EXPECT_THROW(cv.wait(hold), skein::misuse);
    EXPECT_THROW((void)cv.wait_for(hold, 1h), skein::misuse);
    EXPECT_THROW((void)cv.wait(hold, skein::background()), skein::misuse);
    EXPECT_TRUE(hold.try_lock());
  }, 20);
}

// Two who may give up stand before one who will not. One notify comes at the moment when they give up:
// it ends one wait, whichever.
// covers: Y3 L4 X1
TEST_P(condition_variable, no_notify_is_spent_on_one_that_has_given_up) {
  repeat([] {
    skein::mutex m;
    skein::condition_variable cv;
    skein::wait_group impatient;
    skein::wait_group patient;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    int waiting = 0;
    std::atomic<int> notified{0};
    impatient.go([&] {
      lock hold(m);
      ++waiting;
      if (cv.wait_for(hold, 2us) == cv_status::no_timeout) ++notified;
    });
    impatient.go([&, c = ctx] {
      lock hold(m);
      ++waiting;
      if (cv.wait(hold, c)) ++notified;
    });
    const auto wait_until_there_are = [&](int n) {
      for (;; skein::yield()) {
        const std::lock_guard hold(m);
        if (waiting == n) return;
      }
    };
    wait_until_there_are(2);
    patient.go([&] {
      lock hold(m);
      ++waiting;
      cv.wait(hold);
    });
    wait_until_there_are(3);
    impatient.go([&] { cancel(); });
    impatient.go([&] {
      if (simulated()) skein::sleep_for(2us);
      cv.notify_one();
    });
    impatient.wait();
    EXPECT_LE(notified, 1);
    if (notified == 1) cv.notify_one();
    patient.wait();  // asleep for ever if the notify is lost
  });
}

// covers: Y3 L4
TEST_P(condition_variable, tokens_and_waiters_come_out_even) {
  repeat([] {
    skein::mutex m;
    skein::condition_variable cv;
    skein::wait_group wg;
    int tokens = 0;
    const int n = static_cast<int>(rounds(50, 4));
    static std::atomic<std::uint64_t> salt{1};
    for (int k = 0; k < 4; ++k)
      wg.go([&, dice = everywhere::dice(simulated() ? static_cast<std::uint64_t>(k) : ++salt)]() mutable {
        for (int i = 0; i < n; ++i) {
          lock hold(m);
          while (tokens == 0) {
            switch (dice.below(3)) {
              case 0: cv.wait(hold); break;
              case 1: (void)cv.wait_for(hold, std::chrono::nanoseconds(dice.below(3000))); break;
              case 2: {
                const auto d = std::chrono::nanoseconds(dice.below(3000));
                auto [ctx, cancel] = skein::with_timeout(skein::background(), d);
                (void)cv.wait(hold, ctx);
                break;
              }
            }
          }
          --tokens;
        }
      });
    wg.go([&] {
      for (int i = 0; i < 4 * n; ++i) {
        { const std::lock_guard hold(m); ++tokens; }
        cv.notify_one();
        if (i % 3 == 0) skein::sleep_for(1us);
      }
    });
    wg.wait();
    EXPECT_EQ(tokens, 0);
  }, 20);
}

// covers: Y3
TEST_P(condition_variable, may_be_destroyed_once_all_are_notified) {
  repeat([] {
    skein::mutex m;
    auto cv = std::make_unique<skein::condition_variable>();
    skein::wait_group wg;
    int waiting = 0;
    for (int i = 0; i < 3; ++i)
      wg.go([&, i] {
        lock hold(m);
        ++waiting;
        if (i == 0)
          cv->wait(hold);
        else
          EXPECT_EQ(cv->wait_for(hold, 1h), cv_status::no_timeout);
      });
    for (;;) {
      {
        const std::lock_guard hold(m);
        if (waiting == 3) break;
      }
      skein::yield();
    }
    cv->notify_all();
    cv.reset();
    wg.wait();
  });
}

// covers: Y3 R4
TEST_P(condition_variable, threads_and_goroutines_wait_together) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  run([] {
    box b;
    const int n = static_cast<int>(scaled(500));
    std::atomic<long> sum{0};
    std::vector<std::thread> threads;
    skein::wait_group wg;
    threads.emplace_back([&] { for (int i = 1; i <= n; ++i) b.put(i); });
    threads.emplace_back([&] { for (int i = 1; i <= n; ++i) sum += b.take(); });
    wg.go([&] { for (int i = 1; i <= n; ++i) b.put(i); });
    wg.go([&] { for (int i = 1; i <= n; ++i) sum += b.take(); });
    threads.emplace_back([&] {
      lock hold(b.m);
      skein::condition_variable nobody;
      EXPECT_EQ(nobody.wait_for(hold, 1us), cv_status::timeout);
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      cancel();
      EXPECT_FALSE(nobody.wait(hold, ctx));
    });
    wg.wait();
    skein::blocking([&] { for (auto& t : threads) t.join(); });
    EXPECT_EQ(sum, static_cast<long>(n) * (n + 1));
  });
}

}  // namespace
