// Pools: a short list of spare objects per processor, a depot that they share, and the victims.
//
//   shard.top   meaning                                 changed by
//   null        no spare object                         whoever finds it not busy exchanges it for busy
//   a list      objects, each counting those below it   (acquire), owns the list, and stores what is
//   busy        somebody is at it                       left of it (release), which ends its turn
//
// The shard is chosen by processor, but nothing depends on who comes: two at one shard, a thread that was
// put to sleep in its turn, or a processor that was taken away cost the others a visit to the depot, never
// a wait. (Go pins the goroutine to its processor for this; here the plain stores of enter() and leave()
// could do so, but then nobody else could empty the shard of a processor that rests.)
//
//   depot      batches: lists that shards had too much of             under lock
//   victims    batches that nobody has asked for since the last step  under lock
//
// A step destroys the victims and makes everything that is spare the new victims; get() looks there last.
// So what is in use comes back, and what is not goes within two steps. A timer makes the step while the
// pool has objects. `armed` says that it will:
//
//   put                          step
//     top = list                   armed = false
//     light_barrier                heavy_barrier
//     armed? else arm()            collect every top; arm() if there was any
//
// Either put sees that the timer is not armed, or the step sees the object. A timer that goes with its
// runtime takes `armed` along. The core is counted: the pool has one reference, an armed timer one.
#include "skein/pool.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <new>

#include "kit/caller.hpp"
#include "prim/limits.hpp"
#include "skein/time.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {

constexpr std::uint32_t most = shrunk(32u, 2u);  // objects in a shard; the surplus goes as a batch of half of it
constexpr auto step_every = std::chrono::seconds(1);

struct alignas(64) shard {
  atomic<pool_node*> top{nullptr};
};

pool_node busy_mark;
pool_node* const busy = &busy_mark;

}  // namespace

struct pool_core {
  explicit pool_core(void (*d)(pool_node*) noexcept, std::uint32_t n)
      : destroy(d), mask(n - 1), shards(new shard[n]) {}

  void (*const destroy)(pool_node*) noexcept;
  const std::uint32_t mask;
  const std::unique_ptr<shard[]> shards;
  atomic<bool> armed{false};
  alignas(64) atomic<std::uint32_t> refs{1};
  spin_lock lock;  // the rest
  pool_node* depot = nullptr;
  pool_node* victims = nullptr;
  bool ended = false;
};

