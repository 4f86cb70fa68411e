// Channels and select, as plain threads use them.
#include <chrono>
#include <memory>
#include <optional>

#include "model.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/select.hpp"

namespace {

using namespace std::chrono_literals;

// What a sender wrote before is there for who receives, and what it points to is one's own then.
using letter = std::unique_ptr<int>;
letter written(int n) { return std::make_unique<int>(n); }

MODEL(chan, buffered) {
  const skein::chan<letter> c(1);
  const auto send = [&] {
    c.send(written(1));
    c.send(written(2));
  };
  int sum = 0;
  const auto receive = [&] {
    sum += **c.recv();
    sum += **c.recv();
  };
  model::threads(send, receive);
  MODEL_CHECK(sum == 3);
}

MODEL(chan, unbuffered) {
  const skein::chan<letter> c;
  int seen = 0;
  const auto send = [&] { c.send(written(1)); };
  const auto receive = [&] { seen = **c.recv(); };
  model::threads(send, receive);
  MODEL_CHECK(seen == 1);
}

MODEL(chan, two_senders) {
  const skein::chan<letter> c(1);
  const auto send = [&] { c.send(written(1)); };
  int sum = 0;
  const auto receive = [&] {
    sum += **c.recv();
    sum += **c.recv();
  };
  model::threads(send, send, receive);
  MODEL_CHECK(sum == 2);
}

// The last handle goes while another thread still leaves the channel.
MODEL(chan, ends_with_its_last_handle) {
  skein::chan<letter> first(1);
  skein::chan<letter> second = first;
  const auto send = [&] {
    first.send(written(1));
    first = skein::chan<letter>(skein::nil);
  };
  const auto receive = [&] {
    MODEL_CHECK(**second.recv() == 1);
    second = skein::chan<letter>(skein::nil);
  };
  model::threads(send, receive);
}

MODEL(chan, closes, {.preemptions = 2}, {"0", "1"}) {
  const skein::chan<letter> c;
  int said = 0, got = 0;
  const auto send = [&] {
    if (c.try_send(written(1))) said = 1;
    c.close();
  };
  const auto receive = [&] {
    while (auto l = c.recv()) ++got;
    MODEL_CHECK(got == said);
  };
  model::threads(send, receive);
  model::outcome(std::to_string(got));
}

MODEL(chan, close_wakes_all) {
  const skein::chan<letter> c;
  int before = 0;
  const auto close = [&] {
    before = 1;
    c.close();
  };
  const auto receive = [&] {
    MODEL_CHECK(!c.recv());
    MODEL_CHECK(before == 1);
  };
  model::threads(close, receive, receive);
}

// Who is served although its time is over has the value, who is not leaves it to the other.
MODEL(chan, timed, {.preemptions = 2}, {"timeout", "value"}) {
  const skein::chan<letter> c;
  const auto send = [&] { c.send(written(1)); };
  const auto receive = [&] {
    auto l = c.recv_for(1ms);
    model::outcome(l ? "value" : "timeout");
    if (!l) l = c.recv();
    MODEL_CHECK(**l == 1);
  };
  model::threads(send, receive);
}

// A context that ends while a receive arms for it ends the receive all the same, unless a value was there.
MODEL(context, ends_a_receive, {}, {"canceled", "value"}) {
  const auto [ctx, cancel] = skein::with_cancel(skein::background());
  const skein::chan<letter> c(1);
  const auto send = [&] { c.try_send(written(1)); };
  const auto stop = [&cancel = cancel] { cancel(); };
  const auto receive = [&, &ctx = ctx] {
    const auto l = c.recv(ctx);
    model::outcome(l ? "value" : "canceled");
  };
  model::threads(send, stop, receive);
}

MODEL(context, ends_while_a_receive_arms) {
  const auto [ctx, cancel] = skein::with_cancel(skein::background());
  const skein::chan<letter> c;
  const auto stop = [&cancel = cancel] { cancel(); };
  const auto receive = [&, &ctx = ctx] {
    MODEL_CHECK(c.recv(ctx).status() == skein::status::canceled);
  };
  model::threads(stop, receive);
}

MODEL(context, goes_with_its_last_handle) {
  auto made = std::make_unique<skein::cancelable>(skein::with_cancel(skein::background()));
  skein::context first = made->ctx, second = made->ctx;
  const auto use = [](skein::context& c) {
    return [&c] {
      MODEL_CHECK(c.err() == std::error_code(skein::errc::canceled));
      c = skein::context();
    };
  };
  made.reset();
  model::threads(use(first), use(second));
}

MODEL(select, one_of_two_senders) {
  const skein::chan<letter> a, b;
  int sum = 0;
  const auto send_a = [&] { a.send(written(1)); };
  const auto send_b = [&] { b.send(written(2)); };
  const auto choose = [&] {
    for (int i = 0; i < 2; ++i) {
      std::optional<letter> l;
      skein::select(recv(a, l), recv(b, l));
      sum += **l;
    }
  };
  model::threads(send_a, send_b, choose);
  MODEL_CHECK(sum == 3);
}

// Two selects that meet: one sends, the other receives, on either channel.
MODEL(select, two_selects_meet) {
  const skein::chan<letter> a, b;
  int got = 0;
  const auto send = [&] { skein::select(skein::send(a, written(1)), skein::send(b, written(1))); };
  const auto receive = [&] {
    std::optional<letter> l;
    skein::select(recv(a, l), recv(b, l));
    got = **l;
  };
  model::threads(send, receive);
  MODEL_CHECK(got == 1);
}

// A select that is served by a close on one side and a value on the other takes one of them.
MODEL(select, value_or_close, {.preemptions = 2}, {"closed", "value"}) {
  const skein::chan<letter> a(1), b;
  const auto send = [&] { a.send(written(1)); };
  const auto close = [&] { b.close(); };
  const auto choose = [&] {
    std::optional<letter> l;
    const int i = skein::select(recv(a, l), recv(b));
    if (i == 0) MODEL_CHECK(**l == 1);
    model::outcome(i == 0 ? "value" : "closed");
  };
  model::threads(send, close, choose);
}

}  // namespace
