// Parallel loops with bounded concurrency (Go: an errgroup with SetLimit and a loop).
//
//   skein::parallel_for_each(images, [](image& i) { i.shrink(); });            // procs() at once
//   skein::parallel_for_each(urls, [](const skein::context& ctx, const url& u) { fetch(ctx, u); },
//                            {.limit = 50, .ctx = request});
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <mutex>
#include <ranges>
#include <type_traits>
#include <utility>

#include "skein/context.hpp"
#include "skein/detail/guarded.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/runtime.hpp"
#include "skein/wait_group.hpp"

namespace skein::inline SKEIN_ABI {

struct parallel_options {
  std::size_t limit = 0;  // how many calls at once, the caller's own included; 0: procs()
  context ctx = {};       // when it ends no further element is begun
};

namespace detail {

// cursor<I, S> hands out the elements of a range, each once. visit(go_on, f) calls f with the next one; false
// when there is none, or go_on(), asked while there is one, says no.
template <class I, class S> class cursor {
 public:
  cursor(I first, S last) : at_(std::move(first)), last_(std::move(last)) {}

  template <class G, class F> bool visit(G go_on, F f) {
    std::unique_lock hold(m_);
    // The step to an element comes with its turn: a range that blocks until it has the next one must not
    // keep the one before from its worker.
    if (begun_) ++at_;
    begun_ = at_ != last_;
    if (!begun_ || !go_on()) return false;
    if constexpr (std::forward_iterator<I>) {
      I mine = at_;
      hold.unlock();
      f(*mine);
    } else {  // the next step may end what *at_ refers to
      constexpr bool copies = std::copy_constructible<std::iter_value_t<I>> ||
                              !std::is_lvalue_reference_v<std::iter_reference_t<I>>;
      std::iter_value_t<I> mine = [&]() -> std::iter_value_t<I> {
        if constexpr (copies)
          return *at_;
        else
          return std::ranges::iter_move(at_);
      }();
      hold.unlock();
      f(std::move(mine));
    }
    return true;
  }

 private:
  mutex m_;  // the range is walked by one at a time
  I at_;
  S last_;
  bool begun_ = false;
};

template <std::random_access_iterator I, std::sized_sentinel_for<I> S> class cursor<I, S> {
 public:
  cursor(I first, S last) : first_(std::move(first)), count_(last - first_) {}

  template <class G, class F> bool visit(G go_on, F f) {
    if (next_.load(std::memory_order_relaxed) >= count_) return false;
    const std::ptrdiff_t i = next_.fetch_add(1, std::memory_order_relaxed);
    // Asked for an element that nobody else can begin: a no means that it is left out.
    if (i >= count_ || !go_on()) return false;
    f(first_[static_cast<std::iter_difference_t<I>>(i)]);
    return true;
  }

 private:
  const I first_;
  const std::ptrdiff_t count_;
  atomic<std::ptrdiff_t> next_{0};
};

// parallel_loop: the caller is the first worker; each worker that begins an element starts one more while
// the limit allows. So no goroutine is made for a range that one worker finishes, and never more than
// `limit`, however long the range is.
template <class Cursor, class F> class parallel_loop {
 public:
  parallel_loop(Cursor& c, F& f, std::size_t limit, const context& ctx)
      : cursor_(c), f_(f), limit_(limit), bound_(with_cancel(ctx)), ctx_(ctx) {}
  parallel_loop(const parallel_loop&) = delete;
  parallel_loop& operator=(const parallel_loop&) = delete;
  ~parallel_loop() { others_.wait(); }

  bool run() {
    work();
    others_.wait();
    if (first_) std::rethrow_exception(first_);
    return !canceled_.load(std::memory_order_relaxed);
  }

 private:
  void work() {
    struct leaver {  // without an answer: through exit_goroutine()
      parallel_loop* l;
      bool answered = false;
      ~leaver() {
        if (!answered) l->failed(std::make_exception_ptr(goroutine_exited()));
      }
    } end{this};
    auto all = [this] {
      while (cursor_.visit([this] { return go_on(); },
                           [this](auto&& element) {
                             grow();
                             if constexpr (std::invocable<F&, const context&, decltype(element)>)
                               std::invoke(f_, static_cast<const context&>(bound_.ctx),
                                           std::forward<decltype(element)>(element));
                             else
                               std::invoke(f_, std::forward<decltype(element)>(element));
                           })) {
      }
    };
    if (std::exception_ptr e = call_guarded(all)) failed(std::move(e));
    end.answered = true;
  }

  bool go_on() {
    if (stop_.load(std::memory_order_relaxed)) return false;
    if (!ctx_.err()) return true;
    canceled_.store(true, std::memory_order_relaxed);
    return false;
  }

  void grow() {
    std::size_t n = workers_.load(std::memory_order_relaxed);
    do {
      if (n >= limit_) return;
    } while (!workers_.compare_exchange_weak(n, n + 1, std::memory_order_relaxed));
    others_.go([this] { work(); });
  }

  void failed(std::exception_ptr e) {
    stop_.store(true, std::memory_order_relaxed);
    {
      std::lock_guard hold(m_);
      if (first_) return;
      first_ = e;
    }
    bound_.cancel(std::move(e));
  }

  Cursor& cursor_;
  F& f_;
  const std::size_t limit_;
  const cancelable bound_;
  const context& ctx_;
  atomic<std::size_t> workers_{1};
  atomic<bool> stop_{false};
  atomic<bool> canceled_{false};
  wait_group others_;
  mutex m_;
  std::exception_ptr first_;  // under m_
};

}  // namespace detail

// parallel_for_each() calls f(element), or f(ctx, element) if f takes a context, for each element of the
// range, exactly once each, at most options.limit at a time, and blocks until all calls have ended. Calls
// run on the caller and on goroutines that it starts, with one f for all; what they did happens before the
// return.
//
// When a call throws, no further element is begun, the context handed to f ends, and the first exception
// is rethrown once all calls have ended; exit_goroutine() in f counts as an exception, goroutine_exited,
// unless it ends the caller. When options.ctx ends no further element is begun either; then the return is
// false if elements were left out. Throws what go() throws.
//
// The range need not be known in advance: a channel serves as a queue of jobs until it is closed. Of a
// range that is not random access one worker at a time takes a step, under a skein::mutex; elements of
// one that can be walked only once are handed over as values.
template <std::input_iterator I, std::sentinel_for<I> S, class F>
bool parallel_for_each(I first, S last, F f, const parallel_options& o = {}) {
  std::size_t limit = o.limit != 0 ? o.limit : static_cast<std::size_t>(procs());
  if constexpr (std::sized_sentinel_for<S, I>)
    limit = std::min(limit, static_cast<std::size_t>(last - first));
  detail::cursor<I, S> c(std::move(first), std::move(last));
  return detail::parallel_loop(c, f, limit, o.ctx).run();
}
template <std::ranges::input_range R, class F>
bool parallel_for_each(R&& range, F f, const parallel_options& o = {}) {
  return parallel_for_each(std::ranges::begin(range), std::ranges::end(range), std::ref(f), o);
}

}  // namespace skein::inline SKEIN_ABI
