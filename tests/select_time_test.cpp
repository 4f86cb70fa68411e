// Select: timers, contexts, joins, signals and descriptors as cases.
#include <chrono>
#include <csignal>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "skein/context.hpp"
#include "skein/net/poll.hpp"
#include "skein/os/signal.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;

struct select_sources : everywhere::on_procs {};
SKEIN_EVERYWHERE(select_sources);
struct select_kernel : everywhere::on_procs {};
SKEIN_ON_PROCS(select_kernel);

struct elapsed {
  skein::time_point start = skein::now();
  skein::duration operator()() const { return skein::now() - start; }
};

// covers: L3 T1
TEST(select_time, after_ends_a_wait_on_time) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    std::optional<skein::time_point> at;
    EXPECT_EQ(skein::select(recv(c), send(c, 1), recv(skein::after(1s), at)), 2);
    EXPECT_EQ(t(), 1s);
    EXPECT_EQ(at, t.start + 1s);
    EXPECT_EQ(skein::select(recv(c), recv(skein::after(2h)), recv(skein::after(1h))), 2);
    EXPECT_EQ(t(), 1h + 1s);
  });
}

// covers: L3 T1
TEST(select_time, after_nothing_is_ready_at_once) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    EXPECT_EQ(skein::select(recv(c), recv(skein::after(0s))), 1);
    EXPECT_EQ(skein::select(recv(skein::after(-1h)), recv(c)), 0);
    EXPECT_EQ(t(), 0s);
  });
}

// covers: L3
TEST(select_time, a_value_in_time_goes_before_after) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    auto sender = skein::spawn([&] {
      for (int i = 0; i < 5; ++i) {
        skein::sleep_for(10ms);
        c.send(i);
      }
    });
    // Each round has a time-out of its own, which is dropped: an idle time-out.
    std::optional<int> v;
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(skein::select(recv(c, v), recv(skein::after(11ms))), 0);
      EXPECT_EQ(v, i);
    }
    EXPECT_EQ(skein::select(recv(c, v), recv(skein::after(11ms))), 1);
    EXPECT_EQ(t(), 61ms);
    sender.join();
  });
}

// covers: L3 T2
TEST(select_time, a_timer_fires_once_unless_it_is_stopped) {
  in_simulation([] {
    const elapsed t;
    skein::timer once(5ms);
    EXPECT_EQ(skein::select(recv(once.chan()), recv(skein::after(1h))), 0);
    EXPECT_EQ(t(), 5ms);
    EXPECT_EQ(skein::select(recv(once.chan()), recv(skein::after(1h))), 1);
    EXPECT_FALSE(once.stop());
    once.reset(5ms);
    EXPECT_TRUE(once.stop());
    EXPECT_EQ(skein::select(recv(skein::after(1h)), recv(once.chan())), 0);
    once.reset(2ms);
    EXPECT_EQ(skein::select(recv(skein::after(1h)), recv(once.chan())), 1);
    EXPECT_EQ(t(), 2h + 7ms);
  });
}

// covers: L3 T2
TEST(select_time, a_ticker_ticks_beside_other_cases) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    auto sender = skein::spawn([&] {
      for (int i = 0; i < 4; ++i) {
        skein::sleep_for(25ms);
        c.send(i);
      }
      c.close();
    });
    skein::ticker ticker(10ms);
    int ticks = 0;
    int values = 0;
    for (bool open = true; open;)
      skein::select(recv(ticker.chan(), [&](std::optional<skein::time_point>) {
                      ++ticks;
                      EXPECT_EQ(t(), ticks * 10ms);
                    }),
                    recv(c, [&](std::optional<int> v) { open = v.has_value(), values += open; }));
    EXPECT_EQ(values, 4);
    EXPECT_TRUE(ticks == 9 || ticks == 10);  // at 100 ms all three are ready
    sender.join();
  });
}

// covers: L3 T2
TEST(select_time, a_slow_receiver_meets_one_tick_and_no_burst) {
  in_simulation([] {
    const elapsed t;
    skein::ticker ticker(10ms);
    skein::sleep_for(35ms);
    EXPECT_EQ(skein::try_select(recv(ticker.chan())), 0);
    EXPECT_EQ(skein::try_select(recv(ticker.chan())), -1);
    EXPECT_EQ(skein::select(recv(ticker.chan())), 0);
    EXPECT_EQ(t(), 40ms);
  });
}

