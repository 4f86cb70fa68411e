// Stacks: how deep they go, what happens beyond, and what a goroutine costs.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

volatile bool names_hang = false;

}  // namespace

// To find and read a name takes locks, so it waits for ever if whoever holds one has overflowed.
extern "C" int dladdr(const void* address, Dl_info* info) noexcept {
  while (names_hang) pause();
  static const auto real = reinterpret_cast<decltype(&dladdr)>(dlsym(RTLD_NEXT, "dladdr"));
  return real(address, info);
}

namespace {

using namespace skein::literals;
using everywhere::contains;
using everywhere::dig;
using everywhere::require;
using everywhere::resident_bytes;
using everywhere::run_child;
using everywhere::scaled;
using everywhere::with_procs;

constexpr std::size_t guard = 64_KiB;

// covers: G5
TEST(stack, default_one_has_room_for_128_KiB) {
  skein::run([] {
    skein::wait_group wg;
    for (int i = 0; i < 20; ++i) wg.go([] { EXPECT_GT(dig(128_KiB), 0u); });
    wg.wait();
    EXPECT_GT(dig(128_KiB), 0u);  // main
  });
}

// covers: G5
TEST(stack, of_each_class_is_as_large_as_it_says) {
  skein::run([] {
    EXPECT_GT(skein::spawn({.stack = 64_KiB}, [] { return dig(64_KiB * 8 / 10); }).join(), 0u);
    for (const std::size_t size : {128_KiB, 256_KiB, 512_KiB, 1_MiB, 2_MiB, 4_MiB, 8_MiB})
      for (int i = 0; i < 3; ++i)
        EXPECT_GT(skein::spawn({.stack = size}, [size] { return dig((size - guard) * 8 / 10); }).join(), 0u) << size;
  });
}

// covers: G5
TEST(stack, option_sets_the_default) {
  skein::options o;
  o.stack = 2_MiB;
  skein::run([] { EXPECT_GT(skein::spawn({}, [] { return dig(3_MiB / 2); }).join(), 0u); }, o);
}

volatile bool enough = false;

// The whole frame is kept, also from compilers that see how little of it is used: ThreadSanitizer has room
// for 65,536 frames of a stack and does not look whether there are more.
template <std::size_t Frame> [[gnu::noinline]] int for_ever(int n) {
  if (enough) return 0;
  volatile char frame[Frame];
  frame[0] = static_cast<char>(n);
  asm volatile("" : : "r"(frame) : "memory");
  const int deeper = for_ever<Frame>(n + 1);
  return deeper + frame[0];
}

struct overflow : ::testing::TestWithParam<int> {
  static void expect_report(const everywhere::child_end& end, std::string_view size) {
    EXPECT_EQ(end.signal, SIGABRT) << end.text;
    EXPECT_TRUE(contains(end.text, "stack overflow")) << end.text;
    EXPECT_TRUE(contains(end.text, size)) << end.text;
    EXPECT_TRUE(contains(end.text, "created by")) << end.text;
    EXPECT_TRUE(contains(end.text, "options.stack")) << end.text;
    EXPECT_TRUE(contains(end.text, ".stack =")) << end.text;
  }
};
INSTANTIATE_TEST_SUITE_P(procs, overflow, ::testing::Values(1, 2, 4, 8));

// covers: G6
TEST_P(overflow, of_a_goroutine_is_reported) {
  expect_report(run_child([] {
                  skein::run(
                      [] {
                        skein::wait_group wg;
                        wg.go([] { for_ever<64>(0); });
                        wg.wait();
                      },
                      with_procs(GetParam()));
                }),
                "256 KiB");
}

// covers: G6
TEST_P(overflow, by_large_frames_is_reported) {
  expect_report(run_child([] {
                  skein::run(
                      [] {
                        auto t = skein::spawn({.stack = 1_MiB}, [] { return for_ever<200'000>(0); });
                        t.join();
                      },
                      with_procs(GetParam()));
                }),
                "1024 KiB");
}

// covers: G6 R1
TEST_P(overflow, of_main_is_reported) {
  expect_report(run_child([] { skein::run([] { return for_ever<512>(0); }, with_procs(GetParam())); }), "256 KiB");
}

// covers: G6
TEST_P(overflow, of_the_smallest_class_is_reported_beside_many_others) {
  expect_report(run_child([] {
                  skein::run(
                      [] {
                        skein::chan<int> c;
                        for (int i = 0; i < 1000; ++i) skein::go({.stack = 64_KiB}, [&] { c.recv(); });
                        skein::go({.stack = 64_KiB}, [] { for_ever<1024>(0); });
                        c.recv();
                      },
                      with_procs(GetParam()));
                }),
                "64 KiB");
}

// covers: G6 G5
TEST_P(overflow, of_a_big_stack_is_reported) {
  const auto end = run_child([] {
    skein::run([] { return skein::on_system_stack([] { return for_ever<4096>(0); }); }, with_procs(GetParam()));
  });
  EXPECT_EQ(end.signal, SIGABRT) << end.text;
  EXPECT_TRUE(contains(end.text, "stack overflow")) << end.text;
}

// covers: G6
TEST(overflow, under_a_lock_is_reported_as_far_as_it_goes) {
  const auto end = run_child([] {
    names_hang = true;
    skein::run([] { return for_ever<512>(0); }, with_procs(1));
  });
  EXPECT_EQ(end.signal, SIGALRM) << end.text;
  EXPECT_TRUE(contains(end.text, "stack overflow")) << end.text;
  EXPECT_TRUE(contains(end.text, "options.stack")) << end.text;
}

std::string figures(const char* what, double bytes) { return std::string(what) + ": " + std::to_string(bytes) + " bytes each"; }

struct cost {
  double each;           // bytes
  std::size_t mappings;  // more than before
};

// park_together(n) has n goroutines parked in a receive at once, and lets them go again.
cost park_together(std::uint64_t n) {
  static const std::size_t at_first = resident_bytes();
  const std::size_t mappings = everywhere::count_mappings();
  skein::chan<int> c;
  skein::wait_group wg;
  wg.add(static_cast<int>(n));
  const std::uint64_t parked = skein::stats().parks;
  for (std::uint64_t i = 0; i < n; ++i)
    skein::go([&] {
      c.recv();
      wg.done();
    });
  while (skein::stats().parks - parked < n) skein::yield();
  const cost now{static_cast<double>(resident_bytes() - at_first) / static_cast<double>(n),
                 everywhere::count_mappings() - mappings};
  c.close();
  wg.wait();
  return now;
}

// Whether this kernel has markers; asked for if it has. What guards stacks without them costs memory.
bool use_markers() {
  setenv("SKEIN_GUARDS", "markers", 1);
  try {
    skein::run([] {});
    return true;
  } catch (const std::system_error&) {
    unsetenv("SKEIN_GUARDS");
    return false;
  }
}

// covers: G5
TEST(a_million_goroutines, parked_in_a_receive_cost_a_page_and_little_more) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer's memory is not ours";
  if (everywhere::address_space_is_limited()) GTEST_SKIP() << "the address space is limited";
  const auto end = run_child([] {
    const std::uint64_t n = scaled(1'000'000);
    const bool markers = use_markers();
    const std::size_t each = markers ? 5 * 1024 : 10 * 1024;  // a canary is a page more
    const std::size_t mappings = markers ? 20 : 40'000;
    skein::run(
        [=] {
          for (int i = 0; i < 2; ++i) park_together(n / 10 + 1);
          const std::size_t before = resident_bytes();
          for (int i = 0; i < 8; ++i) park_together(n / 10 + 1);
          const double growth = static_cast<double>(resident_bytes()) / static_cast<double>(before);
          require(growth < 1.05, "after ten rounds memory is " + std::to_string(growth) + " times that of two");

          const cost all = park_together(n);
          const double slack = (1 << 20) / static_cast<double>(n);  // what does not grow with their number
          require(all.each <= static_cast<double>(each) + slack, figures("parked", all.each));
          require(all.mappings < mappings, "mappings grew by " + std::to_string(all.mappings));
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// covers: G5
TEST(a_million_goroutines, that_have_not_started_have_no_stack) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer's memory is not ours";
  if (everywhere::migrating) GTEST_SKIP() << "a note of the last thread takes the closure's place";
  const auto end = run_child([] {
    const std::uint64_t n = scaled(1'000'000);
    static std::atomic<bool> over;
    skein::options o = with_procs(1);
    o.max_hogs = 0;
    skein::runtime r(o);
    r.go([] {  // keeps the only processor
      while (!over) {
      }
    });
    static std::atomic<std::uint64_t> sum;
    const std::size_t before = resident_bytes();
    constexpr std::size_t closure = 3 * sizeof(std::uint64_t);
    for (std::uint64_t i = 0; i < n; ++i) r.go([a = i, b = i, c = i] { sum += a + b + c; });
    const double each = static_cast<double>(resident_bytes() - before) / static_cast<double>(n);
    require(sum == 0, "some have started");
    require(each <= 128 + closure, figures("unstarted", each));
    over = true;
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

}  // namespace
