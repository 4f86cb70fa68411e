// Stacks give back what they do not need, are measured, and live with little address space.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/debug.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace skein::literals;
using namespace std::chrono_literals;
using everywhere::contains;
using everywhere::dig;
using everywhere::require;
using everywhere::resident_bytes;
using everywhere::run_child;
using everywhere::scaled;
using everywhere::with_procs;

// until_below(limit) returns once the process occupies less; the test's time limit is the only other end.
void until_below(std::size_t limit) {
  while (resident_bytes() > limit) skein::sleep_for(10ms);
}

// crowd: goroutines that have been deep and then wait, each with something on its stack to remember.
struct crowd {
  explicit crowd(std::uint64_t n) : size(static_cast<int>(n)) {
    arrived.add(size);
    gone.add(size);
    for (int i = 0; i < size; ++i)
      skein::go([this, i] {
        std::array<int, 1000> kept;
        std::iota(kept.begin(), kept.end(), i);
        dig(150_KiB);
        arrived.done();
        gate.recv();
        for (int k = 0; k < 1000; ++k)
          if (kept[static_cast<std::size_t>(k)] != i + k) spoiled = true;
        dig(150_KiB);
        gone.done();
      });
    arrived.wait();
  }
  void leave() {
    gate.close();
    gone.wait();
  }

  int size;
  skein::chan<int> gate;
  skein::wait_group arrived, gone;
  std::atomic<bool> spoiled{false};
};

// covers: G7
TEST(stack_memory, of_goroutines_that_have_been_deep_comes_back_while_they_are_parked) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer's memory is not ours";
  const auto end = run_child([] {
    skein::run(
        [] {
          const std::size_t before = resident_bytes();
          crowd c(scaled(2'000));
          until_below(before + static_cast<std::size_t>(c.size) * 20_KiB + 8_MiB);
          c.leave();
          require(!c.spoiled, "a stack has lost what it held");
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// covers: G7
TEST(stack_memory, of_goroutines_that_have_ended_comes_back) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer's memory is not ours";
  const auto end = run_child([] {
    skein::run(
        [] {
          crowd(1).leave();
          const std::size_t before = resident_bytes();
          const std::uint64_t n = scaled(2'000);
          crowd c(n);
          c.leave();
          until_below(before + n * 10_KiB + 8_MiB);
          crowd again(scaled(2'000));  // on the same stacks
          again.leave();
          require(!again.spoiled, "a stack has lost what it held");
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// covers: G7
TEST(stack_memory, does_not_grow_from_round_to_round) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer's memory is not ours";
  const auto end = run_child([] {
    skein::run(
        [] {
          std::size_t second = 0;
          const auto n = static_cast<int>(scaled(1'000'000));
          for (int round = 1; round <= 20; ++round) {
            skein::wait_group wg;
            wg.add(n);
            for (int i = 0; i < n; ++i) skein::go([&] { wg.done(); });
            wg.wait();
            if (round == 2) second = resident_bytes();
          }
          const std::size_t last = resident_bytes();
          require(last < second + second / 50 + 256_KiB, std::to_string(second) + " bytes after two rounds, after twenty " + std::to_string(last));
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

[[gnu::noinline]] void shallow_and_deep(skein::wait_group& wg) {
  wg.add(2);
  skein::go([&] { wg.done(); });
  skein::go([&] {
    dig(100_KiB);
    wg.done();
  });
}

// covers: G7
TEST(stack_report, names_the_sites_and_what_their_goroutines_need) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer's frames are larger";
  const auto end = run_child([] {
    skein::debug::watch_stacks();
    skein::run(
        [] {
          skein::wait_group wg;
          for (int i = 0; i < 100; ++i) shallow_and_deep(wg);
          wg.wait();
        },
        with_procs(2));
    const auto all = skein::debug::stack_report();
    std::vector<skein::debug::stack_use> hundreds;
    for (const auto& u : all)
      if (u.goroutines == 100) hundreds.push_back(u);
    require(hundreds.size() == 2, "sites with a hundred goroutines: " + std::to_string(hundreds.size()));
    const auto& deep = hundreds[0];
    const auto& flat = hundreds[1];
    require(deep.deepest >= 100_KiB && deep.deepest < 112_KiB, "deep: " + std::to_string(deep.deepest));
    require(flat.deepest > 0 && flat.deepest <= 8_KiB, "shallow: " + std::to_string(flat.deepest));
    require(deep.usable == 192_KiB && deep.suggested == 256_KiB, "deep: " + std::to_string(deep.suggested));
    require(flat.suggested == 64_KiB, "shallow: " + std::to_string(flat.suggested));
    require(!deep.site.empty() && deep.site != flat.site, deep.site);
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// Whoever waits for ever is counted as well, and may have been deeper before than where it waits.
// covers: G7
TEST(stack_report, counts_those_that_have_been_parked_for_long) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer's frames are larger";
  const auto end = run_child([] {
    skein::debug::watch_stacks();
    skein::run(
        [] {
          crowd c(3);
          const auto deepest = [] {
            const auto all = skein::debug::stack_report();
            return all.empty() ? std::size_t{0} : all.front().deepest;
          };
          while (deepest() < 150_KiB) skein::sleep_for(10ms);
          c.leave();
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

std::string start_line(const char* guards) {
  return run_child([guards] {
           setenv("SKEIN_VERBOSE", "1", 1);
           setenv("SKEIN_GUARDS", guards, 1);
           skein::run([] {}, with_procs(3));
         }).text;
}

// covers: G6
TEST(start_line, says_how_stacks_are_guarded) {
  EXPECT_EQ(start_line("mprotect:7"),
            "skein: processors: 3, stacks: 256 KiB, guards: mprotect for the first 7 stacks, canaries for the rest\n");
  EXPECT_EQ(start_line("mprotect"),
            "skein: processors: 3, stacks: 256 KiB, guards: mprotect for the first 16000 stacks, canaries for the rest\n");
  const std::string markers = start_line("markers");
  EXPECT_TRUE(markers == "skein: processors: 3, stacks: 256 KiB, guards: markers\n" ||
              contains(markers, "SKEIN_GUARDS=markers: this kernel has none"))
      << markers;
}

// covers: G6
TEST(start_line, nonsense_in_the_environment_is_a_clear_error) {
  for (const char* guards : {"no", "mprotect:", "mprotect:0", "mprotect:x", "mprotect:10000000", "MARKERS"})
    EXPECT_TRUE(contains(start_line(guards), std::string("skein: SKEIN_GUARDS=") + guards + ": expected markers, mprotect"))
        << start_line(guards);
}

// covers: G6
TEST(locked_memory, is_no_obstacle) {
  const auto end = run_child([] {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) _exit(0);  // not allowed to
    skein::run(
        [] {
          crowd c(50);
          c.leave();
          require(!c.spoiled, "a stack has lost what it held");
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// covers: G5
TEST(address_space, when_limited_leaves_room_for_everything_else) {
  if (everywhere::sanitized) GTEST_SKIP() << "a sanitizer needs terabytes";
  const auto end = run_child([] {
    everywhere::limit_address_space(1'000'000'000);
    skein::run(
        [] {
          crowd c(800);
          const std::vector<char> large(200'000'000);
          std::thread([] {}).join();
          c.leave();
          require(!c.spoiled, "a stack has lost what it held");
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

}  // namespace
