// Measuring how deep goroutines go, by creation site.
//
// While stacks are watched every goroutine begins on a stack whose pages were given back before, and
// ends in the scheduler loop (the attention word's `watch` sends it there), where the pages it has
// touched are counted. One that has been parked for long is counted before its pages are given back.
#pragma once

#include "sched/state.hpp"

namespace skein::inline SKEIN_ABI::sched {

bool stacks_watched() noexcept;
void clean_stack(const arch::stack& s) noexcept;  // nobody stands on it
// note_depth() counts for the site of g what g has touched of s so far.
void note_depth(const goroutine& g, const arch::stack& s, bool ended) noexcept;

}  // namespace skein::inline SKEIN_ABI::sched
