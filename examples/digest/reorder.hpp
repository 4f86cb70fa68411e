// Gives back in order what arrives in any order.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace digest {

// reorder: values with the indices 0, 1, 2, … of which at most `window` are under way at a time.
template <class T> class reorder {
 public:
  explicit reorder(std::size_t window) : slots_(window) {}

  void put(std::uint64_t index, T v) { slots_[index % slots_.size()] = std::move(v); }

  // next() is the value whose turn it is, if it has arrived.
  std::optional<T> next() {
    std::optional<T> v = std::exchange(slots_[next_ % slots_.size()], std::nullopt);
    if (v) ++next_;
    return v;
  }

 private:
  std::vector<std::optional<T>> slots_;
  std::uint64_t next_ = 0;
};

}  // namespace digest
