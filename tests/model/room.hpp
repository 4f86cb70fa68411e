// A runtime without threads, for models of parts of the scheduler: each of its processors has a seat, on
// which a thread of the model sits down.
#pragma once

#include <deque>
#include <utility>

#include "sched/sched.hpp"

namespace model {

struct seat {
  explicit seat(skein::detail::runtime_state& rt) : p(skein::sched::add_proc(&rt)) {
    w.rt = &rt;
    skein::sched::bind(&w, p);
  }
  // leave() gives the processor up: it is idle, and the worker has none.
  void leave() {
    skein::sched::unbind(&w, p);
    skein::sched::release_proc(p);
  }

  skein::sched::proc* p;
  skein::sched::worker w;
};

// sitting: while it lives the thread is the worker of a seat.
class sitting {
 public:
  explicit sitting(seat& s)
      : before_(std::exchange(skein::arch::skein_current_worker, &s.w)), s_(s) {}
  ~sitting() { skein::arch::skein_current_worker = before_; }
  sitting(const sitting&) = delete;
  sitting& operator=(const sitting&) = delete;
  seat* operator->() const noexcept { return &s_; }

 private:
  skein::sched::worker* before_;
  seat& s_;
};

// room: n processors, the last ones idle, and a worker that sleeps.
struct room {
  explicit room(int n, int idle = 0) {
    skein::sched::probe_fences();
    rt.stack_class = 0;
    for (int i = 0; i < n; ++i) seats.emplace_back(rt);
    rt.procs.store(n, std::memory_order_relaxed);
    for (int i = n - idle; i < n; ++i) seats[static_cast<std::size_t>(i)].leave();
    sleeper.rt = &rt;
    sleeper.in_runtime.store(1, std::memory_order_relaxed);
    rt.idle_worker_list = &sleeper;
  }
  // fresh() is a goroutine that has no stack yet.
  skein::detail::goroutine* fresh() {
    return skein::sched::new_goroutine(&rt, skein::go_options{}, nullptr);
  }
  // end() ends the monitor.
  void end() {
    rt.stopping.store(true, std::memory_order_relaxed);
    skein::sched::wake_monitor(&rt);
  }

  skein::detail::runtime_state rt{skein::options{}};
  std::deque<seat> seats;
  skein::sched::worker sleeper;
};

}  // namespace model
