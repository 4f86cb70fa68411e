// Channels: whatever goes on, no value is lost and none is doubled.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;

struct chan_conservation : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_conservation);

// tally: how many values, and two sums that a lost, doubled or changed value upsets.
struct tally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  std::uint64_t mix = 0;
  void add(std::uint64_t v) {
    ++count;
    sum += v;
    mix ^= everywhere::dice(v).roll();
  }
  tally& operator+=(const tally& o) {
    count += o.count;
    sum += o.sum;
    mix ^= o.mix;
    return *this;
  }
  friend bool operator==(const tally&, const tally&) = default;
  friend std::ostream& operator<<(std::ostream& o, const tally& t) {
    return o << t.count << " values, sum " << t.sum << ", mix " << t.mix;
  }
};

// channels: the set that all meet on, and one that is closed when all have sent.
struct channels {
  std::vector<skein::chan<std::uint64_t>> all;
  skein::chan<skein::unit> over;
};

struct sender_result {
  tally sent;
  tally untouched;  // the channel did not take them
};

// Sends `count` values that nobody else sends, each in a way of its own, as long as a channel is open.
sender_result send_all(const channels& ch, std::uint64_t first, std::uint64_t count, std::uint64_t seed) {
  sender_result r;
  everywhere::dice d(seed);
  std::vector<skein::chan<std::uint64_t>> open = ch.all;
  for (std::uint64_t i = first; i < first + count; ++i) {
    bool sent = false;
    if (!open.empty()) {
      const std::size_t at = d.below(open.size());
      const auto& c = open[at];
      std::uint64_t v = i;
      std::uint64_t w = i;
      try {
        switch (d.below(8)) {
          case 0: sent = c.try_send(std::move(v)); break;
          case 1: sent = c.send_for(std::move(v), std::chrono::nanoseconds(d.below(1000))); break;
          case 2: sent = skein::try_select(send(c, std::move(v)), recv(ch.over)) == 0; break;
          case 3: sent = skein::select(send(c, std::move(v)), recv(ch.over), send(c, std::move(w))) != 1; break;
          case 4: c.send(std::move(v)), sent = true; break;
          default: sent = skein::select(send(c, std::move(v)), recv(ch.over)) == 0;
        }
      } catch (const skein::closed_channel&) {
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
    (sent ? r.sent : r.untouched).add(i);
  }
  return r;
}

// Receives in all ways until every channel is closed and drained. Whoever waits without a limit waits
// on all channels, so that no sender is left alone.
tally receive_all(const channels& ch, std::uint64_t seed) {
  tally got;
  everywhere::dice d(seed);
  std::vector<skein::chan<std::uint64_t>> c = ch.all;  // nil once it has ended
  std::size_t open = c.size();
  while (open > 0) {
    const std::uint64_t way = d.below(8);
    std::size_t at = d.below(c.size());
    std::optional<std::uint64_t> v;
    if (way < 2) {
      auto r = way == 0 ? c[at].try_recv() : c[at].recv_for(std::chrono::nanoseconds(d.below(1000)));
      if (!r && !r.closed()) continue;
      v = r.optional();
    } else if (way == 2) {
      if (skein::select(recv(skein::after(std::chrono::nanoseconds(d.below(1000)))), recv(c[at], v)) == 0) continue;
    } else {
      at = static_cast<std::size_t>(skein::select(recv(c[0], v), recv(c[1], v), recv(c[2], v), recv(c[3], v),
                                                  recv(c[4], v), recv(c[5], v)));
    }
    if (v) {
      got.add(*v);
    } else {
      c[at] = skein::nil;
      --open;
    }
  }
  return got;
}

void conserves(std::uint64_t values, int people, std::uint64_t seed) {
  channels ch;
  for (const std::size_t capacity : {0u, 0u, 1u, 3u, 64u, 512u}) ch.all.emplace_back(capacity);
  std::vector<sender_result> senders(static_cast<std::size_t>(people));
  std::vector<tally> receivers(static_cast<std::size_t>(people));
  skein::wait_group sending;
  skein::wait_group receiving;
  std::atomic<std::uint64_t> next = 1;
  const std::uint64_t each = values / static_cast<std::uint64_t>(people) + 1;
  for (std::size_t i = 0; i < senders.size(); ++i) {
    sending.go([&, i] { senders[i] = send_all(ch, next.fetch_add(each), each, seed + 2 * i); });
    receiving.go([&, i] { receivers[i] = receive_all(ch, seed + 2 * i + 1); });
  }
  // While they are at it half of the channels are closed, each at a moment of its own.
  everywhere::dice d(seed);
  const std::size_t closed_early = ch.all.size() / 2;
  for (std::size_t i = 0; i < closed_early; ++i) {
    skein::sleep_for(std::chrono::nanoseconds(d.below(10) * values * 10));
    ch.all[i].close();
  }
  sending.wait();
  for (std::size_t i = closed_early; i < ch.all.size(); ++i) ch.all[i].close();
  ch.over.close();
  receiving.wait();

  tally sent;
  tally untouched;
  tally received;
  for (const sender_result& s : senders) {
    sent += s.sent;
    untouched += s.untouched;
  }
  for (const tally& r : receivers) received += r;
  tally left;
  for (const auto& c : ch.all)
    while (const auto v = c.recv()) left.add(*v);
  EXPECT_EQ(left, tally());  // the receivers drained everything
  EXPECT_EQ(sent, received);
  EXPECT_EQ(sent.count + untouched.count, each * static_cast<std::uint64_t>(people));
}

// covers: C2 C3 C4 L2 L4
TEST_P(chan_conservation, eight_senders_and_eight_receivers_lose_nothing) {
  const std::uint64_t values = rounds(10'000'000, 24);
  run([&] { conserves(values, simulated() ? 3 : 8, 1); });
}

// covers: C2 C3 C5 L2
TEST_P(chan_conservation, elements_are_neither_lost_nor_doubled_when_everything_ends_early) {
  repeat([] {
    everywhere::tracked::reset();
    {
      using everywhere::tracked;
      const skein::chan<tracked> c(3);
      const skein::chan<tracked> unbuffered;
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      std::atomic<int> sent = 0;
      std::atomic<int> kept = 0;
      std::atomic<int> received = 0;
      skein::wait_group wg;
      for (int s = 0; s < 4; ++s)
        wg.go([&, s, until = ctx] {
          for (int i = 0; i < 5; ++i) {
            tracked v(i);
            try {
              if (s % 2 == 0 ? c.send(until, std::move(v))
                             : skein::select(send(c, std::move(v)), send(unbuffered, tracked(i)), recv(until.done())) < 2)
                ++sent;
              else if (v.value == i)
                ++kept;
            } catch (const skein::closed_channel&) {
              kept += v.value == i;
            }
          }
        });
      for (int r = 0; r < 2; ++r)
        wg.go([&, r, until = ctx] {
          for (int i = 0; i < 7; ++i) {
            std::optional<tracked> v;
            if (r == 0)
              received += c.recv(until).has_value();
            else if (skein::select(recv(c, v), recv(unbuffered, v), recv(until.done())) < 2)
              received += v.has_value();
          }
        });
      wg.go([end = &cancel] { (*end)(); });
      skein::yield();
      c.close();
      wg.wait();
      const int left = static_cast<int>(c.size());
      EXPECT_EQ(sent, received + left);
      EXPECT_EQ(sent + kept, 20);
      EXPECT_EQ(tracked::live(), left);
    }
    EXPECT_EQ(everywhere::tracked::live(), 0);
    EXPECT_EQ(everywhere::tracked::copies(), 0);
  }, 3000);
}

}  // namespace
