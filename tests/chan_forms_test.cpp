// Channels: try, timed and context forms, and what a failed send leaves behind.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using skein::status;

struct chan_forms : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_forms);

// covers: C4
TEST_P(chan_forms, try_send_needs_room_or_a_waiting_receiver) {
  repeat([&] {
    const skein::chan<int> c;
    EXPECT_FALSE(c.try_send(1));
    std::optional<int> got;
    skein::wait_group wg;
    until_parked(1, [&] { wg.go([&] { got = c.recv(); }); });
    EXPECT_TRUE(c.try_send(2));
    EXPECT_FALSE(c.try_send(3));  // its only receiver is served, even if it has not run yet
    wg.wait();
    EXPECT_EQ(got, 2);
  }, 100);
}

// covers: C4
TEST_P(chan_forms, try_recv_tells_value_empty_and_closed_apart) {
  repeat([&] {
    const skein::chan<int> c(1);
    skein::recv_result<int> r = c.try_recv();
    EXPECT_TRUE(r.empty());
    EXPECT_FALSE(r.closed() || r.has_value());
    c.send(1);
    r = c.try_recv();
    EXPECT_EQ(r.status(), status::ok);
    EXPECT_TRUE(r);
    EXPECT_EQ(*r, 1);
    EXPECT_EQ(r.value(), 1);
    EXPECT_EQ(r.optional(), 1);
    c.send(2);
    c.close();
    EXPECT_EQ(*c.try_recv(), 2);
    r = c.try_recv();
    EXPECT_TRUE(r.closed());
    EXPECT_FALSE(r);
    EXPECT_THROW((void)r.value(), std::bad_optional_access);
  });
}

// covers: C4 C6
TEST_P(chan_forms, try_recv_takes_from_the_first_waiting_sender) {
  for (const std::size_t capacity : {0u, 1u}) {
    repeat([&] {
      const skein::chan<int> c(capacity);
      if (capacity == 1) c.send(0);
      skein::wait_group wg;
      for (int i = 1; i <= 2; ++i)
        until_parked(1, [&] { wg.go([&, i] { c.send(i); }); });
      for (int i = capacity == 1 ? 0 : 1; i <= 2; ++i) EXPECT_EQ(c.try_recv().optional(), i);
      EXPECT_TRUE(c.try_recv().empty());
      wg.wait();
    }, 100);
  }
}

// Every way a send can fail; v must be as it was after each.
template <class T> void fails_in_every_way(T v) {
  const auto value = v.value;
  const auto fails = [&](bool sent) { return !sent && v.value == value; };
  const skein::chan<T> full(1);
  full.send(T(value));
  auto [canceled, cancel] = skein::with_cancel(skein::background());
  cancel();
  for (const skein::chan<T>& c : {full, skein::chan<T>(), skein::chan<T>(skein::nil)}) {
    EXPECT_TRUE(fails(c.try_send(std::move(v))));
    EXPECT_TRUE(fails(c.send_for(std::move(v), 0s)));
    EXPECT_TRUE(fails(c.send_for(std::move(v), 1us)));
    EXPECT_TRUE(fails(c.send_until(std::move(v), skein::now() - 1s)));
    EXPECT_TRUE(fails(c.send(canceled, std::move(v))));
  }
  const skein::chan<T> closed(1);
  closed.close();
  EXPECT_THROW(closed.send(std::move(v)), skein::closed_channel);
  EXPECT_EQ(v.value, value);
  EXPECT_THROW(closed.try_send(std::move(v)), skein::closed_channel);
  EXPECT_EQ(v.value, value);
  EXPECT_THROW(closed.send_for(std::move(v), 1h), skein::closed_channel);
  EXPECT_EQ(v.value, value);
  EXPECT_THROW(closed.send(skein::background(), std::move(v)), skein::closed_channel);
  EXPECT_EQ(v.value, value);
  full.recv();
  full.send(std::move(v));
  EXPECT_EQ(full.recv()->value, value);
}

struct text {
  explicit text(std::string v) : value(std::move(v)) {}
  std::string value;
};

// covers: C2 C5
TEST_P(chan_forms, a_failed_send_leaves_its_rvalue_untouched) {
  repeat([] {
    fails_in_every_way(text(std::string(100, 'x')));
    fails_in_every_way(everywhere::move_only(5));
    fails_in_every_way(everywhere::throwing(6));
    fails_in_every_way(everywhere::tracked(7));
    fails_in_every_way(everywhere::tracked_inline(8));
    fails_in_every_way(everywhere::overaligned(9));
  }, 50);
}

