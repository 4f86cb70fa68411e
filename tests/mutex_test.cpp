// Mutexes: exclusion, forms, misuse, fairness, and hand-overs that nobody loses.
#include "skein/mutex.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;

struct mutex : everywhere::on_procs {};
SKEIN_EVERYWHERE(mutex);

// covers: Y1 Y12
TEST_P(mutex, keeps_all_but_one_out) {
  repeat([] {
    skein::mutex m;
    long plain = 0;
    skein::wait_group wg;
    const int n = static_cast<int>(rounds(500, 3));
    for (int k = 0; k < 5; ++k)
      wg.go([&] {
        for (int i = 0; i < n; ++i) {
          const std::lock_guard hold(m);
          const long seen = plain;
          if (i % 16 == 0) skein::yield();
          plain = seen + 1;
        }
      });
    wg.wait();
    EXPECT_EQ(plain, 5L * n);
  }, 20);
}

// covers: Y1
TEST_P(mutex, works_with_the_standards_guards) {
  repeat([] {
    skein::mutex a;
    skein::mutex b;
    skein::wait_group wg;
    int both = 0;
    wg.go([&] {
      for (int i = 0; i < 5; ++i) {
        const std::scoped_lock hold(a, b);
        ++both;
      }
    });
    wg.go([&] {
      for (int i = 0; i < 5; ++i) {
        const std::scoped_lock hold(b, a);
        ++both;
      }
    });
    wg.wait();
    EXPECT_EQ(both, 10);
    std::unique_lock u(a);
    EXPECT_FALSE(a.try_lock());
    u.unlock();
    EXPECT_TRUE(u.try_lock());
    u.unlock();
    const std::unique_lock<skein::mutex> timed(a, 1h);
    EXPECT_TRUE(timed.owns_lock());
    EXPECT_EQ(std::try_lock(b, a), 1);
  }, 50);
}

// covers: Y1
TEST_P(mutex, may_be_unlocked_by_another) {
  repeat([] {
    skein::mutex m;
    m.lock();
    skein::go([&] { m.unlock(); });
    m.lock();
    EXPECT_FALSE(m.try_lock());
    m.unlock();
  });
}

// covers: Y1
TEST_P(mutex, unlock_of_an_unlocked_one_is_misuse) {
  repeat([] {
    skein::mutex m;
    EXPECT_THROW(m.unlock(), skein::misuse);
    m.lock();
    m.unlock();
    EXPECT_THROW(m.unlock(), skein::misuse);
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }, 20);
}

// covers: Y1 L4 D4
TEST(mutex_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    const auto start = skein::now();
    skein::mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_for(2ms));
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_FALSE(m.try_lock_until(start + 3ms));
    EXPECT_EQ(skein::now() - start, 3ms);
    EXPECT_FALSE(m.try_lock_for(0s));
    EXPECT_FALSE(m.try_lock_for(-1h));
    EXPECT_FALSE(m.try_lock_until(skein::time_point::min()));
    EXPECT_EQ(skein::now() - start, 3ms);
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
    EXPECT_FALSE(m.lock(ctx));
    EXPECT_EQ(skein::now() - start, 4ms);
    m.unlock();
    EXPECT_FALSE(m.lock(ctx)) << "the context has ended";
    EXPECT_TRUE(m.lock(skein::background()));
    skein::go([&] {
      skein::sleep_for(1ms);
      m.unlock();
    });
    EXPECT_TRUE(m.try_lock_for(1h));
    EXPECT_EQ(skein::now() - start, 5ms);
    m.unlock();
  });
}

// covers: Y1 C6
TEST(mutex_order, hands_over_in_order_once_somebody_has_starved) {
  in_simulation([] {
    skein::mutex m;
    std::vector<int> order;
    skein::wait_group wg;
    m.lock();
    for (int i = 0; i < 4; ++i) {
      wg.go([&, i] {
        m.lock();
        order.push_back(i);
        skein::sleep_for(2ms);  // long enough that the next one starves
        m.unlock();
      });
      skein::sleep_for(1us);  // they queue in this order
    }
    m.unlock();
    wg.wait();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  });
}

