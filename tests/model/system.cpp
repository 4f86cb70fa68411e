// The system calls of models, by the linker's --wrap: threads, futexes, time, memory, one poller for
// each runtime. Their state stands in globals, which each execution finds as they were.
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <exception>

#include "explorer.hpp"

namespace {

using model::explorer;
using model::only_active;
using model::the;

#define PC                                                                                         \
  static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1)

std::int64_t deadline_of(const timespec* ts) noexcept {
  return ts == nullptr ? model::no_deadline
                       : ts->tv_sec * std::int64_t{1'000'000'000} + ts->tv_nsec;
}

constexpr std::size_t most_mapped = std::size_t{64}
                                    << 20;  // at once: as on a machine that is short of memory

// A poller knows one descriptor, an eventfd that wakes it. Descriptors n and n + 1 belong together.
constexpr int first_fd = 100'000;
constexpr int most_pollers = 4;
struct fake_poller {
  bool rung;
  epoll_event wakes;
} pollers[most_pollers];
int made_fds;

bool is_fake(int fd) noexcept { return fd >= first_fd; }
fake_poller& poller_of(int fd) { return pollers[(fd - first_fd) / 2 % most_pollers]; }
std::uintptr_t key_of(const fake_poller& p) noexcept {
  return reinterpret_cast<std::uintptr_t>(&p);
}

int wait(int fd, epoll_event* events, std::int64_t timeout_ns, std::uint32_t pc) {
  fake_poller& p = poller_of(fd);
  the().futex_wake(0, 0, pc);  // a point at which others may come first
  if (!p.rung) {
    if (timeout_ns == 0) return 0;
    if (!the().sleep(key_of(p), timeout_ns < 0 ? model::no_deadline : the().now() + timeout_ns))
      return 0;
  }
  p.rung = false;
  events[0] = p.wakes;
  return 1;
}

long fail_with(int e) noexcept {
  errno = e;
  return -1;
}

}  // namespace

