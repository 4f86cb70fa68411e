// Runtimes begin and end, in ones and in several, and so do their goroutines.
#include "faults/scenes.hpp"

#include "support/process.hpp"

namespace faults {
namespace {

template <int Procs> void start() {
  std::atomic<int> ran{0};
  int begun = 0;
  on(Procs, [&] {
    team t;
    for (int k = 0; k < 4; ++k) t.go([&] { ++ran; });
    t.wait();
    begun = t.begun;
  });
  require(ran == begun, "a goroutine did not run");
}

// run() either does all of it or throws before the main function.
void whole_or_not() {
  bool begun = false, over = false, refused = false;
  try {
    skein::run([&] { begun = true, skein::yield(), over = true; }, settings(2));
  } catch (const std::bad_alloc&) {
    refused = true;
  } catch (const std::system_error&) {
    refused = true;
  }
  require(refused ? !begun : over, "the main function did not come to its end");
}

// More goroutines than a processor's queue holds, and stacks for all of them at once.
void burst() {
  std::atomic<int> ran{0};
  on(2, [&] {
    team t;
    const skein::chan<skein::unit> gate;
    for (int k = 0; k < 600; ++k)
      t.go([&, waits = k % 8 == 0] {
        if (waits) gate.recv();
        ++ran;
      });
    gate.close();
    t.wait();
    require(ran == t.begun, "a goroutine was lost");
  });
}

// Two runtimes, which talk to each other and to a thread of the program.
void runtimes() {
  attempt([] {
    skein::runtime a(settings(1)), b(settings(2));
    const skein::chan<int> there, back;
    std::atomic<int> answers{0};
    int asked = 0;
    const bool listens = attempt([&] {
      a.go([&] {
        while (const auto v = there.recv()) back.send(*v + 1);
        back.close();
      });
    });
    attempt([&] {
      b.run([&] {
        for (; listens && asked < 10; ++asked) {
          there.send(asked);
          answers += back.recv() == asked + 1;
        }
      });
    });
    there.close();
    if (listens) require(!back.recv(), "the other has not ended");
    require(answers == asked, "an answer was lost");
  });
}

void processors() {
  on(2, [] {
    std::atomic<bool> over{false};
    std::atomic<int> left{0};
    team t;
    for (int k = 0; k < 6; ++k)
      t.go([&] {
        while (!over) skein::yield();
        ++left;
      });
    for (const int n : {4, 1, 3, 2, 8, 1}) {
      const int before = skein::procs();
      const bool changed = attempt([&] { skein::procs(n); });
      require(skein::procs() == (changed ? n : before), "another number of processors");
      for (int i = 0; i < 10; ++i) skein::yield();
    }
    over = true;
    t.wait();
    require(left == t.begun, "a goroutine was lost with its processor");
  });
}

// An exception of a hook ends the process, with its name.
void hooks() {
  attempt([] {
    skein::options o = settings(2);
    o.on_thread_start = [] { callback(); };
    o.on_thread_stop = [] { callback(); };
    skein::run([] { skein::yield(); }, o);
  });
}

constexpr scenario all[] = {
    {"start_1", &start<1>, true},
    {"start_2", &start<2>},
    {"start_4", &start<4>},
    {"run", &whole_or_not, true},
    {"burst", &burst},
    {"runtimes", &runtimes},
    {"processors", &processors},
    {"thread_hooks", &hooks, false, false,
     "skein: fatal: uncaught exception in options.on_thread_st"},
};

}  // namespace

theme starts() { return {all, std::size(all)}; }

}  // namespace faults
