// What comes before what in a simulation: a vector clock for each goroutine and for each address that
// carries an edge (arch::edge_release, arch::edge_acquire).
//
// The edges are followed from the first access of a test::var on. That is early enough: a chain that
// orders two accesses has no edge that is older than the first of them.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::sched {

class clocks {
 public:
  // Goroutines have numbers from 1 on; 0 is the scheduler, which fires timers and forgets after each.
  void start() noexcept { started_ = true; }  // from here on edges count
  void stop() noexcept;
  void forget(std::uint32_t who) noexcept;
  void release(std::uint32_t who, const void* at);
  void acquire(std::uint32_t who, const void* at);
  std::uint32_t of(std::uint32_t who);  // its own clock
  // Did what `other` did when its clock said `then` come before what `who` does now?
  bool before(std::uint32_t other, std::uint32_t then, std::uint32_t who);

 private:
  using clock = std::vector<std::uint32_t>;
  clock& at(std::uint32_t who);
  static void join(clock& to, const clock& from);

  bool started_ = false;
  std::vector<clock> goroutines_;
  std::unordered_map<const void*, clock> edges_;
};

}  // namespace skein::inline SKEIN_ABI::sched
