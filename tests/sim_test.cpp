// The simulation: virtual time, schedules drawn from a seed, faults that name it.
#include "skein/test/sim.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::contains;
using skein::test::explore;
using skein::test::failure;
using skein::test::replay;

// trace_of(seed) is the order in which goroutines take steps.
std::vector<int> trace_of(std::uint64_t seed) {
  everywhere::journal<int> trace;
  replay(seed, [&] {
    skein::wait_group wg;
    skein::mutex m;
    const skein::chan<int> c(1);
    for (int i = 0; i < 4; ++i)
      wg.go([&, i] {
        for (int k = 0; k < 3; ++k) {
          trace.note(i);
          const std::lock_guard hold(m);
          c.send(i);
          skein::test::point();
          trace.note(10 + c.recv().value());
        }
        skein::sleep_for(std::chrono::nanoseconds(i));
        trace.note(100 + i);
      });
    wg.wait();
  });
  return trace.notes();
}

// covers: D4
TEST(simulation, the_same_seed_gives_the_same_schedule) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) EXPECT_EQ(trace_of(seed), trace_of(seed)) << seed;
}

// covers: D4
TEST(simulation, different_seeds_give_different_schedules) {
  std::set<std::vector<int>> seen;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) seen.insert(trace_of(seed));
  EXPECT_GT(seen.size(), 50u);
}

// covers: D4
TEST(simulation, explores_every_seed_asked_for) {
  int bodies = 0;
  explore([&] { ++bodies; }, {.schedules = 321, .first_seed = 5});
  EXPECT_EQ(bodies, 321);
}

// covers: D4
TEST(simulation, finds_a_race_that_needs_one_unlucky_switch) {
  try {
    explore([] {
      std::atomic<int> shared = 0;
      skein::wait_group wg;
      for (int i = 0; i < 2; ++i)
        wg.go([&] {
          const int seen = shared.load();
          skein::test::point();
          shared = seen + 1;
        });
      wg.wait();
      if (shared != 2) throw std::runtime_error("lost an update");
    });
    FAIL() << "not found";
  } catch (const failure& f) {
    EXPECT_TRUE(contains(f.what(), "lost an update")) << f.what();
    EXPECT_TRUE(contains(f.what(), std::to_string(f.seed()))) << f.what();
  }
}

// covers: D4 T1
TEST(simulation, time_is_virtual_and_exact) {
  const auto real = std::chrono::steady_clock::now();
  replay(1, [] {
    const auto start = skein::now();
    skein::sleep_for(1h);
    EXPECT_EQ(skein::now() - start, 1h);
    skein::sleep_for(24h * 365);
    EXPECT_EQ(skein::now() - start, 1h + 24h * 365);
    auto t = skein::spawn([&] {
      skein::sleep_for(5ns);
      return skein::now() - start;
    });
    EXPECT_EQ(t.join(), 1h + 24h * 365 + 5ns);
  });
  EXPECT_LT(std::chrono::steady_clock::now() - real, 1h);
}

// covers: D4
TEST(simulation, time_stands_still_while_anybody_can_run) {
  everywhere::in_simulation([] {
    const auto start = skein::now();
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i) wg.go([] { for (int k = 0; k < 20; ++k) skein::yield(); });
    wg.wait();
    EXPECT_EQ(skein::now(), start);
  }, 200);
}

std::string fault_of(std::uint64_t seed, const std::function<void()>& body, std::uint64_t steps = 10'000) {
  try {
    replay(seed, body, {.max_steps = steps});
  } catch (const failure& f) {
    EXPECT_EQ(f.seed(), seed);
    EXPECT_TRUE(contains(f.what(), std::to_string(seed))) << f.what();
    return f.what();
  }
  ADD_FAILURE() << "no fault reported";
  return "";
}

// covers: D4 D2
TEST(simulation, reports_a_deadlock_with_its_seed) {
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    EXPECT_TRUE(contains(fault_of(seed, [] { skein::chan<int>().recv(); }), "deadlock"));
    EXPECT_TRUE(contains(fault_of(seed, [] {
      skein::mutex a;
      skein::go([&] { a.lock(); });
      skein::sleep_for(1s);
      a.lock();
    }), "deadlock"));
  }
}

// covers: D4
TEST(simulation, reports_a_livelock_with_its_seed) {
  EXPECT_TRUE(contains(fault_of(77, [] { for (;;) skein::yield(); }), "steps"));
  EXPECT_TRUE(contains(fault_of(78, [] {
    skein::go([] { for (;;) skein::sleep_for(1ns); });
    skein::chan<int>().recv();
  }), "steps"));
}

// covers: D4
TEST(simulation, reports_an_exception_of_the_body_with_its_seed) {
  EXPECT_TRUE(contains(fault_of(4711, [] { throw std::runtime_error("what went wrong"); }), "what went wrong"));
  fault_of(4712, [] { throw 1; });
}

// covers: D4 R2
TEST(simulation, leaves_behind_whoever_still_waits_when_the_body_returns) {
  everywhere::in_simulation([] {
    static skein::chan<int> c;
    skein::go([] { c.recv(); });
    skein::go([] { skein::sleep_for(1h); });
    skein::yield();
    EXPECT_LE(skein::num_goroutine(), 3u);
  }, 100);
}

// covers: D4
TEST(simulation, refuses_what_it_cannot_simulate) {
  const everywhere::os_pipe p;
  replay(1, [&] {
    EXPECT_THROW(skein::wait_readable(p.in), skein::misuse);
    EXPECT_THROW(static_cast<void>(skein::readable(p.in)), skein::misuse);
    EXPECT_THROW(replay(2, [] {}), skein::misuse);
    EXPECT_THROW(skein::run([] {}), skein::misuse);
    EXPECT_EQ(skein::procs(), 1);
  });
  skein::run([] { EXPECT_THROW(replay(1, [] {}), skein::misuse); });
}

// covers: D4 R3
TEST(simulation, does_not_disturb_a_runtime_beside_it) {
  skein::runtime r(everywhere::with_procs(2));
  std::atomic<bool> stop{false};
  const skein::chan<int> c;
  r.go([&] {
    while (!stop) skein::yield();
    c.send(1);
  });
  everywhere::in_simulation([] {
    skein::chan<int> own;
    skein::go([&] { own.send(3); });
    EXPECT_EQ(own.recv(), 3);
  }, 100);
  stop = true;
  EXPECT_EQ(c.recv(), 1);
}

}  // namespace
