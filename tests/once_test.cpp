// Once: exactly one call, for everybody, with its exceptions.
#include "skein/once.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
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
using everywhere::tracked;

struct once : everywhere::on_procs {
  template <class F> static void crowd(int n, const F& f) {
    skein::wait_group wg;
    for (int i = 0; i < n; ++i) wg.go([&f] { f(); });
    wg.wait();
  }
};
SKEIN_EVERYWHERE(once);

// covers: Y5 Y12
TEST_P(once, runs_one_function_and_all_see_its_end) {
  repeat([] {
    skein::once o;
    int calls = 0;
    std::string made;
    crowd(8, [&] {
      o.call([&] {
        ++calls;
        skein::yield();
        made = "ready, and long enough to live on the heap";
      });
      EXPECT_FALSE(made.empty());
    });
    o.call([&] { ++calls; });
    EXPECT_EQ(calls, 1);
  });
}

// covers: Y5
TEST_P(once, counts_a_call_that_threw_and_tells_that_caller_alone) {
  repeat([] {
    skein::once o;
    std::atomic<int> calls{0};
    std::atomic<int> told{0};
    crowd(5, [&] {
      try {
        o.call([&] {
          ++calls;
          skein::yield();
          throw std::runtime_error("failed");
        });
      } catch (const std::runtime_error&) {
        ++told;
      }
    });
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(told, 1);
    o.call([] { FAIL() << "once more"; });
  });
}

// covers: Y5 G4
TEST_P(once, counts_a_call_that_ended_its_goroutine) {
  repeat([] {
    skein::once o;
    std::atomic<int> passed{0};
    crowd(5, [&] {
      o.call([] { skein::exit_goroutine(); });
      ++passed;
    });
    EXPECT_EQ(passed, 4);
  });
}

// covers: Y5 X3
TEST_P(once, a_call_that_waits_can_be_ended) {
  repeat([] {
    skein::once o;
    const skein::chan<skein::unit> finish;
    const auto never = [] { FAIL() << "a second function"; };
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    until_parked(1, [&] { wg.go([&] { o.call([&] { finish.recv(); }); }); });
    EXPECT_FALSE(o.call_for(1us, never));
    EXPECT_FALSE(o.call_until(skein::now(), never));
    until_parked(1, [&] { wg.go([&, c = ctx] { EXPECT_FALSE(o.call(c, never)); }); });
    cancel();
    EXPECT_FALSE(o.call(ctx, never));
    finish.close();
    wg.wait();
    EXPECT_TRUE(o.call(ctx, never));
    EXPECT_TRUE(o.call_for(-1s, never));
  });
}

// covers: Y5 X3
TEST_P(once, an_ended_context_does_not_keep_the_first_function_from_running) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    cancel();
    int calls = 0;
    skein::once by_context;
    EXPECT_TRUE(by_context.call(ctx, [&] { ++calls; }));
    skein::once by_time;
    EXPECT_TRUE(by_time.call_for(-1s, [&] { ++calls; }));
    EXPECT_EQ(calls, 2);
  });
}

// covers: Y5 Y12 X3
TEST_P(once, its_end_and_a_cancel_may_race) {
  repeat([] {
    skein::once o;
    int made = 0;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    wg.go([&] {
      o.call([&] {
        skein::yield();
        made = 1;
      });
    });
    for (int i = 0; i < 3; ++i)
      wg.go([&, c = ctx] {
        if (o.call(c, [&] { made = 1; })) {
          EXPECT_EQ(made, 1);
        }
      });
    wg.go([&, c = &cancel] { (*c)(); });
    wg.wait();
    o.call([] { FAIL() << "once more"; });
  });
}

// covers: Y5
TEST_P(once, several_of_them_are_independent) {
  repeat([] {
    skein::once outer;
    skein::once inner;
    int order = 0;
    outer.call([&] { inner.call([&] { order = order * 10 + 1; }), order = order * 10 + 2; });
    EXPECT_EQ(order, 12);
  });
}

// covers: Y5
TEST_P(once, once_func_runs_once_and_drops_what_it_ran) {
  repeat([] {
    tracked::reset();
    std::atomic<int> calls{0};
    const auto f = skein::once_func([&, t = tracked(1)] { calls += t.value; });
    const auto same = f;
    EXPECT_EQ(tracked::live(), 1);
    crowd(5, f);
    same();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(tracked::live(), 0);
  });
}

// covers: Y5
TEST_P(once, once_func_throws_the_same_to_everybody) {
  repeat([] {
    std::atomic<int> calls{0};
    std::atomic<int> told{0};
    const auto f = skein::once_func([&] {
      ++calls;
      skein::yield();
      throw std::out_of_range("always");
    });
    crowd(5, [&] {
      try {
        f();
      } catch (const std::out_of_range& e) {
        EXPECT_STREQ(e.what(), "always");
        ++told;
      }
    });
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(told, 5);
  });
}

// covers: Y5 Y12
TEST_P(once, once_value_computes_once) {
  repeat([] {
    std::atomic<int> calls{0};
    const auto value = skein::once_value([&, p = std::make_unique<int>(41)] {
      ++calls;
      skein::yield();
      return std::make_unique<int>(*p + 1);
    });
    crowd(5, [&] { EXPECT_EQ(*value(), 42); });
    EXPECT_EQ(&value(), &value());
    EXPECT_EQ(calls, 1);
  });
}

// covers: Y5
TEST_P(once, once_value_throws_the_same_to_everybody) {
  repeat([] {
    int calls = 0;
    const auto value = skein::once_value([&]() -> int {
      ++calls;
      throw std::runtime_error("no value");
    });
    for (int i = 0; i < 3; ++i) EXPECT_THROW(value(), std::runtime_error);
    EXPECT_EQ(calls, 1);
  });
}

// covers: Y5 G4
TEST_P(once, once_func_and_once_value_left_by_exit_goroutine_have_no_result) {
  repeat([] {
    tracked::reset();
    std::atomic<int> calls{0};
    std::atomic<int> told{0};
    const auto leave = [&, t = tracked(1)] {
      calls += t.value;
      skein::yield();
      skein::exit_goroutine();
      return 1;
    };
    const auto func = skein::once_func(leave);
    const auto value = skein::once_value(leave);
    EXPECT_EQ(tracked::live(), 3);
    for (const std::function<void()>& f :
         {std::function<void()>(func), std::function<void()>([&] { value(); })})
      crowd(5, [&] {
        try {
          f();
          ADD_FAILURE() << "a result";
        } catch (const skein::goroutine_exited&) {
          ++told;
        }
      });
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(told, 8);
    EXPECT_EQ(tracked::live(), 1);
  });
}

// covers: Y5 G4 R4
TEST(once_on_threads, hear_of_an_exit_goroutine_by_an_exception) {
  skein::runtime r(everywhere::with_procs(1));
  const auto f = skein::once_func([] { skein::exit_goroutine(); });
  r.run([&] {
    skein::wait_group wg;
    wg.go(f);
    wg.wait();
  });
  EXPECT_THROW(f(), skein::goroutine_exited);
}

// covers: Y5 R4
TEST_P(once, threads_and_goroutines_share_it) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  repeat([] {
    skein::once o;
    int calls = 0;
    const auto call = [&] {
      o.call([&] { ++calls; });
      EXPECT_EQ(calls, 1);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back(call);
    crowd(3, call);
    skein::blocking([&] { for (auto& t : threads) t.join(); });
  }, 30);
}

}  // namespace
