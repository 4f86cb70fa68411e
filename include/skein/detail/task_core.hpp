// What a task and its goroutine share.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/launch.hpp"
#include "skein/detail/wait_queue.hpp"

namespace skein::inline SKEIN_ABI::detail {

struct runtime_state;

// task_core: two references, the handle's and the goroutine's.
//
//   state      meaning                       changed by
//   waiting    nobody has begun to run it    -> running by CAS: its goroutine, or the first joiner
//   running    f is being called             -> done by whoever runs it, with release, under waiters
//   done       result or error stands        read with acquire by joiners
//   lost       its runtime has ended first   from waiting or running, by lose_task(), under waiters, when
//                                            nobody will run it any more
struct task_core {
  enum : std::uint32_t { waiting, running, done, lost };

  virtual ~task_core() = default;
  virtual void call() = 0;  // runs f and keeps its result

  atomic<std::uint32_t> refs{2};
  atomic<std::uint32_t> state{waiting};
  wait_queue waiters;
  runtime_state* home = nullptr;   // whose goroutines may run it in place; null: nobody, it asked
                                   // for a stack of its own
  chan_core* done_chan = nullptr;  // made on the first done(), under waiters
  std::exception_ptr error;
};

void task_start(runtime_state* rt, const go_options& o, task_core* c);
// task_wait() blocks until c is done or lost; false if the limit is reached first. Who waits without a limit
// runs a task in place that has not begun; then it throws nothing.
bool task_wait(task_core* c, const limit& l);
void task_drop(task_core* c) noexcept;  // forgets an exception nobody took, and counts it
void task_rethrow(task_core* c);
chan_core* task_done(task_core* c);
void task_release(task_core* c) noexcept;

// What they hold is destroyed where nobody could catch; g++ 12 takes no "noexcept = default" at its word.
template <class T> struct task_result : task_core {
  ~task_result() noexcept override {}
  T take() { return std::move(*value); }
  std::optional<T> value;
};
template <class T> struct task_result<T&> : task_core {
  T& take() { return *value; }
  T* value = nullptr;
};
template <> struct task_result<void> : task_core {};

template <class T, class F> struct task_model final : task_result<T> {
  template <class U> explicit task_model(U&& u) : f_(std::forward<U>(u)) {}
  ~task_model() noexcept override {}
  void call() override {
    struct ender {
      std::optional<F>& f;
      ~ender() { f.reset(); }
    } end{f_};
    if constexpr (std::is_void_v<T>)
      (*f_)();
    else if constexpr (std::is_reference_v<T>)
      this->value = std::addressof((*f_)());
    else
      this->value.emplace((*f_)());
  }
  std::optional<F> f_;
};

}  // namespace skein::inline SKEIN_ABI::detail
