// Locals: one value for each goroutine, whatever thread it runs on, and its end with the goroutine.
#include "skein/local.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "skein/chan.hpp"
#include "skein/mutex.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::contains;
using everywhere::journal;
using everywhere::run_child;
using everywhere::scaled;
using everywhere::tracked;
using everywhere::with_procs;

struct local : everywhere::on_procs {};
SKEIN_EVERYWHERE(local);

constinit skein::local<int> number;

constexpr skein::go_options own_stack{.stack = 128 * 1024};  // so that no joiner runs it in place

// says: notes its name in a journal when it ends.
class says {
 public:
  void is(int name, journal<int>& where) { name_ = name, where_ = &where; }
  ~says() {
    if (where_ != nullptr) where_->note(name_);
  }

 private:
  int name_ = 0;
  journal<int>* where_ = nullptr;
};
skein::local<says> first, second, third;

// covers: G9
TEST_P(local, belongs_to_its_goroutine) {
  repeat([] {
    skein::wait_group wg;
    skein::mutex between;
    *number = -1;
    for (int k = 1; k <= 8; ++k)
      wg.go([&, k] {
        EXPECT_EQ(*number, 0);
        int& mine = *number;
        for (int i = 0; i < 5; ++i) {
          mine += k;
          {
            const std::lock_guard hold(between);
          }
          skein::yield();
        }
        EXPECT_EQ(&mine, &*number);
        EXPECT_EQ(number.get(), 5 * k);
      });
    wg.wait();
    EXPECT_EQ(*number, -1);
  });
}

// covers: G9
TEST(local_and_threads, a_value_goes_with_its_goroutine_from_thread_to_thread) {
  for (const int procs : {1, 2, 4, 8})
    skein::run(
        [] {
          *number = 7;
          const int* at = &*number;
          for (int i = 0; i < 20; ++i) {
            const int before = everywhere::thread_id();
            everywhere::change_thread();
            ASSERT_NE(everywhere::thread_id(), before);
            ASSERT_EQ(&*number, at);
            ASSERT_EQ(*number, 7);
          }
          EXPECT_EQ(skein::blocking([] { return *number; }), 7);
          EXPECT_EQ(skein::on_system_stack([] { return *number; }), 7);
        },
        with_procs(procs));
}

// covers: G9
TEST_P(local, values_end_with_the_goroutine_the_last_made_first) {
  repeat([] {
    journal<int> ends;
    skein::spawn([&] {
      second->is(2, ends);
      skein::yield();
      first->is(1, ends);
      third->is(3, ends);
    }).join();
    EXPECT_EQ(ends.notes(), (std::vector{3, 1, 2}));
    skein::spawn([&] {
      third->is(3, ends);
      second->is(2, ends);
      skein::exit_goroutine();
    }).wait();
    EXPECT_EQ(ends.notes(), (std::vector{3, 1, 2, 2, 3}));
    skein::chan<int> ended;
    struct sends {
      std::optional<skein::chan<int>> to;
      ~sends() {
        if (to) to->send(5);
      }
    };
    static skein::local<sends> last_words;
    skein::go([ended] { last_words->to = ended; });
    EXPECT_EQ(ended.recv(), 5);
    skein::go([ended] {
      last_words->to = ended;
      skein::exit_goroutine();
    });
    EXPECT_EQ(ended.recv(), 5);
  });
}

// covers: G9
TEST_P(local, they_end_after_the_function_and_what_it_captured) {
  repeat([] {
    journal<int> order;
    skein::spawn([&, captured = std::make_unique<says>()] {
      captured->is(1, order);
      first->is(3, order);
      says inside;
      inside.is(0, order);
    }).join();
    EXPECT_EQ(order.notes(), (std::vector{0, 1, 3}));
  });
}

