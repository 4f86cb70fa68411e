// Deep recursion and large frames on a goroutine's stack.
#include <csignal>

#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace skein::literals;
using everywhere::dig;
using everywhere::run_child;

// covers: G9
TEST(deep_recursion, ends_the_process) {
  if (everywhere::sanitized) GTEST_SKIP() << "the sanitizer reports it in its own way";
  const auto end = run_child([] {
    skein::run([] { dig(1_MiB); });  // 192 KiB are usable
  });
  EXPECT_EQ(end.signal, SIGABRT);
  EXPECT_TRUE(everywhere::contains(end.text, "stack overflow in goroutine")) << end.text;
}

// covers: G9
TEST(deep_recursion, runs_on_a_stack_that_is_large_enough) {
  skein::run([] {
    skein::on_system_stack([] { dig(1_MiB); });                 // this call
    skein::spawn({.stack = 2_MiB}, [] { dig(1_MiB); }).join();  // this goroutine
  });
  skein::options all;
  all.stack = 2_MiB;  // all goroutines
  skein::run([] { dig(1_MiB); }, all);
}

}  // namespace
