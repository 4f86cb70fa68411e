// Shared mutex. Why it is made this way: docs/design/0005-shared-mutex.md.
//
// Under "the lock" the lock of writers_ is meant.
//
//   state_   meaning                                        changed by
//   readers  readers counted here                           anyone, by CAS, while `slow` is clear
//   held     a writer has the mutex                         the same
//   slow     somebody waits, or has the lock: all the       under the lock
//            rest is changed under the lock only
//   biased   readers may count in slots instead             under the lock
//   tally    times a reader has come since the last writer  with readers; cleared with held, biased
//
// A reader that holds the mutex is counted in `readers` or in a slot (prim/read_slots.hpp). It may leave
// on another processor than it came on, so only the sum of both means anything.
//
// Invariants, whenever the lock is free
//   - held           =>  no reader, not biased
//   - a writer waits =>  not biased, and the mutex is held or has readers
//   - a reader waits =>  the mutex is held or a writer waits
// (those who wait and have been claimed by time or context count as well: each comes to settle()).
//
// A reader in a slot and the writer that ends the bias:
//
//   reader                                      writer, under the lock
//     lock_shared: came += 1                      biased = 0
//     compiler barrier                            heavy_barrier
//     biased still set: done                      each slot: moved += what is there (acquire),
//     unlock_shared: left += 2 (release)                     readers += the same
//     compiler barrier
//     biased still set: done
//
// The barriers are those of sched/barrier.hpp; where the kernel has no membarrier() no bias begins.
// Either the reader sees the end of the bias or the writer sees what the reader did. A reader that
// sees it after the writer has moved its unit leaves a slot below zero and a reader too many in
// state_; it comes to balance(), which takes both away. If the bias has begun anew meanwhile there is
// nothing to do: the sum is right, and the next revoke() moves what is below zero too.
#include "skein/shared_mutex.hpp"

#include "prim/limits.hpp"
#include "prim/read_slots.hpp"

