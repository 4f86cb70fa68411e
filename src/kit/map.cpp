// The concurrent map: changes, growing, and what becomes of what was taken out. Buckets and chains are in
// map_table.hpp, readers in readers.hpp, the reasons in docs/design/0006-map.md.
//
// root is the oldest table that is not wholly frozen. root->next, if set, is twice as large and being
// filled; only the root grows, so there are never more than these two (and old ones that readers hold).
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "kit/map_table.hpp"
#include "kit/readers.hpp"
#include "prim/limits.hpp"

namespace skein::inline SKEIN_ABI::detail {

using namespace kit;

namespace {
constexpr std::size_t first_size = shrunk<std::size_t>(8, 1);
constexpr std::size_t chunk = shrunk<std::size_t>(16, 1);  // buckets that a change to a growing map moves along
constexpr std::uint32_t enough = shrunk(32u, 2u);          // links and entries worth a look at the readers
}  // namespace

struct map_core {
  explicit map_core(void (*d)(map_entry*) noexcept) : destroy(d), root(new table(first_size, 0)) {}
  map_core(const map_core&) = delete;
  map_core& operator=(const map_core&) = delete;
  ~map_core();

  map_entry* update(map_pin& pin, const map_key& k, map_entry* (*decide)(void*, map_entry*),
                    void* self);
  void clear_bucket(map_pin& pin, table* t, std::size_t i);
  void move_bucket(table* t, std::size_t i);
  void move_some(table* t);
  void finish(table* t) noexcept;
  void grow(table* t) noexcept;
  void retire(garbage& g, std::uint32_t n) noexcept;
  void collect() noexcept;
  void free(garbage& g) noexcept;

