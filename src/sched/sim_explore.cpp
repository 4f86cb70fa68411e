// Many schedules of one body: explore(), exhaust(), replay().
#include <memory>
#include <thread>
#include <utility>

#include "sched/registry.hpp"
#include "sched/settings.hpp"
#include "sched/sim.hpp"
#include "skein/test/sim.hpp"

namespace skein::inline SKEIN_ABI::test {
namespace {

using namespace sched;

// world: the runtime of a simulation. One that a schedule has left clean serves the next as well.
class world {
 public:
  world() : rt_(new detail::runtime_state(options{}), &free_runtime) {
    choose_guards(rt_->stacks);
    rt_->procs.store(1, std::memory_order_relaxed);
    sim_.emplace(rt_.get());
    describe_loop(sim_->only_worker());
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  // There is no other thread, so nobody is on the way to wake somebody: whose wake is lost is not waited for.
  ~world() { drop_goroutines(rt_.get(), false); }

  simulation& operator*() noexcept { return *sim_; }
  bool clean() const noexcept { return live_goroutines(rt_.get()) == 0 && rt_->outside_timers.next() == detail::never; }

 private:
  std::unique_ptr<detail::runtime_state, void (*)(detail::runtime_state*)> rt_;
  std::optional<simulation> sim_;
};

class runner {
 public:
  runner(const std::function<void()>& body, simulation::limits l, const std::function<bool()>& failed)
      : body_(body), limits_(l), failed_(failed) {
    if (current()->rt != nullptr) throw misuse("skein: a simulation inside a goroutine");
    check_fork();
    install_fault_handlers();
#if defined(SKEIN_TSAN_FIBERS)
    // While a process has but one thread the standard library counts references without atomics, which
    // the race detector would take for a race between goroutines.
    [[maybe_unused]] static const bool threaded = (std::thread([] {}).join(), true);
#endif
  }

  // run() is why the schedule failed, if it did.
  std::optional<std::string> run(schedule& s, trace* t = nullptr) {
    if (!world_) world_.emplace();
    std::optional<std::string> why = (**world_).run(body_, s, limits_, t);
    total_.schedules += 1;
    total_.steps += (**world_).steps();
    if (why || !world_->clean()) world_.reset();
    if (!why && failed_ && failed_()) why = "an expectation did not hold";
    return why;
  }

  // explain() runs a schedule that failed again, for its trace.
  [[noreturn]] void explain(std::uint64_t seed, schedule& s, const std::string& why) {
    trace t;
    const auto again = run(s, &t);
    std::string text = t.text();
    if (again != why)
      text += "  The second run, which wrote this trace, " + (again ? "failed otherwise: " + *again : std::string("did not fail")) +
              ".\n  The body depends on something besides the schedule.\n";
    throw failure(seed, s.name(), why, text);
  }

  const summary& total() const noexcept { return total_; }

 private:
  const std::function<void()>& body_;
  const simulation::limits limits_;
  const std::function<bool()>& failed_;
  std::optional<world> world_;
  summary total_;
};

void replay_one(std::uint64_t seed, schedule& s, const std::function<void()>& body, const explore_options& o) {
  runner r(body, {o.max_steps, o.leaks}, o.failed);
  trace t;
  if (const auto why = r.run(s, &t)) throw failure(seed, s.name(), *why, t.text());
}

}  // namespace

failure::failure(std::uint64_t seed, std::string schedule, std::string reason, std::string trace)
    : std::runtime_error("skein: simulation, schedule " + schedule + ": " + reason + "\n" + trace),
      seed_(seed),
      schedule_(std::move(schedule)),
      reason_(std::move(reason)),
      trace_(std::move(trace)) {}

summary explore(const std::function<void()>& body, const explore_options& o) {
  runner r(body, {o.max_steps, o.leaks}, o.failed);
  for (std::uint64_t i = 0; i < o.schedules; ++i) {
    const std::uint64_t seed = o.first_seed + i;
    if (const auto why = r.run(*seeded(seed, o.strategy, o.depth))) r.explain(seed, *seeded(seed, o.strategy, o.depth), *why);
  }
  return r.total();
}

summary exhaust(const std::function<void()>& body, const exhaust_options& o) {
  runner r(body, {o.max_steps, o.leaks}, o.failed);
  listed_schedule s(o.preemptions);
  do {
    if (r.total().schedules == o.most) {
      summary part = r.total();
      part.complete = false;
      return part;
    }
    if (const auto why = r.run(s)) {
      s.restart();
      r.explain(r.total().schedules, s, *why);
    }
  } while (s.next());
  return r.total();
}

void replay(std::uint64_t seed, const std::function<void()>& body, const explore_options& o) {
  replay_one(seed, *seeded(seed, o.strategy, o.depth), body, o);
}

void replay(const std::string& schedule, const std::function<void()>& body, const explore_options& o) {
  if (!schedule.starts_with('x')) {
    replay(std::stoull(schedule), body, o);
    return;
  }
  listed_schedule s(schedule);
  replay_one(0, s, body, o);
}

void point() { sched::attend_if_asked("point"); }

}  // namespace skein::inline SKEIN_ABI::test
