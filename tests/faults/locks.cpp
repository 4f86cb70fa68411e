// Locks and what belongs to them: one inside at a time, everybody comes out, nothing stays taken.
#include "faults/scenes.hpp"

namespace faults {
namespace {

void mutexes() {
  on(2, [] {
    skein::mutex m;
    int inside = 0, times_in = 0;
    std::atomic<int> wanted{0};
    team t;
    for (int k = 0; k < 6; ++k)
      t.go([&, k] {
        for (int i = 0; i < 8; ++i) {
          bool mine = false;
          attempt([&] { mine = (i + k) % 3 == 0 ? m.try_lock_for(100us) : (m.lock(), true); });
          if (!mine) continue;
          ++wanted;
          require(++inside == 1, "two held the mutex");
          if (i % 4 == 0) skein::yield();
          ++times_in;
          --inside;
          m.unlock();
        }
      });
    t.wait();
    require(m.try_lock() && times_in == wanted, "the mutex stayed locked");
    m.unlock();
  });
}

void shared_mutexes() {
  on(2, [] {
    skein::shared_mutex m;
    int value = 0;
    team t;
    for (int k = 0; k < 3; ++k)
      t.go([&, k] {
        for (int i = 0; i < 1200; ++i) {
          m.lock_shared();
          require(value == 0, "a writer was inside with a reader");
          if (i % 256 == 0) skein::yield();
          m.unlock_shared();
        }
        for (int i = 0; i < 4; ++i) {
          bool mine = false;
          attempt([&] { mine = (i + k) % 2 == 0 ? m.try_lock_for(100us) : (m.lock(), true); });
          if (!mine) continue;
          require(++value == 1, "two writers were inside");
          --value;
          m.unlock();
        }
      });
    t.wait();
    require(m.try_lock(), "somebody is still inside");
    m.unlock();
  });
}

void semaphores() {
  on(2, [] {
    skein::semaphore s(3);
    std::atomic<int> held{0};
    team t;
    for (int k = 0; k < 6; ++k)
      t.go([&, k] {
        for (int i = 0; i < 8; ++i) {
          const int n = 1 + (i + k) % 3;
          bool mine = false;
          attempt([&] { mine = i % 2 == 0 ? s.try_acquire_for(100us, n) : (s.acquire(n), true); });
          if (!mine) continue;
          require((held += n) <= 3, "more was acquired than there is");
          if (i % 3 == 0) skein::yield();
          held -= n;
          s.release(n);
        }
      });
    t.wait();
    require(s.try_acquire(3), "something stays acquired");
    s.release(3);
  });
}

// A queue under a mutex: those who wait for it are told.
void conditions() {
  on(2, [] {
    skein::mutex m;
    skein::condition_variable filled;
    int items = 0, taken = 0;
    bool closed = false;
    team t;
    for (int k = 0; k < 3; ++k)
      t.go([&, k] {
        std::unique_lock hold(m);
        for (;;) {
          const bool waited = attempt([&] {
            const auto ready = [&] { return callback(), items > 0 || closed; };
            if (k == 0)
              filled.wait_for(hold, 100us, ready);
            else
              filled.wait(hold, ready);
          });
          require(hold.owns_lock(), "a wait ended without the lock");
          if (!waited) {
            hold.unlock();
            skein::yield();
            hold.lock();
          }
          if (items > 0)
            --items, ++taken;
          else if (closed)
            return;
        }
      });
    const int all = 12 * (t.begun > 0);
    for (int i = 0; i < all; ++i) {
      {
        std::lock_guard hold(m);
        ++items;
      }
      filled.notify_one();
      skein::yield();
    }
    {
      std::lock_guard hold(m);
      closed = true;
    }
    filled.notify_all();
    t.wait();
    require(taken == all && items == 0, "an item was lost");
  });
}

// The call counts as made when it throws; then its caller alone hears of it.
void onces() {
  on(2, [] {
    attempt([] {
      skein::once o;
      std::atomic<int> begun{0}, heard{0};
      auto value = skein::once_value([&] { return callback(), 7; });
      std::atomic<int> refused{0}, got{0};
      team t;
      for (int k = 0; k < 5; ++k)
        t.go([&, k] {
          try {
            if (k == 0)
              o.call_for(1h, [&] { ++begun, callback(), skein::yield(); });
            else
              o.call([&] { ++begun, callback(), skein::yield(); });
          } catch (const thrown&) {
            ++heard;
          } catch (const std::bad_alloc&) {
          }
          if (attempt([&] { require(value() == 7, "another value"); }))
            ++got;
          else
            ++refused;
        });
      t.wait();
      attempt([&] { o.call([&] { ++begun; }); });
      require(begun == 1 && heard <= 1, "it was called twice");
      require(refused == 0 || got == 0, "one execution had two ends");
    });
  });
}

void gates() {
  on(2, [] {
    team t;
    skein::latch open(1);
    std::atomic<int> through{0};
    for (int k = 0; k < 6; ++k)
      t.go([&, k] {
        if (k % 2 == 0) attempt([&] { static_cast<void>(open.wait_for(50us)); });
        open.wait();
        ++through;
      });
    open.count_down();
    t.wait();
    require(through == t.begun, "somebody stands at the gate");
    attempt([] {
      skein::barrier both(2);
      team pair;
      int phases = 0;
      const bool other = pair.go([&] {
        for (int i = 0; i < 5; ++i) both.arrive_and_wait();
      });
      for (int i = 0; other && i < 5; ++i) both.arrive_and_wait(), ++phases;
      pair.wait();
      require(phases == 5 * other, "a phase was lost");
    });
    std::atomic<int> word{0};
    team waiters;
    for (int k = 0; k < 4; ++k) waiters.go([&] { skein::atomic_wait(word, 0); });
    word = 1;
    skein::atomic_notify_all(word);
    waiters.wait();
  });
}

constexpr scenario all[] = {
    {"mutexes", &mutexes, false, true},
    {"shared_mutexes", &shared_mutexes},
    {"semaphores", &semaphores, false, true},
    {"conditions", &conditions, false, true},
    {"onces", &onces},
    {"gates", &gates},
};

}  // namespace

theme locks() { return {all, std::size(all)}; }

}  // namespace faults
