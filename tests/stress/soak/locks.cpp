// Locks, taken in every form. What they guard is plain data: two halves that differ only while
// somebody is at work.
#include <array>
#include <mutex>
#include <shared_mutex>

#include "skein/mutex.hpp"
#include "skein/once.hpp"
#include "skein/semaphore.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/time.hpp"
#include "stress/soak/round.hpp"

namespace soak {
namespace {

template <class M> bool lock_somehow(worker& w, M& m) {
  switch (w.d.below(8)) {
    case 0: return m.try_lock();
    case 1: return m.try_lock_for(w.moment());
    case 2: return m.try_lock_until(skein::now() + w.moment());
    case 3: {
      auto [ctx, cancel] = skein::with_timeout(w.r.ctx(), w.moment());
      return m.lock(ctx);
    }
    case 4: return m.lock(w.r.ctx());
    default: return m.lock(), true;
  }
}

bool lock_shared_somehow(worker& w, skein::shared_mutex& m) {
  switch (w.d.below(8)) {
    case 0: return m.try_lock_shared();
    case 1: return m.try_lock_shared_for(w.moment());
    case 2: return m.try_lock_shared_until(skein::now() + w.moment());
    case 3: {
      auto [ctx, cancel] = skein::with_timeout(w.r.ctx(), w.moment());
      return m.lock_shared(ctx);
    }
    case 4: return m.lock_shared(w.r.ctx());
    default: return m.lock_shared(), true;
  }
}

// guarded: two halves, equal while nobody writes, and how often writers say they have written.
struct guarded {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  std::atomic<std::uint64_t> writes{0};

  void write(worker& w) {
    require(first == second, "two hold a lock at once");
    ++first;
    if (w.d.one_in(32)) w.interrupt();
    ++second;
  }
  void check_sum() const {
    require(first == writes.load(std::memory_order_relaxed) && first == second,
            "a write under a lock was lost");
  }
};

}  // namespace

void mutexes(worker& w) {
  struct locked : guarded {
    skein::mutex m;
  };
  std::array<locked, 3> all;
  all_along(w, 100, [&](worker& me) {
    locked& a = all[me.d.below(all.size())];
    locked& b = all[me.d.below(all.size())];
    if (&a != &b && me.d.one_in(8)) {
      const std::scoped_lock hold(a.m, b.m);
      a.write(me);
      b.write(me);
      b.writes.fetch_add(1, std::memory_order_relaxed);
    } else if (lock_somehow(me, a.m)) {
      const std::lock_guard hold(a.m, std::adopt_lock);
      a.write(me);
    } else {
      return;
    }
    a.writes.fetch_add(1, std::memory_order_relaxed);
    me.count(kind::locks);
  });
  for (const locked& a : all) a.check_sum();
}

void readers_and_writers(worker& w) {
  skein::shared_mutex m;
  guarded data;
  const std::uint64_t writers = 1 + w.d.below(2000);  // one in so many
  all_along(w, 100, [&](worker& me) {
    if (me.d.one_in(writers)) {
      if (!lock_somehow(me, m)) return;
      const std::unique_lock hold(m, std::adopt_lock);
      data.write(me);
      data.writes.fetch_add(1, std::memory_order_relaxed);
      me.count(kind::locks);
    } else {
      if (!lock_shared_somehow(me, m)) return;
      const std::shared_lock hold(m, std::adopt_lock);
      const std::uint64_t seen = data.first;
      if (me.d.one_in(64)) me.interrupt();
      require(seen == data.second && seen == data.first, "a reader met a writer");
      me.count(kind::shared_locks);
    }
  });
  data.check_sum();
}

void permits(worker& w) {
  const std::ptrdiff_t size = 1 + static_cast<std::ptrdiff_t>(w.d.below(20));
  skein::semaphore s(size);
  std::atomic<std::ptrdiff_t> held{0};
  all_along(w, 100, [&](worker& me) {
    const std::ptrdiff_t n =
        1 + static_cast<std::ptrdiff_t>(me.d.below(static_cast<std::uint64_t>(size)));
    const bool mine = [&] {
      switch (me.d.below(6)) {
        case 0: return s.try_acquire(n);
        case 1: return s.try_acquire_for(me.moment(), n);
        case 2: return s.try_acquire_until(skein::now() + me.moment(), n);
        case 3: return s.acquire(me.r.ctx(), n);
        default: return s.acquire(n), true;
      }
    }();
    if (!mine) return;
    require(held.fetch_add(n, std::memory_order_relaxed) + n <= size,
            "a semaphore gave more than it has");
    if (me.d.one_in(4)) me.interrupt();
    held.fetch_sub(n, std::memory_order_relaxed);
    s.release(n);
    me.count(kind::permits);
  });
  require(s.try_acquire(size), "a semaphore has lost some of its weight");
}

void onces(worker& w) {
  struct cell {
    skein::once o;
    std::uint64_t runs = 0;
  };
  until_over(w, [](worker& stage) {
    std::array<cell, 50> cells;
    crowd_of(stage, 20, [&](worker& me) {
      for (cell& c : cells) {
        const auto f = [&] {
          if (me.d.one_in(4)) me.interrupt();
          ++c.runs;
          if (me.d.one_in(8)) throw fault{c.runs};
        };
        try {
          const bool ran = me.d.one_in(2) ? (c.o.call(f), true) : c.o.call_for(me.moment(), f);
          if (ran) require(c.runs == 1, "a once did not run exactly once");
        } catch (const fault& x) {
          require(x.number == 1, "a once ran twice");
        }
        me.count(kind::onces);
      }
    });
    for (const cell& c : cells) require(c.runs == 1, "a once did not run exactly once");
  });
}

}  // namespace soak