namespace skein::inline SKEIN_ABI {

using detail::chan_status;
using detail::read_slot;
using detail::wait_node;
using prim::blocker;
using prim::wake_list;
using sched::status;

namespace {

constexpr std::uint64_t held = 1, slow = 2, biased = 4;
constexpr std::uint64_t reader = 8;                      // one of up to 2^40
constexpr std::uint64_t tally = std::uint64_t{1} << 43;  // one of 2^21, then from 0 again
constexpr std::uint64_t bias_after = detail::shrunk<std::uint64_t>(1024, 2);
constexpr std::uint64_t without_tally(std::uint64_t s) { return s & (tally - 1); }
constexpr std::uint64_t readers(std::uint64_t s) { return without_tally(s) / reader; }
constexpr bool may_use_slot(std::uint64_t s) { return (s & (held | slow | biased)) == biased; }

// The reader's half of revoke()'s heavy_barrier().
SKEIN_ALWAYS_INLINE void compiler_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace

shared_mutex::~shared_mutex() {
  writers_.lock.lock();
  detail::forget_list(readers_);
  writers_.lock.unlock();
  writers_.settle();
}

// What programs may rely on: a writer's unlock comes before everybody's lock (the edge at `this`), a
// reader's only before a writer's (the edge at `slots_`; state_ has the address of `this`).

// The writer's side.

void shared_mutex::lock() {
  sched::attend_if_asked("shared_mutex.lock", this);
  if (!lock_fast()) [[unlikely]] lock_slow(detail::limit::forever());
  arch::edge_acquire(this);
  arch::edge_acquire(&slots_);
}

// Acquire pairs with the release of each unlock.
bool shared_mutex::lock_fast() noexcept {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  while (without_tally(s) == 0)
    if (state_.compare_exchange_weak(s, held, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  return false;
}

bool shared_mutex::try_lock() {
  sched::attend_if_asked("shared_mutex.try_lock", this);
  bool mine = lock_fast();
  const std::uint64_t now = state_.load(std::memory_order_relaxed);
  if (!mine && readers(now) == 0 && (now & held) == 0) {
    writers_.lock.lock();
    std::uint64_t s = freeze();
    if ((s & biased) != 0 && readers(s) == 0 && slots_.count() <= 0) s = revoke(s);
    mine = without_tally(s) == 0 && writers_.list.empty();
    thaw(mine ? held : s);
  }
  if (!mine) return false;
  arch::edge_acquire(this);
  arch::edge_acquire(&slots_);
  return true;
}

bool shared_mutex::lock(const detail::limit& l) {
  sched::attend_if_asked("shared_mutex.lock", this);
  chan_status why;
  if (l.ctx != nullptr && prim::limit_guard::over({true, false, {}, l.ctx}, why)) return false;
  if (!try_lock() && !lock_slow(l)) return false;
  arch::edge_acquire(this);
  arch::edge_acquire(&slots_);
  return true;
}

bool shared_mutex::lock_slow(const detail::limit& l) {
  blocker b(l, status::write_lock);
  chan_status result;
  if (!b.begin(result)) return false;
  writers_.lock.lock();
  std::uint64_t s = freeze();
  if ((s & biased) != 0) s = revoke(s);
  if (without_tally(s) == 0 && writers_.list.empty()) {
    thaw(held);
    if (b.withdraw()) return true;
    unlock();
    return false;
  }
  b.link(writers_.lock, writers_.list);
  thaw(s);
  if (b.wait() == chan_status::done) return true;
  settle();
  return false;
}

void shared_mutex::unlock() {
  sched::show_release("shared_mutex.unlock", this, this);
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  while ((s & slow) == 0) {
    if ((s & held) == 0) throw misuse("skein: unlock of unlocked shared_mutex");
    if (state_.compare_exchange_weak(s, s & ~held, std::memory_order_release, std::memory_order_relaxed)) return;
  }
  writers_.lock.lock();
  s = freeze();
  const bool mine = (s & held) != 0;
  wake_list woken;
  if (mine) s = advance(s & ~held, true, woken);
  thaw(s);
  woken.wake();
  if (!mine) throw misuse("skein: unlock of unlocked shared_mutex");
}

// The reader's side.

void shared_mutex::lock_shared() {
  sched::worker* w = sched::current();
  if (w->attention_word.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    sched::attend(w, {"shared_mutex.lock_shared", this, __builtin_return_address(0)});
    w = sched::current();
    if (!lock_shared_fast(w)) wait_shared();
    arch::edge_acquire(this);
    return;
  }
  if (!lock_shared_fast(w)) [[unlikely]] wait_shared();
  arch::unwatched_edges::acquire(this);
}
SKEIN_COLD void shared_mutex::wait_shared() { lock_shared_slow(detail::limit::forever()); }

SKEIN_ALWAYS_INLINE bool shared_mutex::lock_shared_fast(sched::worker* w) noexcept {
  if (may_use_slot(state_.load(std::memory_order_relaxed))) {
    if (read_slot* slot = slots_.of(sched::enter(w))) [[likely]] {
      slot->came.store(slot->came.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      compiler_barrier();
      if (may_use_slot(state_.load(std::memory_order_acquire))) [[likely]] {  // pairs with the release of unlock()
        sched::leave(w);
        return true;
      }
      turn_back(*slot);
      return false;
    }
    sched::leave(w);
  }
  return lock_shared_here();
}

// turn_back() goes on where lock_shared_fast() finds that the bias is ending; still the owner of the
// slot.
SKEIN_COLD void shared_mutex::turn_back(read_slot& slot) noexcept {
  slot.came.store(slot.came.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  sched::leave(sched::current());
  wake_list woken;
  balance(slot, woken);
  woken.wake();
}

// lock_shared_here() counts in state_.
SKEIN_NOINLINE bool shared_mutex::lock_shared_here() noexcept {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  while ((s & (held | slow)) == 0) {
    // Acquire pairs with the release of unlock().
    const std::uint64_t next = s + reader + tally;
    if (!state_.compare_exchange_weak(s, next, std::memory_order_acquire, std::memory_order_relaxed)) continue;
    if (next / tally % bias_after == 0) [[unlikely]] spread();
    return true;
  }
  return false;
}

bool shared_mutex::try_lock_shared() {
  sched::attend_if_asked("shared_mutex.try_lock_shared", this);
  bool mine = lock_shared_fast(sched::current());
  if (!mine && (state_.load(std::memory_order_relaxed) & held) == 0) {
    writers_.lock.lock();
    const std::uint64_t s = freeze();
    mine = (s & held) == 0 && writers_.list.empty();
    thaw(mine ? s + reader : s);
  }
  if (mine) arch::edge_acquire(this);
  return mine;
}

bool shared_mutex::lock_shared(const detail::limit& l) {
  sched::attend_if_asked("shared_mutex.lock_shared", this);
  chan_status why;
  if (l.ctx != nullptr && prim::limit_guard::over({true, false, {}, l.ctx}, why)) return false;
  if (!lock_shared_fast(sched::current()) && !lock_shared_slow(l)) return false;
  arch::edge_acquire(this);
  return true;
}

bool shared_mutex::lock_shared_slow(const detail::limit& l) {
  blocker b(l, status::read_lock);
  chan_status result;
  if (!b.begin(result)) return false;
  writers_.lock.lock();
  const std::uint64_t s = freeze();
  if ((s & held) == 0 && writers_.list.empty()) {
    thaw(s + reader);
    if (b.withdraw()) return true;
    unlock_shared();
    return false;
  }
  b.link(writers_.lock, readers_);
  thaw(s);
  if (b.wait() == chan_status::done) return true;
  settle();
  return false;
}

void shared_mutex::unlock_shared() {
  sched::show_release("shared_mutex.unlock_shared", this, &slots_);
  if ((state_.load(std::memory_order_relaxed) & biased) != 0) {
    sched::worker* w = sched::current();
    read_slot* slot = slots_.of(sched::enter(w));
    if (slot != nullptr && slot->count() > 0) [[likely]] {
      const std::uint64_t left = slot->left.load(std::memory_order_relaxed) + 2;
      slot->left.store(left | 1, std::memory_order_release);  // count(); bit 0: the destructor
      compiler_barrier();
      if ((state_.load(std::memory_order_relaxed) & biased) != 0) [[likely]] {
        slot->left.store(left, std::memory_order_release);  // the mutex may be gone from here on
        sched::leave(w);
        return;
      }
      return unlock_shared_late(*slot);
    }
    sched::leave(w);
  }
  unlock_shared_here();
}

// unlock_shared_late() goes on where unlock_shared() finds that the bias is ending; still the owner of
// the slot.
SKEIN_COLD void shared_mutex::unlock_shared_late(read_slot& slot) noexcept {
  wake_list woken;
  balance(slot, woken);
  slot.left.store(slot.left.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  sched::leave(sched::current());
  woken.wake();
}

SKEIN_NOINLINE void shared_mutex::unlock_shared_here() {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  while ((s & slow) == 0 && readers(s) != 0)
    if (state_.compare_exchange_weak(s, s - reader, std::memory_order_release, std::memory_order_relaxed)) return;
  unlock_shared_slow();
}

// unlock_shared_slow() finds the unit wherever it is: the reader may have come on another processor.
void shared_mutex::unlock_shared_slow() {
  writers_.lock.lock();
  std::uint64_t s = freeze();
  if (readers(s) == 0 && (s & biased) != 0) {
    if (slots_.take()) return thaw(s);
    s = revoke(s);  // units may move while one looks for them; after this they are counted
  }
  const bool mine = readers(s) != 0;
  wake_list woken;
  if (mine) s = advance(s - reader, false, woken);
  thaw(s);
  woken.wake();
  if (!mine) throw misuse("skein: unlock_shared of unlocked shared_mutex");
}

// Under the lock.

// freeze() makes sure that only the holder of the lock changes state_, until thaw(), which drops it.
// Acquire pairs with the release of every unlock; thaw() passes that on.
std::uint64_t shared_mutex::freeze() noexcept { return state_.fetch_or(slow, std::memory_order_acquire) & ~slow; }

void shared_mutex::thaw(std::uint64_t s) noexcept {
  const bool nobody_waits = writers_.list.empty() && readers_.empty();
  state_.store(nobody_waits ? s : s | slow, std::memory_order_release);
  writers_.lock.unlock();
}

// admit() lets in all readers that wait.
std::uint64_t shared_mutex::admit(std::uint64_t s, wake_list& woken) noexcept {
  while (wait_node* n = detail::take_waiter(readers_)) {
    woken.add(n);
    s += reader;
  }
  return s;
}

// advance() restores the invariants after somebody has gone.
std::uint64_t shared_mutex::advance(std::uint64_t s, bool readers_first, wake_list& woken) noexcept {
  if ((s & held) != 0) return s;
  if (readers_first) s = admit(s, woken);
  if (readers(s) == 0)
    if (wait_node* n = detail::take_waiter(writers_.list)) {
      woken.add(n);
      return held;
    }
  return writers_.list.empty() ? admit(s, woken) : s;
}

// settle() follows a waiter that has left the queue by itself.
void shared_mutex::settle() noexcept {
  wake_list woken;
  writers_.lock.lock();
  thaw(advance(freeze(), false, woken));
  woken.wake();
}

// The bias.

// revoke() ends the bias and brings all units to state_. The system call is made under the lock, but
// not twice in bias_after calls of lock_shared().
std::uint64_t shared_mutex::revoke(std::uint64_t s) noexcept {
  s = without_tally(s) & ~biased;
  state_.store(s | slow, std::memory_order_relaxed);
  sched::heavy_barrier();
  return s + reader * static_cast<std::uint64_t>(slots_.move_all());
}

// balance() follows a reader that took its unit out of its slot while the bias was ending.
void shared_mutex::balance(read_slot& slot, wake_list& woken) noexcept {
  writers_.lock.lock();
  std::uint64_t s = freeze();
  const std::int64_t n = (s & biased) != 0 ? 0 : slot.count();
  if (n < 0) {
    slot.move(n);
    s = advance(s + reader * static_cast<std::uint64_t>(n), false, woken);
  }
  thaw(s);
}

// spread() begins the bias. Called by a reader.
void shared_mutex::spread() noexcept {
  sched::worker* w = sched::current();
  const sched::proc* p = sched::enter(w);
  sched::leave(w);
  if (p == nullptr || !sched::asymmetric_fences.load(std::memory_order_relaxed)) return;
  detail::read_slots::table* fresh = slots_.prepare(p);
  writers_.lock.lock();
  std::uint64_t s = freeze();
  if (writers_.list.empty() && slots_.give(p, fresh)) s |= biased;
  thaw(s);
  detail::read_slots::drop(fresh);
}

}  // namespace skein::inline SKEIN_ABI
