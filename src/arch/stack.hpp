// Stacks: address space reserved by the region, memory only where touched.
//
// A class of stacks is 2^k bytes of address space, guard included; the smallest class has its guard
// beside it. Each class reserves one region, so a million stacks are one mapping. The lowest
// 64 KiB of a stack are its guard:
//
//   low                                              top - colour
//   | guard 64 KiB | ................ stack ..........| colour |
//
// guard_mode    who has it
//   markers     every stack: MADV_GUARD_INSTALL (Linux 6.13) leaves the mapping whole
//   mprotect    stacks of the process up to a budget, for each costs two mappings; the rest carry a
//               canary, checked at every park
//
// A stack record is touched by its owner only: the goroutine's worker, a processor's cache, or the
// pool under its lock. Free stacks of the pool age (see release() and age()):
//
//   recent   put back since the last age(); used first
//   resting  not used between two calls of age(): release() may give their pages back
//   bare     without pages; used last
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "arch/context.hpp"
#include "skein/detail/atomic.hpp"

namespace skein::inline SKEIN_ABI::arch {

inline constexpr std::size_t guard_bytes = 64 * 1024;
inline constexpr int stack_classes = 8;  // 64 KiB << class

// class_for() is the class that reserves at least `bytes`, or -1 above 8 MiB.
int class_for(std::size_t bytes) noexcept;
constexpr std::size_t class_bytes(int cls) noexcept { return (std::size_t{64} * 1024) << cls; }
// usable_bytes() is what a goroutine can use of it.
constexpr std::size_t usable_bytes(int cls) noexcept { return class_bytes(cls) - (cls == 0 ? 0 : guard_bytes); }

struct stack {
  stack* next;  // in a cache or the pool
  char* low;
  std::uint8_t cls;
  bool guarded;
  std::uint16_t colour;  // bytes below the end where the first frame begins
#if defined(SKEIN_TSAN_FIBERS)
  void* fiber;  // made on first use
  void* own_fiber() noexcept;
#endif

  char* end() const noexcept;
  char* top() const noexcept { return end() - colour; }
  char* limit() const noexcept { return low + guard_bytes; }
  std::size_t usable() const noexcept { return usable_bytes(cls); }
};

enum class guard_mode : std::uint8_t { markers, mprotect };

// stack_pool: the stacks of one runtime. All members may be called from any thread.
class stack_pool {
 public:
  stack_pool() noexcept;
  ~stack_pool();
  stack_pool(const stack_pool&) = delete;
  stack_pool& operator=(const stack_pool&) = delete;

  // take() gives up to n stacks of a class, linked by next; null when address space or memory is
  // out. put() takes a list back.
  stack* take(int cls, int n) noexcept;
  void put(int cls, stack* list) noexcept;

  // find() is the stack that owns an address, or null. For the fault handler: takes no lock, so it
  // may miss a region that is being made at that moment.
  const stack* find(const void* address) const noexcept;
  guard_mode mode() const noexcept { return mode_; }
  bool any_unguarded() const noexcept { return any_unguarded_.load(std::memory_order_relaxed); }

  // use_mprotect() does without guard markers. Before the first take().
  void use_mprotect(std::int64_t budget) noexcept;
  std::int64_t budget() const noexcept { return budget_; }

  // release() gives back the pages of up to n resting stacks, and returns of how many; age() makes
  // what has not been used since the last call resting, once all that rested is bare. False from
  // age(): nothing rests. One thread calls both.
  int release(int n) noexcept;
  bool age() noexcept;

 private:
  struct region {
    char* base = nullptr;
    stack* records = nullptr;
    std::size_t slots = 0;
    std::size_t used = 0;
    region* next = nullptr;
  };
  struct size_class {
    detail::spin_lock lock;
    stack* recent = nullptr;
    stack* resting = nullptr;
    stack* bare = nullptr;
    detail::atomic<region*> regions{nullptr};
  };

  bool grow(size_class& c, int cls) noexcept;
  void make(stack& s, region& r, int cls) noexcept;
  bool protect(const stack& s) noexcept;

  size_class classes_[stack_classes];
  guard_mode mode_ = guard_mode::mprotect;
  bool populated_ = false;  // memory is locked as it is mapped
  std::int64_t budget_;
  detail::atomic<std::int64_t> protected_{0};  // stacks of this pool that have used the budget
  detail::atomic<bool> any_unguarded_{false};
};

// canary_intact() checks a stack that has no guard.
bool canary_intact(const stack& s) noexcept;

// below() is what can be given back of a stack whose owner has stopped at sp; empty if that is
// nothing.
iovec below(const stack& s, const void* sp) noexcept;
// depth() is how many bytes below its top have ever been touched, in whole pages, since they were
// given back last.
std::size_t depth(const stack& s) noexcept;

}  // namespace skein::inline SKEIN_ABI::arch
