// The shared mutex: in one word, and biased, when readers count in the slots of their processors.
#include <atomic>
#include <memory>

#include "counting.hpp"
#include "model.hpp"
#include "sched/sched.hpp"
#include "skein/shared_mutex.hpp"

namespace {

MODEL(shared_mutex, excludes) {
  skein::shared_mutex m;
  int n = 0;
  int seen[2] = {};
  const auto read = [&](int i) {
    m.lock_shared();
    seen[i] = n;
    m.unlock_shared();
  };
  const auto first = [&] { read(0); };
  const auto second = [&] { read(1); };
  model::threads(model::counting(m, n), first, second);
  MODEL_CHECK(n == 1 && seen[0] <= 1 && seen[1] <= 1);
}

// seat: a processor and the worker that holds it, for a thread that sits down; there is no scheduler.
struct seat {
  seat(skein::detail::runtime_state* rt, int id) : p(rt, id) {
    w.rt = rt;
    skein::sched::bind(&w, &p);
    rt->all_procs[id].store(&p, std::memory_order_release);
    rt->made_procs.store(id + 1, std::memory_order_release);
  }
  ~seat() { p.rt->made_procs.store(p.id, std::memory_order_relaxed); }
  void sit() { skein::arch::skein_current_worker = &w; }
  static void get_up() { skein::arch::skein_current_worker = nobody; }

  skein::sched::proc p;
  skein::sched::worker w;
  static inline skein::sched::worker* nobody = nullptr;
};

struct biased {
  biased() {
    skein::sched::probe_fences();
    seat::nobody = skein::sched::current();
    for (int i = 0; i < 2; ++i) seats[i] = std::make_unique<seat>(&rt, i);
    seats[0]->sit();
    bias();
    seat::get_up();
  }
  ~biased() {
    seats[1].reset();
    seats[0].reset();
  }
  void bias() {
    for (int i = 0; i < 4; ++i) read();
  }
  void read() {
    m->lock_shared();
    last = n;
    m->unlock_shared();
  }
  void write() {
    m->lock();
    ++n;
    m->unlock();
  }

  skein::detail::runtime_state rt{skein::options{}};
  std::unique_ptr<seat> seats[2];
  std::unique_ptr<skein::shared_mutex> m = std::make_unique<skein::shared_mutex>();
  int n = 0;
  std::atomic<int> last{0};
};

MODEL(shared_mutex, biased) {
  biased b;
  const auto reader = [&] {
    b.seats[0]->sit();
    b.read();
    b.read();
    seat::get_up();
  };
  const auto writer = [&] { b.write(); };
  model::threads(reader, writer);
  MODEL_CHECK(b.n == 1);
}

// The second processor that reads gets the table for all.
MODEL(shared_mutex, two_slots,
      {.preemptions = 2, .stale = 1, .searched = 20'000, .random = 20'000}) {
  biased b;
  const auto reader = [&](int i) {
    b.seats[i]->sit();
    b.bias();
    seat::get_up();
  };
  const auto first = [&] { reader(0); };
  const auto second = [&] { reader(1); };
  const auto writer = [&] { b.write(); };
  model::threads(first, second, writer);
  MODEL_CHECK(b.n == 1);
}

// A reader may leave on another processor than it came on.
MODEL(shared_mutex, leaves_elsewhere) {
  biased b;
  b.seats[1]->sit();
  b.bias();
  b.m->lock_shared();
  b.last = b.n;
  seat::get_up();
  const auto reader = [&] {
    b.seats[0]->sit();
    b.m->unlock_shared();
    seat::get_up();
  };
  const auto writer = [&] { b.write(); };
  model::threads(reader, writer);
  MODEL_CHECK(b.n == 1);
}

// A writer that has seen the last reader leave may destroy the mutex.
MODEL(shared_mutex, destroyed_behind_a_reader) {
  biased b;
  b.seats[0]->sit();
  b.m->lock_shared();
  seat::get_up();
  skein::shared_mutex* m = b.m.release();
  const auto leave = [&] {
    b.seats[0]->sit();
    m->unlock_shared();
    seat::get_up();
  };
  const auto destroy = [&] {
    m->lock();
    m->unlock();
    delete m;
  };
  model::threads(leave, destroy);
}

}  // namespace
