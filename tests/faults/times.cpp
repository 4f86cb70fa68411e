// Time: each timer fires once, never early, or was stopped; nobody sleeps on. Contexts end.
#include "faults/scenes.hpp"

namespace faults {
namespace {

void sleepers() {
  std::atomic<int> woken{0};
  on(2, [&] {
    team t;
    for (int k = 0; k < 40; ++k)
      t.go([&, k] {
        attempt([&] {
          const auto end = skein::now() + std::chrono::microseconds(k * 10);
          skein::sleep_until(end);
          require(skein::now() >= end, "woke too early");
        });
        ++woken;
      });
    t.wait();
    require(woken == t.begun, "somebody sleeps on");
  });
}

// A thousand functions, a third of them stopped, some of them again and again.
void functions() {
  constexpr std::size_t n = 1000;
  std::array<std::atomic<int>, n> fired{};
  on(2, [&] {
    int armed = 0, stopped = 0;
    std::atomic<int> ran{0};
    for (std::size_t k = 0; k < n; ++k)
      attempt([&] {
        auto f = skein::after_func(std::chrono::microseconds(k % 50 * 10), [&, k] {
          ++fired[k];
          ++ran;
        });
        ++armed;
        if (k % 3 == 0) stopped += f.stop();
      });
    while (ran < armed - stopped) skein::yield();
  });
  for (const auto& one : fired) require(one <= 1, "a timer fired twice");
}

// Timers with channels, which wait in one heap: the time that each sends is its own at the earliest.
void timers() {
  on(2, [] {
    attempt([] {
      std::vector<std::pair<skein::time_point, skein::timer>> ts;
      ts.reserve(200);
      for (int k = 0; k < 200; ++k)
        attempt([&] {
          const skein::duration d = std::chrono::microseconds((k * 37 % 100) * 5);
          const auto when = skein::now() + d;
          ts.emplace_back(when, skein::timer(d));
        });
      int came = 0, wanted = 0;
      for (std::size_t k = 0; k < ts.size(); ++k) {
        auto& [when, t] = ts[k];
        if (k % 4 == 0 && t.stop()) {
          require(!t.chan().try_recv(), "a stopped timer sent");
          if (k % 8 != 0) continue;
          const auto later = skein::now() + 20us;
          if (!attempt([&] { t.reset(20us); })) continue;
          when = later;
        }
        ++wanted;
        if (const auto at = t.chan().recv()) {
          require(*at >= when, "a timer fired too early");
          ++came;
        }
        require(!t.chan().try_recv(), "a timer fired twice");
      }
      require(came == wanted, "a timer was lost");
    });
  });
}

void tickers() {
  on(2, [] {
    team t;
    for (int k = 0; k < 8; ++k)
      t.go([k] {
        attempt([k] {
          skein::time_point last = skein::now();
          skein::ticker tick(std::chrono::microseconds(20 + k));
          for (int i = 0; i < 5; ++i) {
            const auto at = tick.chan().recv();
            require(at && *at >= last, "ticks went backwards");
            last = *at;
          }
          tick.stop();
          require(!tick.chan().try_recv(), "a stopped ticker ticked");
        });
      });
    t.wait();
  });
}

// A tree, cancelled in the middle and at the root.
void trees() {
  on(2, [] {
    attempt([] {
      auto [root, cancel_root] = skein::with_cancel(skein::background());
      auto [middle, cancel_middle] = skein::with_timeout(root, 5h);
      team t;
      std::atomic<int> ended{0};
      for (int k = 0; k < 10; ++k)
        t.go([&, k, above = k % 2 == 0 ? root : middle] {
          attempt([&] {
            auto [ctx, cancel] =
                k % 3 == 0 ? skein::with_timeout(above, 10h) : skein::with_cancel(above);
            if (k % 5 == 0)
              while (skein::sleep_for(ctx, 1h)) {
              }
            else
              ctx.done().recv();
            require(static_cast<bool>(ctx.err()), "ended without a reason");
          });
          ++ended;
        });
      skein::yield();
      cancel_middle();
      cancel_root();
      t.wait();
      require(ended == t.begun, "somebody was not cancelled");
    });
  });
}

// Functions after a context's end run once each, unless they were stopped.
void after_contexts() {
  std::atomic<int> ran{0};
  int due = 0;
  on(2, [&] {
    attempt([&] {
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      struct fragile {  // a function whose copy may throw
        std::atomic<int>* ran;
        explicit fragile(std::atomic<int>* r) : ran(r) {}
        fragile(const fragile& o) : ran((callback(), o.ran)) {}
        void operator()() const { ++*ran; }
      };
      for (int k = 0; k < 6; ++k)
        attempt([&] {
          const auto stop = skein::after_func(ctx, fragile(&ran));
          due += !(k % 3 == 0 && stop());
        });
      cancel();
      while (ran < due) skein::yield();
    });
  });
  require(ran == due, "a function ran twice");
}

// Outside every runtime one thread serves deadlines.
void outside() {
  attempt([] {
    const skein::chan<int> c;
    attempt([&] { require(!c.recv_for(100us), "nothing came"); });
    std::atomic<int> ran{0};
    int due = 0;
    for (int k = 0; k < 20; ++k)
      due += attempt([&] { skein::after_func(std::chrono::microseconds(k * 10), [&] { ++ran; }); });
    while (ran < due) skein::yield();
    attempt([] {
      skein::timer t(50us);
      require(t.chan().recv().has_value(), "a timer was lost");
    });
  });
}

constexpr scenario all[] = {
    {"sleepers", &sleepers, false, true},
    {"timer_functions", &functions, false, true},
    {"timers", &timers, false, true},
    {"tickers", &tickers, false, true},
    {"context_trees", &trees},
    {"context_trees_first", &trees, true},
    {"context_functions", &after_contexts},
    {"time_outside", &outside, false, true},
    {"time_outside_first", &outside, true},
};

}  // namespace

theme times() { return {all, std::size(all)}; }

}  // namespace faults
