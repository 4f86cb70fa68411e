// The heap of deadlines: against a model, and with threads at it.
#include "parts/timers.hpp"

#include <atomic>
#include <cerrno>
#include <map>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "base/sys.hpp"
#include "skein/time.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using skein::detail::goroutine_list;
using skein::detail::never;
using skein::detail::timer;
using skein::detail::timers;

struct noted : timer {
  std::vector<noted*>* log = nullptr;
  std::int64_t period = 0;
  std::int64_t due = 0;
  int times = 0;

  static std::int64_t note(timer* base, std::int64_t now, goroutine_list&) noexcept {
    auto* t = static_cast<noted*>(base);
    ++t->times;
    t->log->push_back(t);
    return t->period == 0 ? never : now + t->period;
  }
};

// covers: T2
TEST(timers, agree_with_a_model) {
  everywhere::dice d(everywhere::fresh_seed());
  std::vector<noted*> log;
  std::multimap<std::int64_t, noted*> model;
  const std::size_t n = 300;
  const std::unique_ptr<noted[]> all(new noted[n]);
  timers heap;
  for (std::size_t i = 0; i < n; ++i) {
    all[i].fire = &noted::note;
    all[i].log = &log;
    all[i].period = i % 7 == 0 ? static_cast<std::int64_t>(1 + d.below(20)) : 0;
  }
  const auto forget = [&](noted* t) {
    for (auto at = model.lower_bound(t->due); at != model.end() && at->first == t->due; ++at)
      if (at->second == t) {
        model.erase(at);
        return true;
      }
    return false;
  };
  const auto remember = [&](noted* t, std::int64_t when) {
    t->due = when;
    model.emplace(when, t);
  };

  std::int64_t now = 0;
  for (std::uint64_t step = everywhere::scaled(40'000); step > 0; --step) {
    noted* t = &all[d.below(n)];
    const bool armed = t->home.load() != nullptr;
    if (d.one_in(10)) {
      now += static_cast<std::int64_t>(d.below(30));
      log.clear();
      goroutine_list ready;
      const std::size_t fired = heap.run(now, ready);
      ASSERT_EQ(fired, log.size());
      std::int64_t last = 0;
      for (noted* f : log) {
        ASSERT_LE(f->due, now);
        ASSERT_GE(f->due, last) << "out of order";
        last = f->due;
        ASSERT_TRUE(forget(f));
        if (f->period != 0) f->due = last;  // re-armed below, when all of this run are known
      }
      for (noted* f : log)
        if (f->period != 0) remember(f, now + f->period);
      ASSERT_TRUE(model.empty() || model.begin()->first > now) << "left undone";
    } else if (armed && d.one_in(2)) {
      ASSERT_TRUE(heap.remove(t));
      ASSERT_TRUE(forget(t));
      ASSERT_EQ(t->home.load(), nullptr);
      ASSERT_FALSE(heap.remove(t));
    } else if (!armed) {
      const std::int64_t when = now + static_cast<std::int64_t>(d.below(100));
      const bool earliest = model.empty() || when < model.begin()->first;
      ASSERT_EQ(heap.add(t, when), earliest);
      remember(t, when);
    }
    ASSERT_EQ(heap.size(), model.size());
    ASSERT_EQ(heap.next(), model.empty() ? never : model.begin()->first);
  }
}

TEST(timers, forget_their_timers_at_their_end) {
  std::vector<noted*> log;
  const std::unique_ptr<noted[]> all(new noted[10]);
  {
    timers heap;
    for (int i = 0; i < 10; ++i) heap.add(&all[i], i);
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(all[i].home.load(), nullptr);
    EXPECT_EQ(all[i].place, timer::nowhere);
  }
}

// Dropping what one timer holds may be what stops another one of the same heap.
TEST(timers, one_that_is_forgotten_may_take_others_out) {
  struct linked : timer {
    linked* other = nullptr;
    int ends = 0;  // dropped, or taken out
    static void drop(timer* base) noexcept {
      auto* t = static_cast<linked*>(base);
      ++t->ends;
      if (timers* home = t->other->home.load())
        if (home->remove(t->other)) ++t->other->ends;
    }
  };
  constexpr std::size_t n = 101;
  for (const std::size_t step : {1, 50, 100}) {
    const std::unique_ptr<linked[]> all(new linked[n]);
    {
      timers heap;
      for (std::size_t i = 0; i < n; ++i) {
        all[i].dropped = &linked::drop;
        all[i].other = &all[(i + step) % n];
        heap.add(&all[i], static_cast<std::int64_t>(i * 37 % n));
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(all[i].ends, 1) << i;
      ASSERT_EQ(all[i].home.load(), nullptr);
    }
  }
}

int no_memory(skein::sys::call c) noexcept { return c == skein::sys::call::allocate ? ENOMEM : 0; }

TEST(timers, without_memory_an_add_changes_nothing) {
  std::vector<noted*> log;
  const std::unique_ptr<noted[]> all(new noted[200]);
  timers heap;
  std::size_t in = 0;
  skein::sys::set_fault_hook(&no_memory);
  EXPECT_THROW(heap.add(&all[0], 1), std::bad_alloc);
  skein::sys::set_fault_hook(nullptr);
  for (; in < 64; ++in) heap.add(&all[in], static_cast<std::int64_t>(in));
  skein::sys::set_fault_hook(&no_memory);
  EXPECT_THROW(heap.add(&all[in], -1), std::bad_alloc);
  skein::sys::set_fault_hook(nullptr);
  EXPECT_EQ(all[in].home.load(), nullptr);
  EXPECT_EQ(heap.size(), 64u);
  EXPECT_EQ(heap.next(), 0);
  EXPECT_TRUE(heap.remove(&all[10])) << "the lock was left free";
}

// Whoever stops a timer does it through its home, as src/prim/timer.cpp does; after that no firing
// of it may be under way, nor begin.
// covers: T2
TEST(timers, nothing_fires_after_a_timer_was_taken_out_of_its_home) {
  struct guarded : timer {
    std::atomic<bool> alive{true};
    std::atomic<bool>* broken = nullptr;
    static std::int64_t look(timer* base, std::int64_t now, goroutine_list&) noexcept {
      auto* t = static_cast<guarded*>(base);
      for (int i = 0; i < 20; ++i) {
        if (!t->alive.load(std::memory_order_acquire)) t->broken->store(true);
        skein::detail::cpu_relax();
      }
      return now + 1;  // a ticker
    }
  };
  std::atomic<bool> over{false};
  std::atomic<bool> broken{false};
  guarded t;
  t.fire = &guarded::look;
  t.broken = &broken;
  timers heap;
  std::vector<std::thread> runners;
  for (int i = 0; i < 2; ++i)
    runners.emplace_back([&] {
      for (std::int64_t now = 0; !over.load(std::memory_order_acquire); ++now) {
        goroutine_list ready;
        heap.run(now, ready);
        std::this_thread::yield();
      }
    });
  everywhere::dice d(4);
  for (std::uint64_t round = everywhere::scaled(2000); round > 0 && !broken.load(); --round) {
    t.alive.store(true, std::memory_order_release);
    heap.add(&t, 0);
    for (std::uint64_t i = d.below(200); i > 0; --i) skein::detail::cpu_relax();
    if (timers* home = t.home.load(std::memory_order_acquire)) home->remove(&t);
    t.alive.store(false, std::memory_order_release);
    if (t.home.load() != nullptr) {
      broken = true;  // it went back into the heap
      heap.remove(&t);
    }
  }
  over = true;
  for (std::thread& r : runners) r.join();
  EXPECT_FALSE(broken.load());
}

// The same seen from above: once stop() has returned a ticker is silent.
// covers: T2
TEST(timers, a_stopped_ticker_is_silent) {
  skein::options o;
  o.procs = 4;
  std::uint64_t stale = 0;
  skein::run(
      [&] {
        everywhere::dice d(5);
        for (std::uint64_t i = everywhere::scaled(3000); i > 0; --i) {
          skein::ticker t(20us);
          skein::sleep_for(std::chrono::nanoseconds(d.below(60'000)));
          t.stop();
          const auto c = t.chan();
          for (int k = 0; k < 3; ++k) {
            stale += c.try_recv().has_value();
            skein::yield();
          }
        }
      },
      o);
  EXPECT_EQ(stale, 0u);
}

// Threads add and remove their own timers while others run the heap: each add ends in exactly one
// firing or one successful remove.
// covers: T2
TEST(timers, each_add_ends_in_one_firing_or_one_remove) {
  struct counted : timer {
    std::atomic<std::uint64_t> fired{0};
    static std::int64_t count(timer* base, std::int64_t, goroutine_list&) noexcept {
      static_cast<counted*>(base)->fired.fetch_add(1, std::memory_order_relaxed);
      return never;
    }
  };
  timers heap;
  std::atomic<std::int64_t> clock{0};
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> wrong{0};
  const std::uint64_t rounds = everywhere::scaled(40'000);

  std::thread runner([&] {
    while (!over.load(std::memory_order_acquire)) {
      goroutine_list ready;
      heap.run(clock.fetch_add(1, std::memory_order_relaxed), ready);
    }
  });
  std::vector<std::thread> users;
  for (std::uint64_t me = 0; me < 3; ++me)
    users.emplace_back([&, me] {
      everywhere::dice d(me);
      const std::unique_ptr<counted[]> mine(new counted[8]);
      for (int i = 0; i < 8; ++i) mine[i].fire = &counted::count;
      for (std::uint64_t r = 0; r < rounds; ++r) {
        for (int i = 0; i < 8; ++i) {
          mine[i].fired.store(0, std::memory_order_relaxed);
          heap.add(&mine[i],
                   clock.load(std::memory_order_relaxed) + static_cast<std::int64_t>(d.below(50)));
        }
        for (int i = 7; i >= 0; --i) {
          const bool removed = heap.remove(&mine[i]);
          if (mine[i].fired.load(std::memory_order_relaxed) + (removed ? 1 : 0) != 1) ++wrong;
        }
      }
    });
  for (std::thread& u : users) u.join();
  over = true;
  runner.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_EQ(heap.size(), 0u);
}

}  // namespace
