// P, M and the runtime they belong to.
//
// A worker that holds a processor touches it without atomics of the read-modify-write kind. What
// makes that safe against the monitor, which takes processors away from workers that compute or
// block (src/sched/monitor.cpp):
//
//   worker                                monitor
//     in_runtime = 1                        proc = null      (under handoff)
//     light_barrier                         heavy_barrier
//     p = proc; null: see settled_proc()       in_runtime == 1: proc = p again, give up
//     ... use p ...                         else p is the monitor's
//     in_runtime = 0 (release)                               (acquire on in_runtime)
//
// Either the worker sees null or the monitor sees the flag. A worker that sees null takes `handoff`,
// so it waits for the monitor's decision, and looks again.
//
// The attention word is one branch at each entry into the runtime; zero almost always.
//
//   bit        set by                            cleared by
//   stop       the end of the runtime            nobody
//   no_proc    the monitor, blocking()           the worker, once it has a processor
//   slice      the monitor: the time is over     the worker, when it yields
//   crowd      the worker: its goroutine has     the worker, when it yields
//              started very many
//   look       the monitor: timers or a changed  the worker's scheduler loop
//              number of processors wait
//   simulated  a simulation, for good            nobody
//   canary     stacks without guards exist       nobody
//   locked     lock_os_thread()                  unlock_os_thread()
//   forked     fork(), in the child              nobody
//   watch      debug::watch_stacks()             nobody
//   fp         options.save_fp: every switch     nobody
//              goes by the scheduler loop
#pragma once

#include <cxxabi.h>
#include <pthread.h>

#include <cstddef>
#include <cstdint>

#include "arch/context.hpp"
#include "arch/current.hpp"
#include "arch/fp.hpp"
#include "arch/stack.hpp"
#include "base/rng.hpp"
#include "parts/goroutine.hpp"
#include "parts/poller.hpp"
#include "parts/run_queue.hpp"
#include "parts/timers.hpp"
#include "sched/barrier.hpp"
#include "sched/wait.hpp"
#include "skein/runtime.hpp"

namespace skein::inline SKEIN_ABI::sched {

using detail::runtime_state;
using detail::spin_lock;
using detail::status;

class simulation;
struct worker;

inline constexpr int max_procs = 1024;
inline constexpr std::uint32_t look_every = 61;  // switches between two looks at everything else
inline constexpr int default_class = 2;          // 256 KiB

namespace attention {
inline constexpr std::uint32_t stop = 1, no_proc = 2, slice = 4, look = 8, simulated = 16, canary = 32,
                               locked = 64, forked = 128, watch = 256, fp = 512,
                               crowd = 1024;
}

// proc: the right to run goroutines, with what is cheaper to have per processor. Unless said
// otherwise a field belongs to the worker that holds the processor (or to the monitor that took it).
struct alignas(64) proc {
  proc(runtime_state* r, int number) noexcept : rt(r), id(number), random(0x9e3779b97f4a7c15ULL * (number + 1)) {}

  // The goroutine to run next: made ready by the one that runs, it shares its time slice. The
  // monitor reads it.
  atomic<goroutine*> lifo{nullptr};
  std::uint32_t until_look = look_every;
  std::uint32_t looks = 0;
  detail::run_batch batch;             // comes before the queue
  std::uint32_t batch_size = 1;        // how many to take next time
  std::uint64_t batch_since = 0;       // time stamp counter at the last refill
  int free_count = 0;            // of `free`
  arch::stack* stacks = nullptr; // stacks of the default class to reuse, last used first
  std::uint32_t stack_count = 0;
  int stack_class;               // which class `stacks` holds
  runtime_state* const rt;
  const int id;
  // Counters, read by others at any time. switches tells the monitor whether the processor moves.
  atomic<std::uint64_t> started{0}, ended{0}, parks{0}, steals{0}, switches{0};

  static constexpr int most_free = detail::shrunk(512, 4);
  goroutine* free[most_free];  // goroutines to reuse, last used last
  detail::run_queue queue;
  detail::timers timers;
  base::rng random;

  proc* next_idle = nullptr;           // under idle_lock
  atomic<worker*> holder{nullptr};     // written with worker::proc; the monitor reads it
  atomic<bool> retired{false};         // procs(n) made it superfluous
  bool out = false;                    // under idle_lock: retired and held by nobody

  std::int64_t tired_at = 0;  // when a tired goroutine last began or ended its turn here
  std::uint64_t injected_at = ~std::uint64_t{0} - 1;  // switches when find() last took one from the global queue
  // The monitor's memory of its last visit.
  std::uint64_t seen_switches = 0;
  std::int64_t seen_since = 0;
};

// Why a goroutine runs without a processor, or rather why the monitor thought it had to.
enum class stray : std::uint8_t { no, blocks, computes };

struct alignas(64) worker {
  atomic<std::uint32_t> attention_word{0};
  atomic<std::uint8_t> in_runtime{0};
  atomic<proc*> held{nullptr};
  goroutine* g = nullptr;  // the goroutine that runs; null in the scheduler loop
  runtime_state* rt = nullptr;
  abi::__cxa_eh_globals* exceptions = nullptr;
  int* errno_place = nullptr;

