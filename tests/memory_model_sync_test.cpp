// Which steps of a program come before which: shared mutexes, condition variables, semaphores, barriers,
// latches, waits on atomics, pools, maps and singleflights (Y12).
#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>

#include "skein/atomic_wait.hpp"
#include "skein/barrier.hpp"
#include "skein/condition_variable.hpp"
#include "skein/go.hpp"
#include "skein/latch.hpp"
#include "skein/map.hpp"
#include "skein/mutex.hpp"
#include "skein/pool.hpp"
#include "skein/semaphore.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/singleflight.hpp"
#include "support/memory_model.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::flag;
using everywhere::stay;
using skein::go;

struct shared : everywhere::steps {
  flag other;
  skein::shared_mutex rw;
  skein::mutex m;
  skein::condition_variable cv;
  skein::semaphore sem{2};
  skein::barrier<> both{2};
  skein::latch two{2};
  std::atomic<int> level{0};
  skein::pool<int> spare;
  skein::map<int, int> table;
  skein::singleflight<int, void> flights;

  void give_readers_slots() {
    for (int i = 0; i < 3000; ++i) std::shared_lock hold(rw);
  }
  // An execution that ends once somebody else has parked, to share it.
  void fly() {
    flights.call(1, [&] {
      const auto before = skein::stats().parks;
      other.raise();
      while (skein::stats().parks == before) skein::yield();
      if (!touched.is_up()) write();
    });
  }
};
using program = everywhere::program<shared>;

const program ordered[] = {
    {"a_writers_unlock_before_the_next_reader", [](shared& s) {
       go([&] {
         s.rw.lock(), s.write_and_say_so(), s.rw.unlock();
         stay();
       });
       s.touched.await();
       const std::shared_lock hold(s.rw);
       s.read();
     }},
    {"a_writers_unlock_before_the_next_writer", [](shared& s) {
       go([&] {
         s.rw.lock(), s.write_and_say_so(), s.rw.unlock();
         stay();
       });
       s.touched.await();
       while (!s.rw.try_lock()) skein::yield();
       s.read();
     }},
    {"a_readers_unlock_before_the_next_writer", [](shared& s) {
       go([&] {
         s.rw.lock_shared(), s.write_and_say_so(), s.rw.unlock_shared();
         stay();
       });
       s.touched.await();
       const std::lock_guard hold(s.rw);
       s.read();
     }},
    {"an_unlock_of_a_reader_in_its_slot_before_the_next_writer", [](shared& s) {
       s.give_readers_slots();
       go([&] {
         s.rw.lock_shared(), s.write_and_say_so(), s.rw.unlock_shared();
         stay();
       });
       s.touched.await();
       const std::lock_guard hold(s.rw);
       s.read();
     }},
    {"a_notify_before_the_wait_that_it_ends", [](shared& s) {
       std::unique_lock hold(s.m);
       go([&] {
         s.write();
         for (; !s.touched.is_up(); skein::yield()) s.cv.notify_one();
         stay();
       });
       s.cv.wait(hold);
       s.read();
       s.touched.raise();
     }},
    {"a_release_before_the_acquire_that_it_makes_possible", [](shared& s) {
       s.sem.acquire(2);
       go([&] { s.write(), s.sem.release(), stay(); });
       s.sem.acquire();
       s.read();
     }},
    {"a_release_before_the_try_acquire_that_did", [](shared& s) {
       s.sem.acquire(2);
       go([&] { s.write(), s.sem.release(), stay(); });
       while (!s.sem.try_acquire()) skein::yield();
       s.read();
     }},
    {"an_arrival_before_the_end_of_its_phase", [](shared& s) {
       go([&] { s.write(), static_cast<void>(s.both.arrive()), stay(); });
       s.both.arrive_and_wait();
       s.read();
     }},
    {"an_arrival_before_the_completion", [](shared& s) {
       skein::barrier b(2, [&]() noexcept { s.read(); });
       go([&] {
         s.write(), static_cast<void>(b.arrive()), s.touched.raise();
         stay();
       });
       s.touched.await();
       b.arrive_and_wait();
     }},
    {"a_completion_before_the_end_of_its_phase", [](shared& s) {
       skein::barrier b(2, [&]() noexcept { s.write(); });
       const auto t = b.arrive();
       go([&] { static_cast<void>(b.arrive()), stay(); });
       b.wait(t);
       s.read();
     }},
    {"a_count_down_before_wait_ends", [](shared& s) {
       go([&] { s.write(), s.two.count_down(), stay(); });
       s.two.arrive_and_wait();
       s.read();
     }},
    {"a_count_down_before_the_try_wait_that_tells", [](shared& s) {
       go([&] { s.write(), s.two.count_down(2), stay(); });
       while (!s.two.try_wait()) skein::yield();
       s.read();
     }},
    {"a_store_before_the_atomic_wait_that_sees_it", [](shared& s) {
       go([&] { s.write(), s.level = 1, skein::atomic_notify_all(s.level), stay(); });
       skein::atomic_wait(s.level, 0);
       s.read();
     }},
    {"a_put_before_the_get_that_hands_the_object_out", [](shared& s) {
       go([&] {
         auto mine = s.spare.get();
         s.write(), mine.put();
         stay();
       });
       while (!s.spare.try_get()) skein::yield();
       s.read();
     }},
    {"a_store_in_a_map_before_the_load_that_sees_it", [](shared& s) {
       go([&] { s.write(), s.table.store(1, 1), stay(); });
       while (!s.table.load(1)) skein::yield();
       s.read();
     }},
    {"an_erase_from_a_map_before_the_load_that_misses", [](shared& s) {
       s.table.store(1, 1);
       go([&] { s.write(), s.table.erase(1), stay(); });
       while (s.table.contains(1)) skein::yield();
       s.read();
     }},
    {"a_shared_execution_before_the_calls_that_share_it", [](shared& s) {
       go([&] { s.fly(), stay(); });
       s.other.await();
       s.flights.call(1, [] {});
       s.read();
     }},
};

