// Looking at a running program.
#pragma once

#include <string>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::debug {

// dump() lists the goroutines of every runtime: number, state or wait reason, creation site. It
// wakes nobody; goroutines that run meanwhile are shown as of some moment during the call.
std::string dump();

// foreign_idle: while it lives the calling thread, which is no worker, promises not to use skein on
// its own account; the all-asleep report need not wait for it.
class foreign_idle {
 public:
  foreign_idle() noexcept;
  foreign_idle(const foreign_idle&) = delete;
  foreign_idle& operator=(const foreign_idle&) = delete;
  ~foreign_idle();
};

}  // namespace skein::inline SKEIN_ABI::debug
