// exit_goroutine(), and goroutines that are tied to a thread.
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

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

using everywhere::run_child;
using everywhere::thread_id;
using everywhere::tracked;
using everywhere::with_procs;

struct exit_goroutine : everywhere::on_procs {};
SKEIN_EVERYWHERE(exit_goroutine);

// covers: G4
TEST_P(exit_goroutine, runs_the_destructors_of_its_whole_stack) {
  repeat([] {
    tracked::reset();
    skein::wait_group wg;
    bool after = false;
    wg.go([&] {
      const tracked outer(1);
      [&] {
        const tracked inner(2);
        skein::exit_goroutine();
      }();
      after = true;
    });
    wg.wait();
    EXPECT_FALSE(after);
    EXPECT_EQ(tracked::live(), 0);
  });
}

// covers: G4 G8
TEST_P(exit_goroutine, destructors_may_park_on_the_way) {
  repeat([] {
    struct parks {
      const skein::chan<int>& c;
      ~parks() {
        c.send(std::uncaught_exceptions());
        skein::yield();
        c.send(2);
      }
    };
    const skein::chan<int> c;
    skein::go([c] {
      const parks p{c};
      skein::exit_goroutine();
    });
    EXPECT_EQ(c.recv(), 1);
    EXPECT_EQ(c.recv(), 2);
  });
}

// covers: G4
TEST_P(exit_goroutine, may_be_caught_and_rethrown) {
  repeat([] {
    skein::wait_group wg;
    int passed = 0;
    wg.go([&] {
      try {
        try {
          skein::exit_goroutine();
        } catch (...) {
          ++passed;
          skein::yield();
          throw;
        }
      } catch (...) {
        ++passed;
        throw;
      }
    });
    wg.wait();
    EXPECT_EQ(passed, 2);
  });
}

// covers: G4
TEST_P(exit_goroutine, is_no_std_exception) {
  repeat([] {
    skein::wait_group wg;
    bool caught = false;
    wg.go([&] {
      try {
        skein::exit_goroutine();
      } catch (const std::exception&) {
        caught = true;
      }
    });
    wg.wait();
    EXPECT_FALSE(caught);
  });
}

// covers: G4 G2
TEST_P(exit_goroutine, in_a_task_join_throws_goroutine_exited) {
  repeat([] {
    auto t = skein::spawn([]() -> int { skein::exit_goroutine(); });
    EXPECT_THROW(t.join(), skein::goroutine_exited);
    auto own = skein::spawn({.stack = 128 * 1024}, [] { skein::exit_goroutine(); });
    EXPECT_THROW(own.join(), skein::goroutine_exited);
  });
}

// covers: G4 G2
TEST_P(exit_goroutine, of_a_joined_task_does_not_end_the_joiner) {
  repeat([] {
    skein::wait_group wg;
    bool went_on = false;
    wg.go([&] {
      auto t = skein::spawn([] { skein::exit_goroutine(); });
      EXPECT_THROW(t.join(), skein::goroutine_exited);
      went_on = true;
    });
    wg.wait();
    EXPECT_TRUE(went_on);
  });
}

// covers: G4
TEST(exit_goroutine_on, a_plain_thread_is_misuse) { EXPECT_THROW(skein::exit_goroutine(), skein::misuse); }

// covers: G4 R2
TEST(exit_goroutine_on, main_lets_the_others_go_on) {
  for (const int procs : {1, 2, 4, 8}) {
    const auto end = run_child([procs] {
      skein::run(
          [] {
            skein::go([] {
              for (int i = 0; i < 100; ++i) skein::yield();
              skein::sleep_for(std::chrono::milliseconds(1));
              _exit(17);
            });
            skein::exit_goroutine();
          },
          with_procs(procs));
    });
    EXPECT_EQ(end.status, 17) << end.text;
  }
}

struct lock_os_thread : everywhere::on_procs {};
SKEIN_ON_PROCS(lock_os_thread);

// covers: G4 S6
TEST_P(lock_os_thread, keeps_the_thread_across_parks) {
  run([] {
    const int n = static_cast<int>(rounds(500, 1));
    const skein::chan<int> c;
    skein::wait_group wg;
    for (int k = 0; k < 3; ++k)
      wg.go([&] {
        skein::lock_os_thread();
        const int mine = thread_id();
        for (int i = 0; i < n; ++i) {
          c.send(i);
          ASSERT_EQ(thread_id(), mine);
          skein::yield();
          ASSERT_EQ(thread_id(), mine);
          if (i % 100 == 0) skein::sleep_for(std::chrono::microseconds(1));
          ASSERT_EQ(thread_id(), mine);
        }
        skein::unlock_os_thread();
      });
    for (int i = 0; i < 3 * n; ++i) c.recv();
    wg.wait();
  });
}

// covers: G4 S6
TEST_P(lock_os_thread, nobody_else_runs_on_the_thread) {
  run([] {
    std::atomic<int> owned{0};
    std::atomic<int> trespasses{0};
    std::atomic<bool> over{false};
    skein::wait_group wg;
    wg.go([&] {
      skein::lock_os_thread();
      owned = thread_id();
      for (std::uint64_t i = rounds(1000, 1); i > 0; --i) skein::yield();
      owned = 0;
      over = true;
      skein::unlock_os_thread();
    });
    for (int k = 0; k < 8; ++k)
      wg.go([&] {
        while (!over) {
          if (owned == thread_id()) ++trespasses;
          skein::yield();
        }
      });
    wg.wait();
    EXPECT_EQ(trespasses, 0);
  });
}

// covers: G4
TEST_P(lock_os_thread, nests) {
  run([] {
    skein::wait_group wg;
    wg.go([] {
      skein::lock_os_thread();
      skein::lock_os_thread();
      const int mine = thread_id();
      skein::unlock_os_thread();
      for (int i = 0; i < 100; ++i) {
        skein::yield();
        ASSERT_EQ(thread_id(), mine);
      }
      skein::unlock_os_thread();
      EXPECT_THROW(skein::unlock_os_thread(), skein::misuse);
    });
    wg.wait();
  });
}

// covers: G4
TEST_P(lock_os_thread, a_goroutine_that_ends_locked_frees_everybody) {
  run([] {
    for (std::uint64_t i = rounds(100, 1); i > 0; --i) {
      skein::wait_group wg;
      for (int k = 0; k < 4; ++k)
        wg.go([] {
          skein::lock_os_thread();
          skein::yield();
        });
      wg.wait();
      auto t = skein::spawn([] { return 1; });
      ASSERT_EQ(t.join(), 1);
    }
  });
}

// covers: G4 R1
TEST_P(lock_os_thread, works_for_main_and_beside_blocking) {
  run([] {
    skein::lock_os_thread();
    const int mine = thread_id();
    const skein::chan<int> c;
    skein::go([&c] { for (int i = 0; i < 200; ++i) c.send(i); });
    for (int i = 0; i < 200; ++i) {
      ASSERT_EQ(c.recv(), i);
      ASSERT_EQ(thread_id(), mine);
      ASSERT_EQ(skein::blocking([] { return thread_id(); }), mine);
      ASSERT_EQ(thread_id(), mine);
    }
    skein::unlock_os_thread();
  });
}

}  // namespace
