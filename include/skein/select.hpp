// Select: wait for the first of several channel operations, as Go's select does.
//
//   std::optional<int> v;
//   switch (skein::select(recv(c, v), send(d, 7), recv(skein::after(1s)))) {
//     case 0: ...  // v holds the value, or is empty because c is closed and drained
//     case 1: ...  // 7 was sent
//     case 2: ...  // a second is over
//   }
//
// One case fires, chosen uniformly among those that are ready; the others have no effect. A case
// on a nil channel never fires. A receive from a closed channel is ready; a send on one throws
// closed_channel when it is chosen. Each expression is evaluated once, before the select waits;
// C++ leaves open in which order a call's arguments are evaluated, so give an expression with side
// effects a line of its own. A case may carry a handler, which runs after the case has fired and
// everything is unlocked: recv(c, [](std::optional<int> v) {...}), send(d, 7, [] {...}).
#pragma once

#include <array>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "skein/chan.hpp"

namespace skein::inline SKEIN_ABI {
namespace detail {

template <class C>
concept receivable = requires(const C& c) {
  typename C::value_type;
  { receiver<typename C::value_type>(c) };
};
template <class C>
concept sendable = requires(const C& c) {
  typename C::value_type;
  { sender<typename C::value_type>(c) };
};

struct ignore_value {
  template <class T> void operator()(std::optional<T>&&) const noexcept {}
};
template <class T> struct store_value {
  std::optional<T>* to;
  void operator()(std::optional<T>&& v) const { *to = std::move(v); }
};
struct no_handler {
  void operator()() const noexcept {}
};

// case_base: what select_cases sees; fired() completes the case that was chosen.
struct case_base : select_case {};

template <class T, class Then> class recv_case : public case_base {
 public:
  recv_case(receiver<T> from, Then then) : from_(std::move(from)), then_(std::move(then)) {}
  select_case* prepare() noexcept {
    core = from_.core();
    slot = in_.slot();
    dir = kind::recv;
    return this;
  }
  void dropped() noexcept {}
  void fired() { then_(closed ? std::optional<T>() : in_.take()); }

 private:
  receiver<T> from_;
  [[no_unique_address]] Then then_;
  typename elem<T>::incoming in_;
};

// V is T& for an rvalue that stays with the caller until the case fires, T for a copy.
template <class T, class V, class Then> class send_case : public case_base {
 public:
  template <class U>
  send_case(sender<T> to, U&& v, Then then)
      : to_(std::move(to)), value_(std::forward<U>(v)), then_(std::move(then)) {}
  select_case* prepare() {
    if (!to_.is_nil()) out_.emplace(value_);
    core = to_.core();
    slot = out_ ? out_->slot() : nullptr;
    dir = kind::send;
    return this;
  }
  void dropped() {
    if (!out_) return;
    out_->give_back();
    out_.reset();
  }
  void fired() {
    if (closed) {
      dropped();
      throw_closed_channel();
    }
    out_->sent();
    out_.reset();
    then_();
  }

 private:
  sender<T> to_;
  V value_;
  [[no_unique_address]] Then then_;
  std::optional<typename elem<T>::outgoing> out_;
};

// What taking a value back throws waits until every other case is settled, so that nothing is lost.
class first_failure {
 public:
  template <class F> void guard(F f) noexcept {
    try {
      f();
    } catch (...) {
      if (!error_) error_ = std::current_exception();
    }
  }
  void rethrow() {
    if (error_) std::rethrow_exception(std::move(error_));
  }

