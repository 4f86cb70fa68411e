// What the scenes of the soak share: a round with its end, workers that run anywhere, and checks that
// say which round of which seed broke a promise.
//
// A scene is a function that starts workers, waits for all of them and then checks its books. It must
// come to its end soon after over(): whoever blocks without a limit is woken by the scene itself, by a
// channel it closes or by a partner that stays until all others have ended.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "skein/context.hpp"
#include "skein/runtime.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace soak {

using everywhere::dice;
using std::chrono::nanoseconds;

// race_detector: this build runs under it. weight: how much slower this build is; crowds are smaller by
// as much. patience: how many times longer it may take until something is taken for stuck.
#if defined(SKEIN_SEES_TSAN)
inline constexpr bool race_detector = true;
inline constexpr int weight = 10;
#elif defined(SKEIN_SEES_ASAN)
inline constexpr bool race_detector = false;
inline constexpr int weight = 3;
#else
inline constexpr bool race_detector = false;
inline constexpr int weight = 1;
#endif
inline constexpr int patience = weight == 1 ? 1 : 10;

// X(name): the kinds of operations that are counted.
#define SOAK_KINDS(X)                                                                              \
  X(sent)                                                                                          \
  X(received)                                                                                      \
  X(returned)                                                                                      \
  X(refused)                                                                                       \
  X(thrown)                                                                                        \
  X(closes) X(locks) X(shared_locks) X(permits) X(queued) X(onces) X(phases) X(atomic_waits)       \
      X(tasks) X(groups) X(contexts) X(timers) X(sleeps) X(goroutines) X(threads) X(hogs)          \
          X(pooled) X(mapped) X(flights) X(tokens) X(pipe_bytes) X(signals)
enum class kind : std::size_t {
#define SOAK_KIND(name) name,
  SOAK_KINDS(SOAK_KIND)
#undef SOAK_KIND
};
#define SOAK_KIND(name) +1
inline constexpr std::size_t kinds = SOAK_KINDS(SOAK_KIND);
#undef SOAK_KIND

inline std::array<std::atomic<std::uint64_t>, kinds> totals{};

// fail() says what went wrong, with seed and round, and ends the process with status 1.
[[noreturn]] void fail(const std::string& what);
inline void require(bool holds, const char* what) {
  if (!holds) [[unlikely]]
    fail(what);
}

// mix() scatters a number over 64 bits.
inline std::uint64_t mix(std::uint64_t n) { return dice(n).roll(); }

// fault: an exception of the soak's own, which says where it comes from.
struct fault {
  std::uint64_t number;
};

class round;

// worker: one activity, a goroutine or a thread, with dice and a count of its own.
class worker {
 public:
  worker(round& in, std::uint64_t seed, bool starts_goroutines = true) noexcept
      : r(in), d(seed), has_runtime(starts_goroutines) {}
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  ~worker() { flush(); }

