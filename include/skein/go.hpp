// Goroutines: Go's go statement and the few calls a goroutine makes about itself.
//
//   skein::wait_group wg;
//   wg.add(1);
//   skein::go([&] { work(); wg.done(); });
//   wg.wait();
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "skein/detail/launch.hpp"
#include "skein/error.hpp"

namespace skein::inline SKEIN_ABI {

// go() starts f(args...) as a goroutine and returns at once. f and args are decay-copied in the
// caller; move-only ones are moved. Callable from any goroutine, and from a thread that has a
// runtime to use (attached to it, or the only one); otherwise it throws no_runtime. Throws
// std::bad_alloc when there is no memory for the goroutine, and what the copies throw; then nothing
// was started. An exception that leaves f ends the process as a panic does. A goroutine that starts
// hundreds gives way to them now and then, as at a checkpoint(); a thread never waits.
template <class F, class... A>
  requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
SKEIN_ALWAYS_INLINE void go(const go_options& o, F&& f, A&&... args) {
  if constexpr (sizeof...(A) == 0)
    detail::launch(o, std::forward<F>(f));
  else
    detail::launch(o, detail::bound<std::decay_t<F>, std::decay_t<A>...>{
                          std::forward<F>(f), {std::forward<A>(args)...}});
}
template <class F, class... A>
  requires std::invocable<std::decay_t<F>, std::decay_t<A>...>
SKEIN_ALWAYS_INLINE void go(F&& f, A&&... args) {
  go(go_options{}, std::forward<F>(f), std::forward<A>(args)...);
}

// yield() lets the other runnable goroutines of this worker go first (Go: runtime.Gosched). On a
// plain thread it yields the thread.
void yield();

// checkpoint() yields if the scheduler has asked for it, and costs about a nanosecond when it has
// not. Put it into loops that compute for long.
void checkpoint();

// exit_goroutine() ends the calling goroutine after running the destructors of everything on its
// stack (Go: runtime.Goexit). It throws a private type: code that swallows it in catch (...), or
// lets it meet a noexcept frame, ends the process with a message that says so. On main the other
// goroutines go on. Throws misuse on a plain thread.
[[noreturn]] void exit_goroutine();

// blocking(f) runs f on this thread after giving the processor to another worker, so that a call
// that blocks the thread (a foreign library, a file system that stalls) holds nobody up. Returns
// what f returns.
namespace detail {
bool blocking_begin();  // false on a plain thread, where there is nothing to give up
void blocking_end() noexcept;
void call_on_big_stack(void (*f)(void*), void* arg);
}  // namespace detail

template <std::invocable F> decltype(auto) blocking(F&& f) {
  struct guard {
    bool active = detail::blocking_begin();
    ~guard() {
      if (active) detail::blocking_end();
    }
  } g;
  return std::forward<F>(f)();
}

// lock_os_thread() ties the calling goroutine to the thread it runs on until unlock_os_thread() has
// been called as often: no other goroutine runs on that thread. For libraries that keep state per
// thread. No effect on a plain thread.
void lock_os_thread();
void unlock_os_thread();

// on_system_stack(f) runs f, still as the same goroutine, on an 8 MiB stack: for code that recurses
// deeply or keeps large frames. f may block like any other code.
template <std::invocable F> auto on_system_stack(F&& f) -> std::invoke_result_t<F> {
  using R = std::invoke_result_t<F>;
  if constexpr (std::is_void_v<R>) {
    detail::call_on_big_stack([](void* p) { std::forward<F>(*static_cast<std::remove_reference_t<F>*>(p))(); },
                              const_cast<void*>(static_cast<const void*>(std::addressof(f))));
  } else {
    struct frame {
      std::remove_reference_t<F>* call;
      union {
        std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R> result;
      };
      explicit frame(std::remove_reference_t<F>* what) : call(what) {}
      ~frame() {}
    } fr(std::addressof(f));
    detail::call_on_big_stack(
        [](void* p) {
          frame& self = *static_cast<frame*>(p);
          if constexpr (std::is_reference_v<R>)
            self.result = std::addressof(std::forward<F>(*self.call)());
          else
            ::new (static_cast<void*>(std::addressof(self.result))) R(std::forward<F>(*self.call)());
        },
        &fr);
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(*fr.result);
    } else {
      struct ender {
        R& r;
        ~ender() { r.~R(); }
      } end{fr.result};
      return std::move(fr.result);
    }
  }
}

// num_goroutine() counts the goroutines of the caller's runtime that have been started with go(),
// spawn() or run() and have not ended. A snapshot. 0 on a thread without a runtime.
std::size_t num_goroutine() noexcept;

}  // namespace skein::inline SKEIN_ABI
