// Ends that are fatal: uncaught exceptions, use in the child of a fork. The texts: golden_test.cpp.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <unistd.h>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/task_group.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::child_end;
using everywhere::contains;
using everywhere::require;
using everywhere::run_child;
using everywhere::with_procs;

struct own_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct says_unwound {
  ~says_unwound() {
    if (std::uncaught_exceptions() != 0) [[maybe_unused]] const auto n = write(STDERR_FILENO, "unwound\n", 8);
  }
};

[[gnu::noinline]] void throws_deep_down() {
  const says_unwound here;
  throw own_error("the reason");
}

void expect_panic(const child_end& end) {
  EXPECT_EQ(end.signal, SIGABRT) << end.text;
  EXPECT_TRUE(contains(end.text, "own_error")) << end.text;
  EXPECT_TRUE(contains(end.text, "the reason")) << end.text;
  EXPECT_TRUE(contains(end.text, "created by")) << end.text;
  EXPECT_TRUE(contains(end.text, "stack:")) << end.text;
  EXPECT_FALSE(contains(end.text, "unwound")) << end.text;
}

struct uncaught_exception : ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(procs, uncaught_exception, ::testing::Values(1, 2, 4, 8));

// covers: R5
TEST_P(uncaught_exception, aborts_with_its_type_message_and_origin_and_the_stack_in_place) {
  expect_panic(run_child([] {
    skein::run(
        [] {
          skein::chan<int> c;
          skein::go([] {
            const says_unwound outer;
            throws_deep_down();
          });
          c.recv();
        },
        with_procs(GetParam()));
  }));
}

// covers: R5
TEST_P(uncaught_exception, aborts_after_a_park_as_well) {
  expect_panic(run_child([] {
    skein::run(
        [] {
          skein::chan<int> c;
          skein::go([&] {
            const says_unwound outer;
            try {
              c.recv();
              throws_deep_down();
            } catch (const std::logic_error&) {  // another one
            }
          });
          c.send(1);
          c.send(2);
        },
        with_procs(GetParam()));
  }));
}

// covers: R5 Y4
TEST(uncaught, in_a_wait_group_is_not_caught_on_the_way) {
  expect_panic(run_child([] {
    skein::run([] {
      skein::wait_group wg;
      wg.go(&throws_deep_down);
      wg.wait();
    });
  }));
}

// covers: R5 T1
TEST(uncaught, in_a_timer_function_ends_the_process) {
  expect_panic(run_child([] {
    skein::run([] {
      auto f = skein::after_func(std::chrono::nanoseconds(0), &throws_deep_down);
      skein::chan<int>().recv();
    });
  }));
}

// covers: R5
TEST(uncaught, exception_in_a_noexcept_function_of_a_task_ends_the_process) {
  const auto end = run_child([] {
    skein::run([] {
      auto t = skein::spawn([]() noexcept { throws_deep_down(); });
      t.join();
    });
  });
  EXPECT_EQ(end.signal, SIGABRT);
  EXPECT_TRUE(contains(end.text, "own_error")) << end.text;
}

// covers: R5 G2
TEST(uncaught, exception_of_a_task_goes_to_whoever_joins) {
  skein::run([] {
    auto t = skein::spawn(&throws_deep_down);
    EXPECT_THROW(t.join(), own_error);
  });
}

// covers: R5
TEST(uncaught, exception_on_a_plain_thread_goes_to_the_earlier_terminate_handler) {
  const auto end = run_child([] {
    std::set_terminate([] { _exit(7); });
    skein::run([] {});
    []() noexcept { throws_deep_down(); }();
  });
  EXPECT_EQ(end.status, 7) << end.text;
}

