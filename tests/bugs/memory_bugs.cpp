// Data races, and what others see before it is finished.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "bugs/corpus.hpp"
#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/map.hpp"
#include "skein/mutex.hpp"
#include "skein/once.hpp"
#include "skein/pool.hpp"
#include "skein/test/sim.hpp"
#include "skein/test/var.hpp"
#include "skein/wait_group.hpp"

namespace {

using namespace corpus;
using skein::chan;
using skein::unit;
using skein::test::var;

struct config {
  var<int> port;
};

constexpr bug table[] = {
    {"counter_without_lock", "Two count hits in a plain number.", race,
     [] {
       var<int> hits;
       together([&] { ++hits; }, [&] { ++hits; });
     },
     [] {
       std::atomic<int> hits = 0;
       together([&] { ++hits; }, [&] { ++hits; });
       require(hits == 2, "lost a hit");
     },
     3},
    {"unlocked_read", "The counter is changed under the lock, and read without it.", race,
     [] {
       var<int> hits;
       skein::mutex m;
       together(
           [&] {
             const std::lock_guard hold(m);
             ++hits;
           },
           [&] { static_cast<void>(hits.load()); });
     },
     [] {
       var<int> hits;
       skein::mutex m;
       together(
           [&] {
             const std::lock_guard hold(m);
             ++hits;
           },
           [&] {
             const std::lock_guard hold(m);
             static_cast<void>(hits.load());
           });
     },
     3},
    {"captured_loop_variable", "The goroutines of a loop share its variable.", race,
     [] {
       var<int> i;
       skein::wait_group wg;
       for (i = 0; i < 2; ++i) wg.go([&] { static_cast<void>(i.load()); });
       wg.wait();
     },
     [] {
       skein::wait_group wg;
       for (int i = 0; i < 2; ++i) wg.go([i] { static_cast<void>(i); });
       wg.wait();
     },
     3},
    {"shared_error_variable",
     "Goroutines report through one variable of the function that started them.", race,
     [] {
       var<int> error;
       together([&] { error = 1; }, [&] { error = 2; });
     },
     [] {
       const chan<int> errors(2);
       together([=] { errors.send(1); }, [=] { errors.send(2); });
       require(errors.size() == 2, "an error is lost");
     },
     3},
    {"lazily_made", "Two find that it does not exist yet.", race,
     [] {
       var<config*> made;
       config c;
       const auto get = [&] {
         if (made == nullptr) made = &c;
         return made.load();
       };
       together([&] { get(); }, [&] { get(); });
     },
     [] {
       var<config*> made;
       config c;
       skein::once once;
       const auto get = [&] {
         once.call([&] { made = &c; });
         return made.load();
       };
       together([&] { get(); }, [&] { get(); });
     },
     3},
    {"double_checked", "The flag is looked at without the lock under which it is set.", race,
     [] {
       var<bool> ready;
       skein::mutex m;
       const auto get = [&] {
         if (ready) return;
         const std::lock_guard hold(m);
         if (!ready) ready = true;
       };
       together(get, get);
     },
     [] {
       var<bool> ready;
       skein::mutex m;
       const auto get = [&] {
         const std::lock_guard hold(m);
         if (!ready) ready = true;
       };
       together(get, get);
     },
     3},
    {"flag_as_a_signal", "A plain flag says that the result is there.", race,
     [] {
       var<bool> done;
       var<int> result;
       together([&] { result = 1, done = true; },
                [&] {
                  while (!done) skein::yield();
                  static_cast<void>(result.load());
                });
     },
     [] {
       const chan<unit> done;
       var<int> result;
       together([&] { result = 1, done.close(); },
                [&] {
                  done.recv();
                  static_cast<void>(result.load());
                });
     },
     3},
    {"map_without_lock", "One looks a key up while another inserts one.", race,
     [] {
       var<std::map<int, int>> ages;
       together([&] { ages.change([](auto& m) { m[1] = 10; }); },
                [&] { static_cast<void>(ages.load()); });
     },
     [] {
       skein::map<int, int> ages;
       together([&] { ages.store(1, 10); }, [&] { static_cast<void>(ages.load(1)); });
     },
     3},
    {"published_before_it_is_ready", "The pointer is sent first, the object is filled in after.",
     race,
     [] {
       const chan<std::shared_ptr<config>> c(1);
       together(
           [=] {
             auto p = std::make_shared<config>();
             c.send(p), p->port = 80;
           },
           [=] {
             if (const auto p = c.recv()) static_cast<void>((*p)->port.load());
           });
     },
     [] {
       const chan<std::shared_ptr<config>> c(1);
       together(
           [=] {
             auto p = std::make_shared<config>();
             p->port = 80, c.send(p);
           },
           [=] {
             if (const auto p = c.recv()) static_cast<void>((*p)->port.load());
           });
     },
     3},
    {"used_after_it_was_sent", "The sender goes on using the buffer that it has handed over.", race,
     [] {
       const chan<std::shared_ptr<config>> c;
       together(
           [=] {
             auto p = std::make_shared<config>();
             for (int i = 0; i < 2; ++i) p->port = i, c.send(p);
             c.close();
           },
           [=] {
             for (const auto& p : c) static_cast<void>(p->port.load());
           });
     },
     [] {
       const chan<std::shared_ptr<config>> c;
       together(
           [=] {
             for (int i = 0; i < 2; ++i) {
               auto p = std::make_shared<config>();
               p->port = i, c.send(p);
             }
             c.close();
           },
           [=] {
             for (const auto& p : c) static_cast<void>(p->port.load());
           });
     },
     3},
    {"readers_counted_without_lock",
     "The first reader locks out the writers, and two think they are first.", race,
     [] {
       var<int> readers;
       skein::mutex room;
       const auto read = [&] {
         if (++readers == 1) room.lock();
         if (--readers == 0) room.unlock();
       };
       together(read, read);
     },
     [] {
       var<int> readers;
       skein::mutex room, m;
       const auto read = [&] {
         {
           const std::lock_guard hold(m);
           if (++readers == 1) room.lock();
         }
         {
           const std::lock_guard hold(m);
           if (--readers == 0) room.unlock();
         }
       };
       together(read, read);
     },
     3},
    {"stale_object_from_a_pool", "A buffer goes back to the pool with somebody still reading it.",
     race,
     [] {
       skein::pool<std::shared_ptr<config>> pool([] { return std::make_shared<config>(); });
       const auto work = [&] {
         std::shared_ptr<config> kept;
         {
           auto p = pool.get();
           kept = *p, kept->port = 1;
         }
         static_cast<void>(kept->port.load());
       };
       together(work, work);
     },
     [] {
       skein::pool<std::shared_ptr<config>> pool([] { return std::make_shared<config>(); });
       const auto work = [&] {
         auto p = pool.get();
         (*p)->port = 1;
         static_cast<void>((*p)->port.load());
       };
       together(work, work);
     }},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
