// Tasks: results, exceptions, who runs them, waiting for them.
#include "skein/task.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::scaled;
using everywhere::tracked;
using everywhere::with_procs;

constexpr skein::go_options own_stack{.stack = 128 * 1024};

struct task : everywhere::on_procs {};
SKEIN_EVERYWHERE(task);

// covers: G2 Y12
TEST_P(task, join_gives_the_value) {
  repeat([] {
    int plain = 0;
    auto t = skein::spawn([&] { return ++plain; });
    EXPECT_TRUE(t.valid());
    EXPECT_EQ(t.join(), 1);
    EXPECT_EQ(plain, 1);
    EXPECT_FALSE(t.valid());
    EXPECT_EQ(skein::spawn([] { return std::string("text"); }).join(), "text");
    EXPECT_EQ(*skein::spawn([p = std::make_unique<int>(4)]() mutable { return std::move(p); }).join(), 4);
    EXPECT_EQ(skein::spawn([] { return everywhere::no_default(3); }).join().value, 3);
    skein::spawn([&] { plain = 7; }).join();
    EXPECT_EQ(plain, 7);
  });
}

// covers: G2
TEST_P(task, join_gives_the_very_reference) {
  repeat([] {
    int x = 1;
    for (const skein::go_options& o : {skein::go_options{}, own_stack}) {
      int& r = skein::spawn(o, [&]() -> int& { return x; }).join();
      EXPECT_EQ(&r, &x);
    }
  });
}

// covers: G2
TEST_P(task, join_rethrows_what_left_the_callable) {
  repeat([] {
    for (const skein::go_options& o : {skein::go_options{}, own_stack}) {
      auto t = skein::spawn(o, []() -> int { throw std::out_of_range("far"); });
      try {
        t.join();
        ADD_FAILURE() << "no exception";
      } catch (const std::out_of_range& e) {
        EXPECT_STREQ(e.what(), "far");
      }
      EXPECT_FALSE(t.valid());
      auto u = skein::spawn(o, [] { throw 5; });
      EXPECT_THROW(u.join(), int);
    }
  });
}

// covers: G2
TEST_P(task, joining_twice_or_nothing_is_misuse) {
  repeat([] {
    auto t = skein::spawn([] { return 1; });
    t.join();
    EXPECT_THROW(t.join(), skein::misuse);
    EXPECT_THROW(static_cast<void>(t.done()), skein::misuse);
    skein::task<int> empty;
    EXPECT_FALSE(empty.valid());
    EXPECT_THROW(empty.join(), skein::misuse);
    auto a = skein::spawn([] { return 2; });
    auto b = std::move(a);
    EXPECT_THROW(a.join(), skein::misuse);
    EXPECT_EQ(b.join(), 2);
  });
}

// covers: G2
TEST_P(task, destructor_joins) {
  repeat([] {
    for (const skein::go_options& o : {skein::go_options{}, own_stack}) {
      bool done = false;
      {
        auto t = skein::spawn(o, [&] {
          skein::yield();
          done = true;
        });
      }
      EXPECT_TRUE(done);
      done = false;
      auto t = skein::spawn(o, [&] { skein::yield(), done = true; });
      t = skein::spawn([] {});  // assignment as well
      EXPECT_TRUE(done);
    }
  });
}

// covers: G2
TEST_P(task, destructor_drops_an_exception_and_counts_it) {
  repeat([] {
    const auto before = skein::stats().dropped_exceptions;
    for (const skein::go_options& o : {skein::go_options{}, own_stack}) {
      auto dropped = skein::spawn(o, [] { throw std::runtime_error("nobody asks"); });
      auto taken = skein::spawn(o, [] { throw std::runtime_error("asked for"); });
      EXPECT_THROW(taken.join(), std::runtime_error);
    }
    EXPECT_EQ(skein::stats().dropped_exceptions, before + 2);
  });
}

