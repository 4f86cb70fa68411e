// thread_local and the thread's id belong to the thread, which changes at a park.
#include <map>
#include <string>
#include <thread>

#include "pitfalls/stuck.hpp"
#include "skein/local.hpp"
#include "skein/runtime.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::change_thread;
using pitfalls::one_processor;

thread_local int request_of_thread = 0;
skein::local<int> request;

// Out of line, so that the compiler asks the thread anew.
[[gnu::noinline]] int& of_thread() {
  asm volatile("");
  return request_of_thread;
}

// covers: G9
TEST(thread_local_value, is_left_behind_at_a_park) {
  skein::run([] {
    of_thread() = 7;
    change_thread();
    EXPECT_EQ(of_thread(), 0);  // another thread's
  });
}

// covers: G9
TEST(thread_local_value, has_an_address_that_is_the_other_threads_after_a_park) {
  skein::run([] {
    int& mine = of_thread();  // a compiler may keep this in a register by itself
    change_thread();
    EXPECT_NE(&mine, &of_thread());
  });
}

// covers: G9
TEST(thread_local_value, is_replaced_by_a_local) {
  skein::run([] {
    *request = 7;
    int& mine = *request;
    change_thread();
    EXPECT_EQ(*request, 7);
    EXPECT_EQ(&mine, &*request);
  });
}

// The compiler believes that a function's thread never changes. It cannot see through this.
std::thread::id (*volatile id_here)() = &std::this_thread::get_id;

// covers: G9
TEST(thread_id, is_shared_by_goroutines_and_changes_under_them) {
  skein::run(
      [] {
        std::map<std::thread::id, std::string> names;
        names[std::this_thread::get_id()] = "main";
        skein::wait_group wg;
        wg.go([&] { names[std::this_thread::get_id()] = "worker"; });
        wg.wait();
        EXPECT_EQ(names.size(), 1u);  // one thread ran both
        const auto before = id_here();
        change_thread();
        EXPECT_NE(id_here(), before);
      },
      one_processor());
}

skein::local<std::string> name;

// covers: G9
TEST(thread_id, is_replaced_by_a_local_as_well) {
  skein::run(
      [] {
        *name = "main";
        skein::wait_group wg;
        wg.go([&] { *name = "worker"; });
        wg.wait();
        change_thread();
        EXPECT_EQ(*name, "main");
      },
      one_processor());
}

}  // namespace
