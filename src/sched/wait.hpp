// The wait primitive: every blocking operation of skein is one waiter with N sources.
//
// A waiter lives in the frame of whoever blocks. Each source it waits for holds a wait_node (in the
// list of a channel, a lock, a wait group ...), a timer, or an fd_wait that points back to it.
//
//   claim      meaning                                  changed by
//   open       nobody has ended the wait                0 -> winner by CAS: exactly one source, or
//   winner     index + 1 of the source that ended it    the waiter itself (it found a case ready,
//                                                       its thread's time is over, shutdown)
//
// Rules
//   1. A node is linked, unlinked and read only under the lock of its list. Whoever takes a node out
//      to serve it claims the waiter first, under that lock; a waiter with one source needs no CAS,
//      because taking its only node out is the claim.
//   2. Whoever claims writes the result into the frame (the value, node.ok), and then wakes the
//      waiter, exactly once, after dropping the lock. After the wake the frame may be gone.
//   3. The waiter does not return before each of its nodes is out of its list and its timer out of
//      its heap: it takes every lock once. So nothing ever points to a dead frame, and the claim
//      needs no generation: a waiter is born with its operation (docs/design/0001-wait.md).
//   4. A waiter that was claimed by another must park once, to consume its wake-up.
//
// Kinds: `g` is a goroutine, real or simulated; null means a plain thread, which sleeps on `signal`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "parts/goroutine.hpp"
#include "parts/poller.hpp"
#include "parts/timers.hpp"
#include "skein/detail/wait_queue.hpp"

namespace skein::inline SKEIN_ABI::sched {

using detail::atomic;
using detail::goroutine;
using detail::goroutine_list;
using detail::wait_list;
using detail::wait_node;

inline constexpr std::uint32_t shutdown_index = 0xfffffff2;  // the source that claims at the end

struct waiter {
  static constexpr std::uint32_t open = 0;

  explicit waiter(goroutine* who) noexcept : g(who) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  // try_claim() ends the wait for source `index`. acq_rel: the winner sees what the waiter wrote
  // before it published, the waiter (acquire in winner()) what the winner wrote.
  bool try_claim(std::uint32_t index) noexcept {
    std::uint32_t expected = open;
    return claim.compare_exchange_strong(expected, index + 1, std::memory_order_acq_rel, std::memory_order_acquire);
  }
  std::uint32_t winner() const noexcept { return claim.load(std::memory_order_acquire) - 1; }

  atomic<std::uint32_t> claim{open};
  atomic<std::uint32_t> signal{0};  // threads: 1 once woken
  goroutine* g;
  // What others need to end this wait at shutdown.
  wait_node* nodes = nullptr;
  std::uint32_t count = 0;
  wait_node* context = nullptr;
  detail::timer* deadline = nullptr;
  detail::fd_wait* io = nullptr;
};

}  // namespace skein::inline SKEIN_ABI::sched

namespace skein::inline SKEIN_ABI::detail {

struct wait_node {
  wait_node* next;
  wait_node* prev;
  sched::waiter* who;
  void* slot;           // the value's place in the waiter's frame
  spin_lock* lock;      // of the list it stands in
  wait_list* list;
  std::uint32_t index;  // which source of the waiter
  bool many;            // the waiter has other sources: claim before serving
  bool linked;
  bool ok;              // written by the winner: done, as against closed
};

SKEIN_ALWAYS_INLINE void link_back(wait_list& l, wait_node* n) noexcept {
  n->next = nullptr;
  n->prev = l.tail;
  (l.tail != nullptr ? l.tail->next : l.head) = n;
  l.tail = n;
  n->linked = true;
}
inline void link_front(wait_list& l, wait_node* n) noexcept {
  n->prev = nullptr;
  n->next = l.head;
  (l.head != nullptr ? l.head->prev : l.tail) = n;
  l.head = n;
  n->linked = true;
}
SKEIN_ALWAYS_INLINE void unlink(wait_list& l, wait_node* n) noexcept {
  (n->prev != nullptr ? n->prev->next : l.head) = n->next;
  (n->next != nullptr ? n->next->prev : l.tail) = n->prev;
  n->linked = false;
}

// take_waiter() takes out the first node whose waiter can be claimed; null if there is none. Nodes
// of waiters that others have claimed are dropped on the way. take_waiter_if() stops at the first
// node that `serves` refuses.
template <class F> SKEIN_ALWAYS_INLINE wait_node* take_waiter_if(wait_list& l, F serves) noexcept {
  while (wait_node* n = l.head) {
    if (!serves(n)) break;
    // Claimed before it is unlinked: after that a node that is not ours may be gone.
    const bool ours = !n->many || n->who->try_claim(n->index);
    unlink(l, n);
    if (ours) return n;
  }
  return nullptr;
}
SKEIN_ALWAYS_INLINE wait_node* take_waiter(wait_list& l) noexcept {
  return take_waiter_if(l, [](const wait_node*) { return true; });
}

}  // namespace skein::inline SKEIN_ABI::detail
