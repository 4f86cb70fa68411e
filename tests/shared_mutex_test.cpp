// Shared mutexes: exclusion, order, forms, misuse, limits, and readers that count in slots.
#include "skein/shared_mutex.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "skein/context.hpp"
#include "skein/error.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;

struct shared_mutex : everywhere::on_procs {};
SKEIN_EVERYWHERE(shared_mutex);

// Two numbers that only a writer may see apart.
struct pair {
  long a = 0;
  long b = 0;
  void write(bool slowly) {
    ++a;
    if (slowly) skein::yield();
    ++b;
  }
  bool whole() const { return a == b; }
};

// heat(m) reads often enough that readers count in slots from then on.
void heat(skein::shared_mutex& m) {
  for (int i = 0; i < 3000; ++i) {
    const std::shared_lock hold(m);
  }
}

// covers: Y2 Y12
TEST_P(shared_mutex, writers_are_alone) {
  repeat([] {
    skein::shared_mutex m;
    pair p;
    skein::wait_group wg;
    const int n = static_cast<int>(rounds(200, 4));
    for (int k = 0; k < 5; ++k)
      wg.go([&, k] {
        for (int i = 0; i < n; ++i) {
          if (i % 5 == k) {
            const std::unique_lock hold(m);
            EXPECT_TRUE(p.whole());
            p.write(i % 3 == 0);
          } else {
            const std::shared_lock hold(m);
            EXPECT_TRUE(p.whole());
            if (i % 7 == 0) skein::yield();
            EXPECT_TRUE(p.whole());
          }
        }
      });
    wg.wait();
    EXPECT_TRUE(m.try_lock()) << "somebody owns it who is not there";
    m.unlock();
  }, 20);
}

// covers: Y2
TEST_P(shared_mutex, readers_are_together) {
  repeat([] {
    skein::shared_mutex m;
    skein::wait_group all_in;
    skein::wait_group wg;
    all_in.add(4);
    for (int k = 0; k < 4; ++k)
      wg.go([&] {
        const std::shared_lock hold(m);
        all_in.done();
        all_in.wait();  // for ever, if one kept another out
      });
    wg.wait();
  }, 100);
}

// covers: Y2
TEST_P(shared_mutex, works_with_the_standards_guards) {
  repeat([] {
    skein::shared_mutex m;
    {
      const std::unique_lock hold(m);
      EXPECT_FALSE(m.try_lock());
      EXPECT_FALSE(m.try_lock_shared());
      const std::shared_lock<skein::shared_mutex> none(m, std::try_to_lock);
      EXPECT_FALSE(none.owns_lock());
    }
    {
      const std::shared_lock hold(m);
      EXPECT_FALSE(m.try_lock());
      const std::shared_lock<skein::shared_mutex> another(m, 1h);
      EXPECT_TRUE(another.owns_lock());
    }
    skein::shared_mutex n;
    const std::scoped_lock both(m, n);
    const std::unique_lock<skein::shared_mutex> timed(n, 0s);
    EXPECT_FALSE(timed.owns_lock());
  }, 50);
}

// covers: Y2
TEST_P(shared_mutex, may_be_unlocked_by_another) {
  repeat([] {
    skein::shared_mutex m;
    m.lock();
    skein::go([&] { m.unlock(); });
    m.lock_shared();
    m.lock_shared();
    skein::go([&] { m.unlock_shared(); });
    skein::go([&] { m.unlock_shared(); });
    m.lock();
    m.unlock();
  });
}

