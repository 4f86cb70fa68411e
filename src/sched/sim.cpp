#include "sched/sim.hpp"

#include <errno.h>

#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "parts/locals.hpp"
#include "sched/goexit.hpp"
#include "sched/registry.hpp"
#include "sched/settings.hpp"
#include "skein/test/sim.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {

simulation::simulation(runtime_state* rt, std::uint64_t seed) : rt_(rt), random_(seed * 0x9e3779b97f4a7c15ULL) {
  worker_.rt = rt;
  worker_.random = base::rng(seed);
  worker_.attention_word.store(attention::simulated, std::memory_order_relaxed);
  worker_.in_runtime.store(1, std::memory_order_relaxed);
  worker_.exceptions = abi::__cxa_get_globals();
  worker_.errno_place = &errno;
}

void simulation::ready(goroutine* g) noexcept {
  if (current() != &worker_) base::fatal("a goroutine of a simulation was woken by another thread");
  const sys::unseen own;
  g->state.store(status::runnable, std::memory_order_relaxed);
  runnable_.push_back(g);
}

void simulation::point(worker* w) noexcept {
  if (random_.below(3) != 0) return;
  goroutine* g = w->g;
  ready(g);
  switch_away(w, g, nullptr);
}

simulation::outcome simulation::run(std::uint64_t max_steps) {
  for (std::uint64_t step = 0; step < max_steps; ++step) {
    if (rt_->main_done.load(std::memory_order_relaxed) != 0) return outcome::done;
    if (runnable_.empty()) {
      const std::int64_t next = rt_->outside_timers.next();
      if (next == detail::never) return outcome::deadlock;
      clock_ = std::max(clock_, next);
    }
    if (rt_->outside_timers.next() <= clock_ && (runnable_.empty() || random_.below(2) == 0)) {
      goroutine_list due;  // one at a time: between two that are due at one moment others may run
      rt_->outside_timers.run(clock_, due, 1);
      while (goroutine* g = due.pop()) ready(g);
      continue;
    }
    const std::uint32_t i = random_.below(static_cast<std::uint32_t>(runnable_.size()));
    goroutine* g = std::exchange(runnable_[i], runnable_.back());
    runnable_.pop_back();
    if (!ensure_stack(rt_, nullptr, g)) base::fatal("out of address space for the stacks of a simulation");
    execute(&worker_, g);
  }
  return outcome::livelock;
}

namespace {

struct body_call {
  const std::function<void()>* body;
  runtime_state* rt;
  std::exception_ptr error;
};

void run_body(void* closure) {
  body_call* c = *static_cast<body_call**>(closure);
  struct ender {
    body_call* c;
    ~ender() {
      detail::end_locals(current_goroutine());
      arch::edge_release(c);
      c->rt->main_done.store(1, std::memory_order_relaxed);
    }
  } end{c};
  try {
    (*c->body)();
  } catch (goexit&) {
    throw;
  } catch (...) {
    c->error = std::current_exception();
  }
}

std::string text_of(const std::exception_ptr& e) {
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace
}  // namespace sched

namespace test {

void point() { sched::attend_if_asked(); }

void replay(std::uint64_t seed, const std::function<void()>& body, std::uint64_t max_steps) {
  using namespace sched;
  if (current()->rt != nullptr) throw misuse("skein: a simulation inside a goroutine");
  check_fork();
#if defined(SKEIN_TSAN_FIBERS)
  // While a process has but one thread the standard library counts references without atomics, which
  // the race detector would take for a race between goroutines.
  [[maybe_unused]] static const bool threaded = (std::thread([] {}).join(), true);
#endif
  install_fault_handlers();
  std::unique_ptr<detail::runtime_state, void (*)(detail::runtime_state*)> rt(new detail::runtime_state(options{}), &free_runtime);
  choose_guards(rt->stacks);
  rt->procs.store(1, std::memory_order_relaxed);
  simulation sim(rt.get(), seed);
  rt->sim = &sim;
  worker* w = sim.only_worker();
  simulation::outcome how;
  body_call call{&body, rt.get(), nullptr};
  {
    struct seat {  // this thread is the simulation's worker for the time
      worker* before;
      ~seat() { arch::skein_current_worker = before; }
    } s{std::exchange(arch::skein_current_worker, w)};
    describe_loop(w);
    body_call* at = &call;
    goroutine* g = new_goroutine(rt.get(), {}, __builtin_return_address(0));
    g->run = &run_body;
    __builtin_memcpy(g->closure, &at, sizeof at);
    arch::edge_release(g);
    sim.ready(g);
    how = sim.run(max_steps);
  }
  arch::edge_acquire(&call);
  const bool left = how != simulation::outcome::done;
  drop_goroutines(rt.get(), true);
  const std::string name = "skein: simulation, seed " + std::to_string(seed) + ": ";
  if (call.error) throw failure(seed, name + text_of(call.error));
  if (left) throw failure(seed, name + (how == simulation::outcome::deadlock ? "all goroutines are asleep - deadlock" : "no end after the given number of steps"));
}

void explore(const std::function<void()>& body, const explore_options& o) {
  for (std::uint64_t i = 0; i < o.schedules; ++i) replay(o.first_seed + i, body, o.max_steps);
}

}  // namespace test
}  // namespace skein::inline SKEIN_ABI
