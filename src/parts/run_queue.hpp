// The run queue of one processor: a bounded ring that its owner pushes and pops and others steal
// from, as in Go's proc.go (runqput, runqget, runqgrab).
//
// word    changed by                                   pairs
//   tail  owner only, store-release after the slot     thieves load-acquire tail, then read slots
//   head  owner and thieves, by CAS (acq_rel)          push loads head with acquire before it
//                                                      reuses a slot
//   slot  owner, while tail - head < size              relaxed; a thief that read a slot which was
//                                                      reused meanwhile fails its CAS on head
//
// Invariant: the goroutines in [head, tail) are in the ring and nowhere else; whoever moves head
// past a slot owns what was in it. Indices are 64 bits wide and never wrap.
#pragma once

#include <cstdint>

#include "parts/goroutine.hpp"

namespace skein::inline SKEIN_ABI::detail {

// goroutine_list: singly linked by next, with its length.
struct goroutine_list {
  goroutine* head = nullptr;
  goroutine* tail = nullptr;
  std::size_t size = 0;

  void push(goroutine* g) noexcept {
    g->next = nullptr;
    (tail != nullptr ? tail->next : head) = g;
    tail = g;
    ++size;
  }
  goroutine* pop() noexcept {
    goroutine* g = head;
    if (g == nullptr) return nullptr;
    head = g->next;
    if (head == nullptr) tail = nullptr;
    --size;
    return g;
  }
  void append(goroutine_list& o) noexcept {
    if (o.head == nullptr) return;
    (tail != nullptr ? tail->next : head) = o.head;
    tail = o.tail;
    size += o.size;
    o = {};
  }
};

class run_queue {
 public:
  static constexpr std::uint64_t slots = 256;

  // push() appends; owner only. False when full.
  SKEIN_ALWAYS_INLINE bool push(goroutine* g) noexcept {
    const std::uint64_t t = tail_.load(std::memory_order_relaxed);
    if (t - head_.load(std::memory_order_acquire) >= slots) return false;
    slot_[t % slots].store(g, std::memory_order_relaxed);
    tail_.store(t + 1, std::memory_order_release);
    return true;
  }

  // pop() takes the oldest; owner only.
  SKEIN_ALWAYS_INLINE goroutine* pop() noexcept {
    std::uint64_t h = head_.load(std::memory_order_acquire);
    while (h != tail_.load(std::memory_order_relaxed)) {
      goroutine* g = slot_[h % slots].load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(h, h + 1, std::memory_order_acq_rel, std::memory_order_acquire)) return g;
    }
    return nullptr;
  }

  // pop() takes up to n of the oldest in one step; owner only. Returns how many.
  std::uint32_t pop(goroutine** out, std::uint32_t n) noexcept {
    std::uint64_t h = head_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint64_t have = tail_.load(std::memory_order_relaxed) - h;
      if (have == 0) return 0;
      const auto k = static_cast<std::uint32_t>(have < n ? have : n);
      for (std::uint32_t i = 0; i < k; ++i) out[i] = slot_[(h + i) % slots].load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(h, h + k, std::memory_order_acq_rel, std::memory_order_acquire)) return k;
    }
  }

  // shed() moves the older half to a list; owner only, on a full ring.
  void shed(goroutine_list& out) noexcept {
    std::uint64_t h = head_.load(std::memory_order_acquire);
    const std::uint64_t n = (tail_.load(std::memory_order_relaxed) - h) / 2;
    if (n == 0) return;
    goroutine* taken[slots / 2];
    for (std::uint64_t i = 0; i < n; ++i) taken[i] = slot_[(h + i) % slots].load(std::memory_order_relaxed);
    // A thief got in between: there is room now, and the caller tries to push again.
    if (!head_.compare_exchange_strong(h, h + n, std::memory_order_acq_rel, std::memory_order_acquire)) return;
    for (std::uint64_t i = 0; i < n; ++i) out.push(taken[i]);
  }

  // steal_from() moves half of the victim's goroutines here and returns one of them; owner only,
  // this ring empty.
  goroutine* steal_from(run_queue& victim) noexcept {
    const std::uint64_t t = tail_.load(std::memory_order_relaxed);
    for (;;) {
      std::uint64_t h = victim.head_.load(std::memory_order_acquire);
      const std::uint64_t vt = victim.tail_.load(std::memory_order_acquire);
      std::uint64_t n = vt - h;
      n -= n / 2;
      if (n == 0) return nullptr;
      if (n > slots / 2) continue;  // head and tail are from different moments
      for (std::uint64_t i = 0; i < n; ++i)
        slot_[(t + i) % slots].store(victim.slot_[(h + i) % slots].load(std::memory_order_relaxed),
                                     std::memory_order_relaxed);
      if (!victim.head_.compare_exchange_strong(h, h + n, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      goroutine* g = slot_[(t + n - 1) % slots].load(std::memory_order_relaxed);
      if (n > 1) tail_.store(t + n - 1, std::memory_order_release);
      return g;
    }
  }

  std::uint64_t size() const noexcept {
    const std::uint64_t h = head_.load(std::memory_order_acquire);
    const std::uint64_t t = tail_.load(std::memory_order_acquire);
    return t > h ? t - h : 0;
  }
  bool empty() const noexcept { return size() == 0; }

 private:
  alignas(64) atomic<std::uint64_t> head_{0};
  alignas(64) atomic<std::uint64_t> tail_{0};
  atomic<goroutine*> slot_[slots]{};
};

// run_batch: goroutines that a processor has taken from its queue at once, to pay for one
// read-modify-write instead of one each. Nobody else can take them, so the processor takes few while
// its goroutines are not tiny. `left` is read by the monitor.
class run_batch {
 public:
  static constexpr std::uint32_t most = 16;

  std::uint32_t left() const noexcept { return left_.load(std::memory_order_relaxed); }
  goroutine* pop() noexcept {
    const std::uint32_t n = left();
    left_.store(n - 1, std::memory_order_relaxed);
    return slot_[count_ - n];
  }
  // fill() takes up to n from the queue; only when empty.
  void fill(run_queue& q, std::uint32_t n) noexcept {
    count_ = q.pop(slot_, n);
    left_.store(count_, std::memory_order_relaxed);
  }

 private:
  atomic<std::uint32_t> left_{0};
  std::uint32_t count_ = 0;
  goroutine* slot_[most];
};

// inject_queue: the global queue, for goroutines that come from outside a processor or do not fit.
class inject_queue {
 public:
  void push(goroutine* g) noexcept {
    goroutine_list l;
    l.push(g);
    push(l);
  }
  void push(goroutine_list& l) noexcept {
    lock_.lock();
    list_.append(l);
    size_.store(list_.size, std::memory_order_relaxed);
    lock_.unlock();
  }
  // pop() takes up to n, oldest first.
  goroutine_list pop(std::size_t n) noexcept {
    goroutine_list out;
    lock_.lock();
    while (out.size < n) {
      goroutine* g = list_.pop();
      if (g == nullptr) break;
      out.push(g);
    }
    size_.store(list_.size, std::memory_order_relaxed);
    lock_.unlock();
    return out;
  }
  // size() is a hint; the idle protocol orders it (src/sched/idle.cpp).
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  spin_lock lock_;
  goroutine_list list_;
  atomic<std::size_t> size_{0};
};

}  // namespace skein::inline SKEIN_ABI::detail
