// Select.
//
//   1. Try the cases one by one in a random order, each under its own channel's lock. Often one is
//      ready and that is all.
//   2. Lock all channels, in the order of their addresses; try again in the random order. Now "none
//      is ready" is the truth at one moment, which try_select() has to report.
//   3. Link a node into every channel, drop the locks, park. Holding all locks until every node is
//      linked means that nobody sees half a select, and that two selects that meet never both wait.
//   4. The winner is in the waiter's claim. Take the other nodes out, each under its lock.
//
// A limit's sources are armed before step 2, so the waiter may be claimed before it sleeps. If a case
// looks ready then, everything is taken back and step 1 begins again: a claim cannot be undone, so
// the waiter must not claim itself for a partner who may turn out to be taken.
#include <algorithm>
#include <memory>
#include <new>

#include "prim/limits.hpp"
#include "sched/sim.hpp"

namespace skein::inline SKEIN_ABI::detail {

using sched::waiter;
using sched::worker;

namespace {

constexpr std::size_t few = 16;

// room<T> is an array that lives in the frame while it is small.
template <class T> class room {
 public:
  explicit room(std::size_t n)
      : p_(n <= few ? reinterpret_cast<T*>(near_)
                    : static_cast<T*>(sys::allocate(n * sizeof(T), alignof(T)))),
        n_(n) {}
  ~room() {
    if (n_ > few) sys::deallocate(p_, n_ * sizeof(T), alignof(T));
  }
  room(const room&) = delete;
  room& operator=(const room&) = delete;
  T& operator[](std::size_t i) noexcept { return p_[i]; }
  T* data() noexcept { return p_; }

 private:
  alignas(T) unsigned char near_[few * sizeof(T)];
  T* p_;
  std::size_t n_;
};

// shuffle() fills order with a random permutation of 0 .. n - 1; pick(n) is a number below n.
template <class Pick> SKEIN_ALWAYS_INLINE void shuffle_by(std::uint32_t* order, std::size_t n, Pick pick) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t j = pick(static_cast<std::uint32_t>(i + 1));
    order[i] = order[j];
    order[j] = static_cast<std::uint32_t>(i);
  }
}
SKEIN_COLD void shuffle_simulated(std::uint32_t* order, std::size_t n, sched::simulation& sim) noexcept {
  shuffle_by(order, n, [&](std::uint32_t below) { return sim.pick(below); });
}
SKEIN_NOINLINE void shuffle(std::uint32_t* order, std::size_t n) noexcept {
  thread_local base::rng of_thread{reinterpret_cast<std::uintptr_t>(&of_thread)};
  worker* w = sched::current();
  if ((w->attention_word.load(std::memory_order_relaxed) & sched::attention::simulated) != 0) [[unlikely]]
    return shuffle_simulated(order, n, *w->rt->sim);
  base::rng& random = w->rt != nullptr ? w->random : of_thread;
  shuffle_by(order, n, [&](std::uint32_t below) { return random.below(below); });
}

template <class Edges> chan_status try_case(select_case& c, waiter*& woken) noexcept {
  return c.dir == select_case::kind::send ? try_send_locked<Edges>(c.core, c.slot, woken)
                                          : try_recv_locked<Edges>(c.core, c.slot, woken);
}

// ready_locked() tells whether a case looks ready; who waits on the other side may yet turn out to be
// claimed elsewhere.
bool ready_locked(const select_case& c) noexcept {
  const chan_core& ch = *c.core;
  if (ch.closed) return true;
  return c.dir == select_case::kind::send ? !ch.receivers.empty() || ch.count < ch.capacity
                                          : !ch.senders.empty() || ch.count > 0;
}

class locks {
 public:
  locks(select_case* const* cases, std::size_t n, room<chan_core*>& r) noexcept : list_(r.data()) {
    for (std::size_t i = 0; i < n; ++i)
      if (cases[i]->core != nullptr) list_[n_++] = cases[i]->core;
    std::sort(list_, list_ + n_);
    n_ = static_cast<std::size_t>(std::unique(list_, list_ + n_) - list_);
  }
  void lock() noexcept {
    for (std::size_t i = 0; i < n_; ++i) list_[i]->lock.lock();
  }
  void unlock() noexcept {
    for (std::size_t i = n_; i > 0; --i) list_[i - 1]->lock.unlock();
  }
  bool none() const noexcept { return n_ == 0; }

 private:
  chan_core** list_;
  std::size_t n_ = 0;
};

// Step 1. Returns the case that happened, or no_case.
template <class Edges> int try_each(select_case* const* cases, std::size_t n, const std::uint32_t* order) noexcept {
  for (std::size_t k = 0; k < n; ++k) {
    select_case& c = *cases[order[k]];
    if (c.core == nullptr) continue;
    waiter* woken = nullptr;
    c.core->lock.lock();
    const chan_status s = try_case<Edges>(c, woken);
    c.core->lock.unlock();
    if (s == chan_status::would_block) continue;
    c.closed = s == chan_status::closed;
    if (woken != nullptr) sched::wake(woken);
    return static_cast<int>(order[k]);
  }
  return no_case;
}

