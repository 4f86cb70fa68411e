#include "counting.hpp"
#include "model.hpp"
#include "skein/detail/atomic.hpp"

namespace {

using skein::detail::spin_lock;

MODEL(spin_lock, excludes) {
  spin_lock lock;
  int n = 0;
  model::threads(model::counting(lock, n), model::counting(lock, n));
  MODEL_CHECK(n == 2);
}

MODEL(spin_lock, excludes_three,
      {.preemptions = 2, .stale = 1, .searched = 20'000, .random = 5'000}) {
  spin_lock lock;
  int n = 0;
  const auto add = model::counting(lock, n, 2);
  model::threads(add, add, add);
  MODEL_CHECK(n == 6);
}

MODEL(spin_lock, tries, {.preemptions = 3, .stale = 2}) {
  spin_lock lock;
  int n = 0, missed = 0;
  model::threads(model::counting(lock, n), model::trying(lock, n, missed));
  MODEL_CHECK(n + missed == 2);
}

}  // namespace
