// Condition variables and other waits: signals that are lost, or wake the wrong one.
#include <atomic>
#include <chrono>
#include <mutex>

#include "bugs/corpus.hpp"
#include "skein/atomic_wait.hpp"
#include "skein/barrier.hpp"
#include "skein/condition_variable.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/test/fake_fd.hpp"
#include "skein/time.hpp"

namespace {

using namespace corpus;
using namespace std::chrono_literals;

struct guarded {
  skein::mutex m;
  skein::condition_variable changed;
  int n = 0;

  template <class F> void change(F f) {
    const std::lock_guard hold(m);
    f(n);
  }
};

// A queue with room for one, whose sides share one condition or have one each.
struct one_place {
  skein::mutex m;
  skein::condition_variable changed, filled, emptied;
  bool full = false;

  void put_with_one() { wait_and_set(changed, true), changed.notify_one(); }
  void take_with_one() { wait_and_set(changed, false), changed.notify_one(); }
  void put() { wait_and_set(emptied, true), filled.notify_one(); }
  void take() { wait_and_set(filled, false), emptied.notify_one(); }

 private:
  void wait_and_set(skein::condition_variable& c, bool to) {
    std::unique_lock hold(m);
    c.wait(hold, [&] { return full != to; });
    full = to;
  }
};

// A descriptor from which packets are read.
struct socket {
  skein::test::fake_fd fd;
  std::atomic<int> packets = 0;

