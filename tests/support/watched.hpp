// watched::run(): a body in a child process that reports by throwing, under an alarm that turns a hang
// into a dump of all goroutines. For tests of wake-ups, faults and ends, where one failure would take
// the rest of the program with it.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include "skein/debug.hpp"
#include "support/everywhere.hpp"

namespace watched {

inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("not so: " + what);
}

// The handler runs on the child's first thread, which waits for the runtime: workers block signals.
inline void on_alarm(int) {
  const std::string dump = "watchdog: no end in sight\n" + skein::debug::dump();
  [[maybe_unused]] const auto n = write(STDERR_FILENO, dump.data(), dump.size());
  signal(SIGABRT, SIG_DFL);
  std::abort();
}

inline everywhere::child_end child(const std::function<void()>& body, unsigned seconds = 60) {
  return everywhere::run_child([&] {
    signal(SIGALRM, &on_alarm);
    alarm(seconds);
    body();
  });
}

// run() expects the body to come to its end.
inline void run(const std::function<void()>& body, unsigned seconds = 60) {
  const everywhere::child_end end = child(body, seconds);
  EXPECT_EQ(end.signal, 0) << end.text;
  EXPECT_EQ(end.status, 0) << end.text;
}

inline skein::options procs(int n) {
  skein::options o;
  o.procs = n;
  return o;
}

// on_procs is for suites that run on 1, 2, 4 and 8 processors; its in_runtime() runs the body as a main goroutine in a
// child.
class on_procs : public ::testing::TestWithParam<int> {
 protected:
  template <class F> static void in_runtime(F body) {
    run([&] { skein::run(body, procs(GetParam())); });
  }
};

// compute() keeps the thread busy without entering the runtime.
inline void compute(std::chrono::nanoseconds d) {
  const auto until = std::chrono::steady_clock::now() + d;
  while (std::chrono::steady_clock::now() < until) {
  }
}

}  // namespace watched
