// Contexts: an end reaches all below it, once, for the first reason.
#include <exception>
#include <memory>
#include <stdexcept>
#include <stop_token>

#include "schedules/scenarios.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/stop_token.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

using skein::background;
using skein::chan;
using skein::unit;
using skein::with_cancel;
using skein::with_timeout;

struct token {
  using type = int;
};

constexpr scenario table[] = {
    {"context_cancel_reaches_children",
     [] {
       auto [root, cancel] = with_cancel(background());
       auto [child, c1] = with_cancel(root);
       auto [grandchild, c2] = with_timeout(child, 1h);
       together(
           [&, g = grandchild] {
             g.done().recv(), require(g.err() == skein::errc::canceled, "another error");
           },
           [&, c = child] { c.done().recv(); }, [&] { cancel(); });
     }},
    {"context_made_while_the_parent_ends",
     [] {
       auto [root, cancel] = with_cancel(background());
       together([&] { cancel(); },
                [&, r = root] {
                  auto [child, c] = with_cancel(r);
                  child.done().recv();
                },
                [&, r = root] {
                  auto [child, c] = with_timeout(r, 1h);
                  child.done().recv();
                });
     }},
    {"context_deadline_against_cancel",
     [] {
       auto [ctx, cancel] = with_timeout(background(), 1ms);
       together([&] { skein::sleep_for(1ms), cancel(); },
                [&] {
                  ctx.done().recv();
                  const auto first = ctx.err();
                  require(first == skein::errc::canceled || first == skein::errc::deadline_exceeded,
                          "no error");
                  skein::sleep_for(1ms);
                  require(ctx.err() == first, "another error later");
                });
     }},
    {"context_first_cause_counts",
     [] {
       auto [ctx, cancel] = with_cancel(background());
       const auto end = [&](const char* why) {
         return [&, why] { cancel(std::make_exception_ptr(std::runtime_error(why))); };
       };
       const auto cause = [ctx]() -> std::string {
         try {
           std::rethrow_exception(ctx.cause());
         } catch (const std::runtime_error& e) {
           return e.what();
         }
       };
       together(end("one"), end("two"), [&] {
         ctx.done().recv();
         const auto first = cause();
         skein::sleep_for(1ms);
         require(cause() == first, "another cause later");
       });
     }},
    {"context_cancel_is_seen_with_what_came_before",
     [] {
       skein::test::var<int> n;
       auto [ctx, cancel] = with_cancel(background());
       together([&] { n = 1, cancel(); }, [&] { ctx.done().recv(), require(n == 1, "too early"); });
     }},
    {"context_callback_stopped_or_run",
     [] {
       auto [ctx, cancel] = with_cancel(background());
       const chan<unit> ran(1);
       const auto stop = skein::after_func(ctx, [ran] { ran.send({}); });
       bool stopped = false;
       together([&] { cancel(); }, [&] { stopped = stop(); });
       require(ran.recv_for(1ms).has_value() != stopped, "both or neither");
     }},
    {"context_values_and_detached_ends",
     [] {
       auto [root, cancel] = with_cancel(background());
       const auto with = skein::with_value<token>(root, 7);
       const auto detached = skein::without_cancel(with);
       together([&] { cancel(); },
                [&] {
                  with.done().recv(),
                      require(!detached.err() && *detached.value<token>() == 7, "ended or lost");
                });
     }},
    {"context_last_handle_goes_while_it_ends",
     [] {
       auto made = std::make_shared<skein::cancelable>(with_timeout(background(), 1ms));
       together([made] { skein::sleep_for(1ms); }, [made] { made->ctx.done().recv(); },
                [made] { made->cancel(); });
     }},
    {"context_of_a_stop_token",
     [] {
       std::stop_source source;
       auto [ctx, cancel] = skein::with_stop_token(background(), source.get_token());
       together([&] { source.request_stop(); }, [&] { ctx.done().recv(); },
                [&] { skein::yield(), cancel(); });
     }},
    {"stop_token_of_a_context",
     [] {
       auto [ctx, cancel] = with_cancel(background());
       const std::stop_token t = skein::stop_token_of(ctx);
       const chan<unit> stopped(1);
       const std::stop_callback tell(t, [stopped] { stopped.try_send({}); });
       together([&] { cancel(); },
                [&] { stopped.recv(), require(t.stop_requested(), "too early"); });
     }},
};

}  // namespace

std::span<const scenario> contexts() { return table; }

}  // namespace schedules
