// The scheduler loop of a worker: find a goroutine, run it, again.
//
// Order of looking: what a parking goroutine picked; timers that are due; one goroutine from the
// global queue at every look, so that it is not starved by local ones, but never two in a row, so
// that those who give way to all for ever do not starve the local ones; a tired one (who has used up
// its time slice) if none has had a turn for a slice; the own queue; the LIFO slot (behind the queue,
// so that two goroutines that wake each other for ever do not keep the others waiting); the global
// queue in bulk; the poller; a tired one; other processors' queues.
#include "sched/sched.hpp"

#include <sched.h>

#include <algorithm>

#include "sched/sim.hpp"
#include "sched/stack_report.hpp"
#include "sched/trim.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

constexpr std::int64_t spin_ns = 50'000;
constexpr std::int64_t tired_ns = 10'000'000;
constexpr std::uint32_t polls_at_looks = 16;  // every so many looks a busy processor polls
constexpr std::uint64_t steal_cycles = 30'000; // a queue is worth stealing from 10 us of work on
constexpr std::uint64_t watch_cycles = 10'000;
constexpr std::uint64_t trifle_cycles = 600;   // about 0.2 us
constexpr std::uint64_t tiny_cycles = 1500;    // a goroutine that runs for less is tiny: about 0.5 us

bool due(detail::timers& t, std::int64_t now) noexcept { return t.next() <= now; }

// Runs the timers of `of` and queues what they make ready on p.
bool run_timers(proc* p, detail::timers& of, std::int64_t now) noexcept {
  goroutine_list list;
  if (of.run(now, list) == 0) return false;
  send_home(p->rt, list);
  make_ready(p, list);
  return true;
}

bool try_poll(runtime_state* rt, proc* p) noexcept {
  goroutine_list list;
  poll_now(rt, list);
  if (list.head == nullptr) return false;
  make_ready(p, list);
  return true;
}

// A core is free for spinning if no more processors are in use than there are cores.
bool may_spin(runtime_state* rt) noexcept {
  const auto procs = static_cast<std::uint32_t>(rt->procs.load(std::memory_order_relaxed));
  const std::uint32_t idle = rt->idle_procs.load(std::memory_order_relaxed);
  return procs > 1 && procs - std::min(idle, procs) <= static_cast<std::uint32_t>(rt->cpus);
}

// worth_stealing() watches a victim for a moment. Stealing moves cache lines and lets two workers
// fight over a queue: one that moves is left alone unless its queue will keep it busy for a while at
// the pace it shows; one that does not move is in a goroutine that takes its time. The pace is
// measured from one switch to a later one, so that what went before the first does not count.
bool worth_stealing(const proc* victim) noexcept {
  std::uint64_t seen = victim->switches.load(std::memory_order_relaxed);
  std::uint64_t since = detail::cycles();
  for (bool moving = false;;) {
    for (int i = 0; i < 10; ++i) detail::cpu_relax();
    const std::uint64_t now = detail::cycles();
    const std::uint64_t switches = victim->switches.load(std::memory_order_relaxed);
    if (switches == seen) {
      if (now - since >= watch_cycles) return true;
    } else if (moving) {
      return victim->queue.size() * ((now - since) / (switches - seen)) >= steal_cycles;
    } else {
      moving = true;
      seen = switches;
      since = now;
    }
  }
}

goroutine* steal(worker* w, proc* p) noexcept {
  runtime_state* rt = w->rt;
  const int n = rt->made_procs.load(std::memory_order_acquire);
  int at = static_cast<int>(p->random.below(static_cast<std::uint32_t>(n)));
  for (int i = 0; i < n; ++i, at = at + 1 == n ? 0 : at + 1) {
    proc* victim = rt->all_procs[at].load(std::memory_order_acquire);
    if (victim == p) continue;
    if (!victim->queue.empty() && worth_stealing(victim))
      if (goroutine* g = p->queue.steal_from(victim->queue)) {
        bump(p->steals);
        return g;
      }
    if (victim->timers.next() != detail::never && run_timers(p, victim->timers, clock_of(rt))) return p->queue.pop();
  }
  return nullptr;
}

