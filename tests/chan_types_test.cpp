// Channels: every kind of element on every path, and how many objects that takes.
#include <any>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "skein/chan.hpp"
#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

using everywhere::overaligned;
using everywhere::overaligned_inline;
using everywhere::throwing;
using everywhere::tracked;
using everywhere::tracked_inline;

struct chan_types : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_types);

// A T goes through every path there is; v.value tells which one it is.
template <class T> void takes_every_path() {
  const auto until_parked = [](auto start) { everywhere::on_procs::until_parked(1, start); };
  const skein::chan<T> c;
  const skein::chan<T> buffered(2);
  skein::wait_group wg;

  // The receiver waits.
  until_parked([&] { wg.go([&] { EXPECT_EQ(c.recv()->value, 1); }); });
  c.send(T(1));
  wg.wait();
  // The sender waits.
  until_parked([&] { wg.go([&] { c.send(T(2)); }); });
  EXPECT_EQ(c.recv()->value, 2);
  wg.wait();
  // Through the buffer, and from a sender who waits for room in it.
  buffered.send(T(3));
  buffered.send(T(4));
  until_parked([&] { wg.go([&] { buffered.send(T(5)); }); });
  for (int i = 3; i <= 5; ++i) EXPECT_EQ(buffered.recv()->value, i);
  wg.wait();
  // A select waits as receiver, then as sender.
  until_parked([&] {
    wg.go([&] {
      std::optional<T> v;
      EXPECT_EQ(skein::select(recv(buffered), recv(c, v)), 1);
      EXPECT_EQ(v->value, 6);
    });
  });
  c.send(T(6));
  wg.wait();
  until_parked([&] {
    wg.go([&] {
      T v(7);
      EXPECT_EQ(skein::select(send(c, std::move(v)), recv(buffered)), 0);
    });
  });
  EXPECT_EQ(c.recv()->value, 7);
  wg.wait();
  // Without waiting.
  EXPECT_TRUE(buffered.try_send(T(8)));
  EXPECT_EQ(buffered.try_recv()->value, 8);
  EXPECT_TRUE(buffered.send_for(T(9), std::chrono::hours(1)));
  EXPECT_EQ(buffered.recv_for(std::chrono::hours(1))->value, 9);
  T ten(10);
  EXPECT_EQ(skein::try_select(send(buffered, std::move(ten)), recv(c)), 0);
  skein::try_select(recv(c), recv(buffered, [](std::optional<T> v) { EXPECT_EQ(v->value, 10); }));
  // As a range; the last one stays behind.
  buffered.send(T(11));
  buffered.send(T(12));
  buffered.close();
  for (T& v : buffered) {
    EXPECT_EQ(v.value, 11);
    break;
  }
}

// covers: C5
TEST_P(chan_types, any_movable_type_takes_every_path) {
  overaligned::misplaced = 0;
  repeat([] {
    takes_every_path<everywhere::move_only>();
    takes_every_path<everywhere::no_default>();
    takes_every_path<everywhere::big>();
    takes_every_path<throwing>();
    takes_every_path<overaligned>();
    takes_every_path<overaligned_inline>();
  }, 50);
  EXPECT_EQ(overaligned::misplaced, 0);
}

template <class T> void balances() {
  T::reset();
  takes_every_path<T>();
  EXPECT_EQ(T::live(), 0);
  EXPECT_EQ(T::copies(), 0);
  EXPECT_EQ(T::broken(), 0);
}

// covers: C5
TEST_P(chan_types, every_object_is_destroyed_once_and_none_is_copied) {
  repeat([] {
    balances<tracked>();
    balances<tracked_inline>();
  }, 100);
}

template <class T> void leaves_nothing_behind() {
  T::reset();
  {
    const skein::chan<T> c(8);
    for (int i = 0; i < 5; ++i) c.send(T(i));
    EXPECT_EQ(c.recv()->value, 0);
    for (int i = 5; i < 9; ++i) c.send(T(i));  // around the end of the ring
    EXPECT_EQ(T::live(), 8);
  }
  EXPECT_EQ(T::live(), 0);
  {
    skein::receiver<T> out = skein::nil;
    {
      const skein::chan<T> c(3);
      for (int i = 0; i < 3; ++i) c.send(T(i));
      c.close();
      out = c;
    }
    EXPECT_EQ(T::live(), 3);
    EXPECT_EQ(out.recv()->value, 0);
    EXPECT_EQ(T::live(), 2);
  }
  EXPECT_EQ(T::live(), 0);
}

// covers: C5 C1
TEST_P(chan_types, elements_nobody_received_die_with_the_channel) {
  repeat([] {
    leaves_nothing_behind<tracked>();
    leaves_nothing_behind<tracked_inline>();
    leaves_nothing_behind<throwing>();
  }, 50);
}