// covers: C2
TEST_P(chan_forms, a_failed_send_leaves_a_unique_ptr_its_object) {
  repeat([] {
    const skein::chan<std::unique_ptr<int>> c;
    auto mine = std::make_unique<int>(1);
    int* const object = mine.get();
    EXPECT_FALSE(c.try_send(std::move(mine)));
    EXPECT_EQ(mine.get(), object);
    EXPECT_FALSE(c.send_for(std::move(mine), 1us));
    EXPECT_EQ(mine.get(), object);
    auto receiver = skein::spawn([&] { return *c.recv(); });
    c.send(std::move(mine));
    EXPECT_EQ(mine, nullptr);
    EXPECT_EQ(receiver.join().get(), object);
  });
}

// covers: C2
TEST_P(chan_forms, an_lvalue_is_copied_and_stays) {
  everywhere::tracked::reset();
  run([] {
    everywhere::tracked::reset();
    {
      const skein::chan<everywhere::tracked> c(4);
      everywhere::tracked v(3);
      const everywhere::tracked& constant = v;
      c.send(v);
      EXPECT_TRUE(c.try_send(constant));
      EXPECT_TRUE(c.send_for(v, 1h));
      EXPECT_TRUE(c.send(skein::background(), v));
      EXPECT_FALSE(c.try_send(v));
      EXPECT_EQ(v.value, 3);
      EXPECT_EQ(everywhere::tracked::copies(), 5);
      for (int i = 0; i < 4; ++i) EXPECT_EQ(c.recv()->value, 3);
    }
    EXPECT_EQ(everywhere::tracked::live(), 0);
  });
}

// covers: C4
TEST_P(chan_forms, timed_and_context_forms_succeed_while_they_wait) {
  repeat([&] {
    const skein::chan<int> c;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    int sum = 0;
    until_parked(1, [&] { wg.go([&] { sum += c.recv_for(1h).value(); }); });
    EXPECT_TRUE(c.send_for(1, 1h));
    wg.wait();
    until_parked(1, [&] { wg.go([&] { sum += c.recv(ctx).value(); }); });
    EXPECT_TRUE(c.send(ctx, 2));
    wg.wait();
    until_parked(1, [&] { wg.go([&] { EXPECT_TRUE(c.send(ctx, 4)); }); });
    sum += c.recv_until(skein::now() + 1h).value();
    wg.wait();
    EXPECT_EQ(sum, 7);
  }, 100);
}

// covers: C4 L4
TEST_P(chan_forms, cancelling_wakes_those_who_wait) {
  repeat([&] {
    const skein::chan<std::string> c;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    until_parked(3, [&] {
      wg.go([&] { EXPECT_EQ(skein::chan<int>().recv(ctx).status(), status::canceled); });
      wg.go([&] { EXPECT_EQ(skein::chan<int>(skein::nil).recv(ctx).status(), status::canceled); });
      wg.go([&] {
        std::string mine(50, 'm');
        EXPECT_FALSE(c.send(ctx, std::move(mine)));
        EXPECT_EQ(mine, std::string(50, 'm'));
      });
    });
    cancel();
    wg.wait();
    EXPECT_EQ(ctx.err(), skein::errc::canceled);
    EXPECT_EQ(c.recv(ctx).status(), status::canceled);
    EXPECT_TRUE(c.try_recv().empty());
  }, 100);
}

// covers: C4
TEST_P(chan_forms, a_context_cancelled_afterwards_changes_nothing) {
  repeat([] {
    const skein::chan<int> c(1);
    {
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      EXPECT_TRUE(c.send(ctx, 1));
      cancel();
    }
    EXPECT_EQ(c.recv(), 1);
  });
}

// covers: C4
TEST_P(chan_forms, what_is_ready_goes_before_a_time_that_is_over) {
  repeat([] {
    const skein::chan<int> c(1);
    EXPECT_TRUE(c.send_for(1, -1s));
    EXPECT_EQ(c.recv_for(0s).optional(), 1);
    EXPECT_TRUE(c.send_until(2, skein::now() - 1h));
    EXPECT_EQ(c.recv_until(std::chrono::system_clock::now() - 1h).optional(), 2);
    c.close();
    EXPECT_TRUE(c.recv_for(-1h).closed());
  });
}

}  // namespace