// forked_uses: what the child of a fork may try.
struct forked_use {
  const char* name;
  void (*use)(const skein::chan<int>&);
};
const forked_use forked_uses[] = {
    {"run", [](const skein::chan<int>&) { skein::run([] {}); }},
    {"runtime", [](const skein::chan<int>&) { const skein::runtime r; }},
    {"go", [](const skein::chan<int>&) { skein::go([] {}); }},
    {"spawn", [](const skein::chan<int>&) { skein::spawn([] {}).join(); }},
    {"send", [](const skein::chan<int>& c) { c.send(1); }},
    {"recv", [](const skein::chan<int>& c) { c.recv(); }},
    {"try_recv", [](const skein::chan<int>& c) { static_cast<void>(c.try_recv()); }},
    {"select", [](const skein::chan<int>& c) { skein::select(recv(c)); }},
    {"try_select", [](const skein::chan<int>& c) { skein::try_select(recv(c)); }},
    {"close", [](const skein::chan<int>& c) { c.close(); }},
    {"sleep", [](const skein::chan<int>&) { skein::sleep_for(std::chrono::nanoseconds(1)); }},
    {"wait_group", [](const skein::chan<int>&) { skein::wait_group().wait(); }},
    {"mutex", [](const skein::chan<int>&) { skein::mutex().lock(); }},
};

void expect_refusal(const child_end& end) {
  EXPECT_EQ(end.signal, SIGABRT) << end.text;
  EXPECT_TRUE(contains(end.text, "skein: fatal")) << end.text;
  EXPECT_TRUE(contains(end.text, "fork")) << end.text;
}

struct fork_child : ::testing::TestWithParam<forked_use> {};
INSTANTIATE_TEST_SUITE_P(tries, fork_child, ::testing::ValuesIn(forked_uses),
                         [](const auto& kind) { return std::string(kind.param.name); });

// covers: R6
TEST_P(fork_child, of_a_plain_thread_is_refused) {
  const skein::runtime r(with_procs(2));
  const skein::chan<int> c(1);
  expect_refusal(run_child([&] { GetParam().use(c); }));
  c.send(1);  // the parent is not concerned
  EXPECT_EQ(c.recv(), 1);
}

// covers: R6
TEST_P(fork_child, of_a_goroutine_is_refused) {
  if (std::string_view(GetParam().name) == "run") GTEST_SKIP() << "misuse on any goroutine";
  skein::run(
      [] {
        const skein::chan<int> c(1);
        expect_refusal(run_child([&] { GetParam().use(c); }));
        EXPECT_EQ(skein::spawn([c] { return c.send(1), 2; }).join(), 2);
        EXPECT_EQ(c.recv(), 1);
      },
      with_procs(2));
}

// In a child forked by a goroutine the thread that owned the test's objects does not exist, so the
// leak detector takes them for leaks; it asks here whether to look at all.
bool forked_by_a_goroutine = false;

// covers: R6
TEST(fork, a_child_may_exit_and_its_destructors_do_nothing) {
  auto r = std::make_unique<skein::runtime>(with_procs(2));
  auto t = skein::spawn([] { return 1; });
  const auto end = run_child([&] {
    r.reset();
    std::exit(5);  // runs the handlers of exit as well
  });
  EXPECT_EQ(end.status, 5) << end.text;
  EXPECT_EQ(t.join(), 1);
  skein::run([] {
    const auto inner = run_child([] {
      skein::chan<int> unused(1);
      forked_by_a_goroutine = true;
      std::exit(6);
    });
    EXPECT_EQ(inner.status, 6) << inner.text;
  });
}

// covers: R6
TEST(fork, a_child_may_exec) {
  skein::run([] {
    const auto end = run_child([] {
      execl("/bin/sh", "sh", "-c", "exit 4", static_cast<char*>(nullptr));
    });
    EXPECT_EQ(end.status, 4) << end.text;
  });
}

// covers: R6
TEST(fork, before_skein_is_used_is_free) {
  // In a child of its own, since other tests of this process may have used skein.
  const auto end = run_child([] {
    const auto inner = run_child([] { require(skein::run([] { return 3; }) == 3, "run"); });
    require(inner.status == 0, inner.text);
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

}  // namespace

extern "C" [[gnu::used]] int __lsan_is_turned_off() { return forked_by_a_goroutine; }
