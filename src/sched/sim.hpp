// A simulated runtime: one thread, no processors, a seeded choice at every park, ready and operation,
// and a clock that moves only when everything waits.
//
// It uses the same goroutines, parks and waits as a real runtime. Its only worker never holds a
// processor, so every fast path falls through to the slow one, which asks here; the attention word
// stays set, so every operation calls point().
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.hpp"
#include "sched/sched.hpp"

namespace skein::inline SKEIN_ABI::sched {

class simulation {
 public:
  enum class outcome { done, deadlock, livelock };

  simulation(runtime_state* rt, std::uint64_t seed);
  ~simulation() {
    const sys::unseen own;
    runnable_ = {};
  }
  simulation(const simulation&) = delete;
  simulation& operator=(const simulation&) = delete;

  outcome run(std::uint64_t max_steps);

  // ready() makes g runnable; only from the simulation's own thread.
  void ready(goroutine* g) noexcept;
  // point() may let another goroutine run first.
  void point(worker* w) noexcept;
  std::int64_t now() const noexcept { return clock_; }
  worker* only_worker() noexcept { return &worker_; }

 private:
  runtime_state* rt_;
  base::rng random_;
  std::int64_t clock_ = 1'000'000'000;
  std::vector<goroutine*> runnable_;
  worker worker_;
};

}  // namespace skein::inline SKEIN_ABI::sched
