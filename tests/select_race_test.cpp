// Select and timed forms: two events at one moment. Exactly one of both counts.
#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct select_race : everywhere::on_procs {};
SKEIN_EVERYWHERE(select_race);

// tally: what the two sides of a race say about the same values.
struct tally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  void add(std::uint64_t v) {
    ++count;
    sum += v;
  }
  friend bool operator==(const tally&, const tally&) = default;
};

// A time too short to say whether it or the partner is first.
std::chrono::nanoseconds moment(everywhere::dice& d) { return std::chrono::nanoseconds(d.below(2000)); }

using channel = skein::chan<std::uint64_t>;

// exchange() sends 1 to count while another receives, both with short time limits, and compares what each
// says of it. send_one(c, i, dice) tells whether i was sent; receive(c, received, dice) takes one or gives
// up, and is false when c is closed.
template <class S, class R> void exchange(std::uint64_t count, S send_one, R receive) {
  const channel c;
  tally sent;
  tally received;
  auto sender = skein::spawn([&] {
    everywhere::dice d(1);
    for (std::uint64_t i = 1; i <= count; ++i)
      if (send_one(c, i, d)) sent.add(i);
    c.close();
  });
  everywhere::dice d(2);
  while (receive(c, received, d)) {
  }
  sender.join();
  EXPECT_EQ(sent, received);
}

// covers: L4 C4
TEST_P(select_race, a_time_out_against_a_send) {
  const std::uint64_t count = rounds(1'000'000, 10);
  run([&] {
    exchange(
        count,
        [](const channel& c, std::uint64_t i, everywhere::dice& d) {
          return static_cast<bool>(i % 2 == 0 ? c.send_for(i, moment(d)) : c.try_send(i));
        },
        [](const channel& c, tally& received, everywhere::dice& d) {
          auto r = c.recv_for(moment(d));
          if (r.closed()) return false;
          if (r) received.add(*std::move(r));
          return true;
        });
  });
}

// covers: L3 L4
TEST_P(select_race, after_against_a_send) {
  const std::uint64_t count = rounds(100'000, 10);
  run([&] {
    exchange(
        count,
        [](const channel& c, std::uint64_t i, everywhere::dice& d) {
          return skein::select(send(c, i), recv(skein::after(moment(d)))) == 0;
        },
        [](const channel& c, tally& received, everywhere::dice& d) {
          std::optional<std::uint64_t> v;
          if (skein::select(recv(skein::after(moment(d))), recv(c, v)) == 0) return true;
          if (v) received.add(*v);
          return v.has_value();
        });
  });
}

// covers: L4 C4 X1
TEST_P(select_race, a_cancel_against_a_send) {
  repeat([] {
    const skein::chan<int> c;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    bool sent = false;
    auto canceler = skein::spawn([&] { cancel(); });
    auto sender = skein::spawn([&] { sent = c.send(ctx, 1); });
    const auto r = c.recv(ctx);
    canceler.join();
    sender.join();
    EXPECT_EQ(sent, r.has_value());
    if (!sent) {
      EXPECT_EQ(r.status(), skein::status::canceled);
    }
    EXPECT_TRUE(c.try_recv().empty());
  }, 10'000);
}

// covers: L3 T2
TEST_P(select_race, a_stop_against_a_firing) {
  const std::uint64_t count = rounds(50'000, 10);
  run([&] {
    everywhere::dice d(1);
    for (std::uint64_t i = 0; i < count && !HasFailure(); ++i) {
      skein::timer t(moment(d));
      const skein::chan<skein::unit> quit;
      std::atomic<bool> fired = false;
      auto receiver = skein::spawn([&] { fired = skein::select(recv(t.chan()), recv(quit)) == 0; });
      if (d.one_in(2)) skein::yield();
      const bool stopped = t.stop();
      if (stopped) quit.close();
      receiver.join();
      EXPECT_NE(stopped, fired);
    }
  });
}

// Waits without sleeping, so that both threads keep a core where there are two.
void await(const std::atomic<int>& word, int value) {
  for (int spins = 0; word != value; ++spins)
    if (spins % 10'000 == 9'999) std::this_thread::yield();
}

// covers: L1 L2 R4
TEST(select_race_threads, try_select_sees_all_its_cases_at_one_moment) {
  // c1 is full; while the other thread looks, c2 is filled and then c1 drained, so one of both is
  // ready at every moment. The many cases between them give the looker time to miss both.
  const int count = static_cast<int>(everywhere::scaled(20'000));
  const skein::chan<int> c1(1);
  const skein::chan<int> c2(1);
  std::atomic<int> round = 0;
  std::atomic<int> looked = 0;
  std::atomic<int> misses = 0;
  std::thread looker([&] {
    std::vector<skein::any_case> cases;
    cases.emplace_back(recv(c1));
    for (int i = 0; i < 100; ++i) cases.emplace_back(recv(skein::chan<int>()));
    cases.emplace_back(recv(c2));
    for (int i = 1; i <= count; ++i) {
      await(round, i);
      misses += skein::try_select(std::span(cases)) == -1;
      looked = i;
    }
  });
  for (int i = 1; i <= count; ++i) {
    c1.send(1);
    round = i;
    for (int n = i % 1000; n > 0; --n) round.load();  // a little later each time
    c2.send(1);
    (void)c1.try_recv();
    await(looked, i);
    (void)c1.try_recv();
    (void)c2.try_recv();
  }
  looker.join();
  EXPECT_EQ(misses, 0);
}

// covers: C2 C3
TEST_P(select_race, a_close_against_sends) {
  repeat([] {
    const skein::chan<int> c(1);
    std::atomic<int> sent = 0;
    std::atomic<int> refused = 0;
    skein::wait_group wg;
    for (int s = 0; s < 3; ++s)
      wg.go([&, s] {
        try {
          if (s == 0)
            skein::select(send(c, s), recv(skein::chan<int>(skein::nil)));
          else
            c.send(s);
          ++sent;
        } catch (const skein::closed_channel&) {
          ++refused;
        }
      });
    int received = 0;
    received += c.recv().has_value();
    c.close();
    while (c.recv()) ++received;
    wg.wait();
    EXPECT_EQ(sent + refused, 3);
    EXPECT_EQ(sent, received);
  }, 10'000);
}

// covers: L2 L4
TEST_P(select_race, two_selects_that_cross_two_channels_in_opposite_order) {
  const std::uint64_t count = rounds(1'000'000, 20);
  run([&] {
    const skein::chan<std::uint64_t> a;
    const skein::chan<std::uint64_t> b;
    // Each side counts what it sent and received; either case of one meets one case of the other.
    const auto side = [count](const skein::chan<std::uint64_t>& out, const skein::chan<std::uint64_t>& in) {
      tally sent;
      tally received;
      for (std::uint64_t i = 1; i <= count; ++i) {
        std::optional<std::uint64_t> v;
        if (skein::select(send(out, i), recv(in, v)) == 0)
          sent.add(i);
        else
          received.add(*v);
      }
      return std::pair(sent, received);
    };
    auto first = skein::spawn([&] { return side(a, b); });
    const auto [sent, received] = side(b, a);
    const auto [other_sent, other_received] = first.join();
    EXPECT_EQ(sent, other_received);
    EXPECT_EQ(received, other_sent);
    EXPECT_EQ(sent.count + received.count, count);
  });
}

}  // namespace
