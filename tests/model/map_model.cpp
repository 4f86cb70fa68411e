// The concurrent map, whose tables begin with one bucket here, and its readers.
#include "kit/readers.hpp"
#include "model.hpp"
#include "room.hpp"
#include "skein/map.hpp"

namespace {

using skein::kit::readers;

constexpr model::effort long_ones{
    .preemptions = 2, .stale = 1, .searched = 20'000, .random = 10'000};

// A reader that has come keeps what it has found; two of them, in different lines.
MODEL(readers, keep_what_they_found, long_ones) {
  model::room r(2);
  readers inside;
  skein::detail::atomic<int*> current{new int(1)};
  const auto read = [&](std::size_t i) {
    const model::sitting here(r.seats[i]);
    readers::count& c = inside.enter();
    MODEL_CHECK(*current.load(std::memory_order_seq_cst) != 0);
    readers::leave(c);
  };
  const auto first = [&] { read(0); };
  const auto second = [&] { read(1); };
  const auto replace = [&] {
    int* old = current.exchange(new int(2), std::memory_order_seq_cst);
    inside.begin();
    while (!inside.advance()) skein::detail::cpu_relax();
    delete old;
  };
  model::threads(first, second, replace);
  delete current.load(std::memory_order_relaxed);
}

// A second wait finds those who came in the phase of the first one.
MODEL(readers, twice, long_ones) {
  readers inside;
  skein::detail::atomic<int*> current{new int(1)};
  const auto read = [&] {
    for (int i = 0; i < 2; ++i) {
      readers::count& c = inside.enter();
      MODEL_CHECK(*current.load(std::memory_order_seq_cst) != 0);
      readers::leave(c);
    }
  };
  const auto replace = [&] {
    for (int i = 0; i < 2; ++i) {
      int* old = current.exchange(new int(2), std::memory_order_seq_cst);
      inside.begin();
      while (!inside.advance()) skein::detail::cpu_relax();
      delete old;
    }
  };
  model::threads(read, replace);
  delete current.load(std::memory_order_relaxed);
}

using numbers = skein::map<int, int>;

// What is replaced is destroyed while others may be looking at it.
MODEL(map, replaces, long_ones) {
  numbers m;
  m.store(1, 1);
  const auto write = [&] {
    m.store(1, 2);
    m.store(1, 3);
  };
  const auto read = [&] { MODEL_CHECK(m.load(1).has_value()); };
  model::threads(write, read, read);
  MODEL_CHECK(m.load(1) == 3);
}

// Whoever finds a key sees what was done before it was put there.
MODEL(map, publishes) {
  numbers m;
  int before = 0;
  const auto write = [&] {
    before = 1;
    m.store(1, 1);
  };
  const auto read = [&] {
    if (m.load(1)) MODEL_CHECK(before == 1);
  };
  model::threads(write, read);
}

// Two grow the table and move its buckets, and a reader loses none of the keys.
MODEL(map, grows, long_ones) {
  numbers m;
  m.store(0, 0);
  const auto write = [&](int from) {
    for (int i = from; i < from + 2; ++i) m.store(i, i);
  };
  const auto first = [&] { write(1); };
  const auto second = [&] { write(3); };
  const auto read = [&] { MODEL_CHECK(m.load(0) == 0); };
  model::threads(first, second, read);
  for (int i = 0; i < 5; ++i) MODEL_CHECK(m.load(i) == i);
}

MODEL(map, erases, long_ones) {
  numbers m;
  for (int i = 0; i < 3; ++i) m.store(i, i);
  int erased[2] = {};
  const auto erase = [&](int& n) {
    for (int i = 0; i < 2; ++i) n += m.erase(i);
  };
  const auto first = [&] { erase(erased[0]); };
  const auto second = [&] { erase(erased[1]); };
  const auto visit = [&] {
    bool met = false;
    m.for_each([&](int k, int v) {
      MODEL_CHECK(k == v);
      met = met || k == 2;
    });
    MODEL_CHECK(met);
  };
  model::threads(first, second, visit);
  MODEL_CHECK(erased[0] + erased[1] == 2);
}

MODEL(map, clears_while_it_grows, long_ones) {
  numbers m;
  for (int i = 0; i < 2; ++i) m.store(i, i);
  const auto write = [&] {
    m.store(2, 2);
    m.store(3, 3);
  };
  const auto clear = [&] { m.clear(); };
  model::threads(write, clear);
  MODEL_CHECK(!m.contains(0) && !m.contains(1));
}

}  // namespace
