// Semaphores: weights, order, limits, misuse, and a model that says who is served when.
#include "skein/semaphore.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include "skein/context.hpp"
#include "skein/error.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::in_simulation;
using everywhere::scaled;

struct semaphore : everywhere::on_procs {};
SKEIN_EVERYWHERE(semaphore);

// covers: Y8 Y12
TEST_P(semaphore, never_hands_out_more_than_its_size) {
  repeat([] {
    skein::semaphore s(7);
    std::atomic<int> out{0};
    skein::wait_group wg;
    const int n = static_cast<int>(rounds(100, 4));
    for (int k = 0; k < 6; ++k)
      wg.go([&, weight = k % 5 + 1] {
        for (int i = 0; i < n; ++i) {
          s.acquire(weight);
          EXPECT_LE(out += weight, 7);
          if (i % 8 == 0) skein::yield();
          out -= weight;
          s.release(weight);
        }
      });
    wg.wait();
    EXPECT_TRUE(s.try_acquire(7)) << "all of it came back";
    s.release(7);
  }, 20);
}

// covers: Y8 Y12
TEST_P(semaphore, of_one_is_a_lock) {
  repeat([] {
    skein::semaphore s(1);
    long plain = 0;
    skein::wait_group wg;
    const int n = static_cast<int>(rounds(200, 4));
    for (int k = 0; k < 4; ++k)
      wg.go([&] {
        for (int i = 0; i < n; ++i) {
          s.acquire();
          const long seen = plain;
          if (i % 16 == 0) skein::yield();
          plain = seen + 1;
          s.release();
        }
      });
    wg.wait();
    EXPECT_EQ(plain, 4L * n);
  }, 20);
}

// covers: Y8
TEST_P(semaphore, attempts_and_sizes) {
  repeat([] {
    skein::semaphore s(3);
    EXPECT_EQ(s.size(), 3);
    EXPECT_TRUE(s.try_acquire(2));
    EXPECT_FALSE(s.try_acquire(2));
    EXPECT_TRUE(s.try_acquire());
    EXPECT_TRUE(s.try_acquire(0));
    EXPECT_FALSE(s.try_acquire(4));
    s.release(0);
    s.release(3);
    skein::semaphore none(0);
    EXPECT_FALSE(none.try_acquire());
    none.acquire(0);
    constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();
    skein::semaphore all(most);
    all.acquire(most);
    EXPECT_FALSE(all.try_acquire());
    all.release(most);
    EXPECT_TRUE(all.try_acquire(most));
  }, 20);
}

// covers: Y8
TEST_P(semaphore, misuse_throws_and_changes_nothing) {
  repeat([] {
    skein::semaphore s(3);
    EXPECT_THROW(skein::semaphore(-1), skein::misuse);
    EXPECT_THROW(s.release(), skein::misuse);
    s.acquire(2);
    EXPECT_THROW(s.release(3), skein::misuse);
    EXPECT_THROW(s.release(-1), skein::misuse);
    EXPECT_THROW(s.acquire(-1), skein::misuse);
    EXPECT_THROW((void)s.try_acquire(-1), skein::misuse);
    EXPECT_THROW(s.acquire(4), skein::misuse) << "it would wait for ever";
    EXPECT_THROW((void)s.acquire(skein::background(), 4), skein::misuse);
    skein::wait_group wg;
    until_parked(1, [&] {
      wg.go([&] {
        s.acquire(3);
        s.release(3);
      });
    });
    EXPECT_THROW(s.release(3), skein::misuse) << "also while somebody waits";
    s.release(2);
    wg.wait();
    EXPECT_TRUE(s.try_acquire(3));
    s.release(3);
  }, 20);
}

// covers: Y8 C6
TEST_P(semaphore, a_small_request_does_not_pass_a_large_one) {
  repeat([] {
    skein::semaphore s(4);
    std::vector<int> order;
    skein::wait_group wg;
    s.acquire(3);
    until_parked(1, [&] {
      wg.go([&] {
        s.acquire(4);
        order.push_back(4);
        s.release(4);
      });
    });
    EXPECT_FALSE(s.try_acquire()) << "one is free, but somebody waits";
    EXPECT_FALSE(s.try_acquire(0));
    until_parked(1, [&] {
      wg.go([&] {
        s.acquire();
        order.push_back(1);
        s.release();
      });
    });
    s.release(3);
    wg.wait();
    EXPECT_EQ(order, (std::vector<int>{4, 1}));
  }, 50);
}

