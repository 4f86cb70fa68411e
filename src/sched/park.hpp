// The door into the scheduler: park() gives the worker to another goroutine, ready() makes one
// runnable. Everything that blocks in skein goes through these two.
//
// park(): the caller has published its waiter and dropped every lock. It may be made ready, and even
// taken from a queue by another worker, before its registers are saved; `hold` keeps that worker
// from switching to it (goroutine.hpp). For the same reason nobody waits for a `hold` while standing
// on a goroutine's stack: two workers could wait for each other. A goroutine whose turn it is but
// that is still held goes to the scheduler loop, which stands on the thread's own stack.
//
// The short way takes the next goroutine from the processor's own slots and switches straight to it.
// Everything else (attention, nothing local, a look at the other queues is due, no stack in the
// cache) is the scheduler loop's.
#pragma once

#include "base/check.hpp"
#include "sched/state.hpp"

namespace skein::inline SKEIN_ABI::sched {

SKEIN_ALWAYS_INLINE worker* current() noexcept { return arch::current_worker(); }

// enter(), leave() bracket the use of the processor; enter() gives null to a thread or goroutine
// that has none at the moment.
SKEIN_ALWAYS_INLINE proc* enter(worker* w) noexcept {
  w->in_runtime.store(1, std::memory_order_relaxed);
  light_barrier();
  return w->held.load(std::memory_order_relaxed);
}
SKEIN_ALWAYS_INLINE void leave(worker* w) noexcept { w->in_runtime.store(0, std::memory_order_release); }

// settled_proc() settles what enter() saw as null: it waits for a monitor that is taking the processor
// and may give it back. Returns the processor after all, or null.
proc* settled_proc(worker* w) noexcept;

// act tells a simulation what an operation is: its name, what it is about, who called it.
struct act {
  const char* name;
  const void* object;
  const void* site;
};

void attend(worker* w, const act& a);
// attend_if_asked() is the first thing every operation that may block or wake does.
SKEIN_ALWAYS_INLINE void attend_if_asked(const char* name, const void* object = nullptr) {
  worker* w = current();
  if (w->attention_word.load(std::memory_order_relaxed) != 0) [[unlikely]]
    attend(w, {name, object, __builtin_return_address(0)});
}
// show() is for the others, that only a simulation has to know of.
void attend_simulated(worker* w, const act& a) noexcept;
SKEIN_ALWAYS_INLINE void show(const char* name, const void* object = nullptr) noexcept {
  worker* w = current();
  if ((w->attention_word.load(std::memory_order_relaxed) & attention::simulated) != 0) [[unlikely]]
    attend_simulated(w, {name, object, __builtin_return_address(0)});
}
// show_release() is show() and then edge_release(), for the end of a hold. It looks at no attention word: where no
// simulation runs it costs what the edge costs.
void release_simulated(const char* name, const void* object, const void* at, const void* site) noexcept;
SKEIN_ALWAYS_INLINE void show_release(const char* name, const void* object, const void* at) noexcept {
  if (arch::any_simulation()) [[unlikely]] release_simulated(name, object, at, __builtin_return_address(0));
  arch::unwatched_edges::release(at);
}

SKEIN_ALWAYS_INLINE goroutine* current_goroutine() noexcept { return current()->g; }
SKEIN_ALWAYS_INLINE runtime_state* runtime_of(const goroutine* g) noexcept {
  return detail::goroutine_slab::owner_of(g);
}

// bump() counts for the owner of a counter: a plain increment that others may read.
SKEIN_ALWAYS_INLINE void bump(atomic<std::uint64_t>& n) noexcept {
  n.store(n.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// take_local() is the goroutine to run next from the processor's own slots, or null when there is
// none, or when the loop has to look at everything else: then until_look is at its start.
goroutine* refill(proc* p) noexcept;
bool look_is_due(proc* p) noexcept;
SKEIN_ALWAYS_INLINE goroutine* take_local(proc* p) noexcept {
  if (--p->until_look == 0) [[unlikely]]
    if (look_is_due(p)) return nullptr;
  if (goroutine* g = p->lifo.load(std::memory_order_relaxed)) {
    p->lifo.store(nullptr, std::memory_order_relaxed);
    return g;
  }
  if (p->batch.left() != 0) return p->batch.pop();
  return refill(p);
}

// give_stack() prepares a goroutine that has not started; false when the cache has no stack for it.
SKEIN_ALWAYS_INLINE void set_stack(goroutine* g, arch::stack* s) noexcept {
  g->ctx.sp = s->top();
  g->ctx.bx = s;
  g->ctx.ip = reinterpret_cast<void*>(&skein_goroutine_start);
#if defined(SKEIN_SEES_ASAN)
  g->ctx.bottom = s->limit();
  g->ctx.size = static_cast<std::size_t>(s->top() - s->limit());
#endif
#if defined(SKEIN_TSAN_FIBERS)
  g->ctx.fiber = s->own_fiber();
#endif
}
SKEIN_ALWAYS_INLINE bool give_stack(proc* p, goroutine* g) noexcept {
  arch::stack* s = p->stacks;
  if (s == nullptr || g->stack_class != p->stack_class) [[unlikely]] return false;
  p->stacks = s->next;
  --p->stack_count;
  set_stack(g, s);
  return true;
}

// must_move() in a build with SKEIN_FORCE_MIGRATION: a goroutine that goes on does so on another thread
// than the one it left, always. For tests, to find what a compiler or a library keeps per thread.
#if defined(SKEIN_FORCE_MIGRATION)
SKEIN_ALWAYS_INLINE bool must_move(const worker* w, const goroutine* g) noexcept {
  return g->ran_on == w && (g->hold.load(std::memory_order_relaxed) & (goroutine::fresh | goroutine::locked)) == 0;
}
SKEIN_ALWAYS_INLINE void note_ran(worker* w, goroutine* g) noexcept { g->ran_on = w; }
#else
SKEIN_ALWAYS_INLINE bool must_move(const worker*, const goroutine*) noexcept { return false; }
SKEIN_ALWAYS_INLINE void note_ran(worker*, goroutine*) noexcept {}
#endif

// ready_to_run() makes sure that a goroutine taken from a queue can be switched to: it has left the
// stack it parked on, is not tied to a thread, and has a stack. False: the loop sees to it.
SKEIN_ALWAYS_INLINE bool ready_to_run(proc* p, goroutine* g) noexcept {
  const std::uint8_t h = g->hold.load(std::memory_order_acquire);  // pairs with release_held()
  return (h == 0 && !must_move(p->holder.load(std::memory_order_relaxed), g)) || (h == goroutine::fresh && give_stack(p, g));
}

// begin_run() makes g the running goroutine of w; the switch follows.
SKEIN_ALWAYS_INLINE void begin_run(worker* w, goroutine* g) noexcept {
  g->hold.store((g->hold.load(std::memory_order_relaxed) & goroutine::locked) | goroutine::on_cpu, std::memory_order_relaxed);
  g->state.store(status::running, std::memory_order_relaxed);
  note_ran(w, g);
  w->g = g;
}

// release_held() lets others run the goroutine that this context was switched to from.
SKEIN_ALWAYS_INLINE void release_held(void* before) noexcept {
  if (before == nullptr) return;
  auto* g = static_cast<goroutine*>(before);
  g->hold.store(g->hold.load(std::memory_order_relaxed) & goroutine::locked, std::memory_order_release);
}

// What travels with a goroutine besides its registers: errno, and the exceptions it is handling.
struct eh_globals {  // the layout that the C++ ABI gives __cxa_eh_globals
  void* caught;
  unsigned uncaught;
};
SKEIN_ALWAYS_INLINE eh_globals* exceptions(worker* w) noexcept { return reinterpret_cast<eh_globals*>(w->exceptions); }

// switch_with_errno() is switch_away() of a goroutine that handles no exception.
SKEIN_ALWAYS_INLINE void switch_with_errno(worker* w, goroutine* g, goroutine* n) noexcept {
  const int error = *w->errno_place;
  arch::context* to = &w->loop;
  bool fp = false;
  arch::fp_control modes;
  if (n != nullptr) {
    begin_run(w, n);
    to = &n->ctx;
  } else if (fp = (w->attention_word.load(std::memory_order_relaxed) & attention::fp) != 0; fp) {
    modes = arch::get_fp_control();
    arch::set_fp_control(w->rt->fp);
  }
  arch::unwatched_edges::release(&w->rt->live_threads);  // pairs with the end of a worker and of the runtime
  release_held(arch::switch_context(&g->ctx, to, g));
  if (fp) arch::set_fp_control(modes);
  w = current();                             // perhaps another one than before
  arch::unwatched_edges::acquire(&w->loop);  // its thread's start: what is thread_local there
  *w->errno_place = error;
}

// switch_away() leaves g for n, or for the scheduler loop when n is null, and returns when g runs
// again. The loop has the floating-point modes of the runtime, and so has every goroutine that begins.
void switch_in_handler(worker* w, goroutine* g, goroutine* n) noexcept;  // takes the exceptions along
SKEIN_ALWAYS_INLINE void switch_away(worker* w, goroutine* g, goroutine* n) noexcept {
  const eh_globals& e = *exceptions(w);
  if (e.caught != nullptr || e.uncaught != 0) [[unlikely]]
    switch_in_handler(w, g, n);
  else
    switch_with_errno(w, g, n);
}

void count_park(worker* w) noexcept;  // without a processor
void report_held_mutexes(const goroutine* g, status why) noexcept;  // in builds that check for them

// park() blocks the calling goroutine until somebody makes it ready. Ends inside the runtime: the
// caller goes on with leave().
SKEIN_ALWAYS_INLINE void park(worker* w, goroutine* g, status why) noexcept {
  if constexpr (detail::held_mutexes::kept) report_held_mutexes(g, why);
  g->state.store(why, std::memory_order_relaxed);
  proc* p = enter(w);
  goroutine* n = nullptr;
  p != nullptr ? bump(p->parks) : count_park(w);
  if (p != nullptr && w->attention_word.load(std::memory_order_relaxed) == 0) [[likely]] {
    n = take_local(p);
    if (n != nullptr) {
      if (ready_to_run(p, n)) [[likely]] {
        bump(p->switches);
      } else {
        w->picked = n;
        n = nullptr;
      }
    }
  }
  switch_away(w, g, n);
}

// resumed() ends a blocking operation: back to user code on whatever worker this is now.
SKEIN_ALWAYS_INLINE void resumed() noexcept { leave(current()); }

// ready() makes a parked (or parking) goroutine runnable on its own runtime. Callable from anywhere,
// with no lock held. Not from the scheduler loop, which has its own way (make_ready).
void ready_slow(goroutine* g) noexcept;
void push_surplus(proc* p, goroutine* g) noexcept;
// urgent: not to be throttled.
void wake_worker(runtime_state* rt, bool urgent) noexcept;

// maybe_wake() follows every act that makes work visible to others.
SKEIN_ALWAYS_INLINE void maybe_wake(runtime_state* rt) noexcept {
  light_barrier();  // pairs with the heavy_barrier of a worker that goes idle
  if (rt->idle_procs.load(std::memory_order_relaxed) != 0 && rt->spinning.load(std::memory_order_relaxed) == 0)
      [[unlikely]]
    wake_worker(rt, false);
}

SKEIN_ALWAYS_INLINE void push_local(proc* p, goroutine* g) noexcept {
  if (!p->queue.push(g)) [[unlikely]] push_surplus(p, g);
}

SKEIN_ALWAYS_INLINE void ready(goroutine* g) noexcept {
  worker* w = current();
  proc* p = enter(w);
  if (p == nullptr || p->rt != runtime_of(g)) [[unlikely]] {
    leave(w);
    ready_slow(g);
    return;
  }
  goroutine* before = p->lifo.load(std::memory_order_relaxed);
  p->lifo.store(g, std::memory_order_relaxed);
  if (before != nullptr) {
    push_local(p, before);
    maybe_wake(p->rt);
  }
  leave(w);
}

// ready_all() makes a list ready, in order, each once, at the back of the queue.
void ready_all(goroutine_list& list) noexcept;

// wake() ends the sleep of a claimed waiter, whatever its kind.
void wake_thread(waiter* w) noexcept;
SKEIN_ALWAYS_INLINE void wake(waiter* w) noexcept {
  if (goroutine* g = w->g) [[likely]]
    ready(g);
  else
    wake_thread(w);
}
// collect() is wake() for code that holds a lock or runs in the scheduler: goroutines go to a list.
inline void collect(waiter* w, goroutine_list& list) noexcept {
  if (w->g != nullptr)
    list.push(w->g);
  else
    wake_thread(w);
}

// thread_wait() blocks a plain thread until the waiter is woken, or claims it for `timeout_index`
// when the deadline passes first. when == never: no deadline.
void thread_wait(waiter& w, std::int64_t when, std::uint32_t timeout_index) noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
