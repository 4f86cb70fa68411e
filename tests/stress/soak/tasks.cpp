// Goroutines that belong to each other: tasks and their results, groups and their failures, contexts.
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <stop_token>
#include <vector>

#include "skein/mutex.hpp"
#include "skein/once.hpp"
#include "skein/parallel.hpp"
#include "skein/select.hpp"
#include "skein/semaphore.hpp"
#include "skein/stop_token.hpp"
#include "skein/task.hpp"
#include "skein/task_group.hpp"
#include "skein/time.hpp"
#include "stress/soak/round.hpp"

namespace soak {
namespace {

// A tree of tasks: each leaf is 1.
std::uint64_t leaves(round& r, std::uint64_t seed, int depth) {
  if (depth == 0) return 1;
  worker w(r, seed);
  w.count(kind::tasks, 2);
  auto left = skein::spawn([&r, s = w.d.roll(), depth] { return leaves(r, s, depth - 1); });
  auto right = skein::spawn([&r, s = w.d.roll(), depth] { return leaves(r, s, depth - 1); });
  w.pause();
  switch (w.d.below(4)) {
    case 0: static_cast<void>(left.wait_for(w.moment())); break;
    case 1: skein::select(skein::recv(right.done()), skein::recv(left.done())); break;
    default: break;
  }
  const std::uint64_t sum = left.join();
  return sum + right.join();
}

// Parks in a catch block: the exception stays with the goroutine.
void fail_twice(worker& w, std::uint64_t number) {
  try {
    throw fault{number};
  } catch (const fault& x) {
    w.interrupt();
    require(x.number == number, "an exception changed while its goroutine waited");
    if (w.d.one_in(2)) throw;
  }
  throw fault{number};
}

struct counted_down {
  explicit counted_down(std::uint64_t& left) : n(left) {}
  ~counted_down() { --n; }
  std::uint64_t& n;
};

void task_ends(worker& w) {
  const std::uint64_t number = w.d.roll();
  std::uint64_t alive = 1;
  auto t = skein::spawn([&r = w.r, &alive, number, how = w.d.below(3), seed = w.d.roll()] {
    const counted_down end(alive);
    worker me(r, seed);
    me.pause();
    if (how == 0) fail_twice(me, number);
    if (how == 1) skein::exit_goroutine();
    return number;
  });
  w.count(kind::tasks);
  if (w.d.one_in(8)) {
    t = {};  // joins
    return require(alive == 0, "a dropped task was not joined");
  }
  try {
    require(t.join() == number, "a task gave another result");
  } catch (const fault& x) {
    require(x.number == number, "a task gave another's failure");
  } catch (const skein::goroutine_exited&) {
  }
  require(alive == 0, "a joined task had not ended");
}

void shared_value(worker& w) {
  std::atomic<int> runs{0};
  const auto f = skein::once_value([&] { return ++runs; });
  skein::wait_group wg;
  for (int i = 0; i < 5; ++i) wg.go([&] { require(f() == 1, "a once_value differs"); });
  wg.wait();
  w.count(kind::onces, 5);
}

void loop(worker& w) {
  std::vector<std::uint64_t> v(1 + w.d.below(200), 1);
  skein::parallel_for_each(v, [](std::uint64_t& x) { ++x; }, {.limit = w.d.below(9)});
  require(std::accumulate(v.begin(), v.end(), std::uint64_t{0}) == 2 * v.size(),
          "a parallel loop left something out");
  w.count(kind::tasks, v.size());
}

}  // namespace

void tasks(worker& w) {
  crowd_of(w, 10, [](worker& all) {
    if (!all.has_runtime) return;
    until_over(all, [](worker& me) {
      const int depth = static_cast<int>(me.d.below(7));
      switch (me.d.below(8)) {
        case 0:
          return require(leaves(me.r, me.d.roll(), depth) == std::uint64_t{1} << depth,
                         "a tree lost leaves");
        case 1: return shared_value(me);
        case 2: return loop(me);
        default: return task_ends(me);
      }
    });
  });
}

namespace {

// A function of its own: compilers remember the thread's number, which <stop_token> asks for, across a park.
[[gnu::noinline]] void stop(std::stop_source& s) { s.request_stop(); }

// Waits in one of the ways that only ctx can end; returns whether it did.
bool wait_for_the_end(worker& w, const skein::context& ctx, skein::mutex& locked,
                      skein::semaphore& empty) {
  const skein::chan<int> silent(w.d.below(2));
  switch (w.d.below(7)) {
    case 0: return silent.recv(ctx).status() == skein::status::canceled;
    case 1: return !skein::sleep_for(ctx, std::chrono::hours(1));
    case 2: return !locked.lock(ctx);
    case 3: return !empty.acquire(ctx);
    case 4: return skein::select(skein::recv(silent), skein::recv(ctx.done())) == 1;
    case 5: {
      skein::wait_group never;
      never.add(1);
      const bool ended = !never.wait(ctx);
      never.done();
      return ended;
    }
    default: return !ctx.done().recv();
  }
}

void group_that_fails(worker& w) {
  auto [ctx, cancel] = skein::with_timeout(w.r.ctx(), std::chrono::milliseconds(200));
  skein::mutex locked;
  locked.lock();
  skein::semaphore empty(1);
  empty.acquire();
  skein::task_group g(ctx);
  const std::uint64_t number = w.d.roll();
  std::atomic<std::uint64_t> ended{0};
  const std::size_t people = round::few(w.d, 50);
  const bool fails = w.d.one_in(2);
  for (std::size_t i = 0; i < people; ++i)
    g.go([&, seed = w.d.roll(), throws = fails && i == people / 2] {
      worker me(w.r, seed);
      me.pause();
      if (throws) throw fault{number};
      require(wait_for_the_end(me, g.context(), locked, empty), "a wait ended before its context");
      require(static_cast<bool>(g.context().err()), "a context ended without a reason");
      ended.fetch_add(1, std::memory_order_relaxed);
    });
  if (!fails && w.d.one_in(2)) {
    w.interrupt();
    cancel();
  }
  try {
    while (w.d.one_in(2) && !g.wait_for(w.moment())) {
    }
    g.wait();
    require(!fails, "a group hid a failure");
  } catch (const fault& x) {
    require(fails && x.number == number, "a group made up a failure");
  }
  require(ended == people - (fails ? 1 : 0), "a group did not wait for all");
  locked.unlock();
  empty.release();
  w.count(kind::groups, people);
}

void group_with_limit(worker& w) {
  const std::size_t limit = 1 + w.d.below(5);
  std::atomic<std::size_t> running{0};
  std::atomic<std::size_t> began{0};
  std::size_t started = 0;
  skein::task_group g;
  g.set_limit(limit);
  for (std::size_t i = round::few(w.d, 50); i > 0; --i) {
    const auto f = [&, seed = w.d.roll()] {
      worker me(w.r, seed);
      require(running.fetch_add(1, std::memory_order_relaxed) < limit,
              "a group runs more than its limit");
      began.fetch_add(1, std::memory_order_relaxed);
      me.pause();
      running.fetch_sub(1, std::memory_order_relaxed);
    };
    switch (w.d.below(3)) {
      case 0: started += g.try_go(f); break;
      case 1: started += g.go_for(w.moment(), f); break;
      default: g.go(f), ++started; break;
    }
  }
  g.wait();
  require(began == started, "a group lost somebody");
  w.count(kind::groups, started);
}

struct name_of {
  using type = std::uint64_t;
};

void context_tree(worker& w) {
  struct note {
    skein::wait_group heard;
    std::atomic<std::uint64_t> calls{0};
  } n;
  const std::uint64_t name = w.d.roll();
  auto [root, cancel] = skein::with_cancel(skein::with_value<name_of>(w.r.ctx(), name));
  std::vector<skein::cancelable> tree;
  std::vector<std::stop_source> stops;
  std::uint64_t expected = 0;
  skein::wait_group wg;
  for (std::size_t i = round::few(w.d, 60); i > 0; --i) {
    const skein::context parent = tree.empty() ? root : tree[w.d.below(tree.size())].ctx;
    switch (w.d.below(5)) {
      case 0:
      case 1: tree.push_back(skein::with_cancel(parent)); break;
      case 2:
        tree.push_back(skein::with_stop_token(parent, stops.emplace_back().get_token()));
        break;
      default:
        tree.push_back(skein::with_timeout(parent, std::chrono::microseconds(w.d.below(5000))));
        break;
    }
    if (!stops.empty() && w.d.one_in(8)) stop(stops[w.d.below(stops.size())]);
    const skein::context ctx = tree.back().ctx;
    require(*ctx.value<name_of>() == name, "a context lost a value");
    if (w.d.one_in(3)) {
      n.heard.add(1);
      const auto stop = skein::after_func(ctx, [&n] {
        n.calls.fetch_add(1, std::memory_order_relaxed);
        n.heard.done();
      });
      if (w.d.one_in(4) && stop())
        n.heard.done();
      else
        ++expected;
    }
    if (w.d.one_in(3))
      w.r.anywhere(wg, w.d, [ctx](worker& me) {
        static_cast<void>(ctx.done().recv());
        require(ctx.err() && ctx.cause(), "a context ended without a reason");
        me.count(kind::contexts);
      });
    if (w.d.one_in(8)) tree[w.d.below(tree.size())].cancel();
  }
  w.interrupt();
  const std::stop_token stopped = skein::stop_token_of(tree.back().ctx);
  if (w.d.one_in(2)) tree.front().cancel();
  cancel();
  for (const skein::cancelable& c : tree) {
    static_cast<void>(c.ctx.done().recv());
    require(static_cast<bool>(c.ctx.err()), "a child outlived its parent");
  }
  while (!stopped.stop_requested()) skein::yield();
  n.heard.wait();
  wg.wait();
  require(n.calls == expected, "a context forgot a call or made one too many");
  w.count(kind::contexts, tree.size());
}

}  // namespace

void groups(worker& w) {
  until_over(w, [](worker& me) { me.d.one_in(2) ? group_that_fails(me) : group_with_limit(me); });
}

void contexts(worker& w) { until_over(w, context_tree); }

// Many that do nothing but wait, and are woken all at once.
void crowd(worker& w) {
  const skein::chan<int> never;
  while (!w.r.over()) {
    static constexpr std::size_t sizes[] = {10, 100, 1000, 5000};
    auto [ctx, cancel] = skein::with_cancel(w.r.ctx());
    const skein::chan<int> gate;
    skein::wait_group wg;
    for (std::size_t n = sizes[w.d.below(std::size(sizes))] / weight; n > 0; --n)
      w.r.go(wg, w.d, [&, c = ctx](worker& me) {
        switch (me.d.below(4)) {
          case 0: static_cast<void>(gate.recv()); break;
          case 1: static_cast<void>(skein::sleep_for(c, std::chrono::hours(1))); break;
          case 2:
            skein::select(skein::recv(gate), skein::recv(never),
                          skein::recv(skein::after(me.moment())));
            break;
          default: static_cast<void>(never.recv(c)); break;
        }
      });
    static_cast<void>(skein::sleep_for(w.r.ctx(), w.moment() * 10));
    if (w.d.one_in(2)) {
      gate.close();
      cancel();
    } else {
      cancel();
      gate.close();
    }
    wg.wait();
  }
}

}  // namespace soak
