#include "sched/sim.hpp"

#include <errno.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "parts/locals.hpp"
#include "sched/goexit.hpp"

namespace skein::inline SKEIN_ABI {

namespace arch {

detail::atomic<std::uint32_t> simulations{0};

void watch_edge(const void* at, bool release) noexcept {
  const sched::worker* w = sched::current();
  if (w->rt == nullptr || w->rt->sim == nullptr) return;
  const sys::unseen own;
  sched::simulation& sim = *w->rt->sim;
  const std::uint32_t who = sim.current_number();
  release ? sim.order().release(who, at) : sim.order().acquire(who, at);
}

}  // namespace arch

namespace sched {
namespace {

constexpr std::int64_t beginning = 1'000'000'000;

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

simulation::simulation(runtime_state* rt) : rt_(rt) {
  worker_.rt = rt;
  worker_.attention_word.store(attention::simulated, std::memory_order_relaxed);
  worker_.in_runtime.store(1, std::memory_order_relaxed);
  worker_.exceptions = abi::__cxa_get_globals();
  worker_.errno_place = &errno;
  rt->sim = this;
}

simulation::~simulation() {
  const sys::unseen own;
  runnable_ = {};
  ids_ = {};
  infos_ = {};
  fakes_ = {};
}

simulation::info& simulation::info_of(const goroutine* g) noexcept {
  const std::size_t i = detail::goroutine_slab::number_of(g);
  if (i >= infos_.size()) infos_.resize(i + 16);
  return infos_[i];
}

std::uint32_t simulation::current_number() const noexcept {
  return worker_.g == nullptr ? 0 : infos_[detail::goroutine_slab::number_of(worker_.g)].number;
}

void simulation::note(std::uint32_t who, const act& a, const char* how) {
  if (trace_ != nullptr) trace_->note(steps_, clock_ - beginning, who, how, a);
}

void simulation::ready(goroutine* g) noexcept {
  if (current() != &worker_) base::fatal("a goroutine of a simulation was woken by another thread");
  const bool fresh = (g->hold.load(std::memory_order_relaxed) & goroutine::fresh) != 0;
  if (!fresh && g->state.load(std::memory_order_relaxed) == status::runnable)
    base::fatal("a goroutine of a simulation was made ready twice");
  const sys::unseen own;
  g->state.store(status::runnable, std::memory_order_relaxed);
  info& i = info_of(g);
  if (fresh) {
    i = {++started_, nullptr, {"", nullptr, nullptr}, steps_};
    note(i.number, {"is started", nullptr, g->site});
  }
  runnable_.push_back(g);
  ids_.push_back(i.number);
}

// take() takes the i-th out of those who can run.
goroutine* simulation::take(std::size_t i) noexcept {
  goroutine* g = std::exchange(runnable_[i], runnable_.back());
  runnable_.pop_back();
  ids_[i] = ids_.back();
  ids_.pop_back();
  return g;
}

void simulation::fail(std::string why) noexcept {
  if (!error_) error_ = std::move(why);
}

// somebody_else() decides whether g, at a point, gives way; to picked_, or to what the loop finds.
bool simulation::somebody_else(goroutine* g, bool yielding) noexcept {
  if (error_ || steps_ > max_steps_) return true;
  if (runnable_.empty()) {
    const bool due = rt_->outside_timers.next() <= clock_;
    return due && (yielding || choices_->pick(2) != 0);
  }
  const std::size_t next = choices_->at_point(info_of(g).number, ids_, yielding);
  if (next != 0) picked_ = take(next - 1);
  return next != 0;
}

void simulation::point(worker* w, const act& a) noexcept {
  goroutine* g = w->g;
  if (g == nullptr) return;
  {
    const sys::unseen own;
    ++steps_;
    info& i = info_of(g);
    i.last = a;
    i.since = steps_;
    note(i.number, a);
    if (!somebody_else(g, a.name == yields)) return;
  }
  ready(g);
  switch_away(w, g, nullptr);
}

void attend_simulated(worker* w, const act& a) noexcept { w->rt->sim->point(w, a); }

// The simulation that runs may be another thread's.
void release_simulated(const char* name, const void* object, const void* at, const void* site) noexcept {
  worker* w = current();
  if ((w->attention_word.load(std::memory_order_relaxed) & attention::simulated) != 0)
    attend_simulated(w, {name, object, site});
  arch::watch_edge(at, true);
}

void simulation::parks(const goroutine* g) noexcept {
  const sys::unseen own;
  note(info_of(g).number, {detail::name(g->state.load(std::memory_order_relaxed)), nullptr, nullptr}, "waits: ");
}

// One at a time: between two that are due at one moment others may run.
void simulation::fire_one() noexcept {
  note(0, {"fires a deadline", nullptr, nullptr});
  clocks_.forget(0);
  goroutine_list due;
  rt_->outside_timers.choose_first([this](std::uint32_t n) { return pick(n); });
  rt_->outside_timers.run(clock_, due, 1);
  while (goroutine* g = due.pop()) ready(g);
}

// What goroutines run: as the program says, but an exception that nobody catches ends the schedule, not
// the process.
void simulation::run_guarded(void* closure) {
  goroutine* g = current_goroutine();
  simulation* sim = runtime_of(g)->sim;
  g->run = sim->info_of(g).run;
  arch::watch_edge(g, false);  // its start
  try {
    g->run(closure);
  } catch (goexit&) {
    throw;
  } catch (...) {
    sim->fail("g" + std::to_string(sim->current_number()) + " threw: " + text_of(std::current_exception()));
  }
}

void simulation::run_body(void* closure) {
  auto* sim = *static_cast<simulation**>(closure);
  struct ender {
    simulation* sim;
    ~ender() {
      detail::end_locals(current_goroutine());
      arch::edge_release(sim);
      sim->rt_->main_done.store(1, std::memory_order_relaxed);
    }
  } end{sim};
  try {
    (*sim->body_)();
  } catch (goexit&) {
    throw;
  } catch (...) {
    sim->fail(text_of(std::current_exception()));
  }
}

void simulation::execute_next(goroutine* g) noexcept {
  if ((g->hold.load(std::memory_order_relaxed) & goroutine::fresh) != 0) {
    if (!ensure_stack(rt_, nullptr, g)) base::fatal("out of address space for the stacks of a simulation");
    const sys::unseen own;
    info_of(g).run = std::exchange(g->run, &run_guarded);
  }
  execute(&worker_, g);
}

simulation::outcome simulation::go_on(const limits& l) {
  for (;;) {
    const bool body_over = rt_->main_done.load(std::memory_order_relaxed) != 0;
    if (error_ || (body_over && (!l.leaks || live_goroutines(rt_) == 0))) return outcome::done;
    if (steps_ > max_steps_) return outcome::livelock;
    if (picked_ == nullptr) {
      if (runnable_.empty()) {
        const std::int64_t next = rt_->outside_timers.next();
        if (next == detail::never) return body_over ? outcome::leak : outcome::deadlock;
        clock_ = std::max(clock_, next);
      }
      if (rt_->outside_timers.next() <= clock_ && (runnable_.empty() || choices_->pick(2) == 0)) {
        ++steps_;
        fire_one();
        continue;
      }
      picked_ = take(choices_->after_park(ids_));
    }
    execute_next(std::exchange(picked_, nullptr));
  }
}

// For each goroutine that is left, where it stands.
void simulation::note_who_is_left() {
  rt_->slab.for_each([&](goroutine& g, std::size_t) {
    const status s = g.state.load(std::memory_order_relaxed);
    if (s == status::free || s == status::ended) return;
    const info& i = info_of(&g);
    trace_->note(i.since, clock_ - beginning, i.number, detail::is_parked(g) ? "is left, waiting: " : "is left: ", i.last);
  });
}

std::optional<std::string> simulation::run(const std::function<void()>& body, schedule& choices, const limits& l, trace* t) {
  static atomic<std::uint64_t> schedules{0};
  number_ = schedules.fetch_add(1, std::memory_order_relaxed) + 1;
  body_ = &body;
  choices_ = &choices;
  trace_ = t;
  clock_ = beginning;
  steps_ = 0;
  max_steps_ = l.steps;
  started_ = 0;
  rt_->main_done.store(0, std::memory_order_relaxed);
  outcome how;
  {
    struct seat {  // this thread is the simulation's worker for the time
      explicit seat(worker* own) noexcept : before(std::exchange(arch::skein_current_worker, own)) {
        arch::simulations.fetch_add(1, std::memory_order_relaxed);
      }
      ~seat() {
        arch::simulations.fetch_sub(1, std::memory_order_relaxed);
        arch::skein_current_worker = before;
      }
      worker* before;
    } s(&worker_);
    simulation* self = this;
    goroutine* g = new_goroutine(rt_, {}, nullptr);
    g->run = &run_body;
    __builtin_memcpy(g->closure, &self, sizeof self);
    arch::edge_release(g);
    ready(g);
    how = go_on(l);
    if (trace_ != nullptr && (error_ || how != outcome::done)) note_who_is_left();
    clocks_.stop();
  }
  arch::edge_acquire(this);
  arch::edge_acquire(&rt_->live_threads);  // what goroutines did comes before the end of the schedule
  switch (how) {
    case outcome::done: break;
    case outcome::deadlock: fail("all goroutines are asleep - deadlock"); break;
    case outcome::leak: fail("a goroutine is left after the end of the body"); break;
    case outcome::livelock: fail("no end after the given number of steps"); break;
  }
  return error_;
}

}  // namespace sched
}  // namespace skein::inline SKEIN_ABI
