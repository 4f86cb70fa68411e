// Concurrent map: against a model, under contention, while it grows, and nothing lost or kept at the end.
#include "skein/map.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using everywhere::dice;
using everywhere::tracked;

struct map : everywhere::on_procs {};
SKEIN_EVERYWHERE(map);

// covers: Y7
TEST_P(map, does_what_each_name_says) {
  repeat(
      [] {
        skein::map<std::string, int> m;
        EXPECT_EQ(m.load("a"), std::nullopt);
        m.store("a", 1);
        EXPECT_EQ(m.load("a"), 1);
        EXPECT_TRUE(m.contains("a"));
        EXPECT_EQ(m.load_or_store("a", 2), std::pair(1, true));
        EXPECT_EQ(m.load_or_store("b", 2), std::pair(2, false));
        EXPECT_EQ(m.swap("a", 3), 1);
        EXPECT_EQ(m.swap("c", 4), std::nullopt);
        EXPECT_FALSE(m.compare_and_swap("a", 1, 5));
        EXPECT_FALSE(m.compare_and_swap("z", 1, 5));
        EXPECT_TRUE(m.compare_and_swap("a", 3, 5));
        EXPECT_FALSE(m.compare_and_delete("a", 3));
        EXPECT_FALSE(m.compare_and_delete("z", 3));
        EXPECT_TRUE(m.compare_and_delete("a", 5));
        EXPECT_FALSE(m.contains("a"));
        EXPECT_EQ(m.load_and_delete("b"), 2);
        EXPECT_EQ(m.load_and_delete("b"), std::nullopt);
        EXPECT_TRUE(m.erase("c"));
        EXPECT_FALSE(m.erase("c"));
        for (int i = 0; i < 5; ++i) m.store(std::to_string(i), i);
        int seen = 0;
        m.for_each([&](const std::string& k, int v) {
          EXPECT_EQ(k, std::to_string(v));
          ++seen;
        });
        EXPECT_EQ(seen, 5);
        m.for_each([&](const std::string&, int) { return --seen > 3; });
        EXPECT_EQ(seen, 3);
        m.clear();
        m.for_each([](const std::string&, int) { FAIL(); });
      },
      20);
}

// few: a hash with many collisions, so that chains are long; same: with one chain.
struct few {
  std::size_t operator()(int k) const noexcept { return static_cast<std::size_t>(k) % 7; }
};
struct same {
  std::size_t operator()(int) const noexcept { return 5; }
};

template <class Hash>
void against_a_model(std::uint64_t seed, std::uint64_t steps, std::uint64_t keys) {
  tracked::reset();
  {
    dice d(seed);
    skein::map<int, tracked, Hash> m;
    std::map<int, int> model;
    const auto value = [](const std::optional<tracked>& v) { return v ? v->value : -1; };
    const auto expected = [&](int k) { return model.contains(k) ? model[k] : -1; };
    for (std::uint64_t i = 0; i < steps; ++i) {
      const int k = static_cast<int>(d.below(keys));
      const int v = static_cast<int>(d.below(3));
      const int w = static_cast<int>(d.below(3));
      const int had = expected(k);
      switch (d.below(10)) {
        case 0: EXPECT_EQ(value(m.load(k)), had); break;
        case 1: m.store(k, tracked(v)), model[k] = v; break;
        case 2:
          EXPECT_EQ(value(m.swap(k, tracked(v))), had);
          model[k] = v;
          break;
        case 3: {
          const auto [got, loaded] = m.load_or_store(k, tracked(v));
          EXPECT_EQ(loaded, had >= 0);
          EXPECT_EQ(got.value, loaded ? had : v);
          model[k] = got.value;
          break;
        }
        case 4:
          EXPECT_EQ(m.erase(k), had >= 0);
          model.erase(k);
          break;
        case 5:
          EXPECT_EQ(value(m.load_and_delete(k)), had);
          model.erase(k);
          break;
        case 6:
          EXPECT_EQ(m.compare_and_swap(k, tracked(v), tracked(w)), had == v);
          if (had == v) model[k] = w;
          break;
        case 7:
          EXPECT_EQ(m.compare_and_delete(k, tracked(v)), had == v);
          if (had == v) model.erase(k);
          break;
        case 8: EXPECT_EQ(m.contains(k), had >= 0); break;
        case 9:
          if (d.one_in(50)) m.clear(), model.clear();
          if (d.one_in(5)) {
            std::map<int, int> all;
            m.for_each(
                [&](int key, const tracked& t) { EXPECT_TRUE(all.emplace(key, t.value).second); });
            EXPECT_EQ(all, model);
          }
          break;
      }
      if (::testing::Test::HasFailure()) return;
    }
    // What has been replaced and nobody looks at is not kept for long.
    EXPECT_LE(tracked::live(), static_cast<long>(model.size()) + 100);
  }
  EXPECT_EQ(tracked::live(), 0);
  EXPECT_EQ(tracked::broken(), 0);
}

