// The scheduler: everybody gets a turn, work spreads, nothing is forgotten.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::os_pipe;
using everywhere::scaled;
using everywhere::with_procs;

struct sched : everywhere::on_procs {};
SKEIN_EVERYWHERE(sched);

// covers: S1 C6
TEST_P(sched, a_pair_that_talks_for_ever_keeps_nobody_waiting) {
  repeat([] {
    const skein::chan<int> there;
    const skein::chan<int> back;
    std::atomic<bool> stop{false};
    skein::wait_group pair;
    pair.go([&] {
      while (!stop) there.send(1), back.recv();
      there.close();
    });
    pair.go([&] { for (const int v : there) back.send(v); });
    skein::wait_group others;
    for (int i = 0; i < 20; ++i)
      others.go([] { for (int k = 0; k < 20; ++k) skein::yield(); });
    others.wait();
    stop = true;
    pair.wait();
  }, 50);
}

// covers: S1
TEST_P(sched, those_who_yield_for_ever_keep_nobody_waiting) {
  repeat([] {
    std::atomic<bool> stop{false};
    skein::wait_group spinning;
    for (int i = 0; i < 10; ++i) spinning.go([&] { while (!stop) skein::yield(); });
    skein::wait_group wg;
    for (int i = 0; i < 10; ++i)
      wg.go([&] {
        skein::chan<int> c;
        skein::go([c] { c.send(1); });
        c.recv();
      });
    wg.wait();
    stop = true;
    spinning.wait();
  }, 50);
}

// covers: S1 S3
TEST_P(sched, those_who_give_way_when_asked_keep_nobody_waiting) {
  run([] {
    std::atomic<bool> stop{false};
    skein::wait_group spinning;
    for (int i = 0; i < 3; ++i)
      spinning.go([&] {
        while (!stop) skein::checkpoint();
      });
    for (int i = 0; i < 5; ++i) skein::yield();  // stands in this processor's own queue
    stop = true;
    spinning.wait();
  });
}

// Each turn ends because others were let through, and begins because they were held up in their turn.
// covers: S1 S3
TEST_P(sched, one_that_has_used_up_its_time_gets_another_turn) {
  run([] {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> steps{0};
    skein::wait_group light;
    for (int i = 0; i < 4; ++i)
      light.go([&] {
        for (; !stop; ++steps) skein::yield();
      });
    std::uint64_t seen = steps;
    for (int turns = 0; turns < 3;) {
      skein::checkpoint();
      if (steps == seen) continue;
      seen = steps;
      ++turns;
    }
    stop = true;
    light.wait();
  });
}

struct sched_threads : everywhere::on_procs {};
SKEIN_ON_PROCS(sched_threads);

// covers: S1 R4
TEST_P(sched_threads, work_from_outside_is_looked_at_while_the_processors_are_busy) {
  run([] {
    std::atomic<bool> stop{false};
    skein::wait_group wg;
    for (int i = 0; i < 20; ++i) wg.go([&] { while (!stop) skein::yield(); });
    const skein::chan<int> c;
    wg.go([&] {
      for (std::uint64_t i = scaled(500); i > 0; --i) c.recv();
      stop = true;
    });
    std::thread outside([c] { for (std::uint64_t i = scaled(500); i > 0; --i) c.send(1); });
    wg.wait();
    outside.join();
  });
}

// meet() returns when two have called it; nobody parks.
void meet(std::atomic<int>& arrived) {
  for (++arrived; arrived < 2;) {
  }
}

// covers: S2 S1
TEST_P(sched_threads, two_that_need_each_other_at_once_get_two_processors) {
  run([] {
    for (std::uint64_t i = scaled(200); i > 0; --i) {
      std::atomic<int> arrived{0};
      skein::wait_group wg;
      wg.go([&] { meet(arrived); });
      wg.go([&] { meet(arrived); });
      wg.wait();
    }
  });
}

// covers: S2 S3
TEST_P(sched_threads, one_made_ready_by_a_send_runs_beside_its_sender) {
  run([] {
    for (std::uint64_t i = scaled(20); i > 0; --i) {
      const skein::chan<int> c;
      std::atomic<int> arrived{0};
      auto other = skein::spawn({.stack = 128 * 1024}, [&] { c.recv(), meet(arrived); });
      c.send(1);
      meet(arrived);
      other.join();
    }
  });
}

// covers: S2
TEST_P(sched_threads, a_burst_spreads_over_idle_processors) {
  run([] {
    const int n = std::min(GetParam(), 4);
    for (std::uint64_t i = scaled(50); i > 0; --i) {
      std::atomic<int> arrived{0};
      skein::wait_group wg;
      for (int k = 0; k < n; ++k)
        wg.go([&] {
          for (++arrived; arrived < n;) {
          }
        });
      wg.wait();
    }
  });
}

// covers: S3
TEST_P(sched_threads, one_that_never_calls_skein_stops_nobody_for_ever) {
  run([] {
    std::atomic<bool> spinning{false};
    std::atomic<bool> stop{false};
    skein::wait_group wg;
    wg.go([&] {
      spinning = true;
      while (!stop) {
      }
    });
    while (!spinning) skein::yield();
    for (int i = 0; i < 100; ++i) {
      auto t = skein::spawn([i] { return i; });
      ASSERT_EQ(t.join(), i);
      skein::yield();
    }
    stop = true;
    wg.wait();
  });
}

