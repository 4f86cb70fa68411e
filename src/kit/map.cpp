// The concurrent map: a table of chains that are never changed, only replaced. How tables grow and when
// memory is reclaimed is told in docs/design/0006-map.md.
//
//   bucket          meaning                                             changed by CAS to
//   unset           of a table that is being filled: look in the old    a chain, by whoever moves it
//   chain           links to entries, or null; linked by `next`         another chain; the same, frozen
//   chain + frozen  final; what comes next happens in the next table    –
//
//   A chain, once published, is constant, and so are the entries; a change builds the links before the
//   place it concerns anew and shares those behind. What a reader has loaded stays true of the moment
//   at which it loaded the bucket.
//
//   root is the oldest table that is not wholly frozen. root->next, if set, is twice as large and being
//   filled; only the root grows, so there are never more than these two (and old ones that readers hold).
//
// Orders: buckets, root and the counts of readers are seq_cst, since the question of reclamation is one of
// a single order: a reader counts itself and then loads a bucket, a writer replaces the bucket and then
// looks at the count. If it sees no reader, the reader's load comes later in that order and finds the
// replacement. On x86-64 the loads are plain ones.
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "kit/caller.hpp"
#include "prim/limits.hpp"
#include "skein/detail/map_core.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {

constexpr auto strict = std::memory_order_seq_cst;
constexpr std::size_t first_size = 8;
constexpr std::size_t chunk = 16;     // buckets that a change to a growing map moves along
constexpr std::uint32_t enough = 32;  // links and entries worth a look at the readers

struct link {
  map_entry* entry;
  link* next;
  link* next_retired = nullptr;
};

using bucket = atomic<std::uintptr_t>;
constexpr std::uintptr_t frozen = 1, unset = 2;

link* chain(std::uintptr_t w) noexcept { return reinterpret_cast<link*>(w & ~frozen); }
std::uintptr_t word(link* l) noexcept { return reinterpret_cast<std::uintptr_t>(l); }

// The race detector is shown what a change happens before: whoever looks at the same bucket.
std::uintptr_t look(bucket& b) noexcept {
  const std::uintptr_t w = b.load(strict);
  arch::edge_acquire(&b);
  return w;
}
bool replace(bucket& b, std::uintptr_t& was, std::uintptr_t with) noexcept {
  arch::edge_release(&b);
  return b.compare_exchange_strong(was, with, strict, strict);
}

struct table {
  table(std::size_t n, std::uintptr_t content) : mask(n - 1), buckets(new bucket[n]) {
    for (std::size_t i = 0; i < n; ++i) buckets[i].store(content, std::memory_order_relaxed);
  }
  std::size_t size() const noexcept { return mask + 1; }

  const std::size_t mask;
  const std::unique_ptr<bucket[]> buckets;
  atomic<table*> next{nullptr};
  atomic<std::size_t> claimed{0};  // buckets that somebody has set out to move
  atomic<std::size_t> moved{0};
  table* next_retired = nullptr;
};

// Links that have not been published.
class new_chain {
 public:
  new_chain() = default;
  new_chain(const new_chain&) = delete;
  new_chain& operator=(const new_chain&) = delete;
  ~new_chain() {
    while (link* l = head_) {
      if (l == shared_) break;
      head_ = l->next;
      delete l;
    }
  }
  void append(map_entry* e) {
    link* l = new link{e, nullptr};
    (last_ != nullptr ? last_->next : head_) = l;
    last_ = l;
  }
  // share() lets the chain go on with one that is published.
  void share(link* rest) noexcept {
    shared_ = rest;
    (last_ != nullptr ? last_->next : head_) = rest;
  }
  link* head() const noexcept { return head_; }
  void published() noexcept { head_ = nullptr; }

 private:
  link* head_ = nullptr;
  link* last_ = nullptr;
  link* shared_ = nullptr;
};

template <class N> void push(N*& list, N* n) noexcept {
  n->next_retired = list;
  list = n;
}

