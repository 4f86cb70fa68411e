// std::call_once and the initialisers of static variables make the others' threads wait.
#include <mutex>

#include "pitfalls/stuck.hpp"
#include "skein/once.hpp"
#include "skein/wait_group.hpp"

namespace {

using pitfalls::expect_end;
using pitfalls::expect_stuck;
using pitfalls::may_block;

int load() {
  skein::yield();  // whatever parks
  return 7;
}

// covers: G9
TEST(std_call_once, of_a_function_that_parks_never_ends) {
  expect_stuck([] {
    std::once_flag flag;
    skein::go([&] {
      may_block();
      std::call_once(flag, [] {});  // blocks the thread until load() has ended
    });
    std::call_once(flag, [] { load(); });
  });
}

// covers: G9
TEST(std_call_once, is_replaced_by_once) {
  expect_end([] {
    skein::once once;
    skein::wait_group wg;
    wg.go([&] { once.call([] {}); });
    once.call([] { load(); });
    wg.wait();
  });
}

int table() {
  static const int loaded = load();
  return loaded;
}

// covers: G9
TEST(static_initialiser, that_parks_never_ends) {
  expect_stuck([] {
    skein::go([] {
      may_block();
      table();
    });
    table();
  });
}

int parking_table() {
  static const auto loaded = skein::once_value(&load);  // made without a park
  return loaded();
}

// covers: G9
TEST(static_initialiser, is_replaced_by_a_once_value) {
  expect_end([] {
    skein::wait_group wg;
    wg.go([] { parking_table(); });
    parking_table();
    wg.wait();
  });
}

}  // namespace
