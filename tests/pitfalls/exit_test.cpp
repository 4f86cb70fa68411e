// exit_goroutine() unwinds: code that catches everything, or lets nothing out, is in its way.
#include <csignal>
#include <exception>

#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::child_end;
using everywhere::contains;
using everywhere::run_child;

void serve() { skein::exit_goroutine(); }

child_end run_as_goroutine(void (*f)()) {
  return run_child([f] {
    skein::run([f] {
      skein::wait_group wg;
      wg.go(f);
      wg.wait();
    });
  });
}

// covers: G9
TEST(catch_all, that_swallows_the_exit_ends_the_process) {
  const child_end end = run_as_goroutine([] {
    try {
      serve();
    } catch (...) {
    }
  });
  EXPECT_EQ(end.signal, SIGABRT);
  EXPECT_TRUE(contains(end.text, "exit_goroutine() was swallowed")) << end.text;
}

// covers: G9
TEST(catch_all, catches_exceptions_or_rethrows) {
  const child_end end = run_as_goroutine([] {
    try {
      try {
        serve();
      } catch (const std::exception&) {  // exit_goroutine() throws none
      }
    } catch (...) {
      throw;
    }
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// covers: G9
TEST(noexcept_function, that_the_exit_meets_ends_the_process) {
  const child_end end = run_as_goroutine([]() noexcept { serve(); });
  EXPECT_EQ(end.signal, SIGABRT);
  EXPECT_TRUE(contains(end.text, "met a noexcept function")) << end.text;
}

bool serve_more() noexcept { return false; }

// covers: G9
TEST(noexcept_function, returns_what_its_caller_has_to_know) {
  const child_end end = run_as_goroutine([] {
    if (!serve_more()) skein::exit_goroutine();
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

}  // namespace
