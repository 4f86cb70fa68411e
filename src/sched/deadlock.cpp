// The all-asleep report: "all goroutines are asleep - deadlock!".
//
// Said only when nothing in the process can wake anybody: in every runtime no goroutine is runnable,
// timed, in I/O, in blocking() or subscribed to a signal, and every other thread of the process is a
// thread of skein or waits in skein without a deadline. In doubt it stays silent: a thread we do not
// know may be about to send.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "base/check.hpp"
#include "os/procfs.hpp"
#include "sched/dump.hpp"
#include "sched/registry.hpp"
#include "sched/sched.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

atomic<int> own_threads{0};      // workers, monitors, the deadline service
atomic<int> signal_channels{0};  // somebody waits for signals
atomic<int> waiting_threads{0};  // plain threads that wait in skein for ever, or are declared idle

// sleeping_threads() counts the threads of the process, or gives -1 if any but the caller is not asleep
// in the kernel: one that runs, or waits for a core, may be about to wake somebody.
int sleeping_threads() noexcept {
  const int fd = sys::open("/proc/self/task", O_RDONLY | O_DIRECTORY);
  DIR* d = fd < 0 ? nullptr : ::fdopendir(fd);
  if (d == nullptr) {
    if (fd >= 0) sys::close(fd);
    return -1;
  }
  const auto self = static_cast<long>(::gettid());
  int n = 0;
  while (const dirent* e = ::readdir(d)) {
    if (e->d_name[0] == '.') continue;
    ++n;
    if (std::atol(e->d_name) == self) continue;
    if (os::thread_state(std::atol(e->d_name)) != 'S') {
      n = -1;
      break;
    }
  }
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
  return nobody_holds(rt) && rt->main_done.load(std::memory_order_relaxed) == 0 && !work_anywhere(rt) && next_deadline(rt) == detail::never && rt->io.waiters() == 0 &&
         rt->blocked.load(std::memory_order_relaxed) == 0 && rt->strays.load(std::memory_order_relaxed) == 0 &&
         !rt->stopping.load(std::memory_order_relaxed);
}

verdict everything_asleep(std::size_t& goroutines) noexcept {
  bool all = true;
  goroutines = 0;
  for_each_runtime([&](runtime_state* rt) {
    all = all && asleep(rt);
    goroutines += live_goroutines(rt);
  });
  if (!all) return verdict::awake;
  if (outside_deadlines() || signal_channels.load(std::memory_order_relaxed) != 0) return verdict::outside;
  const int known = own_threads.load(std::memory_order_relaxed) + waiting_threads.load(std::memory_order_relaxed) + sanitizer_threads;
  const int threads = sleeping_threads();
  return threads < 0 ? verdict::unsure : threads <= known ? verdict::asleep : verdict::outside;
}

}  // namespace

void thread_waits(int change) noexcept { waiting_threads.fetch_add(change, std::memory_order_relaxed); }
void known_threads(int change) noexcept { own_threads.fetch_add(change, std::memory_order_relaxed); }

void subscribed(int change) noexcept { signal_channels.fetch_add(change, std::memory_order_relaxed); }

verdict report_if_all_asleep() noexcept {
  // Something may have moved while we looked. What moves starts from a thread that we saw asleep, so
  // it shows in a second look a little later.
  static atomic<std::int64_t> first_yes{0};
  std::size_t goroutines = 0;
  const verdict v = everything_asleep(goroutines);
  if (v != verdict::asleep) {
    first_yes.store(0, std::memory_order_relaxed);
    return v;
  }
  const std::int64_t now = sys::monotonic_ns();
  const std::int64_t before = first_yes.load(std::memory_order_relaxed);
  if (before == 0) first_yes.store(now, std::memory_order_relaxed);
  if (before == 0 || now - before < 5'000'000) return verdict::unsure;
  if (goroutines == 0)
    (base::text() << "fatal error: no goroutines are left, and every thread waits - deadlock!\n").print();
  else
    (base::text() << "fatal error: all goroutines are asleep - deadlock!\n\n").print();
  print_goroutines();
  ::_exit(2);
}

}  // namespace skein::inline SKEIN_ABI::sched
