// The run queue of a processor: alone, and with thieves at it.
#include "parts/run_queue.hpp"

#include <atomic>
#include <cerrno>
#include <iterator>
#include <memory>
#include <thread>
#include <vector>

#include "base/sys.hpp"
#include "support/everywhere.hpp"

namespace {

using skein::detail::goroutine;
using skein::detail::goroutine_list;
using skein::detail::inject_queue;
using skein::detail::run_batch;
using skein::detail::run_queue;

// crowd: goroutines that stand for numbers and never run.
class crowd {
 public:
  explicit crowd(std::size_t n) : all_(new goroutine[n]()) {}
  goroutine* operator[](std::size_t i) const { return &all_[i]; }
  std::size_t number(const goroutine* g) const { return static_cast<std::size_t>(g - all_.get()); }

 private:
  std::unique_ptr<goroutine[]> all_;
};

// covers: S1
TEST(run_queue, pops_in_the_order_of_the_pushes) {
  const crowd gs(run_queue::slots);
  run_queue q;
  std::size_t in = 0;
  std::size_t out = 0;
  everywhere::dice d(1);
  for (int step = 0; step < 10'000; ++step) {
    if (in - out < run_queue::slots && d.one_in(2)) {
      ASSERT_TRUE(q.push(gs[in++ % run_queue::slots]));
    } else if (in != out) {
      ASSERT_EQ(q.pop(), gs[out++ % run_queue::slots]);
    } else {
      ASSERT_EQ(q.pop(), nullptr);
    }
    ASSERT_EQ(q.size(), in - out);
    ASSERT_EQ(q.empty(), in == out);
  }
}

// covers: S1
TEST(run_queue, is_bounded_and_sheds_its_older_half) {
  const crowd gs(run_queue::slots + 1);
  run_queue q;
  for (std::size_t i = 0; i < run_queue::slots; ++i) ASSERT_TRUE(q.push(gs[i]));
  EXPECT_FALSE(q.push(gs[run_queue::slots]));
  goroutine* half[run_queue::slots / 2];
  ASSERT_EQ(q.shed(half), std::size(half));
  for (std::size_t i = 0; i < std::size(half); ++i) ASSERT_EQ(half[i], gs[i]);
  EXPECT_TRUE(q.push(gs[run_queue::slots]));
  for (std::size_t i = run_queue::slots / 2; i <= run_queue::slots; ++i) ASSERT_EQ(q.pop(), gs[i]);
  EXPECT_EQ(q.pop(), nullptr);
}

// covers: S1
TEST(run_queue, a_thief_takes_half_rounded_up) {
  for (std::size_t n = 0; n <= run_queue::slots; ++n) {
    const crowd gs(n + 1);
    run_queue victim;
    run_queue mine;
    for (std::size_t i = 0; i < n; ++i) ASSERT_TRUE(victim.push(gs[i]));
    const std::size_t half = n - n / 2;
    goroutine* first = mine.steal_from(victim);
    if (n == 0) {
      ASSERT_EQ(first, nullptr);
      continue;
    }
    ASSERT_EQ(mine.size(), half - 1);
    ASSERT_EQ(victim.size(), n - half);
    std::vector<bool> stolen(n);
    for (goroutine* g = first; g != nullptr; g = mine.pop()) {
      ASSERT_LT(gs.number(g), half);
      ASSERT_FALSE(stolen[gs.number(g)]);
      stolen[gs.number(g)] = true;
    }
    for (std::size_t i = half; i < n; ++i) ASSERT_EQ(victim.pop(), gs[i]);
  }
}

TEST(run_queue, takes_a_batch_in_order) {
  const crowd gs(run_queue::slots);
  run_queue q;
  for (std::size_t i = 0; i < 40; ++i) ASSERT_TRUE(q.push(gs[i]));
  run_batch b;
  EXPECT_EQ(b.left(), 0u);
  b.fill(q, 3);
  EXPECT_EQ(b.left(), 3u);
  EXPECT_EQ(q.size(), 37u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(b.pop(), gs[i]);
  EXPECT_EQ(b.left(), 0u);
  for (std::size_t at = 3; at < 40;) {
    b.fill(q, run_batch::most);
    ASSERT_EQ(b.left(), std::min<std::size_t>(run_batch::most, 40 - at));
    while (b.left() != 0) ASSERT_EQ(b.pop(), gs[at++]);
  }
  b.fill(q, run_batch::most);
  EXPECT_EQ(b.left(), 0u);
}

int no_memory(skein::sys::call c) noexcept { return c == skein::sys::call::allocate ? ENOMEM : 0; }

// One by one, in lists and in arrays, while memory for the queue comes and goes.
TEST(inject_queue, is_first_in_first_out_whether_there_is_memory_or_not) {
  constexpr std::size_t all = 5000;
  const crowd gs(all);
  inject_queue q;
  everywhere::dice d(2);
  std::size_t in = 0;
  std::size_t out = 0;
  while (out < all) {
    skein::sys::set_fault_hook(d.one_in(2) ? &no_memory : nullptr);
    goroutine_list l;
    for (std::uint64_t n = d.below(200); n > 0 && in < all; --n) l.push(gs[in++]);
    q.push(l);
    ASSERT_EQ(l.head, nullptr);
    if (in < all) q.push(gs[in++]);
    ASSERT_EQ(q.size(), in - out);
    goroutine* some[200];
    const std::size_t n = q.pop(some, d.below(200));
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(some[i], gs[out++]);
  }
  skein::sys::set_fault_hook(nullptr);
  goroutine* none;
  EXPECT_EQ(q.pop(&none, 1), 0u);
}

TEST(inject_queue, keeps_the_tired_apart) {
  const crowd gs(4);
  inject_queue q;
  q.push_tired(gs[0]);
  q.push(gs[1]);
  q.push_tired(gs[2]);
  q.push(gs[3]);
  EXPECT_EQ(q.fresh(), 2u);
  EXPECT_EQ(q.tired(), 2u);
  EXPECT_EQ(q.size(), 4u);
  goroutine* some[4];
  ASSERT_EQ(q.pop(some, 4), 2u);
  EXPECT_EQ(some[0], gs[1]);
  EXPECT_EQ(some[1], gs[3]);
  EXPECT_EQ(q.pop_tired(), gs[0]);
  EXPECT_EQ(q.pop_tired(), gs[2]);
  EXPECT_EQ(q.pop_tired(), nullptr);
  EXPECT_EQ(q.size(), 0u);
}

// The owner pushes, pops one by one and in batches, and sheds; three thieves steal. Each goroutine
// comes out once, and what the owner gets is in the order in which it came in.
// covers: S1
TEST(run_queue, loses_and_doubles_nothing_under_thieves) {
  const std::size_t n = everywhere::scaled(400'000);
  const crowd gs(n);
  const std::unique_ptr<std::atomic<std::uint8_t>[]> seen(new std::atomic<std::uint8_t>[n]());
  const auto note = [&](const goroutine* g) {
    seen[gs.number(g)].fetch_add(1, std::memory_order_relaxed);
  };
  run_queue q;
  std::atomic<bool> over{false};
  std::atomic<std::size_t> stolen{0};
  bool in_order = true;

  std::vector<std::thread> thieves;
  for (int t = 0; t < 3; ++t)
    thieves.emplace_back([&] {
      run_queue mine;
      while (!over.load(std::memory_order_acquire) || !q.empty()) {
        for (goroutine* g = mine.steal_from(q); g != nullptr; g = mine.pop()) {
          note(g);
          stolen.fetch_add(1, std::memory_order_relaxed);
        }
      }
    });

  everywhere::dice d(3);
  std::size_t last = 0;
  const auto mine = [&](const goroutine* g) {
    note(g);
    in_order = in_order && gs.number(g) + 1 > last;
    last = gs.number(g) + 1;
  };
  for (std::size_t in = 0; in < n;) {
    for (std::uint64_t burst = 1 + d.below(300); burst > 0 && in < n; --burst) {
      while (!q.push(gs[in])) {
        goroutine* half[run_queue::slots / 2];
        const std::size_t shed = q.shed(half);
        for (std::size_t i = 0; i < shed; ++i) mine(half[i]);
      }
      ++in;
    }
    for (std::uint64_t k = d.below(20); k > 0; --k)
      if (const goroutine* g = q.pop()) mine(g);
    goroutine* batch[run_batch::most];
    const std::uint32_t got =
        q.pop(batch, 1 + static_cast<std::uint32_t>(d.below(run_batch::most)));
    for (std::uint32_t i = 0; i < got; ++i) mine(batch[i]);
  }
  over.store(true, std::memory_order_release);
  for (std::thread& t : thieves) t.join();
  while (const goroutine* g = q.pop()) mine(g);

  EXPECT_TRUE(in_order);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < n; ++i) wrong += seen[i].load() != 1;
  EXPECT_EQ(wrong, 0u);
}

// Thieves that steal from each other, as idle workers do: the goroutines go round until they are
// used up.
// covers: S1
TEST(run_queue, survives_thieves_that_rob_each_other) {
  const std::size_t n = everywhere::scaled(200'000);
  const crowd gs(n);
  const std::unique_ptr<std::atomic<std::uint8_t>[]> seen(new std::atomic<std::uint8_t>[n]());
  run_queue queues[4];
  inject_queue rest;
  std::atomic<std::size_t> done{0};
  for (std::size_t i = 0; i < n; ++i) rest.push(gs[i]);

  std::vector<std::thread> workers;
  for (std::size_t me = 0; me < 4; ++me)
    workers.emplace_back([&, me] {
      everywhere::dice d(me);
      run_queue& mine = queues[me];
      while (done.load(std::memory_order_relaxed) < n) {
        goroutine* g = mine.pop();
        if (g == nullptr && d.one_in(2)) {
          goroutine* some[run_queue::slots / 2];
          const std::size_t got = rest.pop(some, 1 + d.below(std::size(some)));
          for (std::size_t k = 0; k < got; ++k) ASSERT_TRUE(mine.push(some[k]));
          continue;
        }
        if (g == nullptr) g = mine.steal_from(queues[(me + 1 + d.below(3)) % 4]);
        if (g == nullptr) {
          std::this_thread::yield();
          continue;
        }
        seen[gs.number(g)].fetch_add(1, std::memory_order_relaxed);
        done.fetch_add(1, std::memory_order_relaxed);
      }
    });
  for (std::thread& t : workers) t.join();
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < n; ++i) wrong += seen[i].load() != 1;
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