void misuse(skein::shared_mutex& m) {
  EXPECT_THROW(m.unlock(), skein::misuse);
  EXPECT_THROW(m.unlock_shared(), skein::misuse);
  m.lock_shared();
  EXPECT_THROW(m.unlock(), skein::misuse);
  m.unlock_shared();
  EXPECT_THROW(m.unlock_shared(), skein::misuse);
  EXPECT_TRUE(m.try_lock());
  EXPECT_THROW(m.unlock_shared(), skein::misuse);
  EXPECT_FALSE(m.try_lock_shared());
  m.unlock();
  EXPECT_THROW(m.unlock(), skein::misuse);
  EXPECT_TRUE(m.try_lock_shared());
  EXPECT_TRUE(m.try_lock_shared());
  m.unlock_shared();
  EXPECT_FALSE(m.try_lock());
  m.unlock_shared();
}

// covers: Y2
TEST_P(shared_mutex, misuse_throws_and_changes_nothing) {
  repeat([] {
    skein::shared_mutex m;
    misuse(m);
    if (simulated()) return;  // nobody counts in slots there
    heat(m);
    misuse(m);
    heat(m);
    EXPECT_THROW(m.unlock_shared(), skein::misuse);
    misuse(m);
  }, 20);
}

// covers: Y2
TEST(shared_mutex_order, a_writer_that_waits_goes_before_readers_that_come_later) {
  in_simulation([] {
    skein::shared_mutex m;
    std::atomic<int> turn{0};
    skein::wait_group wg;
    m.lock_shared();
    wg.go([&] {
      m.lock();
      EXPECT_EQ(turn++, 0);
      m.unlock();
    });
    skein::sleep_for(1ns);
    EXPECT_FALSE(m.try_lock_shared());
    for (int i = 0; i < 2; ++i)
      wg.go([&] {
        m.lock_shared();
        EXPECT_GE(turn++, 1);
        m.unlock_shared();
      });
    skein::sleep_for(1ns);
    EXPECT_EQ(turn, 0);
    m.unlock_shared();
    wg.wait();
    EXPECT_EQ(turn, 3);
  });
}

// covers: Y2 C6
TEST(shared_mutex_order, readers_that_wait_go_before_the_next_writer) {
  in_simulation([] {
    skein::shared_mutex m;
    std::atomic<int> read{0};
    std::atomic<int> written{0};
    skein::wait_group wg;
    m.lock();
    for (int i = 0; i < 2; ++i) {
      wg.go([&, i] {
        m.lock();
        EXPECT_EQ(read, 2);
        EXPECT_EQ(written++, i);
        m.unlock();
      });
      skein::sleep_for(1ns);
    }
    for (int i = 0; i < 2; ++i)
      wg.go([&] {
        m.lock_shared();
        EXPECT_EQ(written, 0);
        ++read;
        skein::sleep_for(1us);
        m.unlock_shared();
      });
    skein::sleep_for(1ns);
    m.unlock();
    wg.wait();
    EXPECT_EQ(written, 2);
  });
}

// covers: Y2 X1
TEST(shared_mutex_order, a_writer_that_gives_up_lets_the_readers_in) {
  in_simulation([] {
    skein::shared_mutex m;
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    const auto start = skein::now();
    m.lock_shared();
    wg.go([&] { EXPECT_FALSE(m.try_lock_for(1ms)); });
    wg.go([&, c = ctx] { EXPECT_FALSE(m.lock(c)); });
    skein::sleep_for(1us);
    for (int i = 0; i < 2; ++i)
      wg.go([&] {
        const std::shared_lock hold(m);
        EXPECT_EQ(skein::now() - start, 2ms) << "when the second writer has gone as well";
      });
    skein::sleep_until(start + 2ms);
    cancel();
    wg.wait();
    EXPECT_TRUE(m.try_lock_shared());
    m.unlock_shared();
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

// covers: Y2 L4 D4
TEST(shared_mutex_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    const auto start = skein::now();
    skein::shared_mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock_for(1ms));
    EXPECT_FALSE(m.try_lock_shared_for(1ms));
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_FALSE(m.try_lock_until(start + 3ms));
    EXPECT_FALSE(m.try_lock_shared_until(start + 4ms));
    EXPECT_EQ(skein::now() - start, 4ms);
    EXPECT_FALSE(m.try_lock_for(-1h));
    EXPECT_FALSE(m.try_lock_shared_until(skein::time_point::min()));
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
    EXPECT_FALSE(m.lock(ctx));
    EXPECT_FALSE(m.lock_shared(ctx));
    EXPECT_EQ(skein::now() - start, 5ms);
    m.unlock();
    EXPECT_FALSE(m.lock(ctx)) << "the context has ended";
    EXPECT_FALSE(m.lock_shared(ctx)) << "the context has ended";
    EXPECT_TRUE(m.try_lock_shared_for(0s));
    EXPECT_TRUE(m.lock_shared(skein::background()));
    skein::go([&] {
      skein::sleep_for(1ms);
      m.unlock_shared();
      skein::sleep_for(1ms);
      m.unlock_shared();
    });
    EXPECT_TRUE(m.try_lock_for(1h));
    EXPECT_EQ(skein::now() - start, 7ms);
    m.unlock();
    EXPECT_TRUE(m.lock(skein::background()));
    m.unlock();
  });
}

