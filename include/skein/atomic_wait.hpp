// Waiting for a std::atomic to change, by parking the goroutine (std::atomic_wait blocks its thread).
//
//   std::atomic<int> level{0};
//   skein::go([&] { skein::atomic_wait(level, 0); show(level); });
//   level = 3;
//   skein::atomic_notify_all(level);
#pragma once

#include <atomic>
#include <chrono>
#include <cstring>
#include <type_traits>

#include "skein/detail/chan_core.hpp"

namespace skein::inline SKEIN_ABI {

namespace detail {

// What an atomic's type knows: whether its value is still the old one.
struct atomic_look {
  const void* at;
  const void* old;
  std::memory_order order;
  bool (*same)(const atomic_look&) noexcept;
};
bool wait_for_change(const atomic_look& look, const limit& l);
void notify_change(const void* at, bool all);

template <class T>
bool wait_for_change(const std::atomic<T>& a, T old, std::memory_order order, const limit& l) {
  const auto same = [](const atomic_look& look) noexcept {
    const T now = static_cast<const std::atomic<T>*>(look.at)->load(look.order);
    return std::memcmp(&now, look.old, sizeof now) == 0;
  };
  return wait_for_change({&a, &old, order, same}, l);
}

}  // namespace detail

// atomic_wait() blocks until a holds another value than old; the values are compared byte by byte,
// as std::atomic_wait compares them. It looks again only when it is notified: whoever changes the
// value calls one of the two functions below afterwards, not those of std. Such a notify is never
// missed. A value that changes and changes back may go unseen. Goroutines and threads may wait and
// notify. Loads happen with the given order; nothing else orders memory.
template <class T>
void atomic_wait(const std::atomic<T>& a, std::type_identity_t<T> old,
                 std::memory_order order = std::memory_order_seq_cst) {
  detail::wait_for_change<T>(a, old, order, detail::limit::forever());
}

// The limited forms return false if a still holds old when time or ctx ends.
template <class T, class Rep, class Period>
bool atomic_wait_for(const std::atomic<T>& a, std::type_identity_t<T> old,
                     std::chrono::duration<Rep, Period> d,
                     std::memory_order order = std::memory_order_seq_cst) {
  return detail::wait_for_change<T>(a, old, order, detail::limit::until(detail::deadline_after(d)));
}
template <class T, class Clock, class Dur>
bool atomic_wait_until(const std::atomic<T>& a, std::type_identity_t<T> old,
                       std::chrono::time_point<Clock, Dur> t,
                       std::memory_order order = std::memory_order_seq_cst) {
  return detail::wait_for_change<T>(a, old, order, detail::limit::until(detail::deadline_at(t)));
}
template <class T>
bool atomic_wait(const std::atomic<T>& a, std::type_identity_t<T> old, const context& ctx,
                 std::memory_order order = std::memory_order_seq_cst) {
  return detail::wait_for_change<T>(a, old, order, detail::limit::by(ctx));
}

// atomic_notify_one() wakes who has waited longest for a, atomic_notify_all() everybody. The atomic
// is not touched: only its address matters.
template <class T> void atomic_notify_one(const std::atomic<T>& a) {
  detail::notify_change(&a, false);
}
template <class T> void atomic_notify_all(const std::atomic<T>& a) {
  detail::notify_change(&a, true);
}

}  // namespace skein::inline SKEIN_ABI
