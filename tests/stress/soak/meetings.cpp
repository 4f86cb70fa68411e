// Waiting for each other: a queue with condition variables, barriers, latches, atomics.
#include <deque>
#include <mutex>
#include <numeric>
#include <vector>

#include "skein/atomic_wait.hpp"
#include "skein/barrier.hpp"
#include "skein/condition_variable.hpp"
#include "skein/latch.hpp"
#include "stress/soak/round.hpp"

namespace soak {
namespace {

class bounded_queue {
 public:
  explicit bounded_queue(std::size_t room) : room_(room) {}

  void push(worker& w, std::uint64_t v) {
    std::unique_lock hold(m_);
    wait(w, drained_, hold, [&] { return items_.size() < room_; });
    items_.push_back(v);
    if (w.d.one_in(2)) hold.unlock();
    filled_.notify_one();
  }
  std::optional<std::uint64_t> pop(worker& w) {
    std::unique_lock hold(m_);
    wait(w, filled_, hold, [&] { return !items_.empty() || closed_; });
    if (items_.empty()) return std::nullopt;
    const std::uint64_t v = items_.front();
    items_.pop_front();
    drained_.notify_one();
    return v;
  }
  void close() {
    {
      const std::lock_guard hold(m_);
      closed_ = true;
    }
    filled_.notify_all();
  }

 private:
  // In pieces of limited waits, or in one.
  template <class P>
  void wait(worker& w, skein::condition_variable& cv, std::unique_lock<skein::mutex>& hold,
            P ready) {
    while (!ready()) {
      switch (w.d.below(4)) {
        case 0: static_cast<void>(cv.wait_for(hold, w.moment())); break;
        case 1: {
          auto [ctx, cancel] = skein::with_timeout(skein::background(), w.moment());
          static_cast<void>(cv.wait(hold, ctx, ready));
          break;
        }
        default: cv.wait(hold, ready); break;
      }
    }
  }

  const std::size_t room_;
  skein::mutex m_;
  skein::condition_variable filled_;
  skein::condition_variable drained_;
  std::deque<std::uint64_t> items_;
  bool closed_ = false;
};

}  // namespace

void queue(worker& w) {
  bounded_queue q(1 + w.d.below(20));
  std::atomic<std::uint64_t> put{0};
  std::atomic<std::uint64_t> got{0};
  skein::wait_group producers;
  skein::wait_group consumers;
  for (std::size_t n = round::few(w.d, 30); n > 0; --n)
    w.r.anywhere(producers, w.d, [&](worker& me) {
      until_over(me, [&](worker&) {
        const std::uint64_t v = me.d.roll();
        q.push(me, v);
        put.fetch_add(v, std::memory_order_relaxed);
      });
    });
  for (std::size_t n = round::few(w.d, 30); n > 0; --n)
    w.r.anywhere(consumers, w.d, [&](worker& me) {
      while (const auto v = q.pop(me)) {
        got.fetch_add(*v, std::memory_order_relaxed);
        me.count(kind::queued);
        me.pause();
      }
    });
  producers.wait();
  q.close();
  consumers.wait();
  require(put == got, "a queue lost or made up something");
}

// All go through the same phases; the completion decides which one is the last.
void phases(worker& w) {
  const std::size_t people = round::few(w.d, 30);
  std::vector<std::uint64_t> at(people, ~std::uint64_t{0});  // in which phase each is
  std::uint64_t phase = 0;
  bool last = false;
  const auto complete = [&]() noexcept {
    for (const std::uint64_t a : at) require(a == phase, "a barrier opened too early");
    ++phase;
    last = w.r.over();
  };
  skein::barrier b(static_cast<std::ptrdiff_t>(people), complete);
  skein::wait_group wg;
  for (std::size_t i = 0; i < people; ++i)
    w.r.anywhere(wg, w.d, [&, i](worker& me) {
      std::uint64_t mine = 0;
      while (!last) {
        require(phase == mine, "a barrier let somebody through twice");
        at[i] = mine++;
        me.pause();
        const auto arrived = b.arrive();
        if (me.d.one_in(4))
          while (!b.wait_for(arrived, me.moment())) {
          }
        b.wait(arrived);
        me.count(kind::phases);
      }
    });
  wg.wait();
}

void latches(worker& w) {
  until_over(w, [](worker& stage) {
    const std::size_t people = round::few(stage.d, 30);
    skein::latch opened(static_cast<std::ptrdiff_t>(people));
    std::vector<std::uint64_t> made(people);
    const auto check = [&] {
      require(std::accumulate(made.begin(), made.end(), std::uint64_t{0}) == people,
              "a latch opened too early");
    };
    skein::wait_group wg;
    for (std::uint64_t& mine : made)
      stage.r.anywhere(wg, stage.d, [&](worker& me) {
        me.pause();
        mine = 1;
        if (me.d.one_in(2)) return opened.count_down();
        opened.arrive_and_wait();
        check();
        me.count(kind::phases);
      });
    while (stage.d.one_in(2) && !opened.wait_for(stage.moment())) {
    }
    opened.wait();
    check();
    wg.wait();
  });
}

// Two players pass the turn to each other, through an atomic and what else they may write meanwhile.
void ping_pong(worker& w) {
  std::atomic<std::uint32_t> turn{0};
  std::atomic<bool> done{false};
  std::uint64_t ball = 0;
  skein::wait_group wg;
  for (std::uint32_t side = 0; side < 2; ++side)
    w.r.anywhere(wg, w.d, [&, side](worker& me) {
      for (std::uint64_t next = side;; next += 2) {
        for (std::uint32_t seen; (seen = turn.load(std::memory_order_acquire)) % 2 != side;)
          if (me.d.one_in(4))
            skein::atomic_wait_for(turn, seen, me.moment());
          else
            skein::atomic_wait(turn, seen);
        require(ball++ == next, "two players have the ball");
        const bool last = done.load(std::memory_order_relaxed);
        if (side == 0 && me.r.over()) done.store(true, std::memory_order_relaxed);
        turn.fetch_add(1, std::memory_order_release);
        if (me.d.one_in(2))
          skein::atomic_notify_one(turn);
        else
          skein::atomic_notify_all(turn);
        me.count(kind::atomic_waits);
        if (last || done.load(std::memory_order_relaxed)) return;
        me.pause();
      }
    });
  wg.wait();
}

}  // namespace soak
