// Waiting for descriptors with an end: by data, by time, by a context.
#include "skein/net/poll.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::os_pipe;
using everywhere::scaled;

struct poll : everywhere::on_procs {};
SKEIN_ON_PROCS(poll);

// fill() makes a pipe have no room.
void fill(const os_pipe& p) {
  ASSERT_EQ(fcntl(p.out, F_SETFL, O_NONBLOCK), 0);
  const char some[4096] = {};
  while (write(p.out, some, sizeof some) > 0) {
  }
}

// covers: X3 L4
TEST_P(poll, a_wait_ends_by_time_or_context_and_leaves_nothing_behind) {
  repeat(
      [] {
        const os_pipe p;
        fill(p);
        const os_pipe empty;
        auto [ctx, cancel] = skein::with_cancel(skein::background());
        EXPECT_FALSE(skein::wait_readable_for(empty.in, 1us));
        EXPECT_FALSE(skein::wait_writable_for(p.out, 1us));
        EXPECT_FALSE(skein::wait_readable_until(empty.in, skein::now() + 1us));
        EXPECT_FALSE(skein::wait_writable_until(p.out, skein::now() - 1us));
        skein::wait_group wg;
        until_parked(2, [&] {
          wg.go([&, c = ctx] { EXPECT_FALSE(skein::wait_readable(c, empty.in)); });
          wg.go([&, c = ctx] { EXPECT_FALSE(skein::wait_writable(c, p.out)); });
        });
        EXPECT_THROW(skein::wait_readable_for(empty.in, 1h), skein::misuse);  // a second one
        cancel();
        wg.wait();
        EXPECT_FALSE(skein::wait_readable(ctx, empty.in));
        wg.go([&] { skein::wait_readable(empty.in); });  // not a second one
        empty.put();
        wg.wait();
        EXPECT_TRUE(skein::wait_readable_for(empty.in, 1h));
        EXPECT_TRUE(skein::wait_writable(skein::background(), empty.out));
      },
      50);
}

// covers: X3 L4
TEST_P(poll, data_a_cancel_and_a_time_limit_may_race) {
  repeat(
      [] {
        const os_pipe a;
        const os_pipe b;
        auto [ctx, cancel] = skein::with_cancel(skein::background());
        skein::wait_group wg;
        wg.go([&, c = ctx] {
          if (!skein::wait_readable(c, a.in)) {
            EXPECT_EQ(c.err(), skein::errc::canceled);
          }
        });
        wg.go([&] { skein::wait_readable_for(b.in, 20us); });
        wg.go([c = &cancel] { (*c)(); });
        wg.go([&] { a.put(), b.put(); });
        wg.wait();
        skein::wait_readable(a.in);  // the descriptor is free for others, and has its byte
        skein::wait_readable(b.in);
      },
      200);
}

// covers: X3 R4
TEST(poll_on_threads, a_wait_ends_by_time_or_context) {
  const os_pipe p;
  EXPECT_FALSE(skein::wait_readable_for(p.in, 1us));
  for (std::uint64_t i = scaled(5); i > 0; --i) {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    std::thread other([c = &cancel] { (*c)(); });
    EXPECT_FALSE(skein::wait_readable(ctx, p.in));
    other.join();
  }
  p.put();
  EXPECT_TRUE(skein::wait_readable(skein::background(), p.in));
}

}  // namespace
