// Select over a list of cases that is known at run time only.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "skein/select.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using skein::any_case;

struct select_list : everywhere::on_procs {};
SKEIN_EVERYWHERE(select_list);

constexpr int sizes[] = {1, 2, 15, 16, 17, 64, 65, 300};

// covers: L1
TEST_P(select_list, finds_the_one_ready_case_wherever_it_stands) {
  repeat([] {
    for (const int n : sizes) {
      std::vector<skein::chan<int>> c;
      std::vector<any_case> cases;
      std::optional<int> v;
      for (int i = 0; i < n; ++i) {
        c.emplace_back(1);
        cases.emplace_back(recv(c.back(), v));
      }
      EXPECT_EQ(skein::try_select(std::span(cases)), -1);
      for (const int i : {0, n / 2, n - 1}) {
        c[static_cast<std::size_t>(i)].send(i);
        EXPECT_EQ(skein::select(std::span(cases)), i);
        EXPECT_EQ(v, i);
      }
      EXPECT_EQ(skein::try_select(std::span(cases)), -1);
    }
  }, 20);
}

// covers: L1 L2
TEST_P(select_list, waits_for_any_of_its_cases) {
  repeat([&] {
    for (const int n : sizes) {
      const auto last = static_cast<std::size_t>(n - 1);
      std::vector<skein::chan<int>> c(static_cast<std::size_t>(n));
      skein::wait_group wg;
      int fired = -1;
      int got = -1;
      until_parked(1, [&] {
        wg.go([&] {
          std::vector<any_case> cases;
          for (std::size_t i = 0; i < last; ++i) cases.emplace_back(recv(c[i]));
          cases.emplace_back(recv(c[last], [&](std::optional<int> v) { got = v.value(); }));
          fired = skein::select(std::span(cases));
        });
      });
      EXPECT_TRUE(c[last].try_send(7));
      for (const auto& each : c) EXPECT_FALSE(each.try_send(8));
      wg.wait();
      EXPECT_EQ(fired, n - 1);
      EXPECT_EQ(got, 7);
    }
  }, 20);
}

// covers: L1 L2
TEST_P(select_list, many_cases_on_few_channels) {
  repeat([] {
    const skein::chan<int> a(1);
    const skein::chan<int> b(1);
    std::vector<any_case> cases;
    int got = 0;
    for (int i = 0; i < 150; ++i) {
      cases.emplace_back(recv(a, [&](std::optional<int> v) { got += v.value(); }));
      cases.emplace_back(recv(b, [&](std::optional<int> v) { got += v.value(); }));
    }
    for (int i = 0; i < 4; ++i) {
      (i % 2 == 0 ? a : b).send(1);
      EXPECT_EQ(skein::select(std::span(cases)) % 2, i % 2);
    }
    EXPECT_EQ(got, 4);
    EXPECT_EQ(a.size() + b.size(), 0u);
  }, 50);
}

// covers: L1 L2
TEST_P(select_list, mixes_sends_receives_and_nil) {
  repeat([] {
    const skein::chan<int> full(1);
    const skein::chan<std::string> words(1);
    full.send(1);
    std::string mine(40, 'm');
    std::optional<std::string> got;
    std::vector<any_case> cases;
    cases.emplace_back(send(full, 2));
    cases.emplace_back(recv(skein::chan<int>(skein::nil)));
    cases.emplace_back(send(words, std::move(mine)));
    EXPECT_EQ(mine, std::string(40, 'm'));
    EXPECT_EQ(skein::select(std::span(cases)), 2);
    EXPECT_EQ(mine, "");
    cases.pop_back();
    cases.emplace_back(recv(words, got));
    EXPECT_EQ(skein::select(std::span(cases)), 2);
    EXPECT_EQ(got, std::string(40, 'm'));
    EXPECT_EQ(skein::try_select(std::span(cases)), -1);
  });
}

