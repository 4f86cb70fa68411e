// Channels and select from plain threads, alone and together with goroutines.
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;

// Threads and processors; there is no simulation of threads.
struct chan_threads : everywhere::on_procs {
  void SetUp() override { received_ = sent_ = 0; }

  void sender(const skein::chan<int>& c, int count) {
    for (int i = 1; i <= count; ++i) c.send(i), ++sent_;
  }
  void receiver(const skein::chan<int>& c) {
    for (const int v : c) received_ += v > 0;
  }

  std::atomic<int> sent_ = 0;
  std::atomic<int> received_ = 0;
};
SKEIN_ON_PROCS(chan_threads);

// covers: R4 C1 C2 C3
TEST(chan_threads_alone, threads_need_no_runtime) {
  const int count = static_cast<int>(everywhere::scaled(10'000));
  for (const std::size_t capacity : {0u, 4u}) {
    const skein::chan<int> c(capacity);
    long sum = 0;
    std::thread sender([&] {
      for (int i = 1; i <= count; ++i) c.send(i);
      c.close();
    });
    int last = 0;
    for (const int v : c) {
      EXPECT_EQ(v, ++last);
      sum += v;
    }
    sender.join();
    EXPECT_EQ(sum, static_cast<long>(count) * (count + 1) / 2);
    EXPECT_THROW(c.send(1), skein::closed_channel);
  }
}

// covers: R4 L1 L2
TEST(chan_threads_alone, selects_of_threads_cross) {
  const int count = static_cast<int>(everywhere::scaled(10'000));
  const skein::chan<int> a;
  const skein::chan<int> b;
  int sent[2] = {};
  const auto side = [&](int who, const skein::chan<int>& out, const skein::chan<int>& in) {
    for (int i = 0; i < count; ++i) sent[who] += skein::select(send(out, i), recv(in)) == 0;
  };
  std::thread other([&] { side(1, b, a); });
  side(0, a, b);
  other.join();
  EXPECT_EQ(sent[0] + sent[1], count);
}

// covers: R4 C4 L3 L4
TEST(chan_threads_alone, time_ends_the_waits_of_threads) {
  const skein::chan<int> c;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(c.recv_for(2ms).status(), skein::status::timeout);
  EXPECT_FALSE(c.send_for(1, 2ms));
  EXPECT_EQ(skein::select(recv(c), recv(skein::after(2ms))), 1);
  auto [ctx, cancel] = skein::with_timeout(skein::background(), 2ms);
  EXPECT_EQ(c.recv(ctx).status(), skein::status::canceled);
  EXPECT_EQ(ctx.err(), skein::errc::deadline_exceeded);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 8ms);  // never early; how late is not said
}

// covers: R4 C4 L4
TEST(chan_threads_alone, a_cancel_ends_the_waits_of_threads) {
  const skein::chan<std::string> c;
  const skein::cancelable scope = skein::with_cancel(skein::background());
  const skein::context& ctx = scope.ctx;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(skein::chan<int>(skein::nil).recv(ctx).status(), skein::status::canceled); });
    threads.emplace_back([&] {
      std::string mine(50, 'm');
      EXPECT_FALSE(c.send(ctx, std::move(mine)));
      EXPECT_EQ(mine, std::string(50, 'm'));
    });
    threads.emplace_back([&] { skein::select(recv(ctx.done()), recv(skein::chan<int>(skein::nil))); });
  }
  scope.cancel();
  for (std::thread& t : threads) t.join();
}

// covers: R4 C2 C3
TEST(chan_threads_alone, close_wakes_every_thread) {
  for (std::uint64_t i = everywhere::scaled(200); i > 0; --i) {
    const skein::chan<int> in;
    const skein::chan<int> out;
    const skein::chan<int> never = skein::nil;
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] { EXPECT_EQ(in.recv(), std::nullopt); });
      threads.emplace_back([&] { EXPECT_THROW(out.send(1), skein::closed_channel); });
      threads.emplace_back([&] { EXPECT_THROW(skein::select(send(out, 1), recv(never)), skein::closed_channel); });
    }
    in.close();
    out.close();
    for (std::thread& t : threads) t.join();
  }
}

