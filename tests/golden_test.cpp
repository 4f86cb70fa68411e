// What a program says when it ends badly or is refused: each text as a whole, so that a change of
// wording is seen. What differs from run to run stands as <...>.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <regex>
#include <stdexcept>
#include <string>
#include <utility>

#include <unistd.h>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace golden {

struct own_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace golden

namespace {

using namespace skein::literals;
using everywhere::dig;
using everywhere::os_pipe;
using everywhere::with_procs;

// golden_text() puts <n> for the numbers of goroutines, <site> for where they were created and <frames>
// for stacks.
std::string golden_text(std::string text) {
  const std::pair<const char*, const char*> changing[] = {{"goroutine [0-9]+\\.[0-9]+", "goroutine <n>"},
                                                          {"created by [^\n]*", "created by <site>"},
                                                          {"  stack:\n([^ \n][^\n]*\n)+", "  stack:\n<frames>\n"}};
  for (const auto& [what, stands_for] : changing) text = std::regex_replace(text, std::regex(what), stands_for);
  return text;
}

struct bad_end {
  const char* name;
  int status;  // a signal's number below zero
  const char* text;
  void (*program)();
  bool not_sanitized = false;  // a sanitizer's frames are larger, and it needs terabytes
};

void PrintTo(const bad_end& e, std::ostream* to) { *to << e.name; }

// On one processor, where what happens first happens first.
void run(const std::function<void()>& f, skein::options o = {}) {
  o.procs = 1;
  skein::run(f, o);
}

void start_and_wait(const std::function<void()>& f) {
  skein::wait_group wg;
  wg.go(f);
  wg.wait();
}

void throw_own_error() { throw golden::own_error("the reason"); }

void with_variable(const char* name, const char* value) {
  setenv(name, value, 1);
  skein::run([] {});
}

void beside_the_only_guard(void (*f)()) {
  setenv("SKEIN_GUARDS", "mprotect:1", 1);
  run([f] {
    skein::go(f);
    skein::chan<int>().recv();
  });
}

void use_up_the_address_space() {
  everywhere::limit_address_space(300'000'000);
  run([] {
    skein::chan<int> never;
    for (int i = 0; i < 2000; ++i) skein::go([&] { never.recv(); });
    never.recv();
  });
}

void block_more_threads_than_allowed() {
  const os_pipe p;
  skein::options o;
  o.max_threads = 3;
  run([&] {
    for (int i = 0; i < 4; ++i) skein::go([&] { skein::blocking([&] { return p.take(); }); });
    skein::chan<int>().recv();
  }, o);
}

// The dump has a line for each.
void wait_for_each_other() {
  run([] {
    skein::mutex m;
    m.lock();
    skein::go([&] { m.lock(); });
    skein::chan<int> c;
    skein::go([&] { c.send(1); });
    skein::go([] { skein::select(); });
    while (skein::stats().parks < 3) skein::yield();
    skein::chan<int>(skein::nil).recv();
  });
}

void use_in_a_fork_child() {
  const skein::runtime r;
  const auto end = everywhere::run_child([] { skein::chan<int>().send(1); });
  throw std::runtime_error(end.text.substr(0, end.text.find('\n')));
}

void attachment_outlives_its_runtime() {
  std::optional<skein::runtime> r;
  r.emplace(with_procs(1));
  const skein::runtime::attachment a(*r);
  r.reset();
  const skein::runtime other(with_procs(1));
  skein::go([] {});
}

void task_outlives_its_runtime() {
  std::optional<skein::task<int>> t;
  run([&] {
    skein::chan<int> never;
    t.emplace(skein::spawn([&] { return never.recv().value(); }));
  });
  t->join();
}

void runtime_ended_by_its_own_goroutine() {
  auto r = std::make_unique<skein::runtime>(with_procs(1));
  r->run([&] { r.reset(); });
}

skein::options options_where(const std::function<void(skein::options&)>& set) {
  skein::options o;
  set(o);
  return o;
}

constexpr int aborted = -SIGABRT;
constexpr int threw = 99;  // the text is the exception's

const bad_end ends[] = {
    {"overflow", aborted,
     "skein: fatal: stack overflow in goroutine <n>\n"
     "  stack: 192 KiB usable of a reservation of 256 KiB\n"
     "  a larger one: go({.stack = 1_MiB}, f), options.stack for all, on_system_stack(f) for one call\n"
     "  created by <site>\n",
     [] { run([] { start_and_wait([] { dig(1_MiB); }); }); }},
    {"overflow_found_at_a_park", aborted,
     "skein: fatal: stack overflow in goroutine <n>\n"
     "  stack: 192 KiB usable of a reservation of 256 KiB, not guarded: found by its canary, late\n"
     "  a larger one: go({.stack = 1_MiB}, f), options.stack for all, on_system_stack(f) for one call\n"
     "  created by <site>\n",
     [] { beside_the_only_guard([] { dig(200_KiB), skein::yield(); }); }, true},
    {"overflow_found_at_the_end", aborted,
     "skein: fatal: stack overflow in goroutine <n>\n"
     "  stack: 192 KiB usable of a reservation of 256 KiB, not guarded: found by its canary, late\n"
     "  a larger one: go({.stack = 1_MiB}, f), options.stack for all, on_system_stack(f) for one call\n"
     "  created by <site>\n",
     [] { beside_the_only_guard([] { dig(200_KiB); }); }, true},
    {"uncaught_exception", aborted,
     "skein: fatal: uncaught exception in goroutine <n>: golden::own_error\n"
     "  what(): the reason\n"
     "  created by <site>\n"
     "  stack:\n"
     "<frames>\n",
     [] { run([] { start_and_wait(&throw_own_error); }); }},
    {"uncaught_exception_of_another_kind", aborted,
     "skein: fatal: uncaught exception in goroutine <n>: int\n"
     "  created by <site>\n"
     "  stack:\n"
     "<frames>\n",
     [] { run([] { start_and_wait([] { throw 42; }); }); }},
    {"terminate", aborted,
     "skein: fatal: terminate called in goroutine <n>\n"
     "  created by <site>\n"
     "  stack:\n"
     "<frames>\n",
     [] { run([] { start_and_wait([] { std::terminate(); }); }); }},
    {"uncaught_exception_of_a_start_hook", aborted,
     "skein: fatal: uncaught exception in options.on_thread_start: golden::own_error\n"
     "  what(): the reason\n"
     "  stack:\n"
     "<frames>\n",
     [] { run([] {}, options_where([](auto& o) { o.on_thread_start = &throw_own_error; })); }},
    {"uncaught_exception_of_a_stop_hook", aborted,
     "skein: fatal: uncaught exception in options.on_thread_stop: golden::own_error\n"
     "  what(): the reason\n"
     "  stack:\n"
     "<frames>\n",
     [] { run([] {}, options_where([](auto& o) { o.on_thread_stop = &throw_own_error; })); }},
    {"exit_goroutine_that_meets_noexcept", aborted,
     "skein: fatal: exit_goroutine() met a noexcept function on its way out, in goroutine <n>\n"
     "  created by <site>\n"
     "  stack:\n"
     "<frames>\n",
     [] { run([] { start_and_wait([]() noexcept { skein::exit_goroutine(); }); }); }},
    {"exit_goroutine_that_is_swallowed", aborted,
     "skein: fatal: exit_goroutine() was swallowed by a catch (...), which has to rethrow it, in goroutine <n>\n"
     "  created by <site>\n"
     "  stack:\n"
     "<frames>\n",
     [] {
       run([] {
         start_and_wait([] {
           try {
             skein::exit_goroutine();
           } catch (...) {
           }
         });
       });
     }},
    {"all_asleep", 2,
     "fatal error: all goroutines are asleep - deadlock!\n\n"
     "goroutine <n> [nil chan]:\n\tcreated by <site>\n"
     "goroutine <n> [select (no cases)]:\n\tcreated by <site>\n"
     "goroutine <n> [chan send]:\n\tcreated by <site>\n"
     "goroutine <n> [mutex lock]:\n\tcreated by <site>\n",
     &wait_for_each_other},
    {"nobody_left", 2, "fatal error: no goroutines are left, and every thread waits - deadlock!\n",
     [] { run([] { skein::exit_goroutine(); }); }},
    {"too_many_threads", aborted,
     "skein: fatal: options.max_threads (3) reached: so many goroutines block their threads at once; "
     "raise it, or let fewer block\n",
     &block_more_threads_than_allowed},
    {"address_space_used_up", aborted,
     "skein: fatal: out of address space or memory for goroutine stacks; see options.stack and ulimit -v\n",
     &use_up_the_address_space, true},
    {"used_in_a_fork_child", threw,
     "skein: fatal: used in a fork child: its workers are in the parent; call exec, or fork before skein starts\n",
     &use_in_a_fork_child},
    {"go_without_a_runtime", threw,
     "skein: no runtime to use: none exists, or several; call this inside skein::run(), or attach the thread\n",
     [] {
       run([] {});
       skein::go([] {});
     }},
    {"go_attached_to_an_ended_runtime", threw, "skein: the runtime that this thread is attached to has ended\n",
     &attachment_outlives_its_runtime},
    {"join_after_the_runtime", threw, "skein: no result, because the runtime ended before the task did\n",
     &task_outlives_its_runtime},
    {"runtime_destroyed_by_its_own_goroutine", aborted,
     "skein: fatal: a runtime was destroyed by one of its own goroutines, for whose end its destructor waits; "
     "let another thread destroy it\n",
     &runtime_ended_by_its_own_goroutine},
    {"bad_procs", threw, "skein: SKEIN_PROCS=many: expected a number from 1 to 1024\n",
     [] { with_variable("SKEIN_PROCS", "many"); }},
    {"bad_guards", threw,
     "skein: SKEIN_GUARDS=none: expected markers, mprotect, or mprotect:N with N from 1 to 1000000\n",
     [] { with_variable("SKEIN_GUARDS", "none"); }},
    {"bad_verbose", threw, "skein: SKEIN_VERBOSE=loud: expected 0 or 1\n",
     [] { with_variable("SKEIN_VERBOSE", "loud"); }},
    {"bad_options_procs", threw, "skein: options.procs must be 0 (default) or 1 to 1024\n",
     [] { skein::run([] {}, with_procs(-1)); }},
    {"bad_options_stack", threw, "skein: options.stack must be at most 8 MiB\n",
     [] { run([] {}, options_where([](auto& o) { o.stack = 9_MiB; })); }},
    {"bad_options_max_threads", threw, "skein: options.max_threads must be greater than procs\n",
     [] { run([] {}, options_where([](auto& o) { o.max_threads = 1; })); }},
    {"bad_options_max_hogs", threw, "skein: options.max_hogs must be a number of goroutines, or -1\n",
     [] { run([] {}, options_where([](auto& o) { o.max_hogs = -2; })); }},
};

struct golden_end : ::testing::TestWithParam<bad_end> {};
INSTANTIATE_TEST_SUITE_P(text, golden_end, ::testing::ValuesIn(ends),
                         [](const auto& tested) { return std::string(tested.param.name); });

// covers: R4 R5 R6 R7 R8 G4 G6 S3 D2
TEST_P(golden_end, says_what_happened_where_and_what_to_do) {
  const bad_end& expected = GetParam();
  if (expected.not_sanitized && everywhere::sanitized)
    GTEST_SKIP() << "a sanitizer's frames are larger, and it needs terabytes";
  const auto end = everywhere::run_child([&] {
    alarm(20);  // one that does not come is a failure, not a hang
    expected.program();
  });
  EXPECT_EQ(end.signal != 0 ? -end.signal : end.status, expected.status);
  EXPECT_EQ(golden_text(end.text), expected.text);
}

}  // namespace
