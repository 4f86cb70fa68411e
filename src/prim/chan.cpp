#include <stdexcept>

#include "prim/limits.hpp"

namespace skein::inline SKEIN_ABI {
namespace detail {

using sched::waiter;
using sched::worker;

namespace {

constexpr std::size_t buffer_offset(std::size_t align) noexcept { return (sizeof(chan_core) + align - 1) & ~(align - 1); }
constexpr std::size_t block_align(std::size_t align) noexcept { return align > alignof(chan_core) ? align : alignof(chan_core); }

// The wait of a plain thread, and of a goroutine, for one channel; the lock is held and dropped here.
SKEIN_COLD chan_status thread_on(chan_core* c, wait_list& list, void* slot) noexcept {
  waiter me(nullptr);
  wait_node n{nullptr, nullptr, &me, slot, &c->lock, &list, 0, false, false, false};
  arch::edge_release(&n);
  link_back(list, &n);
  c->lock.unlock();
  sched::thread_wait(me, never, 0);
  arch::edge_acquire(&n);
  return n.ok ? chan_status::done : chan_status::closed;
}

template <class Edges> SKEIN_ALWAYS_INLINE chan_status wait_on(chan_core* c, wait_list& list, void* slot, status why) noexcept {
  worker* w = sched::current();
  goroutine* g = w->g;
  if (g == nullptr) [[unlikely]] return thread_on(c, list, slot);
  waiter me(g);
  wait_node n{nullptr, nullptr, &me, slot, &c->lock, &list, 0, false, false, false};
  me.nodes = &n;
  me.count = 1;
  g->waiting = &me;
  Edges::release(&n);
  link_back(list, &n);
  c->lock.unlock();
  sched::park(w, g, why);
  g->waiting = nullptr;
  sched::resumed();
  Edges::acquire(&n);
  return n.ok ? chan_status::done : chan_status::closed;
}

}  // namespace

chan_core* chan_make(const elem_ops& ops, std::size_t capacity) {
  const std::size_t offset = buffer_offset(ops.align);
  constexpr std::size_t most = static_cast<std::size_t>(PTRDIFF_MAX);
  if (ops.size != 0 && capacity > (most - offset) / ops.size)
    throw std::length_error("skein: no channel can have that capacity");
  void* block = sys::allocate(offset + capacity * ops.size, block_align(ops.align));
  return new (block) chan_core(ops, capacity, static_cast<char*>(block) + offset);
}

void chan_retain(chan_core* c) noexcept { c->refs.fetch_add(1, std::memory_order_relaxed); }

void chan_release(chan_core* c) noexcept {
  arch::unwatched_edges::release(&c->refs);
  // acq_rel: the last handle sees what all others did with the channel.
  if (c->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  arch::unwatched_edges::acquire(&c->refs);
  switch (c->special) {
    case chan_core::kind::plain: break;
    case chan_core::kind::timer: timer_destroy(c); return;
    case chan_core::kind::fd: fd_destroy(c); return;
    case chan_core::kind::signal: signal_forget(c); break;
  }
  // Who still waits here holds a reference to a handle that is gone; nobody will ever wake them.
  forget_list(c->receivers);
  forget_list(c->senders);
  for (; c->count > 0; --c->count) {
    char* at = c->slot(c->head);
    c->head = c->wrapped(c->head + 1);
    arch::edge_acquire(at);
    if (c->ops->destroy != nullptr) c->ops->destroy(at);
  }
  const elem_ops& ops = *c->ops;
  const std::size_t bytes = buffer_offset(ops.align) + c->capacity * ops.size;
  c->~chan_core();
  sys::deallocate(c, bytes, block_align(ops.align));
}

namespace {

// A send and a receive; the lock is dropped before anybody is woken.
enum class patience { waits, tries };
template <class Edges, patience P> SKEIN_ALWAYS_INLINE chan_status send_to(chan_core* c, void* from) {
  waiter* woken = nullptr;
  c->lock.lock();
  const chan_status s = try_send_locked<Edges>(c, from, woken);
  if (P == patience::waits && s == chan_status::would_block) return wait_on<Edges>(c, c->senders, from, status::chan_send);
  c->lock.unlock();
  if (woken != nullptr) sched::wake(woken);
  return s;
}
template <class Edges, patience P> SKEIN_ALWAYS_INLINE chan_status recv_from(chan_core* c, void* to) {
  waiter* woken = nullptr;
  c->lock.lock();
  const chan_status s = try_recv_locked<Edges>(c, to, woken);
  if (P == patience::waits && s == chan_status::would_block) return wait_on<Edges>(c, c->receivers, to, status::chan_recv);
  c->lock.unlock();
  if (woken != nullptr) sched::wake(woken);
  return s;
}

// The same where something is to be attended to first.
SKEIN_COLD chan_status send_attended(chan_core* c, void* from, const void* site) {
  sched::attend(sched::current(), {"chan.send", c, site});
  if (c == nullptr) prim::block_for_ever(status::nil_chan);
  return send_to<arch::edges, patience::waits>(c, from);
}
SKEIN_COLD chan_status recv_attended(chan_core* c, void* to, const void* site) {
  sched::attend(sched::current(), {"chan.recv", c, site});
  if (c == nullptr) prim::block_for_ever(status::nil_chan);
  return recv_from<arch::edges, patience::waits>(c, to);
}
SKEIN_ALWAYS_INLINE bool plain_sailing(const chan_core* c) noexcept {
  return c != nullptr && sched::current()->attention_word.load(std::memory_order_relaxed) == 0;
}

}  // namespace

SKEIN_NOINLINE chan_status chan_send(chan_core* c, void* from) {
  if (!plain_sailing(c)) [[unlikely]] return send_attended(c, from, __builtin_return_address(0));
  return send_to<arch::unwatched_edges, patience::waits>(c, from);
}

SKEIN_NOINLINE chan_status chan_recv(chan_core* c, void* to) {
  if (!plain_sailing(c)) [[unlikely]] return recv_attended(c, to, __builtin_return_address(0));
  return recv_from<arch::unwatched_edges, patience::waits>(c, to);
}

chan_status chan_try_send(chan_core* c, void* from) {
  sched::attend_if_asked("chan.try_send", c);
  return c == nullptr ? chan_status::would_block : send_to<arch::edges, patience::tries>(c, from);
}

chan_status chan_try_recv(chan_core* c, void* to) {
  sched::attend_if_asked("chan.try_recv", c);
  return c == nullptr ? chan_status::would_block : recv_from<arch::edges, patience::tries>(c, to);
}

SKEIN_NOINLINE void offer(chan_core* c, void* from, goroutine_list& ready) noexcept {
  waiter* woken = nullptr;
  c->lock.lock();
  try_send_locked<arch::edges>(c, from, woken);
  c->lock.unlock();
  if (woken != nullptr) sched::collect(woken, ready);
}

namespace {

// A single operation within a limit is a select of one case, but goes by its own name.
chan_status limited(chan_core* c, void* slot, select_case::kind dir, const limit& l, const sched::act& what) {
  select_case one;
  one.core = c;
  one.slot = slot;
  one.dir = dir;
  select_case* list[1] = {&one};
  const bool asked = sched::current()->attention_word.load(std::memory_order_relaxed) != 0;
  switch (asked ? select_attended(list, 1, l, what) : select_cases(list, 1, l)) {
    case 0: return one.closed ? chan_status::closed : chan_status::done;
    case timed_out: return chan_status::timeout;
    case was_canceled: return chan_status::canceled;
    default: return chan_status::would_block;
  }
}

}  // namespace

chan_status chan_send(chan_core* c, void* from, const limit& l) {
  return limited(c, from, select_case::kind::send, l, {"chan.send", c, __builtin_return_address(0)});
}
chan_status chan_recv(chan_core* c, void* to, const limit& l) {
  return limited(c, to, select_case::kind::recv, l, {"chan.recv", c, __builtin_return_address(0)});
}

void chan_close(chan_core* c) {
  sched::attend_if_asked("chan.close", c);
  if (c == nullptr) throw misuse("skein: close of nil channel");
  // Claimed waiters, taken off the channel. They sleep until woken, so their nodes keep.
  wait_list claimed;
  c->lock.lock();
  if (c->closed) {
    c->lock.unlock();
    throw misuse("skein: close of closed channel");
  }
  c->closed = true;
  arch::edge_release(c);
  for (wait_list* list : {&c->receivers, &c->senders})
    while (wait_node* n = take_waiter(*list)) {
      arch::edge_release(n);
      n->ok = false;
      n->next = nullptr;
      (claimed.tail != nullptr ? claimed.tail->next : claimed.head) = n;
      claimed.tail = n;
    }
  c->lock.unlock();
  for (wait_node* n = claimed.head; n != nullptr;) {
    wait_node* next = n->next;  // read before the wake: the frame may be gone after it
    if (n->who->g != nullptr)
      sched::submit(sched::runtime_of(n->who->g), n->who->g);
    else
      sched::wake_thread(n->who);
    n = next;
  }
}

namespace {
bool hidden(const chan_core* c) noexcept {
  return c == nullptr || c->special == chan_core::kind::timer || c->special == chan_core::kind::fd;
}
}  // namespace

std::size_t chan_size(const chan_core* c) noexcept {
  sched::show("chan.size", c);
  if (hidden(c)) return 0;
  auto* own = const_cast<chan_core*>(c);
  own->lock.lock();
  const std::size_t n = own->count;
  own->lock.unlock();
  return n;
}

std::size_t chan_capacity(const chan_core* c) noexcept { return hidden(c) ? 0 : c->capacity; }

void throw_closed_channel() { throw closed_channel(); }

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
