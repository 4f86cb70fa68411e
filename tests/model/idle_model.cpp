// The protocols of sched/idle.cpp one by one: a few threads that call what the scheduler calls, without its
// loop, and nobody who repairs what they miss.
#include "model.hpp"
#include "room.hpp"

namespace {

namespace sched = skein::sched;

struct house : model::room {
  using room::room;
  void push_outside() {
    rt.inject.push(fresh());
    sched::maybe_wake(&rt);
  }
  void push_at(std::size_t i) {
    const model::sitting here(seats[i]);
    sched::push_local(here->p, fresh());
    sched::maybe_wake(&rt);
  }
  // Invariant S2: work that others may take and an idle processor imply that somebody is awake and looks.
  void check() {
    MODEL_CHECK(!sched::work_anywhere(&rt) || rt.idle_procs.load(std::memory_order_relaxed) == 0 ||
                rt.spinning.load(std::memory_order_relaxed) != 0);
  }
};

constexpr model::effort three{.preemptions = 3, .stale = 1, .searched = 20'000, .random = 10'000};

void goes_idle() {
  house h(2);
  const auto push = [&] { h.push_at(0); };
  const auto idle = [&] {
    const model::sitting here(h.seats[1]);
    sched::go_idle(&here->w, here->p, false);
  };
  model::threads(push, idle);
  h.check();
}
MODEL(idle, goes_idle, three) { goes_idle(); }
MODEL(idle, goes_idle_without_membarrier, three) {
  model::asymmetric_fences(false);
  goes_idle();
}

// As a goroutine that begins to block, and the monitor, do it.
MODEL(idle, releases_a_processor, three) {
  house h(1);
  const auto push = [&] { h.push_outside(); };
  const auto release = [&] { h.seats[0].leave(); };
  model::threads(push, release);
  h.check();
}

// The last spinner finds work, and a pusher trusted it to find more.
MODEL(idle, stops_spinning, three) {
  house h(3, 1);
  h.seats[1].w.spinning = true;
  h.rt.spinning.store(1, std::memory_order_relaxed);
  const auto push = [&] { h.push_at(0); };
  const auto stop = [&] {
    const model::sitting here(h.seats[1]);
    sched::stop_spinning(&here->w);
  };
  model::threads(push, stop);
  h.check();
}

// The processor is taken before the one who wakes gets to it, and is idle again while that one still
// counts as a spinner.
MODEL(idle, finds_nobody_to_wake, three) {
  house h(1, 1);
  const auto push = [&] { h.push_outside(); };
  const auto come_and_go = [&] {
    if (sched::proc* p = sched::take_idle_proc(&h.rt)) sched::release_proc(p);
  };
  model::threads(push, come_and_go);
  h.check();
}

// A deadline that comes while the poller goes to sleep ends its sleep.
void deadline() {
  house h(2, 1);
  h.rt.io.open();
  h.rt.poll_until.store(0, std::memory_order_relaxed);  // as after an earlier sleep
  skein::detail::timer t{};
  const auto add = [&] {
    const model::sitting here(h.seats[0]);
    const std::int64_t when = 2'000'000'000;
    if (here->p->timers.add(&t, when)) sched::note_deadline(&h.rt, when);
  };
  const auto poll = [&] {
    const model::sitting here(h.seats[1]);
    MODEL_CHECK(sched::sleep_for_proc(&here->w));
  };
  model::threads(add, poll);
  h.seats[0].p->timers.remove(&t);
}
MODEL(idle, deadline_against_poller, three) { deadline(); }
MODEL(idle, deadline_against_poller_without_membarrier, three) {
  model::asymmetric_fences(false);
  deadline();
}

// Processors are made while others look at all of them.
constexpr model::effort one{.preemptions = 1, .stale = 1};

MODEL(procs, made_while_others_look_for_work, one) {
  house h(1, 1);
  const auto make = [&] { sched::change_procs(&h.rt, 2); };
  const auto work = [&] { MODEL_CHECK(!sched::work_anywhere(&h.rt)); };
  const auto deadline = [&] { MODEL_CHECK(sched::next_deadline(&h.rt) == skein::detail::never); };
  model::threads(make, work, deadline);
}

MODEL(procs, made_while_others_count, one) {
  house h(1, 1);
  const auto make = [&] { sched::change_procs(&h.rt, 2); };
  const auto holders = [&] { MODEL_CHECK(sched::nobody_holds(&h.rt)); };
  const auto goroutines = [&] { MODEL_CHECK(sched::live_goroutines(&h.rt) == 0); };
  model::threads(make, holders, goroutines);
}

}  // namespace
