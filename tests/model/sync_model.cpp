// Mutex, wait group, once, semaphore, as plain threads use them.
#include <chrono>
#include <memory>

#include "counting.hpp"
#include "model.hpp"
#include "skein/mutex.hpp"
#include "skein/once.hpp"
#include "skein/semaphore.hpp"
#include "skein/wait_group.hpp"

namespace {

using namespace std::chrono_literals;

MODEL(mutex, excludes) {
  skein::mutex m;
  int n = 0;
  model::threads(model::counting(m, n), model::counting(m, n));
  MODEL_CHECK(n == 2);
}

constexpr model::effort long_ones{
    .preemptions = 2, .stale = 1, .searched = 20'000, .random = 20'000};

MODEL(mutex, excludes_three, long_ones) {
  skein::mutex m;
  int n = 0;
  const auto add = model::counting(m, n, 2);
  model::threads(add, add, add);
  MODEL_CHECK(n == 6);
}

MODEL(mutex, tries) {
  skein::mutex m;
  int n = 0, missed = 0;
  model::threads(model::counting(m, n), model::trying(m, n, missed));
  MODEL_CHECK(n + missed == 2);
}

// Time ends the wait of one who was, or was not, woken meanwhile; the other gets the mutex all the same.
MODEL(mutex, timed, long_ones, {"2", "3"}) {
  skein::mutex m;
  int n = 0;
  const auto timed = [&] {
    if (!m.try_lock_for(1ms)) return;
    ++n;
    m.unlock();
  };
  model::threads(model::counting(m, n), timed, model::counting(m, n));
  MODEL_CHECK(m.try_lock());
  model::outcome(std::to_string(n));
}

// A waiter that has waited for too long gets the mutex handed over.
MODEL(mutex, starving, long_ones) {
  model::clock_leaps(2ms);
  skein::mutex m;
  int n = 0;
  const auto add = model::counting(m, n, 3);
  model::threads(add, add, add);
  MODEL_CHECK(n == 9);
}

// A waiter may destroy the group as soon as it finds zero.
MODEL(wait_group, collects) {
  auto wg = std::make_unique<skein::wait_group>();
  int a = 0, b = 0;
  wg->add(2);
  const auto first = [&] {
    a = 1;
    wg->done();
  };
  const auto second = [&] {
    b = 1;
    wg->done();
  };
  const int one = model::start(first), two = model::start(second);
  wg->wait();
  wg.reset();
  MODEL_CHECK(a + b == 2);
  model::join(one);
  model::join(two);
}

MODEL(wait_group, two_waiters) {
  skein::wait_group wg;
  int n = 0;
  wg.add();
  const auto work = [&] {
    n = 1;
    wg.done();
  };
  const auto wait = [&] {
    wg.wait();
    MODEL_CHECK(n == 1);
  };
  model::threads(work, wait, wait);
}

// A group is used again once its waiters have been released.
MODEL(wait_group, used_again) {
  skein::wait_group wg;
  int n = 0;
  wg.add();
  const auto work = [&] {
    ++n;
    wg.done();
  };
  const auto twice = [&] {
    wg.wait();
    MODEL_CHECK(n == 1);
    wg.add();
    const int again = model::start(work);
    wg.wait();
    MODEL_CHECK(n == 2);
    model::join(again);
  };
  model::threads(work, twice);
}

MODEL(wait_group, timed, {.preemptions = 2}, {"done", "timeout"}) {
  skein::wait_group wg;
  int n = 0;
  wg.add();
  const auto work = [&] {
    n = 1;
    wg.done();
  };
  const auto wait = [&] {
    const bool done = wg.wait_for(1ms);
    if (done) MODEL_CHECK(n == 1);
    model::outcome(done ? "done" : "timeout");
  };
  model::threads(work, wait);
  wg.wait();
}

// The group may go even while the one who released it is about to leave its queue.
MODEL(wait_group, destroyed_after_a_timeout) {
  auto wg = std::make_unique<skein::wait_group>();
  wg->add();
  skein::wait_group* const group = wg.get();
  const auto work = [group] { group->done(); };
  const int worker = model::start(work);
  if (!wg->wait_for(1ms)) wg->wait();
  wg.reset();
  model::join(worker);
}

MODEL(once, runs_once) {
  skein::once o;
  int n = 0;
  const auto call = [&] {
    o.call([&] { ++n; });
    MODEL_CHECK(n == 1);
  };
  model::threads(call, call);
}

MODEL(once, three_callers, {.preemptions = 2, .stale = 1, .searched = 20'000, .random = 10'000}) {
  skein::once o;
  int n = 0;
  const auto call = [&] {
    o.call([&] { ++n; });
    MODEL_CHECK(n == 1);
  };
  model::threads(call, call, call);
}

MODEL(semaphore, weighs) {
  skein::semaphore s(2);
  int n = 0;
  const auto all = [&] {
    s.acquire(2);
    ++n;
    s.release(2);
  };
  const auto half = [&] {
    s.acquire(1);
    s.release(1);
  };
  model::threads(all, half, all);
  MODEL_CHECK(n == 2);
}

MODEL(semaphore, excludes, {.preemptions = 3}) {
  skein::semaphore s(1);
  int n = 0;
  const auto add = [&] {
    s.acquire();
    ++n;
    s.release();
  };
  const auto try_add = [&] {
    if (!s.try_acquire()) return;
    ++n;
    s.release();
  };
  model::threads(add, try_add);
  MODEL_CHECK(n >= 1);
}

// Also behind one whose time was over while it stood in the queue.
MODEL(semaphore, excludes_behind_a_timeout, long_ones) {
  skein::semaphore s(1);
  int n = 0;
  const auto add = [&] {
    s.acquire();
    ++n;
    s.release();
  };
  const auto timed = [&] {
    if (s.try_acquire_for(1ms)) s.release();
  };
  model::threads(add, timed, add);
  MODEL_CHECK(n == 2);
}

// One whose time is over serves those who waited behind it.
MODEL(semaphore, timed, {.preemptions = 2, .stale = 1, .searched = 50'000, .random = 10'000}) {
  skein::semaphore s(2);
  s.acquire(1);
  const auto heavy = [&] {
    if (s.try_acquire_for(1ms, 2)) s.release(2);
  };
  const auto light = [&] {
    s.acquire(1);
    s.release(1);
  };
  model::threads(heavy, light);
}

}  // namespace
