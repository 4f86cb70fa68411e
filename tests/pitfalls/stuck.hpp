// Programs that get stuck, watched from outside: no test waits for a hang.
//
// one_processor() are options for a single processor that no goroutine loses by blocking its thread,
// so that one thread runs all goroutines. By default a goroutine that blocks loses its processor after
// some milliseconds, and each costs a thread.
//
// on_one_processor(f) runs f like that in a child process.
//
// may_block() says that the thread is about to do what may block it. Once it sleeps in the kernel the
// process ends with the status `stuck`: nothing else can run on the processor any more.
#pragma once

#include <atomic>
#include <concepts>
#include <fstream>
#include <string>
#include <thread>

#include <unistd.h>

#include "skein/runtime.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace pitfalls {

inline constexpr int stuck = 3;

inline bool sleeps(int thread) {
  std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(stat, line);
  const std::size_t name_end = line.rfind(')');
  return name_end != std::string::npos && line.compare(name_end + 1, 2, " S") == 0;
}

// One watcher for the one thread there is, until the process ends.
inline void may_block() {
  std::thread([thread = everywhere::thread_id()] {
    while (!sleeps(thread)) std::this_thread::yield();
    _exit(stuck);
  }).detach();
}

inline skein::options one_processor() {
  skein::options o = everywhere::with_procs(1);
  o.max_hogs = 0;
  return o;
}

template <std::invocable F> everywhere::child_end on_one_processor(F f) {
  return everywhere::run_child([&] { skein::run(f, one_processor()); });
}

template <std::invocable F> void expect_stuck(F f) {
  if (everywhere::sanitized) return;  // its threads and locks are not the program's alone
  const everywhere::child_end end = on_one_processor(f);
  EXPECT_EQ(end.status, stuck) << end.text;
}
template <std::invocable F> void expect_end(F f) {
  const everywhere::child_end end = on_one_processor(f);
  EXPECT_EQ(end.status, 0) << end.signal << end.text;
}

}  // namespace pitfalls
