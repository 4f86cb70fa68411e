// The runtime's own lock.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "skein/detail/atomic.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using skein::detail::spin_lock;

TEST(spin_lock, lets_one_in_at_a_time) {
  const std::uint64_t rounds = everywhere::scaled(200'000);
  spin_lock l;
  std::uint64_t plain = 0;
  bool inside = false;
  std::atomic<int> overlaps{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < rounds; ++i) {
        l.lock();
        if (inside) ++overlaps;
        inside = true;
        ++plain;
        inside = false;
        l.unlock();
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(plain, 4 * rounds);
  EXPECT_EQ(overlaps.load(), 0);
}

TEST(spin_lock, an_attempt_fails_while_it_is_held) {
  spin_lock l;
  ASSERT_TRUE(l.try_lock());
  EXPECT_FALSE(l.try_lock());
  std::thread([&] { EXPECT_FALSE(l.try_lock()); }).join();
  l.unlock();
  EXPECT_TRUE(l.try_lock());
  l.unlock();
}

// A holder that the kernel has put aside: those who wait use almost no processor time.
// covers: S4
TEST(spin_lock, waiters_sleep_when_the_holder_is_slow) {
  spin_lock l;
  l.lock();
  std::atomic<std::int64_t> used{0};
  std::vector<std::thread> waiters;
  for (int t = 0; t < 4; ++t)
    waiters.emplace_back([&] {
      l.lock();
      l.unlock();
      timespec ts;
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
      used += ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
    });
  std::this_thread::sleep_for(200ms);
  l.unlock();
  for (std::thread& t : waiters) t.join();
  EXPECT_LT(used.load(), 400'000'000) << "four threads that waited for 0.2 s";
}

}  // namespace
