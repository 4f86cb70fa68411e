// Task group: goroutines that belong together and fail together (Go: x/sync/errgroup).
//
//   skein::task_group g(parent);                // the first failure cancels g.context()
//   for (auto& url : urls) g.go([&] { fetch(g.context(), url); });
//   g.wait();                                   // rethrows the first failure
#pragma once

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

  // set_limit(n): at most n goroutines of the group run at once. Throws misuse while any is running.
  void set_limit(std::size_t n);

  // go() starts f, blocking while the limit is reached. try_go() returns false instead.
  template <std::invocable F> void go(F&& f) {
    if (slots_) slots_->send(unit{});
    start(std::forward<F>(f));
  }
  template <std::invocable F> bool try_go(F&& f) {
    if (slots_ && !slots_->try_send(unit{})) return false;
    start(std::forward<F>(f));
    return true;
  }

  // wait() blocks until all have ended, then rethrows the first exception that left one of them.
  void wait();

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
