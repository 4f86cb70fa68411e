// Wake-ups that other runtimes lost at one time or another, and those that reviews of this one were
// afraid for. A lost wake-up is a hang: each test runs in a child under a watchdog that dumps.
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "skein/skein.hpp"
#include "support/watched.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::dice;
using everywhere::scaled;
using watched::compute;
using watched::procs;
using watched::require;

class wake : public watched::on_procs {};
SKEIN_ON_PROCS(wake);

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

}  // namespace