  void arrive() { ++packets, fd.set_readable(true); }
  bool read() {
    fd.set_readable(false);
    if (packets == 0) return false;
    if (--packets > 0) fd.set_readable(true);
    return true;
  }
};

constexpr bug table[] = {
    {"condition_without_loop", "Who is woken does not look again; another has taken the item.",
     "took nothing",
     [] {
       guarded q;
       bool nothing = false;
       const auto take = [&] {
         std::unique_lock hold(q.m);
         if (q.n == 0) q.changed.wait(hold);
         if (q.n-- == 0) nothing = true;
       };
       const auto put = [&] { q.change([](int& n) { ++n; }), q.changed.notify_one(); };
       together(take, take, [&] { put(), put(); });
       require(!nothing, "took nothing");
     },
     [] {
       guarded q;
       bool nothing = false;
       const auto take = [&] {
         std::unique_lock hold(q.m);
         while (q.n == 0) q.changed.wait(hold);
         if (q.n-- == 0) nothing = true;
       };
       const auto put = [&] { q.change([](int& n) { ++n; }), q.changed.notify_one(); };
       together(take, take, [&] { put(), put(); });
       require(!nothing, "took nothing");
     }},
    {"notify_before_wait", "A signal without a state is lost if nobody waits yet.", deadlock,
     [] {
       guarded g;
       together(
           [&] {
             std::unique_lock hold(g.m);
             g.changed.wait(hold);
           },
           [&] { g.changed.notify_one(); });
     },
     [] {
       guarded g;
       together(
           [&] {
             std::unique_lock hold(g.m);
             g.changed.wait(hold, [&] { return g.n == 1; });
           },
           [&] { g.change([](int& n) { n = 1; }), g.changed.notify_one(); });
     },
     3},
    {"condition_checked_outside",
     "The condition is looked at under the lock, and waited for under another hold of it.",
     deadlock,
     [] {
       guarded g;
       together(
           [&] {
             bool ready = false;
             g.change([&](int& n) { ready = n == 1; });
             std::unique_lock hold(g.m);
             if (!ready) g.changed.wait(hold);
           },
           [&] { g.change([](int& n) { n = 1; }), g.changed.notify_one(); });
     },
     [] {
       guarded g;
       together(
           [&] {
             std::unique_lock hold(g.m);
             while (g.n != 1) g.changed.wait(hold);
           },
           [&] { g.change([](int& n) { n = 1; }), g.changed.notify_one(); });
     },
     3},
    {"notify_missing", "One of the paths that change the condition tells nobody.", deadlock,
     [] {
       guarded g;
       const auto reset = [&] { g.change([](int& n) { n = 0; }); };
       together(
           [&] {
             std::unique_lock hold(g.m);
             g.changed.wait(hold, [&] { return g.n == 0; });
           },
           [&] { g.change([](int& n) { n = 1; }), g.changed.notify_one(), reset(); });
     },
     [] {
       guarded g;
       const auto reset = [&] { g.change([](int& n) { n = 0; }), g.changed.notify_one(); };
       together(
           [&] {
             std::unique_lock hold(g.m);
             g.changed.wait(hold, [&] { return g.n == 0; });
           },
           [&] { g.change([](int& n) { n = 1; }), g.changed.notify_one(), reset(); });
     },
     3},
    {"one_signal_for_two_kinds",
     "Two wait for different things; the signal meets the one it does not concern.", deadlock,
     [] {
       guarded g;
       const auto wait_for = [&](int bit) {
         std::unique_lock hold(g.m);
         g.changed.wait(hold, [&] { return (g.n & bit) != 0; });
       };
       const auto set = [&](int bit) {
         g.change([&](int& n) { n |= bit; }), g.changed.notify_one();
       };
       together([&] { wait_for(1); }, [&] { wait_for(2); }, [&] { set(1), set(2); });
     },
     [] {
       guarded g;
       const auto wait_for = [&](int bit) {
         std::unique_lock hold(g.m);
         g.changed.wait(hold, [&] { return (g.n & bit) != 0; });
       };
       const auto set = [&](int bit) {
         g.change([&](int& n) { n |= bit; }), g.changed.notify_all();
       };
       together([&] { wait_for(1); }, [&] { wait_for(2); }, [&] { set(1), set(2); });
     }},
    {"producers_and_consumers_with_one_condition",
     "A consumer's signal wakes a consumer, and all sleep.", deadlock,
     [] {
       one_place q;
       const auto put = [&] { q.put_with_one(); };
       const auto take = [&] { q.take_with_one(); };
       together(take, take, put, put);
     },
     [] {
       one_place q;
       const auto put = [&] { q.put(); };
       const auto take = [&] { q.take(); };
       together(take, take, put, put);
     }},
    {"notify_one_at_the_end", "The end is told to one of those who wait for it.", deadlock,
     [] {
       guarded g;
       const auto worker = [&] {
         std::unique_lock hold(g.m);
         g.changed.wait(hold, [&] { return g.n == 1; });
       };
       together(worker, worker, [&] { g.change([](int& n) { n = 1; }), g.changed.notify_one(); });
     },
     [] {
       guarded g;
       const auto worker = [&] {
         std::unique_lock hold(g.m);
         g.changed.wait(hold, [&] { return g.n == 1; });
       };
       together(worker, worker, [&] { g.change([](int& n) { n = 1; }), g.changed.notify_all(); });
     }},
    {"timed_wait_taken_for_success", "Who gives up waiting goes on as if it had been told.",
     "not ready",
     [] {
       guarded g;
       bool ready = true;
       together(
           [&] {
             std::unique_lock hold(g.m);
             if (g.n == 0) g.changed.wait_for(hold, 1ms);
             ready = g.n != 0;
           },
           [&] { skein::sleep_for(1ms), g.change([](int& n) { n = 1; }), g.changed.notify_one(); });
       require(ready, "not ready");
     },
     [] {
       guarded g;
       bool ready = true;
       together(
           [&] {
             std::unique_lock hold(g.m);
             while (g.n == 0) g.changed.wait_for(hold, 1ms);
             ready = g.n != 0;
           },
           [&] { skein::sleep_for(1ms), g.change([](int& n) { n = 1; }), g.changed.notify_one(); });
       require(ready, "not ready");
     },
     3},
    {"atomic_not_notified", "The value changes after the waiter has looked, and nobody says so.",
     deadlock,
     [] {
       std::atomic<int> level = 0;
       together([&] { skein::atomic_wait(level, 0); }, [&] { level = 1; });
     },
     [] {
       std::atomic<int> level = 0;
       together([&] { skein::atomic_wait(level, 0); },
                [&] { level = 1, skein::atomic_notify_one(level); });
     },
     3},
    {"barrier_left_early", "Who has nothing left to do does not come to the second phase.",
     deadlock,
     [] {
       skein::barrier phase(2);
       together([&] { phase.arrive_and_wait(), phase.arrive_and_wait(); },
                [&] { phase.arrive_and_wait(); });
     },
     [] {
       skein::barrier phase(2);
       together([&] { phase.arrive_and_wait(), phase.arrive_and_wait(); },
                [&] { phase.arrive_and_drop(); });
     },
     3},
    {"barrier_with_too_few", "The barrier expects one more than there are.", deadlock,
     [] {
       skein::barrier phase(3);
       const auto work = [&] { phase.arrive_and_wait(); };
       together(work, work);
     },
     [] {
       skein::barrier phase(2);
       const auto work = [&] { phase.arrive_and_wait(); };
       together(work, work);
     },
     3},
    {"readiness_taken_for_data", "The descriptor was readable; another has read what was there.",
     "nothing there",
     [] {
       socket s;
       bool nothing = false;
       together([&] { skein::wait_readable(s.fd.number()), nothing = !s.read(); },
                [&] { skein::yield(), s.read(); }, [&] { s.arrive(), skein::yield(), s.arrive(); });
       require(!nothing, "nothing there");
     },
     [] {
       socket s;
       together(
           [&] {
             do skein::wait_readable(s.fd.number());
             while (!s.read());
           },
           [&] { skein::yield(), s.read(); }, [&] { s.arrive(), skein::yield(), s.arrive(); });
     }},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
