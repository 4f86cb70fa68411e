// The library's side of the concurrent map, as its template sees it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "skein/detail/atomic.hpp"

namespace skein::inline SKEIN_ABI::detail {

struct map_core;

// map_entry: the head of a key with its value. Once it is in the map nothing of it changes but
// next_retired, which readers do not look at.
struct map_entry {
  explicit map_entry(std::size_t h) noexcept : hash(h) {}
  const std::size_t hash;  // as map_hash() gives it
  map_entry* next_retired = nullptr;
};

map_core* map_make(void (*destroy)(map_entry*) noexcept);
void map_end(map_core* c) noexcept;

// map_hash() makes every bit of the result depend on every bit of what std::hash gives.
constexpr std::size_t map_hash(std::size_t h) noexcept {
  h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93ULL;
  return h ^ (h >> 32);
}

// map_pin: while it lives no entry that its holder has met is destroyed, removed or not. Not a lock: it
// holds nobody up, may be nested, and its holder may park. The end of one under which something was
// changed destroys what can be destroyed by then.
class map_pin {
 public:
  explicit map_pin(map_core* c);
  map_pin(const map_pin&) = delete;
  map_pin& operator=(const map_pin&) = delete;
  ~map_pin();

 private:
  friend struct map_core;
  map_core* core_;
  atomic<std::uint32_t>* count_;
  bool changed_ = false;
};

// map_key: how to find one key. match is called without a lock, under the pin; it may throw.
struct map_key {
  std::size_t hash;
  bool (*match)(const map_entry* e, const void* key);
  const void* key;
};

// map_find() is the key's entry, or null.
map_entry* map_find(map_core* c, const map_pin& pin, const map_key& k);

// map_update() asks decide what is to stand in place of the key's entry (null: there is none) and puts
// that there; decide is asked anew if another was faster. The entry itself: nothing changes. Null: it is
// removed. Returns the entry there was; what was decided last now belongs to the map. An exception, of
// match, decide or for want of memory, leaves the map as it was.
map_entry* map_update(map_core* c, map_pin& pin, const map_key& k,
                      map_entry* (*decide)(void* self, map_entry* found), void* self);

void map_clear(map_core* c, map_pin& pin);
// map_visit() calls visit with each entry until that returns false.
void map_visit(map_core* c, const map_pin& pin, bool (*visit)(void* self, const map_entry* e),
               void* self);

}  // namespace skein::inline SKEIN_ABI::detail
