// Channels: what is sent to whom, and who waits for whom.
#include <atomic>
#include <mutex>
#include <optional>

#include "bugs/corpus.hpp"
#include "skein/chan.hpp"
#include "skein/mutex.hpp"
#include "skein/select.hpp"
#include "skein/test/var.hpp"

namespace {

using namespace corpus;
using skein::chan;
using skein::unit;

constexpr bug table[] = {
    {"receive_from_nil", "A channel is waited for that is made only in one of the cases.", deadlock,
     [] {
       skein::mutex m;
       chan<int> results = skein::nil;
       const auto open = [&] {
         const std::lock_guard hold(m);
         results = chan<int>(1), results.send(1);
       };
       const auto wait = [&] {
         chan<int> seen = skein::nil;
         {
           const std::lock_guard hold(m);
           seen = results;
         }
         seen.recv();
       };
       together(open, wait);
     },
     [] {
       const chan<int> results(1);
       together([=] { results.send(1); }, [=] { results.recv(); });
     },
     3},
    {"send_under_a_lock", "The sender holds the lock that the receiver needs before it receives.",
     deadlock,
     [] {
       skein::mutex m;
       const chan<int> c;
       together(
           [&] {
             const std::lock_guard hold(m);
             c.send(1);
           },
           [&] {
             {
               const std::lock_guard hold(m);
             }
             c.recv();
           });
     },
     [] {
       skein::mutex m;
       const chan<int> c;
       together(
           [&] {
             {
               const std::lock_guard hold(m);
             }
             c.send(1);
           },
           [&] {
             {
               const std::lock_guard hold(m);
             }
             c.recv();
           });
     },
     3},
    {"crossed_requests", "Each sends to the other before it receives.", deadlock,
     [] {
       const chan<int> a, b;
       together([=] { a.send(1), b.recv(); }, [=] { b.send(1), a.recv(); });
     },
     [] {
       const chan<int> a, b;
       together([=] { a.send(1), b.recv(); }, [=] { a.recv(), b.send(1); });
     },
     3},
    {"worker_feeds_its_own_queue",
     "The only worker puts follow-up jobs into the full queue that it drains.", deadlock,
     [] {
       const chan<int> jobs(1);
       together([=] { jobs.send(1), jobs.send(1); },
                [=] {
                  for (int left = 4; left > 0; --left)
                    if (jobs.recv() == 1) jobs.send(0);
                });
     },
     [] {
       const chan<int> jobs(1);
       together([=] { jobs.send(1), jobs.send(1); },
                [=] {
                  int own = 0;
                  for (int left = 4; left > 0; --left)
                    if (own > 0)
                      --own;
                    else if (jobs.recv() == 1)
                      ++own;
                });
     },
     3},
    {"one_reply_channel_for_two", "Two ask through one reply channel and get each other's answers.",
     "somebody else's answer",
     [] {
       const chan<int> requests, replies;
       std::atomic<bool> mine = true;
       const auto client = [&, replies](int n) {
         requests.send(n);
         if (replies.recv() != n) mine = false;
       };
       const auto server = [=] {
         if (const auto n = requests.recv()) replies.send(*n);
       };
       together([&] { client(1); }, [&] { client(2); }, server, server);
       require(mine, "somebody else's answer");
     },
     [] {
       struct request {
         int n;
         chan<int> reply;
       };
       const chan<request> requests;
       std::atomic<bool> mine = true;
       const auto client = [&](int n) {
         const chan<int> reply;
         requests.send({n, reply});
         if (reply.recv() != n) mine = false;
       };
       const auto server = [=] {
         if (const auto r = requests.recv()) r->reply.send(r->n);
       };
       together([&] { client(1); }, [&] { client(2); }, server, server);
       require(mine, "somebody else's answer");
     }},
    {"buffer_taken_for_a_meeting", "A send into a buffer does not wait for the receiver's work.",
     race,
     [] {
       skein::test::var<int> result;
       const chan<unit> done(1);
       together([&] { result = 1, done.recv(); },
                [&] { done.send({}), static_cast<void>(result.load()); });
     },
     [] {
       skein::test::var<int> result;
       const chan<unit> done;
       together([&] { result = 1, done.recv(); },
                [&] { done.send({}), static_cast<void>(result.load()); });
     },
     3},
    {"one_stop_for_two", "One value is sent to stop two workers, where closing would tell both.",
     deadlock,
     [] {
       const chan<unit> stop;
       together([=] { stop.recv(); }, [=] { stop.recv(); }, [=] { stop.send({}); });
     },
     [] {
       const chan<unit> stop;
       together([=] { stop.recv(); }, [=] { stop.recv(); }, [=] { stop.close(); });
     }},
    {"size_asked_before_receive", "There was an item when asked; another has received it.",
     deadlock,
     [] {
       const chan<int> c(2);
       c.send(1);
       const auto take = [=] {
         if (c.size() > 0) c.recv();
       };
       together(take, take);
     },
     [] {
       const chan<int> c(2);
       c.send(1);
       const auto take = [=] { static_cast<void>(c.try_recv()); };
       together(take, take);
     },
     3},
    {"token_not_returned", "A channel counts permits, and the path that fails keeps one.", deadlock,
     [] {
       const chan<unit> permits(1);
       const auto work = [=](bool fails) {
         permits.send({});
         if (fails) return;
         permits.recv();
       };
       together([=] { work(true); }, [=] { work(false); });
     },
     [] {
       const chan<unit> permits(1);
       const auto work = [=](bool) {
         permits.send({});
         permits.recv();
       };
       together([=] { work(true); }, [=] { work(false); });
     },
     3},
    {"last_result_left_in_the_buffer",
     "The collector stops when the workers say they are done, not when all is read.", "lost",
     [] {
       const chan<int> results(2);
       const chan<unit> done(1);
       int sum = 0;
       together([=] { results.send(1), results.send(2), done.send({}); },
                [&] {
                  std::optional<int> n;
                  while (skein::select(recv(results, n), recv(done)) == 0) sum += *n;
                });
       require(sum == 3, "lost");
     },
     [] {
       const chan<int> results(2);
       int sum = 0;
       together([=] { results.send(1), results.send(2), results.close(); },
                [&] {
                  for (const int n : results) sum += n;
                });
       require(sum == 3, "lost");
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
