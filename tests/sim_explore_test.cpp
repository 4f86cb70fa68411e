// What a simulation finds, tells and repeats: leaks, exceptions, expectations, data races, small bodies
// to the last schedule, fake descriptors.
#include <atomic>
#include <functional>
#include <iostream>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/once.hpp"
#include "skein/select.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/task.hpp"
#include "skein/test/fake_fd.hpp"
#include "skein/test/sim.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/found.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::contains;
using everywhere::expect_found;
using everywhere::found;
using everywhere::together;
using skein::test::exhaust;
using skein::test::explore;
using skein::test::explore_options;
using skein::test::failure;
using skein::test::replay;
using skein::test::strategy;
using skein::test::var;

using body = std::function<void()>;

// A body that loses an update if the two goroutines overlap.
void loses_an_update() {
  var<int> hits;
  skein::mutex m;
  const auto read = [&] {
    const std::lock_guard hold(m);
    return hits.load();
  };
  const auto write = [&](int n) {
    const std::lock_guard hold(m);
    hits = n;
  };
  skein::wait_group wg;
  for (int i = 0; i < 2; ++i) wg.go([&] { write(read() + 1); });
  wg.wait();
  if (hits != 2) throw std::runtime_error("lost an update");
}

// covers: D4
TEST(exploration, finds_and_repeats_a_lost_update) { expect_found(loses_an_update, "lost an update"); }

