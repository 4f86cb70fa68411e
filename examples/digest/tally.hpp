// What the goroutines report for the progress line.
#pragma once

#include <atomic>
#include <cstdint>

namespace digest {

// tally: counters that are only shown; nothing is decided by them.
struct tally {
  std::atomic<std::uint64_t> found{0};  // files the walker has met
  std::atomic<std::uint64_t> bytes{0};  // read and hashed
  std::atomic<bool> walked{false};      // found is final
};

}  // namespace digest
