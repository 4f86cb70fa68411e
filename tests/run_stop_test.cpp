// Ending: main returns while others wait, in every kind of wait.
#include <atomic>
#include <mutex>
#include <string>
#include <string_view>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/once.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::os_pipe;
using everywhere::with_procs;

// world: what goroutines wait for. It outlives the runtime they wait on.
struct world {
  world() {
    full.send(0);
    m.lock();
    wg.add();
  }
  skein::chan<int> c;
  skein::chan<int> full{1};
  skein::mutex m;
  skein::wait_group wg;
  skein::once o;
  os_pipe p;
  os_pipe p2;
  skein::cancelable ctx = skein::with_cancel(skein::background());
  skein::receiver<skein::time_point> hour = skein::after(1h);
  std::atomic<int> steps{0};  // taken after a wait: none
};

struct wait_kind {
  const char* name;
  void (*wait)(world&);
};

void hold_a_lock_and_receive(world& w) {
  skein::mutex own;
  std::lock_guard hold(own);
  skein::go([&] { own.lock(), ++w.steps; });
  w.c.recv();
}
void join_one_that_waits(world& w) {
  auto t = skein::spawn({.stack = 64 * 1024}, [&] { w.c.recv(), ++w.steps; });
  t.join();
}
void receive_in_a_catch_block(world& w) {
  try {
    throw 1;
  } catch (int) {
    w.c.recv();
  }
}

const wait_kind kinds[] = {
    {"receive", [](world& w) { w.c.recv(); }},
    {"send", [](world& w) { w.c.send(1); }},
    {"send_to_a_full_buffer", [](world& w) { w.full.send(1); }},
    {"nil_channel", [](world&) { skein::chan<int>(skein::nil).recv(); }},
    {"select", [](world& w) { skein::select(recv(w.c), send(w.full, 2), recv(w.hour), recv(w.ctx.ctx.done())); }},
    {"empty_select", [](world&) { skein::select(); }},
    {"timed_receive", [](world& w) { static_cast<void>(w.c.recv_for(1h)); }},
    {"receive_with_context", [](world& w) { static_cast<void>(w.c.recv(w.ctx.ctx)); }},
    {"mutex", [](world& w) { w.m.lock(); }},
    {"timed_mutex", [](world& w) { w.m.try_lock_for(1h); }},
    {"wait_group", [](world& w) { w.wg.wait(); }},
    {"wait_group_with_context", [](world& w) { w.wg.wait(w.ctx.ctx); }},
    {"once", [](world& w) { w.o.call([&] { w.c.recv(); }); }},
    {"sleep", [](world&) { skein::sleep_for(1h); }},
    {"timer", [](world&) { skein::after(1h).recv(); }},
    {"ticker", [](world&) { skein::tick(1h).recv(); }},
    {"readable", [](world& w) { skein::wait_readable(w.p.in); }},
    {"timed_readable", [](world& w) { skein::wait_readable_for(w.p.in, 1h); }},
    {"readable_in_a_select", [](world& w) { skein::select(recv(skein::readable(w.p2.in)), recv(w.c)); }},
    {"context", [](world& w) { w.ctx.ctx.done().recv(); }},
    {"context_with_deadline", [](world& w) {
       auto [ctx, cancel] = skein::with_timeout(w.ctx.ctx, 1h);
       ctx.done().recv();
     }},
    {"join", &join_one_that_waits},
    {"with_a_lock_held", &hold_a_lock_and_receive},
    {"in_a_catch_block", &receive_in_a_catch_block},
};

struct main_returns : ::testing::TestWithParam<wait_kind> {};
INSTANTIATE_TEST_SUITE_P(while_others_wait, main_returns, ::testing::ValuesIn(kinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

// covers: R2
TEST_P(main_returns, and_nobody_takes_another_step) {
  for (const int procs : {1, 2, 4, 8}) {
    world w;
    skein::run(
        [&] {
          const auto before = skein::stats().parks;
          const bool one_waiter = everywhere::contains(GetParam().name, "readable");
          for (int i = 0; i < (one_waiter ? 1 : 5); ++i)
            skein::go([&w, wait = GetParam().wait] {
              wait(w);
              ++w.steps;
            });
          while (skein::stats().parks == before) skein::yield();
        },
        with_procs(procs));
    // What they waited for is free of them, and happens without them.
    EXPECT_FALSE(w.c.try_send(1));
    EXPECT_TRUE(w.c.try_recv().empty());
    w.c.close();
    EXPECT_EQ(w.full.try_recv().optional(), 0);
    EXPECT_TRUE(w.full.try_recv().empty());
    w.m.unlock();
    EXPECT_TRUE(w.m.try_lock());
    w.m.unlock();
    w.wg.done();
    w.ctx.cancel();
    w.p.put();
    EXPECT_EQ(w.steps, 0);
  }
}

}  // namespace
