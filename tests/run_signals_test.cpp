// Signals: faults of goroutines, and the program's own handlers beside the runtime's.
#include <atomic>
#include <chrono>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <initializer_list>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::contains;
using everywhere::require;
using everywhere::run_child;
using everywhere::scaled;
using everywhere::thread_id;
using everywhere::with_procs;

#if defined(SKEIN_SEES_TSAN)
constexpr bool masks_are_ours = false;  // the race detector calls handlers with every signal blocked
#else
constexpr bool masks_are_ours = true;
#endif

char* const nowhere = reinterpret_cast<char*>(0x1000);  // no goroutine's stack

[[gnu::noinline]] void write_to(char* place) { *static_cast<volatile char*>(place) = 1; }

// Memory behind the end of its file: SIGBUS.
char* beyond_a_file() {
  const int fd = memfd_create("empty", MFD_CLOEXEC);
  require(fd >= 0, "memfd_create");
  void* const p = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  require(p != MAP_FAILED, "mmap");
  return static_cast<char*>(p);
}

void install(int sig, int flags, void (*f)(int, siginfo_t*, void*), std::initializer_list<int> masked = {}) {
  struct sigaction a {};
  a.sa_sigaction = f;
  a.sa_flags = flags | SA_SIGINFO;
  for (const int m : masked) sigaddset(&a.sa_mask, m);
  require(sigaction(sig, &a, nullptr) == 0, "sigaction");
}
void leave_with_3(int, siginfo_t*, void*) { _exit(3); }

void write_on_a_goroutine(char* place) {
  skein::run([place] {
    skein::wait_group wg;
    wg.go([place] { write_to(place); });
    wg.wait();
  });
}

// covers: R8
TEST(own_handler, installed_before_or_after_skein_starts_gets_the_faults_of_goroutines) {
  for (const int sig : {SIGSEGV, SIGBUS})
    for (const int flags : {0, SA_ONSTACK})
      for (const bool before : {true, false}) {
        const auto end = run_child([=] {
          static char* place;
          place = sig == SIGSEGV ? nowhere : beyond_a_file();
          const auto handler = [](int, siginfo_t* info, void* context) {
            _exit(info->si_addr == place && context != nullptr ? 3 : 4);
          };
          if (before) install(sig, flags, handler);
          const skein::runtime r;
          if (!before) install(sig, flags, handler);
          write_on_a_goroutine(place);
        });
        EXPECT_EQ(end.status, 3) << sig << ' ' << flags << ' ' << before << ' ' << end.text;
      }
}

// covers: R8
TEST(own_handler, of_the_old_form_is_called_too) {
  const auto end = run_child([] {
    struct sigaction a {};
    a.sa_handler = [](int sig) { _exit(sig == SIGSEGV ? 3 : 4); };
    sigaction(SIGSEGV, &a, nullptr);
    write_on_a_goroutine(nowhere);
  });
  EXPECT_EQ(end.status, 3) << end.text;
}

// covers: R8
TEST(own_handler, gets_the_faults_of_plain_threads) {
  const auto end = run_child([] {
    install(SIGSEGV, 0, &leave_with_3);
    const skein::runtime r;
    write_to(nowhere);
  });
  EXPECT_EQ(end.status, 3) << end.text;
}

// covers: R8
TEST(own_handler, that_is_not_there_leaves_the_usual_end) {
  if (everywhere::sanitized) GTEST_SKIP() << "the sanitizer has a handler";
  const auto end = run_child([] { write_on_a_goroutine(nowhere); });
  EXPECT_EQ(end.signal, SIGSEGV) << end.text;
  EXPECT_EQ(end.text, "");
}

// covers: R8 G6
TEST(own_handler, installed_before_sees_no_overflow) {
  const auto end = run_child([] {
    install(SIGSEGV, SA_ONSTACK, &leave_with_3);
    skein::run([] { return static_cast<int>(everywhere::dig(1 << 20)); });
  });
  EXPECT_EQ(end.signal, SIGABRT) << end.status;
  EXPECT_TRUE(contains(end.text, "stack overflow in goroutine")) << end.text;
}

// covers: R8 G6
TEST(own_handler, installed_after_that_hands_on_keeps_the_report_of_overflows) {
  const auto end = run_child([] {
    const skein::runtime r;
    static struct sigaction skeins;
    sigaction(SIGSEGV, nullptr, &skeins);
    install(SIGSEGV, SA_ONSTACK,
            [](int sig, siginfo_t* info, void* context) { skeins.sa_sigaction(sig, info, context); });
    skein::run([] { return static_cast<int>(everywhere::dig(1 << 20)); });
  });
  EXPECT_EQ(end.signal, SIGABRT) << end.status;
  EXPECT_TRUE(contains(end.text, "stack overflow in goroutine")) << end.text;
}

