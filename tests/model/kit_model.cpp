// The pool, timers, and what the library shares between runtimes, by plain threads.
#include <atomic>
#include <chrono>
#include <utility>

#include "model.hpp"
#include "parts/run_queue.hpp"
#include "sched/barrier.hpp"
#include "skein/chan.hpp"
#include "skein/pool.hpp"
#include "skein/time.hpp"

namespace {

using namespace std::chrono_literals;

// An object on loan belongs to one; who gives it back has written to it.
MODEL(pool, loans, {.preemptions = 1, .stale = 1, .searched = 10'000, .random = 10'000}) {
  skein::pool<int> pool([] { return 0; });
  const auto use = [&] {
    for (int i = 0; i < 2; ++i) {
      auto one = pool.get();
      auto two = pool.get();
      ++*one;
      ++*two;
    }
  };
  model::threads(use, use);
}

MODEL(pool, trims, {.preemptions = 1, .stale = 1, .searched = 10'000, .random = 10'000}) {
  skein::pool<int> pool([] { return 0; });
  const auto use = [&] {
    for (int i = 0; i < 2; ++i) ++*pool.get();
  };
  const auto trim = [&] {
    pool.trim();
    pool.trim();
  };
  model::threads(use, trim);
}

// What is put back at the moment of a step goes at a later one.
void steps() {
  skein::sched::probe_fences();
  std::atomic<int> left{2};
  struct object {
    std::atomic<int>* left;
    object(std::atomic<int>* l) : left(l) {}
    object(object&& o) noexcept : left(std::exchange(o.left, nullptr)) {}
    ~object() {
      if (left != nullptr) left->fetch_sub(1, std::memory_order_relaxed);
    }
  };
  skein::pool<object> pool([&] { return object(&left); });
  pool.put(object(&left));
  const auto put = [&] {
    skein::sleep_for(2s);  // the step that destroys the first object finds no other
    pool.put(object(&left));
  };
  model::threads(put);
  while (left.load(std::memory_order_relaxed) != 0) skein::sleep_for(1s);
}
constexpr model::effort stepping{
    .preemptions = 2, .stale = 1, .searched = 20'000, .random = 20'000};
MODEL(pool, steps, stepping) { steps(); }
MODEL(pool, steps_without_membarrier, stepping) {
  model::asymmetric_fences(false);
  steps();
}

// Either stop() says that the timer does not fire, or the time is received.
MODEL(timer, receive_against_stop,
      {.preemptions = 2, .stale = 1, .searched = 20'000, .random = 20'000},
      {"received", "stopped"}) {
  skein::timer t(1ms);
  bool stopped = false, received = false;
  const auto stop = [&] { stopped = t.stop(); };
  const auto receive = [&] { received = t.chan().recv_for(2ms).has_value(); };
  model::threads(stop, receive);
  MODEL_CHECK(stopped != received);
  model::outcome(stopped ? "stopped" : "received");
}

// A timer that goes while it fires.
MODEL(timer, dropped, {.preemptions = 2, .stale = 1, .searched = 20'000, .random = 20'000}) {
  const skein::timer t(1ms);
  skein::sleep_for(1ms);
}

MODEL(timer, reset, {.preemptions = 2, .stale = 1, .searched = 20'000, .random = 20'000}) {
  skein::timer t(1ms);
  t.reset(2ms);
  MODEL_CHECK(t.chan().recv().has_value());
  MODEL_CHECK(!t.stop());
}

MODEL(inject_queue, push_pop) {
  using skein::detail::goroutine;
  goroutine all[3];
  for (goroutine& g : all) g.epoch = 0;
  skein::detail::inject_queue q;
  const auto push = [&] {
    for (int i = 0; i < 2; ++i) {
      all[i].epoch = 1;
      q.push(&all[i]);
    }
    q.push_tired(&all[2]);
  };
  const auto pop = [&] {
    goroutine* some[2];
    const std::size_t n = q.pop(some, 2);
    for (std::size_t i = 0; i < n; ++i) MODEL_CHECK(some[i]->epoch == 1 && some[i] == &all[i]);
    q.pop_tired();
  };
  model::threads(push, pop);
}

}  // namespace
