// Time: timers that are stopped too late, tickers that nobody stops, and sleeping instead of waiting.
#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>

#include "bugs/corpus.hpp"
#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"

namespace {

using namespace corpus;
using namespace std::chrono_literals;
using skein::chan;
using skein::unit;
using skein::test::var;

struct session {
  var<bool> open{true};
};

// Lets one through in each 10 ms, by the time of the last one.
class gate {
 public:
  void pass_in_two_steps() {
    const auto wait = 10ms - (skein::now() - last());
    if (wait > 0ms) skein::sleep_for(wait);
    const std::lock_guard hold(m_);
    note();
  }
  void pass() {
    const std::lock_guard hold(m_);
    const auto wait = 10ms - (skein::now() - last_);
    if (wait > 0ms) skein::sleep_for(wait);
    note();
  }
  skein::duration shortest() const { return shortest_; }

 private:
  skein::time_point last() {
    const std::lock_guard hold(m_);
    return last_;
  }
  void note() {
    shortest_ = std::min(shortest_, skein::now() - last_);
    last_ = skein::now();
  }

  skein::mutex m_;
  skein::time_point last_ = skein::now();
  skein::duration shortest_ = skein::duration::max();
};

constexpr bug table[] = {
    {"sleep_instead_of_wait", "A sleep that is long enough today stands for the wait.", race,
     [] {
       var<int> result;
       auto t = skein::spawn([&] { result = 1; });
       skein::sleep_for(1s);
       static_cast<void>(result.load());
       t.join();
     },
     [] {
       var<int> result;
       auto t = skein::spawn([&] { result = 1; });
       t.join();
       static_cast<void>(result.load());
     },
     3},
    {"sleep_as_order", "Two sleeps that end at one moment are taken for an order.",
     "second came first",
     [] {
       int step = 0, first = 0;
       together([&] { skein::sleep_for(10ms), first = ++step; },
                [&] { skein::sleep_for(5ms), skein::sleep_for(5ms), ++step; });
       require(first == 1, "second came first");
     },
     [] {
       int step = 0, first = 0;
       const chan<unit> go_on;
       together([&] { skein::sleep_for(10ms), first = ++step, go_on.close(); },
                [&] { go_on.recv(), ++step; });
       require(first == 1, "second came first");
     },
     3},
    {"stop_that_came_too_late",
     "What stop() says is not looked at; the function runs on what is gone.", race,
     [] {
       const auto s = std::make_shared<session>();
       auto t = skein::after_func(1ms, [s] { static_cast<void>(s->open.load()); });
       skein::sleep_for(1ms);
       t.stop();
       s->open = false;
     },
     [] {
       const auto s = std::make_shared<session>();
       const chan<unit> ended;
       auto t =
           skein::after_func(1ms, [s, ended] { static_cast<void>(s->open.load()), ended.close(); });
       skein::sleep_for(1ms);
       if (!t.stop()) ended.recv();
       s->open = false;
     },
     3},
    {"function_outlives_its_object", "The handle of the timer goes, the timer does not.", race,
     [] {
       const auto s = std::make_shared<session>();
       {
         const auto t = skein::after_func(1ms, [s] { static_cast<void>(s->open.load()); });
       }
       skein::sleep_for(1ms);
       s->open = false;
     },
     [] {
       const auto s = std::make_shared<session>();
       {
         auto t = skein::after_func(1ms, [s] { static_cast<void>(s->open.load()); });
         require(t.stop(), "it cannot have begun");
       }
       skein::sleep_for(1ms);
       s->open = false;
     },
     3},
    {"stale_firing_after_reset",
     "The timer had fired when it was reset, and acts for the old time-out.",
     "expired while in use",
     [] {
       struct watch {
         skein::mutex m;
         bool fed = false, expired = false;
       };
       const auto w = std::make_shared<watch>();
       auto t = skein::after_func(2ms, [w] {
         const std::lock_guard hold(w->m);
         w->expired = w->fed;
       });
       skein::sleep_for(2ms);
       {
         const std::lock_guard hold(w->m);
         w->fed = true;
       }
       t.reset(2ms);
       skein::sleep_for(1ms);
       bool expired = false;
       {
         const std::lock_guard hold(w->m);
         expired = w->expired;
       }
       t.stop();
       require(!expired, "expired while in use");
     },
     [] {
       struct watch {
         skein::mutex m;
         int round = 0;
         bool fed = false, expired = false;
       };
       const auto w = std::make_shared<watch>();
       const auto arm = [w](int round) {
         return skein::after_func(2ms, [w, round] {
           const std::lock_guard hold(w->m);
           w->expired = w->fed && w->round == round;
         });
       };
       auto t = arm(0);
       skein::sleep_for(2ms);
       {
         const std::lock_guard hold(w->m);
         w->fed = true, ++w->round;
       }
       t.stop();
       t = arm(1);
       skein::sleep_for(1ms);
       bool expired = false;
       {
         const std::lock_guard hold(w->m);
         expired = w->expired;
       }
       t.stop();
       require(!expired, "expired while in use");
     }},
    {"two_outcomes", "The time-out and the answer both end the request.", "close",
     [] {
       const chan<unit> done;
       const auto t = skein::after_func(1ms, [done] { done.close(); });
       skein::sleep_for(1ms);
       done.close();
     },
     [] {
       const chan<unit> done;
       auto t = skein::after_func(1ms, [done] { done.close(); });
       skein::sleep_for(1ms);
       if (t.stop()) done.close();
     },
     3},
    {"ticker_never_left",
     "The loop over a ticker has no way out; stop() does not close its channel.", leak,
     [] {
       const auto t = std::make_shared<skein::ticker>(1ms);
       skein::go([t] {
         for ([[maybe_unused]] const auto at : t->chan()) {
         }
       });
       skein::sleep_for(3ms);
       t->stop();
     },
     [] {
       const auto t = std::make_shared<skein::ticker>(1ms);
       const chan<unit> quit;
       skein::go([t, quit] {
         while (skein::select(recv(t->chan()), recv(quit)) == 0) {
         }
       });
       skein::sleep_for(3ms);
       quit.close();
     }},
    {"stopped_timer_is_waited_for",
     "The timer is stopped by another, and its receiver is not told.", deadlock,
     [] {
       skein::timer t(1ms);
       together([&] { t.chan().recv(); }, [&] { skein::sleep_for(1ms), t.stop(); });
     },
     [] {
       skein::timer t(1ms);
       const chan<unit> stopped;
       together([&] { skein::select(recv(t.chan()), recv(stopped)); },
                [&] { skein::sleep_for(1ms), t.stop(), stopped.close(); });
     },
     3},
    {"rate_limit_by_sleep",
     "Two look at the time of the last one, and both sleep until the same moment.", "too fast",
     [] {
       gate g;
       const auto pass = [&] { g.pass_in_two_steps(); };
       together(pass, pass);
       require(g.shortest() >= 10ms, "too fast");
     },
     [] {
       gate g;
       const auto pass = [&] { g.pass(); };
       together(pass, pass);
       require(g.shortest() >= 10ms, "too fast");
     },
     3},
    {"full_time_out_for_each_try", "Each try may take the whole time, and there are three.",
     "took too long",
     [] {
       const chan<int> answers;
       const auto start = skein::now();
       for (int i = 0; i < 3 && !answers.recv_for(10ms); ++i) {
       }
       require(skein::now() - start <= 10ms, "took too long");
     },
     [] {
       const chan<int> answers;
       const auto start = skein::now();
       for (int i = 0; i < 3 && !answers.recv_until(start + 10ms); ++i) {
       }
       require(skein::now() - start <= 10ms, "took too long");
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
