// Capacities that cannot be.
#include "skein/chan.hpp"

#include <cstdint>
#include <limits>
#include <new>
#include <stdexcept>

#include "support/everywhere.hpp"

// An allocation that is too large shall fail as it does without a sanitizer.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace {

constexpr std::size_t max = std::numeric_limits<std::size_t>::max();

struct chan_capacity : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_capacity);

template <class T> void refuses(std::size_t capacity) {
  SCOPED_TRACE(capacity);
  try {
    const skein::chan<T> c(capacity);
    ADD_FAILURE() << "there is a channel of capacity " << c.capacity();
  } catch (const std::length_error&) {
  } catch (const std::bad_alloc&) {
  }
}

// covers: C1
TEST_P(chan_capacity, absurd_ones_are_refused) {
  run([] {
    for (const std::size_t n : {max, max - 1, max / 2, max / 2 + 1, max / 8, max / 8 + 1, max / 8 + 2, max / 16}) {
      refuses<std::uint64_t>(n);
      refuses<everywhere::tracked>(n);  // boxed: a pointer each
      refuses<everywhere::overaligned>(n);
    }
    // The size in bytes is a few more than 2^64.
    for (const std::size_t size : {std::size_t{2}, sizeof(std::uint64_t)}) {
      const std::size_t wraps = max / size + 1;
      for (std::size_t more = 0; more < 3; ++more) {
        if (size == 2) refuses<std::uint16_t>(wraps + more);
        if (size == 8) refuses<std::uint64_t>(wraps + more);
      }
    }
    for (std::size_t more = 0; more < 3; ++more) refuses<everywhere::big>(max / sizeof(everywhere::big) + 1 + more);
    for (std::size_t back = 0; back < 200; back += 8) refuses<char>(max - back);
  });
}

// covers: C1 C5
TEST_P(chan_capacity, unit_needs_no_buffer) {
  run([] {
    const std::size_t before = everywhere::memory_in_use();
    const skein::chan<skein::unit> c(std::size_t{1} << 32);
    EXPECT_EQ(c.capacity(), std::size_t{1} << 32);
    for (int i = 0; i < 1000; ++i) c.send({});
    EXPECT_EQ(c.size(), 1000u);
    EXPECT_LT(everywhere::memory_in_use() - before, 1u << 20);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(c.try_recv().has_value());
    EXPECT_TRUE(c.try_recv().empty());
  });
}

// covers: C1 C4
TEST_P(chan_capacity, a_buffer_holds_exactly_its_capacity) {
  run([] {
    for (const std::size_t n : {1u, 2u, 3u, 7u, 8u, 100u}) {
      const skein::chan<std::size_t> c(n);
      for (std::size_t round = 0; round < 3; ++round) {  // the ring wraps
        for (std::size_t i = 0; i < n; ++i) EXPECT_TRUE(c.try_send(i));
        EXPECT_FALSE(c.try_send(n));
        EXPECT_EQ(c.size(), n);
        for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(c.recv(), i);
        EXPECT_TRUE(c.try_recv().empty());
        if (c.capacity() > 1) {
          c.send(0);
          EXPECT_EQ(c.recv(), 0u);
        }
      }
    }
  });
}

}  // namespace
