// Channels: handles, when operations block, closing, nil.
#include "skein/chan.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct chan : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan);

// covers: C1
TEST(chan_handle, copies_are_the_same_channel) {
  skein::chan<int> a(1);
  skein::chan<int> b = a;
  const skein::chan<int> other(1);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, other);
  a.send(7);
  EXPECT_EQ(other.size(), 0u);
  EXPECT_EQ(b.size(), 1u);
  EXPECT_EQ(b.recv(), 7);
  b.close();
  EXPECT_EQ(a.recv(), std::nullopt);
}

// covers: C1
TEST(chan_handle, hash_and_equality_are_identity) {
  const skein::chan<int> a(1);
  const skein::chan<int> b(1);
  const skein::chan<int> c = a;
  EXPECT_EQ(std::unordered_set<skein::chan<int>>({a, b, c}).size(), 2u);
  const skein::sender<int> tx = a;
  const skein::receiver<int> rx = a;
  EXPECT_EQ(std::unordered_set<skein::sender<int>>({a, tx, c, b}).size(), 2u);
  EXPECT_EQ(std::unordered_set<skein::receiver<int>>({a, rx, c, b}).size(), 2u);
  EXPECT_EQ(tx, skein::sender<int>(c));
  EXPECT_EQ(rx, skein::receiver<int>(c));
  EXPECT_FALSE(tx == skein::sender<int>(b));
}

// covers: C1
TEST(chan_handle, moved_from_is_nil) {
  skein::chan<int> a(1);
  const skein::chan<int> same = a;
  const skein::chan<int> b = std::move(a);
  EXPECT_TRUE(a.is_nil());
  EXPECT_EQ(a, skein::chan<int>(skein::nil));
  EXPECT_EQ(b, same);
  a = b;
  EXPECT_EQ(a, same);
  skein::receiver<int> rx = b;
  const skein::receiver<int> rx2 = std::move(rx);
  EXPECT_TRUE(rx.is_nil());
  EXPECT_FALSE(rx2.is_nil());
}

template <class C>
concept can_send = requires(const C& c) { c.send(1); };
template <class C>
concept can_close = requires(const C& c) { c.close(); };
template <class C>
concept can_recv = requires(const C& c) { c.recv(); } || requires(const C& c) { c.begin(); };

// covers: C1
TEST(chan_handle, a_view_narrows_for_good) {
  using all = skein::chan<int>;
  using tx = skein::sender<int>;
  using rx = skein::receiver<int>;
  static_assert(std::is_convertible_v<all, tx> && std::is_convertible_v<all, rx>);
  static_assert(!std::is_constructible_v<all, tx> && !std::is_constructible_v<all, rx>);
  static_assert(!std::is_constructible_v<tx, rx> && !std::is_constructible_v<rx, tx>);
  static_assert(!std::is_constructible_v<skein::receiver<long>, all>);
  static_assert(!can_send<rx> && !can_close<rx> && can_recv<rx>);
  static_assert(can_send<tx> && can_close<tx> && !can_recv<tx>);

  const all c(2);
  const tx in = c;
  const rx out = c;
  in.send(1);
  EXPECT_TRUE(in.try_send(2));
  EXPECT_EQ(in.size(), 2u);
  EXPECT_EQ(out.capacity(), 2u);
  in.close();
  EXPECT_EQ(out.recv(), 1);
  EXPECT_EQ(c.recv(), 2);
  EXPECT_EQ(out.recv(), std::nullopt);
}

// covers: C1
TEST(chan_handle, the_last_handle_of_any_kind_keeps_the_channel) {
  skein::receiver<std::string> out = skein::nil;
  {
    const skein::chan<std::string> c(2);
    out = c;
    const skein::sender<std::string> in = c;
    in.send("kept by the receiver that is left");
    in.close();
  }
  EXPECT_EQ(out.recv(), "kept by the receiver that is left");
  EXPECT_EQ(out.recv(), std::nullopt);
}

// covers: C2 C3
TEST_P(chan, an_unbuffered_send_ends_when_its_value_is_received) {
  repeat([] {
    const skein::chan<int> c;
    std::atomic<bool> sent = false;
    auto sender = skein::spawn([&] {
      c.send(1);
      sent = true;
    });
    EXPECT_FALSE(sent);
    EXPECT_EQ(c.recv(), 1);
    sender.join();
    EXPECT_TRUE(sent);
    EXPECT_EQ(c.size(), 0u);
    EXPECT_EQ(c.capacity(), 0u);
  });
}

// covers: C2 C4
TEST_P(chan, a_buffered_send_waits_only_when_the_buffer_is_full) {
  repeat([] {
    const skein::chan<int> c(3);
    EXPECT_EQ(c.capacity(), 3u);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(c.size(), static_cast<std::size_t>(i));
      c.send(i);
    }
    std::atomic<bool> sent = false;
    auto sender = skein::spawn([&] {
      c.send(3);
      sent = true;
    });
    EXPECT_FALSE(sent);
    EXPECT_EQ(c.size(), 3u);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(c.recv(), i);
    sender.join();
    EXPECT_EQ(c.size(), 0u);
  });
}

// covers: C3
TEST_P(chan, a_closed_buffer_drains_before_the_end_is_seen) {
  repeat([] {
    const skein::chan<std::string> c(4);
    for (const char* s : {"one", "two", "three"}) c.send(s);
    c.close();
    EXPECT_EQ(c.size(), 3u);
    EXPECT_EQ(c.recv(), "one");
    EXPECT_EQ(c.recv(), "two");
    EXPECT_EQ(c.recv(), "three");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(c.recv(), std::nullopt);
  });
}

