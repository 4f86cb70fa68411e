#include "os/cpus.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <system_error>

#include "base/sys.hpp"

namespace skein::inline SKEIN_ABI::os {
namespace {

[[noreturn]] void cannot_tell(long error) { throw std::system_error(static_cast<int>(-error), std::generic_category()); }

// What a file holds; nothing if it is not there. Throws if that cannot be told at the moment.
std::istringstream contents(const std::string& path) {
  const int fd = sys::open(path.c_str(), O_RDONLY);
  if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -EINTR) cannot_tell(fd);
  std::string all;
  if (fd < 0) return std::istringstream(all);
  char some[512];
  long n = 0;
  const struct closer {
    int fd;
    ~closer() { sys::close(fd); }
  } end{fd};
  while ((n = sys::read(fd, some, sizeof some)) > 0) all.append(some, static_cast<std::size_t>(n));
  if (n < 0) cannot_tell(n);
  return std::istringstream(all);
}

std::string first_line(const std::string& path) {
  std::string line;
  std::istringstream in = contents(path);
  std::getline(in, line);
  return line;
}

// The process's directory in a cgroup hierarchy: lines read "id:controllers:path".
std::string own_group(const char* controller) {
  std::istringstream in = contents("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const auto a = line.find(':');
    const auto b = line.find(':', a + 1);
    if (a == std::string::npos || b == std::string::npos) continue;
    const std::string controllers = line.substr(a + 1, b - a - 1);
    const bool match = *controller == 0 ? controllers.empty()
                                        : ("," + controllers + ",").find(std::string(",") + controller + ",") != std::string::npos;
    if (match) return line.substr(b + 1);
  }
  return "";
}

double ratio(const std::string& quota, const std::string& period) {
  double q = 0, p = 0;
  if (std::sscanf(quota.c_str(), "%lf", &q) != 1 || std::sscanf(period.c_str(), "%lf", &p) != 1) return 0;
  return q > 0 && p > 0 ? q / p : 0;
}

// The tightest quota from the process's group up to the root; 0 if there is none.
double cgroup_quota() {
  const std::string root = cgroup_root.load(std::memory_order_relaxed);
  double least = 0;
  const auto consider = [&](double q) {
    if (q > 0 && (least == 0 || q < least)) least = q;
  };
  for (std::string dir = own_group("");; dir.resize(dir.rfind('/'))) {
    std::istringstream max(first_line(root + dir + "/cpu.max"));
    std::string quota, period;
    if (max >> quota >> period) consider(ratio(quota, period));
    if (dir.empty() || dir == "/") break;
  }
  for (std::string dir = own_group("cpu");; dir.resize(dir.rfind('/'))) {
    const std::string at = root + "/cpu" + dir;
    consider(ratio(first_line(at + "/cpu.cfs_quota_us"), first_line(at + "/cpu.cfs_period_us")));
    if (dir.empty() || dir == "/") break;
  }
  return least;
}

}  // namespace

constinit detail::atomic<const char*> cgroup_root{"/sys/fs/cgroup"};

int allowed_cpus() noexcept {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

int quota_cpus() noexcept {
  const int cpus = allowed_cpus();
  try {
    const double quota = cgroup_quota();
    if (quota <= 0) return cpus;
    const int whole = static_cast<int>(std::min(quota + 0.999999, 1e6));
    return std::clamp(whole, 1, cpus);
  } catch (...) {
    return 0;  // no memory or no descriptor to find out
  }
}

int parse_count(const char* text, int most) noexcept {
  int n = 0;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, n);
  return error == std::errc() && at == end && n >= 1 && n <= most ? n : 0;
}

}  // namespace skein::inline SKEIN_ABI::os