// covers: G2
TEST_P(task, keeps_and_releases_callable_and_result) {
  repeat([] {
    tracked::reset();
    {
      auto t = skein::spawn([k = tracked(1)] { return tracked(k.value + 1); });
      EXPECT_EQ(t.join().value, 2);
      auto unjoined = skein::spawn(own_stack, [k = tracked(1)] { return tracked(k.value + 1); });
    }
    while (skein::num_goroutine() > 1) skein::yield();
    EXPECT_EQ(tracked::live(), 0);
  });
}

// covers: G2
TEST(task_in_place, one_that_has_not_started_runs_in_its_joiner) {
  skein::run([] {
    const auto parks = skein::stats().parks;
    std::vector<int> order;
    const char here = 0;
    auto t = skein::spawn([&] {
      order.push_back(1);
      const char there = 0;
      // On the joiner's stack, below its frame.
      const auto distance = &here - &there;
      return everywhere::sanitized || (distance > 0 && distance < 16 * 1024);
    });
    order.push_back(0);
    EXPECT_TRUE(t.join());
    order.push_back(2);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(skein::stats().parks, parks);
  }, with_procs(1));
}

// covers: G2 G5
TEST(task_in_place, one_with_a_stack_of_its_own_keeps_it) {
  skein::run([] {
    const auto parks = skein::stats().parks;
    auto t = skein::spawn({.stack = 8 << 20}, [] { return everywhere::dig(6 << 20); });
    EXPECT_GT(t.join(), 0u);
    EXPECT_GT(skein::stats().parks, parks);
  }, with_procs(1));
}

// covers: G2
TEST(task_in_place, recursion_over_tasks_gives_the_right_sum) {
  struct fib {
    static long of(int n) {
      if (n < 2) return n;
      auto left = skein::spawn([n] { return of(n - 1); });
      const long right = of(n - 2);
      return left.join() + right;
    }
  };
  for (const int procs : {1, 2, 4, 8}) skein::run([] { EXPECT_EQ(fib::of(18), 2584); }, with_procs(procs));
}

// covers: G2 X3
TEST_P(task, a_wait_can_be_ended_and_leaves_the_result_to_join) {
  repeat([] {
    const skein::chan<int> go_on;
    auto t = skein::spawn(own_stack, [&] { return go_on.recv().value(); });
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    EXPECT_FALSE(t.wait_for(1us));
    EXPECT_FALSE(t.wait_until(skein::now()));
    skein::wait_group wg;
    until_parked(1, [&] { wg.go([&, c = ctx] { EXPECT_FALSE(t.wait(c)); }); });
    cancel();
    wg.wait();
    EXPECT_FALSE(t.wait(ctx));
    for (int i = 0; i < 2; ++i) wg.go([&] { t.wait(); });
    go_on.send(3);
    wg.wait();
    EXPECT_TRUE(t.wait(ctx));
    EXPECT_TRUE(t.wait_for(-1s));
    EXPECT_TRUE(t.valid());
    EXPECT_EQ(t.join(), 3);
  });
}

// covers: G2 X3
TEST_P(task, a_wait_does_not_throw_what_left_the_callable) {
  repeat([] {
    auto t = skein::spawn([] { throw 5; });
    EXPECT_TRUE(t.wait_for(1h));
    t.wait();
    EXPECT_THROW(t.join(), int);
    EXPECT_THROW(t.wait(), skein::misuse);
    EXPECT_THROW(t.wait_for(1s), skein::misuse);
    EXPECT_THROW(t.wait(skein::background()), skein::misuse);
  });
}

// covers: G2
TEST(task_in_place, a_limited_wait_leaves_it_to_its_goroutine) {
  skein::run(
      [] {
        const auto parks = skein::stats().parks;
        auto t = skein::spawn([] {});
        EXPECT_TRUE(t.wait_for(1h));
        EXPECT_GT(skein::stats().parks, parks);
        const auto after = skein::stats().parks;
        auto u = skein::spawn([] {});
        u.wait();
        EXPECT_EQ(skein::stats().parks, after);
      },
      with_procs(1));
}

