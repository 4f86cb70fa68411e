// Contexts under load: races of their ends, large families, long chains, nothing left behind.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
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
using everywhere::scaled;
using skein::errc;

struct context_race : everywhere::on_procs {};
SKEIN_EVERYWHERE(context_race);

// covers: X1 X2
TEST_P(context_race, cancels_and_deadlines_have_one_winner) {
  repeat([] {
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1us);
    std::atomic<int> callbacks{0};
    static_cast<void>(skein::after_func(ctx, [&] { ++callbacks; }));
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i) wg.go([&] { cancel(); });
    wg.go([&, ctx] { ctx.done().recv(); });
    wg.wait();
    const auto err = ctx.err();
    EXPECT_TRUE(err == errc::canceled || err == errc::deadline_exceeded);
    while (callbacks == 0) skein::yield();
    for (int i = 0; i < 3; ++i) skein::yield();
    EXPECT_EQ(callbacks, 1);
    EXPECT_EQ(ctx.err(), err);
  }, 200);
}

// covers: X1 X2
TEST_P(context_race, children_born_while_the_parent_ends_end_too) {
  repeat([] {
    auto [root, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    for (int i = 0; i < 4; ++i)
      wg.go([&, root, i] {
        auto [child, cancel_child] = i % 2 == 0 ? skein::with_cancel(root) : skein::with_timeout(root, 1h);
        auto [leaf, cancel_leaf] = skein::with_cancel(child);
        leaf.done().recv();
        EXPECT_EQ(leaf.err(), errc::canceled);
      });
    wg.go([&] { cancel(); });
    wg.wait();
  });
}

// covers: X1 X2
TEST_P(context_race, children_may_go_while_the_parent_ends) {
  repeat([] {
    auto [root, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    for (int i = 0; i < 4; ++i)
      wg.go([&, root] {
        for (int k = 0; k < 5; ++k) {
          auto [child, cancel_child] = skein::with_cancel(root);
          if (k % 2 == 0) cancel_child.release();
          skein::yield();
        }
      });
    wg.go([&] { cancel(); });
    wg.wait();
  }, 100);
}

// covers: X1 X2
TEST_P(context_race, stop_of_after_func_tells_the_truth) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    const auto ran = std::make_shared<std::atomic<int>>(0);
    const auto stop = skein::after_func(ctx, [ran] { ++*ran; });
    auto stopper = skein::spawn({.stack = 64 * 1024}, [&] { return stop(); });
    cancel();
    if (stopper.join()) {
      for (int i = 0; i < 3; ++i) skein::yield();
      EXPECT_EQ(*ran, 0);
    } else {
      while (*ran == 0) skein::yield();
    }
  });
}

// covers: X1 C4 Y1 L4
TEST_P(context_race, operations_under_a_context_lose_nothing_when_it_ends) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    const skein::chan<int> c;
    std::atomic<int> sent{0};
    std::atomic<int> received{0};
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i) {
      wg.go([&, ctx] {
        while (c.send(ctx, 1)) ++sent;
      });
      wg.go([&, ctx] {
        while (c.recv(ctx)) ++received;
      });
    }
    for (int i = 0; i < 5; ++i) skein::yield();
    cancel();
    wg.wait();
    EXPECT_EQ(sent, received);
    EXPECT_FALSE(c.try_send(1));
    EXPECT_TRUE(c.try_recv().empty());
  }, 100);
}

// covers: X2 G4
TEST_P(context_race, afterwards_no_goroutine_is_left) {
  repeat([] {
    const std::size_t before = skein::num_goroutine();
    {
      auto [root, cancel] = skein::with_cancel(skein::background());
      std::vector<skein::cancelable> family;
      for (int i = 0; i < 20; ++i) {
        family.push_back(skein::with_timeout(root, 1h));
        static_cast<void>(skein::after_func(family.back().ctx, [] {}));
      }
      EXPECT_EQ(skein::num_goroutine(), before);
      cancel();
      for (const auto& c : family) EXPECT_EQ(c.ctx.err(), errc::canceled);
    }
    while (skein::num_goroutine() > before) skein::yield();
    EXPECT_EQ(skein::num_goroutine(), before);
  }, 50);
}

// covers: X2
TEST(context_family, of_a_hundred_thousand_ends_in_one_go) {
  skein::run([] {
    const std::size_t n = scaled(100'000);
    auto [root, cancel] = skein::with_cancel(skein::background());
    std::vector<skein::cancelable> children;
    children.reserve(n);
    for (std::size_t i = 0; i < n; ++i)
      children.push_back(i % 3 == 0 ? skein::with_timeout(root, 1h) : skein::with_cancel(root));
    std::atomic<std::size_t> woken{0};
    skein::wait_group wg;
    for (std::size_t i = 0; i < n; i += 10)
      wg.go([&, ctx = children[i].ctx] {
        ctx.done().recv();
        ++woken;
      });
    skein::yield();
    cancel();
    for (const auto& c : children) EXPECT_EQ(c.ctx.err(), errc::canceled);
    wg.wait();
    EXPECT_EQ(woken, (n + 9) / 10);
  }, everywhere::with_procs(2));
}

// covers: X2
TEST(context_chain, a_hundred_thousand_deep_overflows_no_stack) {
  struct depth {
    using type = std::size_t;
  };
  struct other {
    using type = int;
  };
  skein::run([] {
    const std::size_t n = scaled(100'000);
    auto [root, cancel] = skein::with_cancel(skein::background());
    skein::context leaf = root;
    std::vector<skein::cancel_guard> guards;
    for (std::size_t i = 0; i < n; ++i) {
      if (i % 2 == 0) {
        leaf = skein::with_value<depth>(leaf, i);
      } else {
        auto c = skein::with_cancel(leaf);
        c.cancel.release();
        leaf = c.ctx;
      }
    }
    EXPECT_EQ(leaf.value<other>(), nullptr);
    EXPECT_NE(leaf.value<depth>(), nullptr);
    EXPECT_EQ(leaf.deadline(), std::nullopt);
    EXPECT_FALSE(leaf.err());
    cancel();
    leaf.done().recv();
    EXPECT_EQ(leaf.err(), errc::canceled);
    leaf = skein::context();  // the whole chain goes
  });
}

// covers: X1 R4
TEST(context_on_threads, ends_reach_threads_and_goroutines) {
  skein::runtime r(everywhere::with_procs(2));
  for (std::uint64_t i = scaled(200); i > 0; --i) {
    auto [ctx, cancel] = skein::with_timeout(skein::background(), i % 2 == 0 ? skein::duration(1h) : skein::duration(20us));
    const skein::chan<int> c;
    const skein::chan<int> d;
    std::thread plain([&, ctx] { EXPECT_FALSE(c.recv(ctx)); });
    skein::wait_group wg;
    wg.go([&, ctx] { EXPECT_FALSE(d.send(ctx, 1)); });
    if (i % 2 == 0) cancel();
    plain.join();
    wg.wait();
    EXPECT_TRUE(ctx.err());
  }
}

}  // namespace
