#include "os/procfs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/sys.hpp"

namespace skein::inline SKEIN_ABI::os {
namespace {

// The beginning of a small file, ended by a zero; empty if it cannot be read.
template <std::size_t N> void read_start(const char* path, char (&into)[N]) noexcept {
  const int fd = sys::open(path, O_RDONLY);
  std::size_t got = 0;
  long n = fd < 0 ? -1 : 1;
  while (n > 0 && got < N - 1) {
    n = sys::read(fd, into + got, N - 1 - got);
    if (n > 0) got += static_cast<std::size_t>(n);
  }
  if (fd >= 0) sys::close(fd);
  into[n >= 0 ? got : 0] = 0;  // half a number would be another one
}

}  // namespace

std::size_t address_space_in_use() noexcept {
  char pages[32];
  read_start("/proc/self/statm", pages);
  return std::strtoull(pages, nullptr, 10) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

bool commits_strictly() noexcept {
  char mode[8];
  read_start("/proc/sys/vm/overcommit_memory", mode);
  return mode[0] == '2';
}

char thread_state(long thread) noexcept {
  char path[64], line[128];
  std::snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
  read_start(path, line);
  const char* name_end = std::strrchr(line, ')');  // the name may hold anything
  return name_end != nullptr && name_end[1] == ' ' ? name_end[2] : '\0';
}

}  // namespace skein::inline SKEIN_ABI::os
