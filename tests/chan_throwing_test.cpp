// Channels: elements whose copy, move or destructor throws. Nothing is lost, nothing doubled, and
// one side alone sees the exception.
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/select.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::throwing;

struct chan_throwing : everywhere::on_procs {
  ~chan_throwing() override { throwing::reset(); }
};
SKEIN_EVERYWHERE(chan_throwing);

using values = skein::chan<throwing>;

// The ways to send an lvalue or an rvalue, and the ways to receive.
template <class V> std::vector<std::function<void(const values&, V)>> ways_to_send() {
  return {
      [](const values& c, V v) { c.send(std::forward<V>(v)); },
      [](const values& c, V v) { c.try_send(std::forward<V>(v)); },
      [](const values& c, V v) { c.send_for(std::forward<V>(v), 1h); },
      [](const values& c, V v) { c.send(skein::background(), std::forward<V>(v)); },
      [](const values& c, V v) { skein::sender<throwing>(c).send(std::forward<V>(v)); },
      [](const values& c, V v) { skein::select(send(c, std::forward<V>(v))); },
      [](const values& c, V v) { skein::try_select(recv(values()), send(c, std::forward<V>(v))); },
  };
}
std::vector<std::function<void(const values&)>> ways_to_receive() {
  return {
      [](const values& c) { c.recv(); },
      [](const values& c) { (void)c.try_recv(); },
      [](const values& c) { (void)c.recv_for(1h); },
      [](const values& c) { (void)c.recv(skein::background()); },
      [](const values& c) {
        for (const throwing& v : c)
          if (v.value >= 0) break;
      },
      [](const values& c) {
        std::optional<throwing> v;
        skein::select(recv(c, v));
      },
      [](const values& c) { skein::try_select(recv(c, [](std::optional<throwing>) {})); },
  };
}

