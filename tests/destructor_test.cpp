// Destructors that throw where nobody could catch end the process, with a report. Where somebody can:
// chan_throwing_test.cpp.
#include <csignal>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>

#include <gtest/gtest.h>

#include "skein/skein.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;

// bomb: the one that was armed throws when it is destroyed; its copies are harmless until they are moved to.
class bomb {
 public:
  bomb() = default;
  bomb(bomb&& o) noexcept : armed_(std::exchange(o.armed_, false)) {}
  bomb(const bomb&) = default;
  bomb& operator=(const bomb&) = default;
  ~bomb() noexcept(false) {
    if (armed_) throw std::runtime_error("out of a destructor");
  }
  bomb arm() && {
    armed_ = true;
    return std::move(*this);
  }
  void operator()() const {}

 private:
  bool armed_ = false;
};

void expect_end(const char* where, const std::function<void()>& body) {
  const auto end = everywhere::run_child([&] {
    alarm(20);
    skein::run(body, everywhere::with_procs(2));
  });
  EXPECT_EQ(end.signal, SIGABRT) << where << end.text;
  EXPECT_TRUE(everywhere::contains(end.text, "skein: fatal: ")) << where << end.text;
  EXPECT_TRUE(everywhere::contains(end.text, " in goroutine ")) << where << end.text;
}

// covers: R5
TEST(destructor, of_what_a_goroutine_captured_ends_the_process_when_it_throws) {
  expect_end("go", [] {
    skein::wait_group wg;
    wg.add(1);
    skein::go(bomb().arm());
    wg.wait();
  });
  expect_end("wait_group", [] {
    skein::wait_group wg;
    wg.go(bomb().arm());
    wg.wait();
  });
  expect_end("task_group", [] {
    skein::task_group g;
    g.go(bomb().arm());
    g.wait();
  });
  expect_end("spawn", [] { skein::spawn([b = bomb().arm()] {}).join(); });
}

// covers: R5
TEST(destructor, of_a_function_that_runs_later_ends_the_process_when_it_throws) {
  expect_end("timer", [] {
    skein::after_func(10us, bomb().arm());
    skein::sleep_for(1h);
  });
  expect_end("stopped timer", [] {
    auto f = skein::after_func(1h, bomb().arm());
    f.stop();
  });
  expect_end("handler", [] {
    const skein::any_case c(
        recv(skein::chan<int>(), [b = bomb().arm()](const std::optional<int>&) {}));
  });
  expect_end("once_func", [] { skein::once_func(bomb().arm())(); });
}

struct key {
  using type = bomb;
};

// covers: R5
TEST(destructor, of_a_value_that_is_kept_ends_the_process_when_it_throws) {
  expect_end("context", [] { skein::with_value<key>(skein::background(), bomb().arm()); });
  expect_end("local", [] {
    static const skein::local<bomb> value([] { return bomb().arm(); });
    skein::go([] { value.get(); });
    skein::sleep_for(1h);
  });
  expect_end("maker", [] { const skein::local<int> value([b = bomb().arm()] { return 1; }); });
  expect_end("singleflight", [] {
    skein::singleflight<int, bomb> flights;
    flights.call(1, [] { return bomb().arm(); });
  });
  expect_end("channel", [] {
    skein::chan<bomb> c(1);
    c.send(bomb().arm());
  });
}

}  // namespace
