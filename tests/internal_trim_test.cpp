// The monitor gives back pages of parked goroutines while they wake up all the time.
#include "sched/trim.hpp"

#include <array>
#include <atomic>
#include <chrono>

#include "skein/chan.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;

struct trim : everywhere::on_procs {
  // Without a pause a round takes a few milliseconds.
  trim() { skein::sched::trim_pause_ns = 0; }
  ~trim() override { skein::sched::trim_pause_ns = 400'000'000; }
};
SKEIN_ON_PROCS(trim);

std::atomic<std::uint64_t> spoiled{0};

// Below whatever the caller has on its stack: pages that may have been given back a moment ago, or are
// being given back now if somebody has made a mistake.
[[gnu::noinline]] void use_pages(std::uint64_t pattern, int rounds) {
  std::array<volatile std::uint64_t, 2048> deep;
  for (volatile std::uint64_t& word : deep) word = pattern;
  for (int i = 0; i < rounds; ++i)
    for (std::size_t k = 0; k < deep.size(); k += 16)
      if (deep[k] != pattern) ++spoiled;
}

// Parks, of a length that lets the monitor come by, in every way of being woken: by a timer, by another
// goroutine, by another thread.
// covers: G7
TEST_P(trim, takes_nothing_from_a_goroutine_that_wakes_up) {
  spoiled = 0;
  run([] {
    constexpr int pairs = 50;
    skein::wait_group wg;
    wg.add(2 * pairs);
    for (std::uint64_t i = 0; i < pairs; ++i) {
      const skein::chan<int> c;
      const std::uint64_t turns = everywhere::scaled(300);
      skein::go([&wg, c, i, turns] {
        everywhere::dice d(i);
        for (std::uint64_t k = 0; k < turns; ++k) {
          std::uint64_t kept[64];
          std::fill(std::begin(kept), std::end(kept), i * turns + k);
          skein::sleep_for(std::chrono::microseconds(d.below(5'000)));
          use_pages(i + k, 4);
          c.send(1);
          use_pages(i - k, 4);
          for (const std::uint64_t word : kept)
            if (word != i * turns + k) ++spoiled;
        }
        c.close();
        wg.done();
      });
      skein::go([&wg, c, i] {
        while (c.recv()) use_pages(~i, 20);
        wg.done();
      });
    }
    wg.wait();
  });
  EXPECT_EQ(spoiled.load(), 0u);
}

}  // namespace
