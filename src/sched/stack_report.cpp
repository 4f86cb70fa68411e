#include "sched/stack_report.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <new>

#include "base/check.hpp"
#include "sched/faults.hpp"
#include "sched/registry.hpp"
#include "sched/sched.hpp"
#include "skein/debug.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {
namespace {

struct site_use {
  std::uint64_t ended = 0;
  std::size_t deepest = 0;
  int cls = 0;  // of the largest stack seen
};

atomic<bool> watched{false};
std::mutex lock;  // taken by threads and in scheduler loops, never across a switch

std::map<const void*, site_use>& sites() {
  static auto* const all = new std::map<const void*, site_use>;  // outlives every static destructor
  return *all;
}

// Half as much again, and a signal handler's frame.
int suggested_class(std::size_t deepest) noexcept {
  const std::size_t wanted = deepest + deepest / 2 + 4096;
  int cls = 0;
  while (cls < arch::stack_classes - 1 && arch::usable_bytes(cls) < wanted) ++cls;
  return cls;
}

}  // namespace

bool stacks_watched() noexcept { return watched.load(std::memory_order_relaxed); }

void clean_stack(const arch::stack& s) noexcept {
  const iovec pages = arch::below(s, s.end());
  sys::give_back(&pages, 1);
}

void note_depth(const goroutine& g, const arch::stack& s, bool ended) noexcept {
  const sys::unseen own;
  const std::size_t depth = arch::depth(s);
  const std::lock_guard hold(lock);
  try {
    site_use& u = sites()[g.site];
    u.ended += ended ? 1 : 0;
    u.deepest = std::max(u.deepest, depth);
    u.cls = std::max<int>(u.cls, s.cls);
  } catch (const std::bad_alloc&) {
    return;  // one goroutine less in a report
  }
}

}  // namespace sched

namespace debug {

void watch_stacks() {
  using namespace sched;
  check_fork();
  watched.store(true, std::memory_order_relaxed);
  for_each_runtime([](detail::runtime_state* rt) {
    const std::lock_guard hold(rt->idle_lock);
    for (worker* w = rt->all_workers; w != nullptr; w = w->next_all) w->attention_word.fetch_or(attention::watch, std::memory_order_relaxed);
  });
}

std::vector<stack_use> stack_report() {
  std::map<const void*, sched::site_use> all;
  {
    const std::lock_guard hold(sched::lock);
    all = sched::sites();
  }
  std::vector<stack_use> report;
  for (const auto& [site, use] : all) {
    base::text t;
    sched::describe_site(t, site);
    report.push_back({std::string(t.view()), use.ended, use.deepest, arch::usable_bytes(use.cls),
                      arch::class_bytes(sched::suggested_class(use.deepest))});
  }
  std::ranges::sort(report, std::ranges::greater(), &stack_use::deepest);
  return report;
}

}  // namespace debug
}  // namespace skein::inline SKEIN_ABI
