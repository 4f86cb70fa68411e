// The threads of a runtime: workers and the monitor.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <system_error>
#include <utility>

#include "sched/sched.hpp"
#include "sched/stack_report.hpp"

namespace skein::inline SKEIN_ABI {

namespace arch {
// Plain threads share one worker that is none: no processor, no goroutine, never asked for attention.
static constinit sched::worker no_worker;
// Used by name in assembly, which no optimizer of whole programs sees.
#if defined(__clang__)
[[gnu::used]]
#else
[[gnu::used, gnu::externally_visible]]
#endif
thread_local constinit sched::worker* skein_current_worker = &no_worker;
}  // namespace arch

namespace sched {
namespace {

// Signals are the program's other threads' business; those that a thread causes itself stay open.
void block_signals(sigset_t* before) noexcept {
  sigset_t all;
  sigfillset(&all);
  for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&all, s);
  pthread_sigmask(SIG_SETMASK, &all, before);
}

int start_thread(pthread_t* t, void* (*f)(void*), void* arg) noexcept {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  // Blocked before the thread exists, so it never runs a handler that is not its own.
  sigset_t before;
  block_signals(&before);
#if defined(SKEIN_TSAN)
  // Which goroutine had the thread made is no order that a program may rely on.
  AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
#endif
  const int r = sys::thread_create(t, &attr, f, arg);
#if defined(SKEIN_TSAN)
  AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
#endif
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attr);
  return r;
}

void pin(const worker* w) noexcept {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  int n = (w->number - 1) % std::max(1, CPU_COUNT(&allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || n-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
}

// An exception that leaves the hook finds no handler: it is reported where it was thrown, by that name.
void call_hook(worker* w, const std::function<void()>& hook, const char* name) {
  if (!hook) return;
  w->hook = name;
  hook();
  w->hook = nullptr;
}

void* worker_thread(void* arg) {
  auto* w = static_cast<worker*>(arg);
  runtime_state* rt = w->rt;
  char label[16];
  std::snprintf(label, sizeof label, "skein/%d", w->number);
  pthread_setname_np(pthread_self(), label);
  if (rt->opt.pin) pin(w);
  arch::set_fp_control(rt->fp);  // not what the goroutine has set that needed another worker
  w->exceptions = abi::__cxa_get_globals();
  w->errno_place = &errno;
  w->tid.store(static_cast<int>(::gettid()), std::memory_order_relaxed);
  describe_loop(w);
  give_signal_stack(w);
  arch::skein_current_worker = w;
  arch::edge_acquire(&rt->opt);  // pairs with create_runtime()
  call_hook(w, rt->opt.on_thread_start, "options.on_thread_start");
  arch::edge_release(&w->loop);  // pairs with every goroutine that begins or goes on here
  run_worker_loop(w);
  arch::edge_acquire(&rt->live_threads);  // what goroutines did here, to what is thread_local, say
  call_hook(w, rt->opt.on_thread_stop, "options.on_thread_stop");
  arch::edge_release(&rt->live_threads);  // pairs with the end of the runtime
  arch::skein_current_worker = &arch::no_worker;
  drop_signal_stack(w);
  note_thread_end(rt);
  return nullptr;
}

void* monitor_thread(void* arg) {
  auto* rt = static_cast<runtime_state*>(arg);
  pthread_setname_np(pthread_self(), "skein/monitor");
  run_monitor(rt);
  note_thread_end(rt);
  return nullptr;
}

}  // namespace

void describe_loop([[maybe_unused]] worker* w) noexcept {
#if defined(SKEIN_SEES_ASAN)
  pthread_attr_t attr;
  pthread_getattr_np(pthread_self(), &attr);
  void* bottom;
  pthread_attr_getstack(&attr, &bottom, &w->loop.size);
  w->loop.bottom = bottom;
  pthread_attr_destroy(&attr);
#endif
#if defined(SKEIN_TSAN_FIBERS)
  w->loop.fiber = __tsan_get_current_fiber();
#endif
}

void note_thread_end(runtime_state* rt) noexcept {
  known_threads(-1);
  // Last touch: the futex word of whoever waits may be gone right after it is zero.
  auto& live = rt->live_threads;
  if (live.fetch_sub(1, std::memory_order_acq_rel) == 1) sys::futex_wake(live, 1);
}

bool new_worker(runtime_state* rt, proc* p, bool spinning, goroutine* first) noexcept {
  rt->idle_lock.lock();
  const bool full = rt->threads >= static_cast<std::uint32_t>(rt->opt.max_threads);
  if (!full) ++rt->threads;
  const auto number = static_cast<int>(rt->threads);
  worker* w = std::exchange(rt->spare_worker, nullptr);
  // Under the lock: an end that comes behind it waits for the thread, one that came before it is seen by it.
  const auto begins = [&] {
    w->picked = first;
    rt->live_threads.fetch_add(1, std::memory_order_relaxed);
  };
  if (w != nullptr) begins();
  rt->idle_lock.unlock();
  if (full) {
    base::begin_report();
    (base::text() << "skein: fatal: options.max_threads (" << static_cast<std::uint64_t>(rt->opt.max_threads)
                  << ") reached: so many goroutines block their threads at once; raise it, or let fewer block\n")
        .print();
    std::abort();
  }
  if (w == nullptr) {
    try {
      w = new (sys::allocate(sizeof(worker), alignof(worker))) worker;
    } catch (const std::bad_alloc&) {
      rt->idle_lock.lock();
      --rt->threads;
      rt->idle_lock.unlock();
      return false;
    }
    w->rt = rt;
    // On the list before it has a thread: the end of the runtime finds it in any case.
    rt->idle_lock.lock();
    w->next_all = rt->all_workers;
    rt->all_workers = w;
    begins();
    if (rt->stopping.load(std::memory_order_relaxed)) w->attention_word.fetch_or(attention::stop);
    if (rt->canaries.load(std::memory_order_relaxed)) w->attention_word.fetch_or(attention::canary);
    if (stacks_watched()) w->attention_word.fetch_or(attention::watch);
    if (rt->opt.save_fp) w->attention_word.fetch_or(attention::fp);
    rt->idle_lock.unlock();
  }
  w->number = number;
  w->random = base::rng(rt->number * 1024 + static_cast<std::uint64_t>(number));
  w->in_runtime.store(1, std::memory_order_relaxed);
  w->spinning = spinning;
  bind(w, p);
  known_threads(1);
  if (start_thread(&w->thread, &worker_thread, w) == 0) return true;
  unbind(w, p);
  w->spinning = false;
  rt->idle_lock.lock();
  w->picked = nullptr;
  --rt->threads;
  rt->spare_worker = w;  // not freed: the monitor may be looking at it
  rt->idle_lock.unlock();
  note_thread_end(rt);  // rt stays: the caller is one of its threads, an outsider or its maker
  return false;
}

void start_monitor(runtime_state* rt) {
  rt->live_threads.fetch_add(1, std::memory_order_relaxed);
  known_threads(1);
  if (const int r = start_thread(&rt->monitor_thread, &monitor_thread, rt)) {
    rt->live_threads.fetch_sub(1, std::memory_order_relaxed);
    known_threads(-1);
    throw std::system_error(-r, std::generic_category(), "skein: cannot start the monitor thread");
  }
}

}  // namespace sched
}  // namespace skein::inline SKEIN_ABI
