#include "prim/limits.hpp"

#include <errno.h>

namespace skein::inline SKEIN_ABI {

namespace detail {

void forget_list(wait_list& l) noexcept {
  while (wait_node* n = l.head) {
    unlink(l, n);
    n->lock = nullptr;
  }
}

void wait_queue::settle() noexcept {
  lock.lock();
  forget_list(list);
  lock.unlock();
}

}  // namespace detail

namespace prim {

bool limit_guard::over(const limit& l, chan_status& why) {
  if (l.ctx != nullptr) {
    detail::chan_core* done = detail::context_done_core(l.ctx);
    if (done != nullptr) {
      done->lock.lock();
      const bool ended = done->closed;
      if (ended) arch::edge_acquire(done);
      done->lock.unlock();
      if (ended) {
        why = chan_status::canceled;
        return true;
      }
    }
  }
  if (!l.wait) {
    why = chan_status::would_block;
    return true;
  }
  if (l.has_deadline && l.deadline.time_since_epoch().count() <= sched::current_ns()) {
    why = chan_status::timeout;
    return true;
  }
  return false;
}

std::int64_t limit_guard::fire(detail::timer* t, std::int64_t, goroutine_list& ready) noexcept {
  waiter* w = static_cast<deadline_timer*>(t)->who;
  if (w->try_claim(timeout_index)) sched::collect(w, ready);
  return detail::never;
}

void limit_guard::arm() {
  if (l_.ctx != nullptr) done_ = detail::context_done_core(l_.ctx);
  if (l_.has_deadline && w_.g != nullptr) {
    timer_.fire = &fire;
    timer_.who = &w_;
    const std::int64_t when = l_.deadline.time_since_epoch().count();
    detail::runtime_state* rt = sched::runtime_of(w_.g);
    heap_ = &sched::heap_for(sched::current());
    w_.deadline = &timer_;
    if (heap_->add(&timer_, when)) sched::note_deadline(rt, when);
  }
  if (w_.g != nullptr) w_.g->waiting = &w_;
  if (done_ != nullptr) {
    node_ = {nullptr, nullptr, &w_, nullptr, &done_->lock, &done_->receivers, cancel_index, true, false, false};
    w_.context = &node_;
    done_->lock.lock();
    if (!done_->closed) {
      detail::link_back(done_->receivers, &node_);
      done_->lock.unlock();
    } else {
      done_->lock.unlock();
      // Ended meanwhile: claimed like any other end, so whoever waits finds one story.
      if (w_.try_claim(cancel_index)) sched::wake(&w_);
    }
  }
}

void limit_guard::disarm() noexcept {
  if (w_.g != nullptr) w_.g->waiting = nullptr;
  if (heap_ != nullptr) heap_->remove(&timer_);
  if (done_ != nullptr) {
    done_->lock.lock();
    if (node_.linked) detail::unlink(done_->receivers, &node_);
    done_->lock.unlock();
    if (w_.winner() == cancel_index) arch::edge_acquire(done_);
  }
}

void limit_guard::wait(status why) noexcept {
  if (goroutine* g = w_.g) {
    sched::park(sched::current(), g, why);
    g->waiting = nullptr;
    sched::resumed();
  } else {
    sched::thread_wait(w_, l_.has_deadline ? l_.deadline.time_since_epoch().count() : detail::never, timeout_index);
  }
}

void limit_guard::consume(status why) noexcept {
  if (w_.g != nullptr)
    wait(why);
  else
    sched::thread_wait(w_, detail::never, timeout_index);
}

void blocker::link(detail::spin_lock& lock, detail::wait_list& list, bool front, void* slot) noexcept {
  node_ = {nullptr, nullptr, &w_, slot, &lock, &list, 0, guard_.needed(), false, false};
  w_.nodes = &node_;
  w_.count = 1;
  if (w_.g != nullptr) w_.g->waiting = &w_;
  front ? detail::link_front(list, &node_) : detail::link_back(list, &node_);
}

SKEIN_NOINLINE chan_status blocker::wait() noexcept {
  guard_.wait(why_);
  if (!guard_.needed()) return chan_status::done;
  guard_.disarm();
  const chan_status result = status_of(w_.winner());
  // Whoever served the waiter has taken the node out before, and the queue may be gone with its object.
  if (result == chan_status::done) return result;
  if (detail::spin_lock* lock = node_.lock) {
    lock->lock();
    if (node_.linked) detail::unlink(*node_.list, &node_);
    lock->unlock();
  }
  return result;
}

void wake_list::wake() noexcept {
  for (wait_node* n = list_.head; n != nullptr;) {
    wait_node* next = n->next;  // the node is gone with its waiter
    sched::wake(n->who);
    n = next;
  }
}

void wake_all(detail::wait_queue& q) noexcept {
  wake_list claimed;
  while (wait_node* n = detail::take_waiter(q.list)) claimed.add(n);
  q.lock.unlock();
  claimed.wake();
}

void block_for_ever(status why) noexcept {
  for (;;) {
    if (goroutine* g = sched::current_goroutine()) {
      sched::park(sched::current(), g, why);
    } else {
      waiter w(nullptr);
      sched::thread_wait(w, detail::never, timeout_index);
    }
  }
}

}  // namespace prim

namespace sched {

void wake_thread(waiter* w) noexcept {
  atomic<std::uint32_t>& signal = w->signal;
  signal.store(1, std::memory_order_release);  // the frame may be gone after this; only its address is used
  sys::futex_wake(signal, 1);
}

void thread_wait(waiter& w, std::int64_t when, std::uint32_t index) noexcept {
  const bool endless = when == detail::never;
  if (endless) thread_waits(1);
  const timespec ts{static_cast<time_t>(when / 1'000'000'000), static_cast<long>(when % 1'000'000'000)};
  const timespec* until = endless ? nullptr : &ts;
  while (w.signal.load(std::memory_order_acquire) == 0) {
    if (sys::futex_wait(w.signal, 0, until) != -ETIMEDOUT || until == nullptr) continue;
    if (w.try_claim(index)) break;
    until = nullptr;  // somebody is about to wake us; the time is over, so it would end no sleep
  }
  if (endless) thread_waits(-1);
}

}  // namespace sched
}  // namespace skein::inline SKEIN_ABI
