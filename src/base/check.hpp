// Fatal ends. Constant text, no allocation, so they work when nothing else does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::base {

// text builds one line on the stack for stderr; what does not fit is cut.
class text {
 public:
  text& operator<<(const char* s) noexcept;
  text& operator<<(std::uint64_t n) noexcept;
  text& operator<<(const void* p) noexcept;
  void print() const noexcept;  // to stderr, all of it, in one write if it takes it
  std::string_view view() const noexcept { return {buf_, len_}; }

 private:
  char buf_[768];
  std::size_t len_ = 0;
};

// begin_report() comes before a last report: the first thread that has one is the only one, so reports do not
// mix. The others wait for the end; who meets itself has failed in its own report, and aborts.
void begin_report() noexcept;

// fatal() prints "skein: fatal: <what>" and aborts.
[[noreturn]] void fatal(const char* what) noexcept;

}  // namespace skein::inline SKEIN_ABI::base

// SKEIN_CHECK stands for an invariant of the runtime; its failure is corruption.
#define SKEIN_CHECK(cond) \
  do {                    \
    if (!(cond)) [[unlikely]] ::skein::base::fatal("internal check failed: " #cond); \
  } while (0)
