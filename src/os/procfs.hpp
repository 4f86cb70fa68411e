// What the kernel says about this process and its threads.
#pragma once

#include <cstddef>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::os {

std::size_t address_space_in_use() noexcept;  // bytes; 0 if it cannot be told
// commits_strictly(): every private mapping counts as if it were used (vm.overcommit_memory = 2).
bool commits_strictly() noexcept;
// thread_state() is the letter the kernel gives a thread of this process: R it runs or waits for a
// core, S and D it waits for something; see proc(5). 0 if there is no such thread.
char thread_state(long thread) noexcept;

}  // namespace skein::inline SKEIN_ABI::os
