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
#include <utility>

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
  static constexpr std::uint64_t slots = shrunk<std::uint64_t>(256, 4);

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

  // shed() moves the older half to out, which has room for slots / 2, and returns how many that were;
  // owner only, on a full ring. None when a thief got in between: there is room now.
  std::size_t shed(goroutine** out) noexcept {
    std::uint64_t h = head_.load(std::memory_order_acquire);
    const std::uint64_t n = (tail_.load(std::memory_order_relaxed) - h) / 2;
    for (std::uint64_t i = 0; i < n; ++i) out[i] = slot_[(h + i) % slots].load(std::memory_order_relaxed);
    return head_.compare_exchange_strong(h, h + n, std::memory_order_acq_rel, std::memory_order_acquire) ? n : 0;
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
    for (std::uint32_t i = 1; i < count_; ++i) __builtin_prefetch(slot_[i], 1);
    left_.store(count_, std::memory_order_relaxed);
  }

 private:
  atomic<std::uint32_t> left_{0};
  std::uint32_t count_ = 0;
  goroutine* slot_[most];
};

// inject_queue: the global queue, for goroutines that come from outside a processor or do not fit.
// First in, first out: the blocks, then `late_`, which takes what comes while there is no memory for a
// block, and whatever comes behind that. Apart from them wait the tired ones, who have computed until
// somebody told them to stop: they are asked for by name.
class inject_queue {
 public:
  inject_queue() noexcept = default;
  ~inject_queue() {
    free_blocks(first_);
    free_blocks(empty_);
  }
  inject_queue(const inject_queue&) = delete;
  inject_queue& operator=(const inject_queue&) = delete;

  void push(goroutine* g) noexcept { push(&g, 1); }
  void push(goroutine* const* in, std::size_t n) noexcept {
    lock_.lock();
    for (std::size_t i = 0; i < n; ++i) append(in[i]);
    set_size(fresh() + n);
    lock_.unlock();
  }
  void push(goroutine_list& l) noexcept {
    lock_.lock();
    set_size(fresh() + l.size);
    while (goroutine* g = l.pop()) append(g);
    lock_.unlock();
  }
  void push_tired(goroutine* g) noexcept {
    lock_.lock();
    tired_.push(g);
    tired_size_.store(tired_.size, std::memory_order_relaxed);
    lock_.unlock();
  }
  // pop_tired() takes the oldest of them, or is null.
  goroutine* pop_tired() noexcept {
    lock_.lock();
    goroutine* g = tired_.pop();
    tired_size_.store(tired_.size, std::memory_order_relaxed);
    lock_.unlock();
    return g;
  }
  // pop() takes up to n that are not tired, oldest first, and returns how many.
  std::size_t pop(goroutine** out, std::size_t n) noexcept {
    std::size_t k = 0;
    lock_.lock();
    while (k < n) {
      goroutine* g = take_oldest();
      if (g == nullptr) break;
      out[k++] = g;
    }
    set_size(fresh() - k);
    lock_.unlock();
    return k;
  }
  // These are hints; the idle protocol orders them (src/sched/idle.cpp).
  std::size_t fresh() const noexcept { return size_.load(std::memory_order_relaxed); }
  std::size_t tired() const noexcept { return tired_size_.load(std::memory_order_relaxed); }
  std::size_t size() const noexcept { return fresh() + tired(); }

 private:
  void set_size(std::size_t n) noexcept { size_.store(n, std::memory_order_relaxed); }
  void append(goroutine* g) noexcept {
    if (late_.head != nullptr) {
      late_.push(g);
      return;
    }
    if (first_ == nullptr || last_->end == goroutine_block::slots) {
      goroutine_block* b = empty_ != nullptr ? std::exchange(empty_, empty_->next) : new_block();
      if (b == nullptr) {
        late_.push(g);
        return;
      }
      b->begin = b->end = 0;
      b->next = nullptr;
      (first_ == nullptr ? first_ : last_->next) = b;
      last_ = b;
    }
    last_->slot[last_->end++] = g;
  }
  goroutine* take_oldest() noexcept {
    goroutine_block* b = first_;
    if (b == nullptr) return late_.pop();
    goroutine* g = b->slot[b->begin++];
    if (b->begin == b->end) {
      first_ = b->next;
      b->next = empty_;
      empty_ = b;
    }
    return g;
  }

  spin_lock lock_;
  goroutine_block* first_ = nullptr;
  goroutine_block* last_ = nullptr;   // of those behind first_
  goroutine_block* empty_ = nullptr;  // to use again
  goroutine_list late_;
  goroutine_list tired_;
  atomic<std::size_t> size_{0};  // without the tired
  atomic<std::size_t> tired_size_{0};
};

}  // namespace skein::inline SKEIN_ABI::detail
