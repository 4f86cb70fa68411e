// Calls that block the thread keep its processor from everybody else, for some milliseconds at least.
#include <unistd.h>

#include "pitfalls/stuck.hpp"
#include "skein/go.hpp"
#include "skein/net/poll.hpp"

namespace {

using everywhere::os_pipe;
using everywhere::require;
using pitfalls::expect_end;
using pitfalls::expect_stuck;
using pitfalls::may_block;

// A program in which another goroutine writes the byte that is to be read.
template <class F> auto reading_with(F read) {
  return [read] {
    const os_pipe p;
    skein::go([&] { p.put(); });
    char byte;
    require(read(p.in, &byte) == 1, "one byte");
  };
}

// covers: G9
TEST(read, of_an_empty_pipe_blocks_those_who_would_fill_it) {
  expect_stuck(reading_with([](int fd, char* byte) {
    may_block();
    return ::read(fd, byte, 1);
  }));
}

// covers: G9
TEST(read, comes_after_a_wait_that_parks) {
  expect_end(reading_with([](int fd, char* byte) {
    skein::wait_readable(fd);
    return ::read(fd, byte, 1);
  }));
}

// covers: G9
TEST(read, goes_into_blocking_where_nothing_can_be_polled) {
  expect_end(reading_with(
      [](int fd, char* byte) { return skein::blocking([&] { return ::read(fd, byte, 1); }); }));
}

}  // namespace