const program unordered[] = {
    {"two_readers_do_not_order_each_other", [](shared& s) {
       go([&] {
         s.rw.lock_shared(), s.write(), s.rw.unlock_shared(), s.touched.raise();
         stay();
       });
       s.touched.await();
       const std::shared_lock hold(s.rw);
       s.read();
     }},
    {"two_readers_in_their_slots_do_not_order_each_other", [](shared& s) {
       s.give_readers_slots();
       go([&] {
         s.rw.lock_shared(), s.write(), s.rw.unlock_shared(), s.touched.raise();
         stay();
       });
       s.touched.await();
       const std::shared_lock hold(s.rw);
       s.read();
     }},
    {"a_try_lock_shared_that_failed_orders_nothing", [](shared& s) {
       go([&] { s.rw.lock(), s.write_and_say_so(), stay(); });
       s.touched.await();
       static_cast<void>(s.rw.try_lock_shared());
       s.read();
     }},
    {"a_try_lock_that_failed_orders_nothing_between_readers", [](shared& s) {
       s.rw.lock_shared();
       go([&] {
         s.rw.lock_shared(), s.write(), s.rw.unlock_shared(), s.touched.raise();
         stay();
       });
       s.touched.await();
       static_cast<void>(s.rw.try_lock());
       s.read();
     }},
    {"what_follows_a_notify_is_not_before_the_wait_that_it_ends", [](shared& s) {
       std::unique_lock hold(s.m);
       go([&] {
         for (; !s.other.is_up(); skein::yield()) s.cv.notify_one();
         s.write_and_say_so(), stay();
       });
       s.cv.wait(hold);
       s.other.raise();
       s.read_when_told();
     }},
    {"a_notify_is_not_before_a_wait_that_gave_up", [](shared& s) {
       go([&] { s.write(), s.cv.notify_all(), s.touched.raise(), stay(); });
       s.touched.await();
       std::unique_lock hold(s.m);
       s.cv.wait_for(hold, 1us);
       s.read();
     }},
    {"a_try_acquire_that_failed_orders_nothing", [](shared& s) {
       s.sem.acquire(2);
       go([&] { s.write(), s.sem.release(), s.touched.raise(), stay(); });
       s.touched.await();
       static_cast<void>(s.sem.try_acquire(2));
       s.read();
     }},
    {"an_acquire_that_gave_up_orders_nothing", [](shared& s) {
       s.sem.acquire(2);
       go([&] { s.write(), s.sem.release(), s.touched.raise(), stay(); });
       s.touched.await();
       static_cast<void>(s.sem.try_acquire_for(1us, 2));
       s.read();
     }},
    {"two_acquires_do_not_order_each_other", [](shared& s) {
       go([&] { s.write(), s.sem.acquire(), s.touched.raise(), stay(); });
       s.touched.await();
       s.sem.acquire();
       s.read();
     }},
    {"two_arrivals_do_not_order_each_other", [](shared& s) {
       skein::barrier b(3);
       go([&] {
         s.write(), static_cast<void>(b.arrive()), s.touched.raise();
         stay();
       });
       s.touched.await();
       static_cast<void>(b.arrive());
       s.read();
     }},
    {"a_wait_at_a_barrier_that_gave_up_orders_nothing", [](shared& s) {
       skein::barrier b(3);
       go([&] {
         s.write(), static_cast<void>(b.arrive()), s.touched.raise();
         stay();
       });
       s.touched.await();
       b.wait_for(b.arrive(), 1us);
       s.read();
     }},
    {"what_follows_an_arrival_is_not_before_the_end_of_its_phase", [](shared& s) {
       go([&] {
         static_cast<void>(s.both.arrive()), s.write_and_say_so();
         stay();
       });
       s.both.arrive_and_wait();
       s.read_when_told();
     }},
    {"a_try_wait_that_says_no_orders_nothing", [](shared& s) {
       go([&] { s.write(), s.two.count_down(), s.touched.raise(), stay(); });
       s.touched.await();
       static_cast<void>(s.two.try_wait());
       s.read();
     }},
    {"a_wait_at_a_latch_that_gave_up_orders_nothing", [](shared& s) {
       go([&] { s.write(), s.two.count_down(), s.touched.raise(), stay(); });
       s.touched.await();
       s.two.wait_for(1us);
       s.read();
     }},
    {"an_atomic_wait_orders_no_more_than_its_loads", [](shared& s) {
       go([&] {
         s.write(), s.level.store(1, std::memory_order_relaxed), skein::atomic_notify_all(s.level);
         stay();
       });
       skein::atomic_wait(s.level, 0, std::memory_order_relaxed);
       s.read();
     }},
    {"two_gets_from_a_pool_do_not_order_each_other", [](shared& s) {
       s.spare.put(1), s.spare.put(2);
       go([&] {
         s.write();
         const auto mine = s.spare.get();
         s.touched.raise(), stay();
       });
       s.touched.await();
       const auto mine = s.spare.get();
       s.read();
     }},
    {"two_loads_from_a_map_do_not_order_each_other", [](shared& s) {
       s.table.store(1, 1);
       go([&] { s.write(), s.table.load(1), s.touched.raise(), stay(); });
       s.touched.await();
       s.table.load(1);
       s.read();
     }},
    {"what_follows_a_store_in_a_map_is_not_before_the_load_that_sees_it", [](shared& s) {
       go([&] { s.table.store(1, 1), s.write_and_say_so(), stay(); });
       while (!s.table.load(1)) skein::yield();
       s.read_when_told();
     }},
    {"what_follows_a_shared_execution_is_not_before_the_calls_that_share_it", [](shared& s) {
       s.touched.raise();  // fly() shall not write
       flag written;
       go([&] { s.fly(), s.write(), written.raise(), stay(); });
       s.other.await();
       s.flights.call(1, [] {});
       written.await();
       s.read();
     }},
};

struct memory_model_of_sync : ::testing::TestWithParam<program> {};
INSTANTIATE_TEST_SUITE_P(ordered, memory_model_of_sync, ::testing::ValuesIn(ordered), everywhere::name_of<shared>);
// covers: Y12
TEST_P(memory_model_of_sync, has_this_edge) { everywhere::expect_order(GetParam()); }

struct race_of_sync : ::testing::TestWithParam<program> {};
INSTANTIATE_TEST_SUITE_P(unordered, race_of_sync, ::testing::ValuesIn(unordered), everywhere::name_of<shared>);
// covers: Y12
TEST_P(race_of_sync, is_seen) { everywhere::expect_race(GetParam()); }

}  // namespace
