// Parallel loops: each element once, bounded, and one end for all.
#include "skein/parallel.hpp"

#include <atomic>
#include <chrono>
#include <forward_list>
#include <memory>
#include <numeric>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "skein/time.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using skein::parallel_for_each;

struct parallel : everywhere::on_procs {};
SKEIN_EVERYWHERE(parallel);

// covers: G3 Y12
TEST_P(parallel, visits_each_element_once) {
  repeat(
      [] {
        for (const std::size_t limit : {0, 1, 3, 50}) {
          std::vector<int> v(20);
          EXPECT_TRUE(parallel_for_each(v, [](int& x) { skein::yield(), ++x; }, {.limit = limit}));
          EXPECT_EQ(v, std::vector<int>(20, 1));
          std::forward_list<int> l(20);
          EXPECT_TRUE(parallel_for_each(l.begin(), l.end(), [](int& x) { ++x; }, {.limit = limit}));
          EXPECT_EQ(std::accumulate(l.begin(), l.end(), 0), 20);
          std::atomic<int> sum{0};
          EXPECT_TRUE(parallel_for_each(std::views::iota(1, 11), [&](int x) { sum += x; },
                                        {.limit = limit}));
          std::istringstream words("1 2 3 4 5");
          EXPECT_TRUE(parallel_for_each(std::views::istream<int>(words), [&](int x) { sum += x; },
                                        {.limit = limit}));
          EXPECT_EQ(sum, 55 + 15);
          EXPECT_TRUE(parallel_for_each(std::vector<int>(), [](int) { FAIL(); }, {.limit = limit}));
        }
      },
      100);
}

// covers: G3
TEST_P(parallel, keeps_and_uses_the_limit) {
  repeat([] {
    std::atomic<int> inside{0};
    skein::wait_group all_here;
    all_here.add(3);
    parallel_for_each(std::views::iota(0, 12),
                      [&](int i) {
                        EXPECT_LE(++inside, 3);
                        if (i < 3) all_here.done(), all_here.wait();
                        skein::yield();
                        --inside;
                      },
                      {.limit = 3});
  });
}

// covers: G3
TEST_P(parallel, a_channel_is_a_queue_of_jobs) {
  repeat([] {
    skein::chan<std::unique_ptr<int>> jobs;
    skein::chan<int> answers(10);
    skein::go([=] {
      for (int i = 1; i <= 10; ++i) {
        jobs.send(std::make_unique<int>(i));
        if (i % 3 == 0) answers.recv();  // each job is done before the next one exists
      }
      jobs.close();
    });
    std::atomic<int> sum{0};
    EXPECT_TRUE(parallel_for_each(
        jobs, [&](std::unique_ptr<int> p) { sum += *p, answers.send(*p); }, {.limit = 4}));
    EXPECT_EQ(sum, 55);
  });
}

// covers: G3
TEST_P(parallel, the_first_exception_stops_the_rest) {
  repeat([] {
    std::atomic<int> begun{0};
    std::atomic<int> inside{0};
    try {
      parallel_for_each(std::views::iota(0, 1000),
                        [&](const skein::context& ctx, int i) {
                          ++begun, ++inside;
                          if (i == 2) {
                            --inside;
                            throw std::runtime_error("two");
                          }
                          ctx.done().recv();
                          EXPECT_EQ(ctx.err(), skein::errc::canceled);
                          --inside;
                          throw std::logic_error("late");
                        },
                        {.limit = 3});
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "two");
    }
    EXPECT_EQ(inside, 0);
    EXPECT_EQ(begun, 3);
  });
}

// covers: G3 G4
TEST_P(parallel, exit_goroutine_is_told_or_ends_the_caller) {
  repeat([] {
    skein::chan<int> how(1);
    skein::wait_group wg;
    wg.go([&] {
      struct leaver {
        skein::chan<int>& how;
        int value = 1;
        ~leaver() { how.send(value); }
      } l{how};
      try {
        parallel_for_each(std::views::iota(0, 5),
                          [](int i) { i == 1 ? skein::exit_goroutine() : skein::yield(); },
                          {.limit = 2});
        l.value = 2;
      } catch (const skein::goroutine_exited&) {
        l.value = 3;
      }
    });
    wg.wait();
    EXPECT_NE(how.recv(), 2);
  });
}

// covers: G3 X3
TEST_P(parallel, a_context_that_ends_leaves_the_rest_out) {
  repeat(
      [] {
        auto [ctx, cancel] = skein::with_cancel(skein::background());
        std::atomic<int> begun{0};
        EXPECT_FALSE(parallel_for_each(std::views::iota(0, 1000),
                                       [&](int) {
                                         const int n = ++begun;
                                         if (n == 5) cancel();
                                         if (n > 5) ctx.done().recv();
                                       },
                                       {.limit = 3, .ctx = ctx}));
        EXPECT_GE(begun, 5);
        EXPECT_LE(begun, 7);
        EXPECT_FALSE(parallel_for_each(std::vector<int>{1}, [](int) { FAIL(); }, {.ctx = ctx}));
        EXPECT_TRUE(parallel_for_each(std::vector<int>(), [](int) { FAIL(); }, {.ctx = ctx}));
        auto [last, end] = skein::with_cancel(skein::background());
        EXPECT_TRUE(parallel_for_each(std::views::iota(0, 1), [&](int) { end(); }, {.ctx = last}));
      },
      100);
}

// covers: G3
TEST(parallel_cost, needs_no_goroutine_for_what_one_worker_does) {
  skein::run([] {
    const auto before = skein::stats().goroutines_started;
    parallel_for_each(std::views::iota(0, 100), [](int) {}, {.limit = 1});
    EXPECT_EQ(skein::stats().goroutines_started, before);
    parallel_for_each(std::views::iota(0, 10'000), [](int) {}, {.limit = 4});
    EXPECT_LE(skein::stats().goroutines_started, before + 3);
  });
  int sum = 0;
  parallel_for_each(std::views::iota(0, 5), [&](int i) { sum += i; },
                    {.limit = 1});  // on a plain thread
  EXPECT_EQ(sum, 10);
}

// covers: G3 R4
TEST(parallel_threads, a_plain_thread_is_one_of_the_workers) {
  skein::runtime r;
  for (std::uint64_t i = everywhere::scaled(50); i > 0; --i) {
    std::vector<int> v(50);
    EXPECT_TRUE(parallel_for_each(v, [](int& x) { ++x; }, {.limit = 4}));
    EXPECT_EQ(v, std::vector<int>(50, 1));
  }
}

}  // namespace
