// Simulation: run concurrent code on one thread under a seeded scheduler, in virtual time.
//
//   skein::test::explore([] {
//     skein::chan<int> c;
//     skein::go([=] { c.send(1); });
//     ASSERT_EQ(c.recv(), 1);
//   }, {.schedules = 1000});
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::test {

// failure: a schedule on which the body failed. what() names the seed.
class failure : public std::runtime_error {
 public:
  failure(std::uint64_t seed, const std::string& what) : std::runtime_error(what), seed_(seed) {}
  std::uint64_t seed() const noexcept { return seed_; }

 private:
  std::uint64_t seed_;
};

struct explore_options {
  std::uint64_t schedules = 1000;
  std::uint64_t first_seed = 1;
  std::uint64_t max_steps = 10'000'000;  // more than this many scheduling steps is a livelock
};

// replay() runs body once as the main goroutine of a simulated runtime. The same seed gives the same
// schedule. Every operation of skein is a point where another goroutine may run; now() is virtual
// and moves to the next timer when everything waits. Throws failure when the body throws, when all
// goroutines wait for each other, or after max_steps. Waiting for real file descriptors or using
// skein from other threads meanwhile throws misuse in the body.
void replay(std::uint64_t seed, const std::function<void()>& body, std::uint64_t max_steps = 10'000'000);

// explore() replays seeds first_seed, first_seed + 1, ...; the first failure is thrown.
void explore(const std::function<void()>& body, const explore_options& o = {});

// point() is a place where the simulation may switch, for code that shares memory without skein.
void point();

}  // namespace skein::inline SKEIN_ABI::test
