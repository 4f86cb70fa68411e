// Channels: in which order values and waiters are served.
#include <atomic>
#include <vector>

#include "skein/chan.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct chan_order : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_order);

struct numbered {
  int sender;
  int number;
};

// covers: C6
TEST_P(chan_order, one_receiver_sees_each_sender_in_order) {
  for (const std::size_t capacity : {0u, 1u, 5u}) {
    const int count = static_cast<int>(rounds(2000, 4));
    run([&] {
      const skein::chan<numbered> c(capacity);
      skein::wait_group wg;
      for (int s = 0; s < 4; ++s)
        wg.go([&, s] {
          for (int i = 0; i < count; ++i) c.send({s, i});
        });
      std::vector<int> next(4);
      for (int i = 0; i < 4 * count; ++i) {
        const auto v = c.recv();
        ASSERT_TRUE(v);
        EXPECT_EQ(v->number, next[static_cast<std::size_t>(v->sender)]++);
      }
      wg.wait();
    });
  }
}

// covers: C6
TEST_P(chan_order, every_receiver_sees_each_sender_in_order) {
  for (const std::size_t capacity : {0u, 3u}) {
    const int count = static_cast<int>(rounds(2000, 5));
    run([&] {
      const skein::chan<numbered> c(capacity);
      skein::wait_group senders;
      skein::wait_group receivers;
      std::atomic<int> total = 0;
      for (int s = 0; s < 3; ++s)
        senders.go([&, s] {
          for (int i = 0; i < count; ++i) c.send({s, i});
        });
      for (int r = 0; r < 3; ++r)
        receivers.go([&] {
          std::vector<int> last(3, -1);
          for (const numbered v : c) {
            EXPECT_GT(v.number, last[static_cast<std::size_t>(v.sender)]);
            last[static_cast<std::size_t>(v.sender)] = v.number;
            ++total;
          }
        });
      senders.wait();
      c.close();
      receivers.wait();
      EXPECT_EQ(total, 3 * count);
    });
  }
}

// covers: C6
TEST_P(chan_order, waiting_senders_are_served_in_the_order_they_came) {
  for (const std::size_t capacity : {0u, 2u}) {
    repeat([&] {
      const skein::chan<int> c(capacity);
      skein::wait_group wg;
      int next = 0;
      while (next < static_cast<int>(capacity)) c.send(next++);
      for (int i = 0; i < 5; ++i, ++next)
        until_parked(1, [&] { wg.go([&, v = next] { c.send(v); }); });
      for (int i = 0; i < next; ++i) EXPECT_EQ(c.recv(), i);
      wg.wait();
    }, 100);
  }
}

// covers: C6
TEST_P(chan_order, waiting_receivers_are_served_in_the_order_they_came) {
  repeat([&] {
    const skein::chan<int> c;
    skein::wait_group wg;
    std::vector<int> got(5, -1);
    for (std::size_t i = 0; i < got.size(); ++i)
      until_parked(1, [&] { wg.go([&, i] { got[i] = c.recv().value_or(-2); }); });
    for (int i = 0; i < 5; ++i) c.send(i);
    wg.wait();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
  }, 100);
}

// covers: C6 L2
TEST_P(chan_order, a_select_waits_in_the_same_queue) {
  repeat([&] {
    const skein::chan<int> c;
    const skein::chan<int> other;
    skein::wait_group wg;
    std::vector<int> got(6, -1);
    for (std::size_t i = 0; i < got.size(); ++i)
      until_parked(1, [&] {
        wg.go([&, i] {
          std::optional<int> v;
          if (i % 2 == 0)
            v = c.recv();
          else
            skein::select(recv(other), recv(c, v));
          got[i] = v.value_or(-2);
        });
      });
    for (int i = 0; i < 6; ++i) c.send(i);
    wg.wait();
    for (int i = 0; i < 6; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
  }, 100);
}

// covers: C6 L2
TEST_P(chan_order, those_who_give_up_leave_the_others_in_order) {
  repeat([&] {
    const skein::chan<int> c;
    const skein::chan<int> quit;
    skein::wait_group quitters;
    skein::wait_group stayers;
    std::vector<int> got(5, -1);
    for (std::size_t i = 0; i < got.size(); ++i)
      until_parked(1, [&] {
        if (i % 2 == 0)
          stayers.go([&, i] { got[i] = c.recv().value_or(-2); });
        else
          quitters.go([&, i] { got[i] = skein::select(recv(c), recv(quit)); });
      });
    quit.close();
    quitters.wait();
    for (int i = 0; i < 3; ++i) c.send(i);
    stayers.wait();
    EXPECT_EQ(got, (std::vector<int>{0, 1, 1, 1, 2}));
  }, 100);
}

}  // namespace
