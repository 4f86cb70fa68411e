// Pools: reuse, one user at a time, and an end for what nobody uses.
#include "skein/pool.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::tracked;

struct pool : everywhere::on_procs {};
SKEIN_EVERYWHERE(pool);

// covers: Y6
TEST_P(pool, hands_out_again_what_came_back) {
  repeat(
      [] {
        tracked::reset();
        {
          int made = 0;
          skein::pool<tracked> p([&] { return tracked(++made); });
          EXPECT_FALSE(p.try_get());
          {
            auto a = p.get();
            auto b = p.get();
            EXPECT_NE(&*a, &*b);
            a->value = 10;
          }
          std::set<int> values;
          {
            const auto a = p.get();
            skein::yield();
            const auto b = p.get();
            values = {a->value, b->value};
          }
          EXPECT_EQ(values, (std::set<int>{2, 10}));
          EXPECT_EQ(made, 2);
          p.get().drop();
          EXPECT_EQ(tracked::live(), 1);
          p.put(tracked(7));
          EXPECT_EQ(tracked::live(), 2);
          auto c = p.get();
          c.put();
          EXPECT_FALSE(c);
          EXPECT_EQ(made, 2);
        }
        EXPECT_EQ(tracked::live(), 0);
        EXPECT_EQ(tracked::broken(), 0);
      },
      100);
}

// covers: Y6
TEST_P(pool, keeps_any_number_and_loses_none) {
  repeat(
      [] {
        tracked::reset();
        {
          int made = 0;
          skein::pool<tracked> p([&] { return tracked(++made); });
          for (const std::size_t n : {1, 31, 32, 33, 34, 100, 500}) {
            std::vector<skein::pooled<tracked>> loan;
            std::set<int> seen;
            while (loan.size() < n) {
              loan.push_back(p.get());
              EXPECT_TRUE(seen.insert(loan.back()->value).second);
            }
            EXPECT_EQ(made, static_cast<int>(n));
          }
          EXPECT_EQ(tracked::live(), 500);
        }
        EXPECT_EQ(tracked::live(), 0);
      },
      20);
}

// used: counts its uses without atomics, and gives the sum away at its end.
struct used {
  explicit used(std::atomic<long>& s) : sum(&s) {}
  used(used&& o) noexcept : sum(o.sum), uses(std::exchange(o.uses, 0)) {}
  ~used() { *sum += uses; }
  std::atomic<long>* sum;
  long uses = 0;
  bool busy = false;
};

void work(skein::pool<used>& p, std::uint64_t times, std::uint64_t seed) {
  everywhere::dice d(seed);
  std::vector<skein::pooled<used>> more;
  for (std::uint64_t i = 0; i < times; ++i) {
    auto u = p.get();
    EXPECT_FALSE(std::exchange(u->busy, true));
    ++u->uses;
    if (d.one_in(4)) skein::yield();
    u->busy = false;
    if (d.one_in(3)) more.push_back(std::move(u));
    if (d.one_in(20)) more.clear();
    if (d.one_in(50)) p.trim();
  }
}

// covers: Y6 Y12
TEST_P(pool, one_user_at_a_time) {
  repeat(
      [] {
        std::atomic<long> uses{0};
        const std::uint64_t times = rounds(300, 10);
        {
          skein::pool<used> p([&] { return used(uses); });
          skein::wait_group wg;
          for (std::uint64_t i = 0; i < 8; ++i) wg.go([&, i] { work(p, times, i); });
          wg.wait();
        }
        EXPECT_EQ(uses, static_cast<long>(8 * times));
      },
      30);
}

