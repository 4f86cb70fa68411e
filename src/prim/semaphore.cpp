// Semaphore.
//
//   state_    meaning                 changed by
//   held      acquired weight         `waiting` clear: anyone, by CAS; set: under the queue's lock only
//   waiting   the queue is not empty  under the queue's lock; also set while somebody holds that lock
//                                     and counts
//
// Whenever the lock is free the first in the queue does not fit, or has been claimed by its time or
// context and is about to take the lock itself, to leave and to serve those behind it.
//
// Whoever serves a waiter adds its weight to `held`, so nobody can come between. The weight stands in
// the waiter's frame, at node.slot; it may be read while the node is linked.
#include "skein/semaphore.hpp"

#include "prim/limits.hpp"

namespace skein::inline SKEIN_ABI {

using detail::chan_status;
using detail::wait_node;
using prim::blocker;

namespace {

constexpr std::uint64_t waiting = 1;

constexpr const char* too_much = "skein: release of more than the semaphore has handed out";

std::ptrdiff_t check(std::ptrdiff_t n) {
  if (n < 0) throw misuse("skein: negative weight for a semaphore");
  return n;
}
constexpr std::uint64_t with(std::ptrdiff_t held) { return static_cast<std::uint64_t>(held) << 1; }
constexpr std::ptrdiff_t held_in(std::uint64_t state) { return static_cast<std::ptrdiff_t>(state >> 1); }

}  // namespace

semaphore::semaphore(std::ptrdiff_t size) : size_(check(size)) {}

// take() takes n if it is free and nobody waits. Acquire pairs with the release of release().
bool semaphore::take(std::ptrdiff_t n) noexcept {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  do {
    if ((s & waiting) != 0 || held_in(s) > size_ - n) return false;
  } while (!state_.compare_exchange_weak(s, s + with(n), std::memory_order_acquire, std::memory_order_relaxed));
  arch::edge_acquire(this);
  return true;
}

void semaphore::acquire(std::ptrdiff_t n) {
  check(n);
  sched::attend_if_asked("semaphore.acquire", this);
  if (!take(n)) [[unlikely]] acquire_slow(n, detail::limit::forever());
}

bool semaphore::try_acquire(std::ptrdiff_t n) {
  check(n);
  sched::attend_if_asked("semaphore.try_acquire", this);
  return take(n);
}

bool semaphore::acquire(std::ptrdiff_t n, const detail::limit& l) {
  check(n);
  sched::attend_if_asked("semaphore.acquire", this);
  chan_status why;
  if (l.ctx != nullptr && prim::limit_guard::over({true, false, {}, l.ctx}, why)) return false;
  return take(n) || acquire_slow(n, l);
}

bool semaphore::acquire_slow(std::ptrdiff_t n, const detail::limit& l) {
  const bool hopeless = n > size_;
  if (hopeless && !l.has_deadline && (l.ctx == nullptr || detail::context_done_core(l.ctx) == nullptr))
    throw misuse("skein: acquire of more than the semaphore's size");
  blocker b(l, sched::status::semaphore);
  chan_status result;
  if (!b.begin(result)) return false;
  if (hopeless) return b.wait() == chan_status::done;  // only the limit can end it
  waiters_.lock.lock();
  const std::ptrdiff_t held = freeze();
  if (waiters_.list.empty() && held <= size_ - n) {
    serve(held + n);
    if (!b.withdraw()) {
      release(n);
      return false;
    }
  } else {
    b.link(waiters_, false, &n);
    waiters_.lock.unlock();
    if (b.wait() != chan_status::done) {
      waiters_.lock.lock();
      serve(freeze());
      return false;
    }
  }
  arch::edge_acquire(this);
  return true;
}

void semaphore::release(std::ptrdiff_t n) {
  check(n);
  sched::attend_if_asked("semaphore.release", this);
  arch::edge_release(this);
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  while ((s & waiting) == 0) {
    if (held_in(s) < n) throw misuse(too_much);
    if (state_.compare_exchange_weak(s, s - with(n), std::memory_order_release, std::memory_order_relaxed)) return;
  }
  waiters_.lock.lock();
  const std::ptrdiff_t held = freeze();
  serve(held < n ? held : held - n);
  if (held < n) throw misuse(too_much);
}

// freeze() makes sure that only the holder of the lock changes the state, until serve().
std::ptrdiff_t semaphore::freeze() noexcept { return held_in(state_.fetch_or(waiting, std::memory_order_acquire)); }

// serve() hands out what is left of the size to the first in the queue, sets the state and drops the
// lock.
void semaphore::serve(std::ptrdiff_t held) noexcept {
  prim::wake_list served;
  const auto fits = [&](const wait_node* n) { return *static_cast<std::ptrdiff_t*>(n->slot) <= size_ - held; };
  while (wait_node* n = detail::take_waiter_if(waiters_.list, fits)) {
    held += *static_cast<std::ptrdiff_t*>(n->slot);
    served.add(n);
  }
  // Release for the next take(); the acquire of freeze() has collected those before.
  state_.store(with(held) | (waiters_.list.empty() ? 0 : waiting), std::memory_order_release);
  waiters_.lock.unlock();
  served.wake();
}

}  // namespace skein::inline SKEIN_ABI
