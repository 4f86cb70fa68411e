// Contexts: not cancelled, cancelled too early, not passed on, not listened to.
#include <chrono>
#include <memory>
#include <mutex>

#include "bugs/corpus.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"

namespace {

using namespace corpus;
using namespace std::chrono_literals;
using skein::chan;
using skein::context;
using skein::unit;
using skein::test::var;

void serve_until(const context& ctx) {
  skein::go([ctx] { ctx.done().recv(); });
}

constexpr bug table[] = {
    {"forgotten_cancel", "The guard of the context is released, and nobody cancels.", leak,
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       cancel.release();
       serve_until(ctx);
     },
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       serve_until(ctx);
     },
     3},
    {"cancelled_too_early",
     "The function that makes the context returns, and its guard cancels what goes on.", "canceled",
     [] {
       bool served = true;
       skein::wait_group wg;
       const auto start = [&] {
         auto [ctx, cancel] = skein::with_cancel(skein::background());
         wg.go([&served, ctx] { served = skein::sleep_for(ctx, 1ms); });
       };
       start();
       wg.wait();
       require(served, "canceled");
     },
     [] {
       bool served = true;
       skein::wait_group wg;
       const auto start = [&] {
         wg.go([&served] {
           auto [ctx, cancel] = skein::with_cancel(skein::background());
           served = skein::sleep_for(ctx, 1ms);
         });
       };
       start();
       wg.wait();
       require(served, "canceled");
     },
     3},
    {"child_of_the_wrong_parent",
     "The context of the request is made of the root, and does not end with its caller's.", leak,
     [] {
       auto [caller, cancel] = skein::with_cancel(skein::background());
       auto [request, end] = skein::with_cancel(skein::background());
       end.release();
       serve_until(request);
       cancel();
     },
     [] {
       auto [caller, cancel] = skein::with_cancel(skein::background());
       auto [request, end] = skein::with_cancel(caller);
       end.release();
       serve_until(request);
       cancel();
     },
     3},
    {"wait_without_the_context", "The worker has a context and waits without it.", leak,
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<int> jobs;
       skein::go([ctx, jobs] {
         while (!ctx.err() && jobs.recv()) {
         }
       });
       jobs.send(1);
     },
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<int> jobs;
       skein::go([ctx, jobs] {
         while (jobs.recv(ctx)) {
         }
       });
       jobs.send(1);
     },
     3},
    {"asked_before_it_ended",
     "The context was alive when asked, and ended before the send that has no way out.", leak,
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<int> out;
       skein::go([ctx, out] {
         if (!ctx.err()) out.send(1);
       });
       cancel();
       static_cast<void>(out.try_recv());
     },
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<int> out;
       skein::go([ctx, out] { static_cast<void>(out.send(ctx, 1)); });
       cancel();
       static_cast<void>(out.try_recv());
     },
     3},
    {"shared_context_variable", "A variable that others read is given a narrower context.", race,
     [] {
       var<context> ctx(skein::background());
       const auto work = [&](skein::duration d) {
         auto [own, cancel] = skein::with_timeout(ctx.load(), d);
         ctx = own;
         ctx.load().err();
       };
       together([&] { work(1ms); }, [&] { work(2ms); });
     },
     [] {
       const context ctx;
       const auto work = [&](skein::duration d) {
         auto [own, cancel] = skein::with_timeout(ctx, d);
         own.err();
       };
       together([&] { work(1ms); }, [&] { work(2ms); });
     },
     3},
    {"value_changed_after_it_was_passed_on",
     "A context carries a pointer to what its maker goes on changing.", race,
     [] {
       struct who {
         using type = std::shared_ptr<var<int>>;
       };
       const auto user = std::make_shared<var<int>>(1);
       const context ctx = skein::with_value<who>(skein::background(), user);
       auto t = skein::spawn([ctx] { static_cast<void>((*ctx.value<who>())->load()); });
       *user = 2;
       t.join();
     },
     [] {
       struct who {
         using type = int;
       };
       int user = 1;
       const context ctx = skein::with_value<who>(skein::background(), user);
       auto t = skein::spawn([ctx] { static_cast<void>(ctx.value<who>()); });
       user = 2;
       t.join();
     },
     3},
    {"callback_and_cleanup", "What runs when the context ends closes what the way out closes too.",
     "close",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<unit> link;
       skein::after_func(ctx, [link] { link.close(); });
       skein::go([end = std::make_shared<skein::cancel_guard>(std::move(cancel))] { (*end)(); });
       skein::sleep_for(1ms);
       link.close();
     },
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<unit> link;
       const auto stop = skein::after_func(ctx, [link] { link.close(); });
       skein::go([end = std::make_shared<skein::cancel_guard>(std::move(cancel))] { (*end)(); });
       skein::sleep_for(1ms);
       if (stop()) link.close();
     },
     3},
    {"cleanup_with_an_ended_context",
     "What has to be undone is undone with the context that has ended.", "not undone",
     [] {
       bool undone = false;
       const auto work = [&](const context& ctx) {
         if (!skein::sleep_for(ctx, 2ms)) undone = skein::sleep_for(ctx, 1ms);
       };
       auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
       work(ctx);
       require(undone, "not undone");
     },
     [] {
       bool undone = false;
       const auto work = [&](const context& ctx) {
         if (!skein::sleep_for(ctx, 2ms))
           undone = skein::sleep_for(skein::without_cancel(ctx), 1ms);
       };
       auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
       work(ctx);
       require(undone, "not undone");
     },
     3},
    {"result_dropped_with_the_context",
     "The work is done when the context ends, and counts as not done.", "paid and refused",
     [] {
       bool paid = false, refused = false;
       const chan<unit> receipt(1);
       auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
       together([&] { skein::sleep_for(1ms), paid = true, receipt.send({}); },
                [&, c = ctx] { refused = skein::select(recv(receipt), recv(c.done())) == 1; });
       require(!(paid && refused), "paid and refused");
     },
     [] {
       skein::mutex m;
       bool paid = false, refused = false;
       auto [ctx, cancel] = skein::with_timeout(skein::background(), 1ms);
       together(
           [&] {
             skein::sleep_for(1ms);
             const std::lock_guard hold(m);
             paid = !refused;
           },
           [&, c = ctx] {
             c.done().recv();
             const std::lock_guard hold(m);
             refused = !paid;
           });
       require(!(paid && refused), "paid and refused");
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
