// std::atomic beside goroutines, and waiting for one to change.
#include "skein/atomic_wait.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;

struct atomic_wait : everywhere::on_procs {};
SKEIN_EVERYWHERE(atomic_wait);

// covers: Y11
TEST_P(atomic_wait, atomics_count_among_goroutines) {
  repeat([] {
    std::atomic<int> n{0};
    skein::wait_group wg;
    for (int k = 0; k < 8; ++k)
      wg.go([&] {
        for (int i = 0; i < 20; ++i) {
          n.fetch_add(1, std::memory_order_relaxed);
          if (i % 8 == 0) skein::yield();
        }
      });
    wg.wait();
    EXPECT_EQ(n, 160);
  }, 50);
}

// covers: Y11
TEST_P(atomic_wait, returns_once_the_value_is_another) {
  repeat([] {
    std::atomic<int> a{1};
    skein::atomic_wait(a, 2);
    int plain = 0;
    skein::go([&] {
      plain = 7;
      a.store(2, std::memory_order_release);
      skein::atomic_notify_one(a);
    });
    skein::atomic_wait(a, 1, std::memory_order_acquire);
    EXPECT_EQ(plain, 7);
    EXPECT_EQ(a, 2);
    skein::atomic_notify_all(a);  // to nobody
  });
}

// covers: Y11
TEST_P(atomic_wait, a_notify_without_a_change_wakes_nobody_for_good) {
  repeat([] {
    std::atomic<std::uint8_t> a{0};
    std::atomic<bool> woken{false};
    skein::wait_group wg;
    until_parked(1, [&] {
      wg.go([&] {
        skein::atomic_wait(a, 0);
        woken = true;
      });
    });
    until_parked(1, [&] { skein::atomic_notify_one(a); });
    EXPECT_FALSE(woken);
    a = 1;
    skein::atomic_notify_one(a);
    wg.wait();
    EXPECT_TRUE(woken);
  }, 50);
}

struct two {
  int a, b;
};

// covers: Y11
TEST_P(atomic_wait, works_for_every_kind_of_value) {
  repeat([] {
    const auto both = [](auto before, auto after) {
      std::atomic<decltype(before)> a{before};
      skein::go([&] {
        a = after;
        skein::atomic_notify_one(a);
      });
      skein::atomic_wait(a, before);
    };
    both(false, true);
    both(1.5, 2.5);
    both(static_cast<const char*>(nullptr), "text");
    both(two{1, 2}, two{1, 3});
    both(std::int64_t{1}, std::int64_t{1} << 40);
  }, 50);
}

// covers: Y11
TEST_P(atomic_wait, notify_one_wakes_one_and_notify_all_everybody) {
  repeat([] {
    std::atomic<int> gate{0};
    std::atomic<int> through{0};
    std::atomic<int> other{0};
    skein::wait_group wg;
    until_parked(5, [&] {
      for (int i = 0; i < 4; ++i)
        wg.go([&, i] {
          if (i % 2 == 0)
            skein::atomic_wait(gate, 0);
          else
            EXPECT_TRUE(skein::atomic_wait_for(gate, 0, 1h));
          ++through;
        });
      wg.go([&] {
        skein::atomic_wait(other, 0);
        ++through;
      });
    });
    gate = 1;
    skein::atomic_notify_one(gate);
    while (through == 0) skein::yield();
    for (int i = 0; i < 10; ++i) skein::yield();
    EXPECT_EQ(through, 1);
    skein::atomic_notify_all(gate);
    while (through != 4) skein::yield();
    other = 1;
    skein::atomic_notify_one(other);
    wg.wait();
    EXPECT_EQ(through, 5);
  }, 50);
}

// covers: Y11 L4 D4
TEST(atomic_wait_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    const auto start = skein::now();
    std::atomic<int> a{0};
    EXPECT_FALSE(skein::atomic_wait_for(a, 0, 2ms));
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_FALSE(skein::atomic_wait_until(a, 0, start + 3ms));
    EXPECT_FALSE(skein::atomic_wait_for(a, 0, -1h));
    EXPECT_TRUE(skein::atomic_wait_for(a, 1, -1h));
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
    EXPECT_FALSE(skein::atomic_wait(a, 0, ctx));
    EXPECT_EQ(skein::now() - start, 4ms);
    EXPECT_FALSE(skein::atomic_wait(a, 0, ctx));
    EXPECT_TRUE(skein::atomic_wait(a, 1, ctx)) << "there is nothing to wait for";
    skein::go([&] {
      skein::sleep_for(1ms);
      a = 1;
      skein::sleep_for(1ms);
      skein::atomic_notify_one(a);
    });
    EXPECT_TRUE(skein::atomic_wait_for(a, 0, 1h));
    EXPECT_EQ(skein::now() - start, 6ms);
    skein::go([&] { a = 2; });  // and tells nobody
    EXPECT_TRUE(skein::atomic_wait_for(a, 1, 1ms)) << "it looks once more at the end";
  });
}

