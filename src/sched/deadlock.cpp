// The all-asleep report: "all goroutines are asleep - deadlock!".
//
// Said only when nothing in the process can wake anybody: in every runtime no goroutine is runnable,
// timed, in I/O, in blocking() or subscribed to a signal, and every other thread of the process is a
// thread of skein or waits in skein without a deadline. In doubt it stays silent: a thread we do not
// know may be about to send.
#include <dirent.h>
#include <unistd.h>

#include "base/check.hpp"
#include "sched/dump.hpp"
#include "sched/registry.hpp"
#include "sched/sched.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

atomic<int> own_threads{0};      // workers, monitors, the deadline service
atomic<int> signal_channels{0};  // somebody waits for signals
atomic<int> waiting_threads{0};  // plain threads that wait in skein for ever, or are declared idle

int count_threads() noexcept {
  DIR* d = ::opendir("/proc/self/task");
  if (d == nullptr) return -1;
  int n = 0;
  while (const dirent* e = ::readdir(d)) n += e->d_name[0] != '.';
  ::closedir(d);
  return n;
}

// Threads that a sanitizer runs for itself.
constexpr int sanitizer_threads =
#if defined(SKEIN_TSAN_FIBERS)
    1;
#else
    0;
#endif

bool asleep(runtime_state* rt) noexcept {
  rt->idle_lock.lock();
  const bool idle = rt->idle_procs.load(std::memory_order_relaxed) >= static_cast<std::uint32_t>(rt->procs.load(std::memory_order_relaxed));
  rt->idle_lock.unlock();
  return idle && !work_anywhere(rt) && next_deadline(rt) == detail::never && rt->io.waiters() == 0 &&
         rt->blocked.load(std::memory_order_relaxed) == 0 && rt->hogs.load(std::memory_order_relaxed) == 0 &&
         !rt->stopping.load(std::memory_order_relaxed);
}

bool everything_asleep(std::size_t& goroutines) noexcept {
  bool all = true;
  goroutines = 0;
  for_each_runtime([&](runtime_state* rt) {
    all = all && asleep(rt);
    goroutines += live_goroutines(rt);
  });
  if (!all || outside_deadlines() || signal_channels.load(std::memory_order_relaxed) != 0) return false;
  const int known = own_threads.load(std::memory_order_relaxed) + waiting_threads.load(std::memory_order_relaxed) + sanitizer_threads;
  const int threads = count_threads();
  return threads > 0 && threads <= known;
}

}  // namespace

void thread_waits(int change) noexcept { waiting_threads.fetch_add(change, std::memory_order_relaxed); }
void known_threads(int change) noexcept { own_threads.fetch_add(change, std::memory_order_relaxed); }

void subscribed(int change) noexcept { signal_channels.fetch_add(change, std::memory_order_relaxed); }

void report_if_all_asleep(runtime_state*) noexcept {
  std::size_t goroutines = 0;
  if (!everything_asleep(goroutines)) return;
  // Something may have moved while we looked: look twice. What moves starts from a thread that we
  // saw asleep, so it shows in the second look.
  std::size_t again = 0;
  if (!everything_asleep(again)) return;
  if (goroutines == 0)
    (base::text() << "fatal error: no goroutines (main called exit_goroutine) - deadlock!\n").print();
  else
    (base::text() << "fatal error: all goroutines are asleep - deadlock!\n\n").print();
  print_goroutines();
  ::_exit(2);
}

}  // namespace skein::inline SKEIN_ABI::sched
