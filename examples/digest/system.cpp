#include "system.hpp"

#include <cerrno>
#include <climits>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace digest {
namespace {

std::error_code last_error() { return {errno, std::system_category()}; }

}  // namespace

descriptor::~descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

descriptor& descriptor::operator=(descriptor o) noexcept {
  std::swap(fd_, o.fd_);
  return *this;
}

int descriptor::release() noexcept { return std::exchange(fd_, -1); }

descriptor open_path(const std::string& path, int flags, std::error_code& error) {
  // The kernel takes less than PATH_MAX bytes at a time: go there directory by directory.
  descriptor from;
  int at = AT_FDCWD;
  std::size_t begin = 0;
  while (path.size() - begin >= PATH_MAX) {
    const std::size_t end = path.rfind('/', begin + PATH_MAX - 2);
    if (end == std::string::npos || end <= begin) break;
    from = descriptor(
        ::openat(at, path.substr(begin, end - begin).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    at = from.get();
    if (at < 0) break;
    begin = path.find_first_not_of('/', end);
  }
  descriptor fd(begin == 0 || at >= 0 ? ::openat(at, path.c_str() + begin, flags | O_CLOEXEC) : -1);
  error = fd.get() >= 0 ? std::error_code() : last_error();
  return fd;
}

std::size_t read_some(int fd, void* to, std::size_t n, std::error_code& error) {
  ssize_t got;
  do got = ::read(fd, to, n);
  while (got < 0 && errno == EINTR);
  error = got < 0 ? last_error() : std::error_code();
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

std::size_t write_some(int fd, const void* from, std::size_t n, std::error_code& error) {
  ssize_t put;
  do put = ::write(fd, from, n);
  while (put < 0 && errno == EINTR);
  error = put < 0 ? last_error() : std::error_code();
  return put < 0 ? 0 : static_cast<std::size_t>(put);
}

}  // namespace digest