extern "C" {

long __real_syscall(long n, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long n, ...) {
  va_list list;
  va_start(list, n);
  long a[6];
  for (long& x : a) x = va_arg(list, long);
  va_end(list);
  if (!only_active()) return __real_syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
  const explorer::guard own;
  switch (n) {
    case SYS_futex: {
      const auto word = static_cast<std::uintptr_t>(a[0]);
      if ((a[1] & 0xf) == 1) return the().futex_wake(word, static_cast<int>(a[2]), PC);
      const int e = the().futex_wait(word, static_cast<std::uint32_t>(a[2]),
                                     deadline_of(reinterpret_cast<const timespec*>(a[3])), PC);
      return e == 0 ? 0 : fail_with(e);
    }
    case SYS_membarrier:
      if (a[0] == MEMBARRIER_CMD_QUERY)
        return MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
      if (a[0] == MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
        return the().has_membarrier() ? 0 : fail_with(ENOSYS);
      the().membarrier(PC);
      return 0;
    case SYS_epoll_pwait2: {
      const auto* t = reinterpret_cast<const timespec*>(a[3]);
      return wait(static_cast<int>(a[0]), reinterpret_cast<epoll_event*>(a[1]),
                  t == nullptr ? -1 : deadline_of(t), PC);
    }
    default: return fail_with(ENOSYS);
  }
}

int __real_pthread_create(pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* arg);
int __wrap_pthread_create(pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* arg) {
  if (!only_active()) return __real_pthread_create(t, a, f, arg);
  const explorer::guard own;
  *t = static_cast<pthread_t>(
      the().start(reinterpret_cast<void (*)(void*)>(reinterpret_cast<void (*)()>(f)), arg, PC));
  return 0;
}
int __wrap_pthread_detach(pthread_t) { return 0; }
int __wrap_pthread_atfork(void (*)(), void (*)(), void (*)()) { return 0; }
int __wrap_pthread_setname_np(pthread_t, const char*) { return 0; }
int __wrap_sigaction(int, const void*, void*) { return 0; }
int __wrap_sigaltstack(const void*, void*) { return 0; }

int __real_pthread_mutex_lock(pthread_mutex_t* m);
int __wrap_pthread_mutex_lock(pthread_mutex_t* m) {
  if (!only_active()) return __real_pthread_mutex_lock(m);
  const explorer::guard own;
  the().lock(reinterpret_cast<std::uintptr_t>(m), PC);
  return 0;
}
int __real_pthread_mutex_unlock(pthread_mutex_t* m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t* m) {
  if (!only_active()) return __real_pthread_mutex_unlock(m);
  const explorer::guard own;
  the().unlock(reinterpret_cast<std::uintptr_t>(m), PC);
  return 0;
}

// Objects with static storage are made again in each execution and never destroyed.
int __real___cxa_atexit(void (*f)(void*), void* arg, void* dso);
int __wrap___cxa_atexit(void (*f)(void*), void* arg, void* dso) {
  return only_active() ? 0 : __real___cxa_atexit(f, arg, dso);
}
int __real___cxa_guard_acquire(void* guard);
int __wrap___cxa_guard_acquire(void* guard) {
  if (!only_active()) return __real___cxa_guard_acquire(guard);
  const explorer::guard own;
  const auto g = reinterpret_cast<std::uintptr_t>(guard);
  the().lock(g, PC);
  if (*static_cast<char*>(guard) == 0) return 1;
  the().unlock(g, PC);
  return 0;
}
void __real___cxa_guard_release(void* guard);
void __wrap___cxa_guard_release(void* guard) {
  if (!only_active()) return __real___cxa_guard_release(guard);
  const explorer::guard own;
  const auto g = reinterpret_cast<std::uintptr_t>(guard);
  the().store(g, 1, 1, model::order::release, PC);
  the().unlock(g, PC);
}

int __real_sched_yield();
int __wrap_sched_yield() {
  if (!only_active()) return __real_sched_yield();
  const explorer::guard own;
  the().spin(0, PC);
  return 0;
}
int __real_nanosleep(const timespec* t, timespec* left);
int __wrap_nanosleep(const timespec* t, timespec* left) {
  if (!only_active()) return __real_nanosleep(t, left);
  const explorer::guard own;
  the().spin(deadline_of(t), PC);
  return 0;
}
int __real_clock_gettime(clockid_t id, timespec* t);
int __wrap_clock_gettime(clockid_t id, timespec* t) {
  if (!only_active()) return __real_clock_gettime(id, t);
  const explorer::guard own;
  const std::int64_t now = the().now();
  *t = {static_cast<time_t>(now / 1'000'000'000), static_cast<long>(now % 1'000'000'000)};
  return 0;
}

void* __real_mmap(void* at, std::size_t n, int prot, int flags, int fd, off_t offset);
void* __wrap_mmap(void* at, std::size_t n, int prot, int flags, int fd, off_t offset) {
  if (!only_active()) return __real_mmap(at, n, prot, flags, fd, offset);
  if (n > most_mapped) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  const explorer::guard own;
  return the().map(n);
}
int __real_munmap(void* at, std::size_t n);
int __wrap_munmap(void* at, std::size_t n) {
  return model::memory::in_arena(at) ? 0 : __real_munmap(at, n);
}
int __real_madvise(void* at, std::size_t n, int advice);
// Who gives pages back writes zeros to them: that races with whoever still uses them.
int __wrap_madvise(void* at, std::size_t n, int advice) {
  if (!only_active()) return __real_madvise(at, n, advice);
  if (advice != MADV_DONTNEED) return 0;
  const explorer::guard own;
  the().plain(reinterpret_cast<std::uintptr_t>(at), n, true, PC);
  return __real_madvise(at, n, advice);
}
int __real_mprotect(void* at, std::size_t n, int prot);
int __wrap_mprotect(void* at, std::size_t n, int prot) {
  return only_active() ? 0 : __real_mprotect(at, n, prot);
}

int __wrap_epoll_create1(int) { return first_fd + 2 * made_fds++; }
int __wrap_eventfd(unsigned, int) { return first_fd + 2 * (made_fds - 1) + 1; }
int __wrap_epoll_ctl(int ep, int, int fd, epoll_event* e) {
  if (!is_fake(fd)) return static_cast<int>(fail_with(EPERM));
  if (e != nullptr) poller_of(ep).wakes = *e;
  return 0;
}
int __wrap_epoll_wait(int ep, epoll_event* events, int, int timeout_ms) {
  const explorer::guard own;
  return wait(ep, events, timeout_ms < 0 ? -1 : timeout_ms * std::int64_t{1'000'000}, PC);
}
long __real_read(int fd, void* p, std::size_t n);
long __wrap_read(int fd, void* p, std::size_t n) { return is_fake(fd) ? 8 : __real_read(fd, p, n); }
long __real_write(int fd, const void* p, std::size_t n);
long __wrap_write(int fd, const void* p, std::size_t n) {
  if (!is_fake(fd)) return __real_write(fd, p, n);
  const explorer::guard own;
  fake_poller& p2 = poller_of(fd);
  p2.rung = true;
  the().futex_wake(key_of(p2), 1, PC);
  return 8;
}
int __real_close(int fd);
int __wrap_close(int fd) { return is_fake(fd) ? 0 : __real_close(fd); }

void __real_abort() __attribute__((noreturn));
void __wrap_abort() {
  if (!only_active()) __real_abort();
  model::fail("abort()");
}
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) {
  if (!only_active()) __real__exit(status);
  model::fail("_exit(" + std::to_string(status) + ")");
}

}  // extern "C"