// Looks around for a while before giving up; others see it in `spinning` and wake nobody else.
goroutine* spin(worker* w, proc* p) noexcept {
  runtime_state* rt = w->rt;
  if (!w->spinning) {
    std::uint32_t none = 0;
    if (!may_spin(rt) || !rt->spinning.compare_exchange_strong(none, 1, std::memory_order_relaxed)) return steal(w, p);
    w->spinning = true;
  }
  const std::int64_t until = clock_of(rt) + spin_ns;
  do {
    if (goroutine* g = steal(w, p)) return g;
    if (rt->inject.size() != 0 || rt->stopping.load(std::memory_order_relaxed) ||
        w->attention_word.load(std::memory_order_relaxed) != 0)
      return nullptr;
    for (int i = 0; i < 50; ++i) detail::cpu_relax();
  } while (may_spin(rt) && clock_of(rt) < until);
  return nullptr;
}

// A worker that has run what it took from others finds out whether that was worth it: goroutines that
// do next to nothing cost more to move to another core than to run. Then it leaves the rest to the
// workers that are busy with it, for the time being (go_idle() sees to it that somebody is).
void note_taken(worker* w, proc* p) noexcept {
  w->taken_at = detail::cycles();
  w->taken_switches = p->switches.load(std::memory_order_relaxed);
}
bool was_trifle(worker* w, proc* p) noexcept {
  if (w->taken_at == 0) return false;
  const std::uint64_t ran = p->switches.load(std::memory_order_relaxed) - w->taken_switches;
  const std::uint64_t passed = detail::cycles() - w->taken_at;
  w->taken_at = 0;
  return ran >= 8 && passed / ran < trifle_cycles;
}

goroutine* take_injected(proc* p, std::size_t n) noexcept {
  goroutine* some[detail::run_queue::slots / 2];
  n = p->rt->inject.pop(some, std::min(n, std::size(some)));
  if (n == 0) return nullptr;
  for (std::size_t i = 1; i < n; ++i) push_local(p, some[i]);
  if (n > 1) maybe_wake(p->rt);
  return some[0];
}

goroutine* take_tired(proc* p) noexcept {
  if (p->rt->inject.tired() == 0) return nullptr;
  p->tired_at = clock_of(p->rt);
  return p->rt->inject.pop_tired();
}

proc* held_proc(worker* w) noexcept {
  proc* p = w->held.load(std::memory_order_relaxed);
  return p != nullptr ? p : settled_proc(w);
}

// find() returns a goroutine to run, or null when the processor was given up or the end has come.
goroutine* find(worker* w, proc* p) noexcept {
  runtime_state* rt = w->rt;
  for (;;) {
    if (rt->stopping.load(std::memory_order_acquire)) return nullptr;
    w->attention_word.fetch_and(~(attention::slice | attention::crowd | attention::look), std::memory_order_relaxed);
    if (p->retired.load(std::memory_order_relaxed)) {
      retire_if_asked(w, p);
      return nullptr;
    }
    p->until_look = look_every;
    if (p->timers.next() != detail::never) {
      const std::int64_t now = clock_of(rt);
      if (due(p->timers, now)) run_timers(p, p->timers, now);
    }
    const int made = rt->made_procs.load(std::memory_order_acquire);
    for (int i = rt->procs.load(std::memory_order_relaxed); i < made; ++i) {  // processors out of use
      detail::timers& left = rt->all_procs[i].load(std::memory_order_acquire)->timers;
      if (left.next() != detail::never) run_timers(p, left, clock_of(rt));
    }
    if (rt->outside_timers.next() != detail::never) {
      const std::int64_t now = clock_of(rt);
      if (due(rt->outside_timers, now)) run_timers(p, rt->outside_timers, now);
    }
    if (++p->looks % polls_at_looks == 0) try_poll(rt, p);
    const std::uint64_t ran = p->switches.load(std::memory_order_relaxed);
    if (rt->inject.fresh() != 0 && ran != p->injected_at + 1 && has_local_work(p))
      if (goroutine* g = take_injected(p, 1)) {
        p->injected_at = ran;
        return g;
      }
    if (rt->inject.tired() != 0 && clock_of(rt) - p->tired_at >= tired_ns)
      if (goroutine* g = take_tired(p)) return g;
    if (p->batch.left() != 0) return p->batch.pop();
    if (goroutine* g = p->queue.pop()) return g;
    if (goroutine* g = p->lifo.load(std::memory_order_relaxed)) {
      p->lifo.store(nullptr, std::memory_order_relaxed);
      return g;
    }
    if (was_trifle(w, p)) {
      if (go_idle(w, p, true) == idle_result::sleep) return nullptr;
      p = held_proc(w);
    }
    if (rt->inject.fresh() != 0) {
      const auto share = rt->inject.fresh() / static_cast<std::size_t>(rt->procs.load(std::memory_order_relaxed)) + 1;
      if (goroutine* g = take_injected(p, share)) {
        note_taken(w, p);
        return g;
      }
    }
    if (try_poll(rt, p)) continue;
    if (goroutine* g = take_tired(p)) return g;
    if (goroutine* g = spin(w, p)) {
      note_taken(w, p);
      return g;
    }
    if (rt->inject.size() != 0) continue;
    if (go_idle(w, p, false) == idle_result::sleep) return nullptr;
    p = held_proc(w);
  }
}

