// Asymmetric fences: the frequent side pays a compiler barrier, the rare side a membarrier() that
// makes every running thread of the process pass a full fence.
//
// Used wherever two sides each write one word and read the other's (store, then load): after a
// light_barrier() on one side and a heavy_barrier() on the other at least one of them sees the
// other's store. Without membarrier (old kernels, some sandboxes) both are full fences.
#pragma once

#include <atomic>

#include "base/sys.hpp"
#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::sched {

extern detail::atomic<bool> asymmetric_fences;  // set once, before the first worker starts
void probe_fences() noexcept;

SKEIN_ALWAYS_INLINE void light_barrier() noexcept {
  if (!asymmetric_fences.load(std::memory_order_relaxed)) [[unlikely]]
    std::atomic_thread_fence(std::memory_order_seq_cst);
  else
    std::atomic_signal_fence(std::memory_order_seq_cst);
}
void heavy_barrier() noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
