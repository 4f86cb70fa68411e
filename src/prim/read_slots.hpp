// The slots of a shared_mutex: one for each processor that reads much.
//
//   slot     the readers of one processor                   written by
//   owner    the processor; set once for good, but for      the holder of the mutex's queue lock
//            the first, which loses it to the table
//   came     readers that have come                         the owner, by plain stores between
//   left     twice those that have left; bit 0: the owner   enter() and leave()
//            is in unlock_shared() and will touch the mutex
//   moved    how many are accounted for elsewhere           the holder of the mutex's queue lock
//
// A reader may leave on another processor than it came on, so a slot may be below zero; only the sum
// means anything. That came and left are two words spares the processor waiting for its own last
// store.
#pragma once

#include "sched/park.hpp"
#include "skein/detail/read_slots.hpp"

namespace skein::inline SKEIN_ABI::detail {

// table: a slot for each processor of the runtime that made it, one to a cache line.
struct read_slots::table {
  struct alignas(64) line : read_slot {};

  line& at(int i) noexcept { return reinterpret_cast<line*>(this)[i + 1]; }

  int size;
};

// Acquire pairs with the release of a reader that has left: its reads are over.
SKEIN_ALWAYS_INLINE std::int64_t read_slot::count() const noexcept {
  const std::uint64_t gone = left.load(std::memory_order_acquire) / 2 + moved.load(std::memory_order_relaxed);
  return static_cast<std::int64_t>(came.load(std::memory_order_relaxed) - gone);
}

inline void read_slot::move(std::int64_t n) noexcept {
  moved.store(moved.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(n), std::memory_order_relaxed);
}

// of() is null for null, and for a processor that has no slot.
SKEIN_ALWAYS_INLINE read_slot* read_slots::of(const sched::proc* p) noexcept {
  if (p == nullptr) [[unlikely]] return nullptr;
  if (first_.owner.load(std::memory_order_relaxed) == p) [[likely]] return &first_;
  table* t = table_.load(std::memory_order_acquire);  // pairs with give()
  if (t == nullptr || p->id >= t->size) return nullptr;
  read_slot* slot = &t->at(p->id);
  if (slot->owner.load(std::memory_order_relaxed) == p) [[likely]] return slot;
  return nullptr;
}

}  // namespace skein::inline SKEIN_ABI::detail
