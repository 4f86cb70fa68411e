#include "parts/locals.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"
#include "base/sys.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {

constexpr int most_rounds = 100;

std::size_t bytes_of(std::size_t slots) noexcept {
  return sizeof(local_table) + slots * sizeof(local_value*);
}

void free_table(local_table* t) noexcept {
  if (t != nullptr) sys::deallocate(t, bytes_of(t->size), alignof(local_table));
}

void grow(local_table*& t, std::size_t index) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(index + 1, 4));
  auto* bigger = static_cast<local_table*>(sys::allocate(bytes_of(size), alignof(local_table)));
  *bigger = {nullptr, size};
  std::fill_n(bigger->slots(), size, nullptr);
  if (t != nullptr) {
    bigger->newest = t->newest;
    std::copy_n(t->slots(), t->size, bigger->slots());
    free_table(t);
  }
  t = bigger;
}

}  // namespace

void keep_local(local_table*& t, local_value* v) {
  const std::size_t index = v->key % local_indices;
  if (t == nullptr || index >= t->size) grow(t, index);
  t->slots()[index] = v;
  v->older = std::exchange(t->newest, v);
}

// Destructors may make values and so replace the table: it is looked at anew after each.
void end_locals(local_table*& t) noexcept {
  for (int round = 0; t != nullptr && t->newest != nullptr; ++round) {
    if (round == most_rounds) base::fatal("destructors of local values make new ones without end");
    local_value* list = std::exchange(t->newest, nullptr);
    while (list != nullptr) {
      local_value* v = std::exchange(list, list->older);
      local_value*& slot = t->slots()[v->key % local_indices];
      if (slot == v) slot = nullptr;
      v->destroy(v);
    }
  }
  free_table(std::exchange(t, nullptr));
}

}  // namespace skein::inline SKEIN_ABI::detail
