// Wait groups, tasks, once and singleflight: counted too late, too often or not at all, and waiting for oneself.
#include <memory>
#include <stdexcept>

#include "bugs/corpus.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/latch.hpp"
#include "skein/once.hpp"
#include "skein/singleflight.hpp"
#include "skein/task.hpp"
#include "skein/task_group.hpp"
#include "skein/test/var.hpp"
#include "skein/wait_group.hpp"

namespace {

using namespace corpus;
using skein::chan;
using skein::unit;
using skein::test::var;

struct counted {
  skein::wait_group wg;
  var<int> results;
};

constexpr bug table[] = {
    {"add_inside_the_goroutine", "The waiter comes before the goroutine that counts itself.", race,
     [] {
       const auto c = std::make_shared<counted>();
       skein::go([c] { c->wg.add(), c->results = 1, c->wg.done(); });
       c->wg.wait();
       static_cast<void>(c->results.load());
     },
     [] {
       const auto c = std::make_shared<counted>();
       c->wg.add();
       skein::go([c] { c->results = 1, c->wg.done(); });
       c->wg.wait();
       static_cast<void>(c->results.load());
     },
     3},
    {"done_missing", "The path that fails is not counted as done.", deadlock,
     [] {
       skein::wait_group wg;
       wg.add(2);
       for (const bool fails : {true, false})
         skein::go([&wg, fails] {
           if (!fails) wg.done();
         });
       wg.wait();
     },
     [] {
       skein::wait_group wg;
       for (const bool fails : {true, false})
         wg.go([fails] {
           if (fails) return;
         });
       wg.wait();
     },
     3},
    {"done_twice", "The path that fails counts itself, and so does the end.",
     "negative wait_group counter",
     [] {
       const auto wg = std::make_shared<skein::wait_group>();
       wg->add(2);
       const auto work = [wg](bool fails) {
         if (fails) wg->done();
         wg->done();
       };
       skein::go([work] { work(true); });
       skein::go([work] { work(false); });
       wg->wait();
     },
     [] {
       const auto wg = std::make_shared<skein::wait_group>();
       for (const bool fails : {true, false})
         wg->go([fails] {
           if (fails) return;
         });
       wg->wait();
     },
     3},
    {"waits_for_itself", "A member of the group waits for the group.", deadlock,
     [] {
       skein::wait_group wg;
       const chan<unit> done(1);
       wg.go([] {});
       wg.go([&] { wg.wait(), done.send({}); });
       done.recv();
     },
     [] {
       skein::wait_group wg;
       const chan<unit> done(1);
       wg.go([] {});
       skein::go([&] { wg.wait(), done.send({}); });
       done.recv();
     },
     3},
    {"read_before_wait",
     "The results are read when they have been asked for, not when they are there.", race,
     [] {
       var<int> result;
       skein::wait_group wg;
       wg.go([&] { result = 1; });
       const int seen = result;
       wg.wait();
       static_cast<void>(seen);
     },
     [] {
       var<int> result;
       skein::wait_group wg;
       wg.go([&] { result = 1; });
       wg.wait();
       static_cast<void>(result.load());
     },
     3},
    {"latch_for_one_too_many", "The latch counts a worker that is not started.", deadlock,
     [] {
       skein::latch ready(3);
       together([&] { ready.count_down(); }, [&] { ready.count_down(); }, [&] { ready.wait(); });
     },
     [] {
       skein::latch ready(2);
       together([&] { ready.count_down(); }, [&] { ready.count_down(); }, [&] { ready.wait(); });
     }},
    {"destructor_joins", "The way out joins a task that waits for what would have come later.",
     deadlock,
     [] {
       const chan<int> first, second;
       skein::go([=] { first.send(-1); });
       auto t = skein::spawn([=] { second.recv(); });
       if (first.recv() < 0) return;
       second.close();
     },
     [] {
       const chan<int> first, second;
       skein::go([=] { first.send(-1); });
       auto t = skein::spawn([=] { second.recv(); });
       struct closer {
         chan<int> c;
         ~closer() { c.close(); }
       } end{second};
       if (first.recv() < 0) return;
     },
     3},
    {"shutdown_order", "The store is closed before those who still write to it.", "closed channel",
     [] {
       const chan<int> store(4);
       const chan<unit> stop;
       auto writer = skein::spawn([=] { stop.recv(), store.send(1); });
       stop.close();
       store.close();
       writer.join();
     },
     [] {
       const chan<int> store(4);
       const chan<unit> stop;
       auto writer = skein::spawn([=] { stop.recv(), store.send(1); });
       stop.close();
       writer.join();
       store.close();
     },
     3},
    {"once_calls_itself", "The initialiser needs what it initialises, by a way around.", deadlock,
     [] {
       skein::once loaded;
       const auto load_defaults = [&] { loaded.call([] {}); };
       together([&] { loaded.call([&] { load_defaults(); }); });
     },
     [] {
       skein::once loaded, defaults;
       const auto load_defaults = [&] { defaults.call([] {}); };
       together([&] { loaded.call([&] { load_defaults(); }); });
     },
     3},
    {"once_that_failed",
     "The initialiser throws, counts as called, and the next one uses what was not made.",
     "never made",
     [] {
       skein::once made;
       bool exists = false, used = false;
       const auto use = [&] {
         try {
           made.call([] { throw std::runtime_error("no memory"); });
           used = true;
         } catch (const std::runtime_error&) {
         }
       };
       together(use, use);
       require(!used || exists, "never made");
     },
     [] {
       bool used = false;
       const auto make = skein::once_value([]() -> bool { throw std::runtime_error("no memory"); });
       const auto use = [&] {
         try {
           used = make();
         } catch (const std::runtime_error&) {
         }
       };
       together(use, use);
       require(!used, "never made");
     },
     3},
    {"singleflight_reentered", "An execution asks, two calls deep, for its own key.", deadlock,
     [] {
       skein::singleflight<int, int> flights;
       const auto price = [&] { return *flights.call(1, [] { return 7; }); };
       together([&] { static_cast<void>(flights.call(1, [&] { return price() + 1; })); });
     },
     [] {
       skein::singleflight<int, int> flights;
       const auto price = [&] { return *flights.call(1, [] { return 7; }); };
       together([&] { static_cast<void>(flights.call(2, [&] { return price() + 1; })); });
     },
     3},
    {"group_limit_taken_by_parents",
     "Parents hold all places of the group while they wait for one for a child.", deadlock,
     [] {
       skein::task_group g;
       g.set_limit(2);
       for (int i = 0; i < 2; ++i) g.go([&] { g.go([] {}); });
       g.wait();
     },
     [] {
       skein::task_group g;
       g.set_limit(2);
       for (int i = 0; i < 2; ++i)
         g.go([&] {
           if (!g.try_go([] {})) return;
         });
       g.wait();
     }},
    {"failure_that_stops_nobody",
     "A member waits for another that has failed, and not for the group's context.", deadlock,
     [] {
       skein::task_group g((skein::background()));
       const chan<int> c;
       g.go([] { throw std::runtime_error("no input"); });
       g.go([=] { c.recv(); });
       try {
         g.wait();
       } catch (const std::runtime_error&) {
       }
     },
     [] {
       skein::task_group g((skein::background()));
       const chan<int> c;
       g.go([] { throw std::runtime_error("no input"); });
       g.go([&, c] { static_cast<void>(c.recv(g.context())); });
       try {
         g.wait();
       } catch (const std::runtime_error&) {
       }
     }},
    {"counted_down_twice", "A worker that is tried again counts down again.", "below zero",
     [] {
       const auto ready = std::make_shared<skein::latch>(2);
       const auto work = [ready](int tries) {
         for (; tries > 0; --tries) ready->count_down();
       };
       skein::go([work] { work(2); });
       skein::go([work] { work(1); });
       ready->wait();
     },
     [] {
       const auto ready = std::make_shared<skein::latch>(2);
       const auto work = [ready](int) { ready->count_down(); };
       skein::go([work] { work(2); });
       skein::go([work] { work(1); });
       ready->wait();
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