// Steps 3 and 4; all locks are held and dropped here.
template <class Edges>
SKEIN_ALWAYS_INLINE int wait_for_any(select_case* const* cases, std::size_t n, waiter& me,
                                     prim::limit_guard& guard, bool limited, wait_node* nodes,
                                     locks& all) noexcept {
  const bool many = n > 1 || limited;
  for (std::size_t i = 0; i < n; ++i) {
    select_case& c = *cases[i];
    wait_node& node = nodes[i];
    if (c.core == nullptr) {
      node.lock = nullptr;
      node.linked = false;
      continue;
    }
    wait_list& list = c.dir == select_case::kind::send ? c.core->senders : c.core->receivers;
    node = {nullptr, nullptr, &me,  c.slot, &c.core->lock, &list, static_cast<std::uint32_t>(i),
            many,    false,   false};
    Edges::release(&node);
    link_back(list, &node);
  }
  me.nodes = nodes;
  me.count = static_cast<std::uint32_t>(n);
  if (me.g != nullptr) me.g->waiting = &me;
  all.unlock();

  if (me.g != nullptr) {
    sched::park(sched::current(), me.g, status::select);
    me.g->waiting = nullptr;
    sched::resumed();
  } else {
    guard.wait(status::select);
  }

  if (limited) guard.disarm();
  if (!many) {
    Edges::acquire(&nodes[0]);
    cases[0]->closed = !nodes[0].ok;
    return 0;
  }
  const std::uint32_t winner = me.winner();
  for (std::size_t i = 0; i < n; ++i) {
    wait_node& node = nodes[i];
    if (node.lock == nullptr || i == winner) continue;
    node.lock->lock();
    if (node.linked) unlink(*node.list, &node);
    node.lock->unlock();
  }
  if (winner == prim::timeout_index) return timed_out;
  if (winner == prim::cancel_index) return was_canceled;
  Edges::acquire(&nodes[winner]);
  cases[winner]->closed = !nodes[winner].ok;
  return static_cast<int>(winner);
}

template <class Edges> SKEIN_ALWAYS_INLINE int select_any(select_case* const* cases, std::size_t n, const limit& l) {
  if (l.ctx != nullptr) {
    chan_status why;
    if (prim::limit_guard::over({true, false, {}, l.ctx}, why)) return was_canceled;
  }

  room<std::uint32_t> order(n);
  shuffle(order.data(), n);
  room<chan_core*> cores(n);
  room<wait_node> nodes(n);
  waiter me(sched::current_goroutine());
  prim::limit_guard guard(me, l);
  for (;;) {
    if (const int i = try_each<Edges>(cases, n, order.data()); i >= 0) return i;

    chan_status over;
    const bool patient =
        !prim::limit_guard::over({l.wait, l.has_deadline, l.deadline, nullptr}, over);
    const int nothing = patient || over != chan_status::timeout ? no_case : timed_out;
    if (!patient && n < 2) return nothing;

    locks all(cases, n, cores);
    const bool limited = patient && guard.needed();
    if (all.none() && !limited) {
      if (!patient) return nothing;
      prim::block_for_ever(status::select_nothing);
    }
    if (limited) guard.arm();

    all.lock();
    if (limited) {
      bool again = false;
      for (std::size_t i = 0; i < n && !again; ++i)
        again = cases[i]->core != nullptr && ready_locked(*cases[i]);
      if (again) {
        all.unlock();
        guard.disarm();
        if (me.claim.load(std::memory_order_acquire) == waiter::open) continue;
        guard.consume(status::select);
        return me.winner() == prim::timeout_index ? timed_out : was_canceled;
      }
    } else {
      for (std::size_t k = 0; k < n; ++k) {
        select_case& c = *cases[order[k]];
        if (c.core == nullptr) continue;
        waiter* woken = nullptr;
        const chan_status s = try_case<Edges>(c, woken);
        if (s == chan_status::would_block) continue;
        all.unlock();
        c.closed = s == chan_status::closed;
        if (woken != nullptr) sched::wake(woken);
        return static_cast<int>(order[k]);
      }
    }
    if (!patient) {
      all.unlock();
      return nothing;
    }
    return wait_for_any<Edges>(cases, n, me, guard, limited, nodes.data(), all);
  }
}

}  // namespace

SKEIN_COLD int select_attended(select_case* const* cases, std::size_t n, const limit& l, const sched::act& what) {
  sched::attend(sched::current(), what);
  return select_any<arch::edges>(cases, n, l);
}

SKEIN_NOINLINE int select_cases(select_case* const* cases, std::size_t n, const limit& l) {
  if (sched::current()->attention_word.load(std::memory_order_relaxed) != 0) [[unlikely]]
    return select_attended(cases, n, l, {"select", nullptr, __builtin_return_address(0)});
  return select_any<arch::unwatched_edges>(cases, n, l);
}

}  // namespace skein::inline SKEIN_ABI::detail