// covers: C2 C5
TEST_P(chan_throwing, a_copy_that_throws_in_send_leaves_the_channel_as_it_was) {
  repeat([] {
    throwing::reset();
    for (const auto& way : ways_to_send<const throwing&>()) {
      const values c(2);
      c.send(throwing(1));
      const throwing v(2);
      throwing::on_copy(1);
      EXPECT_THROW(way(c, v), throwing::error);
      EXPECT_EQ(v.value, 2);
      EXPECT_EQ(c.size(), 1u);
      way(c, v);
      EXPECT_EQ(c.recv()->value, 1);
      EXPECT_EQ(c.recv()->value, 2);
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 20);
}

// covers: C2 C5
TEST_P(chan_throwing, a_move_that_throws_in_send_leaves_the_channel_and_the_value_as_they_were) {
  repeat([] {
    throwing::reset();
    for (const auto& way : ways_to_send<throwing&&>()) {
      const values c(2);
      c.send(throwing(1));
      throwing v(2);
      throwing::on_move(1);
      EXPECT_THROW(way(c, std::move(v)), throwing::error);
      EXPECT_EQ(v.value, 2);
      EXPECT_EQ(c.size(), 1u);
      way(c, std::move(v));
      EXPECT_EQ(c.recv()->value, 1);
      EXPECT_EQ(c.recv()->value, 2);
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 20);
}

// covers: C5
TEST_P(chan_throwing, a_move_that_throws_in_recv_consumes_that_value_only) {
  repeat([] {
    throwing::reset();
    for (const auto& way : ways_to_receive()) {
      const values c(3);
      for (int i = 1; i <= 3; ++i) c.send(throwing(i));
      throwing::on_move(1);
      EXPECT_THROW(way(c), throwing::error);
      EXPECT_EQ(c.size(), 2u);
      way(c);
      EXPECT_EQ(c.recv()->value, 3);
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 20);
}

// covers: C5
TEST_P(chan_throwing, a_throw_in_recv_is_none_of_the_waiting_senders_business) {
  repeat([&] {
    throwing::reset();
    for (const auto& way : ways_to_receive()) {
      const values c;
      skein::wait_group wg;
      until_parked(1, [&] { wg.go([&] { c.send(throwing(1)); }); });
      throwing::on_move(1);
      EXPECT_THROW(way(c), throwing::error);
      wg.wait();
      EXPECT_TRUE(c.try_recv().empty());
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 20);
}

// covers: C2 C5
TEST_P(chan_throwing, a_throw_in_send_is_none_of_the_waiting_receivers_business) {
  repeat([&] {
    throwing::reset();
    for (const auto& way : ways_to_send<throwing&&>()) {
      const values c;
      std::optional<throwing> got;
      skein::wait_group wg;
      until_parked(1, [&] { wg.go([&] { got = c.recv(); }); });
      throwing v(1);
      throwing::on_move(1);
      EXPECT_THROW(way(c, std::move(v)), throwing::error);
      way(c, std::move(v));
      wg.wait();
      EXPECT_EQ(got->value, 1);
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 20);
}

// covers: C5 S5
TEST_P(chan_throwing, whichever_move_throws_each_value_is_seen_once) {
  run([&] {
    for (const std::size_t capacity : {0u, 1u, 3u}) {
      for (int nth = 1; nth <= 12; ++nth) {
        throwing::reset();
        const values c(capacity);
        skein::wait_group wg;
        int sent = 0;
        int not_sent = 0;
        int received = 0;
        int not_received = 0;
        throwing::on_move(nth);
        wg.go([&] {
          for (int i = 0; i < 4; ++i) {
            throwing v(i);
            try {
              c.send(std::move(v));
              ++sent;
            } catch (const throwing::error&) {
              ++not_sent;
              EXPECT_EQ(v.value, i);
            }
          }
          c.close();
        });
        for (;;) {
          try {
            if (!c.recv()) break;
            ++received;
          } catch (const throwing::error&) {
            ++not_received;
          }
        }
        wg.wait();
        EXPECT_EQ(sent + not_sent, 4);
        EXPECT_EQ(sent, received + not_received);
        EXPECT_LE(not_sent + not_received, 1);
        EXPECT_EQ(throwing::live(), 0);
      }
    }
  });
}

// covers: C2 C5 L2
TEST_P(chan_throwing, a_select_that_throws_on_entry_takes_nothing) {
  repeat([] {
    throwing::reset();
    {
      const values c(1);
      const values d(1);
      throwing first(1);
      throwing second(2);
      throwing::on_move(2);
      EXPECT_THROW(skein::select(send(c, std::move(first)), send(d, std::move(second))), throwing::error);
      EXPECT_EQ(first.value, 1);
      EXPECT_EQ(second.value, 2);
      EXPECT_EQ(c.size() + d.size(), 0u);
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 50);
}

// covers: C5 L2
TEST_P(chan_throwing, a_throw_while_a_value_goes_back_loses_no_object) {
  for (int nth = 1; nth <= 3; ++nth) {
    repeat([&] {
      throwing::reset();
      {
        const values full(1);
        const values ready(1);
        full.send(throwing(1));
        ready.send(throwing(2));
        throwing v(3);
        throwing::on_move(nth + 1);
        try {
          skein::select(send(full, std::move(v)), recv(ready));
        } catch (const throwing::error&) {
        }
        EXPECT_EQ(full.size(), 1u);
        EXPECT_EQ(ready.size(), 0u);
        throwing::on_move(2);
        EXPECT_THROW(full.try_send(throwing(4)), throwing::error);
        EXPECT_EQ(full.size(), 1u);
        throwing::on_move(0);
        EXPECT_EQ(full.recv()->value, 1);
      }
      EXPECT_EQ(throwing::live(), 0);
    }, 50);
  }
}

// covers: C5
TEST_P(chan_throwing, a_destructor_that_throws_in_recv_reaches_the_receiver_alone) {
  repeat([&] {
    throwing::reset();
    {
      const values c;
      skein::wait_group wg;
      until_parked(1, [&] { wg.go([&] { c.send(throwing(1)); }); });
      throwing::on_destroy(1);
      EXPECT_THROW(c.recv(), throwing::error);
      throwing::on_destroy(0);
      wg.wait();
      EXPECT_TRUE(c.try_recv().empty());
    }
  }, 50);
}

// covers: C2 C5
TEST_P(chan_throwing, a_destructor_that_throws_in_a_failed_send_reaches_the_sender) {
  repeat([] {
    throwing::reset();
    {
      const values c;
      throwing v(1);
      throwing::on_destroy(1);
      EXPECT_THROW(c.try_send(std::move(v)), throwing::error);
      EXPECT_EQ(v.value, 1);
      EXPECT_TRUE(c.try_recv().empty());
    }
    EXPECT_EQ(throwing::live(), 0);
  }, 50);
}

}  // namespace
