// Channels: nothing lost, nothing twice, in order, whatever ends first.
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "schedules/scenarios.hpp"
#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/time.hpp"

namespace schedules {
namespace {

using skein::chan;

// got(c) is 1 if there was a value before c was closed, 0 otherwise.
int got(const chan<int>& c) { return c.recv() ? 1 : 0; }

// sent(c) is whether a send ended well before c was closed.
bool sent(const chan<int>& c, int n) {
  try {
    c.send(n);
    return true;
  } catch (const skein::closed_channel&) {
    return false;
  }
}

constexpr scenario table[] = {
    {"chan_unbuffered_keeps_order",
     [] {
       const chan<int> c;
       int last[2] = {-1, -1}, sum = 0;
       const auto produce = [=](int who) {
         return [=] {
           for (int i = 0; i < 3; ++i) c.send(who * 10 + i);
         };
       };
       together(produce(0), produce(1), [&] {
         for (int i = 0; i < 6; ++i) {
           const int n = *c.recv();
           require(n % 10 == last[n / 10] + 1, "out of order");
           last[n / 10] = n % 10;
           sum += n;
         }
       });
       require(sum == 36, "another sum");
     }},
    {"chan_buffered_keeps_order",
     [] {
       const chan<int> c(2);
       int next = 0;
       together(
           [=] {
             for (int i = 0; i < 5; ++i) c.send(i);
             c.close();
           },
           [&, c] {
             for (const int n : c) require(n == next++, "out of order");
           });
       require(next == 5, "not all");
     }},
    {"chan_two_consumers_share",
     [] {
       const chan<int> c(1);
       std::atomic<int> sum = 0;
       const auto consume = [&, c] {
         for (const int n : c) sum += n;
       };
       together(consume, consume, [=] {
         for (int i = 1; i <= 4; ++i) c.send(i);
         c.close();
       });
       require(sum == 10, "another sum");
     }},
    {"chan_close_wakes_receivers",
     [] {
       const chan<int> c;
       std::atomic<int> values = 0;
       const auto receive = [&, c] { values += got(c); };
       together(receive, receive, receive, [=] { c.send(1), c.close(); });
       require(values == 1, "one value was sent");
     }},
    {"chan_close_fails_senders",
     [] {
       const chan<int> c;
       std::atomic<int> sends = 0, receives = 0;
       const auto send = [&, c] { sends += sent(c, 1); };
       together(send, send, send, [&, c] { receives += got(c), c.close(); });
       require(sends == 1 && receives == 1, "one value was received");
     }},
    {"chan_close_keeps_the_buffer",
     [] {
       const chan<int> c(2);
       std::atomic<int> sends = 0, receives = 0;
       const auto send = [&, c] { sends += sent(c, 1); };
       together(send, send, send, [=] { c.close(); });
       for ([[maybe_unused]] const int n : c) ++receives;
       require(sends == receives, "sent and received differ");
     }},
    {"chan_try_forms_conserve",
     [] {
       const chan<int> c(1);
       std::atomic<int> sends = 0, receives = 0;
       const auto send = [&, c] {
         for (int i = 0; i < 2; ++i) sends += c.try_send(i);
       };
       const auto receive = [&, c] {
         for (int i = 0; i < 2; ++i) receives += c.try_recv().has_value();
       };
       together(send, send, receive, receive);
       require(sends == receives + static_cast<int>(c.size()), "sent and received differ");
     }},
    {"chan_try_send_meets_a_receiver",
     [] {
       const chan<int> c;
       std::atomic<int> sends = 0, receives = 0;
       together([&, c] { receives += c.recv_for(2ms).has_value(); },
                [&, c] {
                  skein::sleep_for(1ms), sends += c.try_send(1), skein::sleep_for(1ms),
                      sends += c.try_send(2);
                });
       require(receives == 1 && sends == 1, "a receiver was waiting");
     }},
    {"chan_timed_send_against_timed_recv",
     [] {
       const chan<std::unique_ptr<int>> c;
       std::atomic<bool> received = false;
       together(
           [&, c] {
             auto p = std::make_unique<int>(1);
             const bool ok = c.send_for(std::move(p), 1ms);
             require(ok == (p == nullptr), "moved from, or not, against what it says");
             if (ok) received = !received;
           },
           [&, c] {
             skein::sleep_for(500us);
             if (c.recv_for(500us)) received = !received;
           });
       require(!received, "one side alone has done it");
     }},
    {"chan_time_out_against_close",
     [] {
       const chan<int> c, d;
       together([=] { skein::sleep_for(1ms), c.close(), d.close(); },
                [=] {
                  const auto r = c.recv_for(1ms);
                  require(r.closed() || r.status() == skein::status::timeout,
                          "neither closed nor late");
                },
                [=] {
                  try {
                    require(!d.send_for(1, 1ms), "nobody receives");
                  } catch (const skein::closed_channel&) {
                  }
                });
     }},
    {"chan_send_against_cancel",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<int> c;
       std::atomic<int> sends = 0, receives = 0;
       together([&, c] { sends += c.send(ctx, 1); }, [&] { cancel(); },
                [&, c] { receives += c.recv_for(1ms).has_value(); });
       require(sends == receives, "one side alone has done it");
     }},
    {"chan_cancelled_receiver_takes_nothing",
     [] {
       auto [ctx, cancel] = skein::with_cancel(skein::background());
       const chan<int> c;
       std::atomic<int> values = 0;
       together([&, c] { values += c.recv(ctx).has_value(); }, [&] { cancel(); },
                [&, c] { values += c.recv_for(1ms).has_value(); },
                [&, c] { values -= c.send_for(1, 1ms); });
       require(values == 0, "sent and received differ");
     }},
    {"chan_ping_pong",
     [] {
       const chan<int> there, back;
       together(
           [=] {
             for (const int n : there) back.send(n + 1);
             back.close();
           },
           [=] {
             int n = 0;
             while (n < 4) there.send(n), n = *back.recv();
             there.close();
             require(!back.recv(), "a value from nowhere");
           });
     }},
    {"chan_of_channels",
     [] {
       const chan<chan<int>> requests(1);
       const auto ask = [=](int n) {
         return [=] {
           const chan<int> answer;
           requests.send(answer), require(answer.recv() == 1, std::to_string(n));
         };
       };
       together(ask(1), ask(2), [=] {
         for (int i = 0; i < 2; ++i) requests.recv()->send(1);
       });
     }},
};

}  // namespace

std::span<const scenario> channels() { return table; }

}  // namespace schedules
