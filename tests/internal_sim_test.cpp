// What a simulation makes of a defect of the runtime itself.
#include <memory>

#include <gtest/gtest.h>

#include "prim/limits.hpp"
#include "skein/go.hpp"
#include "support/found.hpp"
#include "support/process.hpp"

namespace {

using namespace skein::detail;

// covers: D4
TEST(internal_sim, a_wake_that_is_lost_is_a_failure_like_others) {
  const auto what = everywhere::found([] {
    const auto queue = std::make_shared<wait_queue>();
    skein::go([queue] {
      const limit none = limit::forever();
      skein::prim::blocker b(none, skein::sched::status::mutex);
      chan_status result;
      b.begin(result);
      queue->lock.lock();
      b.link(*queue);
      queue->lock.unlock();
      b.wait();
    });
    while (queue->list.empty()) skein::yield();
    queue->lock.lock();
    take_waiter(queue->list);
    queue->lock.unlock();  // and nobody wakes it
  });
  ASSERT_TRUE(what.has_value());
  EXPECT_TRUE(everywhere::contains(what->reason(), "a goroutine is left")) << what->what();
}

}  // namespace