// covers: G9 R1
TEST(local_of_main, ends_before_run_does) {
  for (const int procs : {1, 2}) {
    journal<int> ends;
    skein::run([&] { first->is(1, ends); }, with_procs(procs));
    EXPECT_EQ(ends.notes(), (std::vector{1}));
    EXPECT_THROW(skein::run(
                     [&] {
                       first->is(2, ends);
                       throw std::runtime_error("");
                     },
                     with_procs(procs)),
                 std::runtime_error);
    EXPECT_EQ(ends.notes(), (std::vector{1, 2}));
    skein::options all = with_procs(procs);
    all.on_exit = skein::on_exit::wait_all;
    skein::run([&] { first->is(3, ends); }, all);
    skein::run(
        [&] {
          first->is(4, ends);
          skein::exit_goroutine();
        },
        all);
    EXPECT_EQ(ends.notes(), (std::vector{1, 2, 3, 4}));
    skein::runtime r(with_procs(procs));
    r.run([&] { first->is(5, ends); });
    EXPECT_EQ(ends.notes(), (std::vector{1, 2, 3, 4, 5}));
  }
  journal<int> ends;
  everywhere::in_simulation([&] { first->is(1, ends); }, 10);
  EXPECT_EQ(ends.notes(), std::vector<int>(scaled(10), 1));
}

// covers: G9
TEST_P(local, destructors_may_park) {
  repeat([] {
    struct talks {
      std::optional<skein::chan<int>> to;
      ~talks() {
        if (!to) return;
        for (int i = 0; i < 3; ++i) {
          to->send(i);
          skein::yield();
        }
      }
    };
    static skein::local<talks> talker;
    const skein::chan<int> c;
    skein::wait_group wg;
    for (int k = 0; k < 3; ++k)
      wg.go([c] {
        talker->to = c;
        if (*number != 0) skein::exit_goroutine();
      });
    int sum = 0;
    for (int i = 0; i < 9; ++i) sum += c.recv().value();
    EXPECT_EQ(sum, 9);
    wg.wait();
  });
}

// covers: G9
TEST_P(local, destructors_may_use_and_make_others) {
  repeat([] {
    journal<int> seen;
    struct looks {
      journal<int>* to = nullptr;
      ~looks() {
        if (to == nullptr) return;
        to->note(*number);
        *number += 10;
      }
    };
    static skein::local<looks> looker, other_looker;
    skein::spawn([&] {
      looker->to = &seen;  // number is younger than this one and older than the other
      *number = 1;
      other_looker->to = &seen;
    }).join();
    EXPECT_EQ(seen.notes(), (std::vector{1, 0}));
  });
}

// chain_link: ends by making another one, as often as it says.
struct chain_link {
  int left = 0;
  int* ended = nullptr;
  ~chain_link();
};
skein::local<chain_link> chain;
void make_chain(int left, int* ended) {
  chain->left = left;
  chain->ended = ended;
}
chain_link::~chain_link() {
  if (ended != nullptr) ++*ended;
  if (left > 0) make_chain(left - 1, ended);
}

// covers: G9
TEST_P(local, destructors_may_make_the_same_one_again_and_again) {
  repeat([] {
    int ended = 0;
    skein::spawn([&] { make_chain(50, &ended); }).join();
    EXPECT_EQ(ended, 51);
  });
}

// covers: G9
TEST(local_that, never_ends_to_be_made_ends_the_process) {
  const auto end = run_child([] { skein::run([] { make_chain(1'000'000, nullptr); }); });
  EXPECT_EQ(end.signal, SIGABRT) << end.text;
  EXPECT_TRUE(contains(end.text, "make new ones without end")) << end.text;
}

struct throws_at_its_end {
  ~throws_at_its_end() noexcept(false) { throw std::runtime_error("at the end"); }
};
struct exits_at_its_end {
  ~exits_at_its_end() noexcept(false) { skein::exit_goroutine(); }
};

// covers: G9 R5
TEST(local_that, throws_when_it_ends_ends_the_process) {
  const auto end_with = [](const auto& x) {
    return run_child([&] { skein::run([&] { x.get(); }); });
  };
  const auto throws = end_with(skein::local<throws_at_its_end>([] { return throws_at_its_end(); }));
  EXPECT_EQ(throws.signal, SIGABRT) << throws.text;
  EXPECT_TRUE(contains(throws.text, "at the end")) << throws.text;
  EXPECT_TRUE(contains(throws.text, "created by")) << throws.text;
  const auto exits = end_with(skein::local<exits_at_its_end>([] { return exits_at_its_end(); }));
  EXPECT_EQ(exits.signal, SIGABRT) << exits.text;
  EXPECT_TRUE(contains(exits.text, "noexcept")) << exits.text;
}

