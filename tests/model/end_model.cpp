// The end of a runtime against threads that are none of its own, which it waits for.
#include "model.hpp"
#include "room.hpp"

namespace {

namespace sched = skein::sched;
using skein::detail::status;

constexpr model::effort long_ones{
    .preemptions = 2, .stale = 1, .searched = 10'000, .random = 5'000};

// A thread makes a processor while another one brings a goroutine that the end waits for.
MODEL(end, processors_are_made_meanwhile, long_ones) {
  model::room r(1);
  r.end();
  sched::waiter w(nullptr);
  w.try_claim(0);
  skein::detail::goroutine* const g = r.fresh();
  g->run = nullptr;
  g->waiting = &w;
  g->state.store(status::chan_recv, std::memory_order_relaxed);
  r.rt.outsiders.store(1, std::memory_order_relaxed);
  const auto make = [&] {
    sched::change_procs(&r.rt, 2);
    sched::leave_runtime(&r.rt);
  };
  const auto bring = [&] { sched::ready_slow(g); };
  const auto end = [&] { sched::drop_goroutines(&r.rt, true); };
  model::threads(make, bring, end);
}

}  // namespace
