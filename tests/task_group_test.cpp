// Task groups: failing together, limits, reuse.
#include "skein/task_group.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "support/everywhere.hpp"

namespace {

using everywhere::throwing;

struct task_group : everywhere::on_procs {};
SKEIN_EVERYWHERE(task_group);

// covers: G3 Y12
TEST_P(task_group, wait_returns_when_all_have_ended) {
  repeat([] {
    skein::task_group g;
    std::vector<int> out(20);
    for (int i = 0; i < 20; ++i) g.go([&, i] { out[static_cast<std::size_t>(i)] = i + 1; });
    g.wait();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], i + 1);
    EXPECT_EQ(g.context(), skein::background());
  });
}

// covers: G3
TEST_P(task_group, wait_rethrows_a_failure_once_and_all_have_run) {
  repeat([] {
    skein::task_group g;
    std::atomic<int> ran{0};
    for (int i = 0; i < 10; ++i)
      g.go([&, i] {
        ++ran;
        if (i == 3) throw std::runtime_error("three");
      });
    EXPECT_THROW(g.wait(), std::runtime_error);
    EXPECT_EQ(ran, 10);
    g.wait();  // taken
  });
}

// covers: G3 T1
TEST(task_group_order, the_first_failure_wins) {
  everywhere::in_simulation([] {
    skein::task_group g;
    for (int i = 5; i > 0; --i)
      g.go([i] {
        skein::sleep_for(std::chrono::milliseconds(i));
        throw i;
      });
    try {
      g.wait();
      ADD_FAILURE();
    } catch (int i) {
      EXPECT_EQ(i, 1);
    }
  });
}

// covers: G3 X1
TEST_P(task_group, the_first_failure_cancels_its_context) {
  repeat([] {
    skein::task_group g(skein::background());
    const skein::context ctx = g.context();
    EXPECT_NE(ctx, skein::background());
    std::atomic<int> canceled{0};
    const skein::chan<int> c;
    for (int i = 0; i < 5; ++i)
      g.go([&] {
        if (!c.recv(ctx)) ++canceled;
        EXPECT_EQ(ctx.err(), skein::errc::canceled);
      });
    g.go([] { throw std::runtime_error("broken"); });
    EXPECT_THROW(g.wait(), std::runtime_error);
    EXPECT_EQ(canceled, 5);
    try {
      std::rethrow_exception(ctx.cause());
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "broken");
    }
  });
}

// covers: G3 X1
TEST_P(task_group, the_end_of_wait_cancels_its_context) {
  repeat([] {
    auto [parent, cancel] = skein::with_cancel(skein::background());
    skein::task_group g(parent);
    g.go([&] { EXPECT_FALSE(g.context().err()); });
    g.wait();
    EXPECT_EQ(g.context().err(), skein::errc::canceled);
    EXPECT_FALSE(parent.err());
  });
}

// covers: G3 X1
TEST_P(task_group, the_parents_end_reaches_the_group) {
  repeat([] {
    auto [parent, cancel] = skein::with_cancel(skein::background());
    skein::task_group g(parent);
    g.go([&] { g.context().done().recv(); });
    cancel();
    g.wait();
    EXPECT_EQ(g.context().err(), skein::errc::canceled);
  });
}

// gauge: how many are inside at once, and the most there ever were.
struct gauge {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  void visit() {
    const int n = ++inside;
    for (int seen = most; seen < n && !most.compare_exchange_weak(seen, n);) {
    }
    skein::yield();
    --inside;
  }
};

// covers: G3
TEST_P(task_group, a_limit_is_kept) {
  repeat([] {
    for (const int limit : {1, 2, 5}) {
      skein::task_group g;
      g.set_limit(static_cast<std::size_t>(limit));
      gauge busy;
      std::atomic<int> ran{0};
      for (int i = 0; i < 20; ++i) g.go([&] { busy.visit(), ++ran; });
      g.wait();
      EXPECT_EQ(ran, 20);
      EXPECT_LE(busy.most, limit);
    }
  }, 50);
}

// covers: G3
TEST_P(task_group, a_limit_is_used_up_to_its_end) {
  repeat([] {
    skein::task_group g;
    g.set_limit(3);
    skein::wait_group all_here;
    all_here.add(3);
    for (int i = 0; i < 3; ++i)
      g.go([&] {
        all_here.done();
        all_here.wait();
      });
    g.wait();
  });
}

