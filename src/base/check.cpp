#include "base/check.hpp"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/sys.hpp"
#include "skein/detail/atomic.hpp"

namespace skein::inline SKEIN_ABI::base {

text& text::operator<<(const char* s) noexcept {
  const std::size_t n = std::min(std::strlen(s), sizeof buf_ - len_);
  std::memcpy(buf_ + len_, s, n);
  len_ += n;
  return *this;
}

text& text::operator<<(std::uint64_t n) noexcept {
  char digits[21];
  char* p = digits + sizeof digits;
  *--p = 0;
  do *--p = static_cast<char>('0' + n % 10);
  while ((n /= 10) != 0);
  return *this << static_cast<const char*>(p);
}

text& text::operator<<(const void* v) noexcept {
  char hex[19];
  char* p = hex + sizeof hex;
  *--p = 0;
  auto n = reinterpret_cast<std::uintptr_t>(v);
  do *--p = "0123456789abcdef"[n % 16];
  while ((n /= 16) != 0);
  return *this << "0x" << static_cast<const char*>(p);
}

void text::print() const noexcept {
  std::size_t done = 0;
  while (done < len_) {
    const long n = sys::report(buf_ + done, len_ - done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == -EAGAIN) {  // somebody made it non-blocking, for us as well
      pollfd room{STDERR_FILENO, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (n != -EINTR) {
      return;
    }
  }
}

void begin_report() noexcept {
  static detail::atomic<int> reporter{0};
  int first = 0;
  const auto self = static_cast<int>(::gettid());
  if (reporter.compare_exchange_strong(first, self, std::memory_order_relaxed, std::memory_order_relaxed)) return;
  if (first == self) std::abort();
  for (;;) ::pause();
}

void fatal(const char* what) noexcept {
  begin_report();
  (text() << "skein: fatal: " << what << "\n").print();
  std::abort();
}

}  // namespace skein::inline SKEIN_ABI::base