// A ring that hands a number round: every step is a store and a notify that must not get lost, beside
// waits that give up.
// covers: Y11 L4 X1
TEST_P(atomic_wait, no_notify_is_lost) {
  repeat([] {
    constexpr int members = 4;
    const int last = static_cast<int>(rounds(400, 12));
    std::atomic<int> turn{0};
    skein::wait_group wg;
    for (int k = 0; k < members; ++k)
      wg.go([&, k] {
        for (;;) {
          const int now = turn.load(std::memory_order_acquire);
          if (now > last) return;
          if (now % members == k) {
            turn.store(now + 1, std::memory_order_release);
            skein::atomic_notify_all(turn);
          } else if (k == 1) {
            (void)skein::atomic_wait_for(turn, now, 1us);
          } else if (k == 2) {
            auto [ctx, cancel] = skein::with_timeout(skein::background(), 1us);
            (void)skein::atomic_wait(turn, now, ctx);
          } else {
            skein::atomic_wait(turn, now);
          }
        }
      });
    wg.wait();
    EXPECT_EQ(turn, last + 1);
  }, 20);
}

// Two who may give up and one who will not wait for a token each; there is one notify for each token.
// covers: Y11 L4
TEST_P(atomic_wait, tokens_and_waiters_come_out_even) {
  repeat([] {
    std::atomic<int> tokens{0};
    skein::wait_group wg;
    const auto take = [&] {
      for (int n = tokens.load();;) {
        if (n == 0) return false;
        if (tokens.compare_exchange_weak(n, n - 1)) return true;
      }
    };
    for (int k = 0; k < 3; ++k)
      wg.go([&, k] {
        while (!take())
          if (k == 0)
            skein::atomic_wait(tokens, 0);
          else
            (void)skein::atomic_wait_for(tokens, 0, std::chrono::microseconds(k));
      });
    wg.go([&] {
      for (int i = 0; i < 3; ++i) {
        skein::sleep_for(1us);
        ++tokens;
        skein::atomic_notify_one(tokens);
      }
    });
    wg.wait();
    EXPECT_EQ(tokens, 0);
  });
}

// The change and its notify come while the waiter is on its way from its look to its sleep.
// covers: Y11 R4
TEST_P(atomic_wait, a_notify_meets_a_waiter_that_is_about_to_sleep) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  run([] {
    const int rounds = static_cast<int>(scaled(5000));
    std::atomic<int> ready{0};
    std::atomic<int> value{0};
    std::thread thread([&] {
      everywhere::dice dice(1);
      for (int i = 1; i <= rounds; ++i) {
        for (int spins = 0; ready.load(std::memory_order_relaxed) < i; ++spins)
          if (spins % 1000 == 999) std::this_thread::yield();
        for (std::uint64_t delay = dice.below(100); delay > 0; --delay) asm volatile("");
        value.store(i, std::memory_order_relaxed);
        skein::atomic_notify_one(value);
      }
    });
    for (int i = 1; i <= rounds; ++i) {
      ready.store(i, std::memory_order_relaxed);
      skein::atomic_wait(value, i - 1, std::memory_order_relaxed);
    }
    skein::blocking([&] { thread.join(); });
  });
}

// covers: Y11 R4
TEST_P(atomic_wait, threads_and_goroutines_wake_each_other) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  run([] {
    std::atomic<int> turn{0};
    const int last = static_cast<int>(scaled(200));
    const auto work = [&](int me) {
      for (int now = turn; now <= last; now = turn) {
        if (now % 2 != me) {
          skein::atomic_wait(turn, now);
          continue;
        }
        ++turn;
        skein::atomic_notify_one(turn);
      }
    };
    std::thread thread([&] { work(0); });
    skein::wait_group wg;
    wg.go([&] { work(1); });
    wg.wait();
    skein::blocking([&] { thread.join(); });
    EXPECT_EQ(turn, last + 1);
  });
}

}  // namespace
