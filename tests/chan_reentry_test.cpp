// Channels: user code that runs during an operation may itself use channels and park.
#include <atomic>
#include <optional>
#include <utility>

#include "skein/chan.hpp"
#include "skein/select.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct chan_reentry : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_reentry);

// caller calls `hook` in each of its copies, moves and destructions, but not from inside the hook.
class caller {
 public:
  inline static void (*hook)() = nullptr;

  explicit caller(int v) : value(v) {}
  caller(const caller& o) : value(o.value) { call(); }
  caller(caller&& o) noexcept : value(o.value) { call(); }
  caller& operator=(const caller& o) {
    value = o.value;
    call();
    return *this;
  }
  ~caller() { call(); }

  int value;

 private:
  static void call() {
    if (hook == nullptr || inside_.exchange(true)) return;
    hook();
    inside_ = false;
  }
  inline static std::atomic<bool> inside_ = false;
};

// traffic() sends and receives callers in every way, and returns how many were received and sent.
struct totals {
  int sent = 0;
  int received = 0;
};
totals traffic(const skein::chan<caller>& c, int count) {
  std::atomic<int> sent = 0;
  std::atomic<int> received = 0;
  skein::wait_group senders;
  skein::wait_group receivers;
  for (int s = 0; s < 2; ++s)
    senders.go([&] {
      for (int i = 0; i < count; ++i) {
        caller v(i);
        switch (i % 4) {
          case 0: c.send(v); break;
          case 1: c.send(std::move(v)); break;
          case 2: skein::select(send(c, std::move(v))); break;
          case 3:
            if (!c.try_send(std::move(v))) continue;
        }
        ++sent;
      }
    });
  for (int r = 0; r < 2; ++r)
    receivers.go([&, r] {
      std::optional<caller> v;
      for (bool open = true; open; received += open) {
        if (r == 0)
          open = c.recv().has_value();
        else
          open = (skein::select(recv(c, v)), v.has_value());
      }
    });
  senders.wait();
  c.close();
  receivers.wait();
  return {sent, received};
}

// covers: S5 C5
TEST_P(chan_reentry, copies_moves_and_destructors_may_use_the_same_channel) {
  static const skein::chan<caller>* target = nullptr;
  static std::atomic<int> taken;
  const int count = static_cast<int>(rounds(1000, 4));
  run([&] {
    for (const std::size_t capacity : {0u, 2u}) {
      const skein::chan<caller> c(capacity);
      target = &c;
      taken = 0;
      caller::hook = [] {
        if (target->try_recv().has_value()) ++taken;
        if (target->size() > target->capacity()) ADD_FAILURE() << "more than its capacity in a channel";
        skein::try_select(recv(*target, [](std::optional<caller> v) { taken += v.has_value(); }));
      };
      const totals t = traffic(c, count);
      caller::hook = nullptr;
      EXPECT_EQ(t.sent, t.received + taken);
    }
  });
}

// covers: S5 C5
TEST_P(chan_reentry, copies_moves_and_destructors_may_park) {
  const int count = static_cast<int>(rounds(1000, 4));
  run([&] {
    for (const std::size_t capacity : {0u, 2u}) {
      const skein::chan<caller> c(capacity);
      caller::hook = [] { skein::yield(); };
      const totals t = traffic(c, count);
      caller::hook = nullptr;
      EXPECT_EQ(t.sent, t.received);
    }
  });
}

// covers: S5 C2
TEST_P(chan_reentry, a_copy_that_waits_holds_nobody_up) {
  repeat([&] {
    static const skein::chan<int>* gate;
    const skein::chan<int> closed_later;
    gate = &closed_later;
    const skein::chan<caller> c(1);
    const caller original(1);
    skein::wait_group wg;
    caller::hook = [] { gate->recv(); };
    until_parked(1, [&] { wg.go([&] { c.send(original); }); });  // it waits in the copy
    EXPECT_TRUE(c.try_recv().empty());
    EXPECT_TRUE(c.try_send(caller(2)));  // the hook does not run twice at once
    EXPECT_EQ(c.recv()->value, 2);
    closed_later.close();
    EXPECT_EQ(c.recv()->value, 1);
    wg.wait();
    caller::hook = nullptr;
  }, 100);
}

struct parting {
  explicit parting(int v, skein::sender<int> to) : value(v), farewell(std::move(to)) {}
  parting(parting&&) = default;
  parting& operator=(parting&&) = default;
  ~parting() {
    if (!farewell.is_nil()) farewell.send(value);
  }
  int value;
  skein::sender<int> farewell;
};

// covers: S5 C1 C5
TEST_P(chan_reentry, elements_may_block_while_they_die_with_their_channel) {
  repeat([] {
    const skein::chan<int> farewell;
    skein::wait_group wg;
    {
      const skein::chan<parting> c(3);
      for (int i = 1; i <= 3; ++i) c.send(parting(i, farewell));
      wg.go([&] {
        for (int i = 1; i <= 3; ++i) EXPECT_EQ(farewell.recv(), i);
      });
    }
    wg.wait();
  });
}

// covers: S5 L1
TEST_P(chan_reentry, a_handler_may_use_the_channels_of_its_select) {
  repeat([] {
    const skein::chan<int> c(2);
    const skein::chan<int> d(1);
    c.send(1);
    int steps = 0;
    const int fired = skein::select(recv(c, [&](std::optional<int> v) {
      EXPECT_EQ(v, 1);
      c.send(2);
      EXPECT_EQ(skein::select(recv(c, [&](std::optional<int> w) {
                  EXPECT_EQ(w, 2);
                  ++steps;
                })), 0);
      EXPECT_EQ(skein::try_select(send(c, 3, [&] {
                  EXPECT_EQ(c.size(), 1u);
                  c.close();
                  ++steps;
                })), 0);
      EXPECT_TRUE(d.try_send(4));
      ++steps;
    }), recv(d));
    EXPECT_EQ(fired, 0);
    EXPECT_EQ(steps, 3);
    EXPECT_EQ(c.recv(), 3);
    EXPECT_EQ(c.recv(), std::nullopt);
    EXPECT_EQ(d.recv(), 4);
  });
}

// covers: S5 L1
TEST_P(chan_reentry, handlers_of_two_goroutines_may_wait_for_each_other) {
  repeat([] {
    const skein::chan<int> c;
    const skein::chan<int> d;
    skein::wait_group wg;
    wg.go([&] { skein::select(send(c, 1, [&] { EXPECT_EQ(d.recv(), 2); })); });
    skein::select(recv(c, [&](std::optional<int>) { d.send(2); }));
    wg.wait();
  });
}

// covers: S5 L1 C5
TEST_P(chan_reentry, a_handler_that_throws_has_consumed_its_value) {
  repeat([] {
    struct stop {};
    everywhere::tracked::reset();
    {
      const skein::chan<everywhere::tracked> c(2);
      c.send(everywhere::tracked(1));
      EXPECT_THROW(skein::select(recv(c, [](std::optional<everywhere::tracked>) { throw stop(); })), stop);
      EXPECT_EQ(c.size(), 0u);
      EXPECT_THROW(skein::select(send(c, everywhere::tracked(2), [] { throw stop(); })), stop);
      EXPECT_EQ(c.recv()->value, 2);
    }
    EXPECT_EQ(everywhere::tracked::live(), 0);
  });
}

}  // namespace
