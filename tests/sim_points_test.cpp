// Where a simulation may let others run: each operation is such a point, and one that ends something is one before
// others can see that it has ended.
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "skein/skein.hpp"
#include "skein/test/fake_fd.hpp"
#include "skein/test/var.hpp"
#include "support/everywhere.hpp"
#include "support/found.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::together;
using skein::chan;
using skein::unit;

// Something of everything.
struct things {
  skein::mutex m;
  skein::shared_mutex shared;
  skein::condition_variable changed;
  skein::semaphore permits{1};
  skein::wait_group wg;
  skein::latch open{1};
  skein::barrier<> phases{1};
  skein::once once;
  skein::cancelable bound = skein::with_cancel(skein::background());
  skein::rate_limiter rate{1, 1};
  std::optional<skein::rate_limiter::reservation> reserved;
  skein::pool<int> spare;
  skein::pooled<int> taken;
  skein::map<int, int> map;
  chan<int> c{1};
  skein::timer timer{1ms};
  skein::task<void> task;
  skein::singleflight<int, int> flights;
  skein::task_group group;
  skein::test::fake_fd fd;
  skein::test::var<int> var;
  std::atomic<int> number{0};
};

struct operation {
  const char* name;
  void (*call)(things& t);
  void (*before)(things& t) = [](things&) {};
};

