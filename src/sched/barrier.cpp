#include "sched/barrier.hpp"

#include <linux/membarrier.h>

#include "base/check.hpp"

namespace skein::inline SKEIN_ABI::sched {

detail::atomic<bool> asymmetric_fences{false};

void probe_fences() noexcept {
  [[maybe_unused]] static const bool once = [] {
    const int supported = sys::membarrier(MEMBARRIER_CMD_QUERY);
    const bool usable = supported > 0 && (supported & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
                        sys::membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
    asymmetric_fences.store(usable, std::memory_order_relaxed);
    return usable;
  }();
}

void heavy_barrier() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!asymmetric_fences.load(std::memory_order_relaxed)) return;
  // Registered, so it cannot fail but by a kernel bug or an injected fault; without it the protocols
  // are void.
  for (int tries = 0; sys::membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0; ++tries)
    if (tries == 100) base::fatal("membarrier stopped working");
}

}  // namespace skein::inline SKEIN_ABI::sched
