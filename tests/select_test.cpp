// Select: which case fires, what it does, and that the others do nothing.
#include "skein/select.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct select : everywhere::on_procs {};
SKEIN_EVERYWHERE(select);

// covers: L1
TEST_P(select, gives_the_index_of_the_case_and_its_value) {
  repeat([] {
    const skein::chan<int> a(1);
    const skein::chan<std::string> b(1);
    std::optional<int> v = 9;
    std::optional<std::string> w;
    EXPECT_EQ(skein::select(recv(a, v), send(b, "text")), 1);
    EXPECT_EQ(v, 9);
    EXPECT_EQ(skein::select(recv(a, v), recv(b, w)), 1);
    EXPECT_EQ(w, "text");
    EXPECT_EQ(skein::select(recv(b, w), send(a, 5)), 1);
    EXPECT_EQ(skein::select(recv(a, v), recv(b)), 0);
    EXPECT_EQ(v, 5);
    a.close();
    EXPECT_EQ(skein::select(recv(b), recv(a, v)), 1);
    EXPECT_EQ(v, std::nullopt);
  });
}

// covers: L1
TEST_P(select, try_select_without_a_ready_case_gives_minus_one) {
  repeat([] {
    const skein::chan<int> empty;
    const skein::chan<int> full(1);
    full.send(1);
    std::optional<int> v = 4;
    EXPECT_EQ(skein::try_select(recv(empty, v), send(empty, 1), send(full, 2), recv(skein::chan<int>(skein::nil))), -1);
    EXPECT_EQ(v, 4);
    EXPECT_EQ(full.size(), 1u);
    EXPECT_EQ(skein::try_select(), -1);
    EXPECT_EQ(skein::try_select(recv(empty), recv(full, v)), 1);
    EXPECT_EQ(v, 1);
  });
}

// covers: L1 L2
TEST_P(select, without_a_case_that_can_fire_blocks_for_ever) {
  static std::atomic<int> passed;  // outlives the goroutines, which stay where they are
  passed = 0;
  run([] {
    until_parked(2, [] {
      skein::go([] {
        skein::select();
        ++passed;
      });
      skein::go([] {
        const skein::chan<int> n = skein::nil;
        skein::select(recv(n), send(n, 1));
        ++passed;
      });
    });
    EXPECT_EQ(passed, 0);
  });
}

// covers: L2
TEST_P(select, nil_cases_never_fire) {
  repeat([] {
    const skein::chan<int> n = skein::nil;
    const skein::chan<int> c(1);
    for (int i = 0; i < 20; ++i) {
      std::optional<int> v;
      auto mine = std::make_unique<int>(1);
      EXPECT_EQ(skein::select(recv(n, v), send(n, i), send(c, i), recv(skein::receiver<int>(n)),
                              send(skein::chan<std::unique_ptr<int>>(skein::nil), std::move(mine))), 2);
      EXPECT_NE(mine, nullptr);
      EXPECT_EQ(skein::select(send(skein::sender<int>(n), i), recv(c, v), recv(n)), 1);
      EXPECT_EQ(v, i);
    }
  });
}

// covers: L2
TEST_P(select, cases_that_do_not_fire_have_no_effect) {
  repeat([] {
    const skein::chan<std::string> a(1);
    const skein::chan<std::string> b(1);
    std::string first(40, '1');
    std::string second(40, '2');
    const int fired = skein::select(send(a, std::move(first)), send(b, std::move(second)));
    ASSERT_TRUE(fired == 0 || fired == 1);
    EXPECT_EQ(a.size(), fired == 0 ? 1u : 0u);
    EXPECT_EQ(b.size(), fired == 1 ? 1u : 0u);
    EXPECT_EQ(fired == 0 ? second : first, std::string(40, fired == 0 ? '2' : '1'));
    EXPECT_EQ((fired == 0 ? a : b).recv(), std::string(40, fired == 0 ? '1' : '2'));
  });
}

// covers: L2
TEST_P(select, a_select_that_is_over_waits_nowhere) {
  repeat([&] {
    const skein::chan<int> a;
    const skein::chan<int> b;
    skein::wait_group wg;
    until_parked(1, [&] { wg.go([&] { EXPECT_EQ(skein::select(recv(a), recv(b), send(a, 1)), 1); }); });
    b.send(1);
    EXPECT_FALSE(a.try_send(1));
    EXPECT_FALSE(b.try_send(1));
    EXPECT_TRUE(a.try_recv().empty());
    wg.wait();
  });
}

