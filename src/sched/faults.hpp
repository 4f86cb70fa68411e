// Text about goroutines for reports.
#pragma once

#include "base/check.hpp"
#include "parts/goroutine.hpp"

namespace skein::inline SKEIN_ABI::sched {

// describe_site() names the function that called go(). Uses dladdr and malloc.
void describe_site(base::text& t, const void* site);
// name_goroutine() is "goroutine 12.3": its number, and how often that was used.
void name_goroutine(base::text& t, const detail::goroutine& g) noexcept;
// report_goexit() ends the process because exit_goroutine() did not get through, and says how that came.
[[noreturn]] void report_goexit(const char* how) noexcept;
// print_stack() writes the caller's stack to stderr.
void print_stack() noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