constexpr operation operations[] = {
    {"go", [](things&) { skein::go([] {}); }},
    {"spawn", [](things& t) { t.task = skein::spawn([] {}); }},
    {"yield", [](things&) { skein::yield(); }},
    {"checkpoint", [](things&) { skein::checkpoint(); }},
    {"blocking", [](things&) { skein::blocking([] {}); }},
    {"point", [](things&) { skein::test::point(); }},
    {"var", [](things& t) { t.var = 1; }},
    {"chan.send", [](things& t) { t.c.send(1); }},
    {"chan.send_for", [](things& t) { static_cast<void>(t.c.send_for(1, 1s)); }},
    {"chan.send(ctx)", [](things& t) { static_cast<void>(t.c.send(t.bound.ctx, 1)); }},
    {"chan.try_send", [](things& t) { static_cast<void>(t.c.try_send(1)); }},
    {"chan.recv", [](things& t) { t.c.recv(); }, [](things& t) { t.c.send(1); }},
    {"chan.recv_for", [](things& t) { static_cast<void>(t.c.recv_for(1s)); },
     [](things& t) { t.c.send(1); }},
    {"chan.recv(ctx)", [](things& t) { static_cast<void>(t.c.recv(t.bound.ctx)); },
     [](things& t) { t.c.send(1); }},
    {"chan.try_recv", [](things& t) { static_cast<void>(t.c.try_recv()); }},
    {"chan.size", [](things& t) { static_cast<void>(t.c.size()); }},
    {"chan.close", [](things& t) { t.c.close(); }},
    {"select", [](things& t) { skein::select(send(t.c, 1)); }},
    {"try_select", [](things& t) { static_cast<void>(skein::try_select(send(t.c, 1))); }},
    {"mutex.lock", [](things& t) { t.m.lock(); }},
    {"mutex.lock(ctx)", [](things& t) { static_cast<void>(t.m.lock(t.bound.ctx)); }},
    {"mutex.try_lock", [](things& t) { static_cast<void>(t.m.try_lock()); }},
    {"mutex.try_lock_for", [](things& t) { static_cast<void>(t.m.try_lock_for(1s)); }},
    {"mutex.unlock", [](things& t) { t.m.unlock(); }, [](things& t) { t.m.lock(); }},
    {"shared_mutex.lock", [](things& t) { t.shared.lock(); }},
    {"shared_mutex.try_lock", [](things& t) { static_cast<void>(t.shared.try_lock()); }},
    {"shared_mutex.try_lock_for", [](things& t) { static_cast<void>(t.shared.try_lock_for(1s)); }},
    {"shared_mutex.unlock", [](things& t) { t.shared.unlock(); },
     [](things& t) { t.shared.lock(); }},
    {"shared_mutex.lock_shared", [](things& t) { t.shared.lock_shared(); }},
    {"shared_mutex.try_lock_shared",
     [](things& t) { static_cast<void>(t.shared.try_lock_shared()); }},
    {"shared_mutex.try_lock_shared_for",
     [](things& t) { static_cast<void>(t.shared.try_lock_shared_for(1s)); }},
    {"shared_mutex.unlock_shared", [](things& t) { t.shared.unlock_shared(); },
     [](things& t) { t.shared.lock_shared(); }},
    {"condition_variable.notify_one", [](things& t) { t.changed.notify_one(); }},
    {"condition_variable.notify_all", [](things& t) { t.changed.notify_all(); }},
    {"semaphore.acquire", [](things& t) { t.permits.acquire(); }},
    {"semaphore.try_acquire", [](things& t) { static_cast<void>(t.permits.try_acquire()); }},
    {"semaphore.try_acquire_for",
     [](things& t) { static_cast<void>(t.permits.try_acquire_for(1s)); }},
    {"semaphore.release", [](things& t) { t.permits.release(); },
     [](things& t) { t.permits.acquire(); }},
    {"wait_group.add", [](things& t) { t.wg.add(); }},
    {"wait_group.done", [](things& t) { t.wg.done(); }, [](things& t) { t.wg.add(); }},
    {"wait_group.wait", [](things& t) { t.wg.wait(); }},
    {"latch.count_down", [](things& t) { t.open.count_down(); }},
    {"latch.try_wait", [](things& t) { static_cast<void>(t.open.try_wait()); }},
    {"latch.wait", [](things& t) { t.open.wait(); }, [](things& t) { t.open.count_down(); }},
    {"barrier.arrive", [](things& t) { static_cast<void>(t.phases.arrive()); }},
    {"once.call", [](things& t) { t.once.call([] {}); }},
    {"once.call when done", [](things& t) { t.once.call([] {}); },
     [](things& t) { t.once.call([] {}); }},
    {"atomic_wait", [](things& t) { skein::atomic_wait(t.number, 1); }},
    {"atomic_notify_all", [](things& t) { skein::atomic_notify_all(t.number); }},
    {"task.wait", [](things& t) { t.task.wait(); },
     [](things& t) { t.task = skein::spawn([] {}); }},
    {"cancel", [](things& t) { t.bound.cancel(); }},
    {"context.err", [](things& t) { static_cast<void>(t.bound.ctx.err()); }},
    {"context.cause", [](things& t) { static_cast<void>(t.bound.ctx.cause()); }},
    {"after_func", [](things& t) { static_cast<void>(skein::after_func(t.bound.ctx, [] {})); }},
    {"rate_limiter.limit", [](things& t) { static_cast<void>(t.rate.limit()); }},
    {"rate_limiter.burst", [](things& t) { static_cast<void>(t.rate.burst()); }},
    {"rate_limiter.tokens", [](things& t) { static_cast<void>(t.rate.tokens()); }},
    {"rate_limiter.set_limit", [](things& t) { t.rate.set_limit(2); }},
    {"rate_limiter.set_burst", [](things& t) { t.rate.set_burst(2); }},
    {"rate_limiter.allow", [](things& t) { static_cast<void>(t.rate.allow()); }},
    {"rate_limiter.reserve", [](things& t) { static_cast<void>(t.rate.reserve()); }},
    {"rate_limiter.wait", [](things& t) { static_cast<void>(t.rate.wait()); }},
    {"reservation.cancel", [](things& t) { t.reserved->cancel(); },
     [](things& t) { t.reserved = t.rate.reserve(); }},
    {"pool.get", [](things& t) { t.taken = t.spare.get(); }},
    {"pool.put", [](things& t) { t.taken.put(); }, [](things& t) { t.taken = t.spare.get(); }},
    {"pool.trim", [](things& t) { t.spare.trim(); }},
    {"map.load", [](things& t) { static_cast<void>(t.map.load(1)); }},
    {"map.store", [](things& t) { t.map.store(1, 1); }},
    {"map.erase", [](things& t) { t.map.erase(1); }},
    {"map.clear", [](things& t) { t.map.clear(); }},
    {"map.for_each", [](things& t) { t.map.for_each([](int, int) {}); }},
    {"timer.stop", [](things& t) { t.timer.stop(); }},
    {"timer.reset", [](things& t) { t.timer.reset(1ms); }},
    {"sleep_for", [](things&) { skein::sleep_for(0s); }},
    {"singleflight.call", [](things& t) { t.flights.call(1, [] { return 1; }); }},
    {"task_group.go", [](things& t) { t.group.go([] {}); }},
    {"task_group.wait", [](things& t) { t.group.wait(); }},
    {"wait_readable_for",
     [](things& t) { static_cast<void>(skein::wait_readable_for(t.fd.number(), 0s)); }},
    {"fake_fd.set_readable", [](things& t) { t.fd.set_readable(true); }},
};