// covers: G2 X3 Y12
TEST_P(task, its_end_a_cancel_and_a_time_limit_may_race) {
  repeat([] {
    int made = 0;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    auto t = skein::spawn([&] {
      skein::yield();
      made = 1;
    });
    skein::wait_group wg;
    for (int i = 0; i < 2; ++i)
      wg.go([&, c = ctx] {
        if (t.wait(c)) {
          EXPECT_EQ(made, 1);
        }
      });
    wg.go([&] {
      if (t.wait_for(1us)) {
        EXPECT_EQ(made, 1);
      }
    });
    wg.go([&, c = &cancel] { (*c)(); });
    wg.wait();
    t.join();
    EXPECT_EQ(made, 1);
  });
}

// covers: G2 L3
TEST_P(task, done_stands_in_a_select) {
  repeat([] {
    const skein::chan<int> go_on;
    auto t = skein::spawn(own_stack, [&] { return go_on.recv().value(); });
    const skein::receiver<skein::unit> done = t.done();
    EXPECT_EQ(skein::try_select(recv(done)), -1);
    EXPECT_EQ(skein::select(send(go_on, 3), recv(done)), 0);
    EXPECT_EQ(skein::select(recv(done)), 0);
    EXPECT_EQ(done, t.done());
    EXPECT_EQ(t.join(), 3);
    EXPECT_TRUE(done.try_recv().closed());
    auto ended = skein::spawn(own_stack, [] {});
    while (!ended.done().try_recv().closed()) skein::yield();
    EXPECT_EQ(skein::select(recv(ended.done())), 0);
  });
}

// covers: G2 L3
TEST_P(task, done_is_closed_by_an_exception_too) {
  repeat([] {
    auto t = skein::spawn(own_stack, [] { throw 1; });
    EXPECT_EQ(t.done().recv(), std::nullopt);
    EXPECT_THROW(t.join(), int);
    auto e = skein::spawn(own_stack, [] { skein::exit_goroutine(); });
    EXPECT_EQ(e.done().recv(), std::nullopt);
    EXPECT_THROW(e.join(), skein::goroutine_exited);
  });
}

// covers: G2 Y12
TEST_P(task, its_end_and_its_join_may_race) {
  repeat([] {
    int seen = 0;
    auto inner = skein::spawn([&] { seen = 1; });
    auto outer = skein::spawn(own_stack, [&, t = std::move(inner)]() mutable {
      t.join();
      return seen + 1;
    });
    skein::yield();
    EXPECT_EQ(outer.join(), 2);
  });
}

// covers: G2 R4
TEST(task_and_threads, a_plain_thread_joins) {
  skein::runtime r(with_procs(2));
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([k] {
      for (int i = static_cast<int>(scaled(500)); i > 0; --i) {
        auto t = skein::spawn([k, i] { return k * 1000 + i; });
        ASSERT_EQ(t.join(), k * 1000 + i);
        auto thrower = skein::spawn([] { throw 1; });
        ASSERT_THROW(thrower.join(), int);
        auto dropped = skein::spawn([] { skein::yield(); });
        while (!dropped.wait_for(1ms)) {
        }
      }
    });
  for (auto& t : threads) t.join();
}

// covers: G2 R3
TEST(task_and_threads, a_goroutine_of_another_runtime_joins) {
  skein::runtime one(everywhere::at_home(1, 1));
  skein::runtime two(everywhere::at_home(2, 1));
  one.run([&] {
    for (int i = 0; i < 100; ++i) {
      auto t = two.run([] { return skein::spawn([] { return everywhere::home_here(); }); });
      EXPECT_EQ(t.join(), 2);
    }
  });
}

}  // namespace
