// Contexts: a tree of nodes, each with its own lock.
//
// A child holds a reference to its parent; a parent lists its children without owning them. A child
// leaves the list when it ends or when its last handle goes. Locks are taken from parent to child,
// never the other way. Cancelling takes each child off its parent's list, one at a time, so it is
// linear in their number and no list is walked while somebody else changes it.
//
// The race detector is shown two edges: the cancel that ended a node comes before whoever finds it ended
// (at `why`), and the registration of a callback, or of what a node holds, before its run or its end (at
// `after`).
//
//   node ended  <=>  why != 0; then done is closed, the children list is empty for good, and the node
//   is in no list and has no armed timer.
#include "skein/context.hpp"

#include <functional>
#include <list>

#include "prim/limits.hpp"
#include "skein/go.hpp"
#include "skein/time.hpp"

namespace skein::inline SKEIN_ABI::detail {

using callbacks = std::list<std::pair<std::uint64_t, std::function<void()>>>;

struct context_core {
  atomic<std::uint32_t> refs{1};
  context_core* parent = nullptr;       // holds a reference; for values
  context_core* cancels_with = nullptr; // nearest ancestor that can end; null: none
  bool can_end = false;
  std::optional<time_point> deadline;
  std::exception_ptr deadline_cause;
  timer_core* timer = nullptr;
  const std::type_info* key = nullptr;
  std::shared_ptr<const void> value;

  mutable spin_lock lock;  // the rest
  int why = 0;
  std::exception_ptr cause;  // null: context_cause() makes one for each who asks; few do
  chan_core* done = nullptr;
  context_core* children = nullptr;
  callbacks after;
  std::uint64_t next_id = 1;
  std::shared_ptr<void> until_end;  // dropped when the node ends
  std::shared_ptr<void> companion;  // dropped with the node

