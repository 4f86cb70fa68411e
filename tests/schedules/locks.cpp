// Locks: one at a time, and whoever gives up leaves no trace.
#include <atomic>
#include <mutex>
#include <shared_mutex>

#include "schedules/scenarios.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

using skein::test::var;

// A lock and what it guards.
template <class M> struct guarded {
  M m;
  var<int> n;
  void change() { n = n + 1; }
};

constexpr scenario table[] = {
    {"mutex_excludes",
     [] {
       guarded<skein::mutex> g;
       const auto work = [&] {
         for (int i = 0; i < 2; ++i) {
           const std::lock_guard hold(g.m);
           g.change();
         }
       };
       together(work, work, work);
       require(g.n == 6, "lost an update");
     }},
    {"mutex_timed_against_unlock",
     [] {
       guarded<skein::mutex> g;
       const auto timed = [&] {
         if (std::unique_lock hold(g.m, 1ms); hold) g.change();
       };
       together(
           [&] {
             const std::lock_guard hold(g.m);
             skein::sleep_for(1ms), g.change();
           },
           timed, timed);
       require(g.m.try_lock(), "still locked");
       g.m.unlock();
     }},
    {"mutex_cancel_against_unlock",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       guarded<skein::mutex> g;
       const auto until_cancel = [&] {
         if (g.m.lock(ctx)) g.change(), g.m.unlock();
       };
       together(
           [&] {
             const std::lock_guard hold(g.m);
             g.change();
           },
           until_cancel, until_cancel, [&] { cancel(); },
           [&] {
             const std::lock_guard hold(g.m);
             g.change();
           });
       require(g.m.try_lock(), "still locked");
       g.m.unlock();
     }},
    {"mutex_unlocked_by_another",
     [] {
       guarded<skein::mutex> g;
       const skein::chan<skein::unit> locked(1);
       together([&] { g.m.lock(), g.change(), locked.send({}); },
                [&] { locked.recv(), g.change(), g.m.unlock(); },
                [&] {
                  const std::lock_guard hold(g.m);
                  g.change();
                });
       require(g.n == 3, "lost an update");
     }},
    {"mutex_starving_waiters_are_served",
     [] {
       guarded<skein::mutex> g;
       std::atomic<bool> served = false;
       together(
           [&] {
             while (!served) {
               const std::lock_guard hold(g.m);
               skein::sleep_for(600us);
             }
           },
           [&] {
             const std::lock_guard hold(g.m);
             served = true;
           },
           [&] {
             if (std::unique_lock hold(g.m, 1500us); hold) skein::sleep_for(100us);
           });
     }},
    {"mutex_try_lock_is_honest",
     [] {
       guarded<skein::mutex> g;
       int got = 0;
       const auto work = [&] {
         if (g.m.try_lock()) g.change(), ++got, g.m.unlock();
       };
       together(work, work, work);
       require(g.n == got && got >= 1, "nobody got a free lock");
     }},
    {"shared_mutex_excludes_writers",
     [] {
       guarded<skein::shared_mutex> g;
       const auto read = [&] {
         for (int i = 0; i < 2; ++i) {
           const std::shared_lock hold(g.m);
           static_cast<void>(g.n.load());
         }
       };
       const auto write = [&] {
         for (int i = 0; i < 2; ++i) {
           const std::unique_lock hold(g.m);
           g.change();
         }
       };
       together(read, read, write, write);
       require(g.n == 4, "lost an update");
     }},
    {"shared_mutex_timed_writer_gives_up",
     [] {
       guarded<skein::shared_mutex> g;
       const auto read = [&] {
         const std::shared_lock hold(g.m);
         skein::sleep_for(1ms), static_cast<void>(g.n.load());
       };
       together(
           read,
           [&] {
             if (std::unique_lock hold(g.m, 1ms); hold) g.change();
           },
           read);
       require(g.m.try_lock(), "still locked");
       g.m.unlock();
     }},
    {"shared_mutex_cancelled_reader",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       guarded<skein::shared_mutex> g;
       const auto read = [&] {
         if (g.m.lock_shared(ctx)) static_cast<void>(g.n.load()), g.m.unlock_shared();
       };
       together(
           [&] {
             const std::unique_lock hold(g.m);
             g.change();
           },
           read, read, [&] { cancel(); },
           [&] {
             const std::unique_lock hold(g.m);
             g.change();
           });
       require(g.m.try_lock(), "still locked");
       g.m.unlock();
     }},
    {"shared_mutex_readers_together",
     [] {
       skein::shared_mutex m;
       skein::chan<skein::unit> met;
       together(
           [&] {
             const std::shared_lock hold(m);
             met.send({});
           },
           [&] {
             const std::shared_lock hold(m);
             met.recv();
           });
     }},
    {"shared_mutex_late_writer_lets_readers_in",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::shared_mutex m;
       const skein::chan<skein::unit> met;
       together(
           [&] {
             const std::shared_lock hold(m);
             met.send({});
           },
           [&] {
             if (m.try_lock_for(1ms)) m.unlock();
           },
           [&] {
             if (m.lock(ctx)) m.unlock();
           },
           [&] {
             const std::shared_lock hold(m);
             met.recv();
           },
           [&] { skein::sleep_for(1ms), cancel(); });
     }},
    {"shared_mutex_try_forms",
     [] {
       guarded<skein::shared_mutex> g;
       const auto write = [&] {
         if (g.m.try_lock()) g.change(), g.m.unlock();
       };
       const auto read = [&] {
         if (g.m.try_lock_shared()) static_cast<void>(g.n.load()), g.m.unlock_shared();
       };
       together(write, read, write, read);
       require(g.m.try_lock(), "still locked");
       g.m.unlock();
     }},
};

}  // namespace

std::span<const scenario> locks() { return table; }

}  // namespace schedules
