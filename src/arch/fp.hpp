// The floating-point control words: rounding, exceptions that trap, denormals.
#pragma once

#include <cstdint>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::arch {

#if defined(__x86_64__)
struct fp_control {
  std::uint32_t sse;
  std::uint16_t x87;
};
inline fp_control get_fp_control() noexcept {
  fp_control c;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(c.sse), "=m"(c.x87));
  return c;
}
inline void set_fp_control(const fp_control& c) noexcept {
  asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(c.sse), "m"(c.x87));
}
#else
#error "no floating-point control words for this CPU yet"
#endif

}  // namespace skein::inline SKEIN_ABI::arch
