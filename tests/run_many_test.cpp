// Many runtimes, in a row and at once, and threads that come and go: nothing is left behind.
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <malloc.h>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::at_home;
using everywhere::home_here;
using everywhere::os_pipe;
using everywhere::scaled;
using everywhere::with_procs;

// leaves_nothing(round) plays a round twice to warm up, then again, after which the process has as many
// threads, descriptors and mappings as before.
void leaves_nothing(const std::function<void()>& round) {
  mallopt(M_ARENA_MAX, 1);  // each new one would be a mapping or two
  for (int i = 0; i < 2; ++i) round();
  const auto threads = everywhere::count_threads();
  const auto fds = everywhere::count_fds();
  const auto mappings = everywhere::count_mappings();
  round();
  // A thread that has ended is listed until the kernel has put it away.
  while (everywhere::count_threads() > threads) std::this_thread::yield();
  if (everywhere::sanitized) return;  // for a leak checker ended runtimes are kept
  EXPECT_EQ(everywhere::count_fds(), fds);
  EXPECT_LE(everywhere::count_mappings(), mappings + 12);  // the C library keeps a few stacks of ended threads
}

// world: what several runtimes share.
struct world {
  skein::chan<int> jobs;
  skein::chan<int> never;
  skein::mutex m;
  long sum = 0;  // under m
  skein::cancelable ctx = skein::with_cancel(skein::background());
  os_pipe p;
};

// A runtime with goroutines that take jobs until they are told to leave, and others that only wait, in
// all kinds of ways, and are not told.
class member {
 public:
  member(world& w, int number, int procs) : runtime_(at_home(number, procs)) {
    for (int i = 0; i < 3; ++i) {
      working_.add();
      runtime_.go([this, &w, number] {
        take_jobs(w, number);
        working_.done();
      });
    }
    runtime_.go([&w] { skein::wait_readable(w.p.in); });
    runtime_.go([&w] { w.ctx.ctx.done().recv(); });
    runtime_.go([&w] { for (;;) static_cast<void>(w.never.recv_for(50us)); });
    runtime_.go([&w] { for (;;) skein::select(recv(w.never), recv(skein::after(20us)), recv(w.ctx.ctx.done())); });
    runtime_.go([&w] {
      for (;;) {
        auto [ctx, cancel] = skein::with_timeout(w.ctx.ctx, 30us);
        static_cast<void>(w.never.recv(ctx));
      }
    });
  }
  ~member() {
    leave_.close();
    working_.wait();
  }

 private:
  void take_jobs(world& w, int number) const {
    for (;;) {
      std::optional<int> job;
      const int which = skein::select(recv(w.jobs, job), recv(leave_), recv(skein::after(100us)));
      EXPECT_EQ(home_here(), number);
      if (which == 1) return;
      if (!job) continue;
      const std::lock_guard hold(w.m);
      EXPECT_EQ(home_here(), number);
      w.sum += *job;
    }
  }

  skein::chan<int> leave_;
  skein::wait_group working_;
  skein::runtime runtime_;  // ends first
};

struct runtimes : everywhere::on_procs {};
INSTANTIATE_TEST_SUITE_P(procs, runtimes, ::testing::Values(1, 2, 4), everywhere::place_name);

// covers: R3 R2
TEST_P(runtimes, twenty_in_a_row_leave_nothing) {
  leaves_nothing([] {
    for (int i = 0; i < 20; ++i) {
      world w;
      const member only(w, 1, GetParam());
      for (int job = 1; job <= 10; ++job) w.jobs.send(job);
    }
  });
}

// covers: R3 R2 C7
TEST_P(runtimes, four_at_once_go_on_while_one_after_another_ends) {
  leaves_nothing([] {
    world w;
    std::vector<std::unique_ptr<member>> members;
    for (int k = 1; k <= 4; ++k) members.push_back(std::make_unique<member>(w, k, GetParam()));
    const int n = static_cast<int>(scaled(2000));
    for (int job = 1; job <= n; ++job) {
      w.jobs.send(job);
      if (job % (n / 4 + 1) == 0) members.erase(members.begin());
    }
    members.clear();
    EXPECT_EQ(w.sum, static_cast<long>(n) * (n + 1) / 2);
  });
}

// covers: R3 R4
TEST_P(runtimes, serve_thousands_of_threads_that_come_and_go) {
  leaves_nothing([] {
    skein::runtime one(at_home(1, GetParam()));
    skein::runtime two(at_home(2, GetParam()));
    const skein::chan<int> there;
    const skein::chan<int> back;
    const skein::chan<int> never;
    skein::mutex m;
    int under_lock = 0;
    for (skein::runtime* r : {&one, &two}) r->go([there, back] { for (const int v : there) back.send(v); });
    const auto visit = [&](int home) {
      const skein::runtime::attachment here(home == 1 ? one : two);
      EXPECT_EQ(skein::spawn([] { return home_here(); }).join(), home);
      EXPECT_EQ(skein::select(send(there, 1), recv(skein::after(1h))), 0);
      EXPECT_TRUE(back.recv_for(1h).has_value());
      EXPECT_EQ(never.recv_for(1us).status(), skein::status::timeout);
      if (!m.try_lock_for(1h)) return;
      ++under_lock;
      m.unlock();
    };
    const int batches = static_cast<int>(scaled(100));
    constexpr int at_once = 10;
    for (int b = 0; b < batches; ++b) {
      std::vector<std::thread> threads;
      for (int i = 0; i < at_once; ++i) threads.emplace_back(visit, i % 2 + 1);
      for (auto& t : threads) t.join();
    }
    EXPECT_EQ(under_lock, batches * at_once);
    there.close();
  });
}

}  // namespace
