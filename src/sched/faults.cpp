// What happens when a goroutine breaks: stack overflow and uncaught exceptions.
#include <cxxabi.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <typeinfo>

#include "base/check.hpp"
#include "sched/faults.hpp"
#include "sched/goexit.hpp"
#include "sched/sched.hpp"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace skein::inline SKEIN_ABI::sched {
namespace {

struct sigaction before_segv, before_bus;
std::terminate_handler before_terminate = nullptr;

// Hands the signal to whoever had it before, as the kernel would have: with the signals blocked that the
// handler wants blocked, until the return from ours, and once only if it wants that.
void pass_on(int sig, siginfo_t* info, void* uc) {
  const struct sigaction& old = sig == SIGSEGV ? before_segv : before_bus;
  if ((old.sa_flags & SA_RESETHAND) != 0) ::signal(sig, SIG_DFL);
  pthread_sigmask(SIG_BLOCK, &old.sa_mask, nullptr);
  if ((old.sa_flags & SA_NODEFER) != 0 && sigismember(&old.sa_mask, sig) == 0) {
    sigset_t open;
    sigemptyset(&open);
    sigaddset(&open, sig);
    pthread_sigmask(SIG_UNBLOCK, &open, nullptr);
  }
  if ((old.sa_flags & SA_SIGINFO) != 0) {
    old.sa_sigaction(sig, info, uc);
  } else if (old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN) {
    // Back to the default: the faulting instruction runs again and ends the process as usual.
    ::signal(sig, SIG_DFL);
  } else {
    old.sa_handler(sig);
  }
}

void print_site(base::text& t, const void* site) {
  Dl_info info;
  if (dladdr(site, &info) == 0) {
    t << site;
    return;
  }
  if (info.dli_sname != nullptr) {
    int failed = 0;
    char* plain = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &failed);
    t << (failed == 0 ? plain : info.dli_sname);
    std::free(plain);
  } else {
    t << "?";
  }
  t << " (" << info.dli_fname << "+";
  t << reinterpret_cast<const void*>(static_cast<const char*>(site) - static_cast<const char*>(info.dli_fbase)) << ")";
}

// The process ends soon, whatever its last report waits for.
void end_within_seconds() noexcept {
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  ::signal(SIGALRM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &alarms, nullptr);
  ::alarm(2);
}

}  // namespace

void report_overflow(const goroutine& g, const arch::stack& s) noexcept {
  base::begin_report();
  base::text t;
  t << "skein: fatal: stack overflow in ";
  name_goroutine(t, g);
  t << "\n  stack: " << std::uint64_t{s.usable() / 1024}
    << " KiB usable of a reservation of " << std::uint64_t{arch::class_bytes(s.cls) / 1024} << " KiB";
  if (!s.guarded) t << ", not guarded: found by its canary, late";
  t << "\n  a larger one: go({.stack = 1_MiB}, f), options.stack for all, on_system_stack(f) for one call\n";
  t.print();
  // The name of the site may need a lock that was held here, the allocator's say.
  end_within_seconds();
  t = base::text();
  t << "  created by ";
  print_site(t, g.site);
  t << "\n";
  t.print();
  ::signal(SIGABRT, SIG_DFL);
  std::abort();
}

namespace {

// Where the calling goroutine comes from and stands, the last part of a report.
[[noreturn]] void end_with_origin(const goroutine* g) noexcept {
  base::text t;
  if (g != nullptr) {
    t << "\n  created by ";
    print_site(t, g->site);
  }
  t << "\n  stack:\n";
  t.print();
  print_stack();
  std::abort();
}

void print_exception(const std::type_info& type) noexcept {
  int failed = 0;
  char* plain = abi::__cxa_demangle(type.name(), nullptr, nullptr, &failed);
  (base::text() << (failed == 0 ? plain : type.name())).print();
  try {
    throw;
  } catch (const std::exception& e) {
    (base::text() << "\n  what(): " << e.what()).print();
  } catch (...) {
  }
}

}  // namespace

void report_goexit(const char* how) noexcept {
  base::begin_report();
  const goroutine* g = current_goroutine();
  base::text t;
  t << "skein: fatal: exit_goroutine() " << how << ", in ";
  name_goroutine(t, *g);
  t.print();
  end_with_origin(g);
}

namespace {

void on_fault(int sig, siginfo_t* info, void* uc) {
  const worker* w = current();
  const goroutine* g = w->g;
  if (g != nullptr) {
    const arch::stack* s = w->rt->stacks.find(info->si_addr);
    if (s != nullptr && static_cast<const char*>(info->si_addr) < s->limit()) {
      report_overflow(*g, *s);
    }
  }
  pass_on(sig, info, uc);
}

[[noreturn]] void on_terminate() {
  const worker* w = current();
  const goroutine* g = w->g;
  if (g == nullptr && w->hook == nullptr) {
    if (before_terminate != nullptr) before_terminate();
    std::abort();
  }
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type != nullptr && *type == typeid(goexit)) report_goexit("met a noexcept function on its way out");
  base::begin_report();
  base::text t;
  t << "skein: fatal: " << (type != nullptr ? "uncaught exception in " : "terminate called in ");
  if (g != nullptr)
    name_goroutine(t, *g);
  else
    t << w->hook;
  if (type != nullptr) t << ": ";
  t.print();
  if (type != nullptr) print_exception(*type);
  end_with_origin(g);
}

std::size_t signal_stack_bytes() noexcept {
  const auto least = static_cast<std::size_t>(getauxval(AT_MINSIGSTKSZ));
  return std::max<std::size_t>(64 * 1024, 2 * least);
}

}  // namespace

void describe_site(base::text& t, const void* site) { print_site(t, site); }

void name_goroutine(base::text& t, const goroutine& g) noexcept {
  t << "goroutine " << std::uint64_t{detail::goroutine_slab::number_of(&g) + 1} << "." << std::uint64_t{g.epoch};
}

SKEIN_NOINLINE void print_stack() noexcept {
  void* frames[64];
  const int n = backtrace(frames, 64);
  backtrace_symbols_fd(frames, n, STDERR_FILENO);
}

void install_fault_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction a {};
    a.sa_sigaction = &on_fault;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&a.sa_mask);
    sigaction(SIGSEGV, &a, &before_segv);
    sigaction(SIGBUS, &a, &before_bus);
    before_terminate = std::set_terminate(&on_terminate);
    // The first use of backtrace() loads a library, which the fatal path must not do.
    void* warm[1];
    backtrace(warm, 1);
  });
}

void give_signal_stack(worker* w) noexcept {
  stack_t now{};
  // A sanitizer, or the start hook's library, may have given one already.
  if (sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0) return;
  void* memory = sys::map(signal_stack_bytes());
  if (memory == nullptr) return;
  stack_t s{};
  s.ss_sp = memory;
  s.ss_size = signal_stack_bytes();
  if (sigaltstack(&s, nullptr) == 0)
    w->signal_stack = memory;
  else
    sys::unmap(memory, signal_stack_bytes());
}

void drop_signal_stack(worker* w) noexcept {
  if (w->signal_stack == nullptr) return;
  stack_t off{};
  off.ss_flags = SS_DISABLE;
  sigaltstack(&off, nullptr);
  sys::unmap(w->signal_stack, signal_stack_bytes());
}

}  // namespace skein::inline SKEIN_ABI::sched
