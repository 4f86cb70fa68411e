// Condition variable and barrier, as plain threads use them.
#include <chrono>
#include <memory>
#include <mutex>

#include "model.hpp"
#include "skein/barrier.hpp"
#include "skein/condition_variable.hpp"
#include "skein/mutex.hpp"

namespace {

using namespace std::chrono_literals;

constexpr model::effort long_ones{
    .preemptions = 2, .stale = 1, .searched = 20'000, .random = 10'000};

// box: what is under a mutex, with a condition.
struct box {
  void put(int n) {
    const std::lock_guard hold(m);
    full += n;
  }
  void take() {
    std::unique_lock hold(m);
    filled.wait(hold, [&] { return full > 0; });
    --full;
  }
  bool take_for(std::chrono::milliseconds d) {
    std::unique_lock hold(m);
    if (!filled.wait_for(hold, d, [&] { return full > 0; })) return false;
    --full;
    return true;
  }

  skein::mutex m;
  skein::condition_variable filled;
  int full = 0;
};

MODEL(condition_variable, one_is_notified) {
  box b;
  const auto give = [&] {
    b.put(1);
    b.filled.notify_one();
  };
  const auto take = [&] { b.take(); };
  model::threads(give, take);
  MODEL_CHECK(b.full == 0);
}

MODEL(condition_variable, all_are_notified, long_ones) {
  box b;
  const auto give = [&] {
    b.put(2);
    b.filled.notify_all();
  };
  const auto take = [&] { b.take(); };
  model::threads(give, take, take);
  MODEL_CHECK(b.full == 0);
}

// A notify is not spent on one who has given up.
MODEL(condition_variable, timed, long_ones, {"0", "1"}) {
  box b;
  const auto give = [&] {
    b.put(1);
    b.filled.notify_one();
  };
  const auto try_to = [&] {
    const bool taken = b.take_for(1ms);
    if (taken) give();
    model::outcome(std::to_string(taken));
  };
  const auto take = [&] {
    b.take();
    give();
  };
  model::threads(give, try_to, take);
  MODEL_CHECK(b.full == 1);
}

// What happens before a notify, without any lock, is seen after the wait that it ends.
MODEL(condition_variable, destroyed_by_the_one_notified) {
  skein::mutex m;
  auto c = std::make_unique<skein::condition_variable>();
  skein::condition_variable* const same = c.get();
  std::unique_lock hold(m);
  int before = 0;
  const auto notify = [&] {
    {
      const std::lock_guard waits(m);
    }
    before = 1;
    same->notify_one();
  };
  const int t = model::start(notify);
  c->wait(hold);
  c.reset();
  MODEL_CHECK(before == 1);
  model::join(t);
}

// Each phase sees what the others did in the one before, and the completion what all did.
MODEL(barrier, phases, long_ones) {
  int done[2] = {}, sum = 0;
  const auto add = [&]() noexcept { sum += done[0] + done[1]; };
  skein::barrier b(2, add);
  const auto work = [&](int i) {
    done[i] = 1;
    b.arrive_and_wait();
    MODEL_CHECK(sum == 2);
    b.arrive_and_wait();
    MODEL_CHECK(sum == 4);
  };
  const auto first = [&] { work(0); };
  const auto second = [&] { work(1); };
  model::threads(first, second);
}

MODEL(barrier, three, long_ones) {
  skein::barrier b(3);
  int done[3] = {};
  const auto work = [&](int i) {
    done[i] = 1;
    b.arrive_and_wait();
    MODEL_CHECK(done[0] + done[1] + done[2] == 3);
  };
  const auto first = [&] { work(0); };
  const auto second = [&] { work(1); };
  const auto third = [&] { work(2); };
  model::threads(first, second, third);
}

MODEL(barrier, timed, {}, {"0", "1"}) {
  skein::barrier b(2);
  int before = 0;
  const auto last = [&] {
    before = 1;
    b.arrive_and_drop();
  };
  const auto wait = [&] {
    const auto token = b.arrive();
    const bool met = b.wait_for(token, 1ms);
    if (met) MODEL_CHECK(before == 1);
    model::outcome(std::to_string(met));
    b.wait(token);
    MODEL_CHECK(before == 1);
  };
  model::threads(last, wait);
}

// Who finds the phase over may destroy the barrier, even while the last one to arrive is about to leave it.
MODEL(barrier, destroyed_by_the_one_released) {
  auto b = std::make_unique<skein::barrier<>>(2);
  skein::barrier<>* const same = b.get();
  const auto last = [&] { static_cast<void>(same->arrive()); };
  const int t = model::start(last);
  b->arrive_and_wait();
  b.reset();
  model::join(t);
}

}  // namespace
