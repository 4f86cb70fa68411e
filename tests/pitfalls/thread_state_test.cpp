// What the C library and the CPU keep for each thread: the locale, how floating point rounds.
#include <cfenv>
#include <clocale>
#include <cstdlib>

#include <locale.h>

#include "pitfalls/stuck.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::change_thread;
using pitfalls::one_processor;

// covers: G9
TEST(uselocale, is_left_behind_at_a_park) {
  skein::run([] {
    const locale_t c = newlocale(LC_ALL_MASK, "C", nullptr);
    uselocale(c);
    change_thread();
    EXPECT_EQ(uselocale(nullptr), LC_GLOBAL_LOCALE);  // not c
    freelocale(c);
  });
}

// covers: G9
TEST(uselocale, is_replaced_by_functions_that_are_told_the_locale) {
  skein::run([] {
    const locale_t c = newlocale(LC_ALL_MASK, "C", nullptr);
    change_thread();
    EXPECT_EQ(strtod_l("1.5", nullptr, c), 1.5);
    freelocale(c);
  });
}

// covers: G9
TEST(rounding, is_handed_to_whoever_runs_on_the_thread_next) {
  skein::run(
      [] {
        skein::wait_group wg;
        wg.go([] { EXPECT_EQ(std::fegetround(), FE_UPWARD); });
        std::fesetround(FE_UPWARD);
        wg.wait();
      },
      one_processor());
}

// covers: G9
TEST(rounding, is_set_and_set_back_between_parks) {
  skein::run([] {
    const auto third_rounded_up = [] {
      const int before = std::fegetround();
      std::fesetround(FE_UPWARD);
      volatile double three = 3;
      volatile double third = 1 / three;  // no park here
      std::fesetround(before);
      return third;
    };
    change_thread();
    EXPECT_GT(third_rounded_up(), 1. / 3);
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  });
}

// covers: G9
TEST(thread_state, stays_where_the_goroutine_is_tied_to_its_thread) {
  skein::run([] {
    skein::lock_os_thread();
    std::fesetround(FE_UPWARD);
    skein::yield();
    EXPECT_EQ(std::fegetround(), FE_UPWARD);
    std::fesetround(FE_TONEAREST);
    skein::unlock_os_thread();
  });
}

}  // namespace
