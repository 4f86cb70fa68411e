// How many processors there are to be, and how a count is read.
#include "os/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <string>
#include <thread>

#include "support/everywhere.hpp"

namespace {

namespace os = skein::os;

// covers: R7
TEST(cpus, a_count_is_a_plain_decimal_number_in_range) {
  const struct {
    const char* text;
    int n;
  } table[] = {
      {"1", 1},
      {"2", 2},
      {"8", 8},
      {"1024", 1024},
      {"007", 7},
      {"", 0},
      {"0", 0},
      {"00", 0},
      {"-1", 0},
      {"+1", 0},
      {" 1", 0},
      {"1 ", 0},
      {"1025", 0},
      {"100000", 0},
      {"abc", 0},
      {"4abc", 0},
      {"0x4", 0},
      {"1.5", 0},
      {"1e2", 0},
      {"4\n", 0},
      {"4294967297", 0},
      {"99999999999999999999", 0},
      {"-9223372036854775808", 0},
      {"\xc2\xb2", 0},
  };
  for (const auto& row : table)
    EXPECT_EQ(os::parse_procs(row.text, 1024), row.n) << '"' << row.text << '"';
  EXPECT_EQ(os::parse_procs("3", 2), 0);
  EXPECT_EQ(os::parse_procs("2", 2), 2);
}

// covers: R7
TEST(cpus, follow_the_affinity_mask) {
  const int all = os::allowed_cpus();
  EXPECT_GE(all, 1);
  EXPECT_GE(os::quota_cpus(), 1);
  EXPECT_LE(os::quota_cpus(), all);
  std::thread([&] {  // a mask belongs to one thread
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
    int left = 0;
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && CPU_COUNT(&mask) > 1; --cpu) {
      if (!CPU_ISSET(cpu, &mask)) continue;
      CPU_CLR(cpu, &mask);
      ASSERT_EQ(sched_setaffinity(0, sizeof mask, &mask), 0);
      left = CPU_COUNT(&mask);
      EXPECT_EQ(os::allowed_cpus(), left);
      EXPECT_LE(os::quota_cpus(), left);
    }
  })
      .join();
  EXPECT_EQ(os::allowed_cpus(), all);
}

}  // namespace
