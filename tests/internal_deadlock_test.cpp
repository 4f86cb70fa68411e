// When the all-asleep report stays silent, and that it comes once the reason is gone. A thread asks the
// monitor's own question until it has the answer, so nobody has to wait and hope.
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <ostream>
#include <thread>

#include <unistd.h>

#include "sched/registry.hpp"
#include "sched/sched.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/debug.hpp"
#include "skein/go.hpp"
#include "skein/net/poll.hpp"
#include "skein/os/signal.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::os_pipe;
using everywhere::require;
using everywhere::run_child;
using everywhere::with_procs;
using skein::sched::verdict;

bool all_parked() {
  bool all = true;
  skein::sched::for_each_runtime([&](skein::detail::runtime_state* rt) {
    all = all && skein::sched::nobody_holds(rt) && !skein::sched::work_anywhere(rt);
  });
  return all;
}

// outcome() asks until every goroutine has parked and the answer is one of those that stay. Where that
// would be "asleep" it does not return: the process ends with the report.
verdict outcome() {
  const skein::debug::foreign_idle scope;
  for (;;) {
    if (!all_parked()) {
      std::this_thread::yield();
      continue;
    }
    const verdict v = skein::sched::report_if_all_asleep();
    if (v != verdict::unsure) return v;
  }
}

// reason: what keeps the report from coming. The function sets it up, calls judge(), and takes it away.
struct reason {
  const char* name;
  verdict expected;
  void (*around)(const std::function<void()>& judge);
};

const reason reasons[] = {
    {"a_timer", verdict::awake,
     [](const std::function<void()>& judge) {
       const auto armed = skein::after(1h);
       judge();
     }},
    {"a_goroutine_that_sleeps", verdict::awake,
     [](const std::function<void()>& judge) {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::go([ctx] { skein::sleep_for(ctx, 1h); });
       judge();
       cancel();
     }},
    {"a_receive_with_a_time_limit", verdict::awake,
     [](const std::function<void()>& judge) {
       const skein::chan<int> c;
       skein::go([c] { static_cast<void>(c.recv_for(1h)); });
       judge();
       c.send(1);
     }},
    {"a_context_with_a_deadline", verdict::awake,
     [](const std::function<void()>& judge) {
       auto [ctx, cancel] = skein::with_timeout(skein::background(), 1h);
       judge();
       cancel();
     }},
    {"a_function_at_a_time", verdict::awake,
     [](const std::function<void()>& judge) {
       auto f = skein::after_func(1h, [] {});
       judge();
       f.stop();
     }},
    {"a_descriptor", verdict::awake,
     [](const std::function<void()>& judge) {
       const os_pipe p;
       skein::wait_group wg;
       wg.go([&] { skein::wait_readable(p.in); });
       judge();
       p.put();
       wg.wait();
     }},
    {"a_descriptor_in_a_select", verdict::awake,
     [](const std::function<void()>& judge) {
       const os_pipe p;
       skein::wait_group wg;
       wg.go([&] { skein::select(recv(skein::readable(p.in))); });
       judge();
       p.put();
       wg.wait();
     }},
    {"a_call_in_blocking", verdict::awake,
     [](const std::function<void()>& judge) {
       const os_pipe p;
       skein::wait_group wg;
       wg.go([&] { skein::blocking([&] { return p.take(); }); });
       judge();
       p.put();
       wg.wait();
     }},
    {"a_subscription_to_signals", verdict::outside,
     [](const std::function<void()>& judge) {
       const auto signals = skein::notify({SIGUSR1});
       judge();
     }},
    {"a_thread_that_reads", verdict::outside,
     [](const std::function<void()>& judge) {
       const os_pipe p;
       std::thread foreign([&] { p.take(); });
       judge();
       p.put();
       foreign.join();
     }},
    {"a_thread_that_sleeps", verdict::outside,
     [](const std::function<void()>& judge) {
       std::atomic<bool> enough{false};
       std::thread foreign([&] {
         while (!enough) std::this_thread::sleep_for(1us);
       });
       judge();
       enough = true;
       foreign.join();
     }},
    {"a_thread_with_a_time_limit", verdict::outside,
     [](const std::function<void()>& judge) {
       skein::chan<int> c;
       std::thread foreign([&] { static_cast<void>(c.recv_for(1h)); });
       judge();
       c.send(1);
       foreign.join();
     }},
};