char* unwritable(std::size_t pages) {
  void* const p = mmap(nullptr, pages * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(p != MAP_FAILED, "mmap");
  return static_cast<char*>(p);
}

// Repairs: makes the page that was written to writable.
void make_writable(int, siginfo_t* info, void*) {
  const auto page = reinterpret_cast<std::uintptr_t>(info->si_addr) & ~std::uintptr_t{4095};
  mprotect(reinterpret_cast<void*>(page), 4096, PROT_READ | PROT_WRITE);
}

// covers: R8
TEST(own_handler, may_repair_the_fault_and_return) {
  for (const int procs : {1, 4}) {
    const auto end = run_child([procs] {
      install(SIGSEGV, procs == 1 ? 0 : SA_ONSTACK, &make_writable);
      constexpr std::size_t pages = 200;
      char* const memory = unwritable(pages);
      skein::run(
          [&] {
            skein::wait_group wg;
            for (std::size_t i = 0; i < pages; ++i)
              wg.go([place = memory + i * 4096] {
                write_to(place);
                skein::yield();
                require(*place == 1, "what was written stands");
              });
            wg.wait();
          },
          with_procs(procs));
    });
    EXPECT_EQ(end.status, 0) << end.signal << end.text;
  }
}

sigjmp_buf back;

// covers: R8
TEST(own_handler, may_jump_back_into_the_goroutine) {
  const auto end = run_child([] {
    install(SIGSEGV, 0, [](int, siginfo_t*, void*) { siglongjmp(back, 1); });
    skein::run(
        [] {
          for (int i = 0; i < 100; ++i) {
            if (sigsetjmp(back, 1) == 0) {
              write_to(nowhere);
              require(false, "no fault");
            }
            skein::yield();
            skein::sleep_for(std::chrono::nanoseconds(1));
          }
        },
        with_procs(2));
  });
  EXPECT_EQ(end.status, 0) << end.signal << end.text;
}

// covers: R8
TEST(own_handler, has_room_on_the_stack_for_signals) {
  const auto end = run_child([] {
    install(SIGSEGV, SA_ONSTACK, [](int, siginfo_t*, void*) { _exit(everywhere::dig(40 * 1024) != 0 ? 3 : 4); });
    write_on_a_goroutine(nowhere);
  });
  EXPECT_EQ(end.status, 3) << end.signal << end.text;
}

std::atomic<int> nested{0};

// covers: R8
TEST(nested_handlers, of_another_signal_run_and_return) {
  if (!masks_are_ours) GTEST_SKIP() << "the race detector blocks it";
  for (const int flags : {0, SA_ONSTACK}) {
    const auto end = run_child([flags] {
      install(SIGFPE, flags, [](int, siginfo_t*, void*) { ++nested; });
      install(SIGSEGV, flags, [](int sig, siginfo_t* info, void* context) {
        for (int i = 1; i <= 10; ++i) {
          raise(SIGFPE);
          if (nested != i) _exit(4);
        }
        nested = 0;
        make_writable(sig, info, context);
      });
      char* const page = unwritable(1);
      write_on_a_goroutine(page);
      require(*page == 1, "what was written stands");
    });
    EXPECT_EQ(end.status, 0) << end.signal << end.text;
  }
}

// covers: R8
TEST(nested_handlers, of_the_same_signal_run_where_they_were_allowed_to) {
  const auto faults_again = [](int, siginfo_t*, void*) {
    if (++nested == 3) _exit(3);
    write_to(nowhere);
  };
  const auto allowed = run_child([&] {
    install(SIGSEGV, SA_NODEFER, faults_again);
    write_on_a_goroutine(nowhere);
  });
  EXPECT_EQ(allowed.status, 3) << allowed.signal << allowed.text;
  const auto not_allowed = run_child([&] {
    install(SIGSEGV, 0, faults_again);
    write_on_a_goroutine(nowhere);
  });
  EXPECT_EQ(not_allowed.signal, SIGSEGV) << not_allowed.status << not_allowed.text;
}

// covers: R8
TEST(own_handler, runs_with_the_signals_blocked_that_it_asked_for) {
  if (!masks_are_ours) GTEST_SKIP() << "the race detector blocks them all";
  const auto end = run_child([] {
    install(SIGSEGV, 0, [](int, siginfo_t*, void*) {
      sigset_t now;
      pthread_sigmask(SIG_SETMASK, nullptr, &now);
      const bool blocked = sigismember(&now, SIGFPE) == 1 && sigismember(&now, SIGSEGV) == 1;
      _exit(blocked && sigismember(&now, SIGILL) == 0 ? 3 : 4);
    }, {SIGFPE});
    write_on_a_goroutine(nowhere);
  });
  EXPECT_EQ(end.status, 3) << end.signal << end.text;
}

// covers: R8
TEST(own_handler, wanted_once_is_called_once) {
  const auto end = run_child([] {
    alarm(20);  // it would be called for ever
    install(SIGSEGV, SA_RESETHAND, [](int, siginfo_t*, void*) {
      [[maybe_unused]] const auto n = write(STDERR_FILENO, "called\n", 7);
    });
    write_on_a_goroutine(nowhere);
  });
  EXPECT_EQ(end.signal, SIGSEGV) << end.status;
  EXPECT_EQ(end.text, "called\n");
}

std::atomic<int> handled{0};
std::atomic<int> on_another{0};
int first_thread = 0;

// covers: R8
TEST(asynchronous_signals, never_interrupt_a_worker) {
  const auto end = run_child([] {
    first_thread = thread_id();
    install(SIGUSR1, SA_RESTART, [](int, siginfo_t*, void*) {
      if (thread_id() != first_thread) ++on_another;
      ++handled;
    });
    skein::run(
        [] {
          std::atomic<bool> over{false};
          skein::wait_group wg;
          for (int i = 0; i < 3; ++i)
            wg.go([&] { while (!over) skein::yield(); });
          const int n = static_cast<int>(scaled(500));
          for (int i = 1; i <= n; ++i) {
            kill(getpid(), SIGUSR1);
            while (handled < i) skein::yield();
          }
          over = true;
          wg.wait();
        },
        with_procs(4));
    require(on_another == 0, "a signal on a thread of skein's");
  });
  EXPECT_EQ(end.status, 0) << end.signal << end.text;
}

}  // namespace
