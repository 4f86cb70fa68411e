// A goroutine's value of one local: the part that does not depend on its type.
#pragma once

#include <cstdint>

#include "skein/detail/atomic.hpp"

namespace skein::inline SKEIN_ABI::detail {

// local_value: the head of a value. It belongs to the goroutine or thread that made it.
struct local_value {
  explicit local_value(void (*how)(local_value*) noexcept) noexcept : destroy(how) {}

  std::uint64_t key = 0;                         // of its local
  local_value* older = nullptr;                  // the one made before it
  void (*const destroy)(local_value*) noexcept;  // destroys and frees the whole value
};

// local_key() is the key of a local, never 0, given to it at the first call. Throws std::length_error
// when 65,536 locals have one. local_forget() gives it back.
std::uint64_t local_key(atomic<std::uint64_t>& key);
void local_forget(std::uint64_t key) noexcept;

// local_find() is the caller's value for a key, or null; also for the key 0.
local_value* local_find(std::uint64_t key) noexcept;
// local_keep() makes v the caller's value for a key. Throws misuse if there is one by now, and
// std::bad_alloc; then v is still the caller's own.
void local_keep(std::uint64_t key, local_value* v);

}  // namespace skein::inline SKEIN_ABI::detail