namespace {

void release(pool_core* c) noexcept {
  // acq_rel: the last one sees what the others did.
  if (c->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete c;
}

shard& own_shard(pool_core* c) noexcept { return c->shards[kit::caller_number() & c->mask]; }

// Begins a turn at a shard; false if somebody else is at it.
SKEIN_ALWAYS_INLINE bool begin(shard& s, pool_node*& list) noexcept {
  list = s.top.exchange(busy, std::memory_order_acquire);  // pairs with end()
  return list != busy;
}
SKEIN_ALWAYS_INLINE void end(shard& s, pool_node* list) noexcept {
  s.top.store(list, std::memory_order_release);
}

// Takes what is in a shard: a list, null, or busy.
pool_node* take_all(shard& s) noexcept {
  pool_node* list = s.top.load(std::memory_order_relaxed);
  if (list != nullptr && list != busy && begin(s, list)) end(s, nullptr);
  return list;
}

void push_batch(pool_node*& batches, pool_node* list) noexcept {
  list->next_batch = batches;
  batches = list;
}
pool_node* pop_batch(pool_node*& batches) noexcept {
  pool_node* list = batches;
  if (list != nullptr) batches = list->next_batch;
  return list;
}

void to_depot(pool_core* c, pool_node* list) noexcept {
  std::lock_guard hold(c->lock);
  push_batch(c->depot, list);
}

// A list from elsewhere: the depot, the victims, another shard.
pool_node* find_list(pool_core* c, const shard& mine) noexcept {
  {
    std::lock_guard hold(c->lock);
    if (pool_node* list = pop_batch(c->depot)) return list;
    if (pool_node* list = pop_batch(c->victims)) {  // one: little use shall not keep much alive
      if (pool_node* rest = std::exchange(list->next, nullptr)) push_batch(c->victims, rest);
      return list;
    }
  }
  for (std::uint32_t i = 1; i <= c->mask; ++i) {
    shard& other = c->shards[(static_cast<std::uint32_t>(&mine - c->shards.get()) + i) & c->mask];
    pool_node* list = take_all(other);
    if (list != nullptr && list != busy) return list;
  }
  return nullptr;
}

// Cuts the list behind its first half and returns the rest.
pool_node* cut(pool_node* list) noexcept {
  pool_node* last = list;
  for (std::uint32_t depth = most / 2; depth > 1; --depth) {
    last->depth = depth;
    last = last->next;
  }
  last->depth = 1;
  return std::exchange(last->next, nullptr);
}

void destroy_batches(pool_core* c, pool_node* batches) noexcept {
  while (pool_node* list = pop_batch(batches))
    while (list != nullptr) {
      pool_node* n = list;
      list = n->next;
      arch::edge_acquire(n);
      c->destroy(n);
    }
}

// What is spare anywhere but among the victims. `missed`: there may be more, where somebody is at work.
pool_node* collect(pool_core* c, bool& missed) noexcept {
  pool_node* all = nullptr;
  for (std::uint32_t i = 0; i <= c->mask; ++i) {
    pool_node* list = take_all(c->shards[i]);
    if (list == busy)
      missed = true;
    else if (list != nullptr)
      push_batch(all, list);
  }
  std::lock_guard hold(c->lock);
  while (pool_node* list = pop_batch(c->depot)) push_batch(all, list);
  return all;
}

// alarm: what a timer holds.
struct alarm {
  pool_core* core;
  bool fired = false;
};
void arm(pool_core* c) noexcept;

void ring(void* p) {
  auto* a = static_cast<alarm*>(p);
  a->fired = true;
  a->core->armed.store(false, std::memory_order_relaxed);
  sched::heavy_barrier();  // pairs with the light_barrier of pool_put()
  pool_trim(a->core);
}

void end_alarm(void* p) noexcept {
  auto* a = static_cast<alarm*>(p);
  if (!a->fired) a->core->armed.store(false, std::memory_order_relaxed);
  release(a->core);
  delete a;
}

void arm(pool_core* c) noexcept {
  if (c->armed.exchange(true, std::memory_order_relaxed)) return;
  c->refs.fetch_add(1, std::memory_order_relaxed);
  alarm* a = new (std::nothrow) alarm{c};
  if (a == nullptr) {
    c->armed.store(false, std::memory_order_relaxed);
    release(c);
    return;
  }
  try {
    timer_release(timer_func(deadline_after(step_every), a, &ring, &end_alarm));
  } catch (
      ...) {  // no memory, no thread: end_alarm() has put all back, and the next put() tries again
  }
}

}  // namespace

pool_core* pool_make(void (*destroy)(pool_node*) noexcept) {
  return new pool_core(destroy, kit::caller_lines());
}

pool_node* pool_take(pool_core* c) noexcept {
  sched::attend_if_asked("pool.get", c);
  shard& s = own_shard(c);
  pool_node* list = nullptr;
  const bool mine = begin(s, list);
  if (!mine || list == nullptr) list = find_list(c, s);
  pool_node* rest = list != nullptr ? std::exchange(list->next, nullptr) : nullptr;
  if (mine)
    end(s, rest);
  else if (rest != nullptr)
    to_depot(c, rest);
  if (list != nullptr) arch::edge_acquire(list);
  return list;
}

void pool_put(pool_core* c, pool_node* n) noexcept {
  sched::show_release("pool.put", c, n);
  shard& s = own_shard(c);
  pool_node* list = nullptr;
  const bool mine = begin(s, list);
  if (!mine) list = nullptr;
  n->next = list;
  n->depth = list != nullptr ? list->depth + 1 : 1;
  pool_node* surplus = n->depth > most ? cut(n) : nullptr;
  if (mine)
    end(s, n);
  else
    surplus = n;
  if (surplus != nullptr) to_depot(c, surplus);
  sched::light_barrier();  // pairs with the heavy_barrier of ring()
  if (!c->armed.load(std::memory_order_relaxed)) [[unlikely]]
    arm(c);
}

void pool_trim(pool_core* c) noexcept {
  sched::show("pool.trim", c);
  bool again = false;
  pool_node* spare = collect(c, again);
  again = again || spare != nullptr;
  {
    std::lock_guard hold(c->lock);
    if (!c->ended) std::swap(spare, c->victims);
  }
  destroy_batches(c, spare);
  if (again) arm(c);
}

void pool_end(pool_core* c) noexcept {
  pool_node* victims = nullptr;
  {
    std::lock_guard hold(c->lock);
    c->ended = true;
    std::swap(victims, c->victims);
  }
  destroy_batches(c, victims);
  bool missed = false;
  destroy_batches(c, collect(c, missed));  // misses nothing: nobody uses a pool that ends
  release(c);
}

}  // namespace skein::inline SKEIN_ABI::detail
