// Starting goroutines: callables, arguments, stacks, order, counting.
#include "skein/go.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace skein::literals;
using everywhere::throwing;
using everywhere::tracked;

struct go : everywhere::on_procs {};
SKEIN_EVERYWHERE(go);

// covers: G1 Y12
TEST_P(go, runs_what_it_is_given_after_what_came_before) {
  repeat([] {
    int before = 0;
    skein::chan<int> c;
    before = 1;
    skein::go([&] { c.send(before + 1); });
    EXPECT_EQ(c.recv(), 2);
  });
}

// A race detector has room for 65,536 calls on a stack: the goroutines that ended there must have left none.
// covers: G1
TEST(goroutines, leave_nothing_on_the_stack_that_they_had) {
  constexpr int many = 70'000;
  int n = 0;
  skein::run(
      [&] {
        for (int i = 0; i < many; ++i) {
          skein::wait_group one;
          one.go([&] { ++n; });
          one.wait();
        }
      },
      everywhere::with_procs(1));
  EXPECT_EQ(n, many);
}

int add(int a, int b) { return a + b; }
struct adder {
  int base;
  void to(skein::chan<int> c, int n) const { c.send(base + n); }
};

// covers: G1
TEST_P(go, takes_functions_members_and_move_only_callables) {
  repeat([] {
    const skein::chan<int> c;
    skein::go([](auto f, int a, int b, skein::chan<int> to) { to.send(f(a, b)); }, &add, 1, 2, c);
    EXPECT_EQ(c.recv(), 3);
    skein::go(&adder::to, adder{10}, c, 5);
    EXPECT_EQ(c.recv(), 15);
    auto owned = std::make_unique<int>(7);
    skein::go([c, p = std::move(owned)] { c.send(*p); });
    EXPECT_EQ(c.recv(), 7);
    skein::go([c](std::unique_ptr<int> p) { c.send(*p); }, std::make_unique<int>(8));
    EXPECT_EQ(c.recv(), 8);
    skein::go([c, n = 0]() mutable { c.send(++n); });
    EXPECT_EQ(c.recv(), 1);
  }, 50);
}

// covers: G1
TEST_P(go, copies_arguments_in_the_caller) {
  repeat([] {
    const skein::chan<int> c;
    int n = 1;
    std::string s = "as it was at the call, and long enough for the heap";
    skein::go([c](int v, const std::string& text) { c.send(v + static_cast<int>(text.size())); }, n, s);
    const int expected = n + static_cast<int>(s.size());
    n = 100;
    s.clear();
    EXPECT_EQ(c.recv(), expected);
    const char text[] = "decays";
    skein::go([c](const char* t) { c.send(t[0]); }, text);
    EXPECT_EQ(c.recv(), 'd');
    skein::go([](int& r, skein::chan<int> to) { r = 5, to.send(0); }, std::ref(n), c);
    c.recv();
    EXPECT_EQ(n, 5);
  }, 50);
}

// covers: G1
TEST_P(go, destroys_callable_and_arguments_on_the_goroutine) {
  repeat([] {
    tracked::reset();
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i) {
      const tracked t(i);
      wg.add();
      skein::go([&wg, t](const tracked& u) {
        EXPECT_EQ(t.value, u.value);
        wg.done();
      }, t);
    }
    wg.wait();
    while (skein::num_goroutine() > 1) skein::yield();
    EXPECT_EQ(tracked::live(), 0);
    EXPECT_EQ(tracked::broken(), 0);
  }, 50);
}

