// Select: the choice among ready cases is uniform, within six sigma.
#include <functional>
#include <numeric>
#include <vector>

#include "skein/select.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct select_choice : everywhere::on_procs {
  // Counts 100,000 draws, one per schedule in simulation; shares[i] of all shares go to way i.
  void expect_shares(const std::vector<std::uint64_t>& shares, const std::function<std::function<int()>()>& set_up) {
    std::vector<std::uint64_t> count(shares.size());
    run([&] {
      const auto draw = set_up();
      for (std::uint64_t n = rounds(100'000, 1); n > 0; --n) {
        const int i = draw();
        ASSERT_GE(i, 0);
        ASSERT_LT(static_cast<std::size_t>(i), count.size());
        ++count[static_cast<std::size_t>(i)];
      }
    });
    const std::uint64_t draws = std::accumulate(count.begin(), count.end(), std::uint64_t{0});
    const std::uint64_t all = std::accumulate(shares.begin(), shares.end(), std::uint64_t{0});
    for (std::size_t i = 0; i < count.size(); ++i)
      EXPECT_TRUE(everywhere::within_six_sigma(count[i], draws, shares[i], all))
          << "way " << i << " was taken " << count[i] << " times of " << draws;
  }
};
SKEIN_EVERYWHERE(select_choice);

// covers: L2
TEST_P(select_choice, is_uniform_among_ready_receives) {
  expect_shares({1, 1, 1, 1}, [] {
    std::vector<skein::chan<int>> c;
    for (int i = 0; i < 4; ++i) c.emplace_back(1).send(i);
    return [=] {
      std::optional<int> v;
      const int i = skein::select(recv(c[0], v), recv(c[1], v), recv(c[2], v), recv(c[3], v));
      EXPECT_EQ(v, i);
      c[static_cast<std::size_t>(i)].send(i);
      return i;
    };
  });
}

// covers: L2
TEST_P(select_choice, is_uniform_among_two_of_which_one_is_closed) {
  expect_shares({1, 1}, [] {
    const skein::chan<int> open(1);
    const skein::chan<int> closed;
    open.send(1);
    closed.close();
    return [=] {
      const int i = skein::try_select(recv(open), recv(closed));
      if (i == 0) open.send(1);
      return i;
    };
  });
}

// covers: L2
TEST_P(select_choice, is_uniform_among_sends_and_receives) {
  expect_shares({1, 1, 1}, [] {
    const skein::chan<int> room(1);
    const skein::chan<int> more_room(5);
    const skein::chan<int> full(1);
    full.send(1);
    return [=] {
      const int i = skein::select(send(room, 1), recv(full), send(more_room, 1));
      switch (i) {
        case 0: room.recv(); break;
        case 1: full.send(1); break;
        case 2: more_room.recv(); break;
      }
      return i;
    };
  });
}

// covers: L2
TEST_P(select_choice, gives_a_channel_that_stands_there_twice_two_chances) {
  expect_shares({1, 1, 1}, [] {
    const skein::chan<int> twice(1);
    const skein::chan<int> once(1);
    twice.send(1);
    once.send(1);
    return [=] {
      const int i = skein::select(recv(twice), recv(once), recv(twice));
      (i == 1 ? once : twice).send(1);
      return i;
    };
  });
}

// covers: L2
TEST_P(select_choice, counts_only_what_is_ready) {
  expect_shares({1, 1, 0, 0, 0}, [] {
    const skein::chan<int> a(1);
    const skein::chan<int> b(1);
    const skein::chan<int> empty;
    const skein::chan<int> n = skein::nil;
    a.send(1);
    b.send(1);
    return [=] {
      const int fired = skein::select(recv(n), recv(a), send(empty, 1), recv(empty), recv(b));
      const std::vector<int> way{2, 0, 3, 4, 1};
      (fired == 1 ? a : b).send(1);
      return way[static_cast<std::size_t>(fired)];
    };
  });
}

// covers: L2 C2
TEST_P(select_choice, a_closed_send_takes_its_share_by_throwing) {
  expect_shares({1, 1}, [] {
    const skein::chan<int> closed;
    closed.close();
    const skein::chan<int> ready(1);
    ready.send(1);
    return [=] {
      try {
        skein::select(send(closed, 1), recv(ready));
        ready.send(1);
        return 1;
      } catch (const skein::closed_channel&) {
        return 0;
      }
    };
  });
}

// covers: L2 L1
TEST_P(select_choice, is_uniform_in_a_list_as_well) {
  expect_shares(std::vector<std::uint64_t>(20, 1), [] {
    std::vector<skein::chan<int>> c;
    for (int i = 0; i < 20; ++i) c.emplace_back(1).send(i);
    auto cases = std::make_shared<std::vector<skein::any_case>>();
    for (auto& each : c) cases->emplace_back(recv(each));
    return [=] {
      const int i = skein::select(std::span(*cases));
      c[static_cast<std::size_t>(i)].send(i);
      return i;
    };
  });
}

// covers: L2 C6
TEST_P(select_choice, a_case_that_is_always_ready_does_not_starve_another) {
  const std::uint64_t each = rounds(10'000, 5);
  run([&] {
    const skein::chan<int> done;
    const skein::chan<int> a;
    const skein::chan<int> b;
    skein::wait_group wg;
    for (const skein::chan<int>& c : {a, b})
      wg.go([&, c] {
        while (skein::select(send(c, 1), recv(done)) == 0) {
        }
      });
    std::uint64_t from_a = 0;
    std::uint64_t from_b = 0;
    while (from_a < each || from_b < each) ++(skein::select(recv(a), recv(b)) == 0 ? from_a : from_b);
    done.close();
    wg.wait();
  });
}

}  // namespace
