// Select: one case fires, the others have no effect.
#include <atomic>
#include <optional>
#include <vector>

#include "schedules/scenarios.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/go.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

using skein::chan;
using skein::select;
using skein::unit;

constexpr scenario table[] = {
    {"select_takes_one_of_two",
     [] {
       const chan<int> a(1), b(1);
       int taken = -1;
       together([=] { a.send(0); }, [=] { b.send(1); }, [&] { taken = select(recv(a), recv(b)); });
       require(a.size() == (taken != 0) && b.size() == (taken != 1), "another case had an effect");
     }},
    {"select_sends_one_of_two",
     [] {
       const chan<int> a, b;
       int sent = -1;
       std::atomic<int> got = 0;
       together([&] { sent = select(send(a, 1), send(b, 2)); },
                [&] { got += a.recv_for(1ms) ? 1 : 0; }, [&] { got += b.recv_for(1ms) ? 2 : 0; });
       require(got == sent + 1, "another case had an effect");
     }},
    {"select_meets_select",
     [] {
       const chan<int> a, b;
       int sent = 0, got = 0;
       together([&] { sent = select(send(a, 1), send(b, 2)) + 1; },
                [&] {
                  std::optional<int> n;
                  select(recv(b, n), recv(a, n));
                  got = *n;
                });
       require(sent == got, "they met in different cases");
     }},
    {"select_crossed",
     [] {
       const chan<int> a, b;
       int first = -1, second = -1;
       together([&] { first = select(send(a, 1), recv(b)); },
                [&] { second = select(send(b, 1), recv(a)); });
       require(first + second == 1, "they met in different cases");
     }},
    {"select_both_ways_on_one_channel",
     [] {
       const chan<int> c;
       std::atomic<int> sent = 0;
       const auto meet = [&] {
         if (select(send(c, 1), recv(c)) == 0) ++sent;
       };
       together(meet, meet, meet, meet);
       require(sent == 2, "a send for each receive");
     }},
    {"select_ring_of_three",
     [] {
       const chan<int> c[3];
       std::atomic<int> sent = 0, received = 0;
       const auto pass = [&](int me) {
         return [&, me] {
           bool out = false, in = false;
           while (!out || !in) {
             const chan<int> to = out ? chan<int>(skein::nil) : c[me],
                             from = in ? chan<int>(skein::nil) : c[(me + 2) % 3];
             if (select(send(to, me), recv(from)) == 0)
               out = true, ++sent;
             else
               in = true, ++received;
           }
         };
       };
       together(pass(0), pass(1), pass(2));
       require(sent == 3 && received == 3, "once round");
     }},
    {"select_one_channel_twice",
     [] {
       const chan<int> c(2);
       int values = 0;
       together([=] { c.send(1), c.send(2); },
                [&] {
                  const auto count = [&](std::optional<int> n) { values += *n; };
                  for (int i = 0; i < 2; ++i) select(recv(c, count), recv(c, count));
                });
       require(values == 3, "another sum");
     }},
    {"select_against_time",
     [] {
       const chan<int> c;
       int taken = 0, sent = 0;
       together([&] { taken = select(recv(c), recv(skein::after(1ms))); },
                [&] { skein::sleep_for(1ms), sent = c.send_for(1, 1ms); });
       require((taken == 0) == (sent == 1), "one side alone has done it");
     }},
    {"select_against_cancel",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<int> c;
       int taken = 0, sent = 0;
       together([&] { taken = select(recv(c), recv(ctx.done())); }, [&] { cancel(); },
                [&] { sent = c.send_for(1, 1ms); });
       require((taken == 0) == (sent == 1), "one side alone has done it");
     }},
    {"select_against_close",
     [] {
       const chan<int> a, b;
       together([=] { a.close(); }, [=] { b.close(); },
                [=] {
                  try {
                    select(recv(a), send(b, 1));
                  } catch (const skein::closed_channel&) {
                  }
                });
     }},
    {"select_closed_sender_throws_once",
     [] {
       const chan<int> c;
       std::atomic<int> thrown = 0, received = 0;
       const auto send_one = [&] {
         try {
           select(send(c, 1));
         } catch (const skein::closed_channel&) {
           ++thrown;
         }
       };
       together(send_one, send_one, [&] { received += c.recv().has_value(), c.close(); });
       require(thrown == 1 && received == 1, "each send ends once");
     }},
    {"select_with_a_default",
     [] {
       const chan<int> c;
       std::atomic<int> sent = 0, received = 0;
       const auto try_both = [&] {
         for (int i = 0; i < 3; ++i) {
           const int done = skein::try_select(send(c, 1), recv(c));
           sent += done == 0, received += done == 1;
           skein::yield();
         }
       };
       together(try_both, try_both, [&] { received += c.recv_for(1ms).has_value(); });
       require(sent == received, "one side alone has done it");
     }},
    {"select_from_a_list",
     [] {
       const std::vector<chan<int>> inputs(3);
       int sum = 0;
       const auto feed = [&](std::size_t i) { return [&inputs, i] { inputs[i].send(1 << i); }; };
       together(feed(0), feed(1), feed(2), [&] {
         std::vector<skein::any_case> cases;
         for (const auto& c : inputs)
           cases.emplace_back(recv(c, [&](std::optional<int> n) { sum += *n; }));
         for (int i = 0; i < 3; ++i) select(std::span(cases));
       });
       require(sum == 7, "another sum");
     }},
    {"select_merges_until_closed",
     [] {
       const chan<int> a, b;
       int sum = 0;
       together([=] { a.send(1), a.close(); }, [=] { b.send(2), b.send(4), b.close(); },
                [&, x = a, y = b]() mutable {
                  while (!x.is_nil() || !y.is_nil()) {
                    std::optional<int> n;
                    const int i = select(recv(x, n), recv(y, n));
                    if (n)
                      sum += *n;
                    else
                      (i == 0 ? x : y) = skein::nil;
                  }
                });
       require(sum == 7, "another sum");
     }},
};

}  // namespace

std::span<const scenario> selects() { return table; }

}  // namespace schedules