// covers: G1
TEST_P(go, starts_nothing_when_a_copy_throws) {
  repeat([] {
    throwing::reset();
    const std::size_t before = skein::num_goroutine();
    {
      const throwing t(1);
      bool ran = false;
      throwing::on_copy(1);
      EXPECT_THROW(skein::go([&ran](const throwing&) { ran = true; }, t), throwing::error);
      throwing::on_copy(2);
      EXPECT_THROW(skein::go([&ran](const throwing&, const throwing&) { ran = true; }, t, t), throwing::error);
      throwing::on_move(1);
      EXPECT_THROW(skein::go([&ran, u = t] { ran = u.value != 0; }), throwing::error);
      EXPECT_EQ(skein::num_goroutine(), before);
      for (int i = 0; i < 5; ++i) skein::yield();
      EXPECT_FALSE(ran);
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 50);
}

template <std::size_t N> struct payload {
  std::array<unsigned char, N> bytes;
};
template <std::size_t N> void pass_closure(const skein::chan<bool>& c) {
  payload<N> p;
  for (std::size_t i = 0; i < N; ++i) p.bytes[i] = static_cast<unsigned char>(i * 7 + 1);
  skein::go([c, p] {
    bool same = true;
    for (std::size_t i = 0; i < N; ++i) same = same && p.bytes[i] == static_cast<unsigned char>(i * 7 + 1);
    c.send(same);
  });
  EXPECT_EQ(c.recv(), true);
  // Without a handle the closure is plain bytes and travels another way.
  static std::atomic<int> good;
  good = 0;
  skein::go([p] { good = p.bytes[N - 1] == static_cast<unsigned char>((N - 1) * 7 + 1) ? 1 : 2; });
  while (good == 0) skein::yield();
  EXPECT_EQ(good, 1);
}

// covers: G1
TEST_P(go, closures_may_have_any_size) {
  repeat([] {
    const skein::chan<bool> c;
    pass_closure<1>(c);
    pass_closure<8>(c);
    pass_closure<24>(c);
    pass_closure<31>(c);
    pass_closure<32>(c);
    pass_closure<33>(c);
    pass_closure<64>(c);
    pass_closure<1000>(c);
    pass_closure<20'000>(c);
  }, 20);
}

template <std::size_t Align> struct alignas(Align) aligned {
  int v = 1;
};
template <std::size_t Align> void pass_aligned() {
  const skein::chan<std::uintptr_t> c;
  skein::go([c, a = aligned<Align>()] { c.send(reinterpret_cast<std::uintptr_t>(&a) % Align); });
  EXPECT_EQ(c.recv(), 0u);
  static std::atomic<int> misplaced;
  misplaced = -1;
  skein::go([a = aligned<Align>()] { misplaced = reinterpret_cast<std::uintptr_t>(&a) % Align != 0; });
  while (misplaced < 0) skein::yield();
  EXPECT_EQ(misplaced, 0);
}

// covers: G1
TEST_P(go, closures_are_aligned_as_they_ask) {
  repeat([] {
    pass_aligned<4>();
    pass_aligned<16>();
    pass_aligned<32>();
    pass_aligned<64>();
  }, 20);
}

// covers: G1 G4 S1
TEST_P(go, many_at_once_all_run_and_the_count_returns_to_its_baseline) {
  run([] {
    const std::size_t baseline = skein::num_goroutine();
    EXPECT_EQ(baseline, 1u);
    const int n = static_cast<int>(rounds(20'000, 100));
    std::atomic<int> ran{0};
    {
      skein::wait_group wg;
      skein::chan<int> gate;
      for (int i = 0; i < n; ++i) wg.go([&] { gate.recv(), ++ran; });
      EXPECT_EQ(skein::num_goroutine(), baseline + static_cast<std::size_t>(n));
      gate.close();
      wg.wait();
    }
    EXPECT_EQ(ran, n);
    while (skein::num_goroutine() > baseline) skein::yield();
    EXPECT_EQ(skein::num_goroutine(), baseline);
    EXPECT_EQ(skein::stats().goroutines_live, baseline);
    EXPECT_GE(skein::stats().goroutines_started, static_cast<std::uint64_t>(n) + 1);
  });
}

// covers: G4 T1 X1
TEST_P(go, an_armed_timer_is_no_goroutine) {
  repeat([] {
    const std::size_t before = skein::num_goroutine();
    auto f = skein::after_func(std::chrono::hours(1), [] {});
    auto [ctx, cancel] = skein::with_timeout(skein::background(), std::chrono::hours(1));
    EXPECT_EQ(skein::num_goroutine(), before);
    EXPECT_TRUE(f.stop());
    EXPECT_EQ(skein::num_goroutine(), before);
  }, 1);
}

// covers: G4 G1
TEST(yield, lets_the_others_go_first_in_order) {
  skein::run([] {
    everywhere::journal<int> turns;
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i)
      wg.go([&, i] {
        for (int k = 0; k < 3; ++k) {
          turns.note(i);
          skein::yield();
        }
      });
    wg.wait();
    const std::vector<int> order = turns.notes();
    ASSERT_EQ(order.size(), 9u);
    // Whoever went first, they take turns.
    for (std::size_t k = 3; k < 9; ++k) EXPECT_EQ(order[k], order[k - 3]);
  }, everywhere::with_procs(1));
}

// covers: G4
TEST_P(go, yield_alone_returns) {
  repeat([] {
    for (int i = 0; i < 100; ++i) skein::yield();
    for (int i = 0; i < 1000; ++i) skein::checkpoint();
  }, 20);
}

// covers: G4 S1
TEST(checkpoint, gives_way_when_the_slice_is_over) {
  skein::run([] {
    std::atomic<bool> stop{false};
    skein::go([&] { stop = true; });
    while (!stop) skein::checkpoint();
  }, everywhere::with_procs(1));
}

// covers: G5
TEST_P(go, stacks_come_in_classes) {
  repeat([] {
    for (const std::size_t size : {1_KiB, 64_KiB, 65_KiB, 128_KiB, 256_KiB, 1_MiB, 5_MiB, 8_MiB}) {
      const skein::chan<std::size_t> c;
      skein::go({.stack = size}, [c] { c.send(everywhere::dig(8_KiB)); });
      EXPECT_GT(c.recv().value(), 0u);
    }
    bool ran = false;
    for (const std::size_t size : {8_MiB + 1, 9_MiB, ~std::size_t{0}}) {
      EXPECT_THROW(skein::go({.stack = size}, [&] { ran = true; }), std::invalid_argument);
      EXPECT_THROW(static_cast<void>(skein::spawn({.stack = size}, [&] { ran = true; })), std::invalid_argument);
    }
    skein::yield();
    EXPECT_FALSE(ran);
    EXPECT_EQ(skein::num_goroutine() <= 1 + 8, true);
  }, 10);
}

// covers: G1 S4
TEST_P(go, a_tree_of_goroutines_grows_and_ends) {
  repeat([] {
    struct tree {
      static void grow(skein::wait_group& wg, std::atomic<int>& leaves, int depth) {
        if (depth == 0) {
          ++leaves;
          return;
        }
        for (int i = 0; i < 2; ++i) wg.go([&wg, &leaves, depth] { grow(wg, leaves, depth - 1); });
      }
    };
    skein::wait_group wg;
    std::atomic<int> leaves{0};
    tree::grow(wg, leaves, 6);
    wg.wait();
    EXPECT_EQ(leaves, 64);
  }, 100);
}

}  // namespace
