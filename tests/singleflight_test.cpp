// Singleflight: one execution for all who ask meanwhile, whatever its end and theirs.
#include "skein/singleflight.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "skein/go.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;

// On real processors a caller may have parked for the group's own lock when until_parked() returns, and
// come too late to share; in simulation all have joined.
struct singleflight : everywhere::on_procs {};
SKEIN_EVERYWHERE(singleflight);

// covers: Y9 Y12
TEST_P(singleflight, callers_share_one_execution_and_its_value) {
  repeat([&] {
    skein::singleflight<std::string, std::string> flights;
    skein::chan<skein::unit> gate;
    int runs = 0;
    const std::string made = "a value that is long enough for the heap";
    skein::wait_group wg;
    until_parked(5, [&] {
      for (int i = 0; i < 5; ++i)
        wg.go([&] {
          const auto r = flights.call("key", [&] {
            ++runs;
            gate.recv();
            return made;
          });
          EXPECT_EQ(*r, made);
          EXPECT_TRUE(!simulated() || r.shared());
        });
    });
    gate.close();
    wg.wait();
    EXPECT_TRUE(!simulated() || runs == 1);
    const auto again = flights.call("key", [&] { return std::to_string(++runs); });
    EXPECT_EQ(again.get(), std::to_string(runs));
    EXPECT_FALSE(again.shared());
  });
}

// covers: Y9
TEST_P(singleflight, at_any_moment_each_call_runs_or_shares) {
  repeat([] {
    skein::singleflight<int, int> flights;
    std::atomic<int> inside[3] = {};
    std::atomic<int> runs{0};
    std::atomic<int> unshared{0};
    skein::wait_group wg;
    for (int i = 0; i < 12; ++i)
      wg.go([&, i] {
        const int key = i % 3;
        const auto r = flights.call(key, [&, key] {
          EXPECT_EQ(++inside[key], 1);
          skein::yield();
          --inside[key];
          ++runs;
          return key * 10;
        });
        EXPECT_EQ(*r, key * 10);
        if (!r.shared()) ++unshared;
      });
    wg.wait();
    EXPECT_GE(runs, 3);
    EXPECT_LE(unshared, runs);
  });
}

// covers: Y9
TEST_P(singleflight, an_exception_reaches_all_who_share_it) {
  repeat([] {
    skein::singleflight<int, int> flights;
    skein::chan<skein::unit> gate;
    std::atomic<int> told{0};
    skein::wait_group wg;
    until_parked(4, [&] {
      for (int i = 0; i < 4; ++i)
        wg.go([&] {
          try {
            flights.call(1, [&]() -> int {
              gate.recv();
              throw std::runtime_error("no luck");
            });
          } catch (const std::runtime_error& e) {
            EXPECT_STREQ(e.what(), "no luck");
            ++told;
          }
        });
    });
    const auto c = flights.call_chan(1, []() -> int { throw std::runtime_error("unused"); });
    gate.close();
    wg.wait();
    EXPECT_EQ(told, 4);
    EXPECT_THROW(c.recv()->get(), std::runtime_error);
    EXPECT_EQ(*flights.call(1, [] { return 5; }), 5);
  });
}

// covers: Y9 G4
TEST_P(singleflight, exit_goroutine_ends_the_one_and_is_told_to_the_others) {
  repeat([&] {
    skein::singleflight<int, int> flights;
    skein::chan<skein::unit> gate;
    std::atomic<int> told{0};
    std::atomic<int> returned{0};
    skein::wait_group wg;
    until_parked(4, [&] {
      for (int i = 0; i < 4; ++i)
        wg.go([&] {
          try {
            flights.call(1, [&]() -> int {
              gate.recv();
              skein::exit_goroutine();
            });
            ++returned;
          } catch (const skein::goroutine_exited&) {
            ++told;
          }
        });
    });
    gate.close();
    wg.wait();
    EXPECT_TRUE(!simulated() || told == 3);
    EXPECT_EQ(returned, 0);
    const auto c = flights.call_chan(2, []() -> int { skein::exit_goroutine(); });
    EXPECT_THROW(c.recv()->get(), skein::goroutine_exited);
  });
}

// covers: Y9
TEST_P(singleflight, channels_get_the_result_each_once) {
  repeat([] {
    skein::singleflight<int, std::unique_ptr<int>> flights;
    skein::chan<skein::unit> gate;
    const auto f = [&, own = std::make_shared<int>(7)] {
      gate.recv();
      return std::make_unique<int>(*own);
    };
    const auto a = flights.call_chan(1, f);
    const auto b = flights.call_chan(1, f);
    const auto other = flights.call_chan(2, [] { return std::make_unique<int>(8); });
    EXPECT_EQ(*other.recv()->get(), 8);
    gate.close();
    const auto x = a.recv();
    const auto y = b.recv();
    EXPECT_EQ(x->get(), y->get());  // the same object
    EXPECT_EQ(*x->get(), 7);
    EXPECT_TRUE(x->shared());
    EXPECT_TRUE(a.try_recv().empty());
    const auto mine =
        flights.call_chan(3, [p = std::make_unique<int>(9)]() mutable { return std::move(p); });
    EXPECT_EQ(*mine.recv()->get(), 9);
  });
}

