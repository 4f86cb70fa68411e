// How long light goroutines wait beside those that compute or block: ten of them sleep for a
// millisecond again and again on two processors; what they oversleep is the wait.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "skein/skein.hpp"

namespace {

using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int lights = 10;

struct scenario {
  const char* name;
  int hogs;
  int max_hogs;  // -1: the default, 8 here
  void (*hog)();
};

std::atomic<bool> over{false};
int never_readable = -1;

void compute() {
  const auto end = clock_type::now() + 700ms;
  while (clock_type::now() < end && !over.load(std::memory_order_relaxed)) {
  }
}
void compute_with_checkpoints() {
  const auto end = clock_type::now() + 700ms;
  while (clock_type::now() < end && !over.load(std::memory_order_relaxed)) skein::checkpoint();
}
void read_a_pipe() {
  char byte;
  if (::read(never_readable, &byte, 1) > 0) std::abort();
}
void block() {
  skein::blocking(read_a_pipe);
}

constexpr scenario scenarios[] = {
    {"nobody else", 0, -1, nullptr},
    {"2 that compute", 2, -1, compute},
    {"8 that compute", 8, -1, compute},
    {"50 that compute", 50, -1, compute},
    {"50, max_hogs 64", 50, 64, compute},
    {"2 with checkpoint()", 2, -1, compute_with_checkpoints},
    {"8 with checkpoint()", 8, -1, compute_with_checkpoints},
    {"50 with checkpoint()", 50, -1, compute_with_checkpoints},
    {"50 in read()", 50, -1, read_a_pipe},
    {"1000 in blocking()", 1000, -1, block},
};

void report(const scenario& s, std::vector<double>& waits, std::uint64_t threads) {
  if (waits.empty()) {
    std::printf("%-22s nobody came to run\n", s.name);
    return;
  }
  std::sort(waits.begin(), waits.end());
  const auto at = [&](double share) { return waits[static_cast<std::size_t>(share * static_cast<double>(waits.size() - 1))]; };
  std::printf("%-22s %8.2f %8.2f %8.2f %8.2f   %8zu  %7llu\n", s.name, at(0.5), at(0.99), at(0.999), at(1), waits.size(),
              static_cast<unsigned long long>(threads));
}

void run_one(const scenario& s, std::chrono::milliseconds length) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  never_readable = ends[0];
  skein::options o;
  o.procs = 2;
  o.max_hogs = s.max_hogs;
  skein::run(
      [&] {
        skein::wait_group wg;
        for (int i = 0; i < s.hogs; ++i)
          wg.go([&s] {
            do {
              s.hog();
              skein::yield();
            } while (!over);
          });
        std::vector<std::vector<double>> waits(lights);
        skein::wait_group light;
        const auto end = clock_type::now() + length;
        for (auto& mine : waits)
          light.go([&mine, end] {
            while (clock_type::now() < end) {
              const auto due = clock_type::now() + 1ms;
              skein::sleep_for(1ms);
              mine.push_back(std::chrono::duration<double, std::milli>(clock_type::now() - due).count());
            }
          });
        light.wait();
        const std::uint64_t threads = skein::stats().threads;
        over = true;
        ::close(ends[1]);  // those in read() find the end of the pipe
        wg.wait();
        std::vector<double> all;
        for (const auto& mine : waits) all.insert(all.end(), mine.begin(), mine.end());
        report(s, all, threads);
      },
      o);
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 10;
  if (argc > 2 || seconds < 1) {
    std::fprintf(stderr, "usage: bench_hog [SECONDS]   for each row, 10 unless given\n");
    return 2;
  }
  std::printf("%-22s %8s %8s %8s %8s   %8s  %7s\n", "wait in ms beside", "median", "p99", "p99.9", "longest", "waits", "threads");
  for (const scenario& s : scenarios) {
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
      run_one(s, std::chrono::seconds(seconds));
      std::exit(0);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
      std::fprintf(stderr, "bench_hog: \"%s\" has failed\n", s.name);
      return 1;
    }
  }
}
