#include "sched/dump.hpp"

#include <unistd.h>

#include <string>

#include "sched/faults.hpp"
#include "sched/registry.hpp"
#include "sched/sched.hpp"
#include "skein/debug.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {
namespace {

// Calls f with one line per goroutine that has not ended.
template <class F> void each_line(F f) {
  for_each_runtime([&](runtime_state* rt) {
    rt->slab.for_each([&](goroutine& g, std::size_t) {
      const status s = g.state.load(std::memory_order_relaxed);
      if (s == status::free || s == status::ended) return;
      base::text t;
      name_goroutine(t, g);
      t << " [" << detail::name(s) << "]:\n\tcreated by ";
      describe_site(t, g.site);
      t << "\n";
      f(t);
    });
  });
}

}  // namespace

void print_goroutines() noexcept {
  each_line([](const base::text& t) { t.print(); });
}

}  // namespace sched

namespace debug {

std::string dump() {
  std::string all;
  sched::each_line([&](const base::text& t) { all.append(t.view()); });
  return all;
}

foreign_idle::foreign_idle() noexcept { sched::thread_waits(1); }
foreign_idle::~foreign_idle() { sched::thread_waits(-1); }

}  // namespace debug
}  // namespace skein::inline SKEIN_ABI
