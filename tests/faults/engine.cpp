#include "faults/engine.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include <pthread.h>
#include <unistd.h>

namespace faults {
namespace {

constexpr const char* names[kinds] = {
    "allocate",      "mmap",         "madvise",    "mprotect",        "futex",        "membarrier",
    "thread_create", "epoll_create", "epoll_ctl",  "epoll_wait",      "epoll_pwait2", "eventfd",
    "open",          "pipe",         "pidfd_open", "process_madvise", "read",         "write",
    "report",        "callback",     "clock",      "signal"};
constexpr const char* ways[] = {"none", "nth", "from_nth", "every_nth", "two", "signals"};

// armed is the switch: a release after the plan is written, an acquire before it is read. Whoever is still
// on his way when it is turned off may see one more fault; those are not counted.
plan current;
std::atomic<bool> armed{false};
std::atomic<long> seen[kinds];
std::atomic<long> hits{0};
std::atomic<long> given[kinds][places];  // hits, by answer
std::atomic<long> live{0};

bool meets(const fault& f, kind k, long n) noexcept { return k == f.what && n == f.n; }

int hit(kind k, int answer) noexcept {
  hits.fetch_add(1, std::memory_order_relaxed);
  given[k][place_of(answer)].fetch_add(1, std::memory_order_relaxed);
  return answer;
}

// fire() counts a call and returns what it is to be answered, 0 for nothing unusual.
int fire(kind k) noexcept {
  if (!armed.load(std::memory_order_acquire)) return 0;
  const long n = seen[k].fetch_add(1, std::memory_order_relaxed) + 1;
  const fault* f = nullptr;
  switch (current.way) {
    case how::none:
    case how::signals: break;
    case how::nth: f = meets(current.first, k, n) ? &current.first : nullptr; break;
    case how::from_nth:
      f = k == current.first.what && n >= current.first.n ? &current.first : nullptr;
      break;
    case how::every_nth:
      f = k == current.first.what && n % current.first.n == 0 ? &current.first : nullptr;
      break;
    case how::two:
      f = meets(current.first, k, n)    ? &current.first
          : meets(current.second, k, n) ? &current.second
                                        : nullptr;
      break;
  }
  return f == nullptr ? 0 : hit(k, f->answer);
}

// allocate() of the seam ends in operator new, which asks itself.
int on_call(call c) noexcept { return c == call::allocate ? 0 : fire(of(c)); }

std::atomic<std::int64_t> ahead{0};   // of the kernel's clock
std::atomic<std::int64_t> latest{0};  // it never goes back
std::atomic<int> still_looks{0};      // so many more looks see the same time

std::int64_t on_look(std::int64_t kernel) noexcept {
  switch (fire(clock_look)) {
    case jumps_hours: ahead.fetch_add(5 * 3'600'000'000'000, std::memory_order_relaxed); break;
    case jumps_a_little: ahead.fetch_add(3'000'000, std::memory_order_relaxed); break;
    case stands_still: still_looks.store(100, std::memory_order_relaxed); break;
    default: break;
  }
  std::int64_t last = latest.load(std::memory_order_relaxed);
  if (still_looks.load(std::memory_order_relaxed) > 0 &&
      still_looks.fetch_sub(1, std::memory_order_relaxed) > 0)
    return last;
  const std::int64_t now = kernel + ahead.load(std::memory_order_relaxed);
  while (last < now && !latest.compare_exchange_weak(last, now, std::memory_order_relaxed)) {
  }
  return std::max(last, now);
}

void* take(std::size_t bytes, std::size_t align) {
  if (fire(of(call::allocate)) != 0) throw std::bad_alloc();
  // The alignment divides the size that is asked for.
  void* p = align == 0 ? std::malloc(std::max<std::size_t>(bytes, 1))
                       : std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (p == nullptr) throw std::bad_alloc();
  live.fetch_add(1, std::memory_order_relaxed);
  return p;
}

void drop(void* p) noexcept {
  if (p == nullptr) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  std::free(p);
}

void take_signals() {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGUSR1);
  sigaddset(&s, SIGUSR2);
  pthread_sigmask(SIG_UNBLOCK, &s, nullptr);
}

std::string text_of(const fault& f) {
  return std::string(names[f.what]) + ':' + std::to_string(f.answer) + ':' + std::to_string(f.n);
}

template <class Names> int index_of(const Names& all, const std::string& name) {
  const auto at = std::find(std::begin(all), std::end(all), name);
  if (at == std::end(all)) throw std::invalid_argument("what is " + name + "?");
  return static_cast<int>(at - std::begin(all));
}

fault parse_fault(std::istream& in) {
  std::string name, answer, n;
  if (!std::getline(in, name, ':') || !std::getline(in, answer, ':') || !std::getline(in, n, ','))
    throw std::invalid_argument("a fault is KIND:ANSWER:N");
  const fault f{index_of(names, name), std::stoi(answer), std::stol(n)};
  if (f.answer < least_answer || f.answer >= places + least_answer)
    throw std::invalid_argument("no call is answered " + answer);
  return f;
}

}  // namespace

