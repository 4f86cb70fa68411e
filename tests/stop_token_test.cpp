// Contexts from stop tokens and stop tokens from contexts.
#include "skein/stop_token.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include "skein/go.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::tracked;

// Functions of their own: see the beginning of stop_token.hpp.
[[gnu::noinline]] bool request(std::stop_source& s) { return s.request_stop(); }

class listener {
 public:
  [[gnu::noinline]] listener(const std::stop_token& st, std::atomic<int>& n) {
    callback_.emplace(st, counter{&n});
  }
  [[gnu::noinline]] ~listener() { callback_.reset(); }

 private:
  struct counter {
    std::atomic<int>* n;
    void operator()() const noexcept { ++*n; }
  };
  std::optional<std::stop_callback<counter>> callback_;
};

struct stop_token : everywhere::on_procs {};
SKEIN_EVERYWHERE(stop_token);

// covers: X3 Y12
TEST_P(stop_token, a_requested_stop_ends_the_context) {
  repeat([] {
    std::stop_source source;
    auto [ctx, cancel] = skein::with_stop_token(skein::background(), source.get_token());
    EXPECT_FALSE(ctx.err());
    int before = 0;
    const skein::chan<int> c;
    skein::wait_group wg;
    wg.go([&, ctx] {
      EXPECT_EQ(c.recv(ctx).status(), skein::status::canceled);
      EXPECT_EQ(before, 1);
    });
    before = 1;
    EXPECT_TRUE(request(source));
    wg.wait();
    EXPECT_EQ(ctx.err(), skein::errc::canceled);
    auto [late, end] = skein::with_stop_token(skein::background(), source.get_token());
    EXPECT_EQ(late.err(), skein::errc::canceled);
  });
}

// covers: X3
TEST_P(stop_token, a_token_that_cannot_stop_changes_nothing) {
  repeat(
      [] {
        auto [parent, stop] = skein::with_cancel(skein::background());
        auto [ctx, cancel] = skein::with_stop_token(parent, std::stop_token());
        EXPECT_FALSE(ctx.err());
        stop();
        EXPECT_TRUE(ctx.err());
        EXPECT_FALSE(skein::stop_token_of(skein::background()).stop_possible());
      },
      20);
}

// covers: X3
TEST_P(stop_token, the_end_of_a_context_requests_a_stop) {
  repeat([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    const std::stop_token st = skein::stop_token_of(ctx);
    EXPECT_EQ(st, skein::stop_token_of(ctx));
    EXPECT_TRUE(st.stop_possible());
    EXPECT_FALSE(st.stop_requested());
    std::atomic<int> heard{0};
    const listener hears(st, heard);
    cancel();
    while (heard == 0) skein::yield();
    EXPECT_TRUE(st.stop_requested());
    EXPECT_TRUE(skein::stop_token_of(ctx).stop_requested());
    auto [over, end] = skein::with_cancel(ctx);
    EXPECT_TRUE(skein::stop_token_of(over).stop_requested());
  });
}

// covers: X3 X1
TEST_P(stop_token, goes_there_and_back) {
  repeat([] {
    std::stop_source source;
    auto [ctx, cancel] = skein::with_stop_token(skein::background(), source.get_token());
    auto [timed, end] = skein::with_timeout(ctx, 1h);
    const std::stop_token st = skein::stop_token_of(timed);
    auto [again, stop] = skein::with_stop_token(skein::background(), st);
    request(source);
    again.done().recv();
    EXPECT_TRUE(st.stop_requested());
    EXPECT_EQ(again.err(), skein::errc::canceled);
    EXPECT_TRUE(timed.err());
  });
}

// covers: X3
TEST_P(stop_token, holds_nothing_of_what_is_gone) {
  repeat([] {
    std::stop_source source;
    for (int i = 0; i < 3; ++i) {
      std::optional<skein::cancelable> c(
          skein::with_stop_token(skein::background(), source.get_token()));
      if (i == 1) c->cancel.release();  // its last handle goes while it lives
      c.reset();
    }
    std::stop_token st;
    {
      auto c = skein::with_cancel(skein::background());
      st = skein::stop_token_of(c.ctx);
      c.cancel.release();
    }
    EXPECT_FALSE(st.stop_possible());
    request(source);
  });
}

// covers: X3
TEST_P(stop_token, the_request_may_meet_every_other_end) {
  repeat([] {
    std::stop_source source;
    skein::wait_group wg;
    std::atomic<int> stopped{0};
    for (int i = 0; i < 4; ++i)
      wg.go([&, i] {
        std::optional<skein::cancelable> c(
            skein::with_stop_token(skein::background(), source.get_token()));
        const std::stop_token st = skein::stop_token_of(c->ctx);
        const listener count(st, stopped);
        if (i == 0) c->ctx.done().recv();
        if (i == 1) c->cancel();
        if (i == 2) c->cancel.release();
        skein::yield();
        c.reset();
      });
    wg.go([&] { request(source); });
    wg.wait();
    EXPECT_LE(stopped, 4);
  });
}

// covers: X3 R4
TEST(stop_token_threads, a_jthread_hands_its_token_on) {
  for (std::uint64_t i = everywhere::scaled(50); i > 0; --i) {
    const skein::chan<int> c;
    std::jthread plain([&](const std::stop_token& st) {
      auto [ctx, cancel] = skein::with_stop_token(skein::background(), st);
      EXPECT_EQ(c.recv(ctx).status(), skein::status::canceled);
    });
    if (i % 2 == 0) std::this_thread::yield();
    plain.request_stop();
  }
  skein::run([] {
    for (std::uint64_t i = everywhere::scaled(50); i > 0; --i) {
      const skein::chan<int> c;
      std::jthread plain;
      skein::wait_group wg;
      std::stop_source source;
      wg.go([&, st = source.get_token()] {
        auto [ctx, cancel] = skein::with_stop_token(skein::background(), st);
        EXPECT_EQ(c.recv(ctx).status(), skein::status::canceled);
      });
      plain = std::jthread([&] { request(source); });
      wg.wait();
      skein::blocking([&] { plain.join(); });
    }
  });
}

}  // namespace
