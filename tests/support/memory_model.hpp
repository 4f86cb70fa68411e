// Which steps of a program come before which, as the race detector judges it: for each edge a program
// that must not be called a race, for each edge that is not promised one that must be.
//
// The programs that race put their steps in order by a flag that orders nothing, so a detector that
// believes in an edge too many has nothing to find. Other builds only run those that do not race.
#pragma once

#include <atomic>
#include <ostream>
#include <stdexcept>
#include <string>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace everywhere {

// flag: raised by one, awaited by another, without any order for the detector.
class flag {
 public:
  void raise() { up_.store(true, std::memory_order_relaxed); }
  bool is_up() const { return up_.load(std::memory_order_relaxed); }
  void await() const {
    while (!is_up()) skein::yield();
  }

 private:
  std::atomic<bool> up_{false};
};

// steps: the base of what the goroutines of a program share. Nobody who has touched it ends before the
// program does, he goes to stay(): a fiber that is used again hides races.
struct steps {
  // Apart: the detector remembers a few accesses to each eight bytes, and whoever awaits the flag makes many.
  alignas(16) int x = 0;
  alignas(16) flag touched;

  [[gnu::noinline]] void write() { x = 1; }
  [[gnu::noinline]] void read() const {
    if (x != 1) throw std::logic_error("not yet written");
  }
  void write_and_say_so() {
    write();
    touched.raise();
  }
  void read_when_told() const {
    touched.await();
    read();
  }
};
inline void stay() { skein::chan<int>(skein::nil).recv(); }

// program: a body that is given a fresh Shared, derived from steps.
template <class Shared> struct program {
  const char* name;
  void (*body)(Shared&);

  friend void PrintTo(const program& p, std::ostream* os) { *os << p.name; }
};
template <class Shared> std::string name_of(const ::testing::TestParamInfo<program<Shared>>& info) {
  return info.param.name;
}

template <class Shared> child_end run_in_child(const program<Shared>& p, int procs) {
  return run_child([&] {
    skein::run(
        [&] {
          // Never destroyed: whoever stays may still be on his way out of an operation on it.
          p.body(*new Shared);
        },
        with_procs(procs));
  });
}

template <class Shared> void expect_order(const program<Shared>& p) {
  for (const int procs : {1, 2, 4, 8}) {
    const auto end = run_in_child(p, procs);
    EXPECT_EQ(end.status, 0) << procs << " processors, signal " << end.signal << '\n' << end.text;
  }
}

template <class Shared> void expect_race(const program<Shared>& p) {
#if defined(SKEIN_TSAN)
  for (const int procs : {1, 2, 4, 8}) {
    const auto end = run_in_child(p, procs);
    EXPECT_NE(end.status, 0) << procs << " processors";
    EXPECT_TRUE(contains(end.text, "ThreadSanitizer: data race")) << end.text;
  }
#else
  static_cast<void>(p);
  GTEST_SKIP() << "for the race detector";
#endif
}

}  // namespace everywhere
