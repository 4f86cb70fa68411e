// trimmer: gives the memory of stacks back that nobody needs any more (G7). The monitor's own; the
// protocol stands in trim.cpp.
#pragma once

#include <cstdint>

#include "sched/state.hpp"

namespace skein::inline SKEIN_ABI::sched {

extern atomic<std::int64_t> trim_pause_ns;  // between the phases of a round, and between rounds

class trimmer {
 public:
  explicit trimmer(runtime_state* rt) noexcept : rt_(rt) {}

  // step() does a little of what there is to do, and returns when to call it again: `never` means not
  // before goroutines have parked or ended.
  std::int64_t step(std::int64_t now) noexcept;

 private:
  enum class phase : std::uint8_t { rest, mark, grace, trim, pool };

  std::uint64_t activity() const noexcept;
  void mark(goroutine& g) noexcept;
  void trim(goroutine& g) noexcept;
  void flush() noexcept;
  void remember_procs() noexcept;
  bool all_passed() noexcept;

  static constexpr int batch = 32;

  runtime_state* rt_;
  phase phase_ = phase::rest;
  detail::goroutine_slab::chunk* at_ = nullptr;
  std::int64_t next_ = 0;            // rest, grace: not before then
  std::uint64_t seen_activity_ = 0;  // at the start of the last round
  bool settled_ = false;             // the last round left nothing to do
  bool marked_ = false;
  goroutine* taken_[batch];          // trimming; pages_ is theirs
  iovec pages_[batch];
  int count_ = 0;
  std::uint64_t switches_[max_procs]{};
  bool passed_[max_procs]{};
};

// unmark() takes the monitor's marks off a goroutine that is about to run, and waits for the monitor
// if it is at its stack right now.
void unmark(goroutine* g) noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
