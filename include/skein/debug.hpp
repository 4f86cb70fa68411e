// Looking at a running program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::debug {

// dump() lists the goroutines of every runtime: number, state or wait reason, creation site. It
// wakes nobody; goroutines that run meanwhile are shown as of some moment during the call.
std::string dump();

// watch_stacks() measures from now on how deep the goroutines of the process go into their stacks, to
// the page; stack_report() is what was found, deepest first. A goroutine counts when it ends, or has
// been parked for a second or so; what it ran on_system_stack() does not. Watching costs every
// goroutine a few microseconds and every operation some nanoseconds, and is not undone. Any thread.
struct stack_use {
  std::string site;             // who called go()
  std::uint64_t goroutines = 0; // that have ended
  std::size_t deepest = 0;      // bytes
  std::size_t usable = 0;       // of the largest stack that one of them had
  std::size_t suggested = 0;    // for go_options.stack: room for half as much again
};
void watch_stacks();
std::vector<stack_use> stack_report();

// foreign_idle: while it lives the calling thread, which is no worker, promises not to use skein on
// its own account; the all-asleep report need not wait for it.
class foreign_idle {
 public:
  foreign_idle() noexcept;
  foreign_idle(const foreign_idle&) = delete;
  foreign_idle& operator=(const foreign_idle&) = delete;
  ~foreign_idle();
};

}  // namespace skein::inline SKEIN_ABI::debug
