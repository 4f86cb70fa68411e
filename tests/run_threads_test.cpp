// Plain threads: what they may do, and where their goroutines go.
#include <atomic>
#include <chrono>
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/once.hpp"
#include "skein/os/signal.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::scaled;
using everywhere::with_procs;

// covers: R4 C3
TEST(plain_threads, exchange_over_channels_without_a_runtime) {
  const skein::chan<int> c;
  const int n = static_cast<int>(scaled(2000));
  std::vector<std::thread> senders;
  skein::wait_group sending;
  sending.add(3);
  for (int k = 0; k < 3; ++k)
    senders.emplace_back([&] {
      for (int i = 1; i <= n; ++i) c.send(i);
      sending.done();
    });
  std::thread closer([&] { sending.wait(), c.close(); });
  long sum = 0;
  for (const int v : c) sum += v;
  EXPECT_EQ(sum, 3L * n * (n + 1) / 2);
  for (auto& t : senders) t.join();
  closer.join();
}

// covers: R4 L1
TEST(plain_threads, select_without_a_runtime) {
  const skein::chan<int> a;
  const skein::chan<int> b;
  const int n = static_cast<int>(scaled(2000));
  std::thread left([&] { for (int i = 0; i < n; ++i) a.send(1); });
  std::thread right([&] { for (int i = 0; i < n; ++i) EXPECT_EQ(b.recv(), 2); });
  int received = 0;
  int sent = 0;
  while (received < n || sent < n) {
    std::optional<int> v;
    const skein::chan<int> from = received < n ? a : skein::chan<int>(skein::nil);
    const skein::chan<int> to = sent < n ? b : skein::chan<int>(skein::nil);
    skein::select(recv(from, v), send(to, 2)) == 0 ? ++received : ++sent;
  }
  left.join();
  right.join();
  EXPECT_EQ(skein::try_select(recv(a)), -1);
}

// covers: R4 Y1 Y4 Y5
TEST(plain_threads, lock_wait_and_call_once_without_a_runtime) {
  skein::mutex m;
  skein::wait_group wg;
  skein::once o;
  long count = 0;
  int calls = 0;
  const long n = static_cast<long>(scaled(5000));
  std::vector<std::thread> threads;
  wg.add(4);
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&] {
      o.call([&] { ++calls; });
      EXPECT_EQ(calls, 1);
      for (long i = 0; i < n; ++i) {
        std::lock_guard hold(m);
        ++count;
      }
      wg.done();
    });
  wg.wait();
  EXPECT_EQ(count, 4 * n);
  for (auto& t : threads) t.join();
}

// covers: R4 X1 T1
TEST(plain_threads, have_deadlines_and_timers_without_a_runtime) {
  const skein::chan<int> c;
  const auto start = skein::now();
  EXPECT_EQ(c.recv_for(2ms).status(), skein::status::timeout);
  EXPECT_GE(skein::now() - start, 2ms);
  EXPECT_FALSE(c.send_for(1, 1ms));

  const auto before = skein::now();
  EXPECT_GE(skein::after(3ms).recv().value() - before, 3ms);
  EXPECT_EQ(skein::select(recv(c), recv(skein::after(1ms))), 1);
  skein::sleep_for(1ms);

  auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
  EXPECT_EQ(c.recv(ctx).status(), skein::status::canceled);
  EXPECT_EQ(ctx.err(), skein::errc::deadline_exceeded);

  skein::mutex m;
  m.lock();
  EXPECT_FALSE(m.try_lock_for(1ms));
  m.unlock();
  skein::wait_group wg;
  wg.add();
  EXPECT_FALSE(wg.wait_for(1ms));
  wg.done();
  EXPECT_TRUE(wg.wait_for(1h));

  skein::ticker every(1ms);
  auto last = skein::now();
  for (int i = 0; i < 3; ++i) {
    const auto at = every.chan().recv().value();
    EXPECT_GT(at, last);
    last = at;
  }

  const skein::chan<int> done;
  auto f = skein::after_func(1ms, [done] { done.send(1); });
  EXPECT_EQ(done.recv(), 1);
  EXPECT_FALSE(f.stop());
  auto never = skein::after_func(1h, [] {});
  EXPECT_TRUE(never.stop());
  skein::timer t(1h);
  EXPECT_TRUE(t.reset(1ms));
  EXPECT_TRUE(t.chan().recv().has_value());
}

