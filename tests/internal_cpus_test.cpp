// How many processors there are to be, and how a count is read.
#include "os/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/sys.hpp"
#include "sched/sched.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
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
    EXPECT_EQ(os::parse_count(row.text, 1024), row.n) << '"' << row.text << '"';
  EXPECT_EQ(os::parse_count("3", 2), 0);
  EXPECT_EQ(os::parse_count("2", 2), 2);
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

// own_groups: a place for the files of cgroups, with one limit for all.
class own_groups {
 public:
  explicit own_groups(const char* limit) {
    set(limit);
    os::cgroup_root = where_.c_str();
  }
  ~own_groups() {
    os::cgroup_root = "/sys/fs/cgroup";
    std::filesystem::remove_all(where_);
  }
  void set(const char* limit) const { std::ofstream(where_ + "/cpu.max") << limit << '\n'; }

 private:
  static std::string make() {
    std::string name = (std::filesystem::temp_directory_path() / "skein-groups-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    return name;
  }
  const std::string where_ = make();
};

// covers: R7
TEST(quota, is_rounded_up_and_capped_by_the_mask) {
  const int all = os::allowed_cpus();
  const own_groups g("max 100000");
  EXPECT_EQ(os::quota_cpus(), all);
  for (const char* one : {"100000 100000", "1000 100000", "99999 100000"}) {
    g.set(one);
    EXPECT_EQ(os::quota_cpus(), 1) << one;
  }
  g.set("100001 100000");
  EXPECT_EQ(os::quota_cpus(), std::min(all, 2));
  g.set("100000000 100000");
  EXPECT_EQ(os::quota_cpus(), all);
  for (const char* nonsense : {"", "max", "x y", "-1 100000", "100000 0"}) {
    g.set(nonsense);
    EXPECT_EQ(os::quota_cpus(), all) << nonsense;
  }
}

// covers: R7
TEST(quota, is_followed_while_the_program_runs) {
  unsetenv("SKEIN_PROCS");
  const own_groups g("100000 100000");
  const auto until = [](int n) {
    while (skein::procs() != n) skein::sleep_for(std::chrono::milliseconds(5));
  };
  skein::run([&] {
    EXPECT_EQ(skein::procs(), 1);
    g.set("max 100000");
    until(os::allowed_cpus());
    g.set("50000 100000");
    until(1);
  });
}

int no_descriptors(skein::sys::call c) noexcept { return c == skein::sys::call::open ? EMFILE : 0; }

// Out of descriptors there may be a quota or none; that is no reason to take it for none.
// covers: R7
TEST(quota, is_unknown_while_it_cannot_be_read) {
  const own_groups g("100000 100000");
  EXPECT_EQ(os::quota_cpus(), 1);
  skein::sys::set_fault_hook(&no_descriptors);
  const int unknown = os::quota_cpus();
  skein::sys::set_fault_hook(nullptr);
  EXPECT_EQ(unknown, 0);
  EXPECT_EQ(os::quota_cpus(), 1);
}

// covers: R7
TEST(quota, is_not_followed_where_somebody_has_asked_for_a_number) {
  const own_groups g("100000 100000");
  const auto end = everywhere::run_child([] {
    setenv("SKEIN_PROCS", "2", 1);
    skein::run([] {
      if (skein::sched::runtime_ref().get()->follows_quota.load()) throw std::runtime_error("followed");
    });
  });
  EXPECT_EQ(end.status, 0) << end.text;
  skein::options o;
  o.procs = 3;
  skein::run([] { EXPECT_FALSE(skein::sched::runtime_ref().get()->follows_quota.load()); }, o);
  skein::run([] {
    EXPECT_TRUE(skein::sched::runtime_ref().get()->follows_quota.load());
    EXPECT_EQ(skein::procs(2), 1);
    EXPECT_FALSE(skein::sched::runtime_ref().get()->follows_quota.load());
  });
}

}  // namespace
