// How a callable becomes a goroutine: the part that templates force into a header.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI {

// go_options: what can be said about one goroutine.
struct go_options {
  std::size_t stack = 0;  // bytes to reserve, rounded up to a class of 64 KiB to 8 MiB; 0: default
};

namespace literals {
consteval std::size_t operator""_KiB(unsigned long long n) { return static_cast<std::size_t>(n) << 10; }
consteval std::size_t operator""_MiB(unsigned long long n) { return static_cast<std::size_t>(n) << 20; }
}  // namespace literals

namespace detail {

struct goroutine;
struct runtime_state;

// run(closure) calls the closure and destroys it, also when an exception unwinds.
using closure_fn = void (*)(void* closure);

// Bytes of closure that fit into a goroutine that has not started.
inline constexpr std::size_t inline_closure = 32;

// go_bytes starts a goroutine on a closure that bytes can carry, on the caller's runtime or on `rt`.
void go_bytes(const go_options& o, closure_fn run, const void* closure, std::size_t size, runtime_state* rt = nullptr);
// go_prepare gives a goroutine and room for its closure, go_commit starts it, go_abandon takes it
// back when building the closure threw.
struct prepared {
  goroutine* g;
  void* closure;
  bool held;  // its runtime does not end before it is started or taken back
};
prepared go_prepare(const go_options& o, std::size_t size, std::size_t align, runtime_state* rt);
void go_commit(prepared p, closure_fn run) noexcept;
void go_abandon(prepared p) noexcept;

template <class F> void run_closure(void* closure) {
  F* f = static_cast<F*>(closure);
  struct ender {
    F* f;
    ~ender() { f->~F(); }
  } end{f};
  std::invoke(*f);
}

template <class F> SKEIN_ALWAYS_INLINE void launch(const go_options& o, F&& f, runtime_state* rt = nullptr) {
  using closure = std::decay_t<F>;
  static_assert(alignof(closure) <= 64, "what a goroutine captures is aligned to at most 64 bytes");
  if constexpr (std::is_trivially_copyable_v<closure> && sizeof(closure) <= inline_closure &&
                alignof(closure) <= alignof(std::max_align_t) / 2) {
    const closure copy(std::forward<F>(f));
    go_bytes(o, &run_closure<closure>, &copy, sizeof(closure), rt);
  } else {
    const prepared p = go_prepare(o, sizeof(closure), alignof(closure), rt);
    struct guard {
      const prepared* p;
      ~guard() {
        if (p != nullptr) go_abandon(*p);
      }
    } undo{&p};
    ::new (p.closure) closure(std::forward<F>(f));
    undo.p = nullptr;
    go_commit(p, &run_closure<closure>);
  }
}

// bound<F, A...>: a callable with its arguments, both decay-copied in the caller.
template <class F, class... A> struct bound {
  F f;
  std::tuple<A...> args;
  decltype(auto) operator()() { return std::apply(std::move(f), std::move(args)); }
};

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