  arch::context loop;            // the scheduler loop, on the thread's own stack
  goroutine* picked = nullptr;   // chosen by a parking goroutine, to be run by the loop
  arch::stack* dead_stack = nullptr;  // of a goroutine that ended without a processor
  goroutine* dead = nullptr;
  bool spinning = false;           // counted in runtime_state::spinning
  std::uint64_t woken_at = 0;      // by cycles(); judged when it runs out of work
  std::uint64_t work_began = 0;
  std::uint64_t taken_at = 0;      // when it last took goroutines from others, 0: judged
  std::uint64_t taken_switches = 0;
  stray strays = stray::no;        // under handoff: its processor was taken; counted in strays and hogs
  goroutine* locked_g = nullptr;  // lock_os_thread: the only one this thread runs

  atomic<std::uint32_t> wake{0};  // futex; 1: somebody has given a processor or the end
  proc* given = nullptr;          // under idle_lock
  goroutine* given_g = nullptr;   // the same: a locked goroutine whose turn it is
  worker* next_idle = nullptr;    // under idle_lock
  worker* next_all = nullptr;
  spin_lock handoff;
  int number = 0;
  base::rng random{0};
  pthread_t thread{};
  atomic<int> tid{0};              // the kernel's number of it
  void* signal_stack = nullptr;
  const char* hook = nullptr;      // the one of the program's that runs
};

enum class poll_phase : std::uint32_t { nobody, sleeping, interrupted };

}  // namespace skein::inline SKEIN_ABI::sched

namespace skein::inline SKEIN_ABI::detail {

struct runtime_state {
  explicit runtime_state(const options& o);
  ~runtime_state();
  runtime_state(const runtime_state&) = delete;
  runtime_state& operator=(const runtime_state&) = delete;

  options opt;
  int cpus = 1;
  int stack_class = sched::default_class;
  arch::fp_control fp = arch::get_fp_control();  // of whoever made the runtime: how goroutines begin
  sched::simulation* sim = nullptr;
  std::uint64_t number = 0;  // of the runtime in this process

  goroutine_slab slab;
  arch::stack_pool stacks;
  inject_queue inject;
  poller io;
  timers outside_timers;  // of goroutines without a processor, and of simulations

  // Idle and wake-up; the protocol stands in src/sched/idle.cpp.
  alignas(64) atomic<std::uint32_t> idle_procs{0};
  atomic<std::uint32_t> spinning{0};
  atomic<std::uint32_t> wake_skips{0};        // pushes that wake nobody before the next that does
  atomic<std::uint32_t> wake_penalty{0};
  alignas(64) spin_lock idle_lock;
  sched::proc* idle_proc_list = nullptr;      // the next ones under idle_lock
  sched::worker* idle_worker_list = nullptr;
  sched::worker* poll_worker = nullptr;       // who sleeps in the poller
  sched::poll_phase polling = sched::poll_phase::nobody;
  sched::worker* all_workers = nullptr;
  sched::worker* spare_worker = nullptr;      // one that got no thread
  std::uint32_t threads = 0;
  atomic<std::int64_t> poll_until{never};     // when the poller's sleep ends by itself
  atomic<std::uint32_t> last_poll{0};         // counts polls

  atomic<int> procs{0};                       // in use
  atomic<bool> follows_quota{false};          // nobody has asked for a number of them
  std::int64_t quota_read_at = 0;             // the monitor's
  atomic<int> made_procs{0};                  // all_procs[0 .. made_procs) exist
  atomic<sched::proc*> all_procs[sched::max_procs]{};

  atomic<bool> stopping{false};
  atomic<std::uint32_t> live_threads{0};      // futex: workers and monitor that have not ended
  atomic<std::uint32_t> main_done{0};         // for the thread in run()
  sys::patient main_waits;                    // that thread
  atomic<bool> draining{false};               // on_exit::wait_all: main is over
  atomic<bool> canaries{false};               // stacks without guards exist
  atomic<std::uint32_t> outsiders{0};         // threads of others that are making something ready here
  atomic<std::uint32_t> blocked{0};           // goroutines in blocking()
  atomic<std::uint32_t> strays{0};            // goroutines that run, or block, without a processor
  atomic<std::uint32_t> hogs{0};              // those of them that were seen to compute
  atomic<std::uint64_t> started{0}, ended{0}, parks{0};  // by those without a processor
  atomic<std::uint64_t> wakeups{0}, handoffs{0}, dropped_exceptions{0};

  atomic<std::uint32_t> monitor_word{0};      // futex the monitor sleeps on
  atomic<bool> monitor_asleep{false};
  atomic<bool> monitor_running{false};
  pthread_t monitor_thread{};
  runtime_state* next_runtime = nullptr;      // under the registry's lock
};

}  // namespace skein::inline SKEIN_ABI::detail