// covers: Y8 X1
TEST(semaphore_order, a_large_request_that_gives_up_lets_the_others_through) {
  in_simulation([] {
    skein::semaphore s(4);
    s.acquire(2);
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    skein::wait_group wg;
    std::atomic<int> served{0};
    const auto start = skein::now();
    wg.go([&, c = ctx] { EXPECT_FALSE(s.acquire(c, 3)); });
    skein::sleep_for(1ns);
    wg.go([&] { EXPECT_FALSE(s.try_acquire_for(1ms, 4)); });
    skein::sleep_for(1ns);
    for (int i = 0; i < 3; ++i)
      wg.go([&] {
        s.acquire();
        ++served;
      });
    skein::sleep_until(start + 2ms);
    EXPECT_EQ(served, 0) << "the second gave up, the first still waits";
    cancel();
    skein::sleep_for(1ns);
    EXPECT_EQ(served, 2) << "those that fit";
    s.release(2);
    wg.wait();
    EXPECT_EQ(served, 3);
    s.release(3);
    EXPECT_THROW(s.release(), skein::misuse);
  });
}

// covers: Y8 L4 D4
TEST(semaphore_time, forms_give_up_exactly_on_time) {
  in_simulation([] {
    const auto start = skein::now();
    skein::semaphore s(2);
    s.acquire();
    EXPECT_FALSE(s.try_acquire_for(2ms, 2));
    EXPECT_EQ(skein::now() - start, 2ms);
    EXPECT_FALSE(s.try_acquire_until(start + 3ms, 3)) << "more than there is";
    EXPECT_EQ(skein::now() - start, 3ms);
    EXPECT_FALSE(s.try_acquire_for(-1h, 2));
    EXPECT_TRUE(s.try_acquire_for(-1h, 1));
    s.release();
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
    skein::go([&] { EXPECT_TRUE(s.try_acquire_for(1h)) << "nobody stands in the way"; });
    EXPECT_FALSE(s.acquire(ctx, 3));
    EXPECT_EQ(skein::now() - start, 4ms);
    s.release();
    EXPECT_FALSE(s.acquire(ctx)) << "the context has ended";
    EXPECT_TRUE(s.acquire(skein::background()));
    skein::go([&] {
      skein::sleep_for(1ms);
      s.release(2);
    });
    EXPECT_TRUE(s.try_acquire_for(1h, 2));
    EXPECT_EQ(skein::now() - start, 5ms);
  });
}

// The model. Each of `people` goroutines acts at its own nanoseconds (its number modulo their count),
// so no two events come at one moment and the outcome does not depend on the schedule.
struct wish {
  int gap, weight, patience, hold;  // patience 0: waits for ever
};
struct event {
  std::size_t who, step;
  bool served;
  long at;
  bool operator==(const event&) const = default;
  friend std::ostream& operator<<(std::ostream& o, const event& e) {
    return o << e.who << (e.served ? " served" : " gave up") << " in step " << e.step << " at " << e.at;
  }
};
constexpr std::size_t people = 5;
constexpr int size = 6;
long mine_after(long t, std::size_t who) {
  const auto from = static_cast<std::size_t>(t) + 1;
  return static_cast<long>(from + (who + people - from % people) % people);
}

class model {
 public:
  explicit model(const std::vector<std::vector<wish>>& wishes) : wishes_(wishes), step_(wishes.size(), 0) {
    for (std::size_t who = 0; who < people; ++who) arrive_later(who, 0);
    while (!agenda_.empty()) {
      const auto next = agenda_.extract(agenda_.begin());
      next.mapped()(next.key());
    }
  }
  std::vector<event> log;

 private:
  const wish& now_of(std::size_t who) const { return wishes_[who][step_[who]]; }
  void arrive_later(std::size_t who, long t) {
    if (step_[who] == wishes_[who].size()) return;
    agenda_[mine_after(t + now_of(who).gap, who)] = [this, who](long at) { arrive(who, at); };
  }
  void arrive(std::size_t who, long t) {
    queue_.push_back(who);
    serve(t);
    if (queue_.empty() || queue_.back() != who || now_of(who).patience == 0) return;
    const long end = mine_after(t + now_of(who).patience, who);
    agenda_[end] = [this, who](long at) {
      std::erase(queue_, who);
      note(who, false, at);
      arrive_later(who, at);
      serve(at);
    };
    deadline_[who] = end;
  }
  void serve(long t) {
    while (!queue_.empty() && held_ + now_of(queue_.front()).weight <= size) {
      const std::size_t who = queue_.front();
      queue_.pop_front();
      if (const auto d = deadline_.find(who); d != deadline_.end()) agenda_.erase(d->second), deadline_.erase(d);
      const int weight = now_of(who).weight;
      held_ += weight;
      const long end = mine_after(t + now_of(who).hold, who);
      note(who, true, t);
      agenda_[end] = [this, who, weight](long at) {
        held_ -= weight;
        arrive_later(who, at);
        serve(at);
      };
    }
  }
  void note(std::size_t who, bool served, long t) {
    deadline_.erase(who);
    log.push_back({who, step_[who]++, served, t});
  }

  const std::vector<std::vector<wish>>& wishes_;
  std::vector<std::size_t> step_;
  std::map<long, std::function<void(long)>> agenda_;
  std::map<std::size_t, long> deadline_;
  std::deque<std::size_t> queue_;
  int held_ = 0;
};

