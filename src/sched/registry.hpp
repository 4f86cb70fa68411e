// The runtimes of this process.
#pragma once

#include <mutex>

#include "sched/state.hpp"

namespace skein::inline SKEIN_ABI::sched {

struct registry {
  spin_lock lock;
  runtime_state* first = nullptr;  // linked by next_runtime, under lock
  std::uint64_t made = 0;          // under lock
  runtime_state* kept = nullptr;   // ended, but not freed; under lock
  std::mutex changing;             // one procs(n) at a time
  atomic<bool> forked{false};      // this process is a fork child of one that used skein
};
registry& runtimes() noexcept;

// for_each_runtime() holds the registry's lock: f is short and takes no lock of a runtime but
// idle_lock.
template <class F> void for_each_runtime(F f) {
  registry& r = runtimes();
  std::lock_guard hold(r.lock);
  for (runtime_state* rt = r.first; rt != nullptr; rt = rt->next_runtime) f(rt);
}

}  // namespace skein::inline SKEIN_ABI::sched
