// Contexts: cancellation, deadlines and values along a tree of calls (Go: package context).
//
//   auto [ctx, cancel] = skein::with_timeout(parent, 2s);   // cancelled at scope exit at the latest
//   auto v = c.recv(ctx);
//   if (!v && v.status() == skein::status::canceled) return ctx.err();
#pragma once

#include <any>
#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "skein/chan.hpp"

namespace skein::inline SKEIN_ABI {

class context;

namespace detail {
struct context_core;

context_core* context_background() noexcept;
context_core* context_child(context_core* parent, bool detached);
context_core* context_deadline(context_core* parent, time_point t, std::exception_ptr cause);
context_core* context_value(context_core* parent, const std::type_info* key, std::shared_ptr<const void> v);
const void* context_find(const context_core* c, const std::type_info& key) noexcept;
void context_retain(context_core* c) noexcept;
void context_release(context_core* c) noexcept;
void context_cancel(context_core* c, errc why, std::exception_ptr cause) noexcept;
std::error_code context_err(const context_core* c) noexcept;
std::exception_ptr context_cause(const context_core* c);
std::optional<time_point> context_deadline_of(const context_core* c) noexcept;
chan_core* context_done(context_core* c);  // adds a reference
std::uint64_t context_after(context_core* c, std::function<void()> f);
bool context_stop_after(context_core* c, std::uint64_t id) noexcept;

// For bridges to other libraries. context_hold() keeps something until c ends; it is dropped at once if c
// has. context_companion() offers c something to keep as long as it exists and returns what it keeps: the
// first offer; null for a context that cannot end. context_cancel_soon() ends c from a goroutine that it
// starts, if anybody still has c; it neither blocks nor gives way, so it can be called from anywhere.
void context_hold(context_core* c, std::shared_ptr<void> held) noexcept;
std::shared_ptr<void> context_companion(context_core* c, std::shared_ptr<void> offered) noexcept;
void context_cancel_soon(context_core* c) noexcept;
}  // namespace detail

// context: a shared handle to one node of the tree. All members may be called from any goroutine or
// thread.
class context {
 public:
  // A default-made context is background().
  context() noexcept : core_(detail::context_background()) { detail::context_retain(core_); }
  explicit context(detail::context_core* adopted) noexcept : core_(adopted) {}
  context(const context& o) noexcept : core_(o.core_) { detail::context_retain(core_); }
  context(context&& o) noexcept : context() { std::swap(core_, o.core_); }
  context& operator=(context o) noexcept {
    std::swap(core_, o.core_);
    return *this;
  }
  ~context() { detail::context_release(core_); }

  // done() is closed when the context ends; nil for a context that cannot.
  receiver<unit> done() const { return receiver<unit>(detail::chan_handle(detail::context_done(core_))); }
  // err() is empty while the context is alive, then errc::canceled or errc::deadline_exceeded.
  std::error_code err() const noexcept { return detail::context_err(core_); }
  // cause() is the exception given to cancel(), or std::system_error(err()), or null while alive.
  std::exception_ptr cause() const { return detail::context_cause(core_); }
  std::optional<time_point> deadline() const noexcept { return detail::context_deadline_of(core_); }

  // value<Key>() finds the nearest value that was stored under the type Key; null if there is none.
  template <class Key> const typename Key::type* value() const noexcept {
    return static_cast<const typename Key::type*>(detail::context_find(core_, typeid(Key)));
  }

  detail::context_core* core() const noexcept { return core_; }
  friend bool operator==(const context& a, const context& b) noexcept { return a.core_ == b.core_; }

 private:
  detail::context_core* core_;
};

// cancel_guard: ends its context when called, and at the end of its scope.
class [[nodiscard]] cancel_guard {
 public:
  explicit cancel_guard(context c) noexcept : ctx_(std::move(c)), active_(true) {}
  cancel_guard(cancel_guard&& o) noexcept : ctx_(std::move(o.ctx_)), active_(std::exchange(o.active_, false)) {}
  cancel_guard& operator=(cancel_guard&&) = delete;
  ~cancel_guard() {
    if (active_) (*this)();
  }
  // Cancelling is idempotent: the first one counts.
  void operator()(std::exception_ptr cause = nullptr) const noexcept {
    detail::context_cancel(ctx_.core(), errc::canceled, std::move(cause));
  }
  // release() leaves the context alive at the end of the scope.
  void release() noexcept { active_ = false; }

 private:
  context ctx_;
  bool active_;
};

struct cancelable {
  context ctx;
  cancel_guard cancel;
};

// background(), todo(): the root, which never ends.
inline context background() noexcept { return context(); }
inline context todo() noexcept { return context(); }

namespace detail {
inline cancelable guarded(context_core* c) {
  context ctx(c);
  return {ctx, cancel_guard(ctx)};
}
}  // namespace detail

inline cancelable with_cancel(const context& parent) {
  return detail::guarded(detail::context_child(parent.core(), false));
}
// with_deadline(), with_timeout(): the context ends with errc::deadline_exceeded at t, or earlier
// with its parent. The _cause forms say what cause() will be then.
template <class Clock, class Dur>
cancelable with_deadline_cause(const context& parent, std::chrono::time_point<Clock, Dur> t, std::exception_ptr cause) {
  return detail::guarded(detail::context_deadline(parent.core(), detail::deadline_at(t), std::move(cause)));
}
template <class Clock, class Dur>
cancelable with_deadline(const context& parent, std::chrono::time_point<Clock, Dur> t) {
  return with_deadline_cause(parent, t, nullptr);
}
template <class Rep, class Period>
cancelable with_timeout_cause(const context& parent, std::chrono::duration<Rep, Period> d, std::exception_ptr cause) {
  return detail::guarded(detail::context_deadline(parent.core(), detail::deadline_after(d), std::move(cause)));
}
template <class Rep, class Period>
cancelable with_timeout(const context& parent, std::chrono::duration<Rep, Period> d) {
  return with_timeout_cause(parent, d, nullptr);
}

// with_value<Key>(parent, v): Key is a tag type that names the value's type: struct user_id { using
// type = int; };
template <class Key> context with_value(const context& parent, typename Key::type v) {
  return context(detail::context_value(parent.core(), &typeid(Key),
                                       std::make_shared<const typename Key::type>(std::move(v))));
}
// without_cancel() keeps the values of its parent and never ends.
inline context without_cancel(const context& parent) {
  return context(detail::context_child(parent.core(), true));
}

// after_func(ctx, f) runs f as a goroutine of its own once ctx has ended. The function it returns
// stops that: true if f will not run.
template <std::invocable F> auto after_func(const context& ctx, F&& f) {
  return [ctx, id = detail::context_after(ctx.core(), std::function<void()>(std::forward<F>(f)))] {
    return detail::context_stop_after(ctx.core(), id);
  };
}

inline detail::limit detail::limit::by(const context& ctx) noexcept {
  return {true, false, {}, ctx.core()};
}
inline detail::limit detail::limit::by(const context& ctx, time_point t) noexcept {
  return {true, true, t, ctx.core()};
}

}  // namespace skein::inline SKEIN_ABI