// covers: L3 X1
TEST(select_time, contexts_end_a_select_when_they_end) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    auto [parent, cancel] = skein::with_cancel(skein::background());
    {
      auto [ctx, cancel_child] = skein::with_timeout(parent, 10ms);
      EXPECT_EQ(skein::select(recv(c), recv(ctx.done())), 1);
      EXPECT_EQ(t(), 10ms);
      EXPECT_EQ(ctx.err(), skein::errc::deadline_exceeded);
    }
    auto [ctx, cancel_child] = skein::with_timeout(parent, 1h);
    auto canceler = skein::spawn([&] {
      skein::sleep_for(5ms);
      cancel();
    });
    EXPECT_EQ(skein::select(recv(ctx.done()), send(c, 1)), 0);
    EXPECT_EQ(t(), 15ms);
    EXPECT_EQ(ctx.err(), skein::errc::canceled);
    EXPECT_EQ(skein::try_select(recv(ctx.done())), 0);
    EXPECT_EQ(skein::try_select(recv(skein::background().done())), -1);
    canceler.join();
  });
}

// covers: L3 G2
TEST_P(select_sources, a_join_can_be_waited_for) {
  repeat([] {
    const skein::chan<int> gate;
    auto task = skein::spawn([&] { return gate.recv().value(); });
    const skein::receiver<skein::unit> done = task.done();
    EXPECT_EQ(skein::try_select(recv(done), recv(task.done())), -1);
    gate.send(1);
    std::optional<skein::unit> v = skein::unit{};
    EXPECT_EQ(skein::select(recv(done, v), recv(skein::chan<int>(skein::nil))), 0);
    EXPECT_EQ(v, std::nullopt);  // closed, not sent
    EXPECT_EQ(task.join(), 1);
    EXPECT_EQ(skein::try_select(recv(done)), 0);
  });
}

// covers: L3 X1
TEST_P(select_sources, a_cancel_is_seen_by_every_select) {
  repeat([&] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    const skein::chan<int> never;
    std::vector<skein::task<int>> waiters;
    until_parked(5, [&] {
      for (int i = 0; i < 5; ++i)
        waiters.push_back(skein::spawn([&] { return skein::select(recv(never), recv(ctx.done())); }));
    });
    cancel();
    for (auto& w : waiters) EXPECT_EQ(w.join(), 1);
  }, 100);
}

// covers: L3
TEST_P(select_kernel, a_signal_is_a_case) {
  run([] {
    const skein::receiver<int> signals = skein::notify({SIGUSR1, SIGUSR2});
    const skein::chan<int> never;
    std::optional<int> got;
    for (const int s : {SIGUSR1, SIGUSR2, SIGUSR1}) {
      EXPECT_EQ(skein::try_select(recv(signals, got)), -1);
      kill(getpid(), s);
      EXPECT_EQ(skein::select(recv(never), recv(signals, got)), 1);
      EXPECT_EQ(got, s);
    }
  });
}

// covers: L3
TEST_P(select_kernel, a_descriptor_is_a_case) {
  run([] {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    const skein::chan<int> c(1);
    const char sent = 'x';
    char received = 0;
    for (int i = 0; i < 100; ++i) {
      c.send(i);
      EXPECT_EQ(skein::select(recv(c), recv(skein::readable(ends[0]))), 0);
      auto writer = skein::spawn([&] { EXPECT_EQ(write(ends[1], &sent, 1), 1); });
      EXPECT_EQ(skein::select(recv(c), recv(skein::readable(ends[0]))), 1);
      EXPECT_EQ(read(ends[0], &received, 1), 1);
      EXPECT_EQ(skein::select(recv(c), recv(skein::writable(ends[1]))), 1);
      writer.join();
    }
    close(ends[0]);
    close(ends[1]);
  });
}

// covers: L3 T2
TEST_P(select_sources, a_select_in_a_loop_leaves_no_timers_behind) {
  const std::uint64_t count = rounds(100'000, 20);
  run([&] {
    const skein::chan<int> c(1);
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    const auto loop = [&](std::uint64_t n) {
      for (; n > 0; --n) {
        c.send(1);
        EXPECT_EQ(skein::select(recv(c), recv(skein::after(1h)), recv(skein::timer(24h).chan())), 0);
        EXPECT_EQ(skein::try_select(recv(skein::after(1h)), recv(ctx.done()), recv(skein::tick(1h))), -1);
        auto [child, cancel_child] = skein::with_timeout(ctx, 1h);
        c.send(1);
        EXPECT_EQ(skein::select(recv(child.done()), recv(c)), 1);
        EXPECT_TRUE(c.try_recv().empty());
        EXPECT_EQ(c.recv_for(0s).status(), skein::status::timeout);
      }
    };
    loop(count / 10 + 1);  // what is allocated once
    const std::size_t before = everywhere::memory_in_use();
    loop(count);
    const std::size_t after = everywhere::memory_in_use();
    // Four timers a round that stayed would be 50 MiB and more.
    EXPECT_LT(after, before + (std::size_t{4} << 20));
  });
}

}  // namespace
