// Text about goroutines for reports.
#pragma once

#include "base/check.hpp"

namespace skein::inline SKEIN_ABI::sched {

// describe_site() names the function that called go(). Uses dladdr and malloc.
void describe_site(base::text& t, const void* site);
// print_stack() writes the caller's stack to stderr.
void print_stack() noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
