// Parking anywhere: exception state, errno, locks, big stacks, and where a backtrace ends.
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include <dlfcn.h>
#include <execinfo.h>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

extern "C" void skein_goroutine_start();

namespace {

using everywhere::scaled;
using everywhere::tracked;
using namespace skein::literals;

// Out of line, so that no address of a thread's own data is kept across a park. Goroutines that use
// the errno of one thread one after the other look like a race to the detector.
[[gnu::noinline, gnu::no_sanitize_thread]] int get_errno() {
  asm volatile("" ::: "memory");
  return errno;
}
[[gnu::noinline, gnu::no_sanitize_thread]] void set_errno(int e) {
  errno = e;
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] std::string current_message() {
  try {
    if (std::current_exception() == nullptr) return "none";
    throw;
  } catch (const std::exception& e) {
    return e.what();
  }
}

struct park : everywhere::on_procs {
  // crowd(f) runs f(i) on several goroutines that park in each other's way.
  template <class F> static void crowd(const F& f) {
    skein::wait_group wg;
    for (int i = 0; i < 4; ++i) wg.go([&f, i] { f(i); });
    wg.wait();
  }
};
SKEIN_EVERYWHERE(park);

// covers: G8
TEST_P(park, in_a_catch_block_keeps_the_exception) {
  repeat([] {
    crowd([](int i) {
      const std::string mine = "exception of goroutine " + std::to_string(i);
      try {
        throw std::runtime_error(mine);
      } catch (const std::runtime_error& e) {
        for (int k = 0; k < 5; ++k) {
          skein::yield();
          ASSERT_EQ(mine, e.what());
          ASSERT_EQ(current_message(), mine);
          ASSERT_EQ(std::uncaught_exceptions(), 0);
        }
      }
      EXPECT_EQ(std::current_exception(), nullptr);
    });
  }, 100);
}

// covers: G8
TEST_P(park, in_nested_catch_blocks_and_rethrow) {
  repeat([] {
    crowd([](int i) {
      int caught = -1;
      try {
        try {
          throw i;
        } catch (int) {
          skein::yield();
          try {
            skein::yield();
            throw std::runtime_error("inner");
          } catch (const std::runtime_error&) {
            skein::yield();
            EXPECT_EQ(current_message(), "inner");
          }
          skein::yield();
          throw;
        }
      } catch (int v) {
        skein::yield();
        caught = v;
      }
      EXPECT_EQ(caught, i);
    });
  }, 100);
}

// covers: G8
TEST_P(park, in_a_destructor_while_unwinding) {
  repeat([] {
    crowd([](int i) {
      struct parks {
        ~parks() {
          for (int k = 0; k < 5; ++k) {
            EXPECT_EQ(std::uncaught_exceptions(), 1);
            skein::yield();
          }
          try {  // another exception, thrown and caught on the way
            skein::yield();
            throw 1;
          } catch (int) {
            skein::yield();
            EXPECT_EQ(std::uncaught_exceptions(), 1);
          }
        }
      };
      int caught = -1;
      try {
        const parks p;
        throw i;
      } catch (int v) {
        caught = v;
      }
      EXPECT_EQ(caught, i);
      EXPECT_EQ(std::uncaught_exceptions(), 0);
    });
  }, 100);
}

// covers: G8
TEST_P(park, and_be_unwound_afterwards) {
  repeat([] {
    tracked::reset();
    const skein::chan<int> c;
    auto t = skein::spawn({.stack = 128_KiB}, [c] {
      const tracked outer(1);
      [&] {
        const tracked inner(2);
        c.recv();
        throw std::out_of_range("after the park");
      }();
    });
    c.send(1);
    EXPECT_THROW(t.join(), std::out_of_range);
    EXPECT_EQ(tracked::live(), 0);
  }, 100);
}

// covers: G8
TEST_P(park, an_exception_pointer_goes_to_another_goroutine) {
  repeat([] {
    const skein::chan<std::exception_ptr> c;
    auto thrower = skein::spawn([c] {
      try {
        throw std::runtime_error("travels");
      } catch (...) {
        c.send(std::current_exception());
        EXPECT_EQ(current_message(), "travels");
      }
    });
    // Kept until the other is done with it: the library counts references where no detector looks.
    const std::exception_ptr e = c.recv().value();
    EXPECT_THROW(std::rethrow_exception(e), std::runtime_error);
    thrower.join();
  }, 100);
}

// covers: G8
TEST_P(park, keeps_errno) {
  repeat([] {
    crowd([](int i) {
      for (int k = 0; k < 10; ++k) {
        set_errno(1000 + i);
        k % 2 == 0 ? skein::yield() : skein::sleep_for(std::chrono::nanoseconds(1));
        ASSERT_EQ(get_errno(), 1000 + i);
      }
    });
    set_errno(77);
    skein::blocking([] { set_errno(78); });
    EXPECT_EQ(get_errno(), 78);
    set_errno(0);
  }, 100);
}

// covers: G8 Y1
TEST_P(park, while_holding_a_mutex) {
  repeat([] {
    skein::mutex m;
    int inside = 0;
    crowd([&](int) {
      std::lock_guard hold(m);
      EXPECT_EQ(++inside, 1);
      skein::yield();
      skein::sleep_for(std::chrono::nanoseconds(1));
      EXPECT_EQ(inside--, 1);
    });
  }, 100);
}

// covers: G5 G8
TEST_P(park, on_a_big_stack) {
  repeat([] {
    const skein::chan<int> c;
    crowd([&](int i) {
      if (i % 2 == 0) {
        for (int k = 0; k < 3; ++k) c.send(k);
        return;
      }
      const int got = skein::on_system_stack([&] {
        int n = 0;
        for (int k = 0; k < 3; ++k) {
          n += c.recv().has_value() ? 1 : 0;
          skein::yield();
        }
        return n;
      });
      EXPECT_EQ(got, 3);
    });
  }, 50);
}

// covers: G5
TEST_P(park, on_system_stack_gives_back_whatever_f_gives) {
  repeat([] {
    int x = 1;
    int& r = skein::on_system_stack([&]() -> int& { return x; });
    EXPECT_EQ(&r, &x);
    EXPECT_EQ(*skein::on_system_stack([] { return std::make_unique<int>(5); }), 5);
    skein::on_system_stack([&] { x = 2; });
    EXPECT_EQ(x, 2);
    EXPECT_EQ(skein::on_system_stack([] { return std::string(100, 'x'); }).size(), 100u);
    struct only_rvalue {
      int operator()() && { return 9; }
    };
    EXPECT_EQ(skein::on_system_stack(only_rvalue()), 9);
  }, 20);
}

// covers: G5 D1
TEST_P(park, a_system_stack_is_used_by_one_after_the_other) {
  repeat([] {
    crowd([](int i) {
      for (int k = 0; k < 10; ++k) {
        const int kept = skein::on_system_stack([&] {
          volatile int frame[1000];
          for (volatile int& x : frame) x = i;
          skein::yield();
          return frame[k];
        });
        EXPECT_EQ(kept, i);
        skein::yield();
      }
    });
    skein::wait_group wg;
    wg.add(1);
    skein::go({.stack = 8_MiB}, [&] {  // the same stacks
      volatile int frame[1000];
      for (volatile int& x : frame) x = 1;
      wg.done();
    });
    wg.wait();
  }, 20);
}

// covers: G5
TEST_P(park, on_system_stack_lets_exceptions_through) {
  repeat([] {
    tracked::reset();
    try {
      const tracked before(1);
      skein::on_system_stack([] {
        const tracked inside(2);
        skein::yield();
        throw std::runtime_error("from the big stack");
      });
      FAIL();
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "from the big stack");
    }
    EXPECT_EQ(tracked::live(), 0);
    EXPECT_EQ(skein::on_system_stack([] { return 1; }), 1);
  }, 20);
}

