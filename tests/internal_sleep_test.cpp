// Deadlines and descriptors whose wake-up could be lost: processors, workers and plain threads come and go beside
// those that sleep. A lost one is a hang: each test runs in a child under a watchdog that dumps.
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

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

class asleep : public watched::on_procs {};
SKEIN_ON_PROCS(asleep);

// Timers stand in the heap of a processor that their goroutine has long left (golang/go#66006).
// covers: S1 T1
TEST_P(asleep, sleepers_that_move_between_processors) {
  in_runtime([] {
    skein::wait_group all;
    for (std::uint64_t me = 0; me < 6; ++me)
      all.go([me] {
        dice d(me);
        for (std::uint64_t i = scaled(150); i > 0; --i) {
          skein::sleep_for(std::chrono::microseconds(d.below(1500)));
          switch (d.below(6)) {
            case 0: skein::yield(); break;
            case 1: compute(std::chrono::microseconds(d.below(300))); break;
            case 2: skein::blocking([&] { usleep(static_cast<useconds_t>(d.below(300))); }); break;
            case 3: {
              skein::lock_os_thread();
              skein::sleep_for(std::chrono::microseconds(d.below(300)));
              skein::unlock_os_thread();
              break;
            }
            default: break;
          }
        }
      });
    all.wait();
  });
}

// covers: S1 T1
TEST_P(asleep, sleepers_while_processors_come_and_go) {
  in_runtime([] {
    std::atomic<bool> over{false};
    skein::wait_group all;
    for (std::uint64_t me = 0; me < 6; ++me)
      all.go([me] {
        dice d(me);
        for (std::uint64_t i = scaled(100); i > 0; --i) {
          skein::sleep_for(std::chrono::microseconds(d.below(1500)));
          if (d.one_in(3)) compute(std::chrono::microseconds(d.below(200)));
        }
      });
    skein::wait_group changer;
    changer.go([&] {
      dice d(17);
      while (!over) {
        skein::procs(static_cast<int>(1 + d.below(8)));
        skein::sleep_for(std::chrono::microseconds(d.below(500)));
      }
    });
    all.wait();
    over = true;
    changer.wait();
    skein::procs(1);
  });
}

// What a processor leaves behind when it goes out of use.
// covers: S1
TEST_P(asleep, timers_of_processors_out_of_use_still_fire) {
  in_runtime([] {
    std::atomic<int> woken{0};
    for (int i = 0; i < 16; ++i)
      skein::go([&] {
        compute(1ms);  // so that they spread over the processors
        skein::sleep_for(60ms);
        ++woken;
      });
    skein::sleep_for(30ms);
    skein::procs(1);
    for (int i = 0; i < 2; ++i)
      skein::go([] {
        for (;;) skein::yield();
      });
    while (woken < 16) skein::yield();
  });
}

// The deadline passes before the waiter stands in any queue (brpc#617), or while it is being
// served.
// covers: C4 L4
TEST_P(asleep, deadlines_a_few_nanoseconds_away) {
  in_runtime([] {
    const skein::chan<int> c;
    const skein::chan<int> buffered(2);
    skein::mutex m;
    std::atomic<std::int64_t> sent{0}, received{0};
    skein::wait_group all;
    for (std::uint64_t me = 0; me < 8; ++me)
      all.go([&, me] {
        dice d(me);
        for (std::uint64_t i = scaled(1500); i > 0; --i) {
          const auto soon = std::chrono::nanoseconds(d.below(3000));
          const auto& at = d.one_in(2) ? c : buffered;
          switch (d.below(6)) {
            case 0: received += at.recv_for(soon).has_value(); break;
            case 1: sent += at.send_for(1, soon); break;
            case 2: {
              std::optional<int> v;
              switch (skein::select(recv(c, v), send(buffered, 1), recv(skein::after(soon)))) {
                case 0: ++received; break;
                case 1: ++sent; break;
                default: break;
              }
              break;
            }
            case 3: {
              const auto [ctx, cancel] = skein::with_timeout(skein::background(), soon);
              if (d.one_in(2))
                received += at.recv(ctx).has_value();
              else
                sent += at.send(ctx, 1);
              break;
            }
            case 4:
              if (m.try_lock_for(soon)) {
                if (d.one_in(2)) skein::yield();
                m.unlock();
              }
              break;
            default: skein::sleep_for(soon);
          }
        }
      });
    all.wait();
    require(sent == received + static_cast<std::int64_t>(buffered.size()),
            "sent " + std::to_string(sent) + ", received " + std::to_string(received) + " and " +
                std::to_string(buffered.size()) + " left");
    require(m.try_lock_for(10s), "the mutex is free");
  });
}