// covers: C5
TEST_P(chan_types, big_values_arrive_whole) {
  const int count = static_cast<int>(rounds(500, 3));
  run([&] {
    for (const std::size_t capacity : {0u, 3u}) {
      const skein::chan<everywhere::big> c(capacity);
      skein::wait_group wg;
      for (int s = 0; s < 2; ++s)
        wg.go([&] {
          for (int i = 0; i < count; ++i) c.send(everywhere::big(i));
        });
      for (int i = 0; i < 2 * count; ++i) EXPECT_TRUE(c.recv()->whole());
      wg.wait();
    }
  });
}

// covers: C5
TEST_P(chan_types, unit_is_counted_though_nothing_is_stored) {
  repeat([&] {
    const skein::chan<skein::unit> c(2);
    c.send({});
    EXPECT_TRUE(c.try_send({}));
    EXPECT_FALSE(c.try_send({}));
    EXPECT_EQ(c.size(), 2u);
    EXPECT_EQ(c.recv(), skein::unit{});
    c.close();
    int left = 0;
    for (skein::unit u : c) left += u == skein::unit{} ? 1 : 0;
    EXPECT_EQ(left, 1);

    const skein::chan<skein::unit> meet;
    auto other = skein::spawn([&] { meet.send({}); });
    EXPECT_TRUE(meet.recv().has_value());
    other.join();
  });
}

template <class T> void arrives(T v) {
  const skein::chan<T> c(1);
  const std::optional<T> copy(v);
  c.send(v);
  EXPECT_EQ(c.recv(), copy);
  c.send(std::move(v));
  EXPECT_EQ(c.recv_for(std::chrono::hours(1)).optional(), copy);
}

enum class color { red, green };
struct plain {
  int a;
  double b;
  friend bool operator==(const plain&, const plain&) = default;
};

// covers: C5
TEST_P(chan_types, the_usual_types_arrive) {
  run([] {
    arrives(true);
    arrives('c');
    arrives(-1);
    arrives(2.5L);
    arrives(color::green);
    arrives(plain{1, 2});
    arrives<const char*>("literal");
    arrives(std::string(1000, 's'));
    arrives(std::vector<std::string>{"a", "b"});
    arrives(std::make_shared<int>(3));
    arrives(std::pair(1, std::string("two")));
    arrives(std::tuple(1, std::string("two"), 3.0));
    arrives(std::array<std::string, 2>{"a", "b"});
    arrives(std::optional<int>(4));
    arrives(std::optional<std::string>(std::nullopt));
    arrives(std::variant<int, std::string>("v"));
    arrives(skein::chan<int>(1));
  });
}

// covers: C1 C5
TEST_P(chan_types, channels_travel_through_channels) {
  repeat([] {
    const skein::chan<skein::sender<int>> requests;
    auto server = skein::spawn([&] {
      int n = 0;
      for (const skein::sender<int>& reply : requests) reply.send(++n);
    });
    for (int i = 1; i <= 3; ++i) {
      const skein::chan<int> reply;
      requests.send(reply);
      EXPECT_EQ(reply.recv(), i);
    }
    requests.close();
    server.join();
  });
}

// covers: C5
TEST_P(chan_types, functions_and_tasks_travel) {
  repeat([] {
    const skein::chan<std::function<int()>> work(1);
    work.send([n = std::make_shared<int>(5)] { return *n; });
    EXPECT_EQ((*work.recv())(), 5);
    const skein::chan<std::any> anything(1);
    anything.send(std::string("any"));
    EXPECT_EQ(std::any_cast<std::string>(*anything.recv()), "any");
    const skein::chan<skein::task<int>> tasks(1);
    tasks.send(skein::spawn([] { return 6; }));
    EXPECT_EQ(tasks.recv()->join(), 6);
  });
}

class secretive {
 public:
  explicit secretive(int v) : value(v) {}
  secretive(const secretive&) = default;
  secretive& operator=(const secretive&) = default;
  ~secretive() {}
  void operator&() const = delete;
  int value;
};

struct fixed {  // movable, but not assignable
  explicit fixed(int v) : value(v) {}
  const int value;
};
struct fixed_boxed {
  explicit fixed_boxed(int v) : value(v) {}
  fixed_boxed(fixed_boxed&& o) noexcept : value(o.value) {}
  const int value;
};

template <class T> void takes_a_short_path() {
  const skein::chan<T> c(1);
  T v(1);
  c.send(std::move(v));
  T again(2);
  EXPECT_FALSE(c.try_send(std::move(again)));
  EXPECT_EQ(again.value, 2);
  EXPECT_EQ(skein::select(recv(c, [](std::optional<T> got) { EXPECT_EQ(got->value, 1); })), 0);
  c.send(std::move(again));
  EXPECT_EQ((*c.recv()).value, 2);
}

// covers: C5
TEST_P(chan_types, types_need_neither_assignment_nor_an_address_operator) {
  run([] {
    takes_a_short_path<secretive>();
    takes_a_short_path<fixed>();
    takes_a_short_path<fixed_boxed>();
  });
}

}  // namespace