// covers: G5
TEST_P(park, on_system_stack_nests_and_ends_by_exit_goroutine) {
  repeat([] {
    EXPECT_EQ(skein::on_system_stack([] { return skein::on_system_stack([] { return 3; }) + 1; }), 4);
    auto t = skein::spawn({.stack = 128_KiB}, [] {
      const tracked here(1);
      skein::on_system_stack([] { skein::exit_goroutine(); });
    });
    EXPECT_THROW(t.join(), skein::goroutine_exited);
    EXPECT_EQ(tracked::live(), 0);
  }, 20);
}

// covers: G5
TEST(on_system_stack, has_room_for_deep_recursion) {
  skein::run([] {
    for (int i = 0; i < 3; ++i) EXPECT_GT(skein::on_system_stack([] { return everywhere::dig(6_MiB); }), 100u);
  });
}

[[gnu::noinline]] int frames_here(void** frames, int most) {
  const int n = backtrace(frames, most);
  asm volatile("");
  return n;
}

// covers: G10 R5
TEST(backtrace_of_a_goroutine, ends_at_its_entry) {
  skein::run([] {
    const auto check = [] {
      void* frames[64];
      const int n = frames_here(frames, 64);
      ASSERT_GE(n, 3);
      ASSERT_LT(n, 64);
      const auto start = reinterpret_cast<std::uintptr_t>(&skein_goroutine_start);
      const auto outermost = reinterpret_cast<std::uintptr_t>(frames[n - 1]);
      EXPECT_GE(outermost, start);
      EXPECT_LT(outermost, start + 64);
    };
    auto t = skein::spawn({.stack = 128_KiB}, [&] {
      check();
      skein::sleep_for(std::chrono::nanoseconds(1));
      check();
    });
    t.join();
    skein::on_system_stack(check);
  });
}

