// The standard's locks belong to a thread, and who waits for one blocks a thread.
#include <condition_variable>
#include <mutex>
#include <shared_mutex>
#include <system_error>

#include "pitfalls/stuck.hpp"
#include "skein/chan.hpp"
#include "skein/condition_variable.hpp"
#include "skein/mutex.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/wait_group.hpp"

namespace {

using everywhere::change_thread;
using pitfalls::expect_end;
using pitfalls::expect_stuck;
using pitfalls::may_block;
using pitfalls::one_processor;

// covers: G9
TEST(std_mutex, held_across_a_park_stops_those_who_could_unlock_it) {
  expect_stuck([] {
    std::mutex m;
    skein::go([&] {
      may_block();
      m.lock();  // blocks the thread, and no other runs goroutines
      m.unlock();
    });
    m.lock();
    skein::yield();
    m.unlock();
  });
}

// covers: G9
TEST(std_mutex, is_replaced_by_a_mutex_that_parks) {
  expect_end([] {
    skein::mutex m;
    skein::wait_group wg;
    wg.go([&] { const std::lock_guard hold(m); });
    m.lock();
    skein::yield();
    m.unlock();
    wg.wait();
  });
}

template <class Mutex, class Condition> void wait_for_a_job(void (*before)()) {
  Mutex m;
  Condition filled;
  int jobs = 0;
  skein::go([&] {
    const std::lock_guard hold(m);
    ++jobs;
    filled.notify_one();
  });
  std::unique_lock hold(m);
  before();
  filled.wait(hold, [&] { return jobs > 0; });
}

// covers: G9
TEST(std_condition_variable, blocks_the_thread_of_those_who_would_notify) {
  expect_stuck([] { wait_for_a_job<std::mutex, std::condition_variable>(&may_block); });
}

// covers: G9
TEST(std_condition_variable, is_replaced_by_one_that_parks) {
  expect_end([] { wait_for_a_job<skein::mutex, skein::condition_variable>([] {}); });
}

// covers: G9
TEST(std_recursive_mutex, lets_all_goroutines_of_a_thread_in) {
  if (everywhere::sanitized) GTEST_SKIP() << "it would say so";
  if (everywhere::migrating) GTEST_SKIP() << "no two goroutines would share a thread";
  skein::run(
      [] {
        std::recursive_mutex m;
        m.lock();
        skein::wait_group wg;
        wg.go([&] {
          EXPECT_TRUE(m.try_lock());  // held by another goroutine
          m.unlock();
        });
        wg.wait();
        change_thread();
        EXPECT_FALSE(m.try_lock());  // held by nobody else
      },
      one_processor());
}

// account: what is called with the lock held says so in its name and takes none.
class account {
 public:
  void add(int n) {
    const std::lock_guard hold(m_);
    add_locked(n);
  }
  void add_twice(int n) {
    const std::lock_guard hold(m_);
    add_locked(n);
    change_thread();
    add_locked(n);
  }
  int balance() const { return balance_; }

 private:
  void add_locked(int n) { balance_ += n; }

  skein::mutex m_;
  int balance_ = 0;
};

// covers: G9
TEST(std_recursive_mutex, is_replaced_by_functions_that_expect_the_lock) {
  skein::run([] {
    account a;
    a.add(1);
    a.add_twice(2);
    EXPECT_EQ(a.balance(), 5);
  });
}

// covers: G9
TEST(std_shared_mutex, takes_two_goroutines_for_one_that_deadlocks_itself) {
  if (everywhere::sanitized) GTEST_SKIP() << "it would say so";
  skein::run(
      [] {
        std::shared_mutex m;
        m.lock();
        skein::wait_group wg;
        wg.go([&] { EXPECT_THROW(m.lock(), std::system_error); });  // "resource deadlock"
        wg.wait();
        m.unlock();
      },
      one_processor());
}

// covers: G9
TEST(std_shared_mutex, is_replaced_by_one_that_parks) {
  skein::run(
      [] {
        skein::shared_mutex m;
        m.lock();
        skein::wait_group wg;
        wg.go([&] {
          m.lock();
          m.unlock();
        });
        skein::yield();
        m.unlock();
        wg.wait();
      },
      one_processor());
}

}  // namespace
