// The seam for atomics: every shared word of the runtime is a detail::atomic.
#pragma once

#include <atomic>
#include <cstdint>

#include "skein/detail/config.hpp"

#if defined(SKEIN_MODEL)
extern "C" void skein_model_pause();
extern "C" unsigned long skein_model_cycles();
#endif

namespace skein::inline SKEIN_ABI::detail {

template <class T> using atomic = std::atomic<T>;

// shrunk() is how many things something holds: few in models, which fill and wrap it in every way.
template <class T> consteval T shrunk([[maybe_unused]] T usual, [[maybe_unused]] T in_models) noexcept {
#if defined(SKEIN_MODEL)
  return in_models;
#else
  return usual;
#endif
}

// cycles() is a cheap clock of no particular unit, for telling microseconds from nanoseconds.
#if defined(SKEIN_MODEL)
inline void cpu_relax() noexcept { skein_model_pause(); }
inline std::uint64_t cycles() noexcept { return skein_model_cycles(); }
#else
SKEIN_ALWAYS_INLINE void cpu_relax() noexcept { __builtin_ia32_pause(); }
SKEIN_ALWAYS_INLINE std::uint64_t cycles() noexcept { return __builtin_ia32_rdtsc(); }
#endif

// spin_lock guards a few dozen instructions of the runtime, never user code.
//
//   word 0 free, 1 held. lock() exchanges 0 -> 1 with acquire; unlock() stores 0 with release and
//   pairs with it. A waiter spins for a bounded time and then sleeps in growing steps: the holder
//   can only be slow when the kernel has taken its core away, and a sleeper gives it back. Nobody
//   is woken, so there is no wake-up to lose and unlock() stays a plain store.
class spin_lock {
 public:
  SKEIN_ALWAYS_INLINE void lock() noexcept {
    if (word_.exchange(1, std::memory_order_acquire) != 0) [[unlikely]] lock_slow();
  }
  SKEIN_ALWAYS_INLINE bool try_lock() noexcept {
    return word_.load(std::memory_order_relaxed) == 0 &&
           word_.exchange(1, std::memory_order_acquire) == 0;
  }
  SKEIN_ALWAYS_INLINE void unlock() noexcept { word_.store(0, std::memory_order_release); }

 private:
  void lock_slow() noexcept;

  atomic<std::uint32_t> word_{0};
};

}  // namespace skein::inline SKEIN_ABI::detail
