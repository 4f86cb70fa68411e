// Go's channel semantics: the memory model's promises about channels, and the idioms built on them.
// The data that travels beside a channel is plain on purpose: the race detector judges.
#include "skein/chan.hpp"

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct go_chan : everywhere::on_procs {};
SKEIN_EVERYWHERE(go_chan);

// covers: C7
TEST_P(go_chan, a_send_happens_before_its_receive) {
  for (const std::size_t capacity : {0u, 1u, 4u}) {
    repeat([&] {
      const skein::chan<int> c(capacity);
      std::string data;
      auto sender = skein::spawn([&] {
        data = "hello, world";
        c.send(0);
      });
      c.recv();
      EXPECT_EQ(data, "hello, world");
      sender.join();
    });
  }
}

// covers: C7
TEST_P(go_chan, a_send_happens_before_its_receive_whichever_waits) {
  repeat([&] {
    const skein::chan<int*> c;
    int first = 0;
    int second = 0;
    skein::wait_group wg;
    until_parked(1, [&] { wg.go([&] { EXPECT_EQ(*c.recv().value(), 1); }); });
    first = 1;
    c.send(&first);
    wg.wait();
    until_parked(1, [&] {
      wg.go([&] {
        second = 2;
        c.send(&second);
      });
    });
    EXPECT_EQ(*c.recv().value(), 2);
    wg.wait();
  }, 100);
}

// covers: C7
TEST_P(go_chan, a_close_happens_before_a_receive_that_sees_it) {
  repeat([] {
    const skein::chan<int> c;
    std::string data;
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i)
      wg.go([&, i] {
        if (i == 0) {
          EXPECT_EQ(c.recv(), std::nullopt);
        } else if (i == 1) {
          skein::select(recv(c), recv(skein::chan<int>(skein::nil)));
        } else {
          while (!c.try_recv().closed()) skein::yield();
        }
        EXPECT_EQ(data, "written before the close");
      });
    data = "written before the close";
    c.close();
    wg.wait();
  });
}

// covers: C7
TEST_P(go_chan, an_unbuffered_receive_happens_before_its_send_is_over) {
  repeat([] {
    const skein::chan<int> c;
    std::string data;
    auto receiver = skein::spawn([&] {
      data = "hello, world";
      c.recv();
    });
    c.send(0);
    EXPECT_EQ(data, "hello, world");
    receiver.join();
  });
}

// covers: C7
TEST_P(go_chan, the_kth_receive_happens_before_send_k_plus_capacity_is_over) {
  for (const std::size_t capacity : {1u, 3u}) {
    const int count = static_cast<int>(rounds(5000, 6));
    run([&] {
      // The k-th slot is written again only when the (k - C)-th receive is over.
      const skein::chan<int> c(capacity);
      std::vector<int> read(static_cast<std::size_t>(count));
      auto receiver = skein::spawn([&] {
        for (int i = 0; i < count; ++i) {
          read[static_cast<std::size_t>(i)] = i + 1;
          EXPECT_EQ(c.recv(), i);
        }
      });
      const int ahead = static_cast<int>(capacity);
      for (int i = 0; i < count; ++i) {
        c.send(i);
        if (i < ahead) continue;
        EXPECT_EQ(read[static_cast<std::size_t>(i - ahead)], i - ahead + 1);
      }
      receiver.join();
    });
  }
}

// covers: C7
TEST_P(go_chan, a_buffered_channel_is_a_lock) {
  const int count = static_cast<int>(rounds(2000, 3));
  run([&] {
    const skein::chan<skein::unit> lock(1);
    int counter = 0;
    skein::wait_group wg;
    for (int g = 0; g < 4; ++g)
      wg.go([&] {
        for (int i = 0; i < count; ++i) {
          lock.send({});
          ++counter;
          lock.recv();
        }
      });
    wg.wait();
    EXPECT_EQ(counter, 4 * count);
  });
}

