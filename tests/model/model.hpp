// What a model sees of the explorer.
//
//   MODEL(spin_lock, excludes) {
//     skein::detail::spin_lock lock;
//     int n = 0;                                   // accesses that race are found
//     const auto add = [&] { lock.lock(); ++n; lock.unlock(); };
//     model::threads(add, add);
//     MODEL_CHECK(n == 2);
//   }
//
// The body is run once for each schedule, and each set of values that its loads may see. It must do the
// same each time: no clocks, no addresses from elsewhere, no output.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace model {

// effort: how far a body is explored; the defaults are for a body of two or three short threads.
struct effort {
  int preemptions = 2;
  int stale = 1;
  std::uint64_t searched = 100'000;  // executions at most
  std::uint64_t random = 2'000;      // as many after that, unless the search has seen everything
};

struct body {
  const char* part;
  const char* name;
  void (*run)();
  effort how{};
  std::vector<std::string> outcomes{};  // exactly these, see outcome()
  std::string failure{};                // what has to be found
};
std::vector<body>& bodies();

struct registered {
  explicit registered(body b) { bodies().push_back(std::move(b)); }
};

// start() begins a thread, join() waits for its end.
int start(void (*f)(void*), void* arg);
void join(int thread);

template <class F> int start(F& f) {
  return start([](void* p) { (*static_cast<F*>(p))(); },
               const_cast<void*>(static_cast<const void*>(&f)));
}

// threads() runs each of f on a thread and returns when all have ended.
template <class... F> void threads(F&&... f) {
  const int all[] = {start(f)...};
  for (const int t : all) join(t);
}

// outcome() adds one to the set of outcomes of the body, once in each execution.
void outcome(const std::string& what);
void check(bool holds, const char* what, const char* file, int line);
void heavy_fence();
// asymmetric_fences() tells whether membarrier() is to be had; it is unless told.
void asymmetric_fences(bool available);
// no_deadlines() lets no wait end by its deadline: what the monitor would repair later shows as a deadlock.
void no_deadlines();
// clock_leaps() lets the clock jump by so much at any of its readings.
void clock_leaps(std::chrono::nanoseconds by);

}  // namespace model

#define MODEL(part, name, ...)                                                                     \
  static void part##_##name();                                                                     \
  static const model::registered part##_##name##_registered(                                       \
      {#part, #name, &part##_##name, __VA_ARGS__});                                                \
  static void part##_##name()

#define MODEL_CHECK(what) ::model::check(static_cast<bool>(what), #what, __FILE__, __LINE__)
