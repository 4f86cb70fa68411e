// The queue has four slots here, so a few pushes wrap it.
#include "model.hpp"
#include "parts/run_queue.hpp"

namespace {

using skein::detail::goroutine;
using skein::detail::run_queue;

// goods: goroutines that are pushed and taken. Each carries a plain number, so one that is taken twice,
// or before it was there, is a race.
struct goods {
  static constexpr int most = 8;
  goroutine all[most];
  goods() {
    for (goroutine& g : all) g.epoch = 0;
  }
  void send(run_queue& q, int i) {
    all[i].epoch = 1;
    MODEL_CHECK(q.push(&all[i]));
  }
  static bool take(goroutine* g) {
    if (g == nullptr) return false;
    MODEL_CHECK(g->epoch == 1);
    g->epoch = 2;
    return true;
  }
  static void drain(run_queue& q) {
    while (take(q.pop())) {
    }
  }
  // Each of the first n was taken once.
  void settle(int n) const {
    for (int i = 0; i < n; ++i) MODEL_CHECK(all[i].epoch == 2);
  }
};

void steal(run_queue& victim) {
  run_queue own;
  goods::take(own.steal_from(victim));
  goods::drain(own);
}

// The owner does f while a thief steals; then each of the first n goroutines has been taken once.
template <class F> void against_a_thief(goods& g, run_queue& q, int n, F owner) {
  model::threads(owner, [&] { steal(q); });
  goods::drain(q);
  g.settle(n);
}

MODEL(run_queue, push_pop_steal, {.preemptions = 3}) {
  goods g;
  run_queue q;
  against_a_thief(g, q, 2, [&] {
    g.send(q, 0);
    g.send(q, 1);
    goods::take(q.pop());
  });
}

MODEL(run_queue, two_thieves) {
  goods g;
  run_queue q;
  const auto owner = [&] {
    for (int i = 0; i < 3; ++i) g.send(q, i);
    goods::take(q.pop());
  };
  const auto thief = [&] { steal(q); };
  model::threads(owner, thief, thief);
  goods::drain(q);
  g.settle(3);
}

// The owner fills slots again that a thief may be reading.
MODEL(run_queue, wraps, {.preemptions = 3}) {
  goods g;
  run_queue q;
  for (int i = 0; i < 3; ++i) g.send(q, i);
  against_a_thief(g, q, 6, [&] {
    goods::take(q.pop());
    goods::take(q.pop());
    for (int i = 3; i < 6; ++i) g.send(q, i);
  });
}

// Only the thief makes room for the owner, who goes on as soon as there is some.
MODEL(run_queue, full, {.preemptions = 3}) {
  goods g;
  run_queue q;
  for (int i = 0; i < 4; ++i) g.send(q, i);
  against_a_thief(g, q, 5, [&] {
    g.all[4].epoch = 1;
    if (!q.push(&g.all[4])) g.all[4].epoch = 2;
  });
}

MODEL(run_queue, batches, {.preemptions = 3}) {
  goods g;
  run_queue q;
  against_a_thief(g, q, 4, [&] {
    for (int i = 0; i < 3; ++i) g.send(q, i);
    goroutine* some[2];
    const std::uint32_t n = q.pop(some, 2);
    for (std::uint32_t i = 0; i < n; ++i) goods::take(some[i]);
    g.send(q, 3);
  });
}

MODEL(run_queue, sheds, {.preemptions = 3}) {
  goods g;
  run_queue q;
  for (int i = 0; i < 4; ++i) g.send(q, i);
  against_a_thief(g, q, 5, [&] {
    goroutine* half[run_queue::slots / 2];
    const std::size_t n = q.shed(half);
    for (std::size_t i = 0; i < n; ++i) goods::take(half[i]);
    g.send(q, 4);
    goods::take(q.pop());
  });
}

// Goroutines that a thief has stolen are stolen from it.
MODEL(run_queue, stolen_again, {.preemptions = 2}) {
  goods g;
  run_queue q, second;
  for (int i = 0; i < 4; ++i) g.send(q, i);
  const auto thief = [&] {
    goods::take(second.steal_from(q));
    goods::take(second.pop());
  };
  const auto other = [&] { steal(second); };
  model::threads(thief, other);
  goods::drain(second);
  goods::drain(q);
  g.settle(4);
}

}  // namespace
