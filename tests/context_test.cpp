// Contexts: the tree, its ends, values and callbacks.
#include "skein/context.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;
using skein::errc;

std::string cause_of(const skein::context& ctx) {
  const std::exception_ptr e = ctx.cause();
  if (e == nullptr) return "none";
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  }
}
std::exception_ptr error(const char* text) { return std::make_exception_ptr(std::runtime_error(text)); }

struct context : everywhere::on_procs {};
SKEIN_EVERYWHERE(context);

// covers: X1
TEST_P(context, background_never_ends) {
  repeat([] {
    for (const skein::context& ctx : {skein::background(), skein::todo(), skein::context()}) {
      EXPECT_TRUE(ctx.done().is_nil());
      EXPECT_FALSE(ctx.err());
      EXPECT_EQ(ctx.cause(), nullptr);
      EXPECT_EQ(ctx.deadline(), std::nullopt);
      EXPECT_EQ(ctx, skein::background());
    }
  }, 5);
}

// covers: X1 Y12
TEST_P(context, cancel_is_seen_by_all_who_wait) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    EXPECT_FALSE(ctx.err());
    EXPECT_TRUE(ctx.done().try_recv().empty());
    int plain = 0;
    skein::wait_group wg;
    for (int i = 0; i < 5; ++i)
      wg.go([&, ctx] {
        EXPECT_EQ(ctx.done().recv(), std::nullopt);
        EXPECT_EQ(plain, 1);
        EXPECT_EQ(ctx.err(), errc::canceled);
      });
    plain = 1;
    cancel();
    EXPECT_EQ(ctx.err(), errc::canceled);
    wg.wait();
    EXPECT_EQ(skein::select(recv(ctx.done())), 0);
  });
}

// covers: X1
TEST_P(context, the_first_cancel_counts) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    cancel(error("first"));
    cancel(error("second"));
    cancel();
    EXPECT_EQ(cause_of(ctx), "first");
    EXPECT_EQ(ctx.err(), errc::canceled);
    EXPECT_EQ(ctx.err().message(), "context canceled");
    auto [plain, cancel_plain] = skein::with_cancel(skein::background());
    cancel_plain();
    EXPECT_THROW(std::rethrow_exception(plain.cause()), std::system_error);
    cancel_plain(error("late"));
    EXPECT_THROW(std::rethrow_exception(plain.cause()), std::system_error);
  }, 20);
}

std::error_code code_of(const skein::context& ctx) {
  try {
    std::rethrow_exception(ctx.cause());
  } catch (const std::system_error& x) {
    return x.code();
  }
}

// covers: X1
TEST_P(context, without_a_cause_it_is_the_error) {
  repeat([] {
    const auto [late, cancel_late] = skein::with_timeout(skein::background(), -1s);
    EXPECT_EQ(code_of(late), errc::deadline_exceeded);
    const auto [parent, cancel] = skein::with_cancel(skein::background());
    const auto [before, cancel_before] = skein::with_timeout(parent, 1h);
    EXPECT_EQ(before.cause(), nullptr);
    cancel();
    const auto [after, cancel_after] = skein::with_cancel(parent);
    for (const skein::context& ctx : {parent, before, after}) EXPECT_EQ(code_of(ctx), errc::canceled);
  }, 20);
}

// covers: X1
TEST_P(context, the_guard_cancels_at_the_end_of_its_scope) {
  repeat([] {
    skein::context kept;
    {
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      kept = ctx;
      auto moved = std::move(cancel);
      EXPECT_FALSE(kept.err());
    }
    EXPECT_EQ(kept.err(), errc::canceled);
    {
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      kept = ctx;
      cancel.release();
    }
    EXPECT_FALSE(kept.err());
  }, 20);
}

// covers: X1 X2
TEST_P(context, parents_end_children_and_not_the_other_way) {
  repeat([] {
    auto [root, cancel_root] = skein::with_cancel(skein::background());
    auto [left, cancel_left] = skein::with_cancel(root);
    auto [right, cancel_right] = skein::with_timeout(root, 1h);
    auto [leaf, cancel_leaf] = skein::with_cancel(left);
    cancel_left(error("left only"));
    EXPECT_EQ(cause_of(leaf), "left only");
    EXPECT_FALSE(root.err());
    EXPECT_FALSE(right.err());
    cancel_root(error("all"));
    EXPECT_EQ(cause_of(right), "all");
    EXPECT_EQ(right.err(), errc::canceled);
    EXPECT_EQ(cause_of(left), "left only");
    auto [late, cancel_late] = skein::with_cancel(root);  // of one that has ended
    EXPECT_EQ(cause_of(late), "all");
    EXPECT_TRUE(late.done().try_recv().closed());
    auto [late_timed, cancel_late_timed] = skein::with_timeout(root, 1h);
    EXPECT_EQ(late_timed.err(), errc::canceled);
  }, 50);
}

// covers: X1 T1 D4
TEST(context_time, deadlines_are_exact_and_inherited) {
  in_simulation([] {
    const auto start = skein::now();
    auto [outer, cancel_outer] = skein::with_timeout(skein::background(), 5ms);
    auto [later, cancel_later] = skein::with_timeout(outer, 1h);
    auto [sooner, cancel_sooner] = skein::with_deadline(outer, start + 2ms);
    auto [plain, cancel_plain] = skein::with_cancel(sooner);
    EXPECT_EQ(outer.deadline(), start + 5ms);
    EXPECT_EQ(later.deadline(), start + 5ms);
    EXPECT_EQ(sooner.deadline(), start + 2ms);
    EXPECT_EQ(plain.deadline(), start + 2ms);
    plain.done().recv();
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_EQ(plain.err(), errc::deadline_exceeded);
    EXPECT_EQ(plain.err().message(), "context deadline exceeded");
    EXPECT_FALSE(outer.err());
    later.done().recv();
    EXPECT_EQ(skein::now() - start, 5ms);
    EXPECT_EQ(outer.err(), errc::deadline_exceeded);
  });
}

