// Ends of runtimes and reports of deadlocks at the moments at which they could be missed, or come too early. Each
// test runs in a child under a watchdog that dumps.
#include <unistd.h>

#include <cstdint>
#include <string>
#include <thread>

#include "skein/skein.hpp"
#include "support/pipe_ends.hpp"
#include "support/watched.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::dice;
using everywhere::scaled;
using watched::compute;
using watched::pipe_ends;
using watched::procs;
using watched::require;

class ending : public watched::on_procs {};
SKEIN_ON_PROCS(ending);

// The runtime ends while a plain thread is on its way to one of its goroutines.
// covers: R2 R4
TEST_P(ending, a_runtime_ends_while_a_plain_thread_wakes_its_main) {
  watched::run([] {
    for (std::uint64_t round = scaled(150); round > 0; --round) {
      const skein::chan<int> c;
      const skein::chan<int> lost;
      std::thread t([&] {
        c.send(1);
        lost.try_send(1);
      });
      skein::run(
          [&] {
            skein::go([&] { lost.recv(); });
            if (round % 2 == 0) skein::yield();
            c.recv();
          },
          procs(GetParam()));
      t.join();
    }
  });
}

// covers: R2
TEST_P(ending, a_runtime_ends_while_a_tied_goroutine_is_handed_to_its_thread) {
  watched::run([] {
    dice d(8);
    for (std::uint64_t round = scaled(150); round > 0; --round)
      skein::run(
          [&] {
            const skein::chan<int> c;
            for (int i = 0; i < 3; ++i)
              skein::go([c] {
                skein::lock_os_thread();
                for (;;) c.recv();
              });
            skein::sleep_for(std::chrono::microseconds(d.below(200)));
            for (std::uint64_t i = d.below(4); i > 0; --i) static_cast<void>(c.try_send(1));
            compute(std::chrono::microseconds(d.below(60)));
          },
          procs(GetParam()));
  });
}

// What watches a descriptor may outlive the runtime that polled for it, fired or not.
// covers: L3 R2
TEST_P(ending, a_watched_descriptor_outlives_its_runtime) {
  watched::run([] {
    const pipe_ends p;
    const pipe_ends q;
    skein::receiver<skein::unit> fired(skein::nil);
    skein::receiver<skein::unit> silent(skein::nil);
    skein::run(
        [&] {
          fired = skein::readable(p.fd[0]);
          silent = skein::readable(q.fd[0]);
          p.put();
          fired.recv();
        },
        procs(GetParam()));
    fired = skein::receiver<skein::unit>(skein::nil);
    silent = skein::receiver<skein::unit>(skein::nil);
  });
}

// covers: D2
TEST_P(ending, no_deadlock_is_reported_while_a_processor_going_out_of_use_still_runs) {
  in_runtime([] {
    skein::procs(1);
    compute(60ms);
    skein::procs(GetParam());
    compute(20ms);
  });
}

// covers: D2
TEST_P(ending, no_deadlock_is_reported_while_a_woken_thread_has_not_run_yet) {
  watched::run([] {
    const skein::chan<int> there;
    const skein::chan<int> back;
    std::thread t([&] {
      for (const int v : there) {
        usleep(8000);
        back.send(v);
      }
    });
    skein::run(
        [&] {
          for (int i = 0; i < 10; ++i) {
            there.send(i);
            back.recv();
          }
          there.close();
        },
        procs(GetParam()));
    t.join();
  });
}

// covers: D2 S6
TEST_P(ending, a_deadlock_after_a_blocked_call_is_reported) {
  const auto end = watched::child([] {
    skein::run(
        [] {
          skein::blocking([] { usleep(40'000); });
          const skein::chan<int> c;
          c.recv();
        },
        procs(GetParam()));
  });
  EXPECT_EQ(end.status, 2) << end.text;
  EXPECT_NE(end.text.find("all goroutines are asleep - deadlock!"), std::string::npos) << end.text;
}

// The monitor goes to sleep some milliseconds after everybody else; whoever moves then wakes it.
// covers: D2
TEST_P(ending, a_deadlock_is_reported_whenever_it_comes) {
  for (int tenths = 0; tenths < 100; tenths += 10) {
    const auto end = watched::child([&] {
      skein::run(
          [&] {
            skein::sleep_for(std::chrono::microseconds(2000 + 100 * tenths));
            const skein::chan<int> c;
            skein::go([c] { c.recv(); });
            c.recv();
          },
          procs(GetParam()));
    });
    ASSERT_EQ(end.status, 2) << "after 2 ms and " << tenths << " tenths: " << end.text;
    EXPECT_NE(end.text.find("all goroutines are asleep - deadlock!"), std::string::npos)
        << end.text;
  }
}

// covers: R2
TEST_P(ending, wait_all_ends_also_when_the_last_one_lost_its_processor) {
  watched::run([] {
    skein::options o = procs(GetParam());
    o.on_exit = skein::on_exit::wait_all;
    for (int round = 0; round < 5; ++round)
      skein::run(
          [] {
            skein::go([] {
              skein::go([] {});
              compute(30ms);
            });
          },
          o);
  });
}

// covers: R2
TEST_P(ending, wait_all_also_when_main_exits_its_goroutine) {
  watched::run([] {
    skein::options o = procs(GetParam());
    o.on_exit = skein::on_exit::wait_all;
    bool done = false;
    skein::run(
        [&] {
          skein::go([&] {
            skein::sleep_for(5ms);
            done = true;
          });
          skein::exit_goroutine();
        },
        o);
    require(done, "the other one was waited for");
  });
}

}  // namespace
