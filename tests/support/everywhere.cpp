#include "support/everywhere.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "skein/detail/config.hpp"

#if defined(SKEIN_SEES_ASAN) || defined(SKEIN_SEES_TSAN)
#include <sanitizer/allocator_interface.h>
#endif
#if defined(SKEIN_SEES_TSAN)
#include <thread>
#endif

namespace everywhere {
namespace {

// number() reads a variable of the environment that must be a number if it is there at all.
template <class N> N number(const char* name, N otherwise, N (*parse)(const char*, char**)) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return otherwise;
  char* end = nullptr;
  const N n = parse(text, &end);
  if (*end != '\0') throw std::invalid_argument(std::string(name) + " is not a number: " + text);
  return n;
}

unsigned long long parse_seed(const char* text, char** end) { return std::strtoull(text, end, 0); }

unsigned long long given_seed() { return number<unsigned long long>("SKEIN_TEST_SEED", 0, parse_seed); }

int parts() {
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  return test == nullptr ? 0 : test->result()->total_part_count();
}

}  // namespace

std::uint64_t scaled(std::uint64_t n) {
  static const double scale = number<double>("SKEIN_TEST_SCALE", 1, std::strtod);
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(n) * scale));
}

void in_simulation(const std::function<void()>& body, std::uint64_t schedules) {
  const auto checked = [&] {
    const int before = parts();
    body();
    if (parts() != before) throw std::runtime_error("an assertion did not hold");
  };
  skein::test::explore_options o;
  o.schedules = scaled(schedules);
  o.leaks = false;  // the end of the body ends the others, as the end of main does
  try {
    if (given_seed() != 0)
      skein::test::replay(given_seed(), checked, o);
    else
      skein::test::explore(checked, o);
  } catch (const skein::test::failure& f) {
    ADD_FAILURE() << "on a simulated schedule (again with SKEIN_TEST_SEED=" << f.seed() << "): " << f.what();
  }
}

std::string place_name(const ::testing::TestParamInfo<int>& place) {
  return place.param == on_procs::simulation ? "simulation" : "procs_" + std::to_string(place.param);
}

// splitmix64 (https://prng.di.unimi.it/splitmix64.c).
std::uint64_t dice::roll() noexcept {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t fresh_seed() {
  std::uint64_t seed = given_seed();
  if (seed == 0) seed = (static_cast<std::uint64_t>(std::random_device()()) << 16) | 1;
  std::cout << "SKEIN_TEST_SEED=" << seed << std::endl;
  return seed;
}

bool within_six_sigma(std::uint64_t count, std::uint64_t n, std::uint64_t share, std::uint64_t all) {
  const double draws = static_cast<double>(n);
  const double p = static_cast<double>(share) / static_cast<double>(all);
  return std::abs(static_cast<double>(count) - draws * p) <= 6 * std::sqrt(draws * p * (1 - p));
}

std::size_t memory_in_use() {
#if defined(SKEIN_SEES_ASAN) || defined(SKEIN_SEES_TSAN)
  return __sanitizer_get_current_allocated_bytes();
#else
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
#endif
}

child_end run_child(const std::function<void()>& f) {
#if defined(SKEIN_SEES_TSAN)
  // The race detector starts a thread of its own with the first of the program, and anew in a child. A
  // child of a process that had none gets two, and the all-asleep report cannot tell the second from
  // one that may wake somebody.
  [[maybe_unused]] static const bool started = (std::thread([] {}).join(), true);
#endif
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    int status = 0;
    try {
      f();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      status = 99;
    }
    std::fflush(nullptr);
    _exit(status);
  }
  close(ends[1]);
  child_end end;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) end.text.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  int raw = 0;
  waitpid(pid, &raw, 0);
  if (WIFEXITED(raw)) end.status = WEXITSTATUS(raw);
  if (WIFSIGNALED(raw)) end.signal = WTERMSIG(raw);
  return end;
}

}  // namespace everywhere