// covers: G9 G2
TEST_P(local, of_a_task_is_its_own_wherever_that_runs) {
  repeat([] {
    journal<int> ends;
    *number = 1;
    first->is(-1, ends);
    int* mine = &*number;
    for (const skein::go_options& o : {skein::go_options{}, own_stack}) {
      auto t = skein::spawn(o, [&] {
        first->is(1, ends);
        skein::spawn([&] {
          EXPECT_EQ(*number, 0);
          first->is(2, ends);
          *number = 3;
        }).join();
        EXPECT_EQ(ends.notes().back(), 2);
        EXPECT_EQ(*number, 0);
        return *number = 2;
      });
      EXPECT_EQ(t.join(), 2);
      EXPECT_EQ(ends.notes().back(), 1);
      EXPECT_EQ(*number, 1);
      EXPECT_EQ(&*number, mine);
    }
    // A joiner that has none, and one whose task is in a destructor of its own.
    skein::spawn(own_stack, [&] {
      skein::spawn([&] { first->is(4, ends); }).join();
      EXPECT_EQ(ends.notes().back(), 4);
      EXPECT_EQ(*number, 0);
    }).join();
    struct joins {
      ~joins() {
        skein::spawn([] { *number = 9; }).join();
        EXPECT_EQ(*number, 6);
      }
    };
    static const skein::local<joins> joiner;
    skein::spawn([&] {
      *number = 6;
      joiner.get();
    }).join();
    first->is(0, ends);
    EXPECT_EQ(ends.notes(), (std::vector{2, 1, 2, 1, 4}));
    *first = says();  // the journal does not live as long as this goroutine
    *number = 0;
  });
}

// covers: G9 G2
TEST(local_of_a_task, that_runs_in_its_joiner) {
  skein::run(
      [] {
        *number = 1;
        const auto parks = skein::stats().parks;
        auto t = skein::spawn([] { return ++*number; });
        EXPECT_EQ(t.join(), 1);
        EXPECT_EQ(skein::stats().parks, parks);
        auto exits = skein::spawn([] {
          *number = 5;
          skein::exit_goroutine();
        });
        EXPECT_THROW(exits.join(), skein::goroutine_exited);
        EXPECT_EQ(skein::stats().parks, parks);
        EXPECT_EQ(*number, 1);
      },
      with_procs(1));
}

// covers: G9
TEST_P(local, what_could_not_be_made_is_tried_again) {
  repeat([] {
    int tries = 0;
    const skein::local<int> fails([&]() -> int {
      skein::yield();
      if (++tries < 3) throw tries;
      return 10 * tries;
    });
    EXPECT_THROW(fails.get(), int);
    EXPECT_THROW(*fails, int);
    EXPECT_EQ(*fails, 30);
    EXPECT_EQ(*fails, 30);
    const skein::local<int> exits([]() -> int { skein::exit_goroutine(); });
    EXPECT_THROW(skein::spawn([&] { exits.get(); }).join(), skein::goroutine_exited);
  });
}

// covers: G9
TEST_P(local, that_makes_itself_is_misuse) {
  repeat([] {
    tracked::reset();
    skein::spawn([] {
      int depth = 0;
      skein::local<tracked>* self = nullptr;
      skein::local<tracked> twisted([&]() -> tracked {
        if (++depth == 1) static_cast<void>(self->get());
        return tracked(depth);
      });
      self = &twisted;
      EXPECT_THROW(twisted.get(), skein::misuse);
      EXPECT_EQ(twisted->value, 2);
      EXPECT_EQ(tracked::live(), 1);
    }).join();
    EXPECT_EQ(tracked::live(), 0);
  });
}