// in_child() runs f as the main goroutine; what does not end is a failure, not a hang.
everywhere::child_end in_child(int procs, const std::function<void()>& f) {
  return run_child([&] {
    alarm(20);
    skein::run(f, with_procs(procs));
  });
}

// wait_for_the_report() is what the main goroutine does when nothing is left to wake it. Before that nobody
// may have said anything.
void wait_for_the_report() {
  require(write(STDERR_FILENO, "now\n", 4) == 4, "write");
  skein::chan<int>().recv();
}
void expect_report(const everywhere::child_end& end) {
  EXPECT_EQ(end.status, 2) << end.signal << end.text;
  EXPECT_TRUE(end.text.starts_with("now\nfatal error: all goroutines are asleep - deadlock!\n")) << end.text;
}

void PrintTo(const reason& r, std::ostream* to) { *to << r.name; }

struct silence : ::testing::TestWithParam<reason> {};
INSTANTIATE_TEST_SUITE_P(because_of, silence, ::testing::ValuesIn(reasons),
                         [](const auto& tested) { return std::string(tested.param.name); });

// covers: D2
TEST_P(silence, lasts_as_long_as_its_reason) {
  for (const int procs : {1, 4})
    expect_report(in_child(procs, [] {
      GetParam().around([] {
        const skein::chan<verdict> found;
        std::thread asks([found] { found.send(outcome()); });
        const verdict v = *found.recv();
        asks.join();
        require(v == GetParam().expected, "another verdict");
      });
      wait_for_the_report();
    }));
}

// ask_for_a_while() returns unless everything sleeps: it asks for longer than the report takes to come.
void ask_for_a_while() {
  const skein::debug::foreign_idle scope;
  const auto until = skein::now() + 20ms;
  while (skein::now() < until) static_cast<void>(skein::sched::report_if_all_asleep());
}

// covers: D2
TEST(silence_while, a_thread_computes) {
  expect_report(in_child(2, [] {
    std::atomic<bool> enough{false};
    std::thread computes([&] {
      while (!enough) {
      }
    });
    const skein::chan<int> over;
    std::thread asks([over] { ask_for_a_while(), over.send(1); });
    over.recv();
    enough = true;
    asks.join();
    computes.join();
    wait_for_the_report();
  }));
}

// covers: D2 R3
TEST(silence_while, another_runtime_has_work) {
  expect_report(in_child(2, [] {
    skein::runtime other(with_procs(1));
    std::atomic<bool> enough{false};
    other.go([&] { while (!enough) skein::yield(); });
    const skein::chan<int> over;
    std::thread asks([over] { ask_for_a_while(), over.send(1); });
    over.recv();
    enough = true;
    asks.join();
    wait_for_the_report();
  }));
}

// covers: D2
TEST(silence_while, a_runtime_only_stands_ready) {
  const auto end = run_child([] {
    const skein::runtime r(with_procs(2));
    while (!all_parked()) std::this_thread::yield();
    verdict v;
    do v = skein::sched::report_if_all_asleep();
    while (v == verdict::unsure);
    require(v == verdict::outside, "another verdict");
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// A thread ends after the monitor has gone to sleep because of it, and tells nobody.
// covers: D2 R4
TEST(report_after, a_thread_has_ended_unnoticed) {
  expect_report(in_child(2, [] {
    std::thread([] {
      // The monitor sleeps for longer than while it sees a thread that moves.
      for (int in_a_row = 0; in_a_row < 150;) {
        std::this_thread::sleep_for(1ms);
        bool sleeps = false;
        skein::sched::for_each_runtime([&](skein::detail::runtime_state* rt) { sleeps = rt->monitor_asleep; });
        in_a_row = sleeps ? in_a_row + 1 : 0;
      }
    }).detach();
    wait_for_the_report();
  }));
}

}  // namespace
