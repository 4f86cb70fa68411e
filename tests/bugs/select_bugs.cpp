// Select: a default that spins or drops, a choice that is not made by priority, a time limit that starts anew.
#include <chrono>
#include <optional>

#include "bugs/corpus.hpp"
#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"

namespace {

using namespace corpus;
using namespace std::chrono_literals;
using skein::chan;
using skein::unit;

// Sends a beat each millisecond, ten times.
void beat(const chan<unit>& beats) {
  for (int i = 0; i < 10; ++i) {
    skein::sleep_for(1ms);
    static_cast<void>(beats.try_send({}));
  }
}

constexpr bug table[] = {
    {"default_that_spins",
     "A select with a default asks again and again, and nobody else's time comes.", livelock,
     [] {
       const chan<unit> done;
       together([=] { skein::sleep_for(1ms), done.close(); },
                [=] {
                  while (skein::try_select(recv(done)) == -1) skein::yield();
                });
     },
     [] {
       const chan<unit> done;
       together([=] { skein::sleep_for(1ms), done.close(); }, [=] { skein::select(recv(done)); });
     },
     3},
    {"closed_channel_in_a_loop",
     "One of two inputs is closed; it stays ready, and the loop spins on it.", livelock,
     [] {
       chan<int> a, b;
       together([=] { a.close(), skein::sleep_for(1ms), b.close(); },
                [=] {
                  std::optional<int> n(0);
                  for (bool more = true; more;) more = skein::select(recv(a), recv(b, n)) == 0 || n;
                });
     },
     [] {
       chan<int> a, b;
       together([=] { a.close(), skein::sleep_for(1ms), b.close(); },
                [a, b]() mutable {
                  while (!a.is_nil() || !b.is_nil()) {
                    std::optional<int> n;
                    const int i = skein::select(recv(a, n), recv(b, n));
                    if (!n) (i == 0 ? a : b) = skein::nil;
                  }
                });
     },
     2},
    {"signal_dropped_by_default", "A wake-up is tried to be sent before anybody waits for it.",
     deadlock,
     [] {
       const chan<unit> wake;
       together([=] { static_cast<void>(wake.try_send({})); }, [=] { wake.recv(); });
     },
     [] {
       const chan<unit> wake(1);  // remembers one
       together([=] { static_cast<void>(wake.try_send({})); }, [=] { wake.recv(); });
     },
     3},
    {"work_after_stop", "Of a job and the stop, both there, either may be taken.",
     "worked after the stop",
     [] {
       const chan<int> jobs(1);
       const chan<unit> stop;
       bool worked = false;
       together([=] { stop.close(), jobs.send(1); },
                [&, jobs, stop] {
                  if (skein::select(recv(jobs), recv(stop)) == 0) worked = true;
                });
       require(!worked, "worked after the stop");
     },
     [] {
       const chan<int> jobs(1);
       const chan<unit> stop;
       bool worked = false;
       together([=] { stop.close(), jobs.send(1); },
                [&, jobs, stop] {
                  if (skein::select(recv(jobs), recv(stop)) == 0 && stop.try_recv().empty())
                    worked = true;
                });
       require(!worked, "worked after the stop");
     },
     3},
    {"time_out_that_starts_anew", "Each message starts the time-out of the whole again.",
     "took too long",
     [] {
       const chan<unit> beats;
       const auto start = skein::now();
       skein::duration took{};
       together([=] { beat(beats); },
                [&, beats] {
                  while (skein::select(recv(beats), recv(skein::after(3ms))) == 0) {
                  }
                  took = skein::now() - start;
                });
       require(took <= 3ms, "took too long");
     },
     [] {
       const chan<unit> beats;
       const auto start = skein::now();
       skein::duration took{};
       together([=] { beat(beats); },
                [&, beats] {
                  const auto end = skein::after(3ms);
                  while (skein::select(recv(beats), recv(end)) == 0) {
                  }
                  took = skein::now() - start;
                });
       require(took <= 3ms, "took too long");
     }},
    {"value_lost_to_another_case",
     "The item is received before the select, which may not send it on.", "lost an item",
     [] {
       const chan<int> in(1), out;
       const chan<unit> stop;
       in.send(1);
       int arrived = 0;
       together([=] { stop.close(); },
                [=] {
                  if (auto n = in.recv()) skein::select(send(out, *n), recv(stop));
                },
                [&, out] {
                  if (out.recv_for(1ms)) ++arrived;
                });
       require(arrived + static_cast<int>(in.size()) == 1, "lost an item");
     },
     [] {
       const chan<int> in(1), out;
       const chan<unit> stop;
       in.send(1);
       int arrived = 0;
       together([=] { stop.close(); },
                [=] {
                  if (auto n = in.recv(); n && skein::select(send(out, *n), recv(stop)) == 1)
                    in.send(*n);
                },
                [&, out] {
                  if (out.recv_for(1ms)) ++arrived;
                });
       require(arrived + static_cast<int>(in.size()) == 1, "lost an item");
     }},
    {"stop_not_in_the_select",
     "The worker is told to stop while it waits to hand over what it has.", leak,
     [] {
       const chan<int> out;
       const chan<unit> stop;
       skein::go([=] {
         while (stop.try_recv().empty()) out.send(1);
       });
       out.recv();
       stop.close();
     },
     [] {
       const chan<int> out;
       const chan<unit> stop;
       skein::go([=] {
         while (skein::select(send(out, 1), recv(stop)) == 0) {
         }
       });
       out.recv();
       stop.close();
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