  void count(kind k, std::uint64_t n = 1) {
    done_[static_cast<std::size_t>(k)] += n;
    if (++since_flush_ == 1024) flush();
  }
  // moment(): a short time, mostly some microseconds, now and then a millisecond or two.
  nanoseconds moment() { return nanoseconds(d.below(d.one_in(8) ? 2'000'000 : 20'000)); }
  // pause(): what people do between two steps: mostly nothing.
  void pause();
  // interrupt(): gives others a chance in one of the many ways.
  void interrupt();

  round& r;
  dice d;
  const bool has_runtime;  // false on a thread that is attached to none

 private:
  void flush() noexcept;

  std::array<std::uint64_t, kinds> done_{};
  unsigned since_flush_ = 0;
};

// compute() keeps the thread busy.
void compute(nanoseconds d);

class round {
 public:
  // Goroutines go to any of `homes`; at most `most_threads` threads are begun.
  round(std::vector<skein::runtime*> homes, bool lazy, int most_threads);

  // over(): the round is to end. ctx() is cancelled then.
  bool over() const noexcept { return over_.load(std::memory_order_relaxed); }
  const skein::context& ctx() const noexcept { return life_.ctx; }
  bool lazy() const noexcept { return lazy_; }
  void end();
  // join() waits for the threads; after the scenes have ended.
  void join();

  // few(): 1 to `most`, fewer in slow builds.
  static std::size_t few(dice& d, std::size_t most) {
    return 1 + d.below(std::max<std::size_t>(2, most / weight));
  }

  // go() starts f(worker&) as a goroutine of any runtime, anywhere() on a thread as well, which may be
  // attached to a runtime. wg counts it.
  template <class F> void go(skein::wait_group& wg, dice& d, F f) {
    pick(d).go(counted(wg, d, kind::goroutines, true, std::move(f)));
  }
  template <class F> void anywhere(skein::wait_group& wg, dice& d, F f) {
    if (!d.one_in(8) || !reserve_thread()) return go(wg, d, std::move(f));
    skein::runtime* const home = d.one_in(2) ? &pick(d) : nullptr;
    std::thread t([this, home,
                   call = counted(wg, d, kind::threads, home != nullptr, std::move(f))]() mutable {
      {
        std::optional<skein::runtime::attachment> attached;
        if (home != nullptr) attached.emplace(*home);
        call();
      }
      live_threads_.fetch_sub(1, std::memory_order_relaxed);
    });
    const std::lock_guard hold(threads_lock_);
    threads_.push_back(std::move(t));
  }

 private:
  skein::runtime& pick(dice& d) { return *homes_[d.below(homes_.size())]; }
  template <class F> auto counted(skein::wait_group& wg, dice& d, kind k, bool has_runtime, F f) {
    wg.add(1);
    return [this, k, has_runtime, wg = &wg, seed = d.roll(), f = std::move(f)]() mutable {
      struct finisher {
        skein::wait_group* wg;
        ~finisher() { wg->done(); }
      } end{wg};
      worker w(*this, seed, has_runtime);
      w.count(k);
      f(w);
    };
  }
  bool reserve_thread();

  const std::vector<skein::runtime*> homes_;
  const bool lazy_;
  std::atomic<bool> over_{false};
  skein::cancelable life_ = skein::with_cancel(skein::background());
  std::atomic<int> threads_left_;
  std::atomic<int> live_threads_{0};
  std::mutex threads_lock_;  // nobody parks under it
  std::vector<std::thread> threads_;
};

// crowd_of() starts a few workers anywhere, at most `most`, and waits until each has done body(worker&).
template <class F> void crowd_of(worker& w, std::size_t most, F body) {
  skein::wait_group wg;
  for (std::size_t n = round::few(w.d, most); n > 0; --n)
    w.r.anywhere(wg, w.d, [&body](worker& me) { body(me); });
  wg.wait();
}
// until_over() does step(worker&) over and over until the end of the round.
template <class F> void until_over(worker& w, F step) {
  for (; !w.r.over(); w.pause()) step(w);
}
// all_along() is both.
template <class F> void all_along(worker& w, std::size_t most, F step) {
  crowd_of(w, most, [&step](worker& me) { until_over(me, step); });
}

// The scenes, by file.
void packets(worker& w);  // traffic.cpp: values through channels, each exactly once
void parcels(worker& w);
void slabs(worker& w);
void fragiles(worker& w);
void mutexes(worker& w);  // locks.cpp
void readers_and_writers(worker& w);
void permits(worker& w);
void onces(worker& w);
void queue(worker& w);  // meetings.cpp
void phases(worker& w);
void latches(worker& w);
void ping_pong(worker& w);
void tasks(worker& w);  // tasks.cpp
void groups(worker& w);
void contexts(worker& w);
void crowd(worker& w);
void timers(worker& w);  // time.cpp
void hogs(worker& w);
void pools(worker& w);  // kit.cpp
void maps(worker& w);
void flights(worker& w);
void limiters(worker& w);
void pipes(worker& w);  // outside.cpp
void signals(worker& w);

}  // namespace soak