// await_released() waits until a goroutine taken from a queue has left the stack it parks on. False
// when that takes long: the thread it parks on has lost its core.
bool await_released(const goroutine* g) noexcept {
  for (int i = 0; i < 2000; ++i) {
    if ((g->hold.load(std::memory_order_acquire) & goroutine::on_cpu) == 0) return true;
    detail::cpu_relax();
  }
  return false;
}

// A goroutine tied to another thread goes there, with this worker's processor.
void hand_to_locked(worker* w, proc* p, goroutine* g) noexcept {
  worker* to = g->locked_to;
  unbind(w, p);
  runtime_state* rt = w->rt;
  rt->idle_lock.lock();
  to->given_g = g;
  to->given = p;
  rt->idle_lock.unlock();
  to->wake.store(1, std::memory_order_release);
  sys::futex_wake(to->wake, 1);
}

// The thread of a locked goroutine that is parked waits for it, and for nothing else.
bool await_locked(worker* w, proc* p) noexcept {
  if (p != nullptr) {
    unbind(w, p);
    release_proc(p);
  }
  return sleep_for_proc(w);
}

}  // namespace

// look_is_due() is asked every so many switches: must the loop look at anything but the own slots?
bool look_is_due(proc* p) noexcept {
  p->until_look = look_every;
  const runtime_state* rt = p->rt;
  if (rt->inject.size() != 0) return true;
  if (p->lifo.load(std::memory_order_relaxed) != nullptr && (p->batch.left() != 0 || !p->queue.empty())) return true;
  if (rt->io.waiters() != 0 && ++p->looks % polls_at_looks == 0) return true;
  if (rt->made_procs.load(std::memory_order_relaxed) != rt->procs.load(std::memory_order_relaxed)) return true;
  const std::int64_t next = std::min(p->timers.next(), rt->outside_timers.next());
  return next != detail::never && next <= clock_of(p->rt);
}

// refill() takes a batch from the queue. The batch doubles while its goroutines prove tiny, so that
// what it hides from other processors is a few microseconds of work.
goroutine* refill(proc* p) noexcept {
  if (p->queue.empty()) return nullptr;
  if (p->batch_size == 1 && ++p->looks % 4 != 0) return p->queue.pop();
  const std::uint64_t now = detail::cycles();
  const bool tiny = now - p->batch_since < p->batch_size * tiny_cycles;
  p->batch_since = now;
  p->batch_size = !tiny ? 1 : std::min(p->batch_size * 2, detail::run_batch::most);
  p->batch.fill(p->queue, p->batch_size);
  return p->batch.left() != 0 ? p->batch.pop() : nullptr;
}

void make_ready(proc* p, goroutine_list& list) noexcept {
  if (list.head == nullptr) return;
  while (goroutine* g = list.pop()) push_local(p, g);
  maybe_wake(p->rt);
}

void send_home(runtime_state* rt, goroutine_list& list) noexcept {
  goroutine_list ours;
  while (goroutine* g = list.pop()) runtime_of(g) == rt ? ours.push(g) : ready_slow(g);
  list = ours;
}

void count_park(worker* w) noexcept {
  w->rt->parks.fetch_add(1, std::memory_order_relaxed);
  if (w->rt->sim != nullptr) w->rt->sim->parks(w->g);
}

void execute(worker* w, goroutine* g) noexcept {
  begin_run(w, g);
  void* before = arch::switch_context(&w->loop, &g->ctx, nullptr);
  w->g = nullptr;
  release_held(before);
  reclaim(w);
}