struct garbage {
  map_entry* entries = nullptr;
  link* links = nullptr;
  table* tables = nullptr;
  bool empty() const noexcept {
    return entries == nullptr && links == nullptr && tables == nullptr;
  }
};

// What callers of one number write: how many of them are in the map, by phase, and by how much they have
// changed the number of entries.
struct alignas(64) line {
  atomic<std::uint32_t> inside[2] = {};
  atomic<std::int64_t> added{0};
};

}  // namespace

struct map_core {
  explicit map_core(void (*d)(map_entry*) noexcept)
      : destroy(d), last_line(kit::caller_lines() - 1), lines(new line[last_line + 1]),
        root(new table(first_size, 0)) {}
  ~map_core();

  line& own_line() noexcept { return lines[kit::caller_number() & last_line]; }
  std::int64_t size() const noexcept;
  void move_bucket(table* t, std::size_t i);
  void move_some(table* t);
  void finish(table* t) noexcept;
  void grow(table* t) noexcept;
  void retire(garbage& g, std::uint32_t n) noexcept;
  void collect() noexcept;
  void free(garbage& g) noexcept;
  void clear_bucket(map_pin& pin, table* t, std::size_t i);
  void clear(map_pin& pin);
  map_entry* update(map_pin& pin, const map_key& k, map_entry* (*decide)(void*, map_entry*),
                    void* self);

  void (*const destroy)(map_entry*) noexcept;
  const std::uint32_t last_line;
  const std::unique_ptr<line[]> lines;
  atomic<std::uint32_t> phase{0};
  atomic<table*> root;
  alignas(64) atomic<std::uint32_t> retired{0};  // about how many, since the last batch was closed
  spin_lock lock;                                // the rest
  garbage fresh;
  garbage closed;  // waits for the readers of now
  std::uint32_t stage =
      0;  // 0: for those of the phase before, 1: for those of the phase that was current
  std::uint32_t seen = 0;  // lines below have been seen empty in this stage
};

namespace {

// The chain that a key of this hash is in, at the moment of the last load.
link* chain_for(map_core* c, std::size_t hash) noexcept {
  table* t = c->root.load(strict);
  for (;;) {
    const std::uintptr_t w = look(t->buckets[hash & t->mask]);
    if ((w & frozen) == 0) return chain(w);
    t = t->next.load(
        std::memory_order_acquire);  // pairs with grow(); set before anything is frozen
    if (look(t->buckets[hash & t->mask]) == unset) return chain(w);  // nothing has happened since
  }
}

link* find_in(link* l, const map_key& k) {
  while (l != nullptr && (l->entry->hash != k.hash || !k.match(l->entry, k.key))) l = l->next;
  return l;
}

template <class V> bool visit_bucket(table* t, std::size_t i, V visit) {
  const std::uintptr_t w = look(t->buckets[i]);
  if ((w & frozen) == 0) {
    for (link* l = chain(w); l != nullptr; l = l->next)
      if (!visit(l->entry)) return false;
    return true;
  }
  table* to = t->next.load(std::memory_order_acquire);
  for (const std::size_t half : {i, i + t->size()}) {
    if (look(to->buckets[half]) != unset) {
      if (!visit_bucket(to, half, visit)) return false;
      continue;
    }
    for (link* l = chain(w); l != nullptr; l = l->next)
      if ((l->entry->hash & to->mask) == half && !visit(l->entry)) return false;
  }
  return true;
}

void free_table(table* t) noexcept {
  for (std::size_t i = 0; i < t->size(); ++i) {
    std::uintptr_t w = t->buckets[i].load(std::memory_order_relaxed);
    if (w == unset) continue;
    for (link* l = chain(w); l != nullptr;) delete std::exchange(l, l->next);
  }
  delete t;
}

}  // namespace