// covers: R4 C6
TEST_P(chan_threads, threads_send_to_goroutines) {
  const int count = static_cast<int>(everywhere::scaled(3000));
  run([&] {
    const skein::chan<int> c(2);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) threads.emplace_back([&] { sender(c, count); });
    skein::wait_group receivers;
    for (int g = 0; g < 3; ++g) receivers.go([&] { receiver(c); });
    skein::blocking([&] {
      for (std::thread& t : threads) t.join();
    });
    c.close();
    receivers.wait();
  });
  EXPECT_EQ(sent_, 3 * count);
  EXPECT_EQ(received_, 3 * count);
}

// covers: R4 C6
TEST_P(chan_threads, goroutines_send_to_threads) {
  const int count = static_cast<int>(everywhere::scaled(3000));
  run([&] {
    const skein::chan<int> c;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) threads.emplace_back([&] { receiver(c); });
    skein::wait_group senders;
    for (int g = 0; g < 3; ++g) senders.go([&] { sender(c, count); });
    senders.wait();
    c.close();
    skein::blocking([&] {
      for (std::thread& t : threads) t.join();
    });
  });
  EXPECT_EQ(sent_, 3 * count);
  EXPECT_EQ(received_, 3 * count);
}

// covers: R4 L2 L4
TEST_P(chan_threads, everybody_selects_against_everybody) {
  const int count = static_cast<int>(everywhere::scaled(2000));
  run([&] {
    const skein::chan<int> a;
    const skein::chan<int> b(1);
    const skein::chan<int> stop;
    // Sends and receives as often as it can; whoever sends the last one stops all.
    const auto everything = [&] {
      for (;;) {
        switch (skein::select(send(a, 1), recv(b), recv(a), send(b, 1), recv(stop))) {
          case 0:
          case 3:
            if (++sent_ == count) stop.close();
            break;
          case 4: return;
          default: ++received_;
        }
      }
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) threads.emplace_back(everything);
    skein::wait_group wg;
    for (int g = 0; g < 3; ++g) wg.go(everything);
    wg.wait();
    skein::blocking([&] {
      for (std::thread& t : threads) t.join();
    });
    received_ += static_cast<int>(b.size());
  });
  EXPECT_EQ(sent_, received_);
}

// covers: R4 C7
TEST_P(chan_threads, channels_order_memory_between_threads_and_goroutines) {
  for (std::uint64_t i = everywhere::scaled(50); i > 0; --i)
    run([&] {
      const skein::chan<int> there;
      const skein::chan<int> back(1);
      const skein::chan<int> closed;
      std::string data = "one";
      std::thread t([&] {
        there.recv();
        data += " two";
        back.send(0);
        closed.recv();
        data += " four";
        skein::select(send(there, 0), recv(skein::chan<int>(skein::nil)));
      });
      there.send(0);
      back.recv();
      data += " three";
      closed.close();
      there.recv();
      EXPECT_EQ(data, "one two three four");
      skein::blocking([&] { t.join(); });
    });
}

// covers: R4 R3 C1
TEST_P(chan_threads, two_runtimes_and_a_thread_share_a_channel) {
  const int count = static_cast<int>(everywhere::scaled(3000));
  skein::options o;
  o.procs = GetParam();
  const skein::chan<int> c;
  skein::wait_group receivers;
  {
    skein::runtime first(o);
    skein::runtime second(o);
    for (int g = 0; g < 2; ++g) {
      first.run([&] { receivers.go([&] { receiver(c); }); });
      second.run([&] { receivers.go([&] { receiver(c); }); });
    }
    std::thread other([&] { first.run([&] { sender(c, count); }); });
    sender(c, count);
    second.run([&] { sender(c, count); });
    other.join();
    c.close();
    receivers.wait();
  }
  EXPECT_EQ(sent_, 3 * count);
  EXPECT_EQ(received_, 3 * count);
}

}  // namespace