// covers: Y1
TEST(mutex_order, one_who_takes_it_again_and_again_starves_nobody) {
  in_simulation([] {
    skein::mutex m;
    int taken_by_the_hog = 0;
    bool served = false;
    m.lock();
    skein::wait_group wg;
    wg.go([&] {
      m.lock();
      served = true;
      m.unlock();
    });
    skein::sleep_for(1ns);  // it waits now
    const auto start = skein::now();
    while (!served) {
      skein::sleep_for(100us);
      m.unlock();
      m.lock();
      ++taken_by_the_hog;
    }
    // It waits a millisecond, is woken, loses once more at most, and is then handed the lock.
    EXPECT_LE(skein::now() - start, 1300us);
    EXPECT_LE(taken_by_the_hog, 14);
    m.unlock();
    wg.wait();
  });
}

// covers: Y1
TEST_P(mutex, many_hogs_leave_a_chance_to_everybody) {
  run([] {
    skein::mutex m;
    std::atomic<bool> stop{false};
    skein::wait_group hogs;
    for (int k = 0; k < 3; ++k)
      hogs.go([&] {
        while (!stop) {
          const std::lock_guard hold(m);
          skein::yield();
        }
      });
    skein::wait_group wg;
    for (int k = 0; k < 3; ++k)
      wg.go([&] {
        for (std::uint64_t i = rounds(100, 3); i > 0; --i) {
          const std::lock_guard hold(m);
          skein::yield();
        }
      });
    wg.wait();
    stop = true;
    hogs.wait();
  });
}

// struggle(m, rolls) is one of many who lock m in every way there is, and count under it.
void struggle(skein::mutex& m, long& plain, std::atomic<long>& locked, everywhere::dice dice, int rolls) {
  for (int i = 0; i < rolls; ++i) {
    bool mine = true;
    switch (dice.below(5)) {
      case 0: m.lock(); break;
      case 1: mine = m.try_lock(); break;
      case 2: mine = m.try_lock_for(std::chrono::nanoseconds(dice.below(3000))); break;
      case 3: {
        auto [ctx, cancel] = skein::with_timeout(skein::background(), std::chrono::nanoseconds(dice.below(3000)));
        mine = m.lock(ctx);
        break;
      }
      case 4: {
        auto [ctx, cancel] = skein::with_cancel(skein::background());
        auto canceler = skein::spawn({.stack = 64 * 1024}, [&] { cancel(); });
        mine = m.lock(ctx);
        break;
      }
    }
    if (!mine) continue;
    const long seen = plain;
    if (dice.one_in(4)) skein::yield();
    if (dice.one_in(16)) skein::sleep_for(2us);
    plain = seen + 1;
    locked.fetch_add(1, std::memory_order_relaxed);
    m.unlock();
  }
}

// covers: Y1 L4 X1
TEST_P(mutex, time_outs_and_cancels_lose_no_hand_over) {
  repeat([] {
    skein::mutex m;
    long plain = 0;
    std::atomic<long> locked{0};
    static std::atomic<std::uint64_t> salt{1};
    skein::wait_group wg;
    for (int k = 0; k < 5; ++k)
      wg.go([&, dice = everywhere::dice(simulated() ? static_cast<std::uint64_t>(k) : ++salt)] {
        struggle(m, plain, locked, dice, static_cast<int>(rounds(100, 4)));
      });
    wg.wait();
    EXPECT_EQ(plain, locked);
    EXPECT_TRUE(m.try_lock()) << "somebody owns it who is not there";
    m.unlock();
  }, 20);
}

// covers: Y1 R4
TEST_P(mutex, threads_and_goroutines_take_turns) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  run([] {
    skein::mutex m;
    long plain = 0;
    const int n = static_cast<int>(scaled(2000));
    std::vector<std::thread> threads;
    skein::wait_group wg;
    const auto work = [&] {
      for (int i = 0; i < n; ++i) {
        if (i % 3 != 0)
          m.lock();
        else
          while (!m.try_lock_for(1ms)) {
          }
        plain = plain + 1;
        m.unlock();
      }
    };
    for (int k = 0; k < 2; ++k) threads.emplace_back(work);
    for (int k = 0; k < 3; ++k) wg.go(work);
    wg.wait();
    skein::blocking([&] { for (auto& t : threads) t.join(); });
    EXPECT_EQ(plain, 5L * n);
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

}  // namespace
