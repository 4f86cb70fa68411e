// The list of those who wait for one object: FIFO, under a spin lock. What may stand in it is
// defined by the wait primitive (src/sched/wait.hpp).
#pragma once

#include "skein/detail/atomic.hpp"

namespace skein::inline SKEIN_ABI::detail {

struct wait_node;

// wait_list: intrusive doubly linked list; the lock that guards it belongs to its owner.
struct wait_list {
  wait_node* head = nullptr;
  wait_node* tail = nullptr;
  bool empty() const noexcept { return head == nullptr; }
};

struct wait_queue {
  spin_lock lock;
  wait_list list;

  // settle() is the end of the queue. It waits for somebody who is just leaving the lock: an object
  // may be destroyed by one who has seen its state change, before the one who changed it has let go
  // of the queue. Those who still wait will wait for ever; their nodes forget the queue.
  void settle() noexcept;
};

// forget_list() takes all nodes out of a list whose lock and memory are about to go; the lock is held.
void forget_list(wait_list& l) noexcept;

}  // namespace skein::inline SKEIN_ABI::detail
