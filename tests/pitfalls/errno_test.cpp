// errno: its value travels with the goroutine, its address does not.
#include <cerrno>
#include <system_error>

#include <unistd.h>

#include "skein/runtime.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace {

using everywhere::change_thread;

// The compiler believes that the address of errno never changes. It cannot see through this.
int* address_of_errno() { return &errno; }
int* (*volatile errno_here)() = &address_of_errno;

// covers: G9
TEST(errno_after_a_park, may_be_another_threads) {
  skein::run([] {
    int* const kept = &errno;  // what a function that uses errno twice is compiled to
    ::close(-1);
    change_thread();
    EXPECT_NE(kept, errno_here());  // written by others from now on
    EXPECT_EQ(*errno_here(), EBADF);
  });
}

// covers: G9
TEST(errno_after_a_park, is_taken_before_it) {
  skein::run([] {
    ::close(-1);
    const std::error_code error(errno, std::generic_category());
    change_thread();
    EXPECT_EQ(error, std::errc::bad_file_descriptor);
  });
}

}  // namespace
