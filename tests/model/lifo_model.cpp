// The LIFO slot: its owner's alone, but the monitor reads it, and what is pushed out of it others may take.
#include "model.hpp"
#include "room.hpp"

namespace {

namespace sched = skein::sched;
using skein::detail::goroutine;

// Each goroutine is taken once: its epoch is a plain number.
int take(goroutine* g) {
  if (g == nullptr) return 0;
  MODEL_CHECK(g->epoch == 1);
  g->epoch = 2;
  return 1;
}

struct slot : model::room {
  slot() : room(1) {
    for (goroutine*& g : all) g = fresh();
  }
  void ready(int i) {
    all[i]->epoch = 1;
    sched::ready(all[i]);
  }
  int take_all() {
    int n = 0;
    while (int one = take(sched::take_local(seats[0].p))) n += one;
    return n;
  }

  goroutine* all[3];
};

MODEL(lifo, pushed_out_and_stolen,
      {.preemptions = 3, .stale = 1, .searched = 20'000, .random = 10'000}) {
  slot s;
  int taken = 0, stolen = 0;
  const auto owner = [&] {
    const model::sitting here(s.seats[0]);
    for (int i = 0; i < 3; ++i) s.ready(i);
    goroutine* last = sched::take_local(here->p);
    MODEL_CHECK(last == s.all[2]);
    taken = take(last) + s.take_all();
  };
  const auto thief = [&] {
    skein::detail::run_queue own;
    stolen = take(own.steal_from(s.seats[0].p->queue));
    while (int one = take(own.pop())) stolen += one;
  };
  const auto monitor = [&] { sched::has_local_work(s.seats[0].p); };
  model::threads(owner, thief, monitor);
  MODEL_CHECK(taken + stolen == 3);
}

// Two that make each other ready in turn go by the slot, and behind them somebody waits in the queue.
MODEL(lifo, pair, {.preemptions = 3}) {
  slot s;
  int taken = 0, stolen = 0;
  const auto owner = [&] {
    const model::sitting here(s.seats[0]);
    s.ready(2);
    for (int turn = 0; turn < 4; ++turn) {
      s.ready(turn % 2);
      goroutine* g = sched::take_local(here->p);
      MODEL_CHECK(g == s.all[turn % 2]);
      take(g);
    }
    taken = s.take_all();
  };
  const auto thief = [&] {
    skein::detail::run_queue own;
    stolen = take(own.steal_from(s.seats[0].p->queue));
  };
  model::threads(owner, thief);
  MODEL_CHECK(taken + stolen == 1);
}

}  // namespace