// struggle() is one of many who lock m in every way there is.
void struggle(skein::shared_mutex& m, pair& p, std::atomic<long>& written, everywhere::dice dice, std::uint64_t rolls) {
  const auto write = [&](bool mine) {
    if (!mine) return;
    EXPECT_TRUE(p.whole());
    p.write(dice.one_in(3));
    if (dice.one_in(16)) skein::sleep_for(2us);
    written.fetch_add(1, std::memory_order_relaxed);
    m.unlock();
  };
  const auto read = [&](bool mine) {
    if (!mine) return;
    EXPECT_TRUE(p.whole());
    if (dice.one_in(4)) skein::yield();
    if (dice.one_in(16)) skein::sleep_for(2us);
    EXPECT_TRUE(p.whole());
    m.unlock_shared();
  };
  for (; rolls > 0; --rolls) {
    const auto d = std::chrono::nanoseconds(dice.below(3000));
    auto [ctx, cancel] = skein::with_timeout(skein::background(), d);
    switch (dice.below(9)) {
      case 0: m.lock(), write(true); break;
      case 1: write(m.try_lock()); break;
      case 2: write(m.try_lock_for(d)); break;
      case 3: write(m.lock(ctx)); break;
      case 4:
      case 5: m.lock_shared(), read(true); break;
      case 6: read(m.try_lock_shared()); break;
      case 7: read(m.try_lock_shared_for(d)); break;
      case 8: read(m.lock_shared(ctx)); break;
    }
  }
}

// covers: Y2 L4 X1
TEST_P(shared_mutex, time_outs_and_cancels_lose_no_hand_over) {
  repeat([] {
    skein::shared_mutex m;
    pair p;
    std::atomic<long> written{0};
    static std::atomic<std::uint64_t> salt{1};
    skein::wait_group wg;
    for (int k = 0; k < 5; ++k)
      wg.go([&, dice = everywhere::dice(simulated() ? static_cast<std::uint64_t>(k) : ++salt)] {
        struggle(m, p, written, dice, rounds(100, 4));
      });
    wg.wait();
    EXPECT_EQ(p.a, written);
    EXPECT_TRUE(p.whole());
    EXPECT_TRUE(m.try_lock()) << "somebody owns it who is not there";
    m.unlock();
    EXPECT_THROW(m.unlock_shared(), skein::misuse);
  }, 20);
}

