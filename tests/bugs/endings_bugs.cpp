// The end of channels: who closes, who is still sending, and who is left when the other side has gone.
#include <chrono>
#include <mutex>
#include <string>

#include "bugs/corpus.hpp"
#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"

namespace {

using namespace corpus;
using namespace std::chrono_literals;
using skein::chan;
using skein::unit;

// Asks for an answer that may take longer than one is willing to wait.
void ask(const chan<int>& answer) {
  skein::go([answer] { skein::sleep_for(1ms), answer.send(42); });
  static_cast<void>(answer.recv_for(1ms));
}

void fail_twice(const chan<std::string>& errors) {
  for (const char* what : {"no disk", "no network"})
    skein::go([errors, what] { errors.send(what); });
  static_cast<void>(errors.recv());  // the first is enough
}

// A stage of a pipeline that ends when its source does.
chan<int> squares(chan<int> in) {
  const chan<int> out;
  skein::go([in, out] {
    for (const int n : in) out.send(n * n);
    out.close();
  });
  return out;
}
chan<int> squares(chan<int> in, chan<unit> quit) {
  const chan<int> out;
  skein::go([in, out, quit] {
    for (const int n : in)
      if (skein::select(send(out, n * n), recv(quit)) == 1) break;
    out.close();
  });
  return out;
}

chan<int> numbers() {
  const chan<int> c(3);
  for (int n = 1; n <= 3; ++n) c.send(n);
  c.close();
  return c;
}

constexpr bug table[] = {
    {"sender_left_after_time_out", "The asker gives up, and the answer has nowhere to go.", leak,
     [] { ask(chan<int>()); }, [] { ask(chan<int>(1)); }, 3},
    {"error_channel_without_room", "Two report an error, one error is read.", leak,
     [] { fail_twice(chan<std::string>()); }, [] { fail_twice(chan<std::string>(2)); }, 3},
    {"leak_on_early_return",
     "The function returns at the first error and leaves the other worker sending.", leak,
     [] {
       const chan<bool> ok;
       for (const bool b : {false, true}) skein::go([ok, b] { ok.send(b); });
       for (int i = 0; i < 2; ++i)
         if (ok.recv() == false) return;
     },
     [] {
       const chan<bool> ok;
       for (const bool b : {false, true}) skein::go([ok, b] { ok.send(b); });
       bool good = true;
       for (int i = 0; i < 2; ++i) good = ok.recv() == true && good;
     },
     3},
    {"stage_outlives_its_consumer",
     "The consumer has seen enough; the stage before it still sends.", leak,
     [] {
       for (const int n : squares(numbers()))
         if (n > 1) break;
     },
     [] {
       const chan<unit> quit;
       for (const int n : squares(numbers(), quit))
         if (n > 1) break;
       quit.close();
     },
     3},
    {"close_forgotten", "The consumer ranges over a channel that nobody closes.", deadlock,
     [] {
       const chan<int> c;
       together([c] { c.send(1), c.send(2); },
                [c] {
                  for ([[maybe_unused]] const int n : c) {
                  }
                });
     },
     [] {
       const chan<int> c;
       together([c] { c.send(1), c.send(2), c.close(); },
                [c] {
                  for ([[maybe_unused]] const int n : c) {
                  }
                });
     },
     3},
    {"double_close", "Whoever finishes the work closes, and two think they did.", "close",
     [] {
       const chan<unit> done;
       skein::mutex m;
       int left = 2;
       const auto work = [&] {
         {
           const std::lock_guard hold(m);
           --left;
         }
         bool last = false;
         {
           const std::lock_guard hold(m);
           last = left == 0;
         }
         if (last) done.close();
       };
       together(work, work);
     },
     [] {
       const chan<unit> done;
       skein::mutex m;
       int left = 2;
       const auto work = [&] {
         bool last = false;
         {
           const std::lock_guard hold(m);
           last = --left == 0;
         }
         if (last) done.close();
       };
       together(work, work);
     },
     3},
    {"send_on_closed", "The receiver closes to say that it has enough.", "send on closed channel",
     [] {
       const chan<int> c(1);
       together([c] { c.send(1), c.send(2); }, [c] { c.recv(), c.close(); });
     },
     [] {
       const chan<int> c(1);
       const chan<unit> enough;
       together(
           [=] {
             for (int n = 1; n <= 2; ++n)
               if (skein::select(send(c, n), recv(enough)) == 1) return;
           },
           [=] { c.recv(), enough.close(); });
     },
     3},
    {"pool_closed_while_jobs_are_sent",
     "Submitting looks whether the pool is closed, and then sends.", "send on closed channel",
     [] {
       const chan<int> jobs(4);
       skein::mutex m;
       bool open = true;
       const auto submit = [&](int n) {
         {
           const std::lock_guard hold(m);
           if (!open) return;
         }
         jobs.send(n);
       };
       together([&] { submit(1), submit(2); },
                [&] {
                  {
                    const std::lock_guard hold(m);
                    open = false;
                  }
                  jobs.close();
                });
     },
     [] {
       const chan<int> jobs(4);
       skein::mutex m;
       bool open = true;
       const auto submit = [&](int n) {
         const std::lock_guard hold(m);
         if (open) jobs.send(n);
       };
       together([&] { submit(1), submit(2); },
                [&] {
                  const std::lock_guard hold(m);
                  open = false;
                  jobs.close();
                });
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
