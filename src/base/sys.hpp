// The seam for system calls and allocations: what can fail while a program runs goes through here, so
// a test can make the n-th one fail (tests/faults/).
//
// Outside stay:
// - what makes objects of the program's own or of the standard library (boxes of channels, closures of
//   timers, containers, std::function). That is operator new, which a program may replace, and the
//   tests do; allocate() ends there as well;
// - what cannot fail, or fails only when it is called wrongly: sched_yield, nanosleep, gettid, clocks,
//   waking a futex, munmap, the signal mask, sigaction of a signal that is checked, fcntl;
// - the write of a signal handler: it fails when the pipe is full of signals that nobody has read;
// - what happens once, before the first goroutine: handlers, environment, resource limits, shadow
//   stacks, sigaltstack of a thread (which does without);
// - ends of the process, and the stack in a report, which the C library writes.
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>

#include <cstddef>
#include <cstdint>

#include "skein/detail/atomic.hpp"

#if defined(SKEIN_TSAN)
extern "C" {
void __tsan_ignore_thread_begin();
void __tsan_ignore_thread_end();
}
#endif

namespace skein::inline SKEIN_ABI::sys {

// unseen: while it lives the race detector does not look at what the calling thread reads, writes,
// allocates and frees. For the runtime's own data, whose order comes from locks that the detector is
// not shown. Never across a switch.
class unseen {
 public:
#if defined(SKEIN_TSAN)
  unseen() noexcept { __tsan_ignore_thread_begin(); }
  ~unseen() { __tsan_ignore_thread_end(); }
#else
  unseen() noexcept {}
  ~unseen() {}
#endif
  unseen(const unseen&) = delete;
  unseen& operator=(const unseen&) = delete;
};

enum class call : std::uint8_t {
  allocate, mmap, madvise, mprotect, futex, membarrier, thread_create,
  epoll_create, epoll_ctl, epoll_wait, epoll_pwait2, eventfd, open, pipe, pidfd_open, process_madvise,
  read, write, report, count
};

// fault_hook is asked before each call and returns the errno to fail with, or 0 to go on. What follows
// SKEIN_ALL_FAULTS is for tests/faults alone, which builds sys.cpp with it. There the hook may also say, as a
// negative number, how much read, report, epoll_wait and process_madvise do of what they are asked for.
using fault_hook = int (*)(call) noexcept;
void set_fault_hook(fault_hook h) noexcept;

#if defined(SKEIN_ALL_FAULTS)
// clock_hook turns the kernel's time into the runtime's, for tests with clocks that jump and stand still. As long
// as there is one no timed wait lasts longer than a millisecond without another look at the time.
using clock_hook = std::int64_t (*)(std::int64_t kernel_ns) noexcept;
void set_clock_hook(clock_hook h) noexcept;
#endif

// These return what the system call returns, or -errno.
void* map(std::size_t bytes) noexcept;  // reserved, readable, writable; null on failure
void unmap(void* p, std::size_t bytes) noexcept;
int advise(void* p, std::size_t bytes, int advice) noexcept;
void give_back(const iovec* pages, int n) noexcept;  // private memory: it reads as zero from now on
int protect_none(void* p, std::size_t bytes) noexcept;
int futex_wait(detail::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* abs_monotonic) noexcept;
int futex_wake(detail::atomic<std::uint32_t>& word, int n) noexcept;
int membarrier(int command) noexcept;
int thread_create(pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* arg) noexcept;
int epoll_create() noexcept;
int epoll_ctl(int ep, int op, int fd, epoll_event* e) noexcept;
int epoll_wait(int ep, epoll_event* events, int n, std::int64_t timeout_ns) noexcept;  // < 0: for ever
int event_fd() noexcept;
int open(const char* path, int flags) noexcept;
int pipe(int (&ends)[2]) noexcept;  // reads block, writes do not
long read(int fd, void* p, std::size_t n) noexcept;
long write(int fd, const void* p, std::size_t n) noexcept;
long report(const void* p, std::size_t n) noexcept;  // to stderr
void close(int fd) noexcept;
std::int64_t monotonic_ns() noexcept;

// patient: where one thread waits for a word to be set that has to take signals meanwhile. The race
// detector runs signal handlers only inside calls that it intercepts, and it knows no futex.
class patient {
 public:
  void wait_while_zero(detail::atomic<std::uint32_t>& word) noexcept;
  void wake(detail::atomic<std::uint32_t>& word) noexcept;  // after the word was set, once

#if defined(SKEIN_SEES_TSAN) || defined(SKEIN_TSAN)
  patient() noexcept { ::sem_init(&set_, 0, 0); }
  ~patient() { ::sem_destroy(&set_); }

 private:
  ::sem_t set_;
#endif
};

// allocate() throws std::bad_alloc.
void* allocate(std::size_t bytes, std::size_t align);
void deallocate(void* p, std::size_t bytes, std::size_t align) noexcept;

}  // namespace skein::inline SKEIN_ABI::sys
