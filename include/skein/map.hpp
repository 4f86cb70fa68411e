// Concurrent map (Go: sync.Map).
//
//   skein::map<std::string, session> sessions;
//   sessions.store(id, s);
//   if (auto s = sessions.load(id)) greet(*s);
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "skein/detail/map_core.hpp"

namespace skein::inline SKEIN_ABI {

// map: keys to values, for many goroutines and threads at once. No operation blocks, and none waits for
// another: a reader is not held up by writers, nor writers by readers. Each takes effect at one moment
// between its call and its return, and what happened before a change happens before the return of whoever
// sees it. Constant time on average; an operation on a growing map moves a few entries along.
//
// Values are never shared or changed in place: store() replaces them and load() copies, so T must be
// copyable; for large ones let it be a std::shared_ptr<const X>. What was replaced or erased is destroyed
// later, once nobody can be looking at it: by a change to the map, at the latest by its end. Hash, Equal,
// copies, comparisons and destructors run without any lock and may use the map. When one throws the map is
// as it was, except that swap() and load_and_delete() copy what they return after the change, and
// load_or_store() may move it then. Nobody may use the map while it is destroyed.
template <class Key, class T, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
class map {
  static_assert(std::is_copy_constructible_v<T>, "a map gives out copies of its values");
  static_assert(std::is_nothrow_destructible_v<Key> && std::is_nothrow_destructible_v<T>);

 public:
  map() : core_(detail::map_make(&destroy)) {}
  map(const map&) = delete;
  map& operator=(const map&) = delete;
  ~map() { detail::map_end(core_); }

  // load() is a copy of the key's value, if it has one.
  std::optional<T> load(const Key& key) const {
    const detail::map_pin pin(core_);
    return copy_of(find(pin, key));
  }
  bool contains(const Key& key) const {
    const detail::map_pin pin(core_);
    return find(pin, key) != nullptr;
  }

  void store(Key key, T value) {
    detail::map_pin pin(core_);
    put(pin, std::move(key), std::move(value));
  }
  // swap() stores a value and returns the one before.
  std::optional<T> swap(Key key, T value) {
    detail::map_pin pin(core_);
    return copy_of(put(pin, std::move(key), std::move(value)));
  }
  // load_or_store() is the key's value and true, or stores `value` and returns it and false.
  std::pair<T, bool> load_or_store(const Key& key, T value) {
    detail::map_pin pin(core_);
    if (const box* found = find(pin, key)) return {found->value, true};
    std::pair<T, bool> stored(value, false);
    std::unique_ptr<box> made = make(key, std::move(value));
    const box* found =
        update(pin, made->key, [&](box* f) { return f != nullptr ? f : made.get(); });
    if (found != nullptr) return {found->value, true};
    made.release();
    return stored;
  }

  // erase() returns whether the key had a value, load_and_delete() that value.
  bool erase(const Key& key) {
    detail::map_pin pin(core_);
    return remove(pin, key) != nullptr;
  }
  std::optional<T> load_and_delete(const Key& key) {
    detail::map_pin pin(core_);
    return copy_of(remove(pin, key));
  }

  // compare_and_swap() stores `value`, and compare_and_delete() erases the key, if the key has a value
  // that equals `old`; they return whether they did.
  bool compare_and_swap(const Key& key, const T& old, T value)
    requires std::equality_comparable<T>
  {
    detail::map_pin pin(core_);
    std::unique_ptr<box> made = make(key, std::move(value));
    return replace(pin, key, old, made.get()) && (static_cast<void>(made.release()), true);
  }
  bool compare_and_delete(const Key& key, const T& old)
    requires std::equality_comparable<T>
  {
    detail::map_pin pin(core_);
    return replace(pin, key, old, nullptr);
  }

  // for_each() calls f(key, value) for the keys, until f returns false if it returns a bool. It is no
  // snapshot: a key that is in the map all the while is visited once, one that comes or goes meanwhile once
  // or not at all. f may use the map; nothing that is replaced or erased is destroyed before it has ended.
  template <class F>
    requires std::invocable<F&, const Key&, const T&>
  void for_each(F f) const {
    const detail::map_pin pin(core_);
    detail::map_visit(
        core_, pin,
        [](void* self, const detail::map_entry* e) {
          const box* b = static_cast<const box*>(e);
          if constexpr (std::is_void_v<std::invoke_result_t<F&, const Key&, const T&>>)
            return std::invoke(*static_cast<F*>(self), b->key, b->value), true;
          else
            return static_cast<bool>(std::invoke(*static_cast<F*>(self), b->key, b->value));
        },
        std::addressof(f));
  }

  // clear() erases each key that is in the map all the while, at a moment of its own.
  void clear() {
    detail::map_pin pin(core_);
    detail::map_clear(core_, pin);
  }

 private:
  struct box : detail::map_entry {
    template <class K>
    box(std::size_t h, K&& k, T&& v) : map_entry(h), key(std::forward<K>(k)), value(std::move(v)) {}
    const Key key;
    const T value;
  };
  static void destroy(detail::map_entry* e) noexcept { delete static_cast<box*>(e); }
  static std::size_t hash_of(const Key& key) { return detail::map_hash(Hash()(key)); }
  static detail::map_key lookup(const Key& key, std::size_t hash) noexcept {
    return {hash,
            [](const detail::map_entry* e, const void* k) {
              return static_cast<bool>(
                  Equal()(static_cast<const box*>(e)->key, *static_cast<const Key*>(k)));
            },
            std::addressof(key)};
  }
  template <class K> static std::unique_ptr<box> make(K&& key, T&& value) {
    const std::size_t h = hash_of(key);
    return std::make_unique<box>(h, std::forward<K>(key), std::move(value));
  }
  static std::optional<T> copy_of(const box* b) {
    return b != nullptr ? std::optional<T>(b->value) : std::nullopt;
  }

  const box* find(const detail::map_pin& pin, const Key& key) const {
    return static_cast<const box*>(detail::map_find(core_, pin, lookup(key, hash_of(key))));
  }
  template <class D> const box* update(detail::map_pin& pin, const Key& key, D decide) {
    return static_cast<const box*>(detail::map_update(
        core_, pin, lookup(key, hash_of(key)),
        [](void* self, detail::map_entry* found) -> detail::map_entry* {
          return (*static_cast<D*>(self))(static_cast<box*>(found));
        },
        std::addressof(decide)));
  }
  const box* put(detail::map_pin& pin, Key&& key, T&& value) {
    std::unique_ptr<box> made = make(std::move(key), std::move(value));
    const box* found = update(pin, made->key, [&](box*) { return made.get(); });
    made.release();
    return found;
  }
  const box* remove(detail::map_pin& pin, const Key& key) {
    return update(pin, key, [](box*) -> box* { return nullptr; });
  }
  bool replace(detail::map_pin& pin, const Key& key, const T& old, box* with) {
    bool done = false;
    update(pin, key, [&](box* f) {
      done = f != nullptr && f->value == old;
      return done ? with : f;
    });
    return done;
  }

  detail::map_core* const core_;
};

}  // namespace skein::inline SKEIN_ABI