// covers: X1 T1
TEST(context_time, deadlines_that_are_over_or_overflow) {
  in_simulation([] {
    for (const auto d : {0s, -1s, std::chrono::seconds::min()}) {
      auto [ctx, cancel] = skein::with_timeout(skein::background(), d);
      EXPECT_EQ(ctx.err(), errc::deadline_exceeded);
      EXPECT_TRUE(ctx.done().try_recv().closed());
    }
    auto [never, cancel] = skein::with_timeout(skein::background(), std::chrono::hours::max());
    skein::sleep_for(24h * 365);
    EXPECT_FALSE(never.err());
  }, 50);
}

// covers: X1
TEST(context_time, causes_of_deadlines) {
  in_simulation([] {
    auto [a, cancel_a] = skein::with_timeout_cause(skein::background(), 1ms, error("too slow"));
    auto [b, cancel_b] = skein::with_deadline_cause(a, skein::now() + 1h, error("never said"));
    auto [c, cancel_c] = skein::with_timeout_cause(skein::background(), 1ms, error("canceled before"));
    cancel_c();
    b.done().recv();
    EXPECT_EQ(cause_of(a), "too slow");
    EXPECT_EQ(cause_of(b), "too slow");
    EXPECT_EQ(a.err(), errc::deadline_exceeded);
    EXPECT_EQ(c.err(), errc::canceled);
    EXPECT_NE(cause_of(c), "canceled before");
  }, 200);
}

struct user {
  using type = std::string;
};
struct number {
  using type = int;
};

// covers: X1
TEST_P(context, values_are_found_up_the_tree_and_shadowed) {
  repeat([] {
    EXPECT_EQ(skein::background().value<user>(), nullptr);
    const auto a = skein::with_value<user>(skein::background(), "ann");
    auto [b, cancel] = skein::with_cancel(a);
    const auto c = skein::with_value<number>(b, 3);
    const auto d = skein::with_value<user>(c, "dan");
    ASSERT_NE(c.value<user>(), nullptr);
    EXPECT_EQ(*c.value<user>(), "ann");
    EXPECT_EQ(*d.value<user>(), "dan");
    EXPECT_EQ(*d.value<number>(), 3);
    EXPECT_EQ(a.value<number>(), nullptr);
    cancel();
    EXPECT_EQ(d.err(), errc::canceled);
    EXPECT_EQ(*d.value<user>(), "dan");  // also afterwards
    EXPECT_FALSE(a.err());
  }, 20);
}

// covers: X1
TEST_P(context, without_cancel_keeps_values_and_never_ends) {
  repeat([] {
    auto [parent, cancel] = skein::with_timeout(skein::with_value<number>(skein::background(), 7), 1h);
    const auto free = skein::without_cancel(parent);
    const auto below = skein::with_value<user>(free, "bob");
    auto [child, cancel_child] = skein::with_cancel(below);
    cancel();
    EXPECT_FALSE(free.err());
    EXPECT_TRUE(free.done().is_nil());
    EXPECT_EQ(free.deadline(), std::nullopt);
    EXPECT_EQ(child.deadline(), std::nullopt);
    EXPECT_EQ(free.cause(), nullptr);
    EXPECT_EQ(*below.value<number>(), 7);
    EXPECT_FALSE(child.err());
    cancel_child();
    EXPECT_EQ(child.err(), errc::canceled);
  }, 20);
}

// covers: X1 X2
TEST_P(context, after_func_runs_once_it_has_ended) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    const skein::chan<int> c;
    const auto stop = skein::after_func(ctx, [&] { c.send(1); });
    EXPECT_TRUE(c.try_recv().empty());
    cancel();
    EXPECT_EQ(c.recv(), 1);  // cancel() has returned: the callback is on a goroutine of its own
    EXPECT_FALSE(stop());
    static_cast<void>(skein::after_func(ctx, [&] { c.send(2); }));  // of one that has ended
    EXPECT_EQ(c.recv(), 2);
  });
}

// covers: X1 X2
TEST(context_without_a_runtime, after_func_runs_in_place) {
  auto [ctx, cancel] = skein::with_cancel(skein::background());
  int ran = 0;
  static_cast<void>(skein::after_func(ctx, [&] { ++ran; }));
  cancel();
  EXPECT_EQ(ran, 1);
  static_cast<void>(skein::after_func(ctx, [&] { ++ran; }));  // of one that has ended
  EXPECT_EQ(ran, 2);
}

// covers: X1 X2
TEST_P(context, after_func_that_was_stopped_does_not_run) {
  repeat([] {
    everywhere::tracked::reset();
    {
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      bool ran = false;
      const auto stop = skein::after_func(ctx, [&ran, k = everywhere::tracked(1)] { ran = true; });
      EXPECT_TRUE(stop());
      EXPECT_FALSE(stop());
      EXPECT_EQ(everywhere::tracked::live(), 0);
      cancel();
      for (int i = 0; i < 3; ++i) skein::yield();
      EXPECT_FALSE(ran);
      EXPECT_TRUE(skein::after_func(skein::background(), [&] { ran = true; })());
    }
    EXPECT_EQ(everywhere::tracked::live(), 0);
  }, 50);
}

}  // namespace