// The first tells the second, which is no point once it has happened, and then calls. If that is no point either, the
// second always comes too late.
// covers: D4
TEST(points, each_operation_is_one) {
  for (const operation& o : operations) {
    SCOPED_TRACE(o.name);
    std::set<bool> called;
    skein::test::exhaust(
        [&] {
          things t;
          const chan<unit> told(1);
          std::atomic<bool> has_called = false;
          o.before(t);
          together([&] { told.send({}), o.call(t), has_called = true; },
                   [&] { told.recv(), called.insert(has_called); });
        },
        {.preemptions = 1});
    EXPECT_EQ(called, (std::set<bool>{false, true}));
  }
}

// An ending: the first tells the second between beginning and end, and what the second sees is true after the end.
struct ending {
  const char* name;
  void (*first)(things& t, const chan<unit>& told);
  bool (*is_over)(things& t);
};

constexpr ending endings[] = {
    {"mutex.unlock",
     [](things& t, const chan<unit>& told) { t.m.lock(), told.send({}), t.m.unlock(); },
     [](things& t) { return t.m.try_lock(); }},
    {"shared_mutex.unlock",
     [](things& t, const chan<unit>& told) { t.shared.lock(), told.send({}), t.shared.unlock(); },
     [](things& t) { return t.shared.try_lock_shared(); }},
    {"shared_mutex.unlock_shared",
     [](things& t, const chan<unit>& told) {
       t.shared.lock_shared(), told.send({}), t.shared.unlock_shared();
     },
     [](things& t) { return t.shared.try_lock(); }},
    {"condition_variable.wait",
     [](things& t, const chan<unit>& told) {
       std::unique_lock hold(t.m);
       told.send({}), static_cast<void>(t.changed.wait_for(hold, 1s));
     },
     [](things& t) { return t.m.try_lock() && (t.m.unlock(), true); }},
    {"semaphore.release",
     [](things& t, const chan<unit>& told) {
       t.permits.acquire(), told.send({}), t.permits.release();
     },
     [](things& t) { return t.permits.try_acquire(); }},
    {"latch.count_down",
     [](things& t, const chan<unit>& told) { told.send({}), t.open.count_down(); },
     [](things& t) { return t.open.try_wait(); }},
    {"once.call", [](things& t, const chan<unit>& told) { t.once.call([&] { told.send({}); }); },
     [](things& t) { return t.once.call_for(0s, [] {}); }},
    {"pool.put",
     [](things& t, const chan<unit>& told) {
       t.taken = t.spare.get(), told.send({}), t.taken.put();
     },
     [](things& t) { return static_cast<bool>(t.spare.try_get()); }},
    {"cancel", [](things& t, const chan<unit>& told) { told.send({}), t.bound.cancel(); },
     [](things& t) { return t.bound.ctx.cause() != nullptr; }},
    {"rate_limiter.set_burst",
     [](things& t, const chan<unit>& told) { told.send({}), t.rate.set_burst(2); },
     [](things& t) { return t.rate.burst() == 2; }},
    {"reservation.cancel",
     [](things& t, const chan<unit>& told) {
       skein::rate_limiter::reservation r = t.rate.reserve();
       told.send({}), r.cancel();
     },
     [](things& t) { return t.rate.allow(); }},
};

// covers: D4
TEST(points, others_meet_what_is_about_to_end) {
  for (const ending& e : endings) {
    SCOPED_TRACE(e.name);
    std::set<bool> over;
    skein::test::exhaust(
        [&] {
          things t;
          const chan<unit> told(1);
          together([&] { e.first(t, told); }, [&] { told.recv(), over.insert(e.is_over(t)); });
        },
        {.preemptions = 1});
    EXPECT_EQ(over, (std::set<bool>{false, true}));
  }
}

