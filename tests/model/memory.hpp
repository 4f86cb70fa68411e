// The memory of a model: what C++20 lets a thread read, and which plain accesses race.
//
// Each location keeps the stores to it in modification order, which is the order of execution. A thread
// knows other threads by vector clocks, one number for each of them:
//
//   hb       what happens before its next operation; races are judged by it
//   sees     hb, and what seq_cst fences have made it see: it reads nothing older than that
//   fenced   how many seq_cst operations come before a fence that it has passed
//
// A load may return any store that is not older than the newest one among those that `sees` covers,
// written or read by any thread. That is coherence, so no view per location is needed. A
// read-modify-write reads the newest. A release puts what the thread knows beside the store; it stays
// along a chain of read-modify-writes. What a relaxed load finds there waits for an acquire fence.
//
// Plain accesses leave a record for each eight bytes, thread and kind. Two that overlap, of which one is
// a write and not both are atomic, must be ordered by hb.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace model {

inline constexpr int most_threads = 12;

// fail() ends the execution; it is the explorer's.
[[noreturn]] void fail(std::string why);

struct clocks {
  std::uint32_t at[most_threads] = {};
  void join(const clocks& o) noexcept {
    for (int i = 0; i < most_threads; ++i)
      if (o.at[i] > at[i]) at[i] = o.at[i];
  }
};

struct knowledge {
  clocks hb, sees;
  std::uint32_t fenced = 0;
  void join(const knowledge& o) noexcept {
    hb.join(o.hb);
    sees.join(o.sees);
    if (o.fenced > fenced) fenced = o.fenced;
  }
};

enum class order : std::uint8_t { relaxed, consume, acquire, release, acq_rel, seq_cst, none };
const char* name(order o) noexcept;
inline bool acquires(order o) noexcept {
  return o == order::consume || o == order::acquire || o == order::acq_rel || o == order::seq_cst;
}
inline bool releases(order o) noexcept {
  return o == order::release || o == order::acq_rel || o == order::seq_cst;
}

// mind: what a thread knows.
struct mind {
  int id = 0;
  knowledge know;
  knowledge pending;   // by relaxed loads: for the next acquire fence
  knowledge released;  // by the last release fence: goes with relaxed stores
  knowledge light;     // at the last light fence
  void tick() noexcept { know.sees.at[id] = ++know.hb.at[id]; }
};

struct store {
  std::uint64_t value;
  bool has_message;
  knowledge message;
};

struct location {
  std::uintptr_t address;
  std::uint32_t bytes;
  std::uint32_t next;  // another one in the same eight bytes, + 1
  std::uint32_t number;
  bool begun;  // false: the value in memory is the first store
  std::vector<store> stores;
  // By thread: its clock, and the newest store that it had written or read then.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> seen[most_threads];
  std::vector<std::pair<std::uint32_t, std::uint32_t>> strict;  // seq_cst stores: number, index
};

class memory {
 public:
  memory();

  // begin() forgets everything for a new execution.
  void begin() noexcept;

  // Where models and what they call live; the same addresses in each execution.
  static constexpr std::uintptr_t arena = 0x2000'0000'0000;
  static constexpr std::size_t arena_bytes = std::size_t{1} << 32;
  static constexpr std::size_t stack_bytes = 256 * 1024;
  static char* stack_of(int thread) noexcept {  // its upper end
    return reinterpret_cast<char*>(arena + arena_bytes -
                                   static_cast<std::size_t>(thread) * stack_bytes);
  }
  static bool in_arena(const void* p) noexcept {
    return reinterpret_cast<std::uintptr_t>(p) - arena < arena_bytes;
  }
  void* allocate(std::size_t bytes, std::size_t align) noexcept;
  void deallocate(mind& m, void* p, std::uint32_t pc);
  void* map(std::size_t bytes) noexcept;  // reads as zero

  // plain() checks an access that is not atomic.
  void plain(mind& m, std::uintptr_t address, std::size_t bytes, bool write, std::uint32_t pc);

  // find() is the location of an atomic access, which it checks against plain ones.
  location& find(mind& m, std::uintptr_t address, std::uint32_t bytes, bool write,
                 std::uint32_t pc);
  // oldest() is the index of the oldest store that m may read.
  std::uint32_t oldest(const mind& m, const location& l, order o) const noexcept;
  std::uint64_t read(mind& m, location& l, std::uint32_t index, order o) noexcept;
  // write() appends a store; after: it is half of a read-modify-write that read the newest one.
  void write(mind& m, location& l, std::uint64_t value, order o, bool after) noexcept;
  void fence(mind& m, order o) noexcept;
  void light_fence(mind& m) noexcept;
  void heavy_fence(mind& m, const std::deque<mind*>& all) noexcept;

  std::uint64_t stores() const noexcept { return stores_; }

 private:
  struct record {
    std::uint8_t mask, thread, write, atomic;
    std::uint32_t clock;
    std::uint32_t pc;
  };
  struct cell {
    static constexpr int records = 9;
    std::uint32_t execution;
    std::uint32_t first;  // location + 1
    std::uint8_t atomic_mask, count, freed, unused;
    record by[records];
  };
  static_assert(sizeof(cell) <= 128);

  cell* cell_of(std::uintptr_t address) noexcept;
  void check(mind& m, cell& c, std::uintptr_t address, std::uint8_t mask, bool write, bool atomic,
             std::uint32_t pc);
  void forget_atomics(mind& m, const cell& c, std::uint8_t mask) noexcept;
  static void settle(location& l) noexcept;
  static void note(const mind& m, location& l, std::uint32_t index) noexcept;
  static std::uint32_t newest_within(const location& l, const clocks& c) noexcept;
  static std::uint64_t value_at(const location& l) noexcept;

  char* image_;  // the writable data of the program
  std::size_t image_bytes_;
  char* arena_shadow_;
  char* image_shadow_;
  std::uint32_t execution_ = 0;
  std::uintptr_t next_ = 0;
  std::uintptr_t next_map_ = 0;
  std::uint32_t strict_ = 0;  // seq_cst operations so far
  std::uint64_t stores_ = 0;
  knowledge fences_;   // by all seq_cst fences
  knowledge heavies_;  // by all heavy fences
  std::deque<location> locations_;
  std::uint32_t used_ = 0;
};

}  // namespace model
