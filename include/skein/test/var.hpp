// A variable whose data races a simulation finds.
//
//   skein::test::explore([] {
//     skein::test::var<int> hits;
//     skein::wait_group wg;
//     for (int i = 0; i < 2; ++i) wg.go([&] { ++hits; });   // a data race: no lock
//     wg.wait();
//   });
//
// Two accesses race if one of them writes and no chain of skein's own edges (spec.md C7 and Y12: a send
// before its receive, an unlock before the next lock, ...) leads from one to the other. That is judged for
// each schedule by vector clocks, so a race is found whether or not it did harm. Each access is a point too.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI {
namespace detail {

// Who has touched a variable last, in the schedule of that number.
struct var_history {
  struct access {
    std::uint32_t who;    // goroutine of the simulation, from 1
    std::uint32_t clock;  // its own, then
    const void* site;
  };
  std::uint64_t schedule = 0;
  access write{};
  std::vector<access> reads;  // since then, one for each goroutine
};

void var_read(var_history& h, const void* of);
void var_write(var_history& h, const void* of);

}  // namespace detail

namespace test {

// var<T> is a T to be used like one. Outside of a simulation it is nothing more, and has its races.
template <class T> class var {
 public:
  var() = default;
  explicit(false) var(T v) : value_(std::move(v)) {}
  var(const var&) = delete;
  var& operator=(const var&) = delete;

  T load() const {
    detail::var_read(history_, this);
    return value_;
  }
  explicit(false) operator T() const { return load(); }
  void store(T v) {
    detail::var_write(history_, this);
    value_ = std::move(v);
  }
  T operator=(T v) {
    store(v);
    return v;
  }
  // As in a program's own x += 1: a read and a write.
  T operator+=(const T& v) { return *this = static_cast<T>(load() + v); }
  T operator-=(const T& v) { return *this = static_cast<T>(load() - v); }
  T operator++() { return *this += T(1); }
  T operator--() { return *this -= T(1); }
  T operator++(int) {
    T before = load();
    store(static_cast<T>(before + T(1)));
    return before;
  }
  T operator--(int) {
    T before = load();
    store(static_cast<T>(before - T(1)));
    return before;
  }
  // change(f) calls f with the T itself: a write.
  template <class F> decltype(auto) change(F&& f) {
    detail::var_write(history_, this);
    return std::forward<F>(f)(value_);
  }

 private:
  mutable detail::var_history history_;
  T value_{};
};

}  // namespace test
}  // namespace skein::inline SKEIN_ABI