std::int64_t map_core::size() const noexcept {
  std::int64_t n = 0;
  for (std::uint32_t i = 0; i <= last_line; ++i)
    n += lines[i].added.load(std::memory_order_relaxed);
  return n;
}

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
    own_line().added.fetch_add((wanted != nullptr) - (found != nullptr), std::memory_order_relaxed);
    if (found == nullptr) {
      // A chain of two is where a full table shows, and not worth counting for otherwise.
      if (chain(w) != nullptr && size() > static_cast<std::int64_t>(t->size())) grow(t);
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
  own_line().added.fetch_sub(n, std::memory_order_relaxed);
  pin.changed_ = true;
  retire(g, 2 * n);
}

void map_core::clear(map_pin& pin) {
  table* t = root.load(strict);
  for (std::size_t i = 0; i < t->size(); ++i) clear_bucket(pin, t, i);
}

// Hands over what can no longer be reached from the table. The caller is pinned.
void map_core::retire(garbage& g, std::uint32_t n) noexcept {
  retired.fetch_add(n, std::memory_order_relaxed);
  std::lock_guard hold(lock);
  while (map_entry* e = g.entries) g.entries = e->next_retired, push(fresh.entries, e);
  while (link* l = g.links) g.links = l->next_retired, push(fresh.links, l);
  while (table* t = g.tables) g.tables = t->next_retired, push(fresh.tables, t);
}

// Goes on with the closed batch as far as the readers allow: each line must have been seen empty in both
// phases since it was closed. New readers count in the other phase from the middle on, so neither wait is
// for them.
void map_core::collect() noexcept {
  if (retired.load(std::memory_order_relaxed) < enough || !lock.try_lock()) return;
  if (closed.empty()) {
    closed = std::exchange(fresh, {});
    stage = seen = 0;
  }
  garbage done;
  for (;;) {
    const std::uint32_t before = phase.load(std::memory_order_relaxed) ^ 1;
    while (seen <= last_line && lines[seen].inside[before].load(strict) == 0) ++seen;
    if (seen <= last_line) break;
    if (stage == 0) {
      phase.store(before, std::memory_order_relaxed);
      stage = 1;
      seen = 0;
      continue;
    }
    done = std::exchange(closed, {});
    if (fresh.empty()) retired.store(0, std::memory_order_relaxed);
    break;
  }
  lock.unlock();
  if (done.empty()) return;
  for (std::uint32_t i = 0; i <= last_line; ++i)
    for (auto& count : lines[i].inside) arch::edge_acquire(&count);
  free(done);
}

void map_core::free(garbage& g) noexcept {
  while (link* l = g.links) g.links = l->next_retired, delete l;
  while (table* t = g.tables) g.tables = t->next_retired, free_table(t);
  while (map_entry* e = g.entries) g.entries = e->next_retired, destroy(e);
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
  sched::attend_if_asked();
  count_ = &c->own_line().inside[c->phase.load(std::memory_order_relaxed)];
  count_->fetch_add(1, strict);
}

map_pin::~map_pin() {
  arch::edge_release(count_);
  count_->fetch_sub(1, std::memory_order_release);  // pairs with collect()
  if (changed_) core_->collect();
}

map_core* map_make(void (*destroy)(map_entry*) noexcept) { return new map_core(destroy); }
void map_end(map_core* c) noexcept { delete c; }

map_entry* map_find(map_core* c, const map_pin&, const map_key& k) {
  link* at = find_in(chain_for(c, k.hash), k);
  return at != nullptr ? at->entry : nullptr;
}

map_entry* map_update(map_core* c, map_pin& pin, const map_key& k,
                      map_entry* (*decide)(void*, map_entry*), void* self) {
  return c->update(pin, k, decide, self);
}

void map_clear(map_core* c, map_pin& pin) { c->clear(pin); }

void map_visit(map_core* c, const map_pin&, bool (*visit)(void*, const map_entry*), void* self) {
  table* t = c->root.load(strict);
  for (std::size_t i = 0; i < t->size(); ++i)
    if (!visit_bucket(t, i, [&](map_entry* e) { return visit(self, e); })) return;
}

}  // namespace skein::inline SKEIN_ABI::detail