// The same with plain threads, whose time runs out in the kernel.
// covers: R4 L4
TEST_P(asleep, deadlines_of_plain_threads_a_few_nanoseconds_away) {
  watched::run([] {
    skein::runtime rt(procs(GetParam()));
    const skein::chan<int> c;
    std::atomic<std::int64_t> sent{0}, received{0};
    std::vector<std::thread> threads;
    for (std::uint64_t me = 0; me < 2; ++me)
      threads.emplace_back([&, me] {
        dice d(me);
        for (std::uint64_t i = scaled(1500); i > 0; --i) {
          const auto soon = std::chrono::nanoseconds(d.below(60'000));
          if (d.one_in(2))
            received += c.recv_for(soon).has_value();
          else
            sent += c.send_for(1, soon);
        }
      });
    rt.run([&] {
      dice d(5);
      for (std::uint64_t i = scaled(1500); i > 0; --i) {
        received += c.recv_for(std::chrono::nanoseconds(d.below(60'000))).has_value();
        sent += c.send_for(1, std::chrono::nanoseconds(d.below(60'000)));
      }
    });
    for (std::thread& t : threads) t.join();
    require(sent == received,
            "sent " + std::to_string(sent) + ", received " + std::to_string(received));
  });
}

// A goroutine alone with its yields still lets timers and descriptors in.
// covers: S1
TEST_P(asleep, yielding_alone_looks_at_timers_in_time) {
  in_runtime([] {
    int late = 0;
    for (int i = 0; i < 20; ++i) {
      std::atomic<bool> woken{false};
      skein::wait_group wg;
      wg.go([&] {
        skein::sleep_for(1ms);
        woken = true;
      });
      const auto begin = std::chrono::steady_clock::now();
      while (!woken) skein::yield();
      late += std::chrono::steady_clock::now() - begin > 9ms;
      wg.wait();
    }
    require(late < 15, "a sleep of 1 ms took 9 ms in " + std::to_string(late) + " cases of 20");
  });
}

// A timer that fires while its last handle goes, or while it is stopped.
// covers: L3 T2
TEST_P(asleep, timers_dropped_and_stopped_while_they_fire) {
  in_runtime([] {
    skein::wait_group all;
    std::atomic<int> stale{0};
    for (std::uint64_t me = 0; me < 4; ++me)
      all.go([&stale, me] {
        dice d(me);
        const skein::chan<int> c(1);
        for (std::uint64_t i = scaled(1500); i > 0; --i) {
          const auto soon = std::chrono::nanoseconds(500 + d.below(4000));
          if (d.one_in(2)) {
            c.send(1);
            skein::select(recv(c), recv(skein::after(soon)));
            static_cast<void>(c.try_recv());
          } else {
            skein::ticker t(soon);
            compute(std::chrono::nanoseconds(d.below(6000)));
            if (d.one_in(3)) skein::yield();
            t.stop();
            const auto ticks = t.chan();
            for (int k = 0; k < 2; ++k) {
              stale += ticks.try_recv().has_value();
              skein::yield();
            }
          }
        }
      });
    all.wait();
    require(stale == 0, std::to_string(stale) + " ticks after the stop");
  });
}

// The poller's sleeper is woken for work, for earlier deadlines, and by descriptors, and somebody
// takes its place each time.
// covers: S1
TEST_P(asleep, descriptors_and_timers_while_workers_come_and_go) {
  in_runtime([] {
    skein::wait_group all;
    for (std::uint64_t me = 0; me < 3; ++me)
      all.go([me] {
        dice d(me);
        const pipe_ends there;
        const pipe_ends back;
        skein::wait_group echo;
        const std::uint64_t rounds = scaled(400);
        echo.go([&] {
          for (std::uint64_t i = 0; i < rounds; ++i) {
            there.get();
            back.put();
          }
        });
        for (std::uint64_t i = 0; i < rounds; ++i) {
          switch (d.below(8)) {
            case 0: compute(std::chrono::microseconds(d.below(2500))); break;
            case 1: skein::sleep_for(std::chrono::microseconds(d.below(300))); break;
            case 2: skein::blocking([&] { usleep(static_cast<useconds_t>(d.below(300))); }); break;
            default: break;
          }
          there.put();
          back.get();
        }
        echo.wait();
      });
    all.wait();
  });
}

// Nobody but the blocked thread is there to poll.
// covers: S6
TEST_P(asleep, a_blocked_thread_holds_up_neither_timers_nor_descriptors) {
  in_runtime([] {
    const pipe_ends p;
    skein::chan<int> done(2);
    skein::go([&] {
      skein::sleep_for(30ms);
      done.send(1);
    });
    skein::go([&] {
      p.get();
      done.send(2);
    });
    skein::yield();
    skein::blocking([&] {
      usleep(20'000);
      p.put();
      for (int i = 0; i < 5000 && done.size() < 2; ++i) usleep(2000);
      require(done.size() == 2, "both went on meanwhile");
    });
  });
}

// covers: G4
TEST_P(asleep, a_goroutine_tied_to_the_only_thread_can_sleep) {
  in_runtime([] {
    const pipe_ends p;
    skein::lock_os_thread();
    const pid_t here = gettid();
    skein::after_func(20ms, [&] { p.put(); });
    skein::sleep_for(10ms);
    p.get();
    require(gettid() == here, "on the same thread");
    skein::unlock_os_thread();
  });
}

}  // namespace
