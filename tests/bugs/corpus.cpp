#include "bugs/corpus.hpp"

#include <iostream>

#include "support/everywhere.hpp"

namespace corpus {
namespace {

// Nothing in the corpus is long: a schedule with more steps than this runs in circles.
constexpr std::uint64_t max_steps = 20'000;

void is_found(const bug& b) {
  SCOPED_TRACE(b.wrong);
  everywhere::expect_found(b.body, b.found_as, {.schedules = 10'000, .max_steps = max_steps});
}

void fixed_twin_survives(const bug& b) {
  SCOPED_TRACE(b.wrong);
  const auto broken =
      everywhere::found(b.fixed, {.schedules = everywhere::scaled(10'000), .max_steps = max_steps});
  EXPECT_FALSE(broken.has_value()) << broken->what();
  if (b.preemptions == 0) return;
  try {
    const auto all = skein::test::exhaust(
        b.fixed, {.preemptions = b.preemptions, .most = everywhere::scaled(200'000)});
    EXPECT_TRUE(all.complete || everywhere::scaled(2) < 2) << "it is not that small";
    std::cout << (all.complete ? "all " : "the first ") << all.schedules << " schedules with up to "
              << b.preemptions << " preemptions, " << all.steps << " steps\n";
  } catch (const skein::test::failure& f) {
    ADD_FAILURE() << f.what();
  }
}

class entry : public ::testing::Test {
 public:
  entry(const bug& b, void (*check)(const bug&)) : bug_(b), check_(check) {}
  void TestBody() override { check_(bug_); }

 private:
  const bug& bug_;
  void (*check_)(const bug&);
};

void add_test(const char* file, const bug& b, const char* name, void (*check)(const bug&)) {
  ::testing::RegisterTest(b.name, name, nullptr, nullptr, file, 1,
                          [&b, check]() -> entry* { return new entry(b, check); });
}

}  // namespace

bool add(const char* file, const bug* first, std::size_t count) {
  for (const bug* b = first; b != first + count; ++b) {
    add_test(file, *b, "is_found", &is_found);
    add_test(file, *b, "fixed_twin_survives", &fixed_twin_survives);
  }
  return true;
}

}  // namespace corpus
