// System calls as goroutines want them: errors come as values.
//
// A compiler may remember where errno is, and a goroutine that parks may go on on another thread,
// which has another errno. So errno is read in functions that never park and are never inlined.
#pragma once

#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

namespace digest {

// descriptor: an open file, or none.
class descriptor {
 public:
  explicit descriptor(int fd = -1) noexcept : fd_(fd) {}
  descriptor(descriptor&& o) noexcept : fd_(o.release()) {}
  descriptor& operator=(descriptor o) noexcept;
  ~descriptor();
  int get() const noexcept { return fd_; }
  int release() noexcept;

 private:
  int fd_;
};

// open_path() opens a path of any length, also one beyond PATH_MAX.
[[gnu::noinline]] descriptor open_path(const std::string& path, int flags, std::error_code& error);

// read_some(), write_some() return how many bytes were moved.
[[gnu::noinline]] std::size_t read_some(int fd, void* to, std::size_t n, std::error_code& error);
[[gnu::noinline]] std::size_t write_some(int fd, const void* from, std::size_t n,
                                         std::error_code& error);

}  // namespace digest
