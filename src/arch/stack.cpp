#include "arch/stack.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/sys.hpp"
#include "os/procfs.hpp"

namespace skein::inline SKEIN_ABI::arch {
namespace {

constexpr int madv_guard_install = 102;  // Linux 6.13; newer than the headers of Debian 12
// As large as a frame is likely to be, for a frame leaves most of itself untouched.
constexpr std::size_t canary_words = 128;
constexpr std::uint64_t canary = 0x736b65696e5f6f6bULL;
constexpr std::int64_t mprotect_budget = 16'000;  // of the 65,530 mappings a process may have
constexpr int colours = 16;
constexpr std::size_t page_bytes = 4096;

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

void write_canary(const stack& s) noexcept { std::fill_n(reinterpret_cast<std::uint64_t*>(s.limit()), canary_words, canary); }

// How much address space to reserve at a time: a terabyte, unless somebody counts it.
std::size_t reservation(bool populated) noexcept {
  if (populated) return std::size_t{4} << 20;
#if defined(SKEIN_TSAN_FIBERS) || defined(SKEIN_SEES_ASAN)
  std::size_t bytes = std::size_t{8} << 30;
#else
  std::size_t bytes = std::size_t{1} << 40;
#endif
  // The rest of the program, its threads above all, has to live under the same limit.
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const std::size_t used = os::address_space_in_use();
    bytes = std::min(bytes, limit.rlim_cur > used ? std::bit_floor((limit.rlim_cur - used) / 4) : 0);
  }
  if (os::commits_strictly()) bytes = std::min(bytes, std::size_t{64} << 20);
  return bytes;
}

}  // namespace

char* stack::end() const noexcept { return low + slot_bytes(cls); }

int class_for(std::size_t bytes) noexcept {
  if (bytes > class_bytes(stack_classes - 1)) return -1;
  const std::size_t units = (std::max<std::size_t>(bytes, 1) + class_bytes(0) - 1) / class_bytes(0);
  return static_cast<int>(std::bit_width(units - 1));
}

// Stacks of all pools that have used the budget.
static detail::atomic<std::int64_t> all_protected{0};

stack_pool::stack_pool() noexcept : budget_(mprotect_budget) {
  void* probe = sys::map(guard_bytes);
  if (probe == nullptr) return;
  unsigned char resident = 0;
  populated_ = ::mincore(probe, page_bytes, &resident) == 0 && (resident & 1) != 0;
  if (sys::advise(probe, guard_bytes, madv_guard_install) == 0) mode_ = guard_mode::markers;
  sys::unmap(probe, guard_bytes);
}

void stack_pool::use_mprotect(std::int64_t budget) noexcept {
  mode_ = guard_mode::mprotect;
  budget_ = budget;
}

stack_pool::~stack_pool() {
  all_protected.fetch_sub(protected_.load(std::memory_order_relaxed), std::memory_order_relaxed);
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

// Reserves the next region, as large as can be had.
bool stack_pool::grow(size_class& c, int cls) noexcept {
  const std::size_t slot = slot_bytes(cls);
  for (std::size_t bytes = std::max(reservation(populated_), slot); bytes >= slot; bytes /= 2) {
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

bool stack_pool::protect(const stack& s) noexcept {
  if (all_protected.fetch_add(1, std::memory_order_relaxed) < budget_ && sys::protect_none(s.low, guard_bytes) == 0) {
    protected_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  all_protected.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void stack_pool::make(stack& s, region& r, int cls) noexcept {
  const std::size_t i = r.used++;
  s.low = r.base + i * slot_bytes(cls);
  s.cls = static_cast<std::uint8_t>(cls);
  s.colour = static_cast<std::uint16_t>((i % colours) * 64);
  s.guarded = false;
  if (mode_ == guard_mode::markers)
    s.guarded = sys::advise(s.low, guard_bytes, madv_guard_install) == 0;
  if (!s.guarded) s.guarded = protect(s);
  if (s.guarded) return;
  write_canary(s);
  any_unguarded_.store(true, std::memory_order_relaxed);
}

stack* stack_pool::take(int cls, int n) noexcept {
  size_class& c = classes_[cls];
  c.lock.lock();
  stack* list = nullptr;
  for (stack** from : {&c.recent, &c.resting, &c.bare})
    for (; n > 0 && *from != nullptr; --n) {
      stack* s = *from;
      *from = s->next;
      if (from == &c.bare && !s->guarded) write_canary(*s);
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
  last->next = c.recent;
  c.recent = list;
  c.lock.unlock();
}

int stack_pool::release(int n) noexcept {
  constexpr int batch = 32;
  int done = 0;
  for (size_class& c : classes_) {
    while (done < n) {
      c.lock.lock();
      stack* list = nullptr;
      stack* last = nullptr;
      iovec pages[batch];
      int count = 0;
      for (; count < batch && c.resting != nullptr; ++count) {
        stack* s = c.resting;
        c.resting = s->next;
        s->next = list;
        list = s;
        if (last == nullptr) last = s;
        pages[count] = {s->limit(), s->usable()};
      }
      c.lock.unlock();
      if (count == 0) break;
      sys::give_back(pages, count);
      done += count;
      c.lock.lock();
      last->next = c.bare;
      c.bare = list;
      c.lock.unlock();
    }
  }
  return done;
}

bool stack_pool::age() noexcept {
  bool any = false;
  for (size_class& c : classes_) {
    std::lock_guard hold(c.lock);
    if (c.resting == nullptr) c.resting = std::exchange(c.recent, nullptr);
    any = any || c.resting != nullptr;
  }
  return any;
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

iovec below(const stack& s, const void* sp) noexcept {
  // A signal handler's frame, or a leaf's, may stand right below sp; the canary's page stays.
  constexpr std::size_t red_zone = 128;
  char* from = s.limit() + (s.guarded ? 0 : page_bytes);
  const auto at = (reinterpret_cast<std::uintptr_t>(sp) - red_zone) & ~(page_bytes - 1);
  char* to = reinterpret_cast<char*>(at);
  return to > from ? iovec{from, static_cast<std::size_t>(to - from)} : iovec{from, 0};
}

std::size_t depth(const stack& s) noexcept {
  constexpr std::size_t most = (class_bytes(stack_classes - 1)) / page_bytes;
  unsigned char resident[most];
  const std::size_t n = s.usable() / page_bytes;
  if (::mincore(s.limit(), s.usable(), resident) != 0) return 0;
  for (std::size_t i = s.guarded ? 0 : 1; i < n; ++i)
    if ((resident[i] & 1) != 0) return (n - i) * page_bytes;
  return 0;
}

bool canary_intact(const stack& s) noexcept {
  const auto* at = reinterpret_cast<const std::uint64_t*>(s.limit());
  std::uint64_t wrong = 0;  // no early end: all of it at once is a few dozen instructions
  for (std::size_t i = 0; i < canary_words; ++i) wrong |= at[i] ^ canary;
  return wrong == 0;
}

}  // namespace skein::inline SKEIN_ABI::arch