// covers: D4
TEST(points, the_completion_of_a_barrier_is_over_before_the_phase) {
  std::set<bool> next;
  skein::test::exhaust(
      [&] {
        const chan<unit> told(1);
        const auto tell = [&]() noexcept { static_cast<void>(told.try_send({})); };
        skein::barrier phases(2, tell);
        const auto arrived = phases.arrive();
        together([&] { static_cast<void>(phases.arrive()); },
                 [&] { told.recv(), next.insert(phases.wait_for(arrived, 0s)); });
      },
      {.preemptions = 1});
  EXPECT_EQ(next, (std::set<bool>{false, true}));
}

// covers: D4
TEST(points, the_function_of_a_task_is_over_before_the_task) {
  std::set<bool> over;
  skein::test::exhaust(
      [&] {
        const chan<unit> told(1);
        auto task = skein::spawn([&] { told.send({}); });
        told.recv();
        over.insert(task.wait_for(0s));
      },
      {.preemptions = 1});
  EXPECT_EQ(over, (std::set<bool>{false, true}));
}

// A visit that is one step sees what was in the map at one moment, and a clear() leaves all or nothing.
// covers: D4 Y7
TEST(points, others_come_between_two_keys_of_a_map) {
  std::set<bool> one_moment;
  skein::test::exhaust(
      [&] {
        skein::map<int, int> m;
        std::vector<int> order, seen;
        m.store(0, 0), m.store(1, 1);
        m.for_each([&](int key, int) { order.push_back(key); });
        together([&] { m.for_each([&](int key, int) { seen.push_back(key); }); },
                 [&] { m.erase(order[0]), m.erase(order[1]); });
        one_moment.insert(seen != std::vector{order[0]});
      },
      {.preemptions = 2});
  EXPECT_EQ(one_moment, (std::set<bool>{false, true}));
  std::set<bool> at_once;
  skein::test::exhaust(
      [&] {
        skein::map<int, int> m;
        for (int key = 0; key < 8; ++key) m.store(key, key);
        together([&] { m.clear(); },
                 [&] {
                   bool gone = false, back = false;
                   for (int key = 0; key < 8; ++key) m.contains(key) ? back |= gone : gone = true;
                   at_once.insert(!back);
                 });
      },
      {.preemptions = 1});
  EXPECT_EQ(at_once, (std::set<bool>{false, true}));
}

// A waiter that has let its mutex go is woken once, whoever comes in between.
// covers: D4 Y3
TEST(points, a_condition_variable_lets_its_mutex_go_in_one_step) {
  const auto all = skein::test::exhaust(
      [] {
        skein::mutex m;
        skein::condition_variable changed;
        bool done = false;
        together(
            [&] {
              std::unique_lock hold(m);
              while (!done) changed.wait(hold);
            },
            [&] {
              const std::lock_guard hold(m);
              done = true, changed.notify_all();
            },
            [&] { changed.notify_one(); });  // without the lock, at any moment
      },
      {.preemptions = 4});
  EXPECT_TRUE(all.complete);
}

// covers: D4
TEST(points, name_the_operation_its_object_and_the_place) {
  const auto what = everywhere::found([] {
    const chan<int> a(1);
    skein::mutex m;
    {
      const std::lock_guard hold(m);
      static_cast<void>(a.send_for(1, 1ms));
    }
    static_cast<void>(a.recv(skein::background()));
    skein::map<int, int> map;
    map.store(1, 1), map.for_each([](int, int) { throw std::runtime_error("enough"); });
  });
  ASSERT_TRUE(what.has_value());
  for (const char* part : {"mutex.unlock #", "chan.send #", "chan.recv #", "map.for_each #"}) {
    const std::size_t at = what->trace().find(part);
    ASSERT_NE(at, std::string::npos) << part << " is not in\n" << what->trace();
    const std::string line = what->trace().substr(at, what->trace().find('\n', at) - at);
    EXPECT_TRUE(everywhere::contains(line, "sim_points_test+0x")) << line;
  }
  EXPECT_FALSE(everywhere::contains(what->trace(), "select")) << what->trace();
}

}  // namespace
