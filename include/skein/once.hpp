// Once: run something exactly once (Go: sync.Once, OnceFunc, OnceValue).
//
//   static skein::once init;
//   init.call([] { load_tables(); });
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "skein/detail/wait_queue.hpp"

namespace skein::inline SKEIN_ABI {

// once: the first call() runs f; others wait until it has ended. As in Go the call counts as made
// when f throws: the exception goes to that caller alone and later calls return at once. call()
// from inside f deadlocks. The end of f happens before the return of any call().
class once {
 public:
  once() noexcept = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;
  ~once() { waiters_.settle(); }

  template <std::invocable F> void call(F&& f) {
    if (done()) [[likely]] return;
    if (!begin()) return;
    struct ender {
      once* o;
      ~ender() { o->end(); }
    } e{this};
    std::forward<F>(f)();
  }

 private:
  // done() is true for most callers, in line. Acquire pairs with the release of end(). The race
  // detector does not see that pair, only the edge that begin() draws.
  bool done() const noexcept {
#if defined(SKEIN_TSAN)
    return false;
#else
    return state_.load(std::memory_order_acquire) == 2;
#endif
  }
  bool begin() noexcept;  // true for the one who is to run f
  void end() noexcept;

  detail::atomic<std::uint32_t> state_{0};  // 0 not called, 1 running, 2 done
  detail::wait_queue waiters_;
};

// once_func(f) is a callable that runs f on its first call and does nothing afterwards; if f threw,
// every call throws the same exception.
template <class F> auto once_func(F&& f) {
  struct shared {
    explicit shared(F&& call) : f(std::forward<F>(call)) {}
    once o;
    std::optional<std::decay_t<F>> f;
    std::exception_ptr error;
  };
  return [s = std::make_shared<shared>(std::forward<F>(f))] {
    s->o.call([&] {
      try {
        (*s->f)();
      } catch (...) {
        s->error = std::current_exception();
      }
      s->f.reset();
    });
    if (s->error) std::rethrow_exception(s->error);
  };
}

// once_value(f) is a callable that returns the value of f, computed on the first call.
template <class F> auto once_value(F&& f) {
  using R = std::invoke_result_t<std::decay_t<F>&>;
  struct shared {
    explicit shared(F&& call) : f(std::forward<F>(call)) {}
    once o;
    std::optional<std::decay_t<F>> f;
    std::optional<R> value;
    std::exception_ptr error;
  };
  return [s = std::make_shared<shared>(std::forward<F>(f))]() -> const R& {
    s->o.call([&] {
      try {
        s->value.emplace((*s->f)());
      } catch (...) {
        s->error = std::current_exception();
      }
      s->f.reset();
    });
    if (s->error) std::rethrow_exception(s->error);
    return *s->value;
  };
}

}  // namespace skein::inline SKEIN_ABI
