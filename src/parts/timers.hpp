// Timers: a heap of deadlines below the scheduler. What is due fires under the heap's lock and may
// only claim waits and collect goroutines; the caller makes them ready afterwards.
//
// A timer belongs to one heap from add() to remove() or its firing. `place` and `home` are written
// under that heap's lock; after remove() has returned, no firing of the timer is under way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "parts/run_queue.hpp"
#include "skein/detail/atomic.hpp"

namespace skein::inline SKEIN_ABI::detail {

inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

class timers;

struct timer {
  static constexpr std::size_t nowhere = ~std::size_t{0};

  // fire() is called under the heap's lock when the timer is due; it has been taken out. It returns
  // the time at which it wants to fire next, or `never`.
  std::int64_t (*fire)(timer* self, std::int64_t now, goroutine_list& ready) noexcept;
  // Called when the heap ends with the timer still in it; may free the timer.
  void (*dropped)(timer* self) noexcept = nullptr;
  std::int64_t when = 0;
  atomic<timers*> home{nullptr};  // null: in no heap, and no firing under way (load with acquire)
  std::size_t place = nowhere;
};

class timers {
 public:
  timers() noexcept = default;
  ~timers();
  timers(const timers&) = delete;
  timers& operator=(const timers&) = delete;

  // add() throws std::bad_alloc, leaving everything as it was. Returns true if t is now the first.
  bool add(timer* t, std::int64_t when);
  // remove() returns true if t was still in the heap.
  bool remove(timer* t) noexcept;
  // run() fires what is due, at most so many, and returns how many fired.
  std::size_t run(std::int64_t now, goroutine_list& ready, std::size_t most = ~std::size_t{0}) noexcept;
  // choose_first() is for simulations: of several that are due first, the one that pick(how many) says comes first.
  template <class F> void choose_first(F pick) {
    lock_.lock();
    std::uint32_t equal = 0;
    for (std::size_t i = 0; i < count_; ++i) equal += heap_[i].when == heap_[0].when;
    std::size_t chosen = 0;
    for (std::uint32_t k = equal > 1 ? pick(equal) : 0; k > 0;) k -= heap_[++chosen].when == heap_[0].when;
    if (chosen != 0) {  // equals may change places
      const entry first = heap_[0];
      put(0, heap_[chosen]);
      put(chosen, first);
    }
    lock_.unlock();
  }

  // next() is the earliest deadline, or never; the idle protocol orders it (src/sched/idle.cpp).
  std::int64_t next() const noexcept { return next_.load(std::memory_order_acquire); }
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  // The deadline stands beside the pointer, so that sifting reads the array alone.
  struct entry {
    std::int64_t when;
    timer* t;
  };
  static constexpr std::size_t arity = 4;

  void reserve();
  void put(std::size_t i, entry e) noexcept {
    heap_[i] = e;
    e.t->place = i;
  }
  void sift_up(std::size_t i, entry e) noexcept;
  void sift_down(std::size_t i, entry e) noexcept;
  void take_out(std::size_t i) noexcept;
  void publish() noexcept {
    next_.store(count_ == 0 ? never : heap_[0].when, std::memory_order_release);
    size_.store(count_, std::memory_order_relaxed);
  }

  spin_lock lock_;
  entry* heap_ = nullptr;
  std::size_t count_ = 0;
  std::size_t capacity_ = 0;
  atomic<std::int64_t> next_{never};
  atomic<std::size_t> size_{0};
};

}  // namespace skein::inline SKEIN_ABI::detail
