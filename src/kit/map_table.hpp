// The parts of a concurrent map: buckets, constant chains, tables, and how they are read.
//
//   bucket          meaning                                             changed by CAS to
//   unset           of a table that is being filled: look in the old    a chain, by whoever moves it
//   chain           links to entries, or null; linked by `next`         another chain; the same, frozen
//   chain + frozen  final; what comes next happens in the next table    –
//
// A chain, once published, is constant, and so are the entries; a change builds the links before the place
// it concerns anew and shares those behind. What a reader has loaded stays true of the moment at which it
// loaded the bucket.
//
// Orders: buckets, the root table and the counts of readers are seq_cst, since the question of reclamation
// is one of a single order: a reader counts itself and then loads a bucket, a writer replaces the bucket
// and then looks at the count. If it sees no reader, the reader's load comes later in that order and finds
// the replacement. On x86-64 the loads are plain ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "arch/context.hpp"
#include "skein/detail/map_core.hpp"

namespace skein::inline SKEIN_ABI::kit {

using detail::atomic;
using detail::map_entry;
using detail::map_key;

inline constexpr auto strict = std::memory_order_seq_cst;

struct link {
  map_entry* entry;
  link* next;
  link* next_retired = nullptr;
};

using bucket = atomic<std::uintptr_t>;
inline constexpr std::uintptr_t frozen = 1, unset = 2;

inline link* chain(std::uintptr_t w) noexcept { return reinterpret_cast<link*>(w & ~frozen); }
inline std::uintptr_t word(link* l) noexcept { return reinterpret_cast<std::uintptr_t>(l); }

// The race detector is shown what a change happens before: whoever looks at the same bucket.
inline std::uintptr_t look(bucket& b) noexcept {
  const std::uintptr_t w = b.load(strict);
  arch::edge_acquire(&b);
  return w;
}
inline bool replace(bucket& b, std::uintptr_t& was, std::uintptr_t with) noexcept {
  arch::edge_release(&b);
  const bool done = b.compare_exchange_strong(was, with, strict, strict);
  // It may have changed and changed back since it was looked at: removing what was put in front gives the
  // very chain of before. That is as good as no change, and an edge all the same.
  arch::edge_acquire(&b);
  return done;
}

struct table {
  table(std::size_t n, std::uintptr_t content) : mask(n - 1), buckets(new bucket[n]) {
    for (std::size_t i = 0; i < n; ++i) buckets[i].store(content, std::memory_order_relaxed);
  }
  table(const table&) = delete;
  table& operator=(const table&) = delete;
  ~table() {  // with its chains, but not the entries
    for (std::size_t i = 0; i < size(); ++i) {
      const std::uintptr_t w = buckets[i].load(std::memory_order_relaxed);
      for (link* l = w != unset ? chain(w) : nullptr; l != nullptr;)
        delete std::exchange(l, l->next);
    }
  }
  std::size_t size() const noexcept { return mask + 1; }

  const std::size_t mask;
  const std::unique_ptr<bucket[]> buckets;
  // The table that this one grows into; set once, before any bucket is frozen. Its release is paired with
  // the acquire of each load.
  atomic<table*> next{nullptr};
  atomic<std::size_t> claimed{0};  // buckets that somebody has set out to move
  atomic<std::size_t> moved{0};
  table* next_retired = nullptr;
};

// new_chain: links that have not been published.
class new_chain {
 public:
  new_chain() = default;
  new_chain(const new_chain&) = delete;
  new_chain& operator=(const new_chain&) = delete;
  ~new_chain() {
    while (head_ != shared_) delete std::exchange(head_, head_->next);
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
  void published() noexcept { head_ = shared_ = nullptr; }

 private:
  link* head_ = nullptr;
  link* last_ = nullptr;
  link* shared_ = nullptr;
};

// garbage: what has been taken out of a map.
struct garbage {
  map_entry* entries = nullptr;
  link* links = nullptr;
  table* tables = nullptr;
  bool empty() const noexcept {
    return entries == nullptr && links == nullptr && tables == nullptr;
  }
};
template <class N> void push(N*& list, N* n) noexcept {
  n->next_retired = list;
  list = n;
}
template <class N> N* pop(N*& list) noexcept {
  return list != nullptr ? std::exchange(list, list->next_retired) : nullptr;
}

// chain_for() is the chain that a key of this hash is in, at the moment of its last load.
inline link* chain_for(table* t, std::size_t hash) noexcept {
  for (;;) {
    const std::uintptr_t w = look(t->buckets[hash & t->mask]);
    if ((w & frozen) == 0) return chain(w);
    t = t->next.load(std::memory_order_acquire);
    if (look(t->buckets[hash & t->mask]) == unset) return chain(w);  // nothing has happened since
  }
}

inline link* find_in(link* l, const map_key& k) {
  while (l != nullptr && (l->entry->hash != k.hash || !k.match(l->entry, k.key))) l = l->next;
  return l;
}

// visit_bucket() calls visit with the entries of a bucket, wherever they are by now, until that is false.
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

}  // namespace skein::inline SKEIN_ABI::kit
