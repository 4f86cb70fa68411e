// Waiting on atomics: queues in a table, found by the address.
//
// A waiter looks at the value and links its node under the lock of its queue. Whoever notifies has
// changed the value before it takes that lock. If it comes first the waiter sees the new value,
// because of the lock; if it comes later it finds the node. So no order of the program's own
// operations on the atomic can lose a notify.
//
// Addresses that share a queue share its lock, and are told apart by node.slot.
#include "skein/atomic_wait.hpp"

#include <cstdint>

#include "prim/limits.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {

struct alignas(64) bucket : wait_queue {};
constinit bucket table[256];

bucket& bucket_of(const void* at) noexcept {
  // Fibonacci hashing (Knuth, vol. 3, 6.4); neighbours in an array go to different queues.
  return table[(reinterpret_cast<std::uintptr_t>(at) * 0x9e3779b97f4a7c15ULL) >> 56];
}

}  // namespace

bool wait_for_change(const atomic_look& look, const limit& l) {
  sched::attend_if_asked("atomic_wait", look.at);
  bucket& queue = bucket_of(look.at);
  while (look.same(look)) {
    prim::blocker b(l, sched::status::atomic);
    chan_status result;
    if (!b.begin(result)) return false;
    queue.lock.lock();
    if (!look.same(look)) {
      queue.lock.unlock();
      b.withdraw();
      return true;
    }
    b.link(queue, false, const_cast<void*>(look.at));
    queue.lock.unlock();
    if (b.wait() != chan_status::done) return !look.same(look);
  }
  return true;
}

void notify_change(const void* at, bool all) {
  sched::attend_if_asked("atomic_notify", at);
  bucket& queue = bucket_of(at);
  prim::wake_list woken;
  queue.lock.lock();
  for (wait_node* n = queue.list.head; n != nullptr;) {
    wait_node* next = n->next;
    if (n->slot == at) {
      // Claimed before it is unlinked, as in take_waiter().
      const bool ours = !n->many || n->who->try_claim(n->index);
      unlink(queue.list, n);
      if (ours) woken.add(n);
      if (ours && !all) break;
    }
    n = next;
  }
  queue.lock.unlock();
  woken.wake();
}

}  // namespace skein::inline SKEIN_ABI::detail
