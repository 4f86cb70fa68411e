// Whole small runtimes: workers and monitor are threads of the model, goroutines move between them. What
// a search can reach is little here, so most executions are random.
#include <chrono>
#include <memory>

#include "model.hpp"
#include "skein/skein.hpp"

namespace {

using namespace std::chrono_literals;

// Nothing but the parties to a wake-up may be needed for it: where deadlines never come, the monitor
// cannot repair it.
constexpr model::effort mostly_random{
    .preemptions = 1, .stale = 1, .searched = 300, .random = 3'000};

skein::options small(int procs) {
  skein::options o;
  o.procs = procs;
  o.max_threads = 6;
  o.stop_grace = std::chrono::hours(1'000);
  return o;
}

MODEL(runtime, begins_and_ends, mostly_random) {
  int n = 0;
  skein::run([&] { n = 1; }, small(2));
  MODEL_CHECK(n == 1);
}

void two_goroutines() {
  model::no_deadlines();
  int a = 0, b = 0;
  skein::run(
      [&] {
        skein::wait_group wg;
        wg.go([&] { a = 1; });
        wg.go([&] { b = 1; });
        wg.wait();
        MODEL_CHECK(a + b == 2);
      },
      small(2));
}
MODEL(runtime, two_goroutines, mostly_random) { two_goroutines(); }
MODEL(runtime, two_goroutines_without_membarrier, mostly_random) {
  model::asymmetric_fences(false);
  two_goroutines();
}

// Goroutines that give way to all go by the global queue, and so from worker to worker.
MODEL(runtime, ping_pong, mostly_random) {
  model::no_deadlines();
  skein::run(
      [] {
        const skein::chan<int> there, back;
        int shared = 0;
        skein::go([&] {
          for (int i = 0; i < 2; ++i) {
            there.recv();
            ++shared;
            back.send(i);
          }
        });
        for (int i = 0; i < 2; ++i) {
          ++shared;
          there.send(i);
          back.recv();
        }
        MODEL_CHECK(shared == 4);
      },
      small(2));
}

// More goroutines than the queue has room for: some go by the global one.
MODEL(runtime, overflow, mostly_random) {
  model::no_deadlines();
  int done = 0;
  skein::run(
      [&] {
        skein::mutex m;
        skein::wait_group wg;
        for (int i = 0; i < 7; ++i)
          wg.go([&] {
            const std::lock_guard hold(m);
            ++done;
          });
        wg.wait();
      },
      small(2));
  MODEL_CHECK(done == 7);
}

// A thread that is none of the runtime's makes a goroutine ready.
MODEL(runtime, woken_from_outside, mostly_random) {
  model::no_deadlines();
  const skein::chan<int> c;
  const auto send = [&] { c.send(1); };
  int got = 0;
  const auto run = [&] { skein::run([&] { got = *c.recv(); }, small(1)); };
  model::threads(send, run);
  MODEL_CHECK(got == 1);
}

// The goroutine that blocks gives its processor away and stands in line for one afterwards.
MODEL(runtime, blocking, mostly_random) {
  model::no_deadlines();
  int n = 0;
  skein::run(
      [&] {
        skein::wait_group wg;
        wg.go([&] { n = 1; });
        skein::blocking([] {});
        wg.wait();
      },
      small(1));
  MODEL_CHECK(n == 1);
}

MODEL(runtime, sleeps, mostly_random) {
  skein::run(
      [] {
        skein::wait_group wg;
        wg.go([] { skein::sleep_for(1ms); });
        skein::sleep_for(2ms);
        wg.wait();
      },
      small(2));
}

// What blocks waits for a goroutine that is made ready while the processor is given away.
MODEL(runtime, woken_while_blocking, mostly_random) {
  model::no_deadlines();
  const skein::chan<int> c;
  std::atomic<bool> received{false};
  const auto send = [&] { c.send(1); };
  const auto run = [&] {
    skein::run(
        [&] {
          skein::go([&] {
            c.recv();
            received.store(true, std::memory_order_release);
          });
          skein::yield();
          skein::blocking([&] {
            while (!received.load(std::memory_order_acquire)) skein::detail::cpu_relax();
          });
        },
        small(1));
  };
  model::threads(send, run);
}

// The runtime ends with its last goroutine.
MODEL(runtime, waits_for_all, mostly_random) {
  model::no_deadlines();
  skein::options o = small(2);
  o.on_exit = skein::on_exit::wait_all;
  int done = 0;
  skein::run([&] { skein::go([&] { skein::go([&] { done = 1; }); }); }, o);
  MODEL_CHECK(done == 1);
}

// A goroutine that computes without an end loses its processor to the one that it waits for.
void hog() {
  std::atomic<bool> ended{false};
  skein::run(
      [&] {
        skein::go([&] { ended.store(true, std::memory_order_release); });
        while (!ended.load(std::memory_order_acquire)) skein::detail::cpu_relax();
        skein::yield();
      },
      small(1));
}
MODEL(runtime, hog, mostly_random) { hog(); }
MODEL(runtime, hog_without_membarrier, mostly_random) {
  model::asymmetric_fences(false);
  hog();
}

// Goroutines that wait for both threads of the runtime and for time.
MODEL(runtime, timed_out, mostly_random) {
  skein::run(
      [&] {
        const skein::chan<int> c;
        skein::wait_group wg;
        wg.go([&] { c.send(1); });
        while (!c.recv_for(1ms)) {
        }
        wg.wait();
      },
      small(2));
}

// A processor that is added is seen whole by workers that steal, and by the monitor.
MODEL(runtime, more_processors, mostly_random) {
  int done[2] = {};
  skein::run(
      [&] {
        skein::wait_group wg;
        skein::procs(2);
        for (int& d : done) wg.go([&d] { d = 1; });
        wg.wait();
        skein::procs(1);
        skein::yield();
      },
      small(1));
  MODEL_CHECK(done[0] + done[1] == 2);
}

// One that is added while another worker goes round all of them, for work and for deadlines.
MODEL(runtime, more_processors_while_others_steal, mostly_random) {
  std::atomic<int> done{0};
  skein::run(
      [&] {
        skein::wait_group wg;
        for (int i = 0; i < 2; ++i) wg.go([&] { done.fetch_add(1, std::memory_order_relaxed); });
        skein::procs(3);
        skein::procs(1);
        wg.wait();
      },
      small(2));
  MODEL_CHECK(done.load(std::memory_order_relaxed) == 2);
}

}  // namespace