// covers: L2 C5
TEST_P(select, a_boxed_rvalue_that_was_not_sent_is_as_it_was) {
  everywhere::tracked::reset();
  repeat([] {
    {
      const skein::chan<everywhere::tracked> never;
      const skein::chan<int> ready(1);
      ready.send(1);
      everywhere::tracked v(3);
      EXPECT_EQ(skein::select(send(never, std::move(v)), recv(ready)), 1);
      EXPECT_EQ(v.value, 3);
      EXPECT_EQ(skein::try_select(send(never, std::move(v))), -1);
      EXPECT_EQ(v.value, 3);
      never.close();
      EXPECT_THROW(skein::select(send(never, std::move(v))), skein::closed_channel);
      EXPECT_EQ(v.value, 3);
      EXPECT_EQ(everywhere::tracked::copies(), 0);
    }
    EXPECT_EQ(everywhere::tracked::live(), 0);
  });
}

// covers: L2
TEST_P(select, a_channel_twice_fires_once) {
  repeat([] {
    const skein::chan<int> c(3);
    for (int i = 1; i <= 2; ++i) c.send(i);
    std::optional<int> v;
    std::optional<int> w;
    const int got = skein::select(recv(c, v), recv(c, w));
    EXPECT_EQ(got == 0 ? v : w, 1);
    EXPECT_EQ(got == 0 ? w : v, std::nullopt);
    EXPECT_EQ(c.recv(), 2);
    const int sent = skein::select(send(c, 10), send(c, 11));
    EXPECT_EQ(c.size(), 1u);
    EXPECT_EQ(c.recv(), 10 + sent);
  });
}

// covers: L2
TEST_P(select, a_channel_twice_is_one_waiter_for_its_partner) {
  repeat([&] {
    const skein::chan<int> c;
    skein::wait_group wg;
    int sum = 0;
    until_parked(1, [&] {
      wg.go([&] {
        std::optional<int> v;
        std::optional<int> w;
        skein::select(recv(c, v), recv(c, w), recv(c, v));
        sum = v.value_or(0) + w.value_or(0);
      });
    });
    EXPECT_TRUE(c.try_send(1));
    EXPECT_FALSE(c.try_send(2));
    wg.wait();
    EXPECT_EQ(sum, 1);
    until_parked(1, [&] { wg.go([&] { skein::select(send(c, 1), send(c, 2)); }); });
    const int got = c.recv().value();
    EXPECT_TRUE(got == 1 || got == 2);
    EXPECT_TRUE(c.try_recv().empty());
    wg.wait();
  }, 100);
}

// covers: L2
TEST_P(select, nobody_meets_himself) {
  repeat([&] {
    const skein::chan<int> c;
    EXPECT_EQ(skein::try_select(send(c, 1), recv(c)), -1);
    EXPECT_EQ(skein::try_select(recv(c), send(c, 1)), -1);
    skein::wait_group wg;
    std::optional<int> v;
    int fired = -1;
    until_parked(1, [&] { wg.go([&] { fired = skein::select(send(c, 1), recv(c, v)); }); });
    EXPECT_EQ(c.try_recv().optional(), 1);
    wg.wait();
    EXPECT_EQ(fired, 0);
    until_parked(1, [&] { wg.go([&] { fired = skein::select(send(c, 1), recv(c, v)); }); });
    EXPECT_TRUE(c.try_send(2));
    wg.wait();
    EXPECT_EQ(fired, 1);
    EXPECT_EQ(v, 2);
  }, 100);
}

// covers: L2 C2
TEST_P(select, send_on_a_closed_channel_throws_when_chosen) {
  repeat([] {
    const skein::chan<int> closed;
    closed.close();
    const skein::chan<int> empty;
    EXPECT_THROW(skein::select(send(closed, 1)), skein::closed_channel);
    EXPECT_THROW(skein::select(recv(empty), send(closed, 1)), skein::closed_channel);
    EXPECT_THROW(skein::try_select(send(closed, 1), recv(empty)), skein::closed_channel);
  });
}

