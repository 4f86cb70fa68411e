// The wait primitive as plain threads use it: one wait, several who want to end it.
#include "model.hpp"
#include "prim/limits.hpp"

namespace {

using skein::detail::wait_node;
using skein::detail::wait_queue;
using skein::sched::waiter;

// Of two who claim one wins, writes, and wakes; the waiter sees what it wrote.
MODEL(wait, one_of_two_claims, {.preemptions = 3}) {
  waiter w(nullptr);
  int written = 0;
  const auto claim = [&](std::uint32_t index) {
    if (!w.try_claim(index)) return;
    written += static_cast<int>(index) + 1;
    skein::sched::wake_thread(&w);
  };
  const auto first = [&] { claim(0); };
  const auto second = [&] { claim(1); };
  const int a = model::start(first), b = model::start(second);
  skein::sched::thread_wait(w, skein::detail::never, skein::prim::timeout_index);
  MODEL_CHECK(written == static_cast<int>(w.winner()) + 1);
  model::join(a);
  model::join(b);
}

// The waiter writes before it publishes, and who claims reads that.
MODEL(wait, claimer_sees_what_was_published, {.preemptions = 3}) {
  waiter w(nullptr);
  skein::detail::atomic<waiter*> published{nullptr};
  int slot = 0;
  const auto serve = [&] {
    waiter* p = published.load(std::memory_order_acquire);
    if (p == nullptr || !p->try_claim(0)) return;
    MODEL_CHECK(slot == 1);
    slot = 2;
    skein::sched::wake_thread(p);
  };
  const auto wait = [&] {
    slot = 1;
    published.store(&w, std::memory_order_release);
    if (w.try_claim(7)) return;
    skein::sched::thread_wait(w, skein::detail::never, skein::prim::timeout_index);
    MODEL_CHECK(slot == 2);
  };
  model::threads(serve, wait);
}

// Time and a waker both want the wait; whoever claims it ends it, and nothing is left that points to it.
MODEL(wait, deadline_against_waker, {.preemptions = 3}, {"done", "timeout"}) {
  wait_queue q;
  int given = 0;
  const auto wait = [&] {
    const auto limit =
        skein::detail::limit::until(skein::time_point(skein::duration(2'000'000'000)));
    auto* b = new skein::prim::blocker(limit, skein::sched::status::semaphore);
    skein::detail::chan_status why;
    MODEL_CHECK(b->begin(why));
    q.lock.lock();
    b->link(q);
    q.lock.unlock();
    const bool done = b->wait() == skein::detail::chan_status::done;
    if (done) MODEL_CHECK(given == 1);
    delete b;
    model::outcome(done ? "done" : "timeout");
  };
  const auto wake = [&] {
    q.lock.lock();
    wait_node* n = skein::detail::take_waiter(q.list);
    if (n != nullptr) given = 1;
    q.lock.unlock();
    if (n != nullptr) skein::sched::wake(n->who);
  };
  model::threads(wait, wake, wake);
}

}  // namespace