// covers: Y7
TEST(map_model, random_operations_agree) {
  const std::uint64_t seed = everywhere::fresh_seed();
  against_a_model<std::hash<int>>(seed, everywhere::scaled(20'000), 50);
  against_a_model<std::hash<int>>(seed, everywhere::scaled(100'000), 5'000);
  against_a_model<few>(seed, everywhere::scaled(20'000), 60);
  against_a_model<same>(seed, everywhere::scaled(5'000), 10);
}

// covers: Y7
TEST_P(map, grows_under_its_readers_and_writers) {
  repeat(
      [] {
        skein::map<int, int> m;
        const int own = static_cast<int>(rounds(300, 25));
        m.store(-1, 7);
        skein::wait_group wg;
        for (int g = 0; g < 4; ++g)
          wg.go([&, g] {
            for (int i = 0; i < own; ++i) {
              const int k = i * 4 + g;
              m.store(k, k);
              EXPECT_EQ(m.load(k), k);
              EXPECT_EQ(m.load(-1), 7);
              const int past = (i / 2) * 4 + g;
              EXPECT_EQ(m.load(past), past);
              if (i % 16 == 5) {
                std::set<int> all;
                m.for_each([&](int key, int) { EXPECT_TRUE(all.insert(key).second) << key; });
                for (int j = 0; j <= i; ++j) EXPECT_TRUE(all.contains(j * 4 + g));
              }
            }
          });
        wg.wait();
        int n = 0;
        m.for_each([&](int, int) { ++n; });
        EXPECT_EQ(n, 4 * own + 1);
      },
      20);
}

// covers: Y7 Y12
TEST_P(map, changes_of_one_key_are_one_after_another) {
  repeat(
      [] {
        skein::map<int, long, few> m;
        const auto times = static_cast<long>(rounds(100, 8));
        std::array<long, 6> plain{};  // guarded by what the map orders
        skein::wait_group wg;
        for (int g = 0; g < 6; ++g)
          wg.go([&, g] {
            for (long i = 0; i < times; ++i) {
              for (;;) {  // add one
                const long v = m.load_or_store(0, 0).first;
                if (m.compare_and_swap(0, v, v + 1)) break;
                skein::yield();
              }
              // a lock: whoever stored it first has it
              while (m.load_or_store(7, g).second) skein::yield();
              for (long& p : plain) ++p;
              EXPECT_TRUE(m.compare_and_delete(7, g));
            }
          });
        wg.wait();
        EXPECT_EQ(m.load(0), 6 * times);
        for (const long p : plain) EXPECT_EQ(p, 6 * times);
        EXPECT_FALSE(m.contains(7));
      },
      50);
}

// covers: Y7
TEST_P(map, every_value_is_taken_once) {
  repeat(
      [] {
        tracked::reset();
        {
          skein::map<int, tracked> m;
          const int each = static_cast<int>(rounds(200, 15));
          std::atomic<long> put{0};
          std::atomic<long> taken{0};
          skein::wait_group wg;
          for (int g = 0; g < 4; ++g)
            wg.go([&, g] {
              dice d(static_cast<std::uint64_t>(g));
              for (int i = 0; i < each; ++i) {
                const int k = static_cast<int>(d.below(20));
                const int v = i * 4 + g + 1;
                if (d.one_in(2)) {
                  put += v;
                  if (const auto before = m.swap(k, tracked(v))) taken += before->value;
                } else if (const auto gone = m.load_and_delete(k)) {
                  taken += gone->value;
                }
              }
            });
          wg.wait();
          m.for_each([&](int k, const tracked& t) {
            EXPECT_TRUE(m.compare_and_delete(k, t));
            taken += t.value;
          });
          EXPECT_EQ(put, taken);
        }
        EXPECT_EQ(tracked::live(), 0);
        EXPECT_EQ(tracked::broken(), 0);
      },
      30);
}

// slow: gives way wherever the map runs its code.
struct slow {
  explicit slow(int k) : key(std::make_unique<int>(k)) {}
  slow(const slow& o) : key(std::make_unique<int>(*o.key)) { skein::yield(); }
  slow(slow&&) = default;
  friend bool operator==(const slow& a, const slow& b) { return skein::yield(), *a.key == *b.key; }
  std::unique_ptr<int> key;
};
struct slow_hash {
  std::size_t operator()(const slow& s) const {
    return skein::yield(), static_cast<std::size_t>(*s.key % 3);
  }
};

// covers: Y7 S5
TEST_P(map, code_of_the_program_may_park_anywhere) {
  repeat(
      [] {
        skein::map<slow, slow, slow_hash> m;
        const auto times = rounds(60, 8);
        skein::wait_group wg;
        for (std::uint64_t g = 0; g < 4; ++g)
          wg.go([&, g] {
            dice d(g);
            for (std::uint64_t i = 0; i < times; ++i) {
              const int k = static_cast<int>(d.below(6));
              switch (d.below(5)) {
                case 0: m.store(slow(k), slow(k)); break;
                case 1: m.erase(slow(k)); break;
                case 2: EXPECT_EQ(*m.load_or_store(slow(k), slow(k)).first.key, k); break;
                case 3:
                  m.for_each([&](const slow& a, const slow& b) {
                    EXPECT_EQ(*a.key, *b.key);
                    m.load(a);
                  });
                  break;
                case 4:
                  if (d.one_in(4)) m.clear();
                  EXPECT_EQ(*m.load(slow(k)).value_or(slow(k)).key, k);
                  break;
              }
            }
          });
        wg.wait();
      },
      20);
}

struct picky {
  int value;
  inline static thread_local int left = 0;
  picky(int v) : value(v) {}
  picky(const picky& o) : value(o.value) {
    if (left > 0 && --left == 0) throw std::runtime_error("copy");
  }
  friend bool operator==(const picky& a, const picky& b) {
    if (left > 0 && --left == 0) throw std::runtime_error("compare");
    return a.value == b.value;
  }
};

// covers: Y7
TEST(map_throws, what_throws_leaves_it_as_it_was) {
  skein::map<int, picky, same> m;
  m.store(1, 1);
  m.store(2, 2);
  for (int n = 1; n < 6; ++n) {
    picky::left = n;
    const auto quiet = [](const auto& f) {
      try {
        f();
      } catch (const std::runtime_error&) {
      }
    };
    quiet([&] { m.load_or_store(3, 3); });
    quiet([&] { m.compare_and_swap(2, 2, 2); });
    quiet([&] { m.compare_and_delete(1, 9); });
    quiet([&] { m.load(1); });
    picky::left = 0;
    EXPECT_TRUE(m.contains(1) && m.contains(2));
    EXPECT_EQ(m.load(2)->value, 2);
    m.erase(3);
  }
}

// covers: Y7 R4
TEST(map_threads, plain_threads_and_goroutines_share_it) {
  tracked::reset();
  {
    skein::map<int, tracked> m;
    const int each = static_cast<int>(everywhere::scaled(2000));
    const auto work = [&](int g) {
      for (int i = 0; i < each; ++i) {
        m.store(i % 50, tracked(i % 50));
        EXPECT_EQ(m.load((i + g) % 50).value_or(tracked((i + g) % 50)).value, (i + g) % 50);
        m.erase((i * 7 + g) % 50);
      }
    };
    std::vector<std::thread> threads;
    for (int g = 0; g < 3; ++g) threads.emplace_back(work, g);
    skein::run([&] {
      skein::wait_group wg;
      for (int g = 3; g < 6; ++g) wg.go([&, g] { work(g); });
      wg.wait();
    });
    for (auto& t : threads) t.join();
    EXPECT_LE(tracked::live(), 50 + 200);
  }
  EXPECT_EQ(tracked::live(), 0);
}

}  // namespace
