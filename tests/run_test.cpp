// Starting: run(), and runtimes as objects, alone and several at once.
#include "skein/runtime.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/net/poll.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::at_home;
using everywhere::home_here;
using everywhere::scaled;

using everywhere::thread_id;
using everywhere::with_procs;

struct run : everywhere::on_procs {
  static skein::options options() { return everywhere::with_procs(GetParam()); }
};
SKEIN_ON_PROCS(run);

// covers: R1
TEST_P(run, hands_back_the_int_of_its_function) {
  EXPECT_EQ(skein::run([] { return 42; }, options()), 42);
  EXPECT_EQ(skein::run([] { return -1; }, options()), -1);
  EXPECT_EQ(skein::run([] {}, options()), 0);
}

// covers: R1
TEST_P(run, executes_its_function_on_a_worker_while_the_caller_waits) {
  const int caller = thread_id();
  int worker = caller;
  std::string name;
  skein::run(
      [&] {
        worker = thread_id();
        name = everywhere::thread_name();
      },
      options());
  EXPECT_NE(worker, caller);
  EXPECT_TRUE(name.starts_with("skein/")) << name;
}

// covers: R1
TEST_P(run, an_exception_leaves_it_and_the_next_one_works) {
  try {
    skein::run([]() -> int { throw std::runtime_error("from main"); }, options());
    FAIL() << "no exception";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "from main");
  }
  EXPECT_THROW(skein::run([] { throw 7; }, options()), int);
  EXPECT_EQ(skein::run([] { return 5; }, options()), 5);
}

// covers: R1
TEST(run_function, is_called_in_place_and_may_be_move_only) {
  auto f = [n = std::make_unique<int>(1)]() mutable { return ++*n; };
  EXPECT_EQ(skein::run(f), 2);
  EXPECT_EQ(skein::run(f), 3);
}

// covers: R1
TEST_P(run, on_a_goroutine_is_misuse) {
  skein::run(
      [] {
        EXPECT_THROW(skein::run([] {}), skein::misuse);
        auto t = skein::spawn([] { EXPECT_THROW(skein::run([] { return 1; }), skein::misuse); });
        t.join();
      },
      options());
}

// covers: R1 R3
TEST(run_function, several_threads_may_be_in_it_at_once) {
  std::vector<std::thread> threads;
  std::atomic<int> inside{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      const int got = skein::run(
          [&, i] {
            // Each waits for the others, so that four runtimes live at once.
            for (++inside; inside < 4;) skein::yield();
            skein::chan<int> c;
            skein::go([&] { c.send(i); });
            return c.recv().value();
          },
          with_procs(2));
      EXPECT_EQ(got, i);
    });
  for (auto& t : threads) t.join();
}

// covers: R3 C7
TEST(runtime, goroutines_stay_at_home_while_two_runtimes_exchange_values) {
  skein::runtime one(at_home(1, 2));
  skein::runtime two(at_home(2, 2));
  const skein::chan<int> there;
  const skein::chan<int> back(1);
  const int n = static_cast<int>(scaled(20'000));
  std::atomic<int> strays{0};
  two.go([&, there, back] {
    for (const int v : there) {
      if (home_here() != 2) ++strays;
      back.send(v + 1);
      if (home_here() != 2) ++strays;
    }
    back.close();
  });
  const long sum = one.run([&] {
    long total = 0;
    for (int i = 0; i < n; ++i) {
      there.send(i);
      if (home_here() != 1) ++strays;
      total += back.recv().value();
      if (home_here() != 1) ++strays;
    }
    there.close();
    EXPECT_EQ(back.recv(), std::nullopt);
    return total;
  });
  EXPECT_EQ(sum, static_cast<long>(n) * (n + 1) / 2);
  EXPECT_EQ(strays, 0);
}

// covers: R3 L3
TEST(runtime, goroutines_stay_at_home_when_they_wait_for_what_another_runtime_serves) {
  skein::runtime one(at_home(1, 2));
  skein::runtime two(at_home(2, 2));
  const everywhere::os_pipe p;
  for (std::uint64_t i = scaled(300); i > 0; --i) {
    const auto in_a_moment = std::chrono::microseconds(i % 100);
    auto [ctx, cancel] = one.run([&] { return skein::with_timeout(skein::background(), in_a_moment); });
    const auto timer = one.run([&] { return skein::after(in_a_moment); });
    const auto bytes = one.run([&] { return skein::readable(p.in); });
    two.run([&, ended = ctx.done()] {
      static_cast<void>(timer.recv());
      EXPECT_EQ(home_here(), 2) << "after a timer";
      static_cast<void>(ended.recv());
      EXPECT_EQ(home_here(), 2) << "after a context";
      skein::go([&] { p.put(); });
      static_cast<void>(bytes.recv());
      EXPECT_EQ(home_here(), 2) << "after a descriptor";
      p.take();
    });
  }
}

// covers: R3
TEST(runtime, run_gives_any_result_and_lets_exceptions_out) {
  skein::runtime r(with_procs(2));
  EXPECT_EQ(r.run([] { return std::string("text"); }), "text");
  EXPECT_EQ(*r.run([] { return std::make_unique<int>(3); }), 3);
  EXPECT_THROW(r.run([] { throw std::out_of_range("far"); }), std::out_of_range);
  EXPECT_THROW(r.run([]() -> int { throw 1; }), int);
  EXPECT_EQ(r.run([] { return 4; }), 4);
}

// covers: R3
TEST(runtime, run_may_be_called_from_a_goroutine_of_another) {
  skein::runtime outer(at_home(1, 2));
  skein::runtime inner(at_home(2, 2));
  outer.run([&] {
    EXPECT_EQ(home_here(), 1);
    EXPECT_EQ(inner.run([&] {
      EXPECT_EQ(home_here(), 2);
      return outer.run([] { return home_here(); });
    }), 1);
    EXPECT_EQ(home_here(), 1);
    EXPECT_THROW(inner.run([] { throw std::runtime_error("x"); }), std::runtime_error);
  });
}

// covers: R3
TEST(runtime, goes_on_to_serve_what_run_left_behind) {
  const skein::chan<int> c;
  skein::runtime r(with_procs(1));
  r.run([&] { skein::go([&c] { for (int i = 0;; ++i) c.send(i); }); });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(c.recv(), i);
}

// covers: R3 R8
TEST(runtime, destructor_waits_for_its_workers) {
  for (std::uint64_t i = scaled(100); i > 0; --i) {
    std::atomic<int> running{0};
    skein::options o = with_procs(4);
    o.on_thread_start = [&] { ++running; };
    o.on_thread_stop = [&] { --running; };
    {
      skein::runtime r(o);
      skein::wait_group wg;
      wg.add(20);
      for (int k = 0; k < 20; ++k) r.go([&] { skein::yield(), wg.done(); });
      wg.wait();
    }
    ASSERT_EQ(running, 0);
  }
}

// covers: R3
TEST(runtime, one_after_another_or_nested_lifetimes_do_not_matter) {
  auto first = std::make_unique<skein::runtime>(with_procs(1));
  skein::runtime second(with_procs(1));
  const skein::chan<int> c;
  second.go([c] { c.send(c.recv().value() + 1); });
  first->run([&] { c.send(1); });
  first.reset();
  EXPECT_EQ(c.recv(), 2);
  first = std::make_unique<skein::runtime>(with_procs(1));
  EXPECT_EQ(first->run([&] { return second.run([] { return 3; }); }), 3);
}

}  // namespace
