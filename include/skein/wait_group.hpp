// Wait group: waits until a number of goroutines are done (Go: sync.WaitGroup).
//
//   skein::wait_group wg;
//   for (auto& job : jobs) wg.go([&] { job.run(); });
//   wg.wait();
#pragma once

#include <concepts>
#include <optional>
#include <utility>

#include "skein/detail/chan_core.hpp"
#include "skein/detail/wait_queue.hpp"
#include "skein/go.hpp"

namespace skein::inline SKEIN_ABI {

// wait_group: a counter of work under way. All members may be called from any goroutine or thread.
// What happens before a done() is seen after the wait() it releases. A group may be used again once
// its waiters have been released. The counter holds up to 2^31 - 1.
class wait_group {
 public:
  wait_group() noexcept = default;
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;
  ~wait_group() { waiters_.settle(); }

  // add() changes the counter by n; at zero the waiters are released. Throws misuse, leaving the
  // counter as it was, if it would become negative or overflow.
  void add(int n = 1) { change(n, "skein: negative wait_group counter"); }
  void done() { add(-1); }

  // wait() blocks until the counter is zero. The timed and context forms return false when the
  // counter is not zero by then.
  void wait() { wait(detail::limit::forever()); }
  template <class Rep, class Period> bool wait_for(std::chrono::duration<Rep, Period> d) {
    return wait(detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur> bool wait_until(std::chrono::time_point<Clock, Dur> t) {
    return wait(detail::limit::until(detail::deadline_at(t)));
  }
  bool wait(const context& ctx) { return wait(detail::limit::by(ctx)); }

  // go() adds one, starts f and is done when f has returned or called exit_goroutine().
  template <class F>
    requires std::invocable<std::decay_t<F>>
  void go(F&& f) {
    add(1);
    struct undo {
      wait_group* wg;
      ~undo() {
        if (wg != nullptr) wg->done();
      }
    } u{this};
    skein::go([wg = this, f = std::optional<std::decay_t<F>>(std::forward<F>(f))]() mutable {
      finisher end{wg};
      struct ender {  // what f holds is gone before the group hears that it is done
        std::optional<std::decay_t<F>>& f;
        ~ender() { f.reset(); }
      } e{f};
      (*f)();
    });
    u.wg = nullptr;
  }

 private:
  struct finisher {
    wait_group* wg;
    ~finisher() { wg->done(); }
  };
  friend class latch;
  void change(int n, const char* below_zero);
  bool wait(const detail::limit& l);
  bool try_wait() noexcept;
  bool is_zero() noexcept;

  // counter in the high half, bit 0 set while the queue may hold waiters
  detail::atomic<std::uint64_t> state_{0};
  detail::wait_queue waiters_;
};

}  // namespace skein::inline SKEIN_ABI