// Some stacks have no guard: from now on every entry checks the canary of the stack it stands on.
static void watch_canaries(runtime_state* rt) noexcept {
  if (rt->canaries.exchange(true, std::memory_order_relaxed)) return;
  rt->idle_lock.lock();
  for (worker* w = rt->all_workers; w != nullptr; w = w->next_all) w->attention_word.fetch_or(attention::canary, std::memory_order_relaxed);
  rt->idle_lock.unlock();
}

bool ensure_stack(runtime_state* rt, proc* p, goroutine* g) noexcept {
  if ((g->hold.load(std::memory_order_relaxed) & goroutine::fresh) == 0) return true;
  if (p == nullptr || !give_stack(p, g)) {
    const bool cached = p != nullptr && g->stack_class == p->stack_class;
    arch::stack* s = rt->stacks.take(g->stack_class, cached ? detail::shrunk(32, 2) : 1);
    if (s == nullptr) return false;
    if (rt->stacks.any_unguarded()) watch_canaries(rt);
    arch::stack* rest = s->next;
    set_stack(g, s);
    if (rest != nullptr) {
      std::uint32_t n = 0;
      for (arch::stack* r = rest; r != nullptr; r = r->next) ++n;
      p->stacks = rest;
      p->stack_count = n;
    }
  }
  if (stacks_watched()) clean_stack(*static_cast<const arch::stack*>(g->ctx.bx));
  return true;
}

void put_stack(proc* p, arch::stack* s) noexcept {
  constexpr std::uint32_t most = detail::shrunk(128u, 4u);
  if (p->stack_count >= most) {
    // The older half goes to the pool. s is still being stood on, so it stays.
    arch::stack* keep = p->stacks;
    for (std::uint32_t i = 1; i < most / 2; ++i) keep = keep->next;
    p->rt->stacks.put(s->cls, keep->next);
    keep->next = nullptr;
    p->stack_count = most / 2;
  }
  s->next = p->stacks;
  p->stacks = s;
  ++p->stack_count;
}

void reclaim(worker* w) noexcept {
  if (w->dead_stack != nullptr) {
    arch::stack* s = w->dead_stack;
    w->dead_stack = nullptr;
    if (w->dead != nullptr && stacks_watched()) note_depth(*w->dead, *s, true);
    s->next = nullptr;
    w->rt->stacks.put(s->cls, s);
  }
  if (w->dead != nullptr) {
    goroutine* g = w->dead;
    w->dead = nullptr;
    if (w->locked_g == g) {
      g->lock_depth = 0;
      w->locked_g = nullptr;
      w->attention_word.fetch_and(~attention::locked, std::memory_order_relaxed);
    }
    free_goroutine(w->rt, nullptr, g);
  }
}

void run_worker_loop(worker* w) noexcept {
  runtime_state* rt = w->rt;
  for (;;) {
    // Here in_runtime is set: a monitor that takes the processor puts it back.
    proc* p = held_proc(w);
    if (rt->stopping.load(std::memory_order_acquire)) return;
    if (w->locked_g != nullptr && w->picked != w->locked_g) {
      if (!await_locked(w, p)) return;
      continue;
    }
    if (p == nullptr) {
      no_stray(w);
      // A goroutine picked before the processor was lost must not wait for this worker's next one.
      if (w->picked != nullptr && w->picked != w->locked_g) {
        goroutine* g = w->picked;
        w->picked = nullptr;
        rt->inject.push(g);
        maybe_wake(rt);
      }
      if (rt->draining.load(std::memory_order_acquire)) check_drained(rt);
      if (!sleep_for_proc(w)) return;
      continue;
    }
    goroutine* g = w->picked;
    w->picked = nullptr;
    if (g == nullptr) g = find(w, p);
    if (g == nullptr) continue;
    p = held_proc(w);
    if (w->spinning) stop_spinning(w);
    if (!await_released(g)) {
      goroutine_list back;
      back.push(g);
      rt->inject.push(back);
      ::sched_yield();
      continue;
    }
    unmark(g);
    if ((g->hold.load(std::memory_order_relaxed) & goroutine::locked) != 0 && g->locked_to != w) {
      hand_to_locked(w, p, g);
      continue;
    }
    if (must_move(w, g)) {
      hand_to_another(w, p, g);
      continue;
    }
    if (!ensure_stack(rt, p, g))
      base::fatal("out of address space or memory for goroutine stacks; see options.stack and ulimit -v");
    bump(p->switches);
    execute(w, g);
  }
}

}  // namespace skein::inline SKEIN_ABI::sched
