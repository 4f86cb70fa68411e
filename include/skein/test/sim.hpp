// Simulation: run concurrent code on one thread, under a scheduler that a seed decides, in virtual time.
//
//   skein::test::explore([] {
//     skein::chan<int> c;
//     skein::go([=] { c.send(1); });
//     ASSERT_EQ(c.recv(), 1);
//   }, {.schedules = 10'000});
//
// The code under test is the program's own, unchanged. A schedule fails when
//   - the body or a goroutine throws,
//   - `failed` says so (for expectations that do not throw),
//   - everybody waits for each other,
//   - a goroutine is left when the body has ended and time has run out for the others,
//   - goroutines that the program's own operations do not order touch a test::var, and one writes it,
//   - it takes more than max_steps.
// A failure tells what happened, in which schedule, and what each goroutine did until then; replay()
// makes it happen again, step by step the same, as long as the body depends on nothing but the
// schedule: no other threads, no clock but skein::now(), no random numbers but from a fixed seed.
//
// The operations of skein are points where another goroutine may go on, so is point(): before each takes effect,
// the end of a lock's hold included. None are those that make something nobody else knows of yet, that read what
// never changes or is the caller's own, and reports such as stats(). Time is a number that moves to the next
// deadline when nobody can run.
// Descriptors are fake_fd's (skein/test/fake_fd.hpp); blocking() and lock_os_thread() do nothing.
//
// In a test of GoogleTest: {.failed = [] { return ::testing::Test::HasFailure(); }}. The requirements of
// Catch2 throw, and need nothing. Goroutines that a failed schedule leaves are not unwound; what they own
// is lost.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::test {

// How schedules are made.
//   random  at each point another goroutine goes on, one time in three; any of them
//   pct     goroutines have priorities, and who runs loses its own at depth - 1 places: finds what needs
//           few things in an unlikely order (Burckhardt and others, ASPLOS 2010)
//   mixed   by turns: random, and pct with depths from 1 to 5
enum class strategy : std::uint8_t { mixed, random, pct };

struct explore_options {
  std::uint64_t schedules = 1000;
  std::uint64_t first_seed = 1;
  test::strategy strategy = test::strategy::mixed;
  int depth = 3;                         // of pct
  std::uint64_t max_steps = 10'000'000;  // of one schedule; more are a livelock
  bool leaks = true;                     // a goroutine that is left is a failure
  std::function<bool()> failed{};        // asked after each schedule
};

struct exhaust_options {
  int preemptions = 3;                   // in one schedule; goroutines that wait or yield are none
  std::uint64_t most = 10'000'000;       // schedules
  std::uint64_t max_steps = 100'000;
  bool leaks = true;
  std::function<bool()> failed{};
};

struct summary {
  std::uint64_t schedules = 0;
  std::uint64_t steps = 0;  // points that were passed, and deadlines that fired
  bool complete = true;     // exhaust(): there is no other schedule within the bounds
};

// failure: a schedule that failed. what() tells all of it.
class failure : public std::runtime_error {
 public:
  failure(std::uint64_t seed, std::string schedule, std::string reason, std::string trace);
  std::uint64_t seed() const noexcept { return seed_; }  // exhaust(): the how-manieth, from 1
  // Which schedule it was, for replay().
  const std::string& schedule() const noexcept { return schedule_; }
  const std::string& reason() const noexcept { return reason_; }
  // A line for each step: number, virtual time, goroutine, operation, object, place of the call. For a
  // place in a program, addr2line -e PROGRAM OFFSET tells its line.
  const std::string& trace() const noexcept { return trace_; }

 private:
  std::uint64_t seed_;
  std::string schedule_, reason_, trace_;
};

// explore() runs body as the main goroutine of a simulated runtime, once for each of the seeds first_seed,
// first_seed + 1, ...; throws failure for the first that fails, after a second run that writes the trace.
// Throws misuse inside of a goroutine.
summary explore(const std::function<void()>& body, const explore_options& o = {});

// exhaust() runs body under every schedule there is with so many preemptions, for bodies of two or three
// goroutines and a few dozen steps. Throws as explore() does.
summary exhaust(const std::function<void()>& body, const exhaust_options& o = {});

// replay() runs one schedule, with the options that it was found with. Throws failure if it fails.
void replay(std::uint64_t seed, const std::function<void()>& body, const explore_options& o = {});
void replay(const std::string& schedule, const std::function<void()>& body, const explore_options& o = {});

// point() is a place where another goroutine may go on, for code that shares memory by other means than
// skein's. Loops that wait for such memory need one.
void point();

}  // namespace skein::inline SKEIN_ABI::test
