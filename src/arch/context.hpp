// The register switch and what the sanitizers need to know about it.
//
// A context keeps four words; everything else is clobbered, so the compiler saves what it needs
// around the switch and nothing is pushed. The side that resumes jumps to the label behind its own
// switch: no return address is popped, so there is no return to mispredict. The exception and
// floating-point control state is the scheduler's business (src/sched/park.hpp).
//
// The switch may be expanded only in noinline functions of the library, compiled for the default
// target: a caller with more vector registers in use than the clobber list names would lose them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "skein/detail/atomic.hpp"

#if defined(SKEIN_TSAN) || defined(SKEIN_SEES_TSAN)
#define SKEIN_TSAN_FIBERS 1
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* addr);
void __tsan_release(void* addr);
void AnnotateIgnoreSyncBegin(const char* file, int line);
void AnnotateIgnoreSyncEnd(const char* file, int line);
}
#endif
#if defined(SKEIN_SEES_ASAN)
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, std::size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old, std::size_t* size_old);
void __lsan_register_root_region(const void* p, std::size_t size);
void __asan_unpoison_memory_region(const volatile void* addr, std::size_t size);
}
#endif

#if defined(SKEIN_MODEL)
extern "C" void skein_model_switch(void* from, void* to);
#endif

namespace skein::inline SKEIN_ABI::arch {

struct context {
  void* sp = nullptr;
  void* ip = nullptr;
  void* bp = nullptr;
  void* bx = nullptr;
#if defined(SKEIN_SEES_ASAN)
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
#endif
#if defined(SKEIN_TSAN_FIBERS)
  void* fiber = nullptr;
#endif
};

#if defined(__x86_64__)
static_assert(offsetof(context, sp) == 0 && offsetof(context, ip) == 8 && offsetof(context, bp) == 16 &&
              offsetof(context, bx) == 24);

#if defined(__AVX512F__)
#define SKEIN_WIDE_CLOBBERS                                                                            \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
      "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define SKEIN_WIDE_CLOBBERS
#endif

// raw_switch saves into *from, continues in *to and hands it `arg`; it returns what the side that
// resumes *from hands over.
SKEIN_ALWAYS_INLINE void* raw_switch(context* from, context* to, void* arg) noexcept {
  asm volatile(
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rsp, 0(%%rdi)\n\t"
      "movq %%rax, 8(%%rdi)\n\t"
      "movq %%rbp, 16(%%rdi)\n\t"
      "movq %%rbx, 24(%%rdi)\n\t"
      "movq 0(%%rsi), %%rsp\n\t"
      "movq 16(%%rsi), %%rbp\n\t"
      "movq 24(%%rsi), %%rbx\n\t"
      "jmpq *8(%%rsi)\n"
      "1:\n\t"
      : "+D"(from), "+S"(to), "+d"(arg)
      :
      : "memory", "cc", "rax", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
        "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
        "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "mm0", "mm1", "mm2",
        "mm3", "mm4", "mm5", "mm6", "mm7" SKEIN_WIDE_CLOBBERS);
  return arg;
}
#else
#error "no register switch for this CPU yet: add it here, with its entry stub beside x86_64.S"
#endif

enum class leaving { for_now, for_good };

// switch_context is raw_switch with the sanitizers told. `for_good` ends the stack it leaves.
template <leaving How = leaving::for_now>
SKEIN_ALWAYS_INLINE void* switch_context(context* from, context* to, void* arg) noexcept {
#if defined(SKEIN_SEES_ASAN)
  __sanitizer_start_switch_fiber(How == leaving::for_good ? nullptr : &from->fake_stack, to->bottom, to->size);
#endif
#if defined(SKEIN_TSAN)
  __tsan_switch_to_fiber(to->fiber, 1);  // no edge: the program's edges are the channel's and the locks'
#elif defined(SKEIN_SEES_TSAN)
  __tsan_switch_to_fiber(to->fiber, 0);  // the runtime itself is judged: one thread is one order
#endif
#if defined(SKEIN_MODEL)
  skein_model_switch(from, to);  // assembly is not instrumented
#endif
  arg = raw_switch(from, to, arg);
#if defined(SKEIN_SEES_ASAN)
  __sanitizer_finish_switch_fiber(from->fake_stack, nullptr, nullptr);
#endif
  return arg;
}

// on_fresh_stack() is the first thing a new stack calls.
SKEIN_ALWAYS_INLINE void on_fresh_stack() noexcept {
#if defined(SKEIN_SEES_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

// User-visible edges, for the race detector. These are of paths that no simulation takes.
struct unwatched_edges {
#if defined(SKEIN_TSAN)
  SKEIN_ALWAYS_INLINE static void release(const void* at) noexcept { __tsan_release(const_cast<void*>(at)); }
  SKEIN_ALWAYS_INLINE static void acquire(const void* at) noexcept { __tsan_acquire(const_cast<void*>(at)); }
#else
  static void release(const void*) noexcept {}
  static void acquire(const void*) noexcept {}
#endif
};

// The others are followed by simulations as well (sched/sim_clocks.hpp). The counter says how many simulations run
// in the process: enough to keep everybody else off the cold path. watch_edge() tells the caller's own, if it has one.
[[gnu::visibility("hidden")]] extern detail::atomic<std::uint32_t> simulations;
void watch_edge(const void* at, bool release) noexcept;
SKEIN_ALWAYS_INLINE bool any_simulation() noexcept {
#if defined(SKEIN_MODEL)
  return false;  // one word less to explore
#else
  return simulations.load(std::memory_order_relaxed) != 0;
#endif
}
struct edges {
  SKEIN_ALWAYS_INLINE static void release(const void* at) noexcept {
    if (any_simulation()) [[unlikely]] watch_edge(at, true);
    unwatched_edges::release(at);
  }
  SKEIN_ALWAYS_INLINE static void acquire(const void* at) noexcept {
    if (any_simulation()) [[unlikely]] watch_edge(at, false);
    unwatched_edges::acquire(at);
  }
};
SKEIN_ALWAYS_INLINE void edge_release(const void* at) noexcept { edges::release(at); }
SKEIN_ALWAYS_INLINE void edge_acquire(const void* at) noexcept { edges::acquire(at); }

}  // namespace skein::inline SKEIN_ABI::arch

// Where a stack begins: clears the frame pointer and calls skein_goroutine_main(what the switch hands
// over, what the context had in bx), which does not return. Unwinders find the end of the stack here.
extern "C" void skein_goroutine_start();
// Calls f(arg) with the stack pointer at top; unwinding passes through.
extern "C" void skein_call_on_stack(void (*f)(void*), void* arg, void* top);
