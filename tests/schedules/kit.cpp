// Singleflight, rate limiter, pool, map, locals and descriptors.
#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>

#include "schedules/scenarios.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/local.hpp"
#include "skein/map.hpp"
#include "skein/net/poll.hpp"
#include "skein/pool.hpp"
#include "skein/rate_limiter.hpp"
#include "skein/select.hpp"
#include "skein/singleflight.hpp"
#include "skein/test/fake_fd.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

struct spare {
  skein::test::var<int> n;
};

constexpr scenario table[] = {
    {"flight_is_shared",
     [] {
       skein::singleflight<int, int> flights;
       int under_way = 0;
       const auto call = [&] {
         const auto r = flights.call(1, [&] {
           require(++under_way == 1, "two at once");
           skein::yield();
           --under_way;
           return 7;
         });
         require(*r == 7, "another value");
       };
       together(call, call, call);
     }},
    {"flight_failure_is_shared",
     [] {
       skein::singleflight<int, int> flights;
       std::atomic<int> runs = 0, failures = 0;
       const auto call = [&] {
         try {
           static_cast<void>(flights.call(1, [&]() -> int {
             ++runs, skein::yield();
             throw std::runtime_error("no");
           }));
         } catch (const std::runtime_error&) {
           ++failures;
         }
       };
       together(call, call, call);
       require(failures == 3 && runs <= 3, "somebody was not told");
     }},
    {"flight_goes_on_without_a_late_caller",
     [] {
       skein::singleflight<int, int> flights;
       const auto fly = [] {
         skein::sleep_for(1ms);
         return 7;
       };
       const auto timed = [&] {
         if (const auto r = flights.call_for(1ms, 1, fly)) require(**r == 7, "another value");
       };
       together(timed, timed, [&] { require(*flights.call(1, fly) == 7, "another value"); });
     }},
    {"flight_forgotten",
     [] {
       skein::singleflight<int, int> flights;
       const auto call = [&] {
         require(*flights.call(1,
                               [] {
                                 skein::yield();
                                 return 7;
                               }) == 7,
                 "another value");
       };
       together(call, [&] { flights.forget(1); }, call);
     }},
    {"limiter_keeps_the_rate",
     [] {
       skein::rate_limiter gate(skein::every(1ms), 1);
       const auto start = skein::now();
       const auto pass = [&] { require(gate.wait(), "never"); };
       together(pass, pass, pass);
       require(skein::now() - start == 2ms, "another time");
     }},
    {"limiter_cancel_gives_back",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::rate_limiter gate(skein::every(1ms), 1);
       require(gate.allow(), "full at first");
       const auto start = skein::now();
       together([&] { static_cast<void>(gate.wait(ctx)); }, [&] { cancel(); },
                [&] { require(gate.wait(), "never"); });
       require(skein::now() - start <= 2ms, "too late");
     }},
    {"pool_lends_to_one",
     [] {
       skein::pool<std::shared_ptr<spare>> pool([] { return std::make_shared<spare>(); });
       const auto use = [&] {
         auto p = pool.get();
         (*p)->n = (*p)->n + 1;
         skein::yield();
         (*p)->n = (*p)->n + 1;
       };
       together(use, use, use);
     }},
    {"pool_trimmed_while_it_lends",
     [] {
       skein::pool<std::unique_ptr<int>> pool([] { return std::make_unique<int>(1); });
       const auto use = [&] {
         for (int i = 0; i < 2; ++i) {
           auto p = pool.get();
           require(**p == 1, "gone");
           skein::yield();
         }
       };
       together(use, use, [&] { pool.trim(), skein::yield(), pool.trim(); });
     }},
    {"map_first_store_wins",
     [] {
       skein::map<int, int> m;
       std::atomic<int> stored = 0;
       int seen[2] = {};
       const auto store = [&](int n) {
         return [&, n] {
           const auto [v, was] = m.load_or_store(1, n);
           stored += !was, seen[n] = v;
         };
       };
       together(store(0), store(1));
       require(stored == 1 && seen[0] == seen[1], "two winners");
     }},
    {"map_compare_and_swap_counts",
     [] {
       skein::map<int, int> m;
       m.store(1, 0);
       const auto count = [&] {
         for (bool done = false; !done;) {
           const int n = *m.load(1);
           done = m.compare_and_swap(1, n, n + 1);
         }
       };
       together(count, count, count);
       require(m.load(1) == 3, "lost an update");
     }},
    {"map_erased_by_one",
     [] {
       skein::map<int, int> m;
       m.store(1, 7);
       std::atomic<int> erased = 0;
       together([&] { erased += m.erase(1); }, [&] { erased += m.load_and_delete(1).has_value(); },
                [&] { erased += m.compare_and_delete(1, 7); });
       require(erased == 1 && !m.contains(1), "erased twice");
     }},
    {"map_visits_what_stays",
     [] {
       skein::map<int, int> m;
       for (int i = 0; i < 3; ++i) m.store(i, i);
       together([&] { m.store(3, 3), m.erase(0); },
                [&] {
                  std::multiset<int> seen;
                  m.for_each([&](int k, int) { seen.insert(k), skein::yield(); });
                  require(seen.count(1) == 1 && seen.count(2) == 1, "not once");
                  require(seen.count(0) <= 1 && seen.count(3) <= 1, "twice");
                });
     }},
    {"map_publishes_what_came_before",
     [] {
       skein::map<int, int> m;
       skein::test::var<int> n;
       together([&] { n = 1, m.store(1, 1); },
                [&] {
                  if (m.contains(1)) require(n == 1, "too early");
                });
     }},
    {"local_is_ones_own",
     [] {
       const skein::local<int> mine([] { return 0; });
       const auto count = [&] {
         for (int i = 1; i <= 3; ++i) {
           ++*mine, skein::yield(), require(*mine == i, "another's");
         }
       };
       together(count, count, count);
       require(*mine == 0, "another's");
     }},
    {"fd_readiness_against_time",
     [] {
       skein::test::fake_fd fd;
       together([&] { skein::sleep_for(1ms), fd.set_readable(true); },
                [&] {
                  if (!skein::wait_readable_for(fd.number(), 1ms))
                    skein::wait_readable(fd.number());
                });
     }},
    {"fd_readiness_against_cancel",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       skein::test::fake_fd fd;
       together([&] { fd.set_writable(true); }, [&] { cancel(); },
                [&] {
                  if (!skein::wait_writable(ctx, fd.number())) skein::wait_writable(fd.number());
                });
     }},
    {"fd_both_directions_in_a_select",
     [] {
       skein::test::fake_fd fd;
       together([&] { fd.set_readable(true); }, [&] { fd.set_writable(true); },
                [&] {
                  skein::select(recv(skein::readable(fd.number())),
                                recv(skein::writable(fd.number())));
                });
     }},
};

}  // namespace

std::span<const scenario> kit() { return table; }

}  // namespace schedules