// covers: S6
TEST_P(sched_threads, blocking_gives_the_processor_up) {
  run([] {
    for (std::uint64_t i = scaled(50); i > 0; --i) {
      const os_pipe p;
      skein::wait_group wg;
      // More of them than processors, and whoever ends their wait runs last.
      for (int k = 0; k < 10; ++k)
        wg.go([&] { EXPECT_TRUE(skein::blocking([&] { return p.take(); })); });
      wg.go([&] { for (int k = 0; k < 10; ++k) p.put(); });
      wg.wait();
    }
  });
}

// covers: S6 S4
TEST_P(sched_threads, skein_can_be_used_inside_blocking) {
  run([] {
    for (std::uint64_t i = scaled(50); i > 0; --i) {
      const skein::chan<int> c;
      skein::wait_group wg;
      wg.go([&] {
        EXPECT_EQ(skein::blocking([&] {
          c.send(1);
          skein::yield();
          return skein::blocking([&] { return c.recv(); });
        }), 2);
      });
      wg.go([&] {
        EXPECT_EQ(c.recv(), 1);
        c.send(2);
      });
      wg.wait();
      EXPECT_THROW(skein::blocking([] { throw 1; }), int);
    }
  });
}

// covers: R4 S4 S2
TEST_P(sched_threads, thousands_of_foreign_threads_come_and_go) {
  run([] {
    const skein::chan<int> c;
    skein::mutex m;
    long under_lock = 0;
    const int batches = static_cast<int>(scaled(30));
    constexpr int at_once = 10;
    skein::wait_group served;
    served.go([&] { for (int i = 0; i < batches * at_once; ++i) c.send(i); });
    skein::blocking([&] {
      for (int b = 0; b < batches; ++b) {
        std::vector<std::thread> threads;
        for (int i = 0; i < at_once; ++i)
          threads.emplace_back([&] {
            c.recv();
            std::lock_guard hold(m);
            ++under_lock;
          });
        for (auto& t : threads) t.join();
      }
    });
    served.wait();
    EXPECT_EQ(under_lock, batches * at_once);
  });
}

// covers: S2 S1 T1
TEST_P(sched_threads, storms_of_sleeping_and_waking_lose_nobody) {
  run([] {
    const int n = static_cast<int>(scaled(200));
    std::atomic<int> rounds_done{0};
    skein::wait_group wg;
    for (int i = 0; i < n; ++i)
      wg.go([&, i] {
        for (int k = 0; k < 50; ++k) {
          skein::sleep_for(std::chrono::microseconds((i * 7 + k * 13) % 50));
          ++rounds_done;
        }
      });
    wg.wait();
    EXPECT_EQ(rounds_done, n * 50);
  });
}

// covers: S2 Y4
TEST_P(sched_threads, a_crowd_woken_at_once_arrives_every_time) {
  run([] {
    for (std::uint64_t i = scaled(100); i > 0; --i) {
      skein::wait_group gate;
      skein::wait_group arrived;
      gate.add();
      for (int k = 0; k < 50; ++k) arrived.go([&] { gate.wait(); });
      skein::yield();
      gate.done();
      arrived.wait();
    }
  });
}

// covers: S1 S2
TEST_P(sched_threads, chains_of_wakeups_across_processors_do_not_stall) {
  run([] {
    constexpr std::size_t length = 20;
    const std::vector<skein::chan<int>> ring = [] {
      std::vector<skein::chan<int>> made;
      for (std::size_t i = 0; i < length; ++i) made.emplace_back();
      return made;
    }();
    const skein::chan<int> over;
    skein::wait_group wg;
    for (std::size_t i = 0; i < length; ++i)
      wg.go([&, from = ring[i], to = ring[(i + 1) % length]] {
        for (const int v : from) v == 0 ? over.send(0) : to.send(v - 1);
      });
    ring[0].send(static_cast<int>(scaled(2000)) * static_cast<int>(length));
    over.recv();
    for (const auto& c : ring) c.close();
    wg.wait();
  });
}

// covers: S1 G1
TEST_P(sched_threads, a_full_queue_spills_and_loses_nobody) {
  run([] {
    const int n = static_cast<int>(scaled(50'000));
    std::atomic<int> ran{0};
    skein::wait_group wg;
    wg.add(n);
    for (int i = 0; i < n; ++i)
      skein::go([&] {
        ++ran;
        wg.done();
      });
    wg.wait();
    EXPECT_EQ(ran, n);
  });
}

// covers: S5
TEST_P(sched, user_code_may_call_skein_wherever_it_runs) {
  // A copy, a move or a destructor that parks would never return under an internal lock.
  struct visitor {
    explicit visitor(skein::chan<int> to) : c(std::move(to)) {}
    visitor(const visitor& o) : c(o.c) { touch(); }
    visitor(visitor&& o) noexcept : c(o.c) { touch(); }
    visitor& operator=(const visitor&) = default;
    ~visitor() { touch(); }
    void touch() const {
      static_cast<void>(c.try_recv());
      c.try_send(1);
      skein::yield();
    }
    skein::chan<int> c;
  };
  repeat([] {
    const skein::chan<int> pad(1);
    const skein::chan<visitor> c;
    const skein::chan<visitor> b(2);
    skein::wait_group wg;
    wg.go([&] { c.send(visitor(pad)), b.send(visitor(pad)); });
    wg.go([&, v = visitor(pad)] { c.recv(), b.recv(); });
    wg.go([] {
      auto f = skein::after_func(0ns, [] { skein::yield(); });
      skein::yield();
    });
    wg.wait();
    b.send(visitor(pad));
    b.close();
  }, 50);
}

}  // namespace