  void (*const destroy)(map_entry*) noexcept;
  readers inside;  // their tally is the number of entries
  atomic<table*> root;
  alignas(64) atomic<std::uint32_t> retired{0};  // about how many, since the last batch was closed
  spin_lock lock;                                // the rest, and the wait for readers
  garbage fresh;
  garbage closed;  // waits for the readers
};

// Moves one bucket of a growing table. Several may do so at once: the chains are all the same, and the
// first one is taken. The one whose first half was taken counts the bucket, after both halves are there.
void map_core::move_bucket(table* t, std::size_t i) {
  table* to = t->next.load(std::memory_order_acquire);
  std::uintptr_t w = look(t->buckets[i]);
  while ((w & frozen) == 0 && !replace(t->buckets[i], w, w | frozen)) {
  }
  bucket* const halves[2] = {&to->buckets[i], &to->buckets[i + t->size()]};
  if (look(*halves[0]) != unset && look(*halves[1]) != unset) return;
  new_chain made[2];
  for (link* l = chain(w); l != nullptr; l = l->next)
    made[(l->entry->hash & t->size()) != 0 ? 1 : 0].append(l->entry);
  bool first = false;
  for (int h = 0; h < 2; ++h) {
    std::uintptr_t was = unset;
    if (!replace(*halves[h], was, word(made[h].head()))) continue;
    made[h].published();
    first = first || h == 0;
  }
  // acq_rel: the last one sees all buckets moved.
  if (first && t->moved.fetch_add(1, std::memory_order_acq_rel) + 1 == t->size()) finish(t);
}

void map_core::move_some(table* t) {
  const std::size_t from = t->claimed.fetch_add(chunk, std::memory_order_relaxed);
  if (from >= t->size()) return;
  try {
    for (std::size_t i = from; i < from + chunk && i < t->size(); ++i) move_bucket(t, i);
  } catch (...) {
    t->claimed.store(0, std::memory_order_relaxed);  // for others to try again
    throw;
  }
}

void map_core::finish(table* t) noexcept {
  root.store(t->next.load(std::memory_order_relaxed), strict);
  garbage g;
  push(g.tables, t);
  retire(g, enough);
}

// Growing is not worth an exception: without memory the chains become longer.
void map_core::grow(table* t) noexcept {
  if (t != root.load(strict) || t->next.load(std::memory_order_relaxed) != nullptr) return;
  try {
    auto made = std::make_unique<table>(2 * t->size(), unset);
    table* none = nullptr;
    if (t->next.compare_exchange_strong(none, made.get(), std::memory_order_release,
                                        std::memory_order_relaxed))
      made.release();
  } catch (const std::bad_alloc&) {
  }
}

map_entry* map_core::update(map_pin& pin, const map_key& k, map_entry* (*decide)(void*, map_entry*),
                            void* self) {
  table* t = root.load(strict);
  if (t->next.load(std::memory_order_acquire) != nullptr) move_some(t);
  for (;;) {
    bucket* b = &t->buckets[k.hash & t->mask];
    std::uintptr_t w = look(*b);
    if ((w & frozen) != 0) {
      move_bucket(t, k.hash & t->mask);
      t = t->next.load(std::memory_order_acquire);
      continue;
    }
    link* const at = find_in(chain(w), k);
    map_entry* const found = at != nullptr ? at->entry : nullptr;
    map_entry* const wanted = decide(self, found);
    if (wanted == found) return found;
    new_chain made;
    std::uint32_t length = 1;
    for (link* l = chain(w); at != nullptr && l != at; l = l->next) made.append(l->entry), ++length;
    if (wanted != nullptr) made.append(wanted);
    made.share(at != nullptr ? at->next : chain(w));
    if (!replace(*b, w, word(made.head()))) continue;
    made.published();
    pin.changed_ = true;
    inside.add((wanted != nullptr) - (found != nullptr));
    if (found == nullptr) {
      // A chain of two is where a full table shows, and not worth counting for otherwise.
      if (chain(w) != nullptr && inside.sum() > static_cast<std::int64_t>(t->size())) grow(t);
      return nullptr;
    }
    garbage g;
    push(g.entries, found);
    for (link* l = chain(w); l != at->next;) {
      link* next = l->next;
      push(g.links, l);
      l = next;
    }
    retire(g, length + 1);
    return found;
  }
}

void map_core::clear_bucket(map_pin& pin, table* t, std::size_t i) {
  if (look(t->buckets[i]) != 0) sched::show("map.clear", this);
  std::uintptr_t w = look(t->buckets[i]);
  while ((w & frozen) == 0 && w != 0 && !replace(t->buckets[i], w, 0)) {
  }
  if (w == 0) return;
  if ((w & frozen) != 0) {
    move_bucket(t, i);
    table* to = t->next.load(std::memory_order_acquire);
    clear_bucket(pin, to, i);
    clear_bucket(pin, to, i + t->size());
    return;
  }
  garbage g;
  std::uint32_t n = 0;
  for (link* l = chain(w); l != nullptr; ++n) {
    link* next = l->next;
    push(g.entries, l->entry);
    push(g.links, l);
    l = next;
  }
  inside.add(-static_cast<std::int64_t>(n));
  pin.changed_ = true;
  retire(g, 2 * n);
}

// Hands over what can no longer be reached from the table. The caller is pinned.
void map_core::retire(garbage& g, std::uint32_t n) noexcept {
  retired.fetch_add(n, std::memory_order_relaxed);
  std::lock_guard hold(lock);
  while (map_entry* e = pop(g.entries)) push(fresh.entries, e);
  while (link* l = pop(g.links)) push(fresh.links, l);
  while (table* t = pop(g.tables)) push(fresh.tables, t);
}

// Goes on with the closed batch as far as the readers allow.
void map_core::collect() noexcept {
  if (retired.load(std::memory_order_relaxed) < enough || !lock.try_lock()) return;
  if (closed.empty()) {
    closed = std::exchange(fresh, {});
    inside.begin();
  }
  garbage done;
  if (inside.advance()) {
    done = std::exchange(closed, {});
    if (fresh.empty()) retired.store(0, std::memory_order_relaxed);
  }
  lock.unlock();
  free(done);
}

void map_core::free(garbage& g) noexcept {
  while (link* l = pop(g.links)) delete l;
  while (table* t = pop(g.tables)) delete t;
  while (map_entry* e = pop(g.entries)) destroy(e);
}

map_core::~map_core() {
  garbage all;
  table* t = root.load(strict);
  for (std::size_t i = 0; i < t->size(); ++i)
    visit_bucket(t, i, [&](map_entry* e) { return push(all.entries, e), true; });
  if (table* to = t->next.load(std::memory_order_acquire)) push(all.tables, to);
  push(all.tables, t);
  free(all);
  free(closed);
  free(fresh);
}

map_pin::map_pin(map_core* c) : core_(c) {
  sched::attend_if_asked("map", c);
  count_ = &c->inside.enter();
}

map_pin::~map_pin() {
  readers::leave(*count_);
  if (changed_) core_->collect();
}

map_core* map_make(void (*destroy)(map_entry*) noexcept) { return new map_core(destroy); }
void map_end(map_core* c) noexcept { delete c; }

map_entry* map_find(map_core* c, const map_pin&, const map_key& k) {
  link* at = find_in(chain_for(c->root.load(strict), k.hash), k);
  return at != nullptr ? at->entry : nullptr;
}

map_entry* map_update(map_core* c, map_pin& pin, const map_key& k,
                      map_entry* (*decide)(void*, map_entry*), void* self) {
  return c->update(pin, k, decide, self);
}

void map_clear(map_core* c, map_pin& pin) {
  table* t = c->root.load(strict);
  for (std::size_t i = 0; i < t->size(); ++i) c->clear_bucket(pin, t, i);
}

namespace {
// shown: a visit that a simulation hears of before each entry, for others may come between two.
struct shown {
  map_core* core;
  const void* site;
  bool (*visit)(void*, const map_entry*);
  void* self;
  static bool step(void* p, const map_entry* e) {
    const auto* s = static_cast<const shown*>(p);
    sched::attend_simulated(sched::current(), {"map.for_each", s->core, s->site});
    return s->visit(s->self, e);
  }
};
}  // namespace

void map_visit(map_core* c, const map_pin&, bool (*visit)(void*, const map_entry*), void* self) {
  shown s{c, __builtin_return_address(0), visit, self};
  if ((sched::current()->attention_word.load(std::memory_order_relaxed) &
       sched::attention::simulated) != 0) [[unlikely]]
    visit = &shown::step, self = &s;
  table* t = c->root.load(strict);
  for (std::size_t i = 0; i < t->size(); ++i)
    if (!visit_bucket(t, i, [&](map_entry* e) { return visit(self, e); })) return;
}

}  // namespace skein::inline SKEIN_ABI::detail