 private:
  std::exception_ptr error_;
};

template <std::size_t N, class... Cases> int run_select(const limit& l, Cases&... cases) {
  first_failure failed;
  std::array<select_case*, N> list;
  try {
    list = {cases.prepare()...};
  } catch (...) {
    (failed.guard([&] { cases.dropped(); }), ...);
    throw;
  }
  const int chosen = select_cases(list.data(), N, l);
  int i = 0;
  ((i++ == chosen ? void() : failed.guard([&] { cases.dropped(); })), ...);
  i = 0;
  ((i++ == chosen ? cases.fired() : void()), ...);
  failed.rethrow();
  return chosen;
}

}  // namespace detail

// recv(c, v): a receive into v, which is emptied when c is closed and drained.
template <detail::receivable C>
[[nodiscard]] auto recv(const C& c, std::optional<typename C::value_type>& v) {
  using T = typename C::value_type;
  return detail::recv_case<T, detail::store_value<T>>(receiver<T>(c), {&v});
}
// recv(c): a receive whose value is dropped.
template <detail::receivable C> [[nodiscard]] auto recv(const C& c) {
  using T = typename C::value_type;
  return detail::recv_case<T, detail::ignore_value>(receiver<T>(c), {});
}
// recv(c, f): a receive that hands std::optional<T> to f.
template <detail::receivable C, class F>
  requires std::invocable<F&, std::optional<typename C::value_type>>
[[nodiscard]] auto recv(const C& c, F then) {
  using T = typename C::value_type;
  return detail::recv_case<T, F>(receiver<T>(c), std::move(then));
}

// send(c, v), send(c, v, f): a send. An lvalue is copied on entry; an rvalue is moved from only if
// this case fires.
template <detail::sendable C, class F = detail::no_handler>
[[nodiscard]] auto send(const C& c, typename C::value_type&& v, F then = {}) {
  using T = typename C::value_type;
  return detail::send_case<T, T&, F>(sender<T>(c), v, std::move(then));
}
template <detail::sendable C, class F = detail::no_handler>
[[nodiscard]] auto send(const C& c, const typename C::value_type& v, F then = {}) {
  using T = typename C::value_type;
  return detail::send_case<T, T, F>(sender<T>(c), v, std::move(then));
}

// select() blocks until one case fires and returns its index. With no cases, or only nil ones, it
// blocks for ever.
template <class... Cases>
  requires(std::derived_from<std::remove_cvref_t<Cases>, detail::case_base> && ...)
int select(Cases&&... cases) {
  return detail::run_select<sizeof...(Cases)>(detail::limit::forever(), cases...);
}

// try_select() does not block: -1 if no case is ready (Go's default).
template <class... Cases>
  requires(std::derived_from<std::remove_cvref_t<Cases>, detail::case_base> && ...)
int try_select(Cases&&... cases) {
  return detail::run_select<sizeof...(Cases)>(detail::limit::never(), cases...);
}

// any_case holds any case for a list that is known at run time only:
//   std::vector<skein::any_case> cases;
//   for (auto& c : channels) cases.emplace_back(recv(c, handle));
//   int i = skein::select(std::span(cases));
// An rvalue given to send() must outlive the list. A receive may be used again in the next select;
// a send carries one value, and once it has fired it is spent.
class any_case {
 public:
  template <class Case>
    requires std::derived_from<Case, detail::case_base>
  any_case(Case c) : held_(std::make_unique<model<Case>>(std::move(c))) {}

  detail::select_case* prepare() { return held_->prepare(); }
  void dropped() { held_->dropped(); }
  void fired() { held_->fired(); }

 private:
  struct concept_t {
    virtual ~concept_t() = default;
    virtual detail::select_case* prepare() = 0;
    virtual void dropped() = 0;
    virtual void fired() = 0;
  };
  template <class Case> struct model final : concept_t {
    explicit model(Case c) : case_(std::move(c)) {}
    ~model() noexcept override {}  // also if a destructor in case_ may throw
    detail::select_case* prepare() override { return case_.prepare(); }
    void dropped() override { case_.dropped(); }
    void fired() override { case_.fired(); }
    Case case_;
  };
  std::unique_ptr<concept_t> held_;
};

namespace detail {
inline int run_select(const limit& l, std::span<any_case> cases) {
  std::vector<select_case*> list;
  list.reserve(cases.size());
  first_failure failed;
  try {
    for (any_case& c : cases) list.push_back(c.prepare());
  } catch (...) {
    for (any_case& c : cases) failed.guard([&] { c.dropped(); });
    throw;
  }
  const int chosen = select_cases(list.data(), list.size(), l);
  for (std::size_t i = 0; i < cases.size(); ++i)
    if (static_cast<int>(i) != chosen) failed.guard([&] { cases[i].dropped(); });
  if (chosen >= 0) cases[static_cast<std::size_t>(chosen)].fired();
  failed.rethrow();
  return chosen;
}
}  // namespace detail

inline int select(std::span<any_case> cases) {
  return detail::run_select(detail::limit::forever(), cases);
}
inline int try_select(std::span<any_case> cases) {
  return detail::run_select(detail::limit::never(), cases);
}

}  // namespace skein::inline SKEIN_ABI
