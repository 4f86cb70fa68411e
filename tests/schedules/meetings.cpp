// Wait groups, barriers, latches, once and waits on atomics: nobody goes on too early, nobody is left behind.
#include <atomic>
#include <stdexcept>

#include "schedules/scenarios.hpp"
#include "skein/atomic_wait.hpp"
#include "skein/barrier.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/latch.hpp"
#include "skein/once.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"

namespace schedules {
namespace {

using skein::test::var;

constexpr scenario table[] = {
    {"wait_group_waits_for_all",
     [] {
       skein::wait_group wg;
       var<int> a, b;
       wg.go([&] { a = 1; });
       wg.go([&] { skein::yield(), b = 1; });
       wg.wait();
       require(a + b == 2, "too early");
     }},
    {"wait_group_used_again",
     [] {
       skein::wait_group wg;
       std::atomic<int> done = 0;
       for (int round = 1; round <= 3; ++round) {
         for (int i = 0; i < 2; ++i) wg.go([&] { ++done; });
         wg.wait();
         require(done == 2 * round, "too early");
       }
     }},
    {"wait_group_several_wait",
     [] {
       skein::wait_group wg;
       bool done = false;
       wg.add();
       const auto wait = [&] { wg.wait(), require(done, "too early"); };
       together(wait, wait, [&] { done = true, wg.done(); });
     }},
    {"wait_group_time_against_done",
     [] {
       skein::wait_group wg;
       bool done = false;
       wg.go([&] { skein::sleep_for(1ms), done = true; });
       if (wg.wait_for(1ms)) require(done, "too early");
       wg.wait();
     }},
    {"wait_group_cancel_against_done",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::wait_group wg;
       wg.add();
       bool done = false;
       together(
           [&] {
             if (wg.wait(ctx)) require(done, "too early");
           },
           [&] { done = true, wg.done(); }, [&] { cancel(); });
       require(wg.wait_for(0ms), "not zero");
     }},
    {"barrier_keeps_phases",
     [] {
       std::atomic<int> phase = 0, arrived = 0;
       skein::barrier step(3, [&]() noexcept { ++phase, arrived = 0; });
       const auto work = [&] {
         for (int i = 0; i < 3; ++i) {
           require(phase == i, "another phase");
           ++arrived;
           step.arrive_and_wait();
         }
       };
       together(work, work, work);
       require(phase == 3, "another number of phases");
     }},
    {"barrier_some_leave",
     [] {
       skein::barrier step(3);
       std::atomic<int> after = 0;
       const auto stay = [&] {
         step.arrive_and_wait(), ++after, step.arrive_and_wait(), require(after == 2, "too early");
       };
       together(stay, stay, [&] { step.arrive_and_drop(); });
     }},
    {"barrier_time_against_arrival",
     [] {
       skein::barrier step(2);
       together(
           [&] {
             const auto t = step.arrive();
             if (!step.wait_for(t, 1ms)) step.wait(t);
           },
           [&] { skein::sleep_for(1ms), step.arrive_and_wait(); });
     }},
    {"barrier_cancel_against_arrival",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::barrier step(2);
       together(
           [&] {
             const auto t = step.arrive();
             if (!step.wait(t, ctx)) step.wait(t);
           },
           [&] { step.arrive_and_wait(); }, [&] { cancel(); });
     }},
    {"latch_opens_once",
     [] {
       skein::latch l(2);
       var<int> n;
       together([&] { n = 1, l.count_down(); }, [&] { l.arrive_and_wait(); },
                [&] { l.wait(), require(n == 1, "too early"); });
       require(l.try_wait(), "closed again");
     }},
    {"latch_time_against_count_down",
     [] {
       skein::latch l(1);
       together(
           [&] {
             if (!l.wait_for(1ms)) l.wait();
           },
           [&] { skein::sleep_for(1ms), l.count_down(); });
     }},
    {"once_runs_once",
     [] {
       skein::once o;
       var<int> n;
       const auto call = [&] {
         o.call([&] { n = n + 1, skein::yield(); }), require(n == 1, "too early");
       };
       together(call, call, call);
     }},
    {"once_time_against_end",
     [] {
       skein::once o;
       bool made = false;
       together([&] { o.call([&] { skein::sleep_for(1ms), made = true; }); },
                [&] {
                  if (o.call_for(1ms, [&] { made = true; })) require(made, "too early");
                });
     }},
    {"once_cancel_against_end",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::once o;
       bool made = false;
       together([&] { o.call([&] { skein::yield(), made = true; }); }, [&] { cancel(); },
                [&] {
                  if (o.call(ctx, [&] { made = true; })) require(made, "too early");
                });
     }},
    {"once_value_failure_for_all",
     [] {
       const auto make = skein::once_value([]() -> int {
         skein::yield();
         throw std::runtime_error("no");
       });
       std::atomic<int> failures = 0;
       const auto call = [&] {
         try {
           make();
         } catch (const std::runtime_error&) {
           ++failures;
         }
       };
       together(call, call, call);
       require(failures == 3, "somebody was not told");
     }},
    {"atomic_wait_meets_every_notify",
     [] {
       std::atomic<int> n = 0;
       const auto wait = [&](int old) {
         return [&, old] { skein::atomic_wait(n, old), require(n != old, "too early"); };
       };
       together(wait(0), wait(0), [&] { n = 1, skein::atomic_notify_all(n); });
     }},
    {"atomic_notify_one_wakes_one_each",
     [] {
       std::atomic<int> n = 0;
       const auto wait = [&] { skein::atomic_wait(n, 0); };
       together(wait, wait,
                [&] { n = 1, skein::atomic_notify_one(n), skein::atomic_notify_one(n); });
     }},
    {"atomic_wait_time_against_notify",
     [] {
       std::atomic<int> n = 0;
       together(
           [&] { require(skein::atomic_wait_for(n, 0, 1ms) == (n != 0), "against what it holds"); },
           [&] { skein::atomic_wait(n, 0); },
           [&] { skein::sleep_for(1ms), n = 1, skein::atomic_notify_all(n); });
     }},
};

}  // namespace

std::span<const scenario> meetings() { return table; }

}  // namespace schedules