// covers: Y9
TEST_P(singleflight, who_was_told_to_forget_starts_anew) {
  repeat([] {
    skein::singleflight<int, int> flights;
    skein::chan<skein::unit> gate;
    const auto first = flights.call_chan(1, [&] { return gate.recv(), 1; });
    flights.forget(1);
    flights.forget(7);
    const auto second = flights.call_chan(1, [&] { return gate.recv(), 2; });
    const auto third = flights.call_chan(1, [] { return 3; });
    gate.close();
    const auto r1 = first.recv();
    const auto r2 = second.recv();
    const auto r3 = third.recv();
    EXPECT_EQ(r1->get(), 1);
    EXPECT_EQ(r2->get(), 2);
    EXPECT_EQ(r3->get(), 2);
    EXPECT_FALSE(r1->shared());
    EXPECT_TRUE(r2->shared());
    EXPECT_EQ(*flights.call(1, [] { return 4; }), 4);  // nothing is left behind
  });
}

// covers: Y9 X3
TEST_P(singleflight, who_gives_up_leaves_the_others_alone) {
  repeat(
      [] {
        skein::singleflight<int, int> flights;
        skein::chan<skein::unit> gate;
        auto [ctx, cancel] = skein::with_cancel(skein::background());
        std::atomic<int> runs{0};
        const auto f = [&] { return ++runs, gate.recv(), 5; };
        skein::wait_group wg;
        wg.go([&, ctx] { EXPECT_FALSE(flights.call(ctx, 1, f)); });
        wg.go([&] { EXPECT_FALSE(flights.call_for(1us, 1, f)); });
        wg.go([&] { EXPECT_FALSE(flights.call_until(skein::now() + 1us, 1, f)); });
        const auto stays = flights.call_chan(1, f);
        cancel();
        wg.wait();
        EXPECT_FALSE(flights.call(ctx, 2, f));
        EXPECT_LE(runs, 1);
        gate.close();
        EXPECT_EQ(stays.recv()->get(), 5);
        EXPECT_EQ(runs, 1);
        const auto in_time = flights.call_for(1h, 1, f);
        ASSERT_TRUE(in_time);
        EXPECT_EQ(**in_time, 5);
        EXPECT_THROW(flights.call(skein::background(), 1, []() -> int { throw 1; }), int);
      },
      100);
}

// covers: Y9
TEST_P(singleflight, an_execution_outlives_the_group) {
  repeat([] {
    everywhere::tracked::reset();
    {
      skein::chan<skein::unit> gate;
      skein::receiver<skein::flight_result<everywhere::tracked>> c = skein::nil;
      {
        skein::singleflight<int, everywhere::tracked> flights;
        c = flights.call_chan(1, [=, t = everywhere::tracked(3)] { return gate.recv(), t; });
      }
      gate.close();
      EXPECT_EQ(c.recv()->get().value, 3);
    }
    while (skein::num_goroutine() > 1) skein::yield();
    EXPECT_EQ(everywhere::tracked::live(), 0);
  });
}

// collides: all of its keys have the same hash, and comparing them gives way to others.
struct collides {
  std::size_t operator()(int) const { return 1; }
  bool operator()(int a, int b) const { return skein::yield(), a == b; }
};

// covers: Y9 S5
TEST_P(singleflight, keys_are_compared_without_a_lock) {
  repeat(
      [] {
        skein::singleflight<int, void, collides, collides> flights;
        std::atomic<int> inside[3] = {};
        std::atomic<int> runs{0};
        skein::wait_group wg;
        for (int i = 0; i < 9; ++i)
          wg.go([&, key = i % 3] {
            flights.call(key, [&] {
              EXPECT_EQ(++inside[key], 1);
              skein::yield();
              --inside[key];
              ++runs;
            });
            if (key == 2) flights.forget(key + 3);
          });
        wg.wait();
        EXPECT_GE(runs, 3);
      },
      100);
}

// covers: Y9 R4
TEST_P(singleflight, threads_and_goroutines_share_it) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  repeat(
      [] {
        skein::singleflight<int, int> flights;
        std::atomic<int> runs{0};
        skein::wait_group both_here;
        both_here.add(2);
        const auto call = [&] {
          EXPECT_EQ(*flights.call(1, [&] { return both_here.wait(), ++runs, 6; }), 6);
        };
        std::thread plain([&] { both_here.done(), call(); });
        skein::wait_group wg;
        wg.go([&] { both_here.done(), call(); });
        wg.wait();
        skein::blocking([&] { plain.join(); });
        EXPECT_LE(runs, 2);
      },
      30);
}

}  // namespace
