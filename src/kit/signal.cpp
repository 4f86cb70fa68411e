// Signals as channels.
//
// The handler writes the signal's number into a pipe; one thread of ours reads the pipe and offers
// the number to every subscriber. The thread, not a goroutine, so that a signal reaches its channel
// also while every worker is busy, and whichever runtimes exist.
//
// table.lock guards the subscribers and what each signal's disposition was before. It is a plain
// mutex: nobody parks while holding it.
#include "skein/os/signal.hpp"

#include <errno.h>
#include <unistd.h>

#include <mutex>
#include <system_error>
#include <vector>

#include "prim/limits.hpp"

namespace skein::inline SKEIN_ABI {
namespace {

struct subscriber {
  detail::chan_core* to;
  sigset_t signals;
};

struct signal_table {
  std::mutex lock;
  std::vector<subscriber> subscribers;
  int users[_NSIG] = {};
  struct sigaction before[_NSIG];
  int pipe[2] = {-1, -1};
};

signal_table& table() {
  static signal_table* const t = [] {
    const sys::unseen own;  // or its making would race with the use that others make of it
    return new signal_table;
  }();
  return *t;
}
int write_end = -1;  // for the handler; set before the first handler is installed

void on_signal(int sig) {
  const int kept = errno;
  const auto byte = static_cast<unsigned char>(sig);
  [[maybe_unused]] const ssize_t n = ::write(write_end, &byte, 1);  // full: somebody is far behind anyway
  errno = kept;
}

void* pump(void*) {
  pthread_setname_np(pthread_self(), "skein/signals");
  signal_table& t = table();
  for (;;) {
    unsigned char byte;
    if (sys::read(t.pipe[0], &byte, 1) != 1) continue;
    std::lock_guard hold(t.lock);
    for (const subscriber& s : t.subscribers) {
      if (sigismember(&s.signals, byte) != 1) continue;
      int value = byte;
      detail::chan_try_send(s.to, &value);
    }
  }
}

void start_pump(signal_table& t) {
  if (t.pipe[0] >= 0) return;
  if (const int r = sys::pipe(t.pipe)) throw std::system_error(-r, std::generic_category(), "skein: cannot make the signal pipe");
  write_end = t.pipe[1];
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int r = sys::thread_create(&thread, nullptr, &pump, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (r != 0) {
    sys::close(t.pipe[0]);
    sys::close(t.pipe[1]);
    t.pipe[0] = t.pipe[1] = -1;
    throw std::system_error(-r, std::generic_category(), "skein: cannot start the thread for signals");
  }
  pthread_detach(thread);
  sched::known_threads(1);
}

void release_signals(signal_table& t, const sigset_t& set) noexcept {
  for (int s = 1; s < _NSIG; ++s)
    if (sigismember(&set, s) == 1 && --t.users[s] == 0) ::sigaction(s, &t.before[s], nullptr);
}

}  // namespace

namespace detail {

void signal_forget(chan_core* c) noexcept {
  signal_table& t = table();
  std::lock_guard hold(t.lock);
  for (auto at = t.subscribers.begin(); at != t.subscribers.end(); ++at)
    if (at->to == c) {
      release_signals(t, at->signals);
      t.subscribers.erase(at);
      break;
    }
  sched::subscribed(-1);
}

}  // namespace detail

receiver<int> notify(std::initializer_list<int> signals, std::size_t capacity) {
  detail::chan_core* c = detail::chan_make(detail::elem<int>::ops, capacity);
  receiver<int> r{detail::chan_handle(c)};
  signal_table& t = table();
  std::lock_guard hold(t.lock);
  start_pump(t);
  subscriber s{c, {}};
  sigemptyset(&s.signals);
  t.subscribers.reserve(t.subscribers.size() + 1);
  for (int sig : signals) {
    if (sig <= 0 || sig >= _NSIG || sigismember(&s.signals, sig) == 1) {
      if (sig > 0 && sig < _NSIG) continue;
      release_signals(t, s.signals);
      throw std::system_error(EINVAL, std::generic_category(), "skein: notify");
    }
    if (t.users[sig] == 0) {
      struct sigaction a {};
      a.sa_handler = &on_signal;
      a.sa_flags = SA_RESTART | SA_ONSTACK;
      sigfillset(&a.sa_mask);
      if (::sigaction(sig, &a, &t.before[sig]) != 0) {
        const int e = errno;
        release_signals(t, s.signals);
        throw std::system_error(e, std::generic_category(), "skein: notify");
      }
    }
    ++t.users[sig];
    sigaddset(&s.signals, sig);
  }
  t.subscribers.push_back(s);
  c->special = detail::chan_core::kind::signal;
  sched::subscribed(1);
  return r;
}

}  // namespace skein::inline SKEIN_ABI