// covers: G9
TEST_P(local, may_end_before_its_values_do) {
  repeat([] {
    tracked::reset();
    skein::chan<skein::unit> go_on;
    skein::wait_group wg, made;
    {
      const skein::local<tracked> brief([] { return tracked(1); });
      made.add(3);
      for (int k = 0; k < 3; ++k)
        wg.go([&] {
          brief->value += 1;
          made.done();
          go_on.recv();
          // Another one, which has inherited the first one's place, knows nothing of it.
          const skein::local<tracked> heir([] { return tracked(5); });
          EXPECT_EQ(heir->value, 5);
        });
      made.wait();
    }
    EXPECT_EQ(tracked::live(), 3);
    for (int k = 0; k < 3; ++k) go_on.send({});
    wg.wait();
    EXPECT_EQ(tracked::broken(), 0);
    skein::spawn(own_stack, [] {
      for (int k = 0; k < 10; ++k) {
        const skein::local<tracked> one([] { return tracked(3); });
        EXPECT_EQ(one->value, 3);
      }
    }).join();
    while (tracked::live() != 0) skein::yield();  // those of the group end after it
  });
}

// covers: G9
TEST_P(local, its_first_users_may_race) {
  repeat([] {
    const skein::local<int> fresh_one([] { return 3; });
    const skein::local<int> fresh_two([] { return 4; });
    skein::wait_group wg;
    for (int k = 0; k < 6; ++k)
      wg.go([&, k] {
        int& a = k % 2 == 0 ? *fresh_one : *fresh_two;
        int& b = k % 2 == 0 ? *fresh_two : *fresh_one;
        EXPECT_EQ(a, k % 2 == 0 ? 3 : 4);
        EXPECT_EQ(b, k % 2 == 0 ? 4 : 3);
        EXPECT_NE(&a, &b);
        a = k;
        skein::yield();
        EXPECT_EQ(k % 2 == 0 ? *fresh_one : *fresh_two, k);
      });
    wg.wait();
  });
}

// covers: G9
TEST_P(local, many_live_side_by_side) {
  repeat(
      [] {
        constexpr int n = 300;
        const std::vector<skein::local<int>> many(n);
        skein::spawn([&] {
          std::vector<int*> at;
          for (int i = 0; i < n; ++i) {
            *many[static_cast<std::size_t>(i)] = i;
            at.push_back(&*many[static_cast<std::size_t>(i)]);
          }
          for (int i = 0; i < n; ++i) {
            ASSERT_EQ(&*many[static_cast<std::size_t>(i)], at[static_cast<std::size_t>(i)]);
            ASSERT_EQ(*at[static_cast<std::size_t>(i)], i);
          }
        }).join();
      },
      20);
}

// covers: G9
TEST(local_objects, are_at_most_65536_at_a_time) {
  std::thread([] {
    ASSERT_EQ(*number, 0);
    std::vector<skein::local<char>> many(65'536);
    const auto all = [&] {
      for (const auto& x : many) x.get();
    };
    EXPECT_THROW(all(), std::length_error);  // number is one more
    many.clear();
    for (int i = 0; i < 100'000; ++i) {
      const skein::local<char> one;
      ASSERT_EQ(*one, 0);
      ASSERT_EQ(*number, 0);
    }
  }).join();
}

struct fixed {
  explicit fixed(int v) : value(v), self(this) {}
  fixed(const fixed&) = delete;
  fixed& operator=(const fixed&) = delete;
  ~fixed() { EXPECT_EQ(self, this); }
  int value;
  const fixed* self;
};

// covers: G9
TEST_P(local, holds_types_of_any_kind) {
  repeat([] {
    skein::spawn([] {
      const skein::local<fixed> immovable([] { return fixed(4); });
      EXPECT_EQ(immovable->value, 4);
      const skein::local<everywhere::overaligned> aligned(
          [] { return everywhere::overaligned(5); });
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&*aligned) % alignof(everywhere::overaligned), 0u);
      EXPECT_EQ(everywhere::overaligned::misplaced, 0);
      const skein::local<everywhere::move_only> moves([] { return everywhere::move_only(6); });
      EXPECT_EQ(moves->value, 6);
      const skein::local<std::unique_ptr<int>> null;
      EXPECT_EQ(*null, nullptr);
      *null = std::make_unique<int>(7);
      EXPECT_EQ(**null, 7);
      const skein::local<const int> constant([] { return 8; });
      EXPECT_EQ(*constant, 8);
      int at_home = 9;
      const skein::local<int&> reference([&]() -> int& { return at_home; });
      *reference = 10;
      EXPECT_EQ(at_home, 10);
      EXPECT_EQ(&reference.get(), &at_home);
      struct pair {
        int a, b;
      };
      const skein::local<pair> plain;
      EXPECT_EQ(plain->a + plain->b, 0);
    }).join();
  });
}
static_assert(std::is_default_constructible_v<skein::local<int>>);
static_assert(!std::is_default_constructible_v<skein::local<everywhere::no_default>>);
static_assert(!std::is_default_constructible_v<skein::local<int&>>);
static_assert(!std::is_copy_constructible_v<skein::local<int>>);

