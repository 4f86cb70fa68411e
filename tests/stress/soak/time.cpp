// Timers that are started, reset and stopped at random; and goroutines that keep others waiting.
#include <cerrno>
#include <optional>

#include <sys/syscall.h>
#include <unistd.h>

#include "skein/go.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "stress/soak/round.hpp"

namespace soak {
namespace {

// Exactly one of "stopped" and "received" holds for each time the timer was set.
void one_shot(worker& w) {
  std::atomic<std::uint64_t> received{0};
  std::uint64_t set = 1;
  std::uint64_t stopped = 0;
  skein::timer t(w.moment());
  skein::wait_group wg;
  const skein::chan<skein::unit> enough;
  if (w.d.one_in(2))
    w.r.anywhere(wg, w.d, [&, at = t.chan()](worker&) {
      while (skein::select(skein::recv(at), skein::recv(enough)) == 0)
        received.fetch_add(1, std::memory_order_relaxed);
    });
  for (std::uint64_t n = w.d.below(4); n > 0; --n) {
    std::optional<skein::time_point> v;
    if (skein::select(skein::recv(t.chan(), v), skein::recv(skein::after(w.moment()))) == 0)
      received.fetch_add(1, std::memory_order_relaxed);
    if (w.d.one_in(2)) {
      stopped += t.reset(w.moment());
      ++set;
    }
  }
  stopped += t.stop();
  require(t.chan().try_recv().empty(), "a stopped timer still had something to say");
  enough.close();
  wg.wait();
  require(received + stopped == set, "a timer was neither stopped nor received, or both");
  w.count(kind::timers, set);
}

void callback(worker& w) {
  std::uint64_t runs = 0;
  skein::wait_group heard;
  heard.add(1);
  auto t = skein::after_func(w.moment(), [&] {
    ++runs;
    heard.done();
  });
  w.interrupt();
  const bool stopped = w.d.one_in(2) && t.stop();
  if (stopped) heard.done();
  heard.wait();
  require(runs == (stopped ? 0 : 1), "a callback ran after it was stopped, or not once");
  w.count(kind::timers);
}

void ticks(worker& w) {
  skein::ticker t(std::chrono::microseconds(10 + w.d.below(2000)));
  skein::time_point last{};
  for (std::uint64_t n = w.d.below(5); n > 0; --n) {
    const auto at = t.chan().recv();
    require(at && *at >= last, "ticks came out of order");
    last = *at;
    if (w.d.one_in(4)) t.reset(std::chrono::microseconds(10 + w.d.below(2000)));
  }
  t.stop();
  require(t.chan().try_recv().empty(), "a stopped ticker ticked");
  w.count(kind::timers);
}

void sleeper(worker& w) {
  const nanoseconds d = w.moment();
  const auto from = skein::now();
  if (w.d.one_in(2))
    skein::sleep_for(d);
  else if (!skein::sleep_for(w.r.ctx(), d))
    return;
  require(skein::now() - from >= d, "a sleep was too short");
  w.count(kind::sleeps);
}

}  // namespace

void timers(worker& w) {
  all_along(w, 60, [](worker& me) {
    switch (me.d.below(4)) {
      case 0: return one_shot(me);
      case 1: return callback(me);
      case 2: return ticks(me);
      default: return sleeper(me);
    }
  });
}

namespace {

void locked_to_thread(worker& w) {
  skein::lock_os_thread();
  const long before = syscall(SYS_gettid);
  for (std::uint64_t n = w.d.below(10); n > 0; --n) {
    w.interrupt();
    require(syscall(SYS_gettid) == before, "a locked goroutine changed its thread");
  }
  skein::unlock_os_thread();
}

std::uint64_t deep(std::uint64_t n) {
  volatile char frame[4096];
  frame[n % sizeof frame] = 1;
  return n == 0 ? 0 : frame[n % sizeof frame] + deep(n - 1);
}

void hog(worker& w) {
  switch (w.d.below(6)) {
    case 0: compute(std::chrono::microseconds(w.d.below(20'000))); break;
    case 1: skein::blocking([&] { usleep(static_cast<unsigned>(w.d.below(10'000))); }); break;
    case 2: usleep(static_cast<unsigned>(w.d.below(10'000))); break;
    case 3: locked_to_thread(w); break;
    case 4:
      require(skein::on_system_stack([] { return deep(200); }) == 200, "a deep call went wrong");
      break;
    default:
      for (std::uint64_t n = w.d.below(10'000); n > 0; --n) skein::checkpoint();
      break;
  }
  w.count(kind::hogs);
}

}  // namespace

void hogs(worker& w) {
  skein::wait_group wg;
  for (std::size_t n = round::few(w.d, 6); n > 0; --n)
    w.r.go(wg, w.d, [](worker& me) {
      while (!me.r.over()) {
        hog(me);
        skein::sleep_for(nanoseconds(me.d.below(20'000'000)));
      }
      if (me.d.one_in(2)) skein::exit_goroutine();
    });
  wg.wait();
}

}  // namespace soak