// Readers that count in slots and give back on other processors, plain threads among them, and now and
// then a writer, which ends the slots.
// covers: Y2 Y12 R4
TEST_P(shared_mutex, readers_in_slots_and_writers_see_each_other) {
  if (simulated()) GTEST_SKIP() << "no processors in a simulation";
  run([] {
    skein::shared_mutex m;
    pair p;
    std::atomic<long> written{0};
    const auto n = static_cast<int>(scaled(20000));
    skein::wait_group wg;
    for (int k = 0; k < 6; ++k)
      wg.go([&, k] {
        for (int i = 0; i < n; ++i) {
          m.lock_shared();
          EXPECT_TRUE(p.whole());
          if (i % (50 + k) == 0) skein::yield();
          EXPECT_TRUE(p.whole());
          m.unlock_shared();
        }
      });
    wg.go([&] {
      for (int i = 0; i < n / 100; ++i) {
        switch (i % 3) {
          case 0: m.lock(); break;
          case 1:
            while (!m.try_lock()) skein::yield();
            break;
          case 2:
            while (!m.try_lock_for(5us)) {
            }
            break;
        }
        p.write(i % 5 == 0);
        ++written;
        m.unlock();
        skein::sleep_for(i % 2 == 0 ? 200us : 1us);
      }
    });
    std::thread thread([&] {
      for (int i = 0; i < n; ++i) {
        const std::shared_lock hold(m);
        EXPECT_TRUE(p.whole());
      }
    });
    wg.wait();
    skein::blocking([&] { thread.join(); });
    EXPECT_EQ(p.b, written);
    EXPECT_TRUE(m.try_lock()) << "a reader too many";
    m.unlock();
    EXPECT_THROW(m.unlock_shared(), skein::misuse) << "a reader too few";
  });
}

// Each writes as soon as readers may count in slots again, while the others read: every write meets
// readers on their way in and out.
// covers: Y2 Y12
TEST_P(shared_mutex, a_writer_misses_no_reader_in_a_slot) {
  if (simulated()) GTEST_SKIP() << "no processors in a simulation";
  run([] {
    skein::shared_mutex m;
    pair p;
    long written = 0;
    skein::wait_group wg;
    const auto n = static_cast<int>(scaled(500));
    for (int k = 0; k < 3; ++k)
      wg.go([&, k] {
        for (int i = 0; i < n; ++i) {
          for (int reads = 0; reads < 1500 + 100 * k; ++reads) {
            m.lock_shared();
            const bool whole = p.whole();
            m.unlock_shared();
            if (!whole) FAIL() << "a writer inside";
          }
          m.lock();
          ++p.a;
          for (int spin = 0; spin < 100; ++spin) asm volatile("");
          ++p.b;
          ++written;
          m.unlock();
          if (i % 8 == 0) skein::yield();
        }
      });
    wg.wait();
    EXPECT_EQ(written, 3L * n);
    EXPECT_TRUE(m.try_lock());
  });
}

// covers: Y2
TEST_P(shared_mutex, units_may_be_given_back_anywhere) {
  if (simulated()) GTEST_SKIP() << "no processors in a simulation";
  run([] {
    for (std::uint64_t i = scaled(20); i > 0; --i) {
      skein::shared_mutex m;
      skein::wait_group wg;
      for (int k = 0; k < 4; ++k) wg.go([&] { heat(m); });
      wg.wait();
      for (int k = 0; k < 20; ++k) m.lock_shared();
      for (int k = 0; k < 19; ++k)
        wg.go([&] {
          skein::yield();
          m.unlock_shared();
        });
      wg.wait();
      EXPECT_FALSE(m.try_lock());
      std::thread([&] { m.unlock_shared(); }).join();
      EXPECT_THROW(m.unlock_shared(), skein::misuse);
      EXPECT_TRUE(m.try_lock());
      m.unlock();
    }
  });
}

// covers: Y2
TEST_P(shared_mutex, may_be_destroyed_by_the_last_writer) {
  repeat([] {
    auto m = std::make_unique<skein::shared_mutex>();
    if (!simulated()) heat(*m);
    skein::wait_group in;
    for (int i = 0; i < 3; ++i) {
      in.add();
      skein::go([&in, p = m.get()] {
        p->lock_shared();
        in.done();
        p->unlock_shared();
      });
    }
    in.wait();
    m->lock();
    m->unlock();
    m.reset();
  }, 100);
}

}  // namespace