// Out of line: the compiler knows no modes and would divide before they are set.
[[gnu::noinline]] double third() {
  volatile double one = 1, three = 3;
  return one / three;
}

struct floating_point : ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(procs, floating_point, ::testing::Values(1, 2, 4, 8));

// covers: G8
TEST_P(floating_point, modes_travel_where_they_are_asked_to) {
  skein::options o = everywhere::with_procs(GetParam());
  o.save_fp = true;
  skein::run(
      [] {
        const double nearest = third();
        skein::wait_group wg;
        const skein::chan<int> c;
        for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST})
          wg.go([=, &wg] {
            EXPECT_EQ(std::fegetround(), FE_TONEAREST) << "how a goroutine begins";
            std::fesetround(mode);
            const double mine = third();
            for (std::uint64_t i = 0; i < scaled(200); ++i) {
              i % 3 == 0 ? skein::yield() : c.send(1);
              if (i % 16 == 0) skein::sleep_for(std::chrono::microseconds(10));
              if (i % 16 == 1) wg.go([] { EXPECT_EQ(std::fegetround(), FE_TONEAREST); });
              ASSERT_EQ(std::fegetround(), mode);
              ASSERT_EQ(third(), mine);
            }
          });
        skein::go([c] {
          for (;;) c.recv();
        });
        wg.wait();
        EXPECT_EQ(third(), nearest);
      },
      o);
}

// Goroutines that block their threads make others begin; those begin as the first did.
// covers: G8
TEST_P(floating_point, modes_of_a_goroutine_are_not_those_of_a_new_thread) {
  skein::run(
      [] {
        std::fesetround(FE_UPWARD);
        std::atomic<int> seen{-1};
        skein::go([&] { seen = std::fegetround(); });
        skein::blocking([&] {
          while (seen == -1) {
          }
        });
        EXPECT_EQ(seen, FE_TONEAREST);
        std::fesetround(FE_TONEAREST);
      },
      everywhere::with_procs(GetParam()));
}

}  // namespace
