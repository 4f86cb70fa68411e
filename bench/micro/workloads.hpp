// What the micro benchmark measures.
#pragma once

#include <cstdint>
#include <span>

// workload: run(n) does n operations on the main goroutine of a fresh runtime.
struct workload {
  const char* name;
  const char* operation;
  void (*run)(std::uint64_t n);
  std::uint64_t fixed = 0;  // operations per round; 0: as many as fill the time of a round
};

// footprint: bytes() is the memory one of very many goroutines takes, measured on main in a fresh
// process.
struct footprint {
  const char* name;
  const char* goroutine;
  double (*bytes)();
};

std::span<const workload> workloads();
std::span<const footprint> footprints();