// covers: C7
TEST_P(go_chan, a_buffered_channel_limits_how_many_work_at_once) {
  repeat([] {
    const skein::chan<skein::unit> limit(3);
    std::atomic<int> inside = 0;
    skein::wait_group wg;
    for (int i = 0; i < 10; ++i)
      wg.go([&] {
        limit.send({});
        EXPECT_LE(++inside, 3);
        skein::yield();
        --inside;
        limit.recv();
      });
    wg.wait();
  }, 100);
}

// covers: C7
TEST_P(go_chan, a_select_orders_like_a_plain_operation) {
  repeat([] {
    const skein::chan<int*> c;
    const skein::chan<int*> buffered(1);
    const skein::chan<int*> never;
    int a = 0;
    int b = 0;
    auto other = skein::spawn([&] {
      a = 1;
      skein::select(send(c, &a), recv(never));
      b = 2;
      while (skein::try_select(send(buffered, &b)) != 0) skein::yield();
    });
    std::optional<int*> p;
    EXPECT_EQ(skein::select(recv(never), recv(c, p)), 1);
    EXPECT_EQ(**p, 1);
    while (skein::try_select(recv(never), recv(buffered, p)) == -1) skein::yield();
    EXPECT_EQ(**p, 2);
    other.join();
  });
}

// covers: C7
TEST_P(go_chan, ownership_travels_with_the_value) {
  const int count = static_cast<int>(rounds(3000, 5));
  run([&] {
    struct parcel {
      int visits = 0;
      std::string log;
    };
    const skein::chan<parcel*> ring[3] = {skein::chan<parcel*>(), skein::chan<parcel*>(1), skein::chan<parcel*>(2)};
    parcel p;
    skein::wait_group wg;
    for (int i = 0; i < 3; ++i)
      wg.go([&, i] {
        for (parcel* mine : ring[i]) {
          ++mine->visits;
          mine->log += static_cast<char>('0' + i);
          if (mine->visits == 3 * count)
            for (const auto& c : ring) c.close();
          else
            ring[(i + 1) % 3].send(mine);
        }
      });
    ring[0].send(&p);
    wg.wait();
    EXPECT_EQ(p.visits, 3 * count);
    EXPECT_EQ(p.log.substr(0, 6), "012012");
  });
}

// covers: C6 C7
TEST_P(go_chan, a_sieve_finds_the_primes) {
  run([] {
    skein::wait_group wg;
    std::vector<skein::chan<int>> stages{skein::chan<int>()};
    const skein::chan<skein::unit> quit;
    wg.go([&quit, out = stages[0]] {
      for (int i = 2; skein::select(send(out, i), recv(quit)) == 0; ++i) {
      }
    });
    std::vector<int> primes;
    while (primes.size() < 12) {
      const skein::chan<int> in = stages.back();
      primes.push_back(in.recv().value());
      const skein::chan<int> out = stages.emplace_back();
      wg.go([&quit, in, out, prime = primes.back()] {
        for (;;) {
          std::optional<int> v;
          if (skein::select(recv(in, v), recv(quit)) == 1) return;
          if (*v % prime != 0 && skein::select(send(out, *v), recv(quit)) == 1) return;
        }
      });
    }
    quit.close();
    wg.wait();
    EXPECT_EQ(primes, (std::vector<int>{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37}));
  });
}

// covers: C3 C6
TEST_P(go_chan, many_consumers_take_each_value_once) {
  const int count = static_cast<int>(rounds(5000, 8));
  run([&] {
    const skein::chan<int> in(3);
    const skein::chan<int> out(3);
    skein::wait_group workers;
    for (int w = 0; w < 8; ++w)
      workers.go([&] {
        for (const int v : in) {
          if (v % 3 == 0) skein::yield();
          out.send(2 * v);
        }
      });
    auto feeder = skein::spawn([&] {
      for (int i = 0; i < count; ++i) in.send(i);
      in.close();
      workers.wait();
      out.close();
    });
    std::vector<int> seen(static_cast<std::size_t>(count));
    for (const int v : out) ++seen[static_cast<std::size_t>(v / 2)];
    feeder.join();
    for (const int n : seen) EXPECT_EQ(n, 1);
  });
}

}  // namespace
