// The worker the calling thread is.
#pragma once

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {
struct worker;
}
namespace arch {

// A compiler may keep the address of a thread_local across a switch, where it has become another
// thread's. So the word is read by an instruction that the compiler cannot move or merge, in the
// initial-exec form, which is right in programs and in shared libraries.
extern "C" thread_local constinit sched::worker* skein_current_worker
    __attribute__((tls_model("initial-exec")));

SKEIN_ALWAYS_INLINE sched::worker* current_worker() noexcept {
  sched::worker* w;
  asm volatile(
      "movq skein_current_worker@gottpoff(%%rip), %0\n\t"
      "movq %%fs:(%0), %0"
      : "=r"(w)::);
  return w;
}

}  // namespace arch
}  // namespace skein::inline SKEIN_ABI
