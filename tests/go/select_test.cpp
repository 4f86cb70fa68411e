// Go's select semantics: the corner cases of selects that meet each other.
#include "skein/select.hpp"

#include <atomic>
#include <optional>
#include <vector>

#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct go_select : everywhere::on_procs {};
SKEIN_EVERYWHERE(go_select);

// covers: L2
TEST_P(go_select, who_sends_and_receives_on_one_channel_never_meets_himself) {
  const int count = static_cast<int>(rounds(20'000, 10));
  for (const std::size_t capacity : {0u, 10u}) {
    run([&] {
      const skein::chan<int> c(capacity);
      skein::wait_group wg;
      std::atomic<int> sent = 0;
      std::atomic<int> received = 0;
      for (int who = 0; who < 2; ++who)
        wg.go([&, who] {
          for (int i = 0; i < count; ++i) {
            std::optional<int> v;
            const bool sending = i % 2 == 0 ? skein::select(send(c, who), recv(c, v)) == 0
                                            : skein::select(recv(c, v), send(c, who)) == 1;
            ++(sending ? sent : received);
            EXPECT_FALSE(!sending && capacity == 0 && v == who);
          }
        });
      wg.wait();
      EXPECT_EQ(static_cast<std::size_t>(sent), static_cast<std::size_t>(received) + c.size());
    });
  }
}

// covers: L2
TEST_P(go_select, of_two_channels_that_are_ready_in_turn_one_is_always_seen) {
  // c1 is full. While main fills c2 and then drains c1, one of both is ready at every moment.
  repeat([] {
    const skein::chan<int> c1(1);
    const skein::chan<int> c2(1);
    c1.send(1);
    auto looker = skein::spawn([&] { return skein::try_select(recv(c1), recv(c2)); });
    c2.send(1);
    skein::try_select(recv(c1));
    EXPECT_NE(looker.join(), -1);
  }, 20'000);
}

// covers: L2
TEST_P(go_select, of_a_full_channel_and_one_closed_in_turn_one_is_always_seen) {
  repeat([] {
    const skein::chan<int> c1(1);
    const skein::chan<int> c2;
    c1.send(1);
    auto looker = skein::spawn([&] { return skein::try_select(recv(c1), recv(c2)); });
    c2.close();
    skein::try_select(recv(c1));
    EXPECT_NE(looker.join(), -1);
  }, 20'000);
}

// covers: L2
TEST_P(go_select, of_two_channels_with_room_in_turn_one_is_always_seen) {
  repeat([] {
    const skein::chan<int> c1(1);
    const skein::chan<int> c2(1);
    c2.send(1);
    auto looker = skein::spawn([&] { return skein::try_select(send(c1, 5), send(c2, 5)); });
    c2.recv();
    (void)c1.try_send(1);
    EXPECT_NE(looker.join(), -1);
  }, 20'000);
}

// covers: L2
TEST_P(go_select, many_selects_over_the_same_channels_all_end) {
  const int count = static_cast<int>(rounds(10'000, 4));
  run([&] {
    // Four channels with a sender and a receiver each, and two selects over all four.
    std::vector<skein::chan<int>> c;
    for (int i = 0; i < 2; ++i) {
      c.emplace_back();
      c.emplace_back(1);
    }
    skein::wait_group wg;
    for (const auto& each : c) {
      wg.go([&, each] {
        for (int i = 0; i < count; ++i) each.send(i);
      });
      wg.go([&, each] {
        for (int i = 0; i < count; ++i) each.recv();
      });
    }
    // A channel that has had its share is nil from then on.
    const auto share = [&](auto select_of) {
      std::vector<skein::chan<int>> open = c;
      std::vector<int> left(c.size(), count);
      for (int i = 0; i < 4 * count; ++i) {
        const auto fired = static_cast<std::size_t>(select_of(open));
        if (--left[fired] == 0) open[fired] = skein::nil;
      }
    };
    wg.go([&] {
      share([](auto& o) { return skein::select(send(o[0], 1), send(o[1], 1), send(o[2], 1), send(o[3], 1)); });
    });
    wg.go([&] { share([](auto& o) { return skein::select(recv(o[0]), recv(o[1]), recv(o[2]), recv(o[3])); }); });
    wg.wait();
    for (const auto& each : c) EXPECT_EQ(each.size(), 0u);
  });
}

// covers: L2
TEST_P(go_select, a_ring_of_selects_passes_a_token_both_ways) {
  const int count = static_cast<int>(rounds(20'000, 10));
  run([&] {
    constexpr std::size_t n = 5;
    const std::vector<skein::chan<int>> c(n);  // each a channel of its own
    const skein::chan<int> quit;
    skein::wait_group wg;
    for (std::size_t i = 0; i < n; ++i)
      wg.go([&, i] {
        const auto& left = c[i];
        const auto& right = c[(i + 1) % n];
        for (;;) {
          std::optional<int> v;
          if (skein::select(recv(left, v), recv(right, v), recv(quit)) == 2) return;
          if (skein::select(send(left, *v + 1), send(right, *v + 1), recv(quit)) == 2) return;
        }
      });
    int token = 0;
    while (token < count) {
      skein::select(send(c[0], token), send(c[2], token));
      std::optional<int> v;
      skein::select(recv(c[1], v), recv(c[3], v), recv(c[4], v));
      EXPECT_GT(*v, token);
      token = *v;
    }
    quit.close();
    wg.wait();
  });
}

// covers: L2 C3
TEST_P(go_select, a_channel_set_to_nil_is_switched_off) {
  repeat([] {
    skein::chan<int> a;
    skein::chan<int> b;
    skein::wait_group wg;
    for (const auto& c : {a, b})
      wg.go([c] {
        for (int i = 1; i <= 5; ++i) c.send(i);
        c.close();
      });
    int sum = 0;
    while (!a.is_nil() || !b.is_nil()) {
      std::optional<int> v;
      skein::chan<int>& from = skein::select(recv(a, v), recv(b, v)) == 0 ? a : b;
      if (v)
        sum += *v;
      else
        from = skein::nil;
    }
    EXPECT_EQ(sum, 30);
    wg.wait();
  });
}

// covers: L2
TEST_P(go_select, a_send_and_a_receive_select_meet_in_every_combination) {
  repeat([] {
    // Three goroutines offer to send or to receive on the same two channels; main completes them.
    const skein::chan<int> a;
    const skein::chan<int> b;
    std::atomic<int> sent = 0;
    std::atomic<int> received = 0;
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i)
      wg.go([&] {
        const int fired = skein::select(send(a, 1), recv(b), send(b, 1), recv(a));
        ++(fired % 2 == 0 ? sent : received);
      });
    const int fired = skein::select(recv(a), send(b, 1), recv(b), send(a, 1));
    ++(fired % 2 == 0 ? received : sent);
    wg.wait();
    EXPECT_EQ(sent, 2);
    EXPECT_EQ(received, 2);
  });
}

}  // namespace
