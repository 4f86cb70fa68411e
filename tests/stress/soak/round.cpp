#include "stress/soak/round.hpp"

#include <algorithm>

#include "skein/go.hpp"
#include "skein/time.hpp"

namespace soak {

void compute(nanoseconds d) {
  const auto until = std::chrono::steady_clock::now() + d;
  while (std::chrono::steady_clock::now() < until) {
  }
}

void worker::flush() noexcept {
  for (std::size_t k = 0; k < kinds; ++k)
    if (done_[k] != 0) totals[k].fetch_add(std::exchange(done_[k], 0), std::memory_order_relaxed);
  since_flush_ = 0;
}

void worker::pause() {
  if (d.one_in(r.lazy() ? 2 : 64)) interrupt();
}

void worker::interrupt() {
  if (r.lazy() && d.one_in(2)) {
    count(kind::sleeps);
    return skein::sleep_for(nanoseconds(d.below(3'000'000)));
  }
  switch (d.below(24)) {
    case 0: count(kind::sleeps); return skein::sleep_for(moment());
    case 1: return compute(nanoseconds(d.below(50'000)));
    case 2:
      return skein::blocking([&] { std::this_thread::sleep_for(nanoseconds(d.below(50'000))); });
    case 3:
    case 4:
    case 5: return skein::checkpoint();
    default: return skein::yield();
  }
}

round::round(std::vector<skein::runtime*> homes, bool lazy, int most_threads)
    : homes_(std::move(homes)), lazy_(lazy), threads_left_(most_threads) {}

void round::end() {
  over_.store(true, std::memory_order_relaxed);
  life_.cancel();
}

void round::join() {
  for (std::thread& t : threads_) t.join();
}

// At most 8 threads live at once.
bool round::reserve_thread() {
  if (over() || threads_left_.load(std::memory_order_relaxed) <= 0) return false;
  if (live_threads_.fetch_add(1, std::memory_order_relaxed) >= 8) {
    live_threads_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  threads_left_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

}  // namespace soak
