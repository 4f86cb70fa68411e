// Plays plans of a scenario in a child process.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "faults/engine.hpp"

namespace faults {

// tally: how often a kind of call got an answer.
using tally = std::array<std::array<std::atomic<long>, places>, kinds>;

// board: what a child has done so far; in memory that it shares with its parent.
struct board {
  std::atomic<std::size_t> at{0};  // the plan it is at
  std::atomic<long> plays{0};
  std::atomic<long> hit{0};  // plays with a fault
  std::atomic<long> faults{0};
  std::atomic<long> not_reached{0};  // plays whose fault did not come: fewer calls than counted
  std::atomic<long> calls{0};
  std::array<std::atomic<long>, kinds> most{};  // calls of a kind in one play
  tally by_answer;                              // faults

  static board* make();  // lives as long as the process
};

// Statuses with which a child ends that did not come to its end.
enum : int { lost = 30, hung = 40 };

// play_all() plays plans[board.at] and those after it.
void play_all(const scenario& s, const std::vector<plan>& plans, board& b);

}  // namespace faults
