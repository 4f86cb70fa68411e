// The end of main is the end: nobody else is waited for, and what they refer to may be gone.
#include <atomic>
#include <thread>

#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::with_procs;

std::atomic<bool> session_exists{false};
struct session {
  session() { session_exists = true; }
  ~session() { session_exists = false; }
  void use() { used_after_end = !session_exists; }
  std::atomic<bool> used_after_end{false};
};

// covers: G9
TEST(end_of_main, leaves_goroutines_with_references_to_what_is_gone) {
  std::atomic<bool> runs{false};
  std::atomic<bool> outlived{false};
  skein::options o = with_procs(2);
  o.stop_grace = 0s;
  skein::run(
      [&] {
        session s;
        skein::go([&] {
          // Uses s as long as it likes; here it only looks whether s is still there.
          runs = true;
          while (session_exists) {
          }
          outlived = true;
        });
        while (!runs) skein::yield();
      },
      o);
  while (!outlived) std::this_thread::yield();
  EXPECT_TRUE(outlived);
}

// covers: G9
TEST(end_of_main, comes_after_a_wait_for_those_who_hold_references) {
  skein::run(
      [&] {
        session s;
        skein::wait_group wg;  // after what the goroutines refer to
        wg.go([&] { s.use(); });
        wg.wait();
        EXPECT_FALSE(s.used_after_end);
      },
      with_procs(2));
}

}  // namespace
