// What a test can learn about its own process and thread, and a pipe of the system's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "skein/runtime.hpp"

namespace everywhere {

#if defined(SKEIN_SEES_ASAN) || defined(SKEIN_SEES_TSAN)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

// Built so that a goroutine never goes on on the thread that it left (SKEIN_FORCE_MIGRATION).
#if defined(SKEIN_FORCE_MIGRATION)
inline constexpr bool migrating = true;
#else
inline constexpr bool migrating = false;
#endif

// with_procs(n) are options that ask for n processors and nothing else.
inline skein::options with_procs(int n) {
  skein::options o;
  o.procs = n;
  return o;
}

// at_home(which, n) are options for n processors whose workers know that they are at `which`, and
// home_here() is where the calling worker is; 0 on other threads.
skein::options at_home(int which, int n);
int home_here();

// Entries of /proc/self/task and /proc/self/fd, lines of /proc/self/maps.
std::size_t count_threads();
std::size_t count_fds();
std::size_t count_mappings();

// status_kib("VmRSS") is a line of /proc/self/status.
std::size_t status_kib(std::string_view field);

// resident_bytes() is what the process occupies, page tables included.
std::size_t resident_bytes();

// limit_address_space(more) lets the process have that many bytes more than it has, if it may have them.
void limit_address_space(std::size_t more);
bool address_space_is_limited();

std::string thread_name();
// thread_id() is the kernel's number of the calling thread, asked for anew at each call.
int thread_id();
// change_thread() returns on another thread than the one it was called on, in a real runtime.
void change_thread();

// require() throws std::runtime_error(what) unless it holds: for children, which have no gtest.
void require(bool holds, const std::string& what);

bool contains(std::string_view text, std::string_view part);

struct os_pipe {
  os_pipe();
  os_pipe(const os_pipe&) = delete;
  os_pipe& operator=(const os_pipe&) = delete;
  ~os_pipe();
  void put() const;   // writes one byte
  bool take() const;  // reads one byte, blocking the thread; false at the end
  int in = -1;   // to read from
  int out = -1;  // to write to
};

// dig(bytes) calls itself until that much stack is in use, and touches each frame again on the way
// back. It returns how many frames it took.
std::size_t dig(std::size_t bytes);

}  // namespace everywhere
