// Tasks, groups and loops: every result arrives once, every failure too.
#include <atomic>
#include <stdexcept>
#include <vector>

#include "schedules/scenarios.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/parallel.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/task_group.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

using skein::spawn;

template <class F> bool fails(F f) {
  try {
    f();
    return false;
  } catch (const std::runtime_error&) {
    return true;
  }
}
[[noreturn]] void fail() { throw std::runtime_error("no"); }

constexpr scenario table[] = {
    {"task_gives_its_value",
     [] {
       skein::test::var<int> n;
       auto a = spawn([&] { return n = 1; });
       auto b = spawn([] {
         skein::yield();
         return 2;
       });
       require(a.join() + b.join() == 3 && n == 1, "another value");
     }},
    {"task_gives_its_exception",
     [] {
       auto t = spawn([] { skein::yield(), fail(); });
       require(fails([&] { t.join(); }), "the exception is lost");
     }},
    {"task_exits",
     [] {
       auto t = spawn([] { skein::yield(), skein::exit_goroutine(); });
       bool exited = false;
       try {
         t.join();
       } catch (const skein::goroutine_exited&) {
         exited = true;
       }
       require(exited, "it has not ended so");
     }},
    {"task_time_against_end",
     [] {
       auto t = spawn([] {
         skein::sleep_for(1ms);
         return 1;
       });
       static_cast<void>(t.wait_for(1ms));
       require(t.join() == 1, "another value");
     }},
    {"task_cancel_against_end",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       bool ended = false;
       auto t = spawn([&] { skein::yield(), ended = true; });
       together(
           [&] {
             if (t.wait(ctx)) require(ended, "too early");
           },
           [&] { cancel(); });
       t.join();
       require(ended, "too early");
     }},
    {"task_several_wait",
     [] {
       bool ended = false;
       auto t = spawn([&] { skein::yield(), ended = true; });
       const auto wait = [&] { t.wait(), require(ended, "too early"); };
       together(wait, wait);
       t.join();
     }},
    {"task_in_a_select",
     [] {
       auto t = spawn([] {
         skein::sleep_for(1ms);
         return 1;
       });
       const auto done = t.done();
       while (skein::select(recv(done), recv(skein::after(500us))) == 1) {
       }
       require(t.join() == 1, "another value");
     }},
    {"task_dropped_is_joined",
     [] {
       skein::test::var<int> n;
       {
         auto t = spawn([&] { skein::yield(), n = 1; });
       }
       require(n == 1, "too early");
     }},
    {"group_first_failure_ends_the_others",
     [] {
       skein::task_group g((skein::background()));
       std::atomic<int> ended = 0;
       for (int i = 0; i < 2; ++i) g.go([&] { g.context().done().recv(), ++ended; });
       g.go([] { fail(); });
       require(fails([&] { g.wait(); }) && ended == 2, "the failure is lost");
     }},
    {"group_keeps_its_limit",
     [] {
       skein::task_group g;
       g.set_limit(2);
       std::atomic<int> running = 0, ran = 0;
       for (int i = 0; i < 4; ++i)
         g.go([&] {
           require(++running <= 2, "more than the limit");
           skein::yield();
           --running, ++ran;
         });
       g.wait();
       require(ran == 4, "not all ran");
     }},
    {"group_place_against_time",
     [] {
       skein::task_group g;
       g.set_limit(1);
       std::atomic<int> ran = 0;
       g.go([&] { skein::sleep_for(1ms), ++ran; });
       const bool started = g.go_for(1ms, [&] { ++ran; });
       g.wait();
       require(ran == (started ? 2 : 1), "against what it says");
     }},
    {"group_wait_against_time",
     [] {
       skein::task_group g;
       bool ended = false;
       g.go([&] { skein::sleep_for(1ms), ended = true; });
       if (g.wait_for(1ms)) require(ended, "too early");
       g.wait();
     }},
    {"parallel_each_once",
     [] {
       std::vector<int> seen(4);
       skein::parallel_for_each(seen, [](int& n) { skein::yield(), ++n; }, {.limit = 2});
       require(seen == std::vector<int>{1, 1, 1, 1}, "not each once");
     }},
    {"parallel_failure_ends_the_loop",
     [] {
       std::vector<int> input{1, 2, 3, 4};
       std::atomic<int> running = 0;
       const auto f = [&](int n) {
         ++running;
         skein::yield();
         --running;
         if (n == 2) fail();
       };
       require(fails([&] { skein::parallel_for_each(input, f, {.limit = 3}); }),
               "the failure is lost");
       require(running == 0, "too early");
     }},
    {"parallel_over_a_channel",
     [] {
       const skein::chan<int> jobs(1);
       std::atomic<int> sum = 0;
       together(
           [=] {
             for (int i = 1; i <= 4; ++i) jobs.send(i);
             jobs.close();
           },
           [&] {
             skein::parallel_for_each(jobs, [&](int n) { skein::yield(), sum += n; }, {.limit = 2});
           });
       require(sum == 10, "another sum");
     }},
    {"parallel_against_cancel",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       std::vector<int> seen(3);
       bool whole = true;
       together(
           [&] {
             whole = skein::parallel_for_each(seen, [](int& n) { skein::yield(), ++n; },
                                              {.limit = 2, .ctx = ctx});
           },
           [&] { cancel(); });
       require(whole == (seen == std::vector<int>{1, 1, 1}), "against what it says");
     }},
};

}  // namespace

std::span<const scenario> tasks() { return table; }

}  // namespace schedules