// covers: L1 L2
TEST_P(select_list, an_unsent_rvalue_stays_with_the_caller) {
  repeat([] {
    const skein::chan<std::unique_ptr<int>> full(1);
    full.send(nullptr);
    auto mine = std::make_unique<int>(1);
    {
      std::vector<any_case> cases;
      cases.emplace_back(send(full, std::move(mine)));
      EXPECT_EQ(skein::try_select(std::span(cases)), -1);
      EXPECT_NE(mine, nullptr);
      full.recv();
      EXPECT_EQ(skein::try_select(std::span(cases)), 0);
    }
    EXPECT_EQ(mine, nullptr);
    EXPECT_EQ(**full.recv(), 1);
  });
}

// covers: L1 C5
TEST_P(select_list, holds_values_that_travel_boxed) {
  using case_of_boxed = decltype(send(std::declval<skein::chan<everywhere::tracked>&>(), everywhere::tracked(1)));
  constexpr bool fits = std::is_move_constructible_v<case_of_boxed>;
  ASSERT_TRUE(fits) << "an any_case cannot hold a send of a type that travels boxed";
  everywhere::tracked::reset();
  repeat([] {
    [](auto boxed) {
      using T = decltype(boxed);
      if constexpr (fits) {
        const skein::chan<T> full(1);
        full.send(T(1));
        T mine(2);
        std::optional<T> got;
        std::vector<any_case> cases;
        cases.emplace_back(send(full, std::move(mine)));
        EXPECT_EQ(skein::try_select(std::span(cases)), -1);
        EXPECT_EQ(mine.value, 2);
        cases.emplace_back(recv(full, got));
        EXPECT_EQ(skein::select(std::span(cases)), 1);
        EXPECT_EQ(got->value, 1);
        EXPECT_EQ(mine.value, 2);
        EXPECT_EQ(skein::select(std::span(cases)), 0);
        EXPECT_EQ(full.recv()->value, 2);
      }
    }(everywhere::tracked(0));
    EXPECT_EQ(everywhere::tracked::live(), 0);
  });
}

// covers: L1 L2
TEST_P(select_list, an_empty_list_is_never_ready) {
  repeat([] {
    std::vector<any_case> none;
    EXPECT_EQ(skein::try_select(std::span(none)), -1);
    none.emplace_back(recv(skein::chan<int>(skein::nil)));
    EXPECT_EQ(skein::try_select(std::span(none)), -1);
  });
}

// covers: L1
TEST_P(select_list, a_receive_may_be_used_again_until_its_channel_ends) {
  const int count = static_cast<int>(rounds(5000, 3));
  run([&] {
    std::vector<skein::chan<int>> c(16);
    skein::wait_group wg;
    for (const auto& each : c)
      wg.go([&, each] {
        for (int i = 0; i < count; ++i) each.send(i);
        each.close();
      });
    std::vector<int> next(c.size());
    std::vector<any_case> cases;
    std::size_t open = c.size();
    for (std::size_t i = 0; i < c.size(); ++i)
      cases.emplace_back(recv(c[i], [&, i](std::optional<int> v) {
        if (v) {
          EXPECT_EQ(*v, next[i]++);
        } else {
          EXPECT_EQ(next[i], count);
          --open;
          cases[i] = recv(skein::chan<int>(skein::nil));  // switched off
        }
      }));
    while (open > 0) skein::select(std::span(cases));
    wg.wait();
  });
}

// covers: L1 L3
TEST(select_list_time, a_list_may_hold_timers) {
  everywhere::in_simulation([] {
    using namespace std::chrono_literals;
    const auto start = skein::now();
    std::vector<any_case> cases;
    for (int i = 0; i < 65; ++i) cases.emplace_back(recv(skein::after(std::chrono::milliseconds(100 - i))));
    EXPECT_EQ(skein::select(std::span(cases)), 64);
    EXPECT_EQ(skein::now() - start, 36ms);
  }, 200);
}

}  // namespace
