// The monitor against one or two workers. It passes some ten quiet ticks before anything happens.
#include <chrono>
#include <memory>
#include <mutex>

#include "model.hpp"
#include "room.hpp"
#include "sched/registry.hpp"
#include "sched/trim.hpp"
#include "skein/time.hpp"

namespace {

using namespace std::chrono_literals;
namespace sched = skein::sched;

constexpr model::effort ticks{.preemptions = 1, .stale = 1, .searched = 3'000, .random = 1'000};

// Sleeps until somebody has stored something else than zero there.
void await(skein::detail::atomic<std::uint32_t>& word) {
  while (word.load(std::memory_order_acquire) == 0) skein::sys::futex_wait(word, 0, nullptr);
}

// It goes to sleep while all are idle and no stack is left to trim, and wakes with whoever takes a processor:
// it is needed when that one computes without an end. Here it ends as soon as it is awake. (There is a deadline
// somewhere, so it does not ask whether all are asleep.)
MODEL(monitor, wakes_with_the_others, ticks) {
  model::room r(1, 1);
  sched::trim_pause_ns.store(0, std::memory_order_relaxed);
  skein::detail::timer t{};
  r.rt.outside_timers.add(&t, std::int64_t{10'000'000'000'000});
  r.rt.polling = sched::poll_phase::sleeping;
  sched::runtimes().first = &r.rt;
  const auto monitor = [&] { sched::run_monitor(&r.rt); };
  const auto take = [&] {
    skein::sleep_for(20ms);
    MODEL_CHECK(sched::take_idle_proc(&r.rt) != nullptr);
    r.rt.stopping.store(true, std::memory_order_release);
  };
  model::threads(monitor, take);
  r.rt.outside_timers.remove(&t);
}

// What a worker that computes has left in its LIFO slot reaches another one, with the processor.
void hands_the_slot_on() {
  model::room r(1);
  r.rt.io.open();
  r.rt.idle_worker_list = nullptr;
  skein::detail::goroutine* const g = r.fresh();
  skein::detail::atomic<std::uint32_t> ran{0};
  int n = 0;
  const auto monitor = [&] { sched::run_monitor(&r.rt); };
  const auto asleep = [&] {
    const std::lock_guard hold(r.rt.idle_lock);
    return r.rt.polling == sched::poll_phase::sleeping;
  };
  const auto compute = [&] {
    while (!asleep()) skein::detail::cpu_relax();
    const model::sitting here(r.seats[0]);
    n = 1;
    sched::ready(g);
    await(ran);
  };
  const auto sleep = [&] {
    MODEL_CHECK(sched::sleep_for_proc(&r.sleeper));
    // The monitor may have its hand on the processor again, which it gives back.
    MODEL_CHECK(sched::take_local(sched::settled_proc(&r.sleeper)) == g && n == 1);
    ran.store(1, std::memory_order_release);
    skein::sys::futex_wake(ran, 1);
    r.end();
  };
  model::threads(monitor, compute, sleep);
}
MODEL(monitor, hands_the_slot_on, ticks) { hands_the_slot_on(); }
MODEL(monitor, hands_the_slot_on_without_membarrier, ticks) {
  model::asymmetric_fences(false);
  hands_the_slot_on();
}

// Between its look at a processor and the attempt to take that, another worker may have come to hold it.
MODEL(monitor, meets_another_holder, ticks) {
  model::room r(1);
  r.seats[0].w.in_runtime.store(1, std::memory_order_relaxed);  // so what is taken is given back
  sched::proc* const p = r.seats[0].p;
  p->lifo.store(r.fresh(), std::memory_order_relaxed);
  std::unique_ptr<sched::worker> other;
  const auto monitor = [&] { sched::run_monitor(&r.rt); };
  const auto change = [&] {
    skein::sleep_for(12ms);
    sched::unbind(&r.seats[0].w, p);
    other = std::make_unique<sched::worker>();
    other->rt = &r.rt;
    other->in_runtime.store(1, std::memory_order_relaxed);
    sched::bind(other.get(), p);
    r.end();
  };
  model::threads(monitor, change);
}

}  // namespace