// covers: C3
TEST_P(chan, close_wakes_every_receiver) {
  repeat([&] {
    const skein::chan<int> c;
    skein::wait_group wg;
    std::atomic<int> ended = 0;
    const auto receivers = [&] {
      for (int i = 0; i < 10; ++i)
        wg.go([&] {
          if (c.recv() == std::nullopt) ++ended;
        });
    };
    until_parked(10, receivers);
    receivers();  // these may come before, during or after the close
    c.close();
    wg.wait();
    EXPECT_EQ(ended, 20);
  }, 100);
}

// covers: C2 C3
TEST_P(chan, close_makes_every_blocked_sender_throw_and_keep_its_value) {
  for (const std::size_t capacity : {0u, 2u}) {
    repeat([&] {
      const skein::chan<std::string> c(capacity);
      for (std::size_t i = 0; i < capacity; ++i) c.send("stored before");
      skein::wait_group wg;
      std::atomic<int> thrown = 0;
      std::atomic<int> untouched = 0;
      until_parked(8, [&] {
        for (int i = 0; i < 8; ++i)
          wg.go([&] {
            std::string mine = "a value that is too long to stand inside the string";
            try {
              c.send(std::move(mine));
            } catch (const skein::closed_channel&) {
              ++thrown;
            }
            if (mine == "a value that is too long to stand inside the string") ++untouched;
          });
      });
      c.close();
      wg.wait();
      EXPECT_EQ(thrown, 8);
      EXPECT_EQ(untouched, 8);
      for (std::size_t i = 0; i < capacity; ++i) EXPECT_EQ(c.recv(), "stored before");
      EXPECT_EQ(c.recv(), std::nullopt);
    }, 100);
  }
}

// covers: C2 C3 C4
TEST_P(chan, send_on_a_closed_channel_throws) {
  repeat([] {
    for (const std::size_t capacity : {0u, 1u}) {
      const skein::chan<int> c(capacity);
      c.close();
      EXPECT_THROW(c.send(1), skein::closed_channel);
      EXPECT_THROW(c.try_send(1), skein::closed_channel);
      EXPECT_THROW(c.send_for(1, std::chrono::hours(1)), skein::closed_channel);
      EXPECT_THROW(skein::sender<int>(c).send(1), skein::closed_channel);
      EXPECT_EQ(c.recv(), std::nullopt);
    }
  });
}

// covers: C3
TEST_P(chan, close_of_closed_or_nil_is_misuse) {
  repeat([] {
    const skein::chan<int> c;
    c.close();
    EXPECT_THROW(c.close(), skein::misuse);
    EXPECT_THROW(skein::sender<int>(c).close(), skein::misuse);
    EXPECT_THROW(skein::chan<int>(skein::nil).close(), skein::misuse);
    EXPECT_THROW(skein::sender<int>(skein::nil).close(), skein::misuse);
  });
}

// covers: C3
TEST_P(chan, only_one_of_many_closers_succeeds) {
  repeat([] {
    const skein::chan<int> c;
    skein::wait_group wg;
    std::atomic<int> closed = 0;
    for (int i = 0; i < 4; ++i)
      wg.go([&] {
        try {
          c.close();
          ++closed;
        } catch (const skein::misuse&) {
        }
      });
    EXPECT_EQ(c.recv(), std::nullopt);
    wg.wait();
    EXPECT_EQ(closed, 1);
  });
}

// covers: C1 C3
TEST_P(chan, nil_blocks_for_ever) {
  static std::atomic<int> passed;  // outlives the goroutines, which stay where they are
  passed = 0;
  run([] {
    until_parked(3, [] {
      skein::go([] {
        skein::chan<int>(skein::nil).send(1);
        ++passed;
      });
      skein::go([] {
        skein::chan<int>(skein::nil).recv();
        ++passed;
      });
      skein::go([] {
        for (int v : skein::receiver<int>(skein::nil)) passed += v + 1;
        ++passed;
      });
    });
    EXPECT_EQ(passed, 0);
  });
}

// covers: C1 C4
TEST_P(chan, nil_is_never_ready) {
  repeat([] {
    const skein::chan<int> n = skein::nil;
    EXPECT_TRUE(n.is_nil());
    EXPECT_EQ(n.size(), 0u);
    EXPECT_EQ(n.capacity(), 0u);
    EXPECT_FALSE(n.try_send(1));
    EXPECT_EQ(n.try_recv().status(), skein::status::empty);
    EXPECT_TRUE(skein::sender<int>(n).is_nil());
    EXPECT_TRUE(skein::receiver<int>(n).is_nil());
  });
}

// covers: C3 C4
TEST_P(chan, a_range_ends_with_the_channel) {
  repeat([] {
    const skein::chan<int> c(2);
    auto sender = skein::spawn([&] {
      for (int i = 0; i < 10; ++i) c.send(i);
      c.close();
    });
    int expected = 0;
    for (int v : c) EXPECT_EQ(v, expected++);
    EXPECT_EQ(expected, 10);
    for (int v : skein::receiver<int>(c)) ADD_FAILURE() << "a second end of the range gave " << v;
    sender.join();
  });
}

// covers: C4
TEST_P(chan, a_range_hands_out_values_that_can_be_moved_from) {
  run([] {
    const skein::chan<std::unique_ptr<int>> c(3);
    for (int i = 0; i < 3; ++i) c.send(std::make_unique<int>(i));
    c.close();
    std::vector<std::unique_ptr<int>> got;
    for (std::unique_ptr<int>& p : c) got.push_back(std::move(p));
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(*got[2], 2);
  });
}

}  // namespace
