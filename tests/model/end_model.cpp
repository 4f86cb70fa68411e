// The end of a runtime against threads that are none of its own, which it waits for.
#include "model.hpp"
#include "sched/sched.hpp"

namespace {

namespace sched = skein::sched;
using skein::detail::status;

constexpr model::effort long_ones{
    .preemptions = 2, .stale = 1, .searched = 10'000, .random = 5'000};

// A thread makes a processor while another one brings a goroutine that the end waits for.
MODEL(end, processors_are_made_meanwhile, long_ones) {
  sched::probe_fences();
  auto* rt = new skein::detail::runtime_state(skein::options{});
  rt->procs.store(1, std::memory_order_relaxed);
  sched::add_proc(rt);
  sched::waiter w(nullptr);
  w.try_claim(0);
  skein::detail::goroutine* const g = sched::new_goroutine(rt, skein::go_options{}, nullptr);
  g->run = nullptr;
  g->waiting = &w;
  g->state.store(status::chan_recv, std::memory_order_relaxed);
  rt->outsiders.store(1, std::memory_order_relaxed);
  sched::begin_stop(rt);  // so no worker is started any more
  const auto make = [&] {
    sched::change_procs(rt, 2);
    sched::leave_runtime(rt);
  };
  const auto bring = [&] { sched::ready_slow(g); };
  const auto end = [&] { sched::destroy_runtime(rt); };
  model::threads(make, bring, end);
}

// A thread starts a goroutine, and for it the last worker.
MODEL(end, worker_is_started_meanwhile, long_ones) {
  sched::probe_fences();
  skein::options o;
  o.stop_grace = std::chrono::hours(1'000);
  auto* rt = new skein::detail::runtime_state(o);
  rt->io.open();
  rt->stack_class = 0;
  rt->procs.store(1, std::memory_order_relaxed);
  sched::release_proc(sched::add_proc(rt));
  rt->outsiders.store(1, std::memory_order_relaxed);
  const auto start = [&] {
    const std::uint64_t none = 0;
    skein::detail::go_bytes({}, [](void*) {}, &none, sizeof none, rt);
    sched::leave_runtime(rt);
  };
  const auto end = [&] { sched::destroy_runtime(rt); };
  model::threads(start, end);
}

}  // namespace
