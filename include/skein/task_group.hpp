// Task group: goroutines that belong together and fail together (Go: x/sync/errgroup).
//
//   skein::task_group g(parent);                // the first failure cancels g.context()
//   for (auto& url : urls) g.go([&] { fetch(g.context(), url); });
//   g.wait();                                   // rethrows the first failure
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/detail/guarded.hpp"
#include "skein/mutex.hpp"
#include "skein/wait_group.hpp"

namespace skein::inline SKEIN_ABI {

// task_group: all members may be called from any goroutine or thread. The destructor waits for what
// is still running and drops a failure nobody took.
class task_group {
 public:
  task_group() = default;
  // The first failure, and the end of wait(), cancel ctx; its cause is the failure.
  explicit task_group(const context& parent) : bound_(with_cancel(parent)) {}
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  ~task_group() { all_.wait(); }

  // context() is the group's own context; background() for a group without one.
  skein::context context() const { return bound_ ? bound_->ctx : skein::context(); }

  // set_limit(n): at most n goroutines of the group run at once; no_limit, the default, lets all of them.
  // Throws misuse while any is running.
  static constexpr std::size_t no_limit = static_cast<std::size_t>(-1);
  void set_limit(std::size_t n);

  // go() starts f, blocking while the limit is reached. try_go() returns false instead, the timed and
  // context forms when there is no room by then.
  template <std::invocable F> void go(F&& f) {
    if (slots_) slots_->send(unit{});
    start(std::forward<F>(f));
  }
  template <std::invocable F> bool try_go(F&& f) {
    return start_if(!slots_ || slots_->try_send(unit{}), std::forward<F>(f));
  }
  template <class Rep, class Period, std::invocable F>
  bool go_for(std::chrono::duration<Rep, Period> d, F&& f) {
    return start_if(!slots_ || slots_->send_for(unit{}, d), std::forward<F>(f));
  }
  template <class Clock, class Dur, std::invocable F>
  bool go_until(std::chrono::time_point<Clock, Dur> t, F&& f) {
    return start_if(!slots_ || slots_->send_until(unit{}, t), std::forward<F>(f));
  }
  template <std::invocable F> bool go(const skein::context& ctx, F&& f) {
    return start_if(slots_ ? slots_->send(ctx, unit{}) : !ctx.err(), std::forward<F>(f));
  }

  // wait() blocks until all have ended, then rethrows the first exception that left one of them. The timed
  // and context forms return false, and leave all as it is, when some have not ended by then.
  void wait();
  template <class Rep, class Period> bool wait_for(std::chrono::duration<Rep, Period> d) {
    return all_.wait_for(d) && ended();
  }
  template <class Clock, class Dur> bool wait_until(std::chrono::time_point<Clock, Dur> t) {
    return all_.wait_until(t) && ended();
  }
  bool wait(const skein::context& ctx) { return all_.wait(ctx) && ended(); }

 private:
  template <class F> void start(F&& f) {
    running_.fetch_add(1, std::memory_order_relaxed);
    all_.add(1);
    struct undo {
      task_group* g;
      ~undo() {
        if (g != nullptr) g->finished();
      }
    } u{this};
    skein::go([this, f = std::optional<std::decay_t<F>>(std::forward<F>(f))]() mutable {
      struct ender {  // what f holds is gone before the group hears that it is done
        task_group* g;
        std::optional<std::decay_t<F>>& f;
        ~ender() {
          f.reset();
          g->finished();
        }
      } end{this, f};
      if (std::exception_ptr e = detail::call_guarded(*f)) failed(std::move(e));
    });
    u.g = nullptr;
  }
  template <class F> bool start_if(bool room, F&& f) {
    if (room) start(std::forward<F>(f));
    return room;
  }
  bool ended();  // true, or the exception that somebody left
  void failed(std::exception_ptr e) noexcept;
  void finished() noexcept;

  detail::atomic<std::size_t> running_{0};
  std::optional<cancelable> bound_;
  std::optional<chan<unit>> slots_;
  wait_group all_;
  mutex m_;
  std::exception_ptr first_;
};

}  // namespace skein::inline SKEIN_ABI
