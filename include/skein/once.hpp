// Once: run something exactly once (Go: sync.Once, OnceFunc, OnceValue).
//
//   static skein::once init;
//   init.call([] { load_tables(); });
#pragma once

#include <chrono>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/guarded.hpp"
#include "skein/detail/wait_queue.hpp"
#include "skein/error.hpp"

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
    call(detail::limit::forever(), std::forward<F>(f));
  }

  // The timed and context forms return false when another's f has not ended by then. They do not cut
  // short their own f, and begin it even if the time is over or ctx has ended.
  template <class Rep, class Period, std::invocable F>
  bool call_for(std::chrono::duration<Rep, Period> d, F&& f) {
    return call(detail::limit::until(detail::deadline_after(d)), std::forward<F>(f));
  }
  template <class Clock, class Dur, std::invocable F>
  bool call_until(std::chrono::time_point<Clock, Dur> t, F&& f) {
    return call(detail::limit::until(detail::deadline_at(t)), std::forward<F>(f));
  }
  template <std::invocable F> bool call(const context& ctx, F&& f) {
    return call(detail::limit::by(ctx), std::forward<F>(f));
  }

 private:
  // done() is true for most callers, in line. Acquire pairs with the release of end(). The race
  // detector does not see that pair, only the edge that begin() draws.
  bool done() const noexcept {
#if defined(SKEIN_TSAN)
    return false;
#else
    return state_.load(std::memory_order_acquire) == done_state;
#endif
  }
  enum class turn { run, ended, gave_up };
  turn begin(const detail::limit& l);
  void end() noexcept;

  template <class F> bool call(const detail::limit& l, F&& f) {
    if (done()) [[likely]] return true;
    const turn t = begin(l);
    if (t != turn::run) return t == turn::ended;
    struct ender {
      once* o;
      ~ender() { o->end(); }
    } e{this};
    std::forward<F>(f)();
    return true;
  }

  // 0 not called, 1 running, then done. What was done in a simulation is not done() for callers: a simulation
  // has to hear of each call.
  static constexpr std::uint32_t done_state = 2, done_in_simulation = 3;
  detail::atomic<std::uint32_t> state_{0};
  detail::wait_queue waiters_;
};

namespace detail {

// once_call: a function to be called once, and what came of it.
template <class R, class F> class once_call {
 public:
  template <class U> explicit once_call(U&& f) : f_(std::in_place, std::forward<U>(f)) {}

  std::add_lvalue_reference_t<const R> operator()() {
    once_.call([this] {
      struct ender {  // also when f leaves through exit_goroutine()
        std::optional<F>& f;
        ~ender() { f.reset(); }
      } e{f_};
      auto keep = [this] {
        if constexpr (std::is_void_v<R>)
          (*f_)(), value_.emplace();
        else
          value_.emplace((*f_)());
      };
      error_ = call_guarded(keep);
    });
    if (error_) std::rethrow_exception(error_);
    if (!value_) throw goroutine_exited();
    if constexpr (!std::is_void_v<R>) return *value_;
  }

 private:
  struct nothing {};

  once once_;
  std::optional<F> f_;
  std::optional<std::conditional_t<std::is_void_v<R>, nothing, R>> value_;
  std::exception_ptr error_;  // neither of the two: f left through exit_goroutine()
};

}  // namespace detail

// once_func(f) is a callable that runs f on its first call and does nothing afterwards; if f threw,
// every call throws the same exception. exit_goroutine() in f ends the goroutine that ran it, and
// the other calls throw goroutine_exited.
template <class F> auto once_func(F&& f) {
  return [s = std::make_shared<detail::once_call<void, std::decay_t<F>>>(std::forward<F>(f))] {
    (*s)();
  };
}

// once_value(f) is a callable that returns the value of f, computed on the first call; otherwise as
// once_func().
template <class F> auto once_value(F&& f) {
  using R = std::invoke_result_t<std::decay_t<F>&>;
  auto call = std::make_shared<detail::once_call<R, std::decay_t<F>>>(std::forward<F>(f));
  return [s = std::move(call)]() -> const R& { return (*s)(); };
}

}  // namespace skein::inline SKEIN_ABI
