// The shared mutex: in one word, and biased, when readers count in the slots of their processors.
#include <atomic>
#include <memory>

#include "counting.hpp"
#include "model.hpp"
#include "room.hpp"
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

struct biased {
  biased() {
    const model::sitting here(r.seats[0]);
    bias();
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

  model::room r{2};
  std::unique_ptr<skein::shared_mutex> m = std::make_unique<skein::shared_mutex>();
  int n = 0;
  std::atomic<int> last{0};
};

MODEL(shared_mutex, biased) {
  biased b;
  const auto reader = [&] {
    const model::sitting here(b.r.seats[0]);
    b.read();
    b.read();
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
    const model::sitting here(b.r.seats[i]);
    b.bias();
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
  {
    const model::sitting here(b.r.seats[1]);
    b.bias();
    b.m->lock_shared();
    b.last = b.n;
  }
  const auto reader = [&] {
    const model::sitting here(b.r.seats[0]);
    b.m->unlock_shared();
  };
  const auto writer = [&] { b.write(); };
  model::threads(reader, writer);
  MODEL_CHECK(b.n == 1);
}

// A writer that has seen the last reader leave may destroy the mutex.
MODEL(shared_mutex, destroyed_behind_a_reader) {
  biased b;
  {
    const model::sitting here(b.r.seats[0]);
    b.m->lock_shared();
  }
  skein::shared_mutex* m = b.m.release();
  const auto leave = [&] {
    const model::sitting here(b.r.seats[0]);
    m->unlock_shared();
  };
  const auto destroy = [&] {
    m->lock();
    m->unlock();
    delete m;
  };
  model::threads(leave, destroy);
}

}  // namespace
