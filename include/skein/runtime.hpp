// Starting and ending: a program's main runtime, and runtimes as objects.
//
//   int main() { return skein::run([] { skein::go([] { ... }); ... }); }
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "skein/detail/launch.hpp"
#include "skein/error.hpp"
#include "skein/time_point.hpp"

namespace skein::inline SKEIN_ABI {

enum class on_exit {
  stop,     // when the main function returns nothing else is resumed, as in Go
  wait_all  // wait until every goroutine has ended; not after an exception of the main function
};

struct options {
  // Processors: how many goroutines hold the right to run at once. 0: SKEIN_PROCS, else the CPU
  // affinity mask capped by the cgroup's quota.
  int procs = 0;
  std::size_t stack = 256 * 1024;  // default reservation per goroutine
  skein::on_exit on_exit = skein::on_exit::stop;
  duration stop_grace = std::chrono::milliseconds(100);  // for user code that does not come back
  int max_threads = 10'000;                             // reaching it ends the process
  // Goroutines that compute on without a processor after theirs was given to those who waited for it;
  // beyond that many a goroutine keeps its processor. -1: 4 for each processor, at least 8. 0: none, and
  // a goroutine that blocks its thread outside blocking() keeps its processor as well.
  int max_hogs = -1;
  // Floating-point modes (rounding, traps, denormals) are the thread's, as a goroutine finds them after
  // a park. true: they are the goroutine's, which begins with those of whoever made the runtime; each
  // switch costs some 20 ns more.
  bool save_fp = false;
  bool pin = false;                // pin worker n to the n-th allowed CPU
  std::function<void()> on_thread_start{};  // on each worker thread, before it runs goroutines
  std::function<void()> on_thread_stop{};
};

namespace detail {
struct runtime_state;
// main_call: what a runtime runs as its main goroutine.
struct main_call {
  void (*run)(void* self);  // calls the function and keeps its result
  void* self;
  std::exception_ptr error;
};
void run_main(const options& o, main_call& m);

template <class F> struct main_frame : main_call {
  explicit main_frame(F& f) : main_call{&step, this, nullptr}, fn(std::addressof(f)) {}
  static void step(void* self) {
    auto* m = static_cast<main_frame*>(self);
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>)
      (*m->fn)();
    else
      m->result = static_cast<int>((*m->fn)());
  }
  F* fn;
  int result = 0;
};
}  // namespace detail

// run() starts a runtime, runs f as its main goroutine and returns f's int (0 for void). An
// exception that leaves f leaves run(). The calling thread waits. When f returns the other
// goroutines are not resumed any more: what they own leaks, a mutex they held stays locked
// (options.on_exit = wait_all waits for them instead). Throws std::invalid_argument for options or
// a SKEIN_PROCS that make no sense, std::system_error when threads or memory cannot be had, and
// misuse on a goroutine.
template <std::invocable F> int run(F&& f, const options& o = {}) {
  detail::main_frame<std::remove_reference_t<F>> m(f);
  detail::run_main(o, m);
  if (m.error) std::rethrow_exception(m.error);
  return m.result;
}

// runtime: the object form, for embedding. Several may exist at once; a goroutine always runs on
// the runtime it was started on, whoever wakes it. The destructor stops it as the end of run()
// does and waits for its workers, at most stop_grace for those in user code; on one of its own
// goroutines it ends the process with a message.
class runtime {
 public:
  explicit runtime(const options& o = {});
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;
  ~runtime();

  // run() runs f as a goroutine of this runtime and waits for it; the calling thread, or goroutine
  // of another runtime, blocks. Exceptions of f leave it.
  template <std::invocable F> auto run(F&& f) -> std::invoke_result_t<F&> {
    using R = std::invoke_result_t<F&>;
    if constexpr (std::is_void_v<R>) {
      run_and_wait([&] { f(); });
    } else {
      std::optional<R> r;
      run_and_wait([&] { r.emplace(f()); });
      return std::move(*r);
    }
  }
  // go() starts f on this runtime from any thread.
  template <class F>
    requires std::invocable<std::decay_t<F>>
  void go(F&& f) {
    detail::launch(go_options{}, std::forward<F>(f), state_.get());
  }

  // attachment: while it lives, go() and spawn() of the calling plain thread use the runtime, and throw
  // no_runtime once that has ended. Throws misuse on a goroutine.
  class attachment {
   public:
    explicit attachment(runtime& r);
    attachment(const attachment&) = delete;
    attachment& operator=(const attachment&) = delete;
    ~attachment();

   private:
    std::uint64_t before_;  // what the thread was attached to
  };

 private:
  void run_and_wait(const std::function<void()>& f);
  std::unique_ptr<detail::runtime_state, void (*)(detail::runtime_state*)> state_;
};

// procs() is the number of processors of the caller's runtime; procs(n) changes it and returns the
// number before. Throws std::invalid_argument unless 1 <= n <= 1024.
int procs();
int procs(int n);

// stats(): counters of the caller's runtime since its start, a snapshot.
struct runtime_stats {
  std::uint64_t goroutines_started = 0;
  std::uint64_t goroutines_live = 0;
  std::uint64_t parks = 0;
  std::uint64_t steals = 0;
  std::uint64_t wakeups = 0;   // sleeping workers woken
  std::uint64_t handoffs = 0;  // processors taken from goroutines that computed or blocked
  std::uint64_t threads = 0;
  std::uint64_t dropped_exceptions = 0;  // of tasks nobody joined
};
runtime_stats stats();

}  // namespace skein::inline SKEIN_ABI