// covers: Y8 L4 D4
TEST(semaphore_model, agrees_on_who_is_served_and_when) {
  for (std::uint64_t round = 1; round <= 50; ++round) in_simulation([round] {
    everywhere::dice d(round);
    std::vector<std::vector<wish>> wishes(people);
    for (auto& of_one : wishes)
      for (int i = 0; i < 6; ++i) {
        const auto some = [&](std::uint64_t n) { return static_cast<int>(d.below(n)); };
        of_one.push_back({some(40), some(size + 1), d.one_in(3) ? 0 : 1 + some(60), some(60)});
      }
    model expected(wishes);

    skein::semaphore s(size);
    std::vector<std::vector<event>> logs(people);
    const auto start = skein::now();
    const auto at = [&] { return static_cast<long>((skein::now() - start).count()); };
    const auto moment = [&](long t) { return start + std::chrono::nanoseconds(t); };
    skein::wait_group wg;
    for (std::size_t who = 0; who < people; ++who)
      wg.go([&, who] {
        std::size_t step = 0;
        for (const wish& w : wishes[who]) {
          skein::sleep_until(moment(mine_after(at() + w.gap, who)));
          bool served = true;
          if (w.patience == 0)
            s.acquire(w.weight);
          else
            served = s.try_acquire_until(moment(mine_after(at() + w.patience, who)), w.weight);
          logs[who].push_back({who, step++, served, at()});
          if (!served) continue;
          skein::sleep_until(moment(mine_after(at() + w.hold, who)));
          s.release(w.weight);
        }
      });
    wg.wait();
    const auto by_name = [](const event& a, const event& b) {
      return std::pair(a.who, a.step) < std::pair(b.who, b.step);
    };
    std::vector<event> log;
    for (const auto& of_one : logs) log.insert(log.end(), of_one.begin(), of_one.end());
    std::sort(expected.log.begin(), expected.log.end(), by_name);
    EXPECT_EQ(log, expected.log) << "round " << round;
  }, 20);
}

// covers: Y8 L4 X1
TEST_P(semaphore, time_outs_and_cancels_lose_no_weight) {
  repeat([] {
    skein::semaphore s(4);
    std::atomic<int> out{0};
    static std::atomic<std::uint64_t> salt{1};
    skein::wait_group wg;
    for (int k = 0; k < 5; ++k)
      wg.go([&, dice = everywhere::dice(simulated() ? static_cast<std::uint64_t>(k) : ++salt)]() mutable {
        for (std::uint64_t i = rounds(100, 4); i > 0; --i) {
          const int n = static_cast<int>(dice.below(5));
          const auto d = std::chrono::nanoseconds(dice.below(3000));
          bool mine = true;
          switch (dice.below(5)) {
            case 0: s.acquire(n); break;
            case 1: mine = s.try_acquire(n); break;
            case 2: mine = s.try_acquire_for(d, n); break;
            case 3: {
              auto [ctx, cancel] = skein::with_timeout(skein::background(), d);
              mine = s.acquire(ctx, n);
              break;
            }
            case 4: {
              auto [ctx, cancel] = skein::with_timeout(skein::background(), d);
              mine = s.acquire(ctx, n + 2);
              if (mine) s.release(2);
              break;
            }
          }
          if (!mine) continue;
          EXPECT_LE(out += n, 4);
          if (dice.one_in(4)) skein::yield();
          if (dice.one_in(16)) skein::sleep_for(2us);
          out -= n;
          s.release(n);
        }
      });
    wg.wait();
    EXPECT_TRUE(s.try_acquire(4)) << "some of it is lost";
    s.release(4);
    EXPECT_THROW(s.release(), skein::misuse) << "there is more than before";
  }, 20);
}

// covers: Y8
TEST_P(semaphore, may_be_destroyed_by_whoever_acquires_last) {
  repeat([] {
    auto s = std::make_unique<skein::semaphore>(2);
    s->acquire(2);
    for (int i = 0; i < 2; ++i) skein::go([p = s.get()] { p->release(); });
    s->acquire(2);
    s.reset();
  });
}

// covers: Y8 R4
TEST_P(semaphore, threads_and_goroutines_share_one) {
  if (simulated()) GTEST_SKIP() << "no threads in a simulation";
  run([] {
    skein::semaphore s(3);
    std::atomic<int> out{0};
    const int n = static_cast<int>(scaled(1000));
    const auto work = [&] {
      for (int i = 0; i < n; ++i) {
        const int w = i % 3 + 1;
        if (i % 5 != 0)
          s.acquire(w);
        else
          while (!s.try_acquire_for(1ms, w)) {
          }
        EXPECT_LE(out += w, 3);
        out -= w;
        s.release(w);
      }
    };
    std::vector<std::thread> threads;
    skein::wait_group wg;
    for (int k = 0; k < 2; ++k) threads.emplace_back(work);
    for (int k = 0; k < 3; ++k) wg.go(work);
    wg.wait();
    skein::blocking([&] { for (auto& t : threads) t.join(); });
    EXPECT_TRUE(s.try_acquire(3));
  });
}

}  // namespace
