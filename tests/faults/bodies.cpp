// What a goroutine, a runtime or a thread runs for the program throws: it reaches whoever waits for it, or ends the
// process with a report.
#include "faults/scenes.hpp"

namespace faults {
namespace {

constexpr const char* uncaught_text = "skein: fatal: uncaught exception in goroutine";

void uncaught() {
  on(2, [] {
    team t;
    std::atomic<int> over{0};
    int due = 0;
    const auto f = [&over] { callback(), ++over; };
    due += attempt([&] { skein::go(f); });
    due += attempt([&] { skein::after_func(10us, f); });
    attempt([&] {
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      due += attempt([&] { skein::after_func(ctx, f); });
    });
    t.go(f);
    t.wait();
    while (over < due + t.begun) skein::yield();
  });
}

// Without a runtime the thread for deadlines calls the functions.
void uncaught_outside() {
  std::atomic<int> over{0};
  int due = 0;
  for (int k = 0; k < 3; ++k)
    due += attempt([&] { skein::after_func(10us, [&over] { callback(), ++over; }); });
  while (over < due) skein::yield();
}

// What leaves the main function leaves run(), which then waits for nobody.
void mains() {
  std::atomic<int> ended{0};
  int others = 0;
  bool begun = false, through = false;
  skein::options o = settings(2);
  o.on_exit = skein::on_exit::wait_all;
  try {
    skein::run(
        [&] {
          begun = true;
          others += attempt([&] { skein::go([&] { skein::yield(), ++ended; }); });
#if defined(SKEIN_SEES_ASAN)
          while (ended < others)
            skein::yield();  // a runtime that has goroutines left is kept: leaks have roots
#endif
          callback();
          through = true;
        },
        o);
    require(through, "an exception was lost");
  } catch (const thrown&) {
    require(begun && !through, "an exception from nowhere");
  } catch (const std::bad_alloc&) {
    require(!begun, "refused after its beginning");
  } catch (const std::system_error&) {
    require(!begun, "refused after its beginning");
  }
  require(through ? ended == others : ended <= others, "a goroutine was lost");
}

void embedded() {
  on(1, [] {
    attempt([] {
      std::atomic<int> runs{0};
      int begun = 0;
      skein::runtime other(settings(2));
      attempt([&] { other.run([] { callback(); }); });
      attempt([&] {
        const parcel p = other.run([] { return callback(), parcel(3); });
        require(p.value == 3, "another result");
      });
      begun += attempt([&] { other.go(quiet_job(runs)); });
      while (runs < begun) skein::yield();
    });
  });
  no_job_is_left();
  require(parcel::live() == 0, "a result was not destroyed");
}

// Options are copied before anything runs.
void hook_copies() {
  struct hook {
    std::atomic<int>* threads;
    explicit hook(std::atomic<int>* n) : threads(n) {}
    hook(const hook& o) : threads((callback(), o.threads)) {}
    void operator()() const { ++*threads; }
  };
  std::atomic<int> begun{0}, ended{0};
  bool ran = false;
  const bool whole = attempt([&] {
    skein::options o = settings(2);
    o.on_thread_start = hook(&begun);
    o.on_thread_stop = hook(&ended);
    skein::run([&] { ran = true; }, o);
  });
  require(whole == ran, "the main function ran without a runtime");
  require(begun == ended && (begun > 0 || !ran), "a hook was not called");
}

// Calls elsewhere: without the processor, and on another stack.
void detours() {
  on(2, [] {
    std::atomic<int> back{0};
    team t;
    for (int k = 0; k < 3; ++k)
      t.go([&back] {
        int mine = 7;
        attempt([] { skein::blocking([] { callback(); }); });
        attempt([] {
          const parcel p = skein::blocking([] { return callback(), parcel(2); });
          require(p.value == 2, "another result");
        });
        attempt([] { skein::on_system_stack([] { callback(), skein::yield(), callback(); }); });
        attempt([] {
          const parcel p = skein::on_system_stack([] { return callback(), parcel(5); });
          require(p.value == 5, "another result");
        });
        attempt([&] {
          int& same = skein::on_system_stack([&]() -> int& { return callback(), mine; });
          require(&same == &mine, "another object");
        });
        ++back;
      });
    t.wait();
    require(back == t.begun, "somebody did not come back");
  });
  require(parcel::live() == 0, "a result was not destroyed");
}

constexpr scenario all[] = {
    {"uncaught", &uncaught, false, false, uncaught_text},
    {"uncaught_outside", &uncaught_outside, false, false, "terminate called after throwing"},
    {"main_functions", &mains},
    {"embedded", &embedded},
    {"hook_copies", &hook_copies},
    {"detours", &detours},
};

}  // namespace

theme bodies() { return {all, std::size(all)}; }

}  // namespace faults
