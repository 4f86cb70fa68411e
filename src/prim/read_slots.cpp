#include "prim/read_slots.hpp"

#include <sched.h>

#include <new>
#include <utility>

#include "base/sys.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {

std::size_t bytes(int size) noexcept { return sizeof(read_slots::table::line) * (static_cast<std::size_t>(size) + 1); }

}  // namespace

template <class F> void read_slots::each(F f) noexcept {
  f(first_);
  if (table* t = table_.load(std::memory_order_acquire))  // pairs with give()
    for (int i = 0; i < t->size; ++i) f(t->at(i));
}

read_slots::~read_slots() {
  each([](const read_slot& s) {
    // Acquire pairs with the last store of an unlock_shared() that a writer has seen leave.
    while ((s.left.load(std::memory_order_acquire) & 1) != 0) ::sched_yield();
  });
  drop(table_.load(std::memory_order_relaxed));
}

// count() is a guess while readers come and go.
std::int64_t read_slots::count() noexcept {
  std::int64_t n = 0;
  each([&n](const read_slot& s) { n += s.count(); });
  return n;
}

// move_all() brings every slot to zero and returns what was there; the caller counts it.
std::int64_t read_slots::move_all() noexcept {
  std::int64_t n = 0;
  each([&n](read_slot& s) {
    const std::int64_t here = s.count();
    s.move(here);
    n += here;
  });
  return n;
}

// take() takes one reader out of any slot.
bool read_slots::take() noexcept {
  bool taken = false;
  each([&taken](read_slot& s) {
    if (taken || s.count() <= 0) return;
    s.move(1);
    taken = true;
  });
  return taken;
}

// prepare() allocates what give() will need, outside of the lock; null if it needs nothing, or there
// is no memory.
read_slots::table* read_slots::prepare(const sched::proc* p) noexcept {
  if (first_.owner.load(std::memory_order_relaxed) == nullptr || of(p) != nullptr) return nullptr;
  if (table_.load(std::memory_order_relaxed) != nullptr) return nullptr;
  const int size = p->rt->made_procs.load(std::memory_order_acquire);
  try {
    auto* t = new (sys::allocate(bytes(size), alignof(table::line))) table{size};
    for (int i = 0; i < size; ++i) {
      auto* slot = new (&t->at(i)) table::line;
      slot->owner.store(p->rt->all_procs[i].load(std::memory_order_acquire), std::memory_order_relaxed);
    }
    return t;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// give() gives p a slot: the first to come gets the one in the mutex itself, the second one makes the
// table for all, and the first is not used any more: it shares its cache line with what all readers
// look at. False if p has none. A table that is not taken stays with the caller.
bool read_slots::give(const sched::proc* p, table*& fresh) noexcept {
  if (first_.owner.load(std::memory_order_relaxed) == nullptr) {
    first_.owner.store(p, std::memory_order_relaxed);
  } else if (fresh != nullptr && table_.load(std::memory_order_relaxed) == nullptr) {
    table_.store(std::exchange(fresh, nullptr), std::memory_order_release);  // of()
    first_.owner.store(this, std::memory_order_relaxed);                     // nobody's
  }
  return of(p) != nullptr;
}

void read_slots::drop(table* t) noexcept {
  if (t != nullptr) sys::deallocate(t, bytes(t->size), alignof(table::line));
}

}  // namespace skein::inline SKEIN_ABI::detail