std::string describe(kind k, int answer) {
  const std::string name = names[k];
  switch (k) {
    case callback_call: return name + " throws";
    case signal_came: return name + " SIG" + sigabbrev_np(answer);
    case clock_look:
      return name + (answer == jumps_hours      ? " jumps by hours"
                     : answer == jumps_a_little ? " jumps a little"
                                                : " stands still");
    default:
      return name + ' ' +
             (answer < 0 ? "short, " + std::to_string(-answer) : strerrorname_np(answer));
  }
}

std::string text_of(const plan& p) {
  std::string text = ways[static_cast<int>(p.way)];
  if (p.way == how::none) return text;
  text += ',' + text_of(p.first);
  return p.way == how::two ? text + ',' + text_of(p.second) : text;
}

plan parse(const std::string& text) {
  std::istringstream in(text);
  std::string way;
  std::getline(in, way, ',');
  plan p;
  p.way = static_cast<how>(index_of(ways, way));
  if (p.way != how::none) p.first = parse_fault(in);
  if (p.way == how::two) p.second = parse_fault(in);
  return p;
}

void arm(const plan& p) {
  current = p;
  for (auto& n : seen) n.store(0, std::memory_order_relaxed);
  hits.store(0, std::memory_order_relaxed);
  for (auto& of_kind : given)
    for (auto& n : of_kind) n.store(0, std::memory_order_relaxed);
  const bool of_time = p.first.what == clock_look;
  skein::sys::set_fault_hook(&on_call);
  if (of_time) skein::sys::set_clock_hook(&on_look);
  armed.store(true, std::memory_order_release);
}

long disarm() noexcept {
  const long n = hits.load(std::memory_order_relaxed);
  armed.store(false, std::memory_order_release);
  return n;
}

long calls(kind k) noexcept { return seen[k].load(std::memory_order_relaxed); }
long faults(kind k, int answer) noexcept {
  return given[k][place_of(answer)].load(std::memory_order_relaxed);
}
long live_blocks() noexcept { return live.load(std::memory_order_relaxed); }

void advance(std::int64_t ns) noexcept {
  ahead.fetch_add(ns, std::memory_order_relaxed);
  skein::sys::set_clock_hook(&on_look);
}

void note_signal(int sig) noexcept { hit(signal_came, sig); }

void callback() {
  if (fire(callback_call) != 0) throw thrown();
}

skein::options settings(int procs) {
  skein::options o;
  o.procs = procs;
  o.stop_grace = std::chrono::hours(10'000);
  o.on_thread_start = &take_signals;
  return o;
}

}  // namespace faults

void* operator new(std::size_t n) { return faults::take(n, 0); }
void* operator new[](std::size_t n) { return faults::take(n, 0); }
void* operator new(std::size_t n, std::align_val_t a) {
  return faults::take(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return faults::take(n, static_cast<std::size_t>(a));
}
// As the standard library has it, but not every sanitizer's.
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  try {
    return faults::take(n, 0);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* p) noexcept { faults::drop(p); }
void operator delete[](void* p) noexcept { faults::drop(p); }
void operator delete(void* p, std::size_t) noexcept { faults::drop(p); }
void operator delete[](void* p, std::size_t) noexcept { faults::drop(p); }
void operator delete(void* p, std::align_val_t) noexcept { faults::drop(p); }
void operator delete[](void* p, std::align_val_t) noexcept { faults::drop(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { faults::drop(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { faults::drop(p); }
