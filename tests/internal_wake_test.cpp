// Wake-ups that other runtimes lost at one time or another, and those that reviews of this one were
// afraid for. A lost wake-up is a hang: each test runs in a child under a watchdog that dumps.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "skein/net/poll.hpp"
#include "skein/skein.hpp"
#include "support/watched.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::dice;
using everywhere::scaled;
using watched::compute;
using watched::procs;
using watched::require;

class wake : public ::testing::TestWithParam<int> {
 protected:
  // in_runtime() runs the body as a main goroutine in a child.
  template <class F> static void in_runtime(F body) {
    watched::run([&] { skein::run(body, procs(GetParam())); });
  }
};
SKEIN_ON_PROCS(wake);

struct pipe_ends {
  int fd[2];
  pipe_ends() { require(pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0, "pipe2"); }
  pipe_ends(const pipe_ends&) = delete;
  pipe_ends& operator=(const pipe_ends&) = delete;
  ~pipe_ends() {
    close(fd[0]);
    close(fd[1]);
  }
  void put() const { require(write(fd[1], "x", 1) == 1, "write"); }
  void get() const {
    char c;
    while (read(fd[0], &c, 1) != 1) skein::wait_readable(fd[0]);
  }
};

// A pause that lets workers go idle, or nearly: the interesting moments lie around 50 us.
void pause(dice& d) {
  switch (d.below(4)) {
    case 0: return;
    case 1: compute(std::chrono::nanoseconds(d.below(3000))); return;
    case 2: compute(std::chrono::microseconds(d.below(100))); return;
    default: std::this_thread::sleep_for(std::chrono::microseconds(d.below(100)));
  }
}

// Plain threads put in work of any size while the workers go idle (golang/go#63555).
// covers: S2 R4
TEST_P(wake, batches_from_plain_threads_while_workers_go_idle) {
  watched::run([] {
    skein::runtime rt(procs(GetParam()));
    std::vector<std::thread> threads;
    for (std::uint64_t me = 0; me < 2; ++me)
      threads.emplace_back([&rt, me] {
        dice d(me);
        for (std::uint64_t round = scaled(1500); round > 0; --round) {
          const auto n = static_cast<int>(1 + d.below(9));
          skein::wait_group wg;
          wg.add(n);
          for (int i = 0; i < n; ++i) rt.go([&wg] { wg.done(); });
          wg.wait();
          pause(d);
        }
      });
    for (std::thread& t : threads) t.join();
  });
}

// covers: S2 R4
TEST_P(wake, plain_threads_and_goroutines_answer_each_other) {
  watched::run([] {
    skein::runtime rt(procs(GetParam()));
    std::vector<std::thread> threads;
    for (std::uint64_t me = 0; me < 2; ++me)
      threads.emplace_back([&rt, me] {
        dice d(me + 7);
        const skein::chan<int> question;
        const skein::chan<int> answer;
        rt.go([question, answer] {
          for (const int v : question) answer.send(v + 1);
          answer.close();
        });
        for (int i = 0; i < static_cast<int>(scaled(1500)); ++i) {
          question.send(i);
          require(answer.recv() == i + 1, "the answer to the question");
          pause(d);
        }
        question.close();
        require(!answer.recv(), "the end");
      });
    for (std::thread& t : threads) t.join();
  });
}

// A worker gives its processor up while another makes work for it (golang/go#45867).
// covers: S2
TEST_P(wake, a_processor_is_dropped_while_another_wakes_somebody) {
  in_runtime([] {
    skein::wait_group all;
    for (std::uint64_t me = 0; me < 4; ++me)
      all.go([me] {
        dice d(me);
        const skein::chan<std::uint64_t> there;
        const skein::chan<std::uint64_t> back;
        skein::go([there, back] {
          dice e(99);
          while (const auto v = there.recv()) {
            if (e.one_in(8)) compute(std::chrono::microseconds(e.below(80)));
            back.send(*v);
          }
        });
        for (std::uint64_t i = scaled(1500); i > 0; --i) {
          if (d.one_in(4)) compute(std::chrono::microseconds(d.below(80)));
          if (d.one_in(10)) skein::sleep_for(std::chrono::microseconds(d.below(120)));
          there.send(i);
          require(back.recv() == i, "the same back");
        }
        there.close();
      });
    all.wait();
  });
}

