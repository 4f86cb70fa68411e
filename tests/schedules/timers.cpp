// Time: exactly one of "stopped" and "fired", nothing stale, nothing early.
#include <atomic>
#include <memory>

#include "schedules/scenarios.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

using skein::chan;
using skein::unit;

constexpr scenario table[] = {
    {"sleep_ends_in_time",
     [] {
       const auto start = skein::now();
       const auto sleep = [=](skein::duration d) {
         return [=] { skein::sleep_for(d), require(skein::now() - start == d, "another time"); };
       };
       together(sleep(1ms), sleep(2ms), sleep(1ms), sleep(0ms));
     }},
    {"sleep_against_cancel",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const auto start = skein::now();
       together(
           [&] {
             const bool whole = skein::sleep_for(ctx, 1ms);
             require(skein::now() - start <= 1ms && (whole || ctx.err()),
                     "neither slept nor canceled");
           },
           [&] { skein::sleep_for(1ms), cancel(); });
     }},
    {"timer_stopped_or_received",
     [] {
       skein::timer t(1ms);
       bool stopped = false, received = false;
       together([&] { skein::sleep_for(1ms), stopped = t.stop(); },
                [&] { received = t.chan().recv_for(2ms).has_value(); });
       require(stopped != received, "both or neither");
     }},
    {"timer_two_stop",
     [] {
       skein::timer t(1ms);
       std::atomic<int> stopped = 0;
       const auto stop = [&] { skein::sleep_for(1ms), stopped += t.stop(); };
       together(stop, stop);
       require(stopped <= 1, "stopped twice");
       require(t.chan().recv_for(1ms).has_value() == (stopped == 0), "both or neither");
     }},
    {"timer_reset_leaves_nothing_stale",
     [] {
       skein::timer t(1ms);
       skein::sleep_for(1ms);
       t.reset(1ms);
       const auto start = skein::now();
       t.chan().recv();
       require(skein::now() - start == 1ms, "a stale value");
     }},
    {"timer_reset_by_two",
     [] {
       skein::timer t(1ms);
       together([&] { skein::sleep_for(1ms), t.reset(1ms); },
                [&] { skein::sleep_for(1ms), t.reset(2ms); }, [&] { t.chan().recv(); });
       t.stop();
       require(!t.chan().recv_for(5ms), "a stale value");
     }},
    {"after_func_stopped_or_run",
     [] {
       const chan<unit> ran(1);
       auto t = skein::after_func(1ms, [ran] { ran.send({}); });
       skein::sleep_for(1ms);
       const bool stopped = t.stop();
       require(ran.recv_for(1ms).has_value() != stopped, "both or neither");
     }},
    {"after_func_reset_against_firing",
     [] {
       const auto runs = std::make_shared<std::atomic<int>>(0);
       auto t = skein::after_func(1ms, [runs] { ++*runs; });
       skein::sleep_for(1ms);
       const bool was_armed = t.reset(1ms);
       skein::sleep_for(2ms);
       require(*runs == (was_armed ? 1 : 2), "another number of runs");
     }},
    {"ticker_drops_what_is_late",
     [] {
       const skein::ticker t(1ms);
       skein::sleep_for(5ms);
       require(t.chan().recv().has_value(), "no tick");
       const auto start = skein::now();
       t.chan().recv();
       require(skein::now() - start <= 1ms, "a missing tick");
     }},
    {"ticker_stop_against_tick",
     [] {
       skein::ticker t(1ms);
       together([&] { skein::sleep_for(2ms), t.stop(); },
                [&] {
                  while (t.chan().recv_for(3ms)) {
                  }
                });
       require(!t.chan().recv_for(3ms), "a tick after the stop");
     }},
    {"ticker_reset_against_tick",
     [] {
       skein::ticker t(1ms);
       together([&] { skein::sleep_for(2ms), t.reset(3ms); },
                [&] {
                  for (int i = 0; i < 4; ++i) t.chan().recv();
                });
       t.stop();
     }},
    {"after_in_a_loop",
     [] {
       const chan<int> c;
       int received = 0;
       together(
           [=] {
             for (int i = 0; i < 3; ++i) skein::sleep_for(1ms), c.send(i);
             c.close();
           },
           [&] {
             for (bool more = true; more;)
               skein::select(recv(c, [&](std::optional<int> n) { n ? ++received : more = false; }),
                             recv(skein::after(1ms)));
           });
       require(received == 3, "lost a value");
     }},
};

}  // namespace

std::span<const scenario> timers() { return table; }

}  // namespace schedules
