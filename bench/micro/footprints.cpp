#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <stdexcept>

#include "skein/skein.hpp"
#include "workloads.hpp"

namespace {

// Resident pages and the page tables that map them.
std::uint64_t memory_in_use() {
  std::FILE* status = std::fopen("/proc/self/status", "r");
  if (status == nullptr) throw std::runtime_error("no /proc/self/status");
  std::uint64_t sum = 0, kib = 0;
  char line[256];
  while (std::fgets(line, sizeof line, status) != nullptr)
    if (std::sscanf(line, "VmRSS: %lu", &kib) == 1 || std::sscanf(line, "VmPTE: %lu", &kib) == 1)
      sum += kib * 1024;
  std::fclose(status);
  return sum;
}

double growth_per_goroutine(std::uint64_t before, std::uint64_t n) {
  return static_cast<double>(memory_in_use() - before) / static_cast<double>(n);
}

double parked() {
  constexpr std::uint64_t n = 1'000'000;
  const std::uint64_t before = memory_in_use();
  const skein::chan<int> never;
  std::atomic<std::uint64_t> started{0};
  for (std::uint64_t i = 0; i < n; ++i)
    skein::go([never, &started] {
      started.fetch_add(1, std::memory_order_relaxed);
      never.recv();
    });
  while (started.load(std::memory_order_relaxed) < n) skein::yield();
  skein::sleep_for(std::chrono::milliseconds(50));  // for the last one to park
  return growth_per_goroutine(before, n);
}

// Nobody starts in a runtime whose only processor is kept by a loop.
double unstarted() {
  constexpr std::uint64_t n = 1'000'000;
  skein::options o;
  o.procs = 1;
  o.max_hogs = 0;
  skein::runtime other(o);
  std::atomic<bool> over{false};
  other.go([&] {
    while (!over.load(std::memory_order_relaxed)) {
    }
  });
  const skein::chan<int> never;
  const auto start = [&](std::uint64_t goroutines) {
    while (goroutines-- > 0) other.go([never] { never.recv(); });
  };
  start(n / 10);  // what is allocated once
  const std::uint64_t before = memory_in_use();
  start(n);
  const double bytes = growth_per_goroutine(before, n);
  over = true;
  return bytes;
}

constexpr footprint all_footprints[] = {
    {"memory_parked", "a goroutine parked in recv()", parked},
    {"memory_unstarted", "a goroutine that has not run yet", unstarted},
};

}  // namespace

std::span<const footprint> footprints() { return all_footprints; }