// covers: G9 R4
TEST(local_and_threads, a_plain_thread_has_values_of_its_own) {
  journal<int> ends;
  *number = 1;
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&] {
      EXPECT_EQ(*number, 0);
      *number = 2;
      first->is(1, ends);
      second->is(2, ends);
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(ends.notes().size(), 8u);
  skein::run([] { EXPECT_EQ(*number, 0); });
  everywhere::in_simulation([] { EXPECT_EQ(*number, 0); }, 1);
  EXPECT_EQ(*number, 1);
  *number = 0;
}

// thread_bound: a thread_local that looks at locals when its thread ends.
struct thread_bound {
  journal<int>* to = nullptr;
  ~thread_bound() {
    if (to == nullptr) return;
    to->note(*number);
    first->is(20, *to);
  }
};
thread_local thread_bound older_than_locals;
thread_local thread_bound younger_than_locals;

// covers: G9 R4
TEST(local_and_threads, values_end_among_the_threads_own) {
  journal<int> order;
  std::thread([&] {
    older_than_locals.to = &order;
    *number = 4;
    first->is(10, order);
    younger_than_locals.to = &order;
  }).join();
  // Both thread_locals are made at once, so both are older; what they make anew ends as well.
  EXPECT_EQ(order.notes(), (std::vector{10, 0, 20, 0, 20}));
  journal<int> alone;
  std::thread([&] {
    const skein::local<says> brief;
    brief->is(1, alone);
  }).join();
  EXPECT_EQ(alone.notes(), (std::vector{1}));
}

// covers: G9
TEST_P(local, a_goroutine_never_sees_what_another_left) {
  repeat([] {
    skein::wait_group wg;
    for (int k = 0; k < 20; ++k)
      wg.go([] {
        EXPECT_EQ((*number)++, 0);
        const skein::local<int> brief;
        EXPECT_EQ((*brief)++, 0);
      });
    wg.wait();
    for (int k = 0; k < 5; ++k) skein::spawn([] { EXPECT_EQ((*number)++, 0); }).join();
  });
}

// covers: G9
TEST(local_values, of_a_million_goroutines_leave_nothing_behind) {
  static const skein::local<std::vector<int>> table([] { return std::vector<int>(16); });
  skein::run(
      [] {
        const auto start = [](std::uint64_t n) {
          for (std::uint64_t i = 0; i < n; i += 100) {
            skein::wait_group wg;
            for (int k = 0; k < 100; ++k)
              wg.go([k] {
                (*table)[3] += k;
                if (k % 10 == 0) skein::yield();
                ASSERT_EQ((*table)[3], k);
              });
            wg.wait();
          }
        };
        start(scaled(50'000));
        const std::size_t before = everywhere::memory_in_use();
        start(scaled(1'000'000));
        EXPECT_LT(everywhere::memory_in_use(), before + (4 << 20));
      },
      with_procs(2));
}

// covers: G9 R2
TEST(local_values, of_a_goroutine_that_is_left_behind_are_left_too) {
  for (int i = 0; i < 20; ++i) {
    tracked::reset();
    static const skein::local<tracked> held([] { return tracked(1); });
    skein::run(
        [] {
          skein::chan<int> c;
          skein::go([c] {
            held->value = 2;
            c.send(1);
            c.recv();
          });
          c.recv();
        },
        with_procs(2));
    EXPECT_EQ(tracked::destroyed(), 0);
    skein::run([] { EXPECT_EQ(held->value, 1); });
  }
}

}  // namespace