// covers: D4
TEST(exploration, finds_it_with_each_strategy) {
  for (const strategy s : {strategy::random, strategy::pct, strategy::mixed}) {
    const auto what = found(loses_an_update, {.schedules = 10'000, .strategy = s, .depth = 2});
    ASSERT_TRUE(what.has_value()) << static_cast<int>(s);
    EXPECT_THROW(replay(what->seed(), loses_an_update, {.strategy = s, .depth = 2}), failure);
  }
}

// covers: D4
TEST(exploration, tells_who_is_left_at_the_end) {
  expect_found([] {
    const skein::chan<int> c;
    skein::go([c] { c.send(1); });
    static_cast<void>(c.recv_for(1ms));
    const skein::chan<int> other;
    skein::go([other] { other.recv(); });
  }, "left");
  EXPECT_FALSE(found([] { skein::go([] { skein::sleep_for(1h); }); }).has_value()) << "it ends by itself";
  EXPECT_FALSE(found([] { skein::go([] { skein::chan<int>().recv(); }); }, {.leaks = false}).has_value());
}

// covers: D4 R5
TEST(exploration, survives_an_exception_in_a_goroutine) {
  expect_found([] {
    skein::wait_group wg;
    wg.go([] {});
    skein::go([] { throw std::runtime_error("nobody catches it"); });
    wg.wait();
  }, "nobody catches it");
}

// covers: D4
TEST(exploration, asks_for_expectations_that_do_not_throw) {
  int runs = 0;
  bool wrong = false;
  const auto what = found([&] { wrong = ++runs >= 3; }, {.failed = [&] { return wrong; }});
  ASSERT_TRUE(what.has_value());
  EXPECT_EQ(what->seed(), 3u);
}

// covers: D4
TEST(exploration, says_if_a_failure_does_not_repeat) {
  int runs = 0;
  const auto what = found([&] {
    if (++runs == 5) throw std::runtime_error("once");
  });
  ASSERT_TRUE(what.has_value());
  EXPECT_TRUE(contains(what->what(), "did not fail")) << what->what();
  EXPECT_TRUE(contains(what->what(), "something besides the schedule")) << what->what();
}

// covers: D4
TEST(exploration, writes_a_trace_of_operations_objects_and_places) {
  const auto what = found([] {
    const skein::chan<int> a;
    skein::go([a] { a.send(1); });
    skein::sleep_for(3ms);
    a.recv();
    a.recv();
  });
  ASSERT_TRUE(what.has_value());
  for (const char* part : {"g1", "g2", "chan.send #", "chan.recv #", "sleep", "3000000ns", "is started", "fires a deadline",
                           "sim_explore_test+0x", "is left, waiting: chan.recv"})
    EXPECT_TRUE(contains(what->trace(), part)) << part << " is not in\n" << what->trace();
}

// Data races

// covers: D4 C7 Y12
TEST(data_race, is_found_whether_or_not_it_does_harm) {
  expect_found([] {
    var<int> x;
    together([&] { x = 1; }, [&] { x = 1; });
  }, "data race");
  expect_found([] {
    var<int> x;
    together([&] { x = 1; }, [&] { static_cast<void>(x.load()); });
  }, "data race");
  expect_found([] {  // the wrong lock
    var<int> x;
    skein::mutex m, n;
    together([&] { const std::lock_guard hold(m); ++x; }, [&] { const std::lock_guard hold(n); ++x; });
  }, "data race");
  expect_found([] {  // two readers at once, and one writes
    var<int> x;
    skein::shared_mutex m;
    together([&] { m.lock_shared(); ++x; m.unlock_shared(); }, [&] { m.lock_shared(); ++x; m.unlock_shared(); });
  }, "data race");
  expect_found([] {  // the second of two places of a buffer is free before the first receive
    var<int> x;
    const skein::chan<int> c(2);
    together([&] { x = 1; c.send(1); c.send(1); x = 2; }, [&] { c.recv(); static_cast<void>(x.load()); c.recv(); });
  }, "data race");
}

// covers: D4 C7 Y12
TEST(data_race, is_none_where_operations_order) {
  const auto quiet = [](const body& f) {
    const auto what = found(f);
    EXPECT_FALSE(what.has_value()) << what->what();
  };
  quiet([] {  // go, and wait
    var<int> x;
    x = 1;
    together([&] { static_cast<void>(x.load()); }, [&] { static_cast<void>(x.load()); });
    x = 2;
  });
  quiet([] {  // a send and its receive
    var<int> x;
    const skein::chan<int> c;
    together([&] { x = 1; c.send(1); }, [&] { c.recv(); x = 2; });
  });
  quiet([] {  // an unbuffered receive and the end of its send
    var<int> x;
    const skein::chan<int> c;
    together([&] { x = 1; c.recv(); }, [&] { c.send(1); x = 2; });
  });
  quiet([] {
    var<int> x;
    skein::mutex m;
    together([&] { const std::lock_guard hold(m); ++x; }, [&] { const std::lock_guard hold(m); ++x; });
  });
  quiet([] {
    var<int> x;
    skein::shared_mutex m;
    together([&] { m.lock(); ++x; m.unlock(); }, [&] { m.lock_shared(); static_cast<void>(x.load()); m.unlock_shared(); });
  });
  quiet([] {
    var<int> x;
    auto t = skein::spawn([&] { x = 1; });
    t.join();
    x = 2;
  });
  quiet([] {  // once, also for those who find it done
    var<int> x;
    skein::once once;
    const auto get = [&] {
      once.call([&] { x = 1; });
      static_cast<void>(x.load());
    };
    together(get, get);
  });
  quiet([] {  // close, and select
    var<int> x;
    const skein::chan<int> c, never;
    together([&] { x = 1; c.close(); }, [&] {
      skein::select(recv(c, [](auto) {}), recv(never, [](auto) {}));
      x = 2;
    });
  });
}

// covers: D4
TEST(data_race, of_a_variable_outside_of_a_simulation_is_its_owners) {
  var<int> x(3);
  x += 2;
  EXPECT_EQ(x--, 5);
  EXPECT_EQ(x, 4);
  EXPECT_EQ(x.change([](int& n) { return n *= 2; }), 8);
}

// To the last schedule

// Two goroutines of n steps each: as many schedules as there are ways to interleave them, if there are
// preemptions enough.
TEST(exhaustion, runs_each_schedule_once) {
  std::set<std::string> seen;
  const auto total = exhaust([&] {
    std::string order(6, ' ');
    std::atomic<std::size_t> length = 0;
    skein::wait_group wg;
    for (const char name : {'a', 'b'})
      wg.go([&, name] {
        for (int i = 0; i < 3; ++i) {
          skein::test::point();
          order[length++] = name;
        }
      });
    wg.wait();
    seen.insert(order);
  }, {.preemptions = 20});
  EXPECT_TRUE(total.complete);
  EXPECT_EQ(seen.size(), 20u);  // 6 over 3
  std::cout << total.schedules << " schedules\n";
}

// covers: D4
TEST(exhaustion, finds_what_needs_two_preemptions_and_nothing_with_fewer) {
  // The first has to be interrupted between its two steps, and the second between its own.
  const body needs_two = [] {
    std::atomic<int> a = 0, b = 0;
    std::atomic<bool> met = false;
    skein::wait_group wg;
    wg.go([&] { a = 1; skein::test::point(); if (b == 1) met = true; a = 0; skein::test::point(); });
    wg.go([&] { if (a == 1) { b = 1; skein::test::point(); b = 0; } });
    wg.wait();
    if (met) throw std::runtime_error("met");
  };
  EXPECT_NO_THROW(exhaust(needs_two, {.preemptions = 1}));
  try {
    exhaust(needs_two, {.preemptions = 3});
    FAIL() << "not found";
  } catch (const failure& f) {
    EXPECT_EQ(f.schedule().front(), 'x');
    try {
      replay(f.schedule(), needs_two);
      FAIL() << "did not fail again: " << f.what();
    } catch (const failure& again) {
      EXPECT_EQ(again.trace(), f.trace());
    }
  }
}

// covers: D4 L1
TEST(exhaustion, tries_the_cases_of_a_select_in_each_order) {
  std::set<int> taken;
  exhaust([&] {
    const skein::chan<int> a(1), b(1), c(1);
    a.send(0), b.send(1), c.send(2);
    skein::select(recv(a, [&](auto) { taken.insert(0); }), recv(b, [&](auto) { taken.insert(1); }),
                  recv(c, [&](auto) { taken.insert(2); }));
  });
  EXPECT_EQ(taken.size(), 3u);
}

// covers: D4
TEST(exhaustion, stops_at_the_given_number) {
  const auto part = exhaust(loses_an_update, {.preemptions = 1, .most = 2});
  EXPECT_EQ(part.schedules, 2u);
  EXPECT_FALSE(part.complete);
}

// covers: D4 T1
TEST(exhaustion, fires_deadlines_of_one_moment_in_each_order) {
  std::set<std::string> seen;
  exhaust([&] {
    std::string order;
    const skein::timer a(1ms), b(1ms), c(1ms);
    for (int i = 0; i < 3; ++i)
      skein::select(recv(a.chan(), [&](auto) { order += 'a'; }), recv(b.chan(), [&](auto) { order += 'b'; }),
                    recv(c.chan(), [&](auto) { order += 'c'; }));
    seen.insert(order);
  }, {.preemptions = 0});
  EXPECT_EQ(seen.size(), 6u);
}

// covers: D4 Y5
TEST(exploration, switches_before_a_once_is_called) {
  expect_found([] {
    skein::once once;
    int first = 0;
    together([&] { once.call([&] { first = 1; }); }, [&] { skein::test::point(); once.call([&] { first = 2; }); });
    if (first == 2) throw std::runtime_error("the second came first");
  }, "the second came first");
  static skein::once kept;  // from one schedule to the next, and beyond
  int calls = 0;
  explore([&] { kept.call([&] { ++calls; }); });
  kept.call([&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

// Descriptors

// covers: D4
TEST(fake_fd, wakes_whoever_waits_for_it) {
  explore([] {
    skein::test::fake_fd fd;
    skein::wait_group wg;
    std::atomic<bool> told = false;
    wg.go([&] {
      skein::sleep_for(1s);
      told = true;
      fd.set_readable(true);
    });
    skein::wait_readable(fd.number());
    if (!told) throw std::runtime_error("too early");
    skein::wait_readable(fd.number());  // it still is
    fd.set_readable(false);
    if (skein::wait_readable_for(fd.number(), 1s)) throw std::runtime_error("it is not any more");
    fd.set_writable(true);
    skein::select(recv(skein::readable(fd.number()), [](auto) { throw std::runtime_error("not readable"); }),
                  recv(skein::writable(fd.number()), [](auto) {}));
    wg.wait();
  });
}

// covers: D4
TEST(fake_fd, races_with_time_without_losing_anybody) {
  explore([] {
    skein::test::fake_fd fd;
    skein::wait_group wg;
    wg.go([&] {
      skein::sleep_for(1s);
      fd.set_readable(true);
    });
    if (!skein::wait_readable_for(fd.number(), 1s)) skein::wait_readable(fd.number());
    wg.wait();
  });
}

TEST(fake_fd, is_for_simulations_alone) { EXPECT_THROW(skein::test::fake_fd(), skein::misuse); }

}  // namespace
