// Ending: what is left behind, what outlives it, and that nothing piles up.
#include <atomic>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <unistd.h>

#include "skein/atomic_wait.hpp"
#include "skein/barrier.hpp"
#include "skein/chan.hpp"
#include "skein/condition_variable.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/semaphore.hpp"
#include "skein/shared_mutex.hpp"
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

// covers: R2
TEST(end_of_run, a_lock_held_by_one_who_waits_stays_locked) {
  skein::mutex m;
  skein::chan<int> c;
  skein::run([&] {
    skein::go([&] {
      std::lock_guard hold(m);
      c.send(1);
      c.recv();
    });
    c.recv();
  });
  EXPECT_FALSE(m.try_lock());
}

// covers: R2
TEST(end_of_run, goroutines_that_never_ran_do_not_run) {
  std::atomic<int> ran{0};
  skein::run([&] { for (int i = 0; i < 100; ++i) skein::go([&] { ++ran; }); }, with_procs(1));
  const int then = ran;
  skein::run([] { for (int i = 0; i < 100; ++i) skein::yield(); });
  EXPECT_EQ(ran, then);
}

// stops: counts the worker threads that have ended, left behind or not.
struct stops {
  std::atomic<int> threads{0};
  skein::options options(int procs) {
    skein::options o = with_procs(procs);
    o.stop_grace = 1ms;
    o.on_thread_start = [this] { ++threads; };
    o.on_thread_stop = [this] {
      if (--threads == 0) threads.notify_all();
    };
    return o;
  }
  void await() {
    for (int n; (n = threads) != 0;) threads.wait(n);
  }
};

// covers: R2 S6
TEST(end_of_run, a_thread_in_a_blocking_read_is_left_behind_and_stays_out) {
  for (const int procs : {1, 4}) {
    const os_pipe p;
    stops s;
    std::atomic<int> steps{0};
    skein::chan<int> c;
    EXPECT_EQ(skein::run(
                  [&] {
                    skein::go([&] {
                      c.send(1);
                      skein::blocking([&] { return p.take(); });
                      ++steps;
                    });
                    c.recv();
                    return 3;
                  },
                  s.options(procs)),
              3);
    p.put();
    s.await();
    EXPECT_EQ(steps, 0);
  }
}

// covers: R2 S4
TEST(end_of_run, user_code_that_spins_is_left_behind_and_parks_at_its_next_entry) {
  for (const int procs : {1, 2, 8}) {
    stops s;
    std::atomic<bool> spinning{false};
    std::atomic<bool> enough{false};
    std::atomic<int> steps{0};
    skein::run(
        [&] {
          skein::go([&] {
            spinning = true;
            while (!enough) {
            }
            skein::checkpoint();
            ++steps;
          });
          while (!spinning) skein::yield();
        },
        s.options(procs));
    enough = true;
    s.await();
    EXPECT_EQ(steps, 0);
  }
}

// covers: R2
TEST(end_of_run, wait_all_waits_for_everybody) {
  for (const int procs : {1, 2, 4, 8}) {
    skein::options o = with_procs(procs);
    o.on_exit = skein::on_exit::wait_all;
    std::atomic<int> ended{0};
    const int n = static_cast<int>(scaled(200));
    EXPECT_EQ(skein::run(
                  [&] {
                    for (int i = 0; i < n; ++i)
                      skein::go([&, i] {
                        if (i % 3 == 0) skein::yield();
                        if (i % 5 == 0) skein::sleep_for(1us);
                        skein::go([&] { ++ended; });
                        ++ended;
                      });
                    return 9;
                  },
                  o),
              9);
    EXPECT_EQ(ended, 2 * n);
  }
}

// covers: R2 R1
TEST(end_of_run, wait_all_does_not_hold_an_exception_back) {
  skein::options o;
  o.on_exit = skein::on_exit::wait_all;
  skein::chan<int> c;
  EXPECT_THROW(skein::run([&] {
    skein::go([&] { c.recv(); });
    throw std::runtime_error("at once");
  }, o), std::runtime_error);
}

// covers: R2 T2
TEST(end_of_run, handles_may_outlive_the_runtime_they_were_made_on) {
  for (const int procs : {1, 4}) {
    const os_pipe p;
    std::optional<skein::timer> t;
    std::optional<skein::ticker> every;
    std::optional<skein::func_timer> f;
    std::optional<skein::receiver<skein::time_point>> later;
    std::optional<skein::receiver<skein::unit>> readable;
    std::optional<skein::cancelable> ctx;
    std::optional<skein::task<int>> done;
    std::atomic<int> fired{0};
    skein::run(
        [&] {
          t.emplace(1h);
          every.emplace(1h);
          f.emplace(skein::after_func(1h, [&] { ++fired; }));
          later.emplace(skein::after(1h));
          readable.emplace(skein::readable(p.in));
          ctx.emplace(skein::with_timeout(skein::background(), 1h));
          done.emplace(skein::spawn([] { return 5; }));
          while (done->done().try_recv().empty()) skein::yield();
        },
        with_procs(procs));
    EXPECT_TRUE(t->chan().try_recv().empty());
    t->stop();
    every->stop();
    f->stop();
    later.reset();
    readable.reset();
    EXPECT_FALSE(ctx->ctx.err());
    ctx->cancel();
    EXPECT_EQ(ctx->ctx.err(), skein::errc::canceled);
    EXPECT_EQ(done->join(), 5);
    t->reset(0s);
    EXPECT_TRUE(t->chan().recv().has_value());
    EXPECT_EQ(fired, 0);
  }
}

