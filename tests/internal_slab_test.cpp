// Where goroutines come from.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "base/sys.hpp"
#include "parts/goroutine.hpp"
#include "support/everywhere.hpp"

namespace {

using skein::detail::goroutine;
using skein::detail::goroutine_slab;
using skein::detail::runtime_state;
using skein::detail::status;

// Only the address is used.
runtime_state* owner() { return reinterpret_cast<runtime_state*>(0x1000); }

std::vector<goroutine*> take(goroutine_slab& s, int n) {
  std::vector<goroutine*> all(static_cast<std::size_t>(n));
  all.resize(static_cast<std::size_t>(s.take(all.data(), n)));
  return all;
}

void put(goroutine_slab& s, const std::vector<goroutine*>& gs) { s.put(gs.data(), static_cast<int>(gs.size())); }

TEST(slab, gives_each_goroutine_to_one_taker) {
  goroutine_slab s(owner());
  std::set<goroutine*> all;
  const std::size_t n = 3 * goroutine_slab::per_chunk * 64 / 2;  // more than one mapping
  while (all.size() < n) {
    const auto some = take(s, 100);
    ASSERT_EQ(some.size(), 100u);
    for (goroutine* g : some) {
      ASSERT_TRUE(all.insert(g).second);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(g) % alignof(goroutine), 0u);
      ASSERT_EQ(goroutine_slab::owner_of(g), owner());
      ASSERT_EQ(g->state.load(), status::free);
    }
  }
  // Neighbours do not overlap, nor does the header of their chunk.
  goroutine* before = nullptr;
  for (goroutine* g : all) {
    if (before != nullptr) {
      ASSERT_GE(g, before + 1);
    }
    ASSERT_NE(reinterpret_cast<std::uintptr_t>(g) % goroutine_slab::chunk_bytes, 0u);
    before = g;
  }
}

TEST(slab, uses_again_what_was_put_back_before_anything_new) {
  goroutine_slab s(owner());
  const auto first = take(s, 500);
  put(s, first);
  std::set<goroutine*> old(first.begin(), first.end());
  for (goroutine* g : take(s, 500)) EXPECT_EQ(old.count(g), 1u);
  for (goroutine* g : take(s, 1)) EXPECT_EQ(old.count(g), 0u);
}

TEST(slab, visits_all_that_were_used_with_numbers_that_stay) {
  goroutine_slab s(owner());
  const auto gs = take(s, static_cast<int>(goroutine_slab::per_chunk) + 10);
  std::set<std::size_t> numbers;
  std::set<const goroutine*> seen;
  s.for_each([&](goroutine& g, std::size_t number) {
    EXPECT_TRUE(numbers.insert(number).second);
    seen.insert(&g);
  });
  for (const goroutine* g : gs) EXPECT_EQ(seen.count(g), 1u);
  EXPECT_EQ(*numbers.rbegin() + 1, numbers.size());
}

int everything_fails(skein::sys::call c) noexcept {
  return c == skein::sys::call::mmap || c == skein::sys::call::allocate ? ENOMEM : 0;
}
int blocks_fail(skein::sys::call c) noexcept {
  return c == skein::sys::call::allocate ? ENOMEM : 0;
}

TEST(slab, gives_fewer_or_none_when_memory_is_out) {
  goroutine_slab s(owner());
  for (const auto hook : {&everything_fails, &blocks_fail}) {
    skein::sys::set_fault_hook(hook);
    EXPECT_TRUE(take(s, 3).empty());
    skein::sys::set_fault_hook(nullptr);
  }
  const auto all =
      take(s, 64 * static_cast<int>(goroutine_slab::per_chunk) - 1);  // one is left in the mapping
  skein::sys::set_fault_hook(&everything_fails);
  const auto last = take(s, 3);
  EXPECT_EQ(last.size(), 1u);
  // Without memory for a block they come back all the same.
  put(s, last);
  EXPECT_EQ(take(s, 3), last);
  skein::sys::set_fault_hook(nullptr);
  EXPECT_EQ(take(s, 3).size(), 3u);
  put(s, all);
}

TEST(slab, can_be_shared_by_threads) {
  goroutine_slab s(owner());
  const std::uint64_t rounds = everywhere::scaled(3000);
  std::atomic<int> clashes{0};
  std::vector<std::thread> threads;
  for (std::uintptr_t me = 1; me <= 4; ++me)
    threads.emplace_back([&, me] {
      everywhere::dice d(me);
      std::vector<goroutine*> mine;
      for (std::uint64_t i = 0; i < rounds; ++i) {
        for (goroutine* g : take(s, 1 + static_cast<int>(d.below(300)))) mine.push_back(g);
        for (goroutine* g : mine) g->site = reinterpret_cast<const void*>(me);
        for (goroutine* g : mine)
          if (g->site != reinterpret_cast<const void*>(me)) ++clashes;
        if (d.one_in(3)) {
          put(s, mine);
          mine.clear();
        }
      }
      put(s, mine);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(clashes.load(), 0);
}

}  // namespace
