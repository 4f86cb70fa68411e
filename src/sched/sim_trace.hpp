// The trace of one schedule: a line for each step.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "sched/park.hpp"

namespace skein::inline SKEIN_ABI::sched {

class trace {
 public:
  // who: the number of the goroutine, 0 for the scheduler. `how` comes before the operation.
  void note(std::uint64_t step, std::int64_t clock, std::uint32_t who, const char* how, const act& a);
  std::string text() const;
  // Names are the same in each run: objects have numbers by their first appearance, places are offsets.
  std::string object(const void* p);
  static std::string place(const void* site);

 private:
  static constexpr std::size_t most = 2000;  // lines, the last ones
  std::deque<std::string> lines_;
  std::uint64_t cut_ = 0;
  std::unordered_map<const void*, std::size_t> objects_;
};

}  // namespace skein::inline SKEIN_ABI::sched
