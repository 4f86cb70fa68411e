#include "parts/timers.hpp"

#include <algorithm>
#include <cstring>

#include "base/sys.hpp"

namespace skein::inline SKEIN_ABI::detail {

timers::~timers() {
  while (count_ > 0) {  // from the back: dropped() may run code that removes others
    timer* t = heap_[--count_].t;
    t->place = timer::nowhere;
    t->home.store(nullptr, std::memory_order_relaxed);
    if (t->dropped != nullptr) t->dropped(t);
  }
  if (heap_ != nullptr) sys::deallocate(heap_, capacity_ * sizeof(entry), alignof(entry));
}

void timers::reserve() {
  if (count_ < capacity_) return;
  const std::size_t grown = std::max<std::size_t>(64, capacity_ * 2);
  auto* bigger = static_cast<entry*>(sys::allocate(grown * sizeof(entry), alignof(entry)));
  if (heap_ != nullptr) {
    const sys::unseen own;
    std::memcpy(bigger, heap_, count_ * sizeof(entry));
    sys::deallocate(heap_, capacity_ * sizeof(entry), alignof(entry));
  }
  heap_ = bigger;
  capacity_ = grown;
}

void timers::sift_up(std::size_t i, entry e) noexcept {
  while (i > 0) {
    const std::size_t parent = (i - 1) / arity;
    if (heap_[parent].when <= e.when) break;
    put(i, heap_[parent]);
    i = parent;
  }
  put(i, e);
}

void timers::sift_down(std::size_t i, entry e) noexcept {
  for (;;) {
    const std::size_t first = i * arity + 1;
    if (first >= count_) break;
    std::size_t least = first;
    for (std::size_t c = first + 1; c < std::min(first + arity, count_); ++c)
      if (heap_[c].when < heap_[least].when) least = c;
    if (heap_[least].when >= e.when) break;
    put(i, heap_[least]);
    i = least;
  }
  put(i, e);
}

void timers::take_out(std::size_t i) noexcept {
  heap_[i].t->place = timer::nowhere;
  const entry last = heap_[--count_];
  if (i == count_) return;
  if (i > 0 && heap_[(i - 1) / arity].when > last.when)
    sift_up(i, last);
  else
    sift_down(i, last);
}

bool timers::add(timer* t, std::int64_t when) {
  lock_.lock();
  try {
    reserve();
  } catch (...) {
    lock_.unlock();
    throw;
  }
  t->when = when;
  t->home.store(this, std::memory_order_relaxed);
  sift_up(count_++, {when, t});
  const bool first = t->place == 0;
  publish();
  lock_.unlock();
  return first;
}

bool timers::remove(timer* t) noexcept {
  lock_.lock();
  const bool found = t->place != timer::nowhere;
  if (found) {
    take_out(t->place);
    t->home.store(nullptr, std::memory_order_relaxed);
    publish();
  }
  lock_.unlock();
  return found;
}

std::size_t timers::run(std::int64_t now, goroutine_list& ready, std::size_t most) noexcept {
  std::size_t fired = 0;
  lock_.lock();
  while (count_ > 0 && heap_[0].when <= now && fired < most) {
    timer* t = heap_[0].t;
    take_out(0);
    ++fired;
    // `home` stays: whoever stops or drops the timer meanwhile waits for the lock.
    const std::int64_t again = t->fire(t, now, ready);
    if (again == never) {
      t->home.store(nullptr, std::memory_order_release);
      continue;
    }
    t->when = again;
    sift_up(count_++, {again, t});  // there is room: one was taken out
  }
  publish();
  lock_.unlock();
  return fired;
}

}  // namespace skein::inline SKEIN_ABI::detail
