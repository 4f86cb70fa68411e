// A corpus of concurrency bugs: small programs that go wrong under some schedules, each with a twin that goes wrong
// under none. The kinds are those of the field: Lu and others, "Learning from Mistakes" (ASPLOS 2008); Tu and others,
// "Understanding Real-World Concurrency Bugs in Go" (ASPLOS 2019); GoBench (CGO 2021).
//
// Each entry makes two tests, and has to pass both:
//   bugs/NAME.is_found             explore() finds the bug within 10,000 schedules, for the reason given, and it comes
//                                  again, to the letter, from its seed
//   bugs/NAME.fixed_twin_survives  10,000 schedules of the twin, and each schedule there is with few preemptions
//                                  where the entry asks for that
//
// How to write one. The body is plain skein code, as short as shows the bug; memory that goroutines share without a
// lock is a test::var. A promise is checked by require(), when all who could touch the body's frame have ended: an
// exception unwinds it. Goroutines that may be left own what they use.
#pragma once

#include <cstddef>

#include "support/found.hpp"
#include "support/process.hpp"

namespace corpus {

using everywhere::require;
using everywhere::together;

// What a failure says, if it is not what a promise or a misuse says.
inline constexpr const char* deadlock = "all goroutines are asleep";
inline constexpr const char* leak = "a goroutine is left";
inline constexpr const char* race = "data race";
inline constexpr const char* livelock = "no end after the given number of steps";

struct bug {
  const char* name;
  const char* wrong;     // what goes wrong, in one sentence
  const char* found_as;  // a part of the failure's reason
  void (*body)();
  void (*fixed)();
  int preemptions =
      0;  // above 0, the twin is small enough to be run under each schedule with so many
};

// add() makes the tests of a table that lives as long as the program.
bool add(const char* file, const bug* first, std::size_t count);
template <std::size_t N> bool add(const char* file, const bug (&table)[N]) {
  return add(file, table, N);
}

}  // namespace corpus
