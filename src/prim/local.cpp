// Locals: their keys, and whose values the caller sees.
#include "skein/local.hpp"

#include <cxxabi.h>

#include <bit>
#include <stdexcept>

#include "parts/locals.hpp"
#include "sched/park.hpp"

extern "C" void* __dso_handle;

namespace skein::inline SKEIN_ABI::detail {
namespace {

// Which indices are in use. Taking the lowest keeps tables small. Relaxed: an index means nothing
// without the number above it, which is used once.
constinit atomic<std::uint64_t> used[local_indices / 64]{};
constinit atomic<std::uint64_t> last_number{0};

std::uint64_t take_index() {
  for (std::uint64_t i = 0; i < std::size(used); ++i) {
    std::uint64_t word = used[i].load(std::memory_order_relaxed);
    while (~word != 0) {
      const int bit = std::countr_one(word);
      if (used[i].compare_exchange_weak(word, word | std::uint64_t{1} << bit,
                                        std::memory_order_relaxed))
        return i * 64 + static_cast<std::uint64_t>(bit);
    }
  }
  throw std::length_error("skein: more than 65536 locals in use");
}

void give_index(std::uint64_t index) noexcept {
  used[index / 64].fetch_and(~(std::uint64_t{1} << index % 64), std::memory_order_relaxed);
}

// The values of a plain thread. They end among its thread_local objects: those made before them go
// later. A value that such a destructor makes begins a new table, which ends right after it.
thread_local constinit local_table* of_thread = nullptr;

void end_thread(void*) { end_locals(of_thread); }

// Apart, so that nothing of a thread_local is computed on a goroutine.
SKEIN_NOINLINE local_value* find_of_thread(std::uint64_t key) noexcept {
  return find_local(of_thread, key);
}

SKEIN_NOINLINE void keep_of_thread(local_value* v) {
  const bool first = of_thread == nullptr;
  keep_local(of_thread, v);
  if (first) abi::__cxa_thread_atexit(&end_thread, nullptr, &__dso_handle);
}

}  // namespace

std::uint64_t local_key(atomic<std::uint64_t>& key) {
  std::uint64_t known = key.load(std::memory_order_relaxed);
  if (known != 0) return known;
  const std::uint64_t index = take_index();
  const std::uint64_t mine =
      (last_number.fetch_add(1, std::memory_order_relaxed) + 1) * local_indices + index;
  if (key.compare_exchange_strong(known, mine, std::memory_order_relaxed)) return mine;
  give_index(index);  // somebody else was first
  return known;
}

void local_forget(std::uint64_t key) noexcept {
  if (key != 0) give_index(key % local_indices);
}

SKEIN_NOINLINE local_value* local_find(std::uint64_t key) noexcept {
  const goroutine* g = sched::current_goroutine();
  return g != nullptr ? find_local(g->locals, key) : find_of_thread(key);
}

void local_keep(std::uint64_t key, local_value* v) {
  if (local_find(key) != nullptr)
    throw misuse("skein: the function that makes a local's value has made one by using the local");
  v->key = key;
  if (goroutine* g = sched::current_goroutine()) {
    keep_local(g->locals, v);
    g->extras |= goroutine::has_locals;
  } else {
    keep_of_thread(v);
  }
}

}  // namespace skein::inline SKEIN_ABI::detail