// covers: R4 X1
TEST(plain_threads, a_context_wakes_them) {
  const skein::chan<int> c;
  const skein::chan<int> d;
  auto [ctx, cancel] = skein::with_cancel(skein::background());
  std::vector<std::thread> waiting;
  std::atomic<int> ended{0};
  skein::wait_group wg;
  wg.add();
  for (int i = 0; i < 3; ++i)
    waiting.emplace_back([&, i, ctx] {
      const bool got = i == 0 ? c.recv(ctx).has_value() : i == 1 ? d.send(ctx, 1) : wg.wait(ctx);
      EXPECT_FALSE(got);
      ++ended;
    });
  cancel();
  for (auto& t : waiting) t.join();
  EXPECT_EQ(ended, 3);
  EXPECT_TRUE(ctx.done().try_recv().closed());
}

// covers: R4 C7
TEST(plain_threads, and_goroutines_serve_each_other) {
  skein::runtime r(with_procs(2));
  const skein::chan<int> in;
  const skein::chan<int> out;
  const int n = static_cast<int>(scaled(5000));
  for (int k = 0; k < 3; ++k) r.go([=] { for (const int v : in) out.send(2 * v); });
  std::thread feeder([&] {
    for (int i = 1; i <= n; ++i) in.send(i);
    in.close();
  });
  long sum = 0;
  for (int i = 0; i < n; ++i) sum += out.recv().value();
  EXPECT_EQ(sum, static_cast<long>(n) * (n + 1));
  feeder.join();
}

// covers: R4
TEST(go_on_a_plain_thread, without_a_runtime_throws) {
  EXPECT_THROW(skein::go([] {}), skein::no_runtime);
  EXPECT_THROW(static_cast<void>(skein::spawn([] {})), skein::no_runtime);
  skein::wait_group wg;
  EXPECT_THROW(wg.go([] {}), skein::no_runtime);
  wg.wait();  // what failed to start is not counted
  EXPECT_EQ(skein::num_goroutine(), 0u);
}

// covers: R4 R3
TEST(go_on_a_plain_thread, uses_the_only_runtime) {
  skein::runtime r(with_procs(1));
  const skein::chan<int> c;
  skein::go([c] { c.send(1); });
  EXPECT_EQ(c.recv(), 1);
  EXPECT_EQ(skein::spawn([] { return 2; }).join(), 2);
  EXPECT_EQ(skein::procs(), 1);
}

// covers: R4 R3
TEST(go_on_a_plain_thread, with_two_runtimes_throws_unless_attached) {
  skein::runtime one(everywhere::at_home(1, 1));
  skein::runtime two(everywhere::at_home(2, 3));
  EXPECT_THROW(skein::go([] {}), skein::no_runtime);
  const auto where = [] { return skein::spawn([] { return everywhere::home_here(); }).join(); };
  {
    const skein::runtime::attachment a(two);
    EXPECT_EQ(where(), 2);
    EXPECT_EQ(skein::procs(), 3);
    {
      const skein::runtime::attachment b(one);
      EXPECT_EQ(where(), 1);
    }
    EXPECT_EQ(where(), 2);
    std::thread([] { EXPECT_THROW(skein::go([] {}), skein::no_runtime); }).join();
  }
  EXPECT_THROW(skein::go([] {}), skein::no_runtime);
}

// covers: R4
TEST(go_on_a_plain_thread, a_goroutine_cannot_be_attached) {
  skein::runtime other(with_procs(1));
  skein::run([&] { EXPECT_THROW(skein::runtime::attachment a(other), skein::misuse); });
}

// covers: R4 D1
TEST(plain_threads, may_all_be_the_first_to_wait_for_time_or_a_signal) {
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([] {
      EXPECT_TRUE(skein::after(1us).recv());
      const skein::receiver<int> resized = skein::notify({SIGWINCH});
      EXPECT_TRUE(resized.try_recv().empty());
    });
  for (std::thread& t : threads) t.join();
}

// covers: R4 G4
TEST(plain_threads, the_calls_a_goroutine_makes_about_itself) {
  skein::yield();
  skein::checkpoint();
  skein::lock_os_thread();
  skein::unlock_os_thread();
  EXPECT_EQ(skein::blocking([] { return 3; }), 3);
  EXPECT_EQ(skein::on_system_stack([] { return 4; }), 4);
  EXPECT_THROW(skein::exit_goroutine(), skein::misuse);
}

}  // namespace
