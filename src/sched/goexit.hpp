// What exit_goroutine() throws.
#pragma once

#include "sched/faults.hpp"

namespace skein::inline SKEIN_ABI::sched {

// goexit: caught by the goroutine's entry, or by the task that runs it, and by nobody else. One that
// is destroyed before it has arrived there was swallowed on the way.
class goexit {
 public:
  goexit() noexcept = default;
  goexit(const goexit&) noexcept : copied_(true) {}
  ~goexit() {
    if (!arrived_ && !copied_) report_goexit("was swallowed by a catch (...), which has to rethrow it");
  }
  void arrived() noexcept { arrived_ = true; }

 private:
  bool arrived_ = false;
  bool copied_ = false;
};

}  // namespace skein::inline SKEIN_ABI::sched
