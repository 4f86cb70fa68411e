// Scenarios: small bodies for the simulation, one file per theme. Each uses a few operations that race with each
// other, with time or with the end of a context, and throws if what the library promised does not hold. Whatever the
// schedule, it ends and leaves no goroutine.
#pragma once

#include <chrono>
#include <span>

#include "support/found.hpp"
#include "support/process.hpp"

namespace schedules {

using namespace std::chrono_literals;
using everywhere::require;
using everywhere::together;

struct scenario {
  const char* name;
  void (*body)();
};

std::span<const scenario> channels();
std::span<const scenario> selects();
std::span<const scenario> locks();
std::span<const scenario> conditions();  // condition variables, semaphores
std::span<const scenario> meetings();    // wait groups, barriers, latches, once, waits on atomics
std::span<const scenario> timers();
std::span<const scenario> contexts();
std::span<const scenario> tasks();
std::span<const scenario> kit();  // singleflight, rate limiter, pool, map, locals, descriptors

}  // namespace schedules
