// The all-asleep report: said when nothing can wake anybody. When it is not: internal_deadlock_test.cpp.
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include <unistd.h>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/debug.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/os/signal.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::contains;
using everywhere::os_pipe;
using everywhere::run_child;
using everywhere::with_procs;

constexpr std::string_view asleep = "all goroutines are asleep - deadlock!";

struct deadlock : ::testing::TestWithParam<int> {
  static everywhere::child_end child(const std::function<void()>& body) {
    return run_child([&] {
      alarm(20);  // a report that does not come is a failure, not a hang
      skein::run(body, with_procs(GetParam()));
    });
  }
  static everywhere::child_end expect_report(const std::function<void()>& body) {
    auto end = child(body);
    EXPECT_EQ(end.status, 2) << end.signal << end.text;
    EXPECT_TRUE(contains(end.text, asleep)) << end.text;
    return end;
  }
};
INSTANTIATE_TEST_SUITE_P(procs, deadlock, ::testing::Values(1, 2, 4, 8));

// covers: D2
TEST_P(deadlock, of_main_alone_is_reported) {
  expect_report([] { skein::chan<int>().recv(); });
  expect_report([] { skein::chan<int>(skein::nil).send(1); });
  expect_report([] { skein::select(); });
  expect_report([] {
    skein::mutex m;
    m.lock();
    m.lock();
  });
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++n;
  return n;
}

// covers: D2
TEST_P(deadlock, has_a_line_for_each_goroutine_and_its_reason) {
  const auto end = expect_report([] {
    skein::chan<int> c;
    skein::mutex m;
    m.lock();
    skein::go([&] { m.lock(); });
    skein::go([&] { c.send(1), c.send(2), c.send(3); });
    skein::go([&] { skein::select(recv(skein::receiver<int>(skein::nil))); });
    skein::wait_group wg;
    wg.add();
    c.recv();
    c.recv();
    wg.wait();
  });
  EXPECT_EQ(count(end.text, "\ngoroutine "), 4u) << end.text;
  EXPECT_EQ(count(end.text, "created by"), 4u) << end.text;
  EXPECT_TRUE(contains(end.text, "mutex")) << end.text;
  EXPECT_TRUE(contains(end.text, "send")) << end.text;
  EXPECT_TRUE(contains(end.text, "select")) << end.text;
}

// covers: D2 S1
TEST_P(deadlock, after_much_work_is_reported) {
  expect_report([] {
    skein::wait_group wg;
    for (int i = 0; i < 1000; ++i)
      wg.go([] {
        skein::yield();
        skein::sleep_for(1us);
      });
    wg.wait();
    skein::chan<int>().recv();
  });
}

// covers: D2 G4
TEST_P(deadlock, without_goroutines_after_main_left_is_reported) {
  const auto end = child([] {
    skein::go([] { skein::yield(); });
    skein::exit_goroutine();
  });
  EXPECT_EQ(end.status, 2) << end.text;
  EXPECT_TRUE(contains(end.text, "no goroutines")) << end.text;
  EXPECT_TRUE(contains(end.text, "deadlock")) << end.text;
}

// covers: D2 R4
TEST_P(deadlock, with_every_other_thread_waiting_in_skein_is_reported) {
  expect_report([] {
    skein::chan<int> c;
    std::thread waits([&] { c.recv(); });
    skein::chan<int>().recv();
    waits.join();
  });
}

// covers: D2
TEST_P(deadlock, with_a_thread_declared_harmless_is_reported) {
  expect_report([] {
    const os_pipe p;
    std::thread harmless([&] {
      const skein::debug::foreign_idle scope;
      p.take();
    });
    skein::chan<int>().recv();
    harmless.join();
  });
}

// covers: D2 R3
TEST_P(deadlock, of_two_runtimes_that_wait_for_each_other_is_reported) {
  const auto end = run_child([] {
    alarm(20);
    skein::runtime one(with_procs(GetParam()));
    skein::runtime two(with_procs(GetParam()));
    skein::chan<int> c;
    one.go([&] { c.recv(); });
    two.run([&] { c.recv(); });
  });
  EXPECT_EQ(end.status, 2) << end.signal << end.text;
  EXPECT_TRUE(contains(end.text, asleep)) << end.text;
}

}  // namespace
