// The values of locals that one goroutine, or one plain thread, has made.
//
//   key      number of the local << 16 | index
//   table    slots[index] -> value; and all values in a list, the newest first
//
// An index is given again when its local has ended, a number never is. So a value with another key
// than the one asked for belongs to a local that is no more: a new value takes its slot, and it stays
// in the list until the end. Everything here is touched by its goroutine or thread alone.
#pragma once

#include <cstdint>
#include <utility>

#include "parts/goroutine.hpp"
#include "skein/detail/local_value.hpp"

namespace skein::inline SKEIN_ABI::detail {

inline constexpr std::uint64_t local_indices = 65'536;

struct local_table {
  local_value* newest;
  std::size_t size;
  local_value** slots() noexcept { return reinterpret_cast<local_value**>(this + 1); }
};

// find_local() is the value for a key, or null.
SKEIN_ALWAYS_INLINE local_value* find_local(local_table* t, std::uint64_t key) noexcept {
  if (t == nullptr || key % local_indices >= t->size) return nullptr;
  local_value* v = t->slots()[key % local_indices];
  return v != nullptr && v->key == key ? v : nullptr;
}

// keep_local() adds a value whose key has none; null is an empty table. Throws std::bad_alloc, and
// then v is not added.
void keep_local(local_table*& t, local_value* v);

// end_locals() destroys all values and leaves an empty table. Its rounds: a value that a destructor
// makes waits until those before it are gone. While a value is being destroyed it is found no more;
// older ones are.
void end_locals(local_table*& t) noexcept;

SKEIN_ALWAYS_INLINE void end_locals(goroutine* g) noexcept {
  if ((g->extras & goroutine::has_locals) == 0) [[likely]]
    return;
  end_locals(g->locals);
  g->extras &= static_cast<std::uint8_t>(~goroutine::has_locals);
}

// fresh_locals: while it lives the goroutine has a table of its own for what it runs, which ends with
// it.
class fresh_locals {
 public:
  explicit fresh_locals(goroutine* g) noexcept : g_(g) {
    if ((g->extras & goroutine::has_locals) == 0) [[likely]]
      return;
    kept_ = std::exchange(g->locals, nullptr);
    g->extras &= static_cast<std::uint8_t>(~goroutine::has_locals);
  }
  fresh_locals(const fresh_locals&) = delete;
  fresh_locals& operator=(const fresh_locals&) = delete;
  ~fresh_locals() {
    end_locals(g_);
    if (kept_ == nullptr) [[likely]]
      return;
    g_->locals = kept_;
    g_->extras |= goroutine::has_locals;
  }

 private:
  goroutine* g_;
  local_table* kept_ = nullptr;
};

}  // namespace skein::inline SKEIN_ABI::detail
