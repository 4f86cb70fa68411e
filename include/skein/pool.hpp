// Pool: spare objects for reuse (Go: sync.Pool).
//
//   skein::pool<std::vector<char>> buffers([] { return std::vector<char>(64 * 1024); });
//   auto b = buffers.get();                // a spare one, or a new one
//   read_into(*b);
//                                          // back to the pool at the end of the scope
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI {

namespace detail {

struct pool_core;

// pool_node: the head of a spare object; its fields belong to the pool while the object is spare.
struct pool_node {
  pool_node* next = nullptr;
  pool_node* next_batch = nullptr;
  std::uint32_t depth = 0;  // of the list that begins here
};

pool_core* pool_make(void (*destroy)(pool_node*) noexcept);
pool_node* pool_take(pool_core* c) noexcept;  // null: none is spare
void pool_put(pool_core* c, pool_node* n) noexcept;
void pool_trim(pool_core* c) noexcept;
void pool_end(pool_core* c) noexcept;

template <class T> struct pool_box : pool_node {
  template <class F> explicit pool_box(F&& make) : value(std::forward<F>(make)()) {}
  T value;
};

}  // namespace detail

// pooled<T>: an object on loan. The destructor gives it back, in the state it is in; it must not come
// after the pool's.
template <class T> class [[nodiscard]] pooled {
 public:
  pooled() noexcept = default;
  pooled(pooled&& o) noexcept : core_(o.core_), box_(std::exchange(o.box_, nullptr)) {}
  pooled& operator=(pooled&& o) noexcept {
    pooled(std::move(o)).swap(*this);
    return *this;
  }
  ~pooled() { put(); }
  void swap(pooled& o) noexcept {
    std::swap(core_, o.core_);
    std::swap(box_, o.box_);
  }

  explicit operator bool() const noexcept { return box_ != nullptr; }
  T& operator*() const noexcept { return box_->value; }
  T* operator->() const noexcept { return std::addressof(box_->value); }

  // put() gives the object back now, drop() destroys it instead; both leave this empty.
  void put() noexcept {
    if (auto* b = std::exchange(box_, nullptr)) detail::pool_put(core_, b);
  }
  void drop() noexcept { delete std::exchange(box_, nullptr); }

 private:
  template <class> friend class pool;
  pooled(detail::pool_core* c, detail::pool_box<T>* b) noexcept : core_(c), box_(b) {}

  detail::pool_core* core_ = nullptr;
  detail::pool_box<T>* box_ = nullptr;
};

// pool: get() and put() may be called from any goroutine or thread, do not block, and touch nothing but
// what belongs to the caller's processor (to its thread, outside a runtime) as long as that has spare
// objects and room for them; otherwise objects move between processors in batches. What happened before
// an object was given back happens before the get() that hands it out again. Which spare object get()
// gives is not to be relied on, nor that one stays: about every second what has not been used for one to
// two seconds is destroyed, on a goroutine of its own (on a thread of skein's when no runtime was there
// at the last put()), and so may run a moment longer than the pool. No lock is held while code of T runs.
template <class T> class pool {
  static_assert(std::is_nothrow_destructible_v<T>,
                "a pool destroys its objects where nobody could catch");

 public:
  pool()
    requires std::default_initializable<T>
      : pool([] { return T(); }) {}
  // make() makes an object when none is spare; it may be called by several at once.
  template <class F>
    requires std::is_invocable_r_v<T, const F&> && std::copy_constructible<F>
  explicit pool(F make) : make_(std::move(make)), core_(detail::pool_make(&destroy)) {}
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool() { detail::pool_end(core_); }

  // get() is a spare object, or a new one; throws what making one throws. try_get() is empty if none is
  // spare.
  pooled<T> get() {
    pooled<T> spare = try_get();
    return spare ? std::move(spare) : pooled<T>(core_, new box(make_));
  }
  pooled<T> try_get() noexcept { return {core_, static_cast<box*>(detail::pool_take(core_))}; }

  // put() adds an object that was made elsewhere. One from get() goes back with its handle.
  void put(T v)
    requires std::move_constructible<T>
  {
    pooled<T>(core_, new box([&]() -> T { return std::move(v); })).put();
  }

  // trim() does now what time does otherwise: it destroys what has not been used since the last time.
  void trim() noexcept { detail::pool_trim(core_); }

 private:
  using box = detail::pool_box<T>;
  static void destroy(detail::pool_node* n) noexcept { delete static_cast<box*>(n); }

  const std::function<T()> make_;
  detail::pool_core* const core_;
};

}  // namespace skein::inline SKEIN_ABI
