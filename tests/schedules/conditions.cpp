// Condition variables and semaphores: nobody sleeps on, and who gives up leaves the signal and the permits to others.
#include <atomic>
#include <deque>
#include <mutex>

#include "schedules/scenarios.hpp"
#include "skein/condition_variable.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/semaphore.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

constexpr scenario table[] = {
    {"condition_variable_queue",
     [] {
       skein::mutex m;
       skein::condition_variable filled;
       std::deque<int> items;
       int sum = 0;
       const auto take = [&] {
         std::unique_lock hold(m);
         filled.wait(hold, [&] { return !items.empty(); });
         sum += items.front(), items.pop_front();
       };
       const auto put = [&](int n) {
         return [&, n] {
           {
             const std::lock_guard hold(m);
             items.push_back(n);
           }
           filled.notify_one();
         };
       };
       together(take, take, put(1), put(2));
       require(sum == 3, "another sum");
     }},
    {"condition_variable_late_waiter_spends_no_signal",
     [] {
       skein::mutex m;
       skein::condition_variable changed;
       bool done = false;
       together(
           [&] {
             std::unique_lock hold(m);
             if (changed.wait_for(hold, 1ms) == std::cv_status::no_timeout) changed.notify_one();
           },
           [&] {
             std::unique_lock hold(m);
             changed.wait(hold, [&] { return done; });
           },
           [&] {
             skein::sleep_for(1ms);
             {
               const std::lock_guard hold(m);
               done = true;
             }
             changed.notify_one();
           });
     }},
    {"condition_variable_cancel_against_notify",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::mutex m;
       skein::condition_variable changed;
       bool done = false;
       together(
           [&] {
             std::unique_lock hold(m);
             if (changed.wait(hold, ctx)) changed.notify_one();
           },
           [&] {
             std::unique_lock hold(m);
             changed.wait(hold, [&] { return done; });
           },
           [&] { cancel(); },
           [&] {
             {
               const std::lock_guard hold(m);
               done = true;
             }
             changed.notify_one();
           });
     }},
    {"condition_variable_notify_all",
     [] {
       skein::mutex m;
       skein::condition_variable changed;
       bool open = false;
       const auto pass = [&] {
         std::unique_lock hold(m);
         changed.wait(hold, [&] { return open; });
       };
       together(pass, pass, pass, [&] {
         {
           const std::lock_guard hold(m);
           open = true;
         }
         changed.notify_all();
       });
     }},
    {"semaphore_weights",
     [] {
       skein::semaphore s(3);
       std::atomic<int> used = 0;
       const auto use = [&](int n) {
         return [&, n] {
           s.acquire(n);
           used += n;
           require(used <= 3, "more than there is");
           skein::yield();
           used -= n;
           s.release(n);
         };
       };
       together(use(1), use(2), use(3), use(2));
       require(s.try_acquire(3), "not all came back");
     }},
    {"semaphore_timed_against_release",
     [] {
       skein::semaphore s(2);
       const auto timed = [&](int n) {
         return [&, n] {
           if (s.try_acquire_for(1ms, n)) s.release(n);
         };
       };
       together([&] { s.acquire(2), skein::sleep_for(1ms), s.release(2); }, timed(1), timed(2),
                timed(1));
       require(s.try_acquire(2), "not all came back");
     }},
    {"semaphore_cancel_serves_those_behind",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::semaphore s(2);
       s.acquire(1);
       together(
           [&] {
             if (s.acquire(ctx, 2)) s.release(2);
           },
           [&] { s.acquire(1), s.release(1); }, [&] { cancel(); });
       s.release(1);
       require(s.try_acquire(2), "not all came back");
     }},
};

}  // namespace

std::span<const scenario> conditions() { return table; }

}  // namespace schedules
