// The scheduler's inside: what its own files share.
#pragma once

#include "sched/park.hpp"

namespace skein::inline SKEIN_ABI::sched {

// worker.cpp: the loop of a worker
void run_worker_loop(worker* w) noexcept;
// make_ready() puts goroutines at the back of a processor's queue, for whoever owns the processor.
void make_ready(proc* p, goroutine_list& list) noexcept;
// send_home() takes the goroutines of other runtimes out of list, which is what a deadline or a descriptor
// of rt has made ready, and makes them ready where they belong. No lock is held.
void send_home(runtime_state* rt, goroutine_list& list) noexcept;
void reclaim(worker* w) noexcept;      // frees what ended without a processor
// execute() runs g on this worker, with a stack already given, until somebody returns to the loop.
void execute(worker* w, goroutine* g) noexcept;
bool ensure_stack(runtime_state* rt, proc* p, goroutine* g) noexcept;
void put_stack(proc* p, arch::stack* s) noexcept;  // to p's cache; s is of the class that it holds

// idle.cpp
enum class idle_result { has_proc, sleep };
// go_idle() gives the processor up unless there is work after all; a worker that declines the work
// there is goes all the same if others are awake.
idle_result go_idle(worker* w, proc* p, bool declines) noexcept;
// sleep_for_proc() sleeps, in the poller or on the futex, until somebody gives the worker a processor
// or the runtime ends; false at the end.
bool sleep_for_proc(worker* w) noexcept;
proc* take_idle_proc(runtime_state* rt) noexcept;  // null if there is none
// poll_now() takes what is ready in the poller, unless somebody else is in it: a sleeper there sees
// the events itself.
void poll_now(runtime_state* rt, goroutine_list& list) noexcept;
// ensure_poller() sees to it that somebody sleeps in the poller if there is anything to poll for and
// anybody free to.
void ensure_poller(runtime_state* rt) noexcept;
// hand_to_another() has another worker run g, with p. Of a build with SKEIN_FORCE_MIGRATION.
void hand_to_another(worker* w, proc* p, goroutine* g) noexcept;
// release_proc() finds another worker for p, or lets it be idle. Any thread.
void release_proc(proc* p) noexcept;
inline bool has_local_work(const proc* p) noexcept {
  return p->lifo.load(std::memory_order_relaxed) != nullptr || p->batch.left() != 0 || !p->queue.empty();
}
bool work_anywhere(runtime_state* rt) noexcept;
std::int64_t next_deadline(runtime_state* rt) noexcept;
void stop_spinning(worker* w) noexcept;
void bind(worker* w, proc* p) noexcept;    // the worker holds p from now on
void unbind(worker* w, proc* p) noexcept;  // by the worker itself
void no_stray(worker* w) noexcept;           // its goroutine stands in line or has a processor again
void retire_if_asked(worker* w, proc* p) noexcept;

// threads.cpp
// new_worker() starts a thread that holds p and begins with `first`, if that is not null; false when the
// system has none to give.
bool new_worker(runtime_state* rt, proc* p, bool spinning, goroutine* first = nullptr) noexcept;
void start_monitor(runtime_state* rt);
void wake_monitor(runtime_state* rt) noexcept;
void note_thread_end(runtime_state* rt) noexcept;
void describe_loop(worker* w) noexcept;  // tells the sanitizers about the calling thread's own stack

// attend.cpp
// check_canary() ends the process if s has no guard and has overflowed.
void check_canary(const goroutine& g, const arch::stack& s) noexcept;

// entry.cpp
goroutine* new_goroutine(runtime_state* rt, const go_options& o, const void* site);
void free_goroutine(runtime_state* rt, proc* p, goroutine* g) noexcept;
void submit(runtime_state* rt, goroutine* g) noexcept;  // a goroutine nobody has seen yet
std::size_t live_goroutines(runtime_state* rt) noexcept;

// monitor.cpp
void run_monitor(runtime_state* rt) noexcept;

// runtimes.cpp
void leave_runtime(runtime_state* rt) noexcept;
// runtime_ref: the runtime that the calling thread means, its own, the attached or the only one, which lasts
// until the ref goes; null if there is none. required() throws no_runtime then. A given one is taken as it is.
class runtime_ref {
 public:
  explicit runtime_ref(runtime_state* given = nullptr) noexcept : rt_(given != nullptr ? given : current()->rt) {
    if (rt_ == nullptr) find();
  }
  runtime_ref(const runtime_ref&) = delete;
  runtime_ref& operator=(const runtime_ref&) = delete;
  ~runtime_ref() {
    if (counted_) leave_runtime(rt_);
  }
  runtime_state* get() const noexcept { return rt_; }
  runtime_state* required() const;
  // keep() leaves it to the caller to call leave_runtime(), if it returns true.
  bool keep() noexcept { return std::exchange(counted_, false); }

 private:
  void find() noexcept;  // what a plain thread means
  runtime_state* rt_;
  bool counted_ = false;
};
runtime_state* create_runtime(const options& o);
void destroy_runtime(runtime_state* rt) noexcept;  // stops it, waits, frees
void free_runtime(runtime_state* rt) noexcept;     // its threads are gone
void drop_goroutines(runtime_state* rt, bool to_free) noexcept;  // unlinks all that wait
void begin_stop(runtime_state* rt) noexcept;
void check_drained(runtime_state* rt) noexcept;

// procs.cpp
proc* add_proc(runtime_state* rt);  // under the registry's `changing`, or before others see rt; throws std::bad_alloc
// change_procs() is procs(n) for a runtime with workers; throws std::bad_alloc.
int change_procs(runtime_state* rt, int n);

// deadlock.cpp
// verdict: can anything in the process move again?
enum class verdict {
  awake,    // a runtime will move by itself, and wakes its monitor then
  outside,  // all runtimes sleep, but a thread, a signal or a deadline of others may wake them, or may go away
  unsure,   // a thread is on its way somewhere
  asleep    // no
};
// report_if_all_asleep() ends the process with a report if nothing can ever move again, and returns what it
// found otherwise.
verdict report_if_all_asleep() noexcept;
bool nobody_holds(runtime_state* rt) noexcept;  // no processor has a worker
void thread_waits(int change) noexcept;        // plain threads that wait without a deadline
void known_threads(int change) noexcept;       // threads of the runtime itself
void subscribed(int change) noexcept;          // channels of signals
bool outside_deadlines() noexcept;             // the deadline service has something to do

// task.cpp: lose_task() tells whoever waits for the task that g runs, if it runs one, that it never ends.
void lose_task(goroutine& g) noexcept;

// faults.cpp: signals and terminate
[[noreturn]] void report_overflow(const goroutine& g, const arch::stack& s) noexcept;
void install_fault_handlers();
void give_signal_stack(worker* w) noexcept;
void drop_signal_stack(worker* w) noexcept;

// Nanoseconds, monotonic; virtual in a simulation.
std::int64_t clock_of(runtime_state* rt) noexcept;
std::int64_t current_ns() noexcept;  // of the caller's runtime: virtual in a simulation

// heap_for() is where the calling goroutine's deadlines go.
detail::timers& heap_for(worker* w) noexcept;
// note_deadline() wakes the poller if it would sleep past `when`.
void note_deadline(runtime_state* rt, std::int64_t when) noexcept;

void check_fork() noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
