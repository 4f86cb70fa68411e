// Condition variable: a wait queue, and nothing else.
//
// The waiter links its node while it still holds the mutex and unlocks it then. Whoever changes the
// condition locks the mutex after that, so its notify finds the node; one that comes before the
// waiter has parked makes it ready early, which park() allows for. Between the link and the park
// the waiter runs no code that may switch: unlock_to_wait() has no entry (attend), and is no point of a
// simulation.
//
// A notify claims the waiter it takes. One whose time or context was first cannot be claimed and is
// passed over, so the notify goes to the next.
#include "skein/condition_variable.hpp"

#include "prim/limits.hpp"
#include "skein/go.hpp"

namespace skein::inline SKEIN_ABI {

using detail::chan_status;

void condition_variable::notify_one() {
  sched::attend_if_asked("condition_variable.notify_one", this);
  arch::edge_release(this);
  waiters_.lock.lock();
  detail::wait_node* n = detail::take_waiter(waiters_.list);
  waiters_.lock.unlock();
  if (n != nullptr) sched::wake(n->who);
}

void condition_variable::notify_all() {
  sched::attend_if_asked("condition_variable.notify_all", this);
  arch::edge_release(this);
  waiters_.lock.lock();
  prim::wake_all(waiters_);
}

bool condition_variable::wait(std::unique_lock<mutex>& lock, const detail::limit& l) {
  mutex* m = lock.mutex();
  if (!lock.owns_lock()) throw misuse("skein: condition_variable waits without its lock");
  sched::attend_if_asked("condition_variable.wait", this);
  prim::blocker b(l, sched::status::condition);
  chan_status result;
  if (!b.begin(result)) {
    // Too late to wait, but others get their chance: a loop around this wait may depend on them.
    m->unlock();
    yield();
    m->lock();
    return false;
  }
  waiters_.lock.lock();
  b.link(waiters_);
  waiters_.lock.unlock();
  // If somebody has stolen the lock this is fatal: the frame is in the queue, nothing may leave it.
  [m]() noexcept { m->unlock_to_wait(); }();
  const bool notified = b.wait() == chan_status::done;
  if (notified) arch::edge_acquire(this);
  m->lock();
  return notified;
}

}  // namespace skein::inline SKEIN_ABI
