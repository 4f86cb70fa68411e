// Channels: timed and context forms at exact moments of virtual time.
#include <chrono>
#include <string>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/task.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using skein::status;

// elapsed: virtual time since it was made.
struct elapsed {
  skein::time_point start = skein::now();
  skein::duration operator()() const { return skein::now() - start; }
};

// covers: C4 L4 D4
TEST(chan_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    for (const skein::chan<int>& c : {skein::chan<int>(), skein::chan<int>(skein::nil)}) {
      const elapsed t;
      EXPECT_EQ(c.recv_for(5ms).status(), status::timeout);
      EXPECT_EQ(t(), 5ms);
      EXPECT_FALSE(c.send_for(1, 3us));
      EXPECT_EQ(t(), 5ms + 3us);
      EXPECT_EQ(c.recv_until(t.start + 6ms).status(), status::timeout);
      EXPECT_EQ(t(), 6ms);
      EXPECT_FALSE(c.send_until(1, t.start + 10h));
      EXPECT_EQ(t(), 10h);
    }
  });
}

// covers: C4
TEST(chan_time, a_time_that_is_over_costs_no_time) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    for (const auto d : {0s, -1s, std::chrono::seconds::min()}) {
      EXPECT_EQ(c.recv_for(d).status(), status::timeout);
      EXPECT_FALSE(c.send_for(1, d));
    }
    EXPECT_EQ(c.recv_until(skein::time_point::min()).status(), status::timeout);
    EXPECT_EQ(c.recv_until(std::chrono::system_clock::time_point::min()).status(), status::timeout);
    EXPECT_EQ(t(), 0s);
  });
}

// covers: C4 C2
TEST(chan_time, a_partner_in_time_ends_the_wait_at_once) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<std::string> c;
    auto partner = skein::spawn([&] {
      skein::sleep_for(7ms);
      c.send("seven");
      skein::sleep_for(1ms);
      return c.recv().value();
    });
    EXPECT_EQ(c.recv_for(8ms).optional(), "seven");
    EXPECT_EQ(t(), 7ms);
    EXPECT_TRUE(c.send_for("eight", 1h));
    EXPECT_EQ(t(), 8ms);
    EXPECT_EQ(partner.join(), "eight");
    EXPECT_EQ(t(), 8ms);
  });
}

// covers: C4
TEST(chan_time, the_longest_durations_do_not_overflow) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    auto sender = skein::spawn([&] {
      for (int i = 0; i < 4; ++i) {
        skein::sleep_for(24h);
        c.send(i);
      }
    });
    EXPECT_EQ(c.recv_for(std::chrono::hours::max()).optional(), 0);
    EXPECT_EQ(c.recv_for(skein::duration::max()).optional(), 1);
    EXPECT_EQ(c.recv_until(skein::time_point::max()).optional(), 2);
    EXPECT_EQ(c.recv_for(std::chrono::duration<double>(1e300)).optional(), 3);
    EXPECT_EQ(t(), 96h);
    sender.join();
  });
}

// covers: C2 C3 C4
TEST(chan_time, close_ends_a_timed_send_at_once) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<std::string> c;
    auto closer = skein::spawn([&] {
      skein::sleep_for(2ms);
      c.close();
    });
    std::string mine = "mine, and it stays so";
    EXPECT_THROW(c.send_for(std::move(mine), 1h), skein::closed_channel);
    EXPECT_EQ(mine, "mine, and it stays so");
    EXPECT_EQ(t(), 2ms);
    closer.join();
  });
}

// covers: C3 C4
TEST(chan_time, close_ends_a_timed_receive_at_once) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    auto closer = skein::spawn([&] {
      skein::sleep_for(2ms);
      c.close();
    });
    EXPECT_TRUE(c.recv_for(1h).closed());
    EXPECT_EQ(t(), 2ms);
    closer.join();
  });
}

// covers: C4 L4 X1
TEST(chan_time, a_context_ends_a_wait_at_the_moment_it_ends) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    {
      auto [ctx, cancel] = skein::with_timeout(skein::background(), 4ms);
      EXPECT_EQ(c.recv(ctx).status(), status::canceled);
      EXPECT_EQ(t(), 4ms);
      EXPECT_EQ(ctx.err(), skein::errc::deadline_exceeded);
      EXPECT_FALSE(c.send(ctx, 1));
      EXPECT_EQ(t(), 4ms);
    }
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    auto canceler = skein::spawn([&] {
      skein::sleep_for(1ms);
      cancel();
    });
    EXPECT_FALSE(c.send(ctx, 1));
    EXPECT_EQ(t(), 5ms);
    EXPECT_EQ(ctx.err(), skein::errc::canceled);
    canceler.join();
  });
}

// covers: C4 X1
TEST(chan_time, a_context_that_ended_before_ends_the_wait_before_it_begins) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    auto [parent, cancel] = skein::with_cancel(skein::background());
    auto [child, cancel_child] = skein::with_timeout(parent, 1h);
    cancel();
    EXPECT_EQ(c.recv(child).status(), status::canceled);
    EXPECT_FALSE(c.send(child, 1));
    EXPECT_EQ(skein::chan<int>(skein::nil).recv(child).status(), status::canceled);
    EXPECT_EQ(t(), 0s);
  });
}

// covers: C4
TEST(chan_time, a_context_with_time_left_lets_the_value_through) {
  in_simulation([] {
    const elapsed t;
    const skein::chan<int> c;
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 10ms);
    auto sender = skein::spawn([&] {
      skein::sleep_for(9ms);
      EXPECT_TRUE(c.send(ctx, 1));
    });
    EXPECT_EQ(c.recv(ctx).optional(), 1);
    EXPECT_EQ(t(), 9ms);
    sender.join();
    EXPECT_FALSE(ctx.err());
  });
}

// covers: C4 L4 D4
TEST(chan_time, a_time_out_and_a_send_at_one_moment_go_either_way_but_one) {
  int received = 0;
  int timed_out = 0;
  in_simulation([&] {
    const skein::chan<int> c;
    bool sent = false;
    auto sender = skein::spawn([&] {
      skein::sleep_for(5ms);
      sent = c.try_send(1);
    });
    const auto r = c.recv_for(5ms);
    sender.join();
    EXPECT_EQ(r.has_value(), sent);
    ++(sent ? received : timed_out);
  });
  if (received + timed_out < 100) return;  // too few schedules to expect both
  EXPECT_GT(received, 0);
  EXPECT_GT(timed_out, 0);
}

}  // namespace
