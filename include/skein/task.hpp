// Tasks: a goroutine whose result is awaited.
//
//   skein::task<int> t = skein::spawn([] { return expensive(); });
//   int v = t.join();                       // the value, or the exception that left the callable
#pragma once

#include <chrono>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "skein/chan.hpp"
#include "skein/detail/task_core.hpp"
#include "skein/go.hpp"

namespace skein::inline SKEIN_ABI {

namespace detail {
template <class F> auto spawn_on(runtime_state* rt, const go_options& o, F&& f);
}

// task<T>: the handle of a spawned goroutine. Move-only. join() blocks until it has ended and gives
// its value or rethrows what left it; it throws goroutine_exited if the goroutine called
// exit_goroutine() or its runtime ended first, and misuse on an empty task. A task that has not started yet is run in place by
// whoever joins it. The destructor joins and drops an exception nobody took, counting it in
// stats().dropped_exceptions; to keep it short, end what the goroutine does first (a context).
template <class T> class [[nodiscard]] task {
 public:
  task() noexcept = default;
  task(task&& o) noexcept : core_(std::exchange(o.core_, nullptr)) {}
  task& operator=(task&& o) noexcept {
    task(std::move(o)).swap(*this);
    return *this;
  }
  ~task() {
    if (core_ == nullptr) return;
    detail::task_wait(core_, detail::limit::forever());
    detail::task_drop(core_);
    detail::task_release(core_);
  }
  void swap(task& o) noexcept { std::swap(core_, o.core_); }

  bool valid() const noexcept { return core_ != nullptr; }

  T join() {
    if (core_ == nullptr) throw misuse("skein: join of an empty task");
    struct releaser {
      detail::task_core* c;
      ~releaser() { detail::task_release(c); }
    } r{std::exchange(core_, nullptr)};
    detail::task_wait(r.c, detail::limit::forever());
    detail::task_rethrow(r.c);
    if constexpr (!std::is_void_v<T>) return static_cast<detail::task_result<T>*>(r.c)->take();
  }

  // wait() blocks until the goroutine has ended and leaves the result to join(), which does not block
  // then. The timed and context forms return false when it has not ended by then; they never run it
  // in place. Several may wait at once, but not during a join(). An empty task is misuse.
  void wait() { wait(detail::limit::forever()); }
  template <class Rep, class Period> bool wait_for(std::chrono::duration<Rep, Period> d) {
    return wait(detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur> bool wait_until(std::chrono::time_point<Clock, Dur> t) {
    return wait(detail::limit::until(detail::deadline_at(t)));
  }
  bool wait(const context& ctx) { return wait(detail::limit::by(ctx)); }

  // done() is closed when the goroutine has ended: a join that can stand in a select.
  receiver<unit> done() {
    if (core_ == nullptr) throw misuse("skein: done() of an empty task");
    return receiver<unit>(detail::chan_handle(detail::task_done(core_)));
  }

 private:
  template <class F>
  friend auto detail::spawn_on(detail::runtime_state* rt, const go_options& o, F&& f);
  explicit task(detail::task_core* c) noexcept : core_(c) {}
  bool wait(const detail::limit& l) {
    if (core_ == nullptr) throw misuse("skein: wait for an empty task");
    return detail::task_wait(core_, l);
  }
  detail::task_core* core_ = nullptr;
};

namespace detail {
template <class F> auto spawn_on(runtime_state* rt, const go_options& o, F&& f) {
  using R = std::invoke_result_t<std::decay_t<F>>;
  auto made = std::make_unique<task_model<R, std::decay_t<F>>>(std::forward<F>(f));
  task_core* c = made.get();
  task_start(rt, o, c);
  made.release();
  return task<R>(c);
}
}  // namespace detail

// spawn() starts f() as a goroutine and returns its task. Throws as go() does.
template <class F>
  requires std::invocable<std::decay_t<F>>
[[nodiscard]] auto spawn(const go_options& o, F&& f) -> task<std::invoke_result_t<std::decay_t<F>>> {
  return detail::spawn_on(nullptr, o, std::forward<F>(f));
}
template <class F>
  requires std::invocable<std::decay_t<F>>
[[nodiscard]] auto spawn(F&& f) -> task<std::invoke_result_t<std::decay_t<F>>> {
  return detail::spawn_on(nullptr, {}, std::forward<F>(f));
}

}  // namespace skein::inline SKEIN_ABI
