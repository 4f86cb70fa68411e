#include "support/found.hpp"

#include <gtest/gtest.h>

#include "support/process.hpp"

namespace everywhere {

using skein::test::failure;

std::optional<failure> found(const std::function<void()>& body,
                             const skein::test::explore_options& o) {
  try {
    explore(body, o);
  } catch (const failure& what) {
    return what;
  }
  return std::nullopt;
}

void expect_found(const std::function<void()>& body, std::string_view reason,
                  const skein::test::explore_options& o) {
  const auto what = found(body, o);
  ASSERT_TRUE(what.has_value()) << "not found: " << reason;
  EXPECT_TRUE(contains(what->reason(), reason)) << what->what();
  for (int i = 0; i < 10; ++i) {
    try {
      replay(what->schedule(), body, o);
      FAIL() << "did not fail again: " << what->what();
    } catch (const failure& again) {
      EXPECT_STREQ(again.what(), what->what());
    }
  }
}

}  // namespace everywhere
