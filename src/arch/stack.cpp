#include "arch/stack.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "base/sys.hpp"

namespace skein::inline SKEIN_ABI::arch {
namespace {

constexpr int madv_guard_install = 102;  // Linux 6.13; newer than the headers of Debian 12
constexpr std::uint64_t canary = 0x736b65696e5f6f6bULL;
constexpr std::int64_t mprotect_budget = 16'000;  // of the 65,530 mappings a process may have
constexpr int colours = 16;

#if defined(SKEIN_TSAN_FIBERS)
// The race detector's fibers outlive the stacks they were made for: clang 19's runtime now and then
// crashes in destroying one, and making one costs 150 KiB.
class fiber_pool {
 public:
  void* take() noexcept {
    const sys::unseen own;
    std::lock_guard hold(lock_);
    if (free_.empty()) {
      // Whoever happens to make it is no predecessor of those who will run on it.
      AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
      void* f = __tsan_create_fiber(0);
      AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
      return f;
    }
    void* f = free_.back();
    free_.pop_back();
    return f;
  }
  void put(void* f) noexcept {
    const sys::unseen own;
    std::lock_guard hold(lock_);
    free_.push_back(f);
  }

 private:
  detail::spin_lock lock_;
  std::vector<void*> free_;
};
fiber_pool& fibers() {
  static fiber_pool* const p = new fiber_pool;
  return *p;
}
#endif

// The smallest class would be all guard, so its guard stands beside it.
constexpr std::size_t slot_bytes(int cls) noexcept { return class_bytes(cls) + (cls == 0 ? guard_bytes : 0); }

guard_mode probe() noexcept {
  void* page = sys::map(guard_bytes);
  if (page == nullptr) return guard_mode::mprotect;
  const int r = sys::advise(page, guard_bytes, madv_guard_install);
  sys::unmap(page, guard_bytes);
  return r == 0 ? guard_mode::markers : guard_mode::mprotect;
}

}  // namespace

char* stack::end() const noexcept { return low + slot_bytes(cls); }

int class_for(std::size_t bytes) noexcept {
  if (bytes > class_bytes(stack_classes - 1)) return -1;
  const std::size_t units = (std::max<std::size_t>(bytes, 1) + class_bytes(0) - 1) / class_bytes(0);
  return static_cast<int>(std::bit_width(units - 1));
}

stack_pool::stack_pool() noexcept : mode_(guard_mode::mprotect), budget_(mprotect_budget) {
  static const guard_mode kernel_has = probe();
  mode_ = kernel_has;
}

stack_pool::~stack_pool() {
  for (int cls = 0; cls < stack_classes; ++cls) {
    region* r = classes_[cls].regions.load(std::memory_order_relaxed);
    while (r != nullptr) {
#if defined(SKEIN_TSAN_FIBERS)
      for (std::size_t i = 0; i < r->used; ++i)
        if (r->records[i].fiber != nullptr) fibers().put(r->records[i].fiber);
#endif
#if defined(SKEIN_SEES_ASAN)
      if (r->used != 0) __asan_unpoison_memory_region(r->base, r->used * slot_bytes(cls));
#endif
      sys::unmap(r->base, r->slots * slot_bytes(cls));
      sys::unmap(r->records, r->slots * sizeof(stack));
      region* next = r->next;
      sys::deallocate(r, sizeof(region), alignof(region));
      r = next;
    }
  }
}

// Reserves the next region: a terabyte of address space if it can be had, else whatever can
// (RLIMIT_AS, strict overcommit, sanitizers), but never less than a few stacks.
bool stack_pool::grow(size_class& c, int cls) noexcept {
#if defined(SKEIN_TSAN_FIBERS) || defined(SKEIN_SEES_ASAN)
  std::size_t bytes = std::size_t{8} << 30;
#else
  std::size_t bytes = std::size_t{1} << 40;
#endif
  const std::size_t slot = slot_bytes(cls);
  for (; bytes >= 4 * slot; bytes /= 2) {
    const std::size_t slots = bytes / slot;
    char* base = static_cast<char*>(sys::map(slots * slot));
    if (base == nullptr) continue;
    auto* records = static_cast<stack*>(sys::map(slots * sizeof(stack)));
    void* r = nullptr;
    if (records != nullptr) {
      try {
        r = sys::allocate(sizeof(region), alignof(region));
      } catch (const std::bad_alloc&) {
      }
    }
    if (r == nullptr) {
      if (records != nullptr) sys::unmap(records, slots * sizeof(stack));
      sys::unmap(base, slots * slot);
      continue;
    }
    // With huge pages the first touch of a stack would cost 2 MiB.
    sys::advise(base, slots * slot, MADV_NOHUGEPAGE);
    c.regions.store(new (r) region{base, records, slots, 0, c.regions.load(std::memory_order_relaxed)},
                    std::memory_order_release);  // pairs with find()
    return true;
  }
  return false;
}

#if defined(SKEIN_TSAN_FIBERS)
void* stack::own_fiber() noexcept {
  if (fiber == nullptr) fiber = fibers().take();
  return fiber;
}
#endif

void stack_pool::make(stack& s, region& r, int cls) noexcept {
  const std::size_t i = r.used++;
  s.low = r.base + i * slot_bytes(cls);
  s.cls = static_cast<std::uint8_t>(cls);
  s.colour = static_cast<std::uint16_t>((i % colours) * 64);
  s.guarded = false;
  if (mode_ == guard_mode::markers)
    s.guarded = sys::advise(s.low, guard_bytes, madv_guard_install) == 0;
  if (!s.guarded && budget_.fetch_sub(1, std::memory_order_relaxed) > 0)
    s.guarded = sys::protect_none(s.low, guard_bytes) == 0;
  if (s.guarded) return;
  std::memcpy(s.limit(), &canary, sizeof canary);
  any_unguarded_.store(true, std::memory_order_relaxed);
}

stack* stack_pool::take(int cls, int n) noexcept {
  size_class& c = classes_[cls];
  c.lock.lock();
  stack* list = nullptr;
  for (; n > 0 && c.free != nullptr; --n) {
    stack* s = c.free;
    c.free = s->next;
    s->next = list;
    list = s;
  }
  for (; n > 0; --n) {
    region* r = c.regions.load(std::memory_order_relaxed);
    if (r == nullptr || r->used == r->slots) {
      if (list != nullptr || !grow(c, cls)) break;
      r = c.regions.load(std::memory_order_relaxed);
    }
    stack* s = &r->records[r->used];
    make(*s, *r, cls);
    s->next = list;
    list = s;
  }
  c.lock.unlock();
  return list;
}

void stack_pool::put(int cls, stack* list) noexcept {
  if (list == nullptr) return;
  stack* last = list;
  while (last->next != nullptr) last = last->next;
  size_class& c = classes_[cls];
  c.lock.lock();
  last->next = c.free;
  c.free = list;
  c.lock.unlock();
}

const stack* stack_pool::find(const void* address) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (int cls = 0; cls < stack_classes; ++cls) {
    for (region* r = classes_[cls].regions.load(std::memory_order_acquire); r != nullptr; r = r->next) {
      const auto base = reinterpret_cast<std::uintptr_t>(r->base);
      if (at < base || at >= base + r->slots * slot_bytes(cls)) continue;
      const stack* s = &r->records[(at - base) / slot_bytes(cls)];
      return s->low != nullptr ? s : nullptr;
    }
  }
  return nullptr;
}

bool canary_intact(const stack& s) noexcept { return std::memcmp(s.limit(), &canary, sizeof canary) == 0; }

}  // namespace skein::inline SKEIN_ABI::arch