// Work must get an idle processor, and with none free that of a goroutine that computes.
// covers: S2
TEST_P(wake, nobody_waits_for_ever_behind_one_who_computes) {
  in_runtime([] {
    for (int round = 0; round < 20; ++round) {
      std::atomic<bool> ran{false};
      switch (round % 4) {
        case 0:  // from the queue
          skein::go([&] { ran = true; });
          while (!ran) {
          }
          break;
        case 1: {  // from the slot of those made ready
          const skein::chan<int> c;
          skein::wait_group wg;
          wg.go([&] {
            c.recv();
            ran = true;
          });
          skein::sleep_for(1ms);
          c.send(1);
          while (!ran) {
          }
          wg.wait();
          break;
        }
        case 2: {  // one that yielded to one who computes
          std::atomic<bool> back{false};
          skein::wait_group wg;
          wg.go([&] {
            ran = true;
            while (!back) {
            }
          });
          while (!ran) skein::yield();
          back = true;
          wg.wait();
          break;
        }
        default: {  // timers of a processor that computes
          skein::wait_group wg;
          wg.go([&] {
            skein::sleep_for(100us);
            ran = true;
          });
          skein::sleep_for(10us);
          while (!ran) {
          }
          wg.wait();
        }
      }
    }
  });
}

// Timers stand in the heap of a processor that their goroutine has long left (golang/go#66006).
// covers: S1 T1
TEST_P(wake, sleepers_that_move_between_processors) {
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
TEST_P(wake, sleepers_while_processors_come_and_go) {
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
TEST_P(wake, timers_of_processors_out_of_use_still_fire) {
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
TEST_P(wake, deadlines_a_few_nanoseconds_away) {
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
TEST_P(wake, deadlines_of_plain_threads_a_few_nanoseconds_away) {
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

// covers: C3 L2
TEST_P(wake, a_close_while_others_are_about_to_wait) {
  in_runtime([] {
    dice d(3);
    for (std::uint64_t round = scaled(400); round > 0; --round) {
      const skein::chan<int> c;
      const skein::chan<int> never;
      skein::wait_group all;
      for (int k = 0; k < 6; ++k)
        all.go([&, k] {
          try {
            if (k % 3 == 0)
              c.recv();
            else if (k % 3 == 1)
              c.send(k);
            else
              skein::select(recv(c), recv(never), send(c, k));
          } catch (const skein::closed_channel&) {
          }
        });
      if (d.one_in(2)) skein::yield();
      compute(std::chrono::nanoseconds(d.below(5000)));
      c.close();
      all.wait();
    }
  });
}

// covers: X1 L4
TEST_P(wake, a_cancel_while_others_are_about_to_wait) {
  in_runtime([] {
    dice d(4);
    for (std::uint64_t round = scaled(300); round > 0; --round) {
      const skein::chan<int> never;
      skein::wait_group all;
      skein::wait_group held;
      held.add(1);
      {
        const auto [ctx, cancel] = skein::with_cancel(skein::background());
        for (int k = 0; k < 4; ++k)
          all.go([&never, &held, k, inner = ctx] {
            if (k % 2 == 0)
              require(never.recv(inner).status() == skein::status::canceled, "cancelled");
            else
              require(!held.wait(inner), "cancelled in a wait group");
          });
        if (d.one_in(2)) skein::yield();
        compute(std::chrono::nanoseconds(d.below(5000)));
      }
      all.wait();
    }
  });
}

// The poller's sleeper is woken for work, for earlier deadlines, and by descriptors, and somebody
// takes its place each time.
// covers: S1
TEST_P(wake, descriptors_and_timers_while_workers_come_and_go) {
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
TEST_P(wake, a_blocked_thread_holds_up_neither_timers_nor_descriptors) {
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
TEST_P(wake, a_goroutine_tied_to_the_only_thread_can_sleep) {
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

// covers: G4
TEST_P(wake, a_slot_forgets_that_its_goroutine_was_tied) {
  in_runtime([] {
    skein::wait_group wg;
    for (int i = 0; i < 8; ++i) wg.go([] { skein::lock_os_thread(); });
    wg.wait();
    for (int i = 0; i < 16; ++i)
      wg.go([] {
        skein::lock_os_thread();
        const pid_t here = gettid();
        for (int k = 0; k < 10; ++k) {
          skein::sleep_for(50us);
          require(gettid() == here, "stays where it was tied");
        }
        skein::unlock_os_thread();
      });
    wg.wait();
  });
}

// A goroutine alone with its yields still lets timers and descriptors in.
// covers: S1
TEST_P(wake, yielding_alone_looks_at_timers_in_time) {
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

// Stacks of another class end up in the pool that all workers share.
// covers: G5
TEST_P(wake, a_stack_is_left_before_another_may_have_it) {
  in_runtime([] {
    skein::wait_group all;
    for (int k = 0; k < 4; ++k)
      all.go([] {
        for (std::uint64_t i = scaled(3000); i > 0; --i) {
          skein::wait_group two;
          two.add(2);
          for (int j = 0; j < 2; ++j)
            skein::go({.stack = 1 << 20}, [&two] {
              volatile char frame[1024];
              for (std::size_t at = 0; at < sizeof frame; at += 64) frame[at] = 1;
              two.done();
            });
          two.wait();
        }
      });
    all.wait();
  });
}

// A timer that fires while its last handle goes, or while it is stopped.
// covers: L3 T2
TEST_P(wake, timers_dropped_and_stopped_while_they_fire) {
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

// The last done() is on its way while a waiter that has seen zero destroys the group.
// covers: Y4
TEST_P(wake, a_wait_group_may_go_when_its_wait_is_over) {
  in_runtime([] {
    dice d(6);
    for (std::uint64_t round = scaled(1500); round > 0; --round) {
      auto wg = std::make_unique<skein::wait_group>();
      wg->add(2);
      for (int i = 0; i < 2; ++i)
        skein::go([g = wg.get(), n = d.below(3000)] {
          compute(std::chrono::nanoseconds(n));
          g->done();
        });
      while (!wg->wait_for(std::chrono::nanoseconds(d.below(2000)))) {
      }
      wg.reset();
    }
  });
}

// covers: Y1
TEST_P(wake, a_mutex_keeps_its_queue_moving_when_waiters_give_up) {
  in_runtime([] {
    skein::mutex m;
    std::uint64_t inside = 0;
    std::atomic<std::uint64_t> entered{0};
    skein::wait_group all;
    for (std::uint64_t me = 0; me < 8; ++me)
      all.go([&, me] {
        dice d(me);
        for (std::uint64_t i = scaled(800); i > 0; --i) {
          if (d.one_in(2)) {
            if (!m.try_lock_for(std::chrono::nanoseconds(d.below(20'000)))) continue;
          } else {
            m.lock();
          }
          require(++inside == 1, "alone inside");
          ++entered;
          if (d.one_in(4)) skein::yield();
          --inside;
          m.unlock();
        }
      });
    all.wait();
    require(m.try_lock(), "free at the end");
    require(entered >= 4 * scaled(800) / 2, "served");
  });
}

// The runtime ends while a plain thread is on its way to one of its goroutines.
// covers: R2 R4
TEST_P(wake, a_runtime_ends_while_a_plain_thread_wakes_its_main) {
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
TEST_P(wake, a_runtime_ends_while_a_tied_goroutine_is_handed_to_its_thread) {
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
TEST_P(wake, a_watched_descriptor_outlives_its_runtime) {
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
TEST_P(wake, no_deadlock_is_reported_while_a_processor_going_out_of_use_still_runs) {
  in_runtime([] {
    skein::procs(1);
    compute(60ms);
    skein::procs(GetParam());
    compute(20ms);
  });
}

// covers: D2
TEST_P(wake, no_deadlock_is_reported_while_a_woken_thread_has_not_run_yet) {
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
TEST_P(wake, a_deadlock_after_a_blocked_call_is_reported) {
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
TEST_P(wake, a_deadlock_is_reported_whenever_it_comes) {
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
TEST_P(wake, wait_all_ends_also_when_the_last_one_lost_its_processor) {
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
TEST_P(wake, wait_all_also_when_main_exits_its_goroutine) {
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
