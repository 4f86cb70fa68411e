// Stacks: the pool, the caches of processors, and giving back the pages of those who are parked. Whoever
// gives pages back writes to them here, so it races with everybody who may still use them.
#include "model.hpp"
#include "room.hpp"
#include "sched/trim.hpp"

namespace {

namespace arch = skein::arch;
namespace sched = skein::sched;
using skein::detail::goroutine;
using skein::detail::status;

constexpr model::effort long_ones{.preemptions = 2, .stale = 1, .searched = 5'000, .random = 3'000};

// Uses the lowest word of a stack, which is the owner's alone.
void use(arch::stack* s) { ++*reinterpret_cast<std::uint64_t*>(s->limit() + s->usable() / 2); }

// Takes two stacks, uses them and puts them back.
void borrow(arch::stack_pool& pool, int cls) {
  arch::stack* list = pool.take(cls, 2);
  MODEL_CHECK(list != nullptr && list->next != nullptr);
  for (arch::stack* s = list; s != nullptr; s = s->next) {
    MODEL_CHECK(s->guarded || arch::canary_intact(*s));
    use(s);
  }
  pool.put(cls, list);
}

void borrow_twice(arch::stack_pool& pool) {
  borrow(pool, 0);
  borrow(pool, 0);
}

void trim_twice(arch::stack_pool& pool) {
  for (int i = 0; i < 2; ++i) {
    pool.age();
    pool.release(8);
  }
}

MODEL(stacks, pool, long_ones) {
  arch::stack_pool pool;
  const auto user = [&] { borrow_twice(pool); };
  model::threads(user, user, [&] { trim_twice(pool); });
}

// The ones without a guard have their canary again when their pages have been given back.
MODEL(stacks, pool_of_unguarded, long_ones) {
  arch::stack_pool pool;
  pool.use_mprotect(0);
  model::threads([&] { borrow_twice(pool); }, [&] { trim_twice(pool); });
}

// find() looks at regions that another thread is making, and at its own stack among them.
MODEL(stacks, found_while_the_pool_grows) {
  arch::stack_pool pool;
  arch::stack* const own = pool.take(1, 1);
  const auto grow = [&] { MODEL_CHECK(pool.take(0, 1) != nullptr); };
  const auto find = [&] { MODEL_CHECK(pool.find(own->limit()) == own); };
  model::threads(grow, find);
}

// Two processors take stacks in batches and give the surplus of their caches back.
MODEL(stacks, caches, long_ones) {
  model::room r(2);
  const auto worker = [&](std::size_t i) {
    const model::sitting here(r.seats[i]);
    arch::stack* used[5];
    const auto take = [&](arch::stack*& s) {
      goroutine* g = r.fresh();
      MODEL_CHECK(sched::ensure_stack(&r.rt, here->p, g));
      s = static_cast<arch::stack*>(g->ctx.bx);
      use(s);
    };
    for (arch::stack*& s : used) take(s);
    for (arch::stack* s : used) sched::put_stack(here->p, s);
    for (arch::stack*& s : used) take(s);
  };
  const auto first = [&] { worker(0); };
  const auto second = [&] { worker(1); };
  model::threads(first, second);
}

// monitor: goes round step by step.
class monitor {
 public:
  explicit monitor(model::room& r) : trim_(&r.rt) {
    sched::trim_pause_ns.store(0, std::memory_order_relaxed);
  }
  void steps(int n) {
    while (n-- > 0) trim_.step(++now_);
  }

 private:
  sched::trimmer trim_;
  std::int64_t now_ = 0;
};
auto trimming(model::room& r, int steps) {
  return [&r, steps] { monitor(r).steps(steps); };
}
constexpr int round = 7;       // with one step in vain
constexpr int until_trim = 3;  // steps of a round before that one

// parked: a goroutine, and what a worker does that takes it from a queue: it runs, uses its stack, and parks.
struct parked : model::room {
  explicit parked(std::size_t unused) : room(1), s(rt.stacks.take(0, 1)), g(fresh()) {
    sched::set_stack(g, s);
    sp = s->limit() + unused;
    g->ctx.sp = sp;
    g->hold.store(0, std::memory_order_relaxed);
    g->state.store(status::chan_recv, std::memory_order_relaxed);
  }
  void run() {
    const model::sitting here(seats[0]);
    sched::proc* p = sched::enter(&here->w);
    if (!sched::ready_to_run(p, g)) sched::unmark(g);
    skein::sched::bump(p->switches);
    sched::begin_run(&here->w, g);
    sched::leave(&here->w);
    use(s);
    g->ctx.sp = sp;
    g->state.store(status::chan_recv, std::memory_order_relaxed);
    sched::enter(&here->w);
    sched::release_held(g);
    sched::leave(&here->w);
  }

  arch::stack* s;
  goroutine* g;
  char* sp;
};

void runs_meanwhile(std::size_t unused) {
  parked r(unused);
  const auto worker = [&] {
    r.run();
    r.run();
    r.run();
  };
  model::threads(worker, trimming(r, round));
}
constexpr std::size_t much = 48 * 1024;
MODEL(trim, runs_meanwhile, long_ones) { runs_meanwhile(much); }
MODEL(trim, runs_meanwhile_without_membarrier, long_ones) {
  model::asymmetric_fences(false);
  runs_meanwhile(much);
}
// Of this one nothing can be given back.
MODEL(trim, runs_meanwhile_and_needs_its_stack, long_ones) { runs_meanwhile(0); }

// One that was marked in peace begins to run while the monitor gives its pages back.
MODEL(trim, begins_to_run) {
  parked r(much);
  monitor m(r);
  m.steps(until_trim);
  const auto worker = [&] { r.run(); };
  const auto trim = [&] { m.steps(1); };
  model::threads(worker, trim);
}

// The stacks that wait with an idle processor go to the pool, unless a worker takes the processor first.
MODEL(trim, empties_the_cache_of_an_idle_processor, long_ones) {
  model::room r(1);
  goroutine* const first = r.fresh();
  MODEL_CHECK(sched::ensure_stack(&r.rt, r.seats[0].p, first));
  r.seats[0].leave();
  const auto worker = [&] {
    sched::proc* p = sched::take_idle_proc(&r.rt);
    const model::sitting here(r.seats[0]);
    sched::bind(&here->w, p);
    goroutine* g = r.fresh();
    MODEL_CHECK(sched::ensure_stack(&r.rt, p, g));
    auto* s = static_cast<arch::stack*>(g->ctx.bx);
    use(s);
    sched::put_stack(p, s);
    here->leave();
  };
  model::threads(worker, trimming(r, 2 * round));
}

// Processors that are made meanwhile.
MODEL(trim, while_processors_are_made, {.preemptions = 1, .stale = 1}) {
  model::room r(1);
  const auto make = [&] { sched::change_procs(&r.rt, 2); };
  model::threads(make, trimming(r, round));
}

}  // namespace