// covers: G3
TEST_P(task_group, try_go_starts_only_below_the_limit) {
  repeat([] {
    skein::task_group g;
    EXPECT_TRUE(g.try_go([] {}));
    g.wait();
    g.set_limit(2);
    skein::chan<int> gate;
    std::atomic<int> ran{0};
    const auto f = [&] { gate.recv(), ++ran; };
    EXPECT_TRUE(g.try_go(f));
    EXPECT_TRUE(g.try_go(f));
    EXPECT_FALSE(g.try_go(f));
    gate.send(0);
    while (!g.try_go(f)) skein::yield();
    gate.close();
    g.wait();
    EXPECT_EQ(ran, 3);
  });
}

// covers: G3
TEST_P(task_group, set_limit_while_running_is_misuse) {
  repeat([] {
    skein::task_group g;
    skein::chan<int> gate;
    g.go([&] { gate.recv(); });
    EXPECT_THROW(g.set_limit(3), skein::misuse);
    gate.close();
    g.wait();
    g.set_limit(3);
    EXPECT_THROW(g.set_limit(0), skein::misuse);
    g.go([] {});
    g.wait();
  });
}

// covers: G3
TEST_P(task_group, a_limit_can_be_lifted) {
  repeat(
      [] {
        skein::task_group g;
        g.set_limit(1);
        g.set_limit(skein::task_group::no_limit);
        skein::wait_group all_here;
        all_here.add(5);
        for (int i = 0; i < 5; ++i) g.go([&] { all_here.done(), all_here.wait(); });
        g.wait();
      },
      50);
}

// covers: G3 X3
TEST_P(task_group, who_gives_up_starts_nothing_and_waits_no_longer) {
  repeat(
      [] {
        using namespace std::chrono_literals;
        auto [ctx, cancel] = skein::with_cancel(skein::background());
        skein::task_group g;
        EXPECT_TRUE(g.go(ctx, [] {}));
        g.wait();
        g.set_limit(1);
        skein::chan<int> gate;
        std::atomic<int> ran{0};
        const auto f = [&] { ++ran, gate.recv(); };
        EXPECT_TRUE(g.go(ctx, f));
        EXPECT_FALSE(g.go_for(1us, f));
        EXPECT_FALSE(g.go_until(skein::now() + 1us, f));
        EXPECT_FALSE(g.wait_for(1us));
        EXPECT_FALSE(g.wait_until(skein::now() + 1us));
        skein::go([&] { cancel(); });
        EXPECT_FALSE(g.go(ctx, f));
        EXPECT_FALSE(g.wait(ctx));
        gate.close();
        EXPECT_TRUE(g.go_for(1h, [] { throw 5; }));
        EXPECT_THROW(g.wait_for(1h), int);
        EXPECT_TRUE(g.wait(skein::background()));
        EXPECT_EQ(ran, 1);
      },
      100);
}

// covers: G3
TEST_P(task_group, can_be_used_again) {
  repeat([] {
    skein::task_group g;
    g.set_limit(2);
    for (int round = 0; round < 5; ++round) {
      std::atomic<int> ran{0};
      for (int i = 0; i < 5; ++i)
        g.go([&, i] {
          ++ran;
          if (round % 2 == 1 && i == 2) throw round;
        });
      if (round % 2 == 1)
        EXPECT_THROW(g.wait(), int);
      else
        EXPECT_NO_THROW(g.wait());
      EXPECT_EQ(ran, 5);
    }
  }, 100);
}

// covers: G3 G1
TEST_P(task_group, a_copy_that_throws_counts_for_nothing) {
  repeat([] {
    throwing::reset();
    skein::task_group g;
    g.set_limit(1);
    {
      const throwing t(1);
      const auto f = [t] { EXPECT_EQ(t.value, 1); };
      for (int i = 1; i <= 3; ++i) {
        throwing::on_copy(i);
        throwing::on_move(4 - i);
        try {
          g.go(f);
        } catch (const throwing::error&) {
        }
        throwing::on_copy(0);
        throwing::on_move(0);
        g.wait();
      }
      int ran = 0;
      EXPECT_TRUE(g.try_go([&] { ++ran; }));  // the place was given back
      g.wait();
      EXPECT_EQ(ran, 1);
    }
    while (skein::num_goroutine() > 1) skein::yield();
    EXPECT_EQ(throwing::live(), 0);
  }, 50);
}

// covers: G3 G4
TEST_P(task_group, exit_goroutine_ends_a_member_like_a_return) {
  repeat([] {
    skein::task_group g;
    g.set_limit(1);
    g.go([] { skein::exit_goroutine(); });
    g.go([] {});
    g.wait();
  });
}

// covers: G3
TEST_P(task_group, destructor_waits_and_drops_a_failure) {
  repeat([] {
    std::atomic<int> ran{0};
    {
      skein::task_group g;
      for (int i = 0; i < 5; ++i)
        g.go([&] {
          skein::yield();
          ++ran;
          throw 1;
        });
    }
    EXPECT_EQ(ran, 5);
  });
}

}  // namespace
