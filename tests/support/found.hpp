// What tests of the simulation itself share: what a schedule found, and goroutines that run side by side.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "skein/test/sim.hpp"
#include "skein/wait_group.hpp"

namespace everywhere {

// found() is the first failure that explore() meets, if any.
std::optional<skein::test::failure> found(const std::function<void()>& body,
                                          const skein::test::explore_options& o = {});

// expect_found() expects a failure whose reason contains `reason`, and that it comes again, to the letter, ten times
// out of ten.
void expect_found(const std::function<void()>& body, std::string_view reason,
                  const skein::test::explore_options& o = {});

// together(f, ...) runs each f on a goroutine of its own and returns when all have ended.
template <class... F> void together(F... f) {
  skein::wait_group all;
  (all.go(std::move(f)), ...);
  all.wait();
}

}  // namespace everywhere
