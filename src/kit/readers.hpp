// Readers that write no line in common, and how to know that those of before have gone.
//
// A reader counts itself in and out at one count. Each caller number has a line with two counts; the phase
// says which of them new readers use. Everybody who was inside when a wait began has left once each count
// has been seen to be zero at some time since, for each stands in one count until it leaves. To let that
// happen while others come and go, a wait first sees the counts of the idle phase, then switches, then sees
// those of the other. A reader that was put to sleep between looking at the phase and counting itself may
// count in either: the argument does not ask which.
#pragma once

#include <memory>

#include "arch/context.hpp"
#include "kit/caller.hpp"

namespace skein::inline SKEIN_ABI::kit {

class readers {
 public:
  using count = detail::atomic<std::uint32_t>;

  readers() : last_(caller_lines() - 1), lines_(new line[last_ + 1]) {}

  // enter() is seq_cst: it is in one order with what the reader loads next and with what others have
  // replaced before they call advance(), which is seq_cst too.
  count& enter() noexcept {
    count& c = own().inside[phase_.load(std::memory_order_relaxed)];
    c.fetch_add(1, std::memory_order_seq_cst);
    return c;
  }
  static void leave(count& c) noexcept {
    arch::edge_release(&c);
    c.fetch_sub(1, std::memory_order_release);  // pairs with advance()
  }

  // begin() begins a wait, advance() goes on with it: true once all who were inside have left. One wait at a
  // time, under a lock of the caller.
  void begin() noexcept {
    switched_ = false;
    seen_ = 0;
  }
  bool advance() noexcept {
    for (;;) {
      const std::uint32_t idle = phase_.load(std::memory_order_relaxed) ^ 1;
      while (seen_ <= last_ && lines_[seen_].inside[idle].load(std::memory_order_seq_cst) == 0)
        ++seen_;
      if (seen_ <= last_) return false;
      if (switched_) break;
      phase_.store(idle, std::memory_order_relaxed);
      switched_ = true;
      seen_ = 0;
    }
    for (std::uint32_t i = 0; i <= last_; ++i)
      for (count& c : lines_[i].inside) arch::edge_acquire(&c);
    return true;
  }

  // A number that the lines keep besides: add() to the caller's share, sum() of all, a snapshot.
  void add(std::int64_t n) noexcept { own().tally.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t sum() const noexcept {
    std::int64_t n = 0;
    for (std::uint32_t i = 0; i <= last_; ++i) n += lines_[i].tally.load(std::memory_order_relaxed);
    return n;
  }

 private:
  struct alignas(64) line {
    count inside[2] = {};
    detail::atomic<std::int64_t> tally{0};
  };
  line& own() noexcept { return lines_[caller_number() & last_]; }

  const std::uint32_t last_;
  const std::unique_ptr<line[]> lines_;
  detail::atomic<std::uint32_t> phase_{0};
  bool switched_ = false;   // of the wait
  std::uint32_t seen_ = 0;  // lines below have been seen empty in this half of the wait
};

}  // namespace skein::inline SKEIN_ABI::kit
