// What the vocabulary around channels costs: a line `name procs ns_per_op` for each operation.
//
// go/main.go does the same work under the same names. Where several goroutines take part, an
// operation's time is the wall time divided by the operations of all of them.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include <getopt.h>

#include "skein/skein.hpp"

namespace {

using namespace std::chrono_literals;
using std::uint64_t;

constexpr int crowd = 8;              // goroutines that want the same lock
constexpr uint64_t keys = 1024;       // in the maps; a power of two
constexpr uint64_t batch = 100;       // goroutines of one wait group
constexpr uint64_t children = 1000;   // of one context
constexpr uint64_t write_every = 10;  // nine reads to a write

template <class T> void keep(const T& v) { asm volatile("" : : "m"(v) : "memory"); }

// share() has so many goroutines call f(number of operations), n of them together.
template <class F> void share(int goroutines, uint64_t n, F f) {
  skein::wait_group all;
  const uint64_t each = n / static_cast<uint64_t>(goroutines);
  for (int g = 0; g < goroutines; ++g) all.go([&f, each] { f(each); });
  all.wait();
}

int everywhere() { return skein::procs(); }

// Locks.

void lock(skein::mutex& m, uint64_t n) {
  while (n-- > 0) std::lock_guard hold(m);
}
void mutex(uint64_t n) {
  skein::mutex m;
  lock(m, n);
}
void mutex_contended(uint64_t n) {
  skein::mutex m;
  share(crowd, n, [&m](uint64_t each) { lock(m, each); });
}

void read(skein::shared_mutex& m, uint64_t n) {
  while (n-- > 0) std::shared_lock hold(m);
}
void shared_mutex_read(uint64_t n) {
  skein::shared_mutex m;
  read(m, n);
}
void shared_mutex_read_all(uint64_t n) {
  skein::shared_mutex m;
  share(everywhere(), n, [&m](uint64_t each) { read(m, each); });
}
void shared_mutex_write(uint64_t n) {
  skein::shared_mutex m;
  while (n-- > 0) std::unique_lock hold(m);
}
void shared_mutex_mixed(uint64_t n) {
  skein::shared_mutex m;
  share(everywhere(), n, [&m](uint64_t each) {
    for (uint64_t i = 1; i <= each; ++i)
      if (i % write_every != 0)
        std::shared_lock hold(m);
      else
        std::unique_lock hold(m);
  });
}

void acquire(skein::semaphore& s, uint64_t n) {
  while (n-- > 0) {
    s.acquire();
    s.release();
  }
}
void semaphore(uint64_t n) {
  skein::semaphore s(crowd);
  acquire(s, n);
}
void semaphore_contended(uint64_t n) {
  skein::semaphore s(1);
  share(crowd, n, [&s](uint64_t each) { acquire(s, each); });
}

// There and back: each waits for its turn and passes it on.
void condition_variable(uint64_t n) {
  skein::mutex m;
  skein::condition_variable changed[2];
  int turn = 0;
  const auto play = [&](int me) {
    for (uint64_t i = 0; i < n; ++i) {
      std::unique_lock hold(m);
      changed[me].wait(hold, [&] { return turn == me; });
      turn = 1 - me;
      changed[turn].notify_one();
    }
  };
  skein::wait_group other;
  other.go([&play] { play(1); });
  play(0);
  other.wait();
}

void wait_group(uint64_t n) {
  skein::wait_group wg;
  while (n-- > 0) {
    wg.add(1);
    wg.done();
    wg.wait();
  }
}
void wait_group_fan_out(uint64_t n) {
  skein::wait_group wg;
  for (uint64_t i = 0; i < n / batch; ++i) {
    for (uint64_t g = 0; g < batch; ++g) wg.go([] {});
    wg.wait();
  }
}

void once(uint64_t n) {
  skein::once o;
  while (n-- > 0) o.call([] {});
}

// What is shared.

using buffer = std::array<char, 1024>;

void borrow(skein::pool<buffer>& spare, uint64_t n) {
  while (n-- > 0) keep((*spare.get())[0] = 1);
}
void pool(uint64_t n) {
  skein::pool<buffer> spare;
  borrow(spare, n);
}
void pool_all(uint64_t n) {
  skein::pool<buffer> spare;
  share(everywhere(), n, [&spare](uint64_t each) { borrow(spare, each); });
}

struct filled_map : skein::map<uint64_t, uint64_t> {
  filled_map() {
    for (uint64_t k = 0; k < keys; ++k) store(k, k);
  }
};

void map_load(uint64_t n) {
  const filled_map m;
  for (uint64_t i = 0; i < n; ++i) keep(m.load(i % keys));
}
void map_store(uint64_t n) {
  filled_map m;
  for (uint64_t i = 0; i < n; ++i) m.store(i % keys, i % keys);
}
void map_load_or_store(uint64_t n) {
  filled_map m;
  for (uint64_t i = 0; i < n; ++i) keep(m.load_or_store(i % keys, i % keys));
}
void map_mixed(uint64_t n) {
  filled_map m;
  share(everywhere(), n, [&m](uint64_t each) {
    for (uint64_t i = 1; i <= each; ++i)
      if (i % write_every != 0)
        keep(m.load(i % keys));
      else
        m.store(i % keys, i % keys);
  });
}

void singleflight(uint64_t n) {
  skein::singleflight<uint64_t, uint64_t> flights;
  for (uint64_t i = 0; i < n; ++i) keep(*flights.call(i % keys, [i] { return i; }));
}

void rate_limiter(uint64_t n) {
  skein::rate_limiter gate(1e12, keys);
  while (n-- > 0) keep(gate.allow());
}

// Contexts and timers.

void context_cancel(uint64_t n) {
  const auto parent = skein::with_cancel(skein::background());
  while (n-- > 0) skein::with_cancel(parent.ctx).cancel();
}
void context_timeout(uint64_t n) {
  const auto parent = skein::with_cancel(skein::background());
  while (n-- > 0) skein::with_timeout(parent.ctx, 1h).cancel();
}

template <int> struct key {
  using type = int;
};
void context_value(uint64_t n) {
  skein::context ctx = skein::with_value<key<0>>(skein::background(), 42);
  ctx = skein::with_value<key<1>>(ctx, 1);
  ctx = skein::with_value<key<2>>(ctx, 2);
  ctx = skein::with_value<key<3>>(ctx, 3);
  ctx = skein::with_value<key<4>>(ctx, 4);
  while (n-- > 0) keep(*ctx.value<key<0>>());
}
void context_tree(uint64_t n) {
  std::vector<skein::cancelable> tree;
  tree.reserve(children);
  for (uint64_t i = 0; i < n / children; ++i) {
    const auto root = skein::with_cancel(skein::background());
    for (uint64_t c = 0; c < children; ++c) tree.push_back(skein::with_cancel(root.ctx));
    root.cancel();
    tree.clear();
  }
}

void timer(uint64_t n) {
  while (n-- > 0) skein::timer(1h).stop();
}
void timer_reset(uint64_t n) {
  skein::timer t(1h);
  while (n-- > 0) t.reset(1h);
}
void after_func(uint64_t n) {
  while (n-- > 0) skein::after_func(1h, [] {}).stop();
}

struct workload {
  std::string_view name;
  void (*run)(uint64_t n);
};

constexpr workload workloads[] = {
    {"mutex", mutex},
    {"mutex_contended", mutex_contended},
    {"shared_mutex_read", shared_mutex_read},
    {"shared_mutex_read_all", shared_mutex_read_all},
    {"shared_mutex_write", shared_mutex_write},
    {"shared_mutex_mixed", shared_mutex_mixed},
    {"semaphore", semaphore},
    {"semaphore_contended", semaphore_contended},
    {"condition_variable", condition_variable},
    {"wait_group", wait_group},
    {"wait_group_fan_out", wait_group_fan_out},
    {"once", once},
    {"pool", pool},
    {"pool_all", pool_all},
    {"map_load", map_load},
    {"map_store", map_store},
    {"map_load_or_store", map_load_or_store},
    {"map_mixed", map_mixed},
    {"singleflight", singleflight},
    {"rate_limiter", rate_limiter},
    {"context_cancel", context_cancel},
    {"context_timeout", context_timeout},
    {"context_value", context_value},
    {"context_tree", context_tree},
    {"timer", timer},
    {"timer_reset", timer_reset},
    {"after_func", after_func},
};

double nanoseconds(const workload& w, uint64_t n) {
  const auto start = std::chrono::steady_clock::now();
  w.run(n);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

// The runs that find out how many operations fill a round are the warm-up.
double median(const workload& w) {
  constexpr double round = 60e6;
  uint64_t n = children;
  double took = nanoseconds(w, n);
  for (; took < round / 4; took = nanoseconds(w, n)) n *= 4;
  n = static_cast<uint64_t>(static_cast<double>(n / children) * round / took + 1) * children;
  std::array<double, 5> each;
  for (double& e : each) e = nanoseconds(w, n) / static_cast<double>(n);
  std::sort(each.begin(), each.end());
  return each[each.size() / 2];
}

int list() {
  for (const workload& w : workloads) std::puts(w.name.data());
  return 0;
}

int usage() {
  std::fputs("usage: bench_vocabulary [--procs N] [--only NAME[,NAME…]] | --list\n", stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const option known[] = {{"procs", required_argument, nullptr, 'p'},
                          {"only", required_argument, nullptr, 'o'},
                          {"list", no_argument, nullptr, 'l'},
                          {}};
  int procs = 2;
  std::string only;
  for (int c; (c = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) switch (c) {
      case 'p': procs = std::atoi(optarg); break;
      case 'o': only = "," + std::string(optarg) + ","; break;
      case 'l': return list();
      default: return usage();
    }
  if (optind != argc || procs < 1) return usage();
  for (const workload& w : workloads) {
    if (!only.empty() && only.find("," + std::string(w.name) + ",") == std::string::npos) continue;
    skein::run([&] { std::printf("%s %d %.2f\n", w.name.data(), procs, median(w)); },
               {.procs = procs});
    std::fflush(stdout);
  }
}
