#include "workloads.hpp"

#include <chrono>
#include <mutex>
#include <optional>

#include "skein/skein.hpp"

namespace {

template <int Goroutines> void yield_among(std::uint64_t n) {
  if (Goroutines == 1) {
    while (n-- > 0) skein::yield();
    return;
  }
  skein::wait_group all;
  for (int i = 0; i < Goroutines; ++i)
    all.go([turns = n / Goroutines] {
      for (std::uint64_t t = 0; t < turns; ++t) skein::yield();
    });
  all.wait();
}

void spawn_at_once(std::uint64_t n) {
  skein::wait_group all;
  all.add(static_cast<int>(n));
  for (std::uint64_t i = 0; i < n; ++i) skein::go([&all] { all.done(); });
  all.wait();
}

void spawn_in_batches(std::uint64_t n) {
  constexpr std::uint64_t batch = 200;
  for (; n > batch; n -= batch) spawn_at_once(batch);
  spawn_at_once(n);
}

void round_trip(std::uint64_t n) {
  skein::chan<std::uint64_t> there, back;
  skein::go([=] {
    for (std::uint64_t v : there) back.send(v);
  });
  for (std::uint64_t i = 0; i < n; ++i) {
    there.send(i);
    back.recv();
  }
  there.close();
}

void buffered(std::uint64_t n) {
  skein::chan<std::uint64_t> c(128);
  skein::go([=] {
    for (std::uint64_t i = 0; i < n; ++i) c.send(i);
    c.close();
  });
  while (c.recv()) {
  }
}

void select_of_four(std::uint64_t n) {
  skein::chan<std::uint64_t> c[4];
  for (auto& each : c)
    skein::go([=] {
      for (std::uint64_t i = 0; i < n / 4; ++i) each.send(i);
    });
  std::optional<std::uint64_t> v;
  for (std::uint64_t i = 0; i < n / 4 * 4; ++i)
    skein::select(recv(c[0], v), recv(c[1], v), recv(c[2], v), recv(c[3], v));
}

void select_ready(std::uint64_t n) {
  using channel = skein::chan<std::uint64_t>;
  channel c[] = {channel(8), channel(8), channel(8), channel(8)};
  for (auto& each : c) each.send(0);
  std::optional<std::uint64_t> v;
  for (std::uint64_t i = 0; i < n; ++i)
    c[skein::select(recv(c[0], v), recv(c[1], v), recv(c[2], v), recv(c[3], v))].send(i);
}

void mutex(std::uint64_t n) {
  skein::mutex m;
  while (n-- > 0) std::lock_guard hold(m);
}

void timer(std::uint64_t n) {
  while (n-- > 0) skein::timer(std::chrono::hours(1)).stop();
}

void checkpoint(std::uint64_t n) {
  while (n-- > 0) skein::checkpoint();
}

void chan_copy(std::uint64_t n) {
  const skein::chan<int> c;
  while (n-- > 0) {
    const skein::chan<int> copy = c;
    asm volatile("" : : "r"(copy.core()) : "memory");
  }
}

constexpr workload all_workloads[] = {
    {"switch_1", "yield() of the only goroutine", yield_among<1>},
    {"switch_64", "yield() among 64 goroutines", yield_among<64>},
    {"switch_1000", "yield() among 1000 goroutines", yield_among<1000>},
    {"spawn_batch", "go() and its end, 200 at a time", spawn_in_batches},
    {"spawn_million", "go() and its end, a million at once", spawn_at_once, 1'000'000},
    {"round_trip", "there and back, unbuffered channels", round_trip},
    {"buffered", "one value through a channel of 128", buffered},
    {"select4", "select over 4 unbuffered channels, a sender each", select_of_four},
    {"select_ready", "select over 4 filled channels, and a send to refill", select_ready},
    {"mutex", "lock() and unlock(), uncontended", mutex},
    {"timer", "making, stopping and destroying a timer", timer},
    {"checkpoint", "checkpoint()", checkpoint},
    {"chan_copy", "copying and dropping a chan", chan_copy},
};

}  // namespace

std::span<const workload> workloads() { return all_workloads; }
