// Which steps of a program come before which: channels, mutexes, wait groups, contexts, tasks, timers
// (C7, Y12).
#include <chrono>
#include <mutex>
#include <optional>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/once.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/task_group.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/memory_model.hpp"

namespace {

using namespace std::chrono_literals;
using everywhere::stay;
using skein::go;

struct shared : everywhere::steps {
  skein::chan<int> unbuffered;
  skein::chan<int> two{2};
  skein::mutex m;
  skein::wait_group wg;
  skein::once once;
  skein::cancelable ctx = skein::with_cancel(skein::background());
};
using program = everywhere::program<shared>;

const program ordered[] = {
    {"a_send_before_its_receive_unbuffered",
     [](shared& s) {
       go([&] { s.write(), s.unbuffered.send(1), stay(); });
       s.unbuffered.recv();
       s.read();
     }},
    {"a_send_before_its_receive_buffered",
     [](shared& s) {
       go([&] { s.write(), s.two.send(1), stay(); });
       s.two.recv();
       s.read();
     }},
    {"a_receive_before_its_send_ends_unbuffered",
     [](shared& s) {
       go([&] { s.write(), s.unbuffered.recv(), stay(); });
       s.unbuffered.send(1);
       s.read();
     }},
    {"a_receive_before_the_send_that_needs_its_room",
     [](shared& s) {
       go([&] { s.write(), s.two.recv(), stay(); });
       for (int i = 0; i < 3; ++i) s.two.send(i);
       s.read();
     }},
    {"a_close_before_the_receive_that_finds_it",
     [](shared& s) {
       go([&] { s.write(), s.two.close(), stay(); });
       s.two.recv();
       s.read();
     }},
    {"the_sides_of_two_selects",
     [](shared& s) {
       go([&] { s.write(), skein::select(send(s.unbuffered, 1), recv(s.two)), stay(); });
       std::optional<int> v;
       skein::select(recv(s.unbuffered, v), recv(s.two));
       s.read();
     }},
    {"a_try_send_that_did_before_a_try_recv_that_did",
     [](shared& s) {
       go([&] { s.write(), s.two.try_send(1), stay(); });
       while (!s.two.try_recv().optional()) skein::yield();
       s.read();
     }},
    {"an_unlock_before_the_next_lock",
     [](shared& s) {
       go([&] {
         s.m.lock(), s.write(), s.touched.raise(), s.m.unlock();
         stay();
       });
       s.touched.await();
       const std::lock_guard hold(s.m);
       s.read();
     }},
    {"an_unlock_before_the_try_lock_that_did",
     [](shared& s) {
       go([&] {
         s.m.lock(), s.write(), s.touched.raise(), s.m.unlock();
         stay();
       });
       s.touched.await();
       while (!s.m.try_lock()) skein::yield();
       s.read();
     }},
    {"done_before_wait_ends",
     [](shared& s) {
       s.wg.add();
       go([&] { s.write(), s.wg.done(), stay(); });
       s.wg.wait();
       s.read();
     }},
    {"the_function_of_a_once_before_any_call_ends",
     [](shared& s) {
       go([&] { s.once.call([&] { s.write_and_say_so(); }), stay(); });
       s.touched.await();
       s.once.call([] {});
       s.read();
     }},
    {"a_cancel_before_done_is_seen",
     [](shared& s) {
       go([&] { s.write(), s.ctx.cancel(), stay(); });
       s.ctx.ctx.done().recv();
       s.read();
     }},
    {"a_cancel_before_the_end_of_a_sleep",
     [](shared& s) {
       go([&] { s.write(), s.ctx.cancel(), stay(); });
       skein::sleep_for(s.ctx.ctx, 1h);
       s.read();
     }},
    {"a_cancel_before_err_tells",
     [](shared& s) {
       go([&] { s.write(), s.ctx.cancel(), stay(); });
       while (!s.ctx.ctx.err()) skein::yield();
       s.read();
     }},
    {"a_cancel_before_its_after_func",
     [](shared& s) {
       skein::after_func(s.ctx.ctx, [&] { s.read(), s.two.close(), stay(); });
       go([&] { s.write(), s.ctx.cancel(), stay(); });
       s.two.recv();
     }},
    {"go_before_the_first_step",
     [](shared& s) {
       s.write();
       go([&] { s.read(), s.two.close(), stay(); });
       s.two.recv();
     }},
    {"the_end_of_a_task_before_join_ends",
     [](shared& s) {
       auto t = skein::spawn([&] { s.write(); });
       t.join();
       s.read();
     }},
    {"the_end_of_a_task_before_a_wait_ends",
     [](shared& s) {
       auto t = skein::spawn([&] { s.write(); });
       t.wait_for(1h);
       s.read();
       t.join();
     }},
    {"the_end_of_a_task_before_done_is_seen",
     [](shared& s) {
       auto t = skein::spawn({.stack = 1 << 20}, [&] { s.write(); });
       t.done().recv();
       s.read();
     }},
    {"the_end_of_a_member_before_the_wait_of_its_group",
     [](shared& s) {
       skein::task_group g;
       g.go([&] { s.write(); });
       g.wait();
       s.read();
     }},
    {"the_start_of_a_timer_before_it_fires",
     [](shared& s) {
       s.write();
       const auto t = skein::after_func(1us, [&] { s.read(), s.two.close(), stay(); });
       s.two.recv();
     }},
    {"a_reset_of_a_timer_before_it_fires",
     [](shared& s) {
       auto t = skein::after_func(1h, [&] { s.read(), s.two.close(), stay(); });
       s.write();
       t.reset(1us);
       s.two.recv();
     }},
};

const program unordered[] = {
    {"yield_orders_nothing",
     [](shared& s) {
       go([&] { s.write_and_say_so(), stay(); });
       s.read_when_told();
     }},
    {"what_follows_go_is_not_before_the_goroutine",
     [](shared& s) {
       go([&] { s.read_when_told(), s.two.close(), stay(); });
       s.write_and_say_so();
       s.two.recv();
     }},
    {"what_follows_a_send_is_not_before_its_receive",
     [](shared& s) {
       go([&] { s.two.send(1), s.write_and_say_so(), stay(); });
       s.two.recv();
       s.read_when_told();
     }},
    {"a_receive_is_not_before_a_send_that_had_room",
     [](shared& s) {
       s.two.send(1);
       go([&] { s.write_and_say_so(), s.two.recv(), stay(); });
       s.touched.await();
       s.two.send(2);
       s.read();
     }},
    {"two_receives_do_not_order_each_other",
     [](shared& s) {
       s.two.send(1), s.two.send(2);
       go([&] { s.write(), s.two.recv(), s.touched.raise(), stay(); });
       s.touched.await();
       s.two.recv();
       s.read();
     }},
    {"two_sends_do_not_order_each_other",
     [](shared& s) {
       go([&] { s.write(), s.two.send(1), s.touched.raise(), stay(); });
       s.touched.await();
       s.two.send(2);
       s.read();
     }},
    {"the_size_of_a_channel_tells_nothing_of_its_senders",
     [](shared& s) {
       go([&] { s.write(), s.two.send(1), stay(); });
       while (s.two.size() == 0) skein::yield();
       s.read();
     }},
    {"a_try_recv_that_found_nothing_orders_nothing",
     [](shared& s) {
       go([&] { s.write_and_say_so(), stay(); });
       s.touched.await();
       static_cast<void>(s.two.try_recv());
       s.read();
     }},
    {"a_try_lock_that_failed_orders_nothing",
     [](shared& s) {
       go([&] { s.m.lock(), s.write_and_say_so(), stay(); });
       s.touched.await();
       static_cast<void>(s.m.try_lock());
       s.read();
     }},
    {"a_receive_that_waits_is_not_before_the_close_that_ends_it", [](shared& s) {
       go([&] { s.write_and_say_so(), s.unbuffered.recv(), stay(); });
       s.touched.await();
       for (int i = 0; i < 100; ++i) skein::yield();
       s.unbuffered.close();
       s.read();
     }},
    {"different_mutexes_do_not_order_each_other",
     [](shared& s) {
       go([&] {
         skein::mutex own;
         const std::lock_guard hold(own);
         s.write_and_say_so(), stay();
       });
       s.touched.await();
       const std::lock_guard hold(s.m);
       s.read();
     }},
    {"what_follows_done_is_not_before_wait_ends",
     [](shared& s) {
       s.wg.add();
       go([&] { s.wg.done(), s.write_and_say_so(), stay(); });
       s.wg.wait();
       s.read_when_told();
     }},
    {"a_wait_that_gave_up_orders_nothing",
     [](shared& s) {
       s.wg.add(2);
       go([&] { s.write(), s.wg.done(), s.touched.raise(), stay(); });
       s.touched.await();
       s.wg.wait_for(1us);
       s.read();
     }},
    {"a_wait_for_a_task_that_gave_up_orders_nothing",
     [](shared& s) {
       auto t = skein::spawn([&] { s.write_and_say_so(), s.two.recv(); });
       s.touched.await();
       t.wait_for(1us);
       s.read();
       s.two.close();
     }},
    {"a_call_of_a_once_that_gave_up_orders_nothing",
     [](shared& s) {
       go([&] { s.once.call([&] { s.write_and_say_so(), stay(); }); });
       s.touched.await();
       s.once.call_for(1us, [] {});
       s.read();
     }},
    {"what_precedes_a_later_call_of_a_once_is_not_before_another",
     [](shared& s) {
       s.once.call([] {});
       go([&] { s.write(), s.once.call([] {}), s.touched.raise(), stay(); });
       s.touched.await();
       s.once.call([] {});
       s.read();
     }},
    {"what_follows_a_cancel_is_not_before_done_is_seen",
     [](shared& s) {
       go([&] { s.ctx.cancel(), s.write_and_say_so(), stay(); });
       s.ctx.ctx.done().recv();
       s.read_when_told();
     }},
    {"a_cancel_that_came_second_orders_nothing",
     [](shared& s) {
       s.ctx.cancel();
       go([&] { s.write(), s.ctx.cancel(), s.touched.raise(), stay(); });
       s.touched.await();
       s.ctx.ctx.done().recv();
       s.read();
     }},
    {"what_follows_the_start_of_a_timer_is_not_before_it_fires",
     [](shared& s) {
       const auto t = skein::after_func(1us, [&] { s.read_when_told(), s.two.close(), stay(); });
       s.write_and_say_so();
       s.two.recv();
     }},
    {"sleep_orders_nothing",
     [](shared& s) {
       go([&] { s.write_and_say_so(), stay(); });
       skein::sleep_for(1us);
       s.read_when_told();
     }},
};

struct memory_model : ::testing::TestWithParam<program> {};
INSTANTIATE_TEST_SUITE_P(ordered, memory_model, ::testing::ValuesIn(ordered),
                         everywhere::name_of<shared>);
// covers: C7 Y12
TEST_P(memory_model, has_this_edge) { everywhere::expect_order(GetParam()); }

struct race : ::testing::TestWithParam<program> {};
INSTANTIATE_TEST_SUITE_P(unordered, race, ::testing::ValuesIn(unordered),
                         everywhere::name_of<shared>);
// covers: C7 Y12
TEST_P(race, is_seen) { everywhere::expect_race(GetParam()); }

}  // namespace
