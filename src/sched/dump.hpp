// The list of goroutines.
#pragma once

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::sched {

// print_goroutines() writes the goroutines of every runtime to stderr.
void print_goroutines() noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
