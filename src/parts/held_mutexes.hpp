// Which pthread mutexes a goroutine has locked: kept in builds with SKEIN_CHECK_MUTEXES, which report a
// goroutine that parks with one held (src/sched/mutex_check.cpp). Nothing at all in other builds.
//
// Written by the goroutine alone, as it locks and unlocks.
#pragma once

#include <cstdint>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::detail {

#if defined(SKEIN_CHECK_MUTEXES)

// held_mutexes remembers the last few; those beyond are not counted.
class held_mutexes {
 public:
  static constexpr bool kept = true;
  static constexpr std::uint32_t most = 7;

  struct entry {
    const void* mutex;
    const void* locked_at;
  };

  void clear() noexcept { count_ = 0; }
  std::uint32_t count() const noexcept { return count_; }
  const entry& last() const noexcept { return entries_[count_ - 1]; }

  void add(const void* mutex, const void* locked_at) noexcept {
    if (count_ < most) entries_[count_++] = {mutex, locked_at};
  }
  // remove() forgets the latest entry for a mutex, if there is one: another goroutine may have locked it.
  void remove(const void* mutex) noexcept {
    std::uint32_t i = count_;
    do {
      if (i-- == 0) return;
    } while (entries_[i].mutex != mutex);
    for (--count_; i < count_; ++i) entries_[i] = entries_[i + 1];
  }

 private:
  std::uint32_t count_;
  entry entries_[most];
};

#else

struct held_mutexes {
  static constexpr bool kept = false;
  void clear() noexcept {}
};

#endif

}  // namespace skein::inline SKEIN_ABI::detail
