// A channel.
//
// All of it is guarded by `lock`, but for refs, ops and capacity, which never change, and the hints.
//
// Invariants, whenever the lock is free
//   - receivers waiting  =>  buffer empty, no sender waiting (but in one select on both directions)
//   - senders waiting    =>  buffer full (a capacity of 0 is always full)
//   - closed             =>  nobody waits
//   - buffer: `count` elements from `head` on, in a ring of `capacity`
//
// A value moves once: from the sender's frame into the waiting receiver's, or into the buffer, or
// from there out. The lock is dropped before anybody is woken; no code of the program runs under it
// (elem.hpp decides what a move may run).
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/context.hpp"
#include "sched/wait.hpp"
#include "skein/detail/chan_core.hpp"

namespace skein::inline SKEIN_ABI::sched {
struct act;
}

namespace skein::inline SKEIN_ABI::detail {

struct chan_core {
  chan_core(const elem_ops& o, std::size_t cap, char* b) noexcept : ops(&o), capacity(cap), buffer(b) {}

  spin_lock lock;
  atomic<std::uint32_t> refs{1};
  bool closed = false;
  enum class kind : std::uint8_t { plain, timer, fd, signal };
  kind special = kind::plain;  // what the channel is part of; their buffers are hidden
  const elem_ops* const ops;
  const std::size_t capacity;
  char* const buffer;
  std::size_t count = 0;
  std::size_t head = 0;
  wait_list receivers;
  wait_list senders;

  char* slot(std::size_t i) const noexcept { return buffer + i * ops->size; }
  std::size_t wrapped(std::size_t i) const noexcept { return i >= capacity ? i - capacity : i; }

  // Moves an element; what is left at `from` is the owner's of that place to end.
  SKEIN_ALWAYS_INLINE void move(void* to, void* from) const noexcept {
    if (ops->move != nullptr) [[unlikely]] {
      ops->move(to, from);
      return;
    }
#if defined(SKEIN_TSAN)
    // Not memcpy, which the race detector would see without the lock that orders it.
    for (std::size_t i = 0; i < ops->size; ++i) static_cast<volatile char*>(to)[i] = static_cast<volatile char*>(from)[i];
#else
    switch (ops->size) {
      case 0: return;
      case 4: __builtin_memcpy(to, from, 4); return;
      case 8: __builtin_memcpy(to, from, 8); return;
      case 16: __builtin_memcpy(to, from, 16); return;
      default: __builtin_memcpy(to, from, ops->size);
    }
#endif
  }

  // The next four need the lock, and room or elements. Edges tells whether a simulation may follow them.
  template <class Edges> SKEIN_ALWAYS_INLINE void push(void* from) noexcept {
    char* at = slot(wrapped(head + count));
    Edges::acquire(at);  // the receive that emptied the slot
    move(at, from);
    Edges::release(at);
    ++count;
  }
  template <class Edges> SKEIN_ALWAYS_INLINE void pop(void* to) noexcept {
    char* at = slot(head);
    Edges::acquire(at);
    move(to, at);
    if (ops->leave != nullptr) [[unlikely]] ops->leave(at);
    Edges::release(at);
    head = wrapped(head + 1);
    --count;
  }
  // Gives a value to a receiver that waits, takes one from a sender that waits.
  template <class Edges> SKEIN_ALWAYS_INLINE void serve(wait_node* receiver, void* from) noexcept {
    Edges::acquire(receiver);
    move(receiver->slot, from);
    Edges::release(receiver);
    receiver->ok = true;
  }
  template <class Edges> SKEIN_ALWAYS_INLINE void serve_from(wait_node* sender, void* to) noexcept {
    Edges::acquire(sender);
    if (capacity == 0) {
      move(to, sender->slot);
    } else {
      pop<Edges>(to);
      push<Edges>(sender->slot);
    }
    Edges::release(sender);
    sender->ok = true;
  }
};

// try_send_locked(), try_recv_locked(): the operation if it can happen now. The lock is held and
// stays so; `woken` is whom to wake after it is dropped.
template <class Edges>
SKEIN_ALWAYS_INLINE chan_status try_send_locked(chan_core* c, void* from, sched::waiter*& woken) noexcept {
  if (c->closed) [[unlikely]] return chan_status::closed;
  if (wait_node* r = take_waiter(c->receivers)) {
    c->serve<Edges>(r, from);
    woken = r->who;
    return chan_status::done;
  }
  if (c->count < c->capacity) {
    c->push<Edges>(from);
    return chan_status::done;
  }
  return chan_status::would_block;
}

template <class Edges>
SKEIN_ALWAYS_INLINE chan_status try_recv_locked(chan_core* c, void* to, sched::waiter*& woken) noexcept {
  if (wait_node* s = take_waiter(c->senders)) {
    c->serve_from<Edges>(s, to);
    woken = s->who;
    return chan_status::done;
  }
  if (c->count > 0) {
    c->pop<Edges>(to);
    return chan_status::done;
  }
  if (c->closed) [[unlikely]] {
    Edges::acquire(c);
    return chan_status::closed;
  }
  return chan_status::would_block;
}

// offer() is a send that does not wait, for code that runs under a lock of the scheduler's floor: whom
// it wakes goes to the list.
void offer(chan_core* c, void* from, goroutine_list& ready) noexcept;

// select_attended() is select_cases() where something is to be attended to first, under the name that `what` gives it.
int select_attended(select_case* const* cases, std::size_t n, const limit& l, const sched::act& what);

// A context's done channel, without a reference; null if it never ends. Made on demand: may throw.
chan_core* context_done_core(context_core* c);

// The end of the special ones, when their last handle is gone.
void timer_destroy(chan_core* c) noexcept;
void fd_destroy(chan_core* c) noexcept;
void signal_forget(chan_core* c) noexcept;

}  // namespace skein::inline SKEIN_ABI::detail
