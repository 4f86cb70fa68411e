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

// Hands the signal to whoever had it before.
void pass_on(int sig, siginfo_t* info, void* uc) {
  const struct sigaction& old = sig == SIGSEGV ? before_segv : before_bus;
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

}  // namespace

void report_overflow(const goroutine& g, const arch::stack& s) noexcept {
  base::text t;
  t << "skein: fatal: stack overflow in goroutine\n  stack: " << std::uint64_t{s.usable() / 1024}
    << " KiB usable of a reservation of " << std::uint64_t{arch::class_bytes(s.cls) / 1024} << " KiB";
  if (!s.guarded) t << ", not guarded: found by its canary, late";
  t << "\n  created by ";
  print_site(t, g.site);
  t << "\n  a larger one: go({.stack = 1_MiB}, f), options.stack for all, on_system_stack(f) for one call\n";
  t.print();
  ::signal(SIGABRT, SIG_DFL);
  std::abort();
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
  if (w->g == nullptr) {
    if (before_terminate != nullptr) before_terminate();
    std::abort();
  }
  base::text t;
  if (const std::type_info* type = abi::__cxa_current_exception_type()) {
    if (*type == typeid(goexit)) {
      base::fatal("exit_goroutine() met a noexcept function on its way out");
    }
    int failed = 0;
    char* plain = abi::__cxa_demangle(type->name(), nullptr, nullptr, &failed);
    t << "skein: fatal: uncaught exception in goroutine: " << (failed == 0 ? plain : type->name());
    try {
      throw;
    } catch (const std::exception& e) {
      t << "\n  what(): " << e.what();
    } catch (...) {
    }
  } else {
    t << "skein: fatal: terminate called in goroutine";
  }
  t << "\n  created by ";
  print_site(t, w->g->site);
  t << "\n  stack:\n";
  t.print();
  print_stack();
  std::abort();
}

std::size_t signal_stack_bytes() noexcept {
  const auto least = static_cast<std::size_t>(getauxval(AT_MINSIGSTKSZ));
  return std::max<std::size_t>(64 * 1024, 2 * least);
}

}  // namespace

void describe_site(base::text& t, const void* site) { print_site(t, site); }

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
