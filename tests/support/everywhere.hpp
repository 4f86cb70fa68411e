// What the tests share: places to run a scenario (real processors and the simulation), element
// types that keep count, and a child process for ends that are fatal.
//
//   struct chan : everywhere::on_procs {};
//   SKEIN_EVERYWHERE(chan);
//   // covers: C3
//   TEST_P(chan, close_wakes_every_receiver) {
//     repeat([&] { ... });   // many times on 1, 2, 4 and 8 processors, and under 1,000 seeds
//   }
//
// SKEIN_TEST_SCALE multiplies every number of repetitions, SKEIN_TEST_SEED=n replays one schedule.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/test/sim.hpp"
#include "skein/time.hpp"
#include "support/elements.hpp"

namespace everywhere {

// scaled(n) is n times SKEIN_TEST_SCALE, at least 1.
std::uint64_t scaled(std::uint64_t n);

// in_simulation() explores that many schedules of body, scaled. Whatever fails, the body, one of its
// assertions, or the schedule itself, becomes a failure of the test that names the seed.
void in_simulation(const std::function<void()>& body, std::uint64_t schedules = 1000);

// on_procs: a test whose parameter is a number of processors, or `simulation`.
class on_procs : public ::testing::TestWithParam<int> {
 public:
  static constexpr int simulation = 0;

  static bool simulated() { return GetParam() == simulation; }

  // run(f) runs f once as the main goroutine; in simulation once for each schedule.
  template <std::invocable F> void run(F&& f) {
    if (simulated())
      in_simulation(f);
    else
      skein::run(f, with_procs());
  }

  // repeat(f, times) runs f scaled(times) times one after another in one runtime, until an assertion
  // fails; in simulation once for each schedule.
  template <std::invocable F> void repeat(F&& f, std::uint64_t times = 300) {
    run([&] {
      for (std::uint64_t i = simulated() ? 1 : scaled(times); i > 0 && !HasFailure(); --i) f();
    });
  }

  // rounds(n, few): how often a loop inside a scenario goes round, few in simulation.
  static std::uint64_t rounds(std::uint64_t n, std::uint64_t few) { return simulated() ? few : scaled(n); }

  // until_parked(n, start) calls start() and returns when n goroutines have parked since, n being
  // all that start() sets going. Nothing else may run meanwhile. In simulation time stands still
  // until everybody waits.
  template <std::invocable F> static void until_parked(std::uint64_t n, F&& start) {
    const std::uint64_t before = skein::stats().parks;
    start();
    if (simulated())
      skein::sleep_for(std::chrono::nanoseconds(1));
    else
      while (skein::stats().parks - before < n) skein::yield();
  }

 private:
  static skein::options with_procs() {
    skein::options o;
    o.procs = GetParam();
    o.stop_grace = std::chrono::seconds(60);  // a slow machine shall not look like a stuck worker
    return o;
  }
};

std::string place_name(const ::testing::TestParamInfo<int>& place);

// On 1, 2, 4 and 8 processors; and on these and in simulation.
#define SKEIN_ON_PROCS(suite) \
  INSTANTIATE_TEST_SUITE_P(procs, suite, ::testing::Values(1, 2, 4, 8), everywhere::place_name)
#define SKEIN_EVERYWHERE(suite) \
  INSTANTIATE_TEST_SUITE_P(everywhere, suite, ::testing::Values(0, 1, 2, 4, 8), everywhere::place_name)

// dice: small reproducible random numbers, one per goroutine.
class dice {
 public:
  explicit dice(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t roll() noexcept;
  std::uint64_t below(std::uint64_t n) noexcept { return roll() % n; }
  bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

// journal: what goroutines note, in order, when only the schedule orders them. Never parks.
template <class T> class journal {
 public:
  void note(T what) {
    const std::lock_guard hold(lock_);
    notes_.push_back(std::move(what));
  }
  std::vector<T> notes() const {
    const std::lock_guard hold(lock_);
    return notes_;
  }

 private:
  mutable std::mutex lock_;
  std::vector<T> notes_;
};

// fresh_seed() is SKEIN_TEST_SEED, or a new one; it is printed, so that a failure can be had again.
std::uint64_t fresh_seed();

// within_six_sigma(): whether `count` hits in n draws fit a chance of `share` in `all`.
bool within_six_sigma(std::uint64_t count, std::uint64_t n, std::uint64_t share, std::uint64_t all);

// memory_in_use(): bytes the process holds, as exactly as the build allows.
std::size_t memory_in_use();

// run_child() forks and runs f in the child with its stderr captured. The child's exit status is 0
// when f returns and 99, with the message on stderr, when it throws. Call it while no runtime runs.
struct child_end {
  int status = -1;  // -1 when a signal ended it
  int signal = 0;
  std::string text;  // what it wrote to stderr
};
child_end run_child(const std::function<void()>& f);

}  // namespace everywhere
