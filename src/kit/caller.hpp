// Telling callers apart, to spread what they share over several cache lines.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "os/cpus.hpp"
#include "sched/sched.hpp"

namespace skein::inline SKEIN_ABI::kit {

// caller_number() differs between callers that run at once, as far as that comes cheap: by processor, or by
// thread where there is none. A caller's number may change whenever it parks or its processor is taken.
inline std::uint32_t caller_number() noexcept {
  if (const sched::proc* p = sched::current()->held.load(std::memory_order_relaxed))
    return static_cast<std::uint32_t>(p->id);
  const auto thread = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  return static_cast<std::uint32_t>(thread >> 12) * 0x9e3779b1U >> 16;
}

// caller_lines() is how many lines are worth having: a power of two.
inline std::uint32_t caller_lines() noexcept {
  return std::bit_ceil(static_cast<std::uint32_t>(std::max(8, os::allowed_cpus())));
}

}  // namespace skein::inline SKEIN_ABI::kit