// covers: Y6 R4
TEST(pool_threads, serves_plain_threads_and_goroutines_alike) {
  std::atomic<long> uses{0};
  const std::uint64_t times = everywhere::scaled(2000);
  {
    skein::pool<used> p([&] { return used(uses); });
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < 3; ++i) threads.emplace_back([&, i] { work(p, times, i); });
    skein::run([&] {
      skein::wait_group wg;
      for (std::uint64_t i = 3; i < 8; ++i) wg.go([&, i] { work(p, times, i); });
      wg.wait();
    });
    for (auto& t : threads) t.join();
  }
  EXPECT_EQ(uses, static_cast<long>(8 * times));
}

// covers: Y6
TEST_P(pool, trim_takes_what_was_not_used_since_the_last_one) {
  repeat(
      [] {
        tracked::reset();
        skein::pool<tracked> p([] { return tracked(1); });
        {
          const auto a = p.get();
          const auto b = p.get();
        }
        p.trim();
        EXPECT_EQ(tracked::live(), 2);
        p.get()->value = 2;  // back among the living
        p.trim();
        EXPECT_EQ(tracked::live(), 1);
        EXPECT_EQ(p.get()->value, 2);
        p.trim();
        p.trim();
        EXPECT_EQ(tracked::live(), 0);
      },
      100);
}

// covers: Y6 D4
TEST(pool_time, what_nobody_uses_goes_within_two_seconds) {
  in_simulation(
      [] {
        tracked::reset();
        skein::pool<tracked> p([] { return tracked(1); });
        for (int round = 0; round < 2; ++round) {
          {
            std::vector<skein::pooled<tracked>> loan;
            while (loan.size() < 50) loan.push_back(p.get());
          }
          for (int i = 0; i < 5; ++i) {
            skein::sleep_for(450ms);
            static_cast<void>(p.get());
            EXPECT_EQ(tracked::live(), i < 4 ? 50 : 1) << i;
          }
          skein::sleep_for(1749ms);
          EXPECT_EQ(tracked::live(), 1);
          skein::sleep_for(2ms);
          EXPECT_EQ(tracked::live(), 0);
        }
      },
      100);
}

// covers: Y6 R3
TEST(pool_time, goes_on_when_a_runtime_ends) {
  tracked::reset();
  skein::pool<tracked> p([] { return tracked(1); });
  for (int i = 0; i < 3; ++i) in_simulation([&] { p.put(tracked(2)); }, 20);
  skein::run([&] { p.put(tracked(3)); });
  EXPECT_EQ(tracked::live(), static_cast<long>(3 * everywhere::scaled(20) + 1));
  in_simulation(
      [&] {
        p.put(tracked(4));
        skein::sleep_for(3s);
        EXPECT_EQ(tracked::live(), 0);
      },
      1);
}

// nested: its end uses the pool it came from.
struct nested {
  skein::pool<nested>* from;
  ~nested() {
    if (from != nullptr)
      if (auto other = from->try_get()) other->from = nullptr;
  }
};

// covers: Y6 S5
TEST_P(pool, objects_may_use_it_while_they_end) {
  repeat(
      [] {
        skein::pool<nested> p([] { return nested{nullptr}; });
        {
          const auto a = p.get();
          const auto b = p.get();
          const auto c = p.get();
          a->from = b->from = c->from = &p;
        }
        p.trim();
        p.trim();
        while (auto n = p.try_get()) {
          n->from = nullptr;
          n.drop();
        }
      },
      50);
}

// covers: Y6
TEST_P(pool, a_factory_that_throws_leaves_it_usable) {
  repeat(
      [] {
        int calls = 0;
        skein::pool<int> p([&] { return ++calls == 1 ? throw std::runtime_error("none") : calls; });
        EXPECT_THROW(static_cast<void>(p.get()), std::runtime_error);
        EXPECT_EQ(*p.get(), 2);
        skein::pool<std::vector<int>> plain;
        EXPECT_TRUE(plain.get()->empty());
        skein::pool<std::unique_ptr<int>> movable;
        movable.put(std::make_unique<int>(3));
        EXPECT_EQ(**movable.get(), 3);
      },
      20);
}

}  // namespace