  // In the parent's list, under the parent's lock.
  context_core* next_sibling = nullptr;
  context_core** link = nullptr;
};

namespace {

// Leaves the ancestor's list. False if it was not there any more.
bool leave_family(context_core* c) noexcept {
  context_core* p = c->cancels_with;
  if (p == nullptr) return false;
  p->lock.lock();
  const bool there = c->link != nullptr;
  if (there) {
    *c->link = c->next_sibling;
    if (c->next_sibling != nullptr) c->next_sibling->link = c->link;
    c->link = nullptr;
  }
  p->lock.unlock();
  return there;
}

// Takes a reference unless the last one is just going.
bool retain_alive(context_core* c) noexcept {
  std::uint32_t n = c->refs.load(std::memory_order_relaxed);
  while (n != 0)
    if (c->refs.compare_exchange_weak(n, n + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  return false;
}

// Callbacks run as goroutines; where there is no runtime, or no memory for one, in place.
void start_callback(std::function<void()>& f) {
  auto run = [call = std::move(f)] { call(); };
  try {
    go(std::move(run));
    return;
  } catch (const no_runtime&) {  // `run` is moved only once there is room for it
  } catch (const std::bad_alloc&) {
  }
  run();
}

// Ends what a bridge has left with a node; it may wait for a context_cancel_soon() that is under way. Where it
// need not, since it is on the same thread, the race detector sees two goroutines and no order.
void drop(std::shared_ptr<void>& held) noexcept {
  const sys::unseen own;
  held.reset();
}

void expire(void* p) {
  auto* c = static_cast<context_core*>(p);
  context_cancel(c, errc::deadline_exceeded, c->deadline_cause);
}

// Enters the family of the nearest ancestor that can end; true if that one has ended already.
bool enter_family(context_core* c, int& why, std::exception_ptr& cause) {
  context_core* p = c->cancels_with;
  if (p == nullptr) return false;
  p->lock.lock();
  const bool ended = p->why != 0;
  if (ended) {
    arch::edge_acquire(&p->why);
    why = p->why;
    cause = p->cause;
  } else {
    c->next_sibling = p->children;
    if (p->children != nullptr) p->children->link = &c->next_sibling;
    c->link = &p->children;
    p->children = c;
  }
  p->lock.unlock();
  return ended;
}

context_core* new_child(context_core* parent, bool detached) {
  auto* c = new context_core;
  context_retain(parent);
  c->parent = parent;
  if (!detached) c->cancels_with = parent->can_end ? parent : parent->cancels_with;
  return c;
}

}  // namespace

context_core* context_background() noexcept {
  // A union: it outlives every static destructor, and needs no memory that might not be there.
  static union place {
    context_core c;
    place() noexcept : c() {}
    ~place() {}
  } root;
  return &root.c;
}

void context_retain(context_core* c) noexcept { c->refs.fetch_add(1, std::memory_order_relaxed); }

void context_release(context_core* c) noexcept {
  while (c != nullptr) {
    arch::unwatched_edges::release(&c->refs);
    if (c->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    arch::unwatched_edges::acquire(&c->refs);
    if (c->can_end) leave_family(c);
    if (c->done != nullptr) chan_release(c->done);
    drop(c->until_end);
    context_core* parent = c->parent;
    delete c;
    c = parent;  // a loop, so that a long chain of values needs no deep stack
  }
}

context_core* context_child(context_core* parent, bool detached) {
  context_core* c = new_child(parent, detached);
  if (detached) return c;
  c->can_end = true;
  int why = 0;
  std::exception_ptr cause;
  if (enter_family(c, why, cause)) context_cancel(c, static_cast<errc>(why), cause);
  return c;
}

context_core* context_deadline(context_core* parent, time_point t, std::exception_ptr cause) {
  const auto inherited = context_deadline_of(parent);
  if (inherited && *inherited <= t) return context_child(parent, false);
  context_core* c = context_child(parent, false);
  c->deadline = t;
  c->deadline_cause = std::move(cause);
  if (t <= now()) {
    context_cancel(c, errc::deadline_exceeded, c->deadline_cause);
    return c;
  }
  if (context_err(c)) return c;
  // The timer keeps the node until it fires or is stopped: cancel() stops it.
  try {
    context_retain(c);
    timer_core* made = timer_func(t, c, &expire, [](void* p) noexcept { context_release(static_cast<context_core*>(p)); });
    c->lock.lock();
    const bool ended = c->why != 0;
    if (!ended) c->timer = made;
    c->lock.unlock();
    if (ended) {
      timer_stop(made);
      timer_release(made);
    }
  } catch (...) {
    context_release(c);
    throw;
  }
  return c;
}

context_core* context_value(context_core* parent, const std::type_info* key, std::shared_ptr<const void> v) {
  context_core* c = new_child(parent, false);
  c->key = key;
  c->value = std::move(v);
  return c;
}

const void* context_find(const context_core* c, const std::type_info& key) noexcept {
  for (; c != nullptr; c = c->parent)
    if (c->key != nullptr && *c->key == key) return c->value.get();
  return nullptr;
}

// The node whose end is the end of c; null if there is none.
static const context_core* ending_of(const context_core* c) noexcept { return c->can_end ? c : c->cancels_with; }
static context_core* ending_of(context_core* c) noexcept { return c->can_end ? c : c->cancels_with; }

namespace {

// Ends one node. Its children come back as a list linked by next_sibling, each with a reference.
context_core* end_one(context_core* c, errc why, const std::exception_ptr& cause) noexcept {
  callbacks after;
  timer_core* timer = nullptr;
  chan_core* done = nullptr;
  context_core* list = nullptr;
  std::shared_ptr<void> held;
  c->lock.lock();
  if (c->why != 0) {
    c->lock.unlock();
    return nullptr;
  }
  c->why = static_cast<int>(why);
  c->cause = cause;
  arch::edge_release(&c->why);
  arch::edge_acquire(&c->after);
  after.swap(c->after);
  held.swap(c->until_end);
  timer = std::exchange(c->timer, nullptr);
  done = c->done;
  while (context_core* child = c->children) {
    c->children = child->next_sibling;
    if (c->children != nullptr) c->children->link = &c->children;
    child->link = nullptr;
    // One whose last handle is just going is on its way out by itself.
    if (!retain_alive(child)) continue;
    child->next_sibling = list;
    list = child;
  }
  c->lock.unlock();
  leave_family(c);
  if (timer != nullptr) {
    timer_stop(timer);
    timer_release(timer);
  }
  drop(held);
  if (done != nullptr) chan_close(done);
  for (auto& [id, f] : after) start_callback(f);
  return list;
}

}  // namespace

void context_cancel(context_core* c, errc why, std::exception_ptr cause) noexcept {
  sched::show("context.cancel", c);
  if (!c->can_end) return;
  // Whoever sees the end may let the last handle go before this is over.
  context_retain(c);
  // A list instead of recursion: a chain of contexts may be long.
  context_core* todo = end_one(c, why, cause);
  while (todo != nullptr) {
    context_core* at = todo;
    todo = at->next_sibling;
    context_core* more = end_one(at, why, cause);
    while (more != nullptr) {
      context_core* next = more->next_sibling;
      more->next_sibling = todo;
      todo = more;
      more = next;
    }
    context_release(at);
  }
  context_release(c);
}

std::error_code context_err(const context_core* c) noexcept {
  sched::show("context.err", c);
  const context_core* e = ending_of(c);
  if (e == nullptr) return {};
  e->lock.lock();
  const int why = e->why;
  e->lock.unlock();
  if (why == 0) return {};
  arch::edge_acquire(&e->why);
  return make_error_code(static_cast<errc>(why));
}

std::exception_ptr context_cause(const context_core* c) {
  sched::show("context.cause", c);
  const context_core* e = ending_of(c);
  if (e == nullptr) return nullptr;
  e->lock.lock();
  const int why = e->why;
  std::exception_ptr p = e->cause;
  e->lock.unlock();
  if (why == 0) return nullptr;
  arch::edge_acquire(&e->why);
  if (p != nullptr) return p;
  return std::make_exception_ptr(std::system_error(make_error_code(static_cast<errc>(why)), "skein: context"));
}

std::optional<time_point> context_deadline_of(const context_core* c) noexcept {
  for (; c != nullptr; c = c->can_end || c->cancels_with != nullptr ? c->parent : nullptr)
    if (c->deadline) return c->deadline;
  return std::nullopt;
}

chan_core* context_done_core(context_core* c) {
  context_core* e = ending_of(c);
  if (e == nullptr) return nullptr;
  e->lock.lock();
  chan_core* done = e->done;
  e->lock.unlock();
  if (done != nullptr) return done;
  chan_core* made = chan_make(elem<unit>::ops, 0);
  e->lock.lock();
  done = e->done != nullptr ? e->done : (e->done = made);
  const bool late = done == made && e->why != 0;
  e->lock.unlock();
  if (done != made) chan_release(made);
  if (late) {
    arch::edge_acquire(&e->why);
    chan_close(done);
  }
  return done;
}

chan_core* context_done(context_core* c) {
  chan_core* done = context_done_core(c);
  if (done != nullptr) chan_retain(done);
  return done;
}

std::uint64_t context_after(context_core* c, std::function<void()> f) {
  sched::show("context.after_func", c);
  context_core* e = ending_of(c);
  if (e == nullptr) return 0;
  callbacks one;  // allocated before the lock
  one.emplace_back(0, std::move(f));
  e->lock.lock();
  const bool ended = e->why != 0;
  const std::uint64_t id = e->next_id++;
  if (!ended) {
    one.front().first = id;
    e->after.splice(e->after.end(), one);
    arch::edge_release(&e->after);
  }
  e->lock.unlock();
  if (ended) {
    arch::edge_acquire(&e->why);
    start_callback(one.front().second);
  }
  return id;
}

void context_hold(context_core* c, std::shared_ptr<void> held) noexcept {
  c->lock.lock();
  if (c->why == 0) held.swap(c->until_end);
  arch::edge_release(&c->after);
  c->lock.unlock();
}

std::shared_ptr<void> context_companion(context_core* c, std::shared_ptr<void> offered) noexcept {
  context_core* e = ending_of(c);
  if (e == nullptr) return nullptr;
  e->lock.lock();
  if (e->companion == nullptr) {
    e->companion.swap(offered);
    arch::edge_release(&e->companion);
  }
  std::shared_ptr<void> there = e->companion;
  arch::edge_acquire(&e->companion);
  e->lock.unlock();
  return there;
}

void context_cancel_soon(context_core* c) noexcept {
  if (!retain_alive(c)) return;
  context_retain(c);
  try {
    // A timer starts a goroutine without being a point where the caller might give way.
    timer_release(timer_func(now(), c, [](void* p) { context_cancel(static_cast<context_core*>(p), errc::canceled, nullptr); },
                             [](void* p) noexcept { context_release(static_cast<context_core*>(p)); }));
  } catch (...) {  // no memory for that
    context_cancel(c, errc::canceled, nullptr);
  }
  context_release(c);
}

bool context_stop_after(context_core* c, std::uint64_t id) noexcept {
  sched::show("context.stop_after", c);
  context_core* e = ending_of(c);
  if (e == nullptr) return true;
  callbacks dropped;  // destroyed without the lock
  e->lock.lock();
  for (auto at = e->after.begin(); at != e->after.end(); ++at)
    if (at->first == id) {
      dropped.splice(dropped.end(), e->after, at);
      arch::edge_acquire(&e->after);
      break;
    }
  e->lock.unlock();
  return !dropped.empty();
}

}  // namespace skein::inline SKEIN_ABI::detail
