// Goroutine-local values: what thread_local is for threads. (Go has none, and hands a context down.)
//
//   static skein::local<std::mt19937> dice([] { return std::mt19937(std::random_device()()); });
//   int roll() { return static_cast<int>((*dice)() % 6) + 1; }
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "skein/detail/local_value.hpp"
#include "skein/error.hpp"

namespace skein::inline SKEIN_ABI {

namespace detail {

template <class T> struct local_box final : local_value {
  local_box() : local_value(&end), value() {}
  template <class F> explicit local_box(const F& initial) : local_value(&end), value(initial()) {}
  static void end(local_value* v) noexcept { delete static_cast<local_box*>(v); }
  T value;
};

}  // namespace detail

// local: each goroutine has a value of its own, made when it first asks for it and kept, at one
// address, until the goroutine ends, on whatever threads that runs. On a plain thread it is the
// thread's own. Any number of goroutines and threads may use a local at once; a value is safe as far
// as its goroutine does not lend it to others. Once it is made, access costs a few nanoseconds and
// neither blocks nor allocates.
//
// - go() and spawn() hand nothing down. A task has values of its own even if it runs in its joiner.
//   parallel_for_each() calls its function on the caller as well, where it meets the caller's values.
// - The values are destroyed on their goroutine, the last made first, after its function has ended,
//   by return or by exit_goroutine(), and what it captured is gone. They may block, use other locals
//   and make new values, which are destroyed after them; a hundred rounds of this end the process, as
//   does an exception from a destructor.
// - That comes before the end of join(), of run() for the main goroutine, of std::thread::join(); not
//   before the end of a wait_group's wait().
// - Goroutines that are left behind when their runtime ends leave their values behind as well, and so
//   does the main thread what it makes when static objects are being destroyed.
//
// A local is usually static; the form without a function may be constinit. Those that come and go are
// possible, but values stay until their goroutines end, not only until the local does. 65,536 may be
// in use at once.
template <class T> class local {
  using box = detail::local_box<T>;

 public:
  // The values are made by T(), or returned by initial(), which several may call at once.
  constexpr local() noexcept
    requires std::default_initializable<T>
  {}
  template <class F>
    requires std::is_invocable_r_v<T, const F&>
  explicit local(F initial) : maker_(std::make_unique<maker_of<F>>(std::move(initial))) {}
  local(const local&) = delete;
  local& operator=(const local&) = delete;
  ~local() { detail::local_forget(key_.load(std::memory_order_relaxed)); }

  // get() is the caller's value. The first time it throws what making it throws, std::bad_alloc, and
  // std::length_error if too many locals are in use; nothing is kept then, and the next call tries
  // again. Throws misuse if the function that makes the value has made one by using the local itself.
  T& get() const {
    // Relaxed: the key is a number; what it leads to is the caller's own.
    detail::local_value* v = detail::local_find(key_.load(std::memory_order_relaxed));
    if (v == nullptr) [[unlikely]]
      v = make();
    return static_cast<box*>(v)->value;
  }
  T& operator*() const { return get(); }
  std::remove_reference_t<T>* operator->() const { return std::addressof(get()); }

 private:
  struct maker {
    virtual ~maker() = default;
    virtual std::unique_ptr<box> make() const = 0;
  };
  template <class F> struct maker_of final : maker {
    explicit maker_of(F f) : initial(std::move(f)) {}
    ~maker_of() noexcept override {}  // also if initial's may throw
    std::unique_ptr<box> make() const override { return std::make_unique<box>(initial); }
    F initial;
  };

  detail::local_value* make() const {
    const std::uint64_t key = detail::local_key(key_);
    std::unique_ptr<box> made;
    if constexpr (std::default_initializable<T>)
      made = maker_ == nullptr ? std::make_unique<box>() : maker_->make();
    else
      made = maker_->make();
    detail::local_keep(key, made.get());
    return made.release();
  }

  mutable detail::atomic<std::uint64_t> key_{0};
  std::unique_ptr<const maker> maker_;
};

}  // namespace skein::inline SKEIN_ABI