// covers: R2 R4
TEST(end_of_run, threads_may_start_goroutines_meanwhile) {
  for (std::uint64_t i = scaled(200); i > 0; --i) {
    std::optional<skein::runtime> r(with_procs(2));
    std::atomic<int> started{0};
    std::thread outside([&] {
      try {
        for (;; ++started) {
          skein::go([] {});
          skein::go([ballast = std::vector<int>(10)] { static_cast<void>(ballast); });
          static_cast<void>(skein::stats());
          static_cast<void>(skein::num_goroutine() + static_cast<std::size_t>(skein::procs()));
        }
      } catch (const skein::no_runtime&) {
      }
    });
    while (started < 3) std::this_thread::yield();
    r.reset();
    outside.join();
  }
}

// covers: R2 G2
TEST(end_of_run, those_who_wait_for_a_task_learn_that_it_never_ends) {
  for (std::uint64_t i = scaled(100); i > 0; --i) {
    skein::runtime other(with_procs(2));
    std::optional<skein::runtime> r(with_procs(1));
    const skein::chan<int> never;
    skein::wait_group parked;
    parked.add(3);
    const auto start = [&] {
      return r->run([&] {
        return skein::spawn({.stack = 128 * 1024}, [&] { return parked.done(), never.recv().value(); });
      });
    };
    auto for_a_thread = start();
    auto for_a_goroutine = start();
    auto for_later = start();
    parked.wait();
    std::thread thread([&] { EXPECT_THROW(for_a_thread.join(), skein::goroutine_exited); });
    auto told = skein::chan<int>();
    other.go([&, told] {
      skein::select(recv(for_a_goroutine.done()));
      told.send(1);
    });
    r.reset();
    thread.join();
    told.recv();
    EXPECT_THROW(for_a_goroutine.join(), skein::goroutine_exited);
    for_later.wait();  // and its destructor does not wait either
  }
}

// covers: R2 G2 S4
TEST(end_of_run, a_task_left_behind_may_still_end_unless_it_uses_skein) {
  for (const bool uses_skein : {false, true}) {
    if (uses_skein && everywhere::sanitized) continue;  // what it owns leaks, as it must
    stops s;
    std::atomic<bool> spinning{false};
    std::atomic<bool> enough{false};
    std::optional<skein::task<int>> t;
    skein::run(
        [&] {
          t = skein::spawn({.stack = 128 * 1024}, [&] {
            spinning = true;
            while (!enough) {
            }
            if (uses_skein) skein::checkpoint();
            return 7;
          });
          while (!spinning) skein::yield();
        },
        s.options(2));
    EXPECT_FALSE(t->wait_for(1ms));
    enough = true;
    if (uses_skein)
      EXPECT_THROW(t->join(), skein::goroutine_exited);
    else
      EXPECT_EQ(t->join(), 7);
    s.await();
  }
}

// covers: R2
TEST(end_of_run, what_main_owned_may_go_before_those_who_wait_for_it) {
  for (const int procs : {1, 4}) {
    const auto end = everywhere::run_child([procs] {
      alarm(20);  // it hangs if it fails
      for (std::uint64_t i = scaled(200); i > 0; --i)
        skein::run(
            [] {
              skein::chan<int> c;
              skein::mutex m;
              skein::wait_group wg;
              wg.add();
              m.lock();
              const auto before = skein::stats().parks;
              skein::go([&] { c.recv(); });
              skein::go([&] { skein::select(recv(c), recv(skein::receiver<int>(skein::nil))); });
              skein::go([&] { m.lock(); });
              skein::go([&] { wg.wait(); });
              skein::condition_variable cv;
              skein::semaphore sem(0);
              skein::shared_mutex rw;
              skein::barrier step(2);
              std::atomic<int> value{0};
              rw.lock();
              skein::go([&] {
                skein::mutex own;
                std::unique_lock hold(own);
                cv.wait_for(hold, std::chrono::hours(1));
              });
              skein::go([&] { (void)sem.try_acquire_for(std::chrono::hours(1)); });
              skein::go([&] { rw.lock(); });
              skein::go([&] { rw.lock_shared(); });
              skein::go([&] { step.arrive_and_wait(); });
              skein::go([&] { skein::atomic_wait(value, 0); });
              while (skein::stats().parks - before < 10) skein::yield();
            },
            with_procs(procs));
    });
    EXPECT_EQ(end.status, 0) << end.signal << end.text;
  }
}

// covers: R2 R3
TEST(end_of_run, a_thousand_runs_in_a_row_leave_nothing_behind) {
  const os_pipe p;
  const skein::chan<int> c;
  const auto once = [&] {
    skein::run(
        [&] {
          auto t = skein::spawn([&] { return c.recv(); });
          c.send(1);
          t.join();
          skein::go([&] { c.recv(); });
          skein::go([] { skein::sleep_for(1h); });
          skein::go([&] { skein::wait_readable(p.in); });
          for (int i = 0; i < 3; ++i) skein::yield();
        },
        with_procs(4));
  };
  for (int i = 0; i < 10; ++i) once();
  const auto threads = everywhere::count_threads();
  const auto fds = everywhere::count_fds();
  const auto mappings = everywhere::count_mappings();
  const auto memory = everywhere::memory_in_use();
  const std::uint64_t rounds = scaled(1000);
  for (std::uint64_t i = rounds; i > 0; --i) once();
  // The last threads may still be on their way out.
  EXPECT_LE(everywhere::count_threads(), threads + 8);
  if (!everywhere::sanitized) {  // for a leak checker ended runtimes are kept
    EXPECT_EQ(everywhere::count_fds(), fds);
    EXPECT_LE(everywhere::count_mappings(), mappings + 50);
    EXPECT_LE(everywhere::memory_in_use(), memory + rounds * 512 + (4 << 20));
  }
}

}  // namespace
