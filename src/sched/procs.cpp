// How many processors a runtime has, and what it has counted.
#include <mutex>
#include <new>
#include <stdexcept>

#include "sched/registry.hpp"
#include "sched/sched.hpp"
#include "skein/error.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {

proc* add_proc(runtime_state* rt) {
  const int n = rt->made_procs.load(std::memory_order_relaxed);
  proc* p = new (sys::allocate(sizeof(proc), alignof(proc))) proc(rt, n);
  p->stack_class = rt->stack_class;
  rt->all_procs[n].store(p, std::memory_order_release);
  rt->made_procs.store(n + 1, std::memory_order_release);
  return p;
}

int change_procs(runtime_state* rt, int n) {
  registry& r = runtimes();
  std::lock_guard one_at_a_time(r.changing);
  const int before = rt->procs.load(std::memory_order_relaxed);
  while (rt->made_procs.load(std::memory_order_relaxed) < n) {
    proc* p = add_proc(rt);
    p->retired.store(true, std::memory_order_relaxed);
    rt->idle_lock.lock();  // the monitor sees it already (empty_idle_caches)
    p->out = true;
    rt->idle_lock.unlock();
  }
  rt->idle_lock.lock();
  rt->procs.store(n, std::memory_order_release);
  proc** at = &rt->idle_proc_list;
  while (*at != nullptr) {  // idle ones that are not wanted any more
    proc* p = *at;
    if (p->id < n) {
      at = &p->next_idle;
      continue;
    }
    *at = p->next_idle;
    rt->idle_procs.fetch_sub(1, std::memory_order_relaxed);
    p->retired.store(true, std::memory_order_relaxed);
    p->out = true;
  }
  const int made = rt->made_procs.load(std::memory_order_relaxed);
  for (int i = 0; i < made; ++i) {
    proc* p = rt->all_procs[i].load(std::memory_order_relaxed);
    if (i >= n) {
      p->retired.store(true, std::memory_order_relaxed);
      continue;
    }
    p->retired.store(false, std::memory_order_relaxed);
    if (!p->out) continue;
    p->out = false;
    p->next_idle = rt->idle_proc_list;
    rt->idle_proc_list = p;
    rt->idle_procs.fetch_add(1, std::memory_order_relaxed);
  }
  for (worker* w = rt->all_workers; w != nullptr; w = w->next_all) w->attention_word.fetch_or(attention::look, std::memory_order_relaxed);
  rt->idle_lock.unlock();
  heavy_barrier();
  if (work_anywhere(rt)) wake_worker(rt, true);
  return before;
}

}  // namespace sched

int procs() {
  const sched::runtime_ref ours;
  const detail::runtime_state* rt = ours.get();
  return rt != nullptr && rt->sim == nullptr ? rt->procs.load(std::memory_order_relaxed) : 1;
}

int procs(int n) {
  if (n < 1 || n > sched::max_procs) throw std::invalid_argument("skein: procs(n) takes 1 to 1024");
  const sched::runtime_ref ours;
  detail::runtime_state* rt = ours.required();
  if (rt->sim != nullptr) return 1;
  rt->follows_quota.store(false, std::memory_order_relaxed);
  return sched::change_procs(rt, n);
}

runtime_stats stats() {
  runtime_stats s;
  const sched::runtime_ref ours;
  const detail::runtime_state* rt = ours.get();
  if (rt == nullptr) return s;
  s.goroutines_started = rt->started.load(std::memory_order_relaxed);
  s.parks = rt->parks.load(std::memory_order_relaxed);
  const int n = rt->made_procs.load(std::memory_order_acquire);
  for (int i = 0; i < n; ++i) {
    const sched::proc* p = rt->all_procs[i].load(std::memory_order_acquire);
    s.goroutines_started += p->started.load(std::memory_order_relaxed);
    s.parks += p->parks.load(std::memory_order_relaxed);
    s.steals += p->steals.load(std::memory_order_relaxed);
  }
  s.goroutines_live = sched::live_goroutines(ours.get());
  s.wakeups = rt->wakeups.load(std::memory_order_relaxed);
  s.handoffs = rt->handoffs.load(std::memory_order_relaxed);
  s.threads = rt->live_threads.load(std::memory_order_relaxed);
  s.dropped_exceptions = rt->dropped_exceptions.load(std::memory_order_relaxed);
  return s;
}

}  // namespace skein::inline SKEIN_ABI
