// Calling what belongs to a program and keeping what it throws.
#pragma once

#include <exception>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::detail {

// call_guarded() calls call(f) and returns what was thrown, or null. exit_goroutine() is no exception
// and passes through: only the caller's destructors see it.
std::exception_ptr call_guarded(void (*call)(void*), void* f);

template <class F> std::exception_ptr call_guarded(F& f) {
  return call_guarded([](void* p) { (*static_cast<F*>(p))(); },
                      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace skein::inline SKEIN_ABI::detail
