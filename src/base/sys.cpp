#include "base/sys.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>

namespace skein::inline SKEIN_ABI {
namespace sys {
namespace {

detail::atomic<fault_hook> hook{nullptr};

int fault(call c) noexcept {
  const fault_hook h = hook.load(std::memory_order_relaxed);
  return h == nullptr ? 0 : h(c);
}

// For a call that may do less than it is asked for.
template <class N> int fault(call c, [[maybe_unused]] N& asked) noexcept {
  const int e = fault(c);
#if defined(SKEIN_ALL_FAULTS)
  if (e < 0) {
    asked = std::min(asked, static_cast<N>(-e));
    return 0;
  }
#endif
  return e;
}

long result(long r) noexcept { return r < 0 ? -errno : r; }

std::int64_t kernel_ns() noexcept {
  timespec ts;
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<std::int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

long futex_sleep(detail::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* abs_monotonic) noexcept {
  return result(::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, abs_monotonic, nullptr,
                          FUTEX_BITSET_MATCH_ANY));
}

#if defined(SKEIN_ALL_FAULTS)
detail::atomic<clock_hook> clock{nullptr};
constexpr std::int64_t look_ns = 1'000'000;

// Sleeps until a time of the hooked clock.
long futex_look(detail::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec& until) noexcept {
  if (monotonic_ns() >= until.tv_sec * 1'000'000'000 + until.tv_nsec) return -ETIMEDOUT;
  const std::int64_t next = kernel_ns() + look_ns;
  const timespec ts{static_cast<time_t>(next / 1'000'000'000), static_cast<long>(next % 1'000'000'000)};
  const long r = futex_sleep(word, expected, &ts);
  return r == -ETIMEDOUT ? -EINTR : r;
}
#endif

}  // namespace

void set_fault_hook(fault_hook h) noexcept { hook.store(h, std::memory_order_relaxed); }
#if defined(SKEIN_ALL_FAULTS)
void set_clock_hook(clock_hook h) noexcept { clock.store(h, std::memory_order_relaxed); }
#endif

void* map(std::size_t bytes) noexcept {
  if (fault(call::mmap) != 0) return nullptr;
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

void unmap(void* p, std::size_t bytes) noexcept { ::munmap(p, bytes); }

int advise(void* p, std::size_t bytes, int advice) noexcept {
  if (const int e = fault(call::madvise)) return -e;
  return static_cast<int>(result(::madvise(p, bytes, advice)));
}

#if defined(SYS_process_madvise) && defined(SYS_pidfd_open)
static int own_pidfd() noexcept {
  if (const int e = fault(call::pidfd_open)) return -e;
  return static_cast<int>(result(::syscall(SYS_pidfd_open, ::getpid(), 0)));
}
#endif

void give_back(const iovec* pages, int n) noexcept {
#if defined(SYS_process_madvise) && defined(SYS_pidfd_open)
  // One call for all, where the kernel lets a process do that to itself (Linux 6.13). It may end before the last
  // of them, for one that it cannot give back; then each has a call of its own.
  static detail::atomic<bool> together{true};
  if (n > 1 && together.load(std::memory_order_relaxed)) {
    const int self = own_pidfd();
    long r = self;
    if (self >= 0) {
      int asked = n;
      const int e = fault(call::process_madvise, asked);
      r = e != 0 ? -e : result(::syscall(SYS_process_madvise, self, pages, asked, MADV_DONTNEED, 0));
      ::close(self);
      long all = 0;
      for (int i = 0; i < n; ++i) all += static_cast<long>(pages[i].iov_len);
      if (r == all) return;
    }
    // Out of descriptors it may be possible later.
    if (r < 0 && r != -EMFILE && r != -ENFILE) together.store(false, std::memory_order_relaxed);
  }
#endif
  for (int i = 0; i < n; ++i) advise(pages[i].iov_base, pages[i].iov_len, MADV_DONTNEED);
}

int protect_none(void* p, std::size_t bytes) noexcept {
  if (const int e = fault(call::mprotect)) return -e;
  return static_cast<int>(result(::mprotect(p, bytes, PROT_NONE)));
}

int futex_wait(detail::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* abs_monotonic) noexcept {
  if (const int e = fault(call::futex)) return -e;
#if defined(SKEIN_ALL_FAULTS)
  if (abs_monotonic != nullptr && clock.load(std::memory_order_relaxed) != nullptr)
    return static_cast<int>(futex_look(word, expected, *abs_monotonic));
#endif
  return static_cast<int>(futex_sleep(word, expected, abs_monotonic));
}

int futex_wake(detail::atomic<std::uint32_t>& word, int n) noexcept {
  return static_cast<int>(result(::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, n, nullptr, nullptr, 0)));
}

#if defined(SKEIN_SEES_TSAN) || defined(SKEIN_TSAN)
void patient::wait_while_zero(detail::atomic<std::uint32_t>& word) noexcept {
  while (word.load(std::memory_order_acquire) == 0) ::sem_wait(&set_);
}
void patient::wake(detail::atomic<std::uint32_t>&) noexcept { ::sem_post(&set_); }
#else
void patient::wait_while_zero(detail::atomic<std::uint32_t>& word) noexcept {
  while (word.load(std::memory_order_acquire) == 0) futex_wait(word, 0, nullptr);
}
void patient::wake(detail::atomic<std::uint32_t>& word) noexcept { futex_wake(word, 1); }
#endif

int membarrier(int command) noexcept {
  if (const int e = fault(call::membarrier)) return -e;
  return static_cast<int>(result(::syscall(SYS_membarrier, command, 0, 0)));
}

int thread_create(pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* arg) noexcept {
  if (const int e = fault(call::thread_create)) return -e;
  return -::pthread_create(t, a, f, arg);
}

int epoll_create() noexcept {
  if (const int e = fault(call::epoll_create)) return -e;
  return static_cast<int>(result(::epoll_create1(EPOLL_CLOEXEC)));
}

int epoll_ctl(int ep, int op, int fd, epoll_event* ev) noexcept {
  if (const int e = fault(call::epoll_ctl)) return -e;
  return static_cast<int>(result(::epoll_ctl(ep, op, fd, ev)));
}

int epoll_wait(int ep, epoll_event* events, int n, std::int64_t timeout_ns) noexcept {
  if (const int e = fault(call::epoll_wait, n)) return -e;
#if defined(SKEIN_ALL_FAULTS)
  if (timeout_ns > look_ns && clock.load(std::memory_order_relaxed) != nullptr) timeout_ns = look_ns;
#endif
#if defined(SYS_epoll_pwait2)
  static detail::atomic<bool> precise{true};
  if (timeout_ns > 0 && precise.load(std::memory_order_relaxed)) {
    timespec ts{static_cast<time_t>(timeout_ns / 1'000'000'000), static_cast<long>(timeout_ns % 1'000'000'000)};
    const int e = fault(call::epoll_pwait2);
    const long r = e != 0 ? -e : result(::syscall(SYS_epoll_pwait2, ep, events, n, &ts, nullptr, 0));
    // EPERM: filters of system calls refuse in this way those that they do not know.
    if (r != -ENOSYS && r != -EPERM) return static_cast<int>(r);
    precise.store(false, std::memory_order_relaxed);
  }
#endif
  // Rounded up: waking early would only spin until the timer is due.
  const std::int64_t ms = timeout_ns <= 0 ? timeout_ns : (timeout_ns + 999'999) / 1'000'000;
  return static_cast<int>(result(::epoll_wait(ep, events, n, ms < 0 ? -1 : static_cast<int>(ms > 86'400'000 ? 86'400'000 : ms))));
}

int event_fd() noexcept {
  if (const int e = fault(call::eventfd)) return -e;
  return static_cast<int>(result(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

int open(const char* path, int flags) noexcept {
  if (const int e = fault(call::open)) return -e;
  return static_cast<int>(result(::open(path, flags | O_CLOEXEC)));
}

int pipe(int (&ends)[2]) noexcept {
  if (const int e = fault(call::pipe)) return -e;
  if (::pipe2(ends, O_CLOEXEC) != 0) return -errno;
  ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  return 0;
}

long read(int fd, void* p, std::size_t n) noexcept {
  if (const int e = fault(call::read, n)) return -e;
  return result(::read(fd, p, n));
}

long write(int fd, const void* p, std::size_t n) noexcept {
  if (const int e = fault(call::write)) return -e;
  return result(::write(fd, p, n));
}

long report(const void* p, std::size_t n) noexcept {
  if (const int e = fault(call::report, n)) return -e;
  return result(::write(STDERR_FILENO, p, n));
}

void close(int fd) noexcept { ::close(fd); }

std::int64_t monotonic_ns() noexcept {
#if defined(SKEIN_ALL_FAULTS)
  if (const clock_hook h = clock.load(std::memory_order_relaxed)) return h(kernel_ns());
#endif
  return kernel_ns();
}

void* allocate(std::size_t bytes, std::size_t align) {
  if (fault(call::allocate) != 0) throw std::bad_alloc();
  const unseen own;
  if (align > __STDCPP_DEFAULT_NEW_ALIGNMENT__) return ::operator new(bytes, std::align_val_t(align));
  return ::operator new(bytes);
}

void deallocate(void* p, std::size_t bytes, std::size_t align) noexcept {
  const unseen own;
  if (align > __STDCPP_DEFAULT_NEW_ALIGNMENT__)
    ::operator delete(p, bytes, std::align_val_t(align));
  else
    ::operator delete(p, bytes);
}

}  // namespace sys

namespace detail {

void spin_lock::lock_slow() noexcept {
  for (int i = 0; i < 100; ++i) {
    cpu_relax();
    if (try_lock()) return;
  }
  for (int i = 0; i < 4; ++i) {
    ::sched_yield();
    if (try_lock()) return;
  }
  for (long ns = 20'000;; ns = ns < 1'000'000 ? ns * 2 : ns) {
    const timespec ts{0, ns};
    ::nanosleep(&ts, nullptr);
    if (try_lock()) return;
  }
}

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