// covers: L2 C3
TEST_P(select, close_ends_every_select_that_waits) {
  repeat([&] {
    const skein::chan<std::string> c;
    const skein::chan<int> other;
    skein::wait_group wg;
    std::atomic<int> ended = 0;
    until_parked(6, [&] {
      for (int i = 0; i < 3; ++i) {
        wg.go([&] {
          std::string mine = "it stays with the sender";
          EXPECT_THROW(skein::select(recv(other), send(c, std::move(mine))), skein::closed_channel);
          EXPECT_EQ(mine, "it stays with the sender");
          ++ended;
        });
        wg.go([&] {
          std::optional<int> v = 1;
          EXPECT_EQ(skein::select(recv(skein::chan<int>(skein::nil)), recv(other, v)), 1);
          EXPECT_EQ(v, std::nullopt);
          ++ended;
        });
      }
    });
    c.close();
    while (ended < 3) skein::yield();
    other.close();
    wg.wait();
    EXPECT_EQ(ended, 6);
  }, 100);
}

// covers: L2
TEST_P(select, a_receive_from_a_closed_channel_is_ready) {
  repeat([] {
    const skein::chan<int> closed(2);
    const skein::chan<int> empty;
    closed.send(1);
    closed.close();
    std::optional<int> v;
    EXPECT_EQ(skein::select(recv(empty), recv(closed, v)), 1);
    EXPECT_EQ(v, 1);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(skein::select(recv(closed, v), recv(empty)), 0);
      EXPECT_EQ(v, std::nullopt);
    }
  });
}

// covers: L1 L2
TEST_P(select, each_expression_is_evaluated_once_on_entry) {
  repeat([] {
    const skein::chan<int> never;
    const skein::chan<everywhere::tracked> also_never;
    const skein::chan<int> ready(1);
    ready.send(1);
    int channels = 0;
    int values = 0;
    const auto which = [&](const auto& c) { return ++channels, c; };
    const auto value = [&](int v) { return ++values, v; };
    everywhere::tracked::reset();
    {
      const everywhere::tracked lvalue(1);
      std::optional<int> v;
      EXPECT_EQ(skein::select(send(which(never), value(1)), recv(which(ready), v), send(which(never), value(2)),
                              send(which(also_never), lvalue), recv(which(never))), 1);
      EXPECT_EQ(everywhere::tracked::copies(), 1);
    }
    EXPECT_EQ(channels, 5);
    EXPECT_EQ(values, 2);
    EXPECT_EQ(everywhere::tracked::live(), 0);
  });
}

// covers: L1
TEST_P(select, the_handler_of_the_case_that_fired_runs_and_no_other) {
  repeat([] {
    const skein::chan<int> a(1);
    const skein::chan<int> b(1);
    int calls = 0;
    int got = 0;
    EXPECT_EQ(skein::select(recv(a, [&](std::optional<int>) { ADD_FAILURE(); }), send(b, 7, [&] { ++calls; })), 1);
    EXPECT_EQ(skein::select(send(b, 8, [&] { ADD_FAILURE(); }), recv(b, [&](std::optional<int> v) {
                              ++calls;
                              got = v.value();
                            })), 1);
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(got, 7);
    a.close();
    EXPECT_EQ(skein::select(recv(a, [&](std::optional<int> v) {
                ++calls;
                EXPECT_EQ(v, std::nullopt);
              })), 0);
    EXPECT_EQ(skein::try_select(recv(b, [&](std::optional<int>) { ADD_FAILURE(); })), -1);
    EXPECT_EQ(calls, 3);
  });
}

// covers: L1 L2 L4
TEST_P(select, any_of_its_cases_wakes_one_that_waits) {
  repeat([&] {
    for (int which = 0; which < 4; ++which) {
      const skein::chan<int> a;
      const skein::chan<int> b(1);
      b.send(0);
      const skein::chan<int> c;
      skein::wait_group wg;
      int fired = -1;
      until_parked(1, [&] { wg.go([&] { fired = skein::select(recv(a), send(b, 5), send(a, 6), recv(c)); }); });
      switch (which) {
        case 0: a.send(1); break;
        case 1: EXPECT_EQ(b.recv(), 0); break;
        case 2: EXPECT_EQ(a.recv(), 6); break;
        case 3: c.close(); break;
      }
      wg.wait();
      EXPECT_EQ(fired, which);
      if (which == 1) {
        EXPECT_EQ(b.recv(), 5);
      }
    }
  }, 50);
}

}  // namespace
