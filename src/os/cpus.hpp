// How many CPUs this process may use.
#pragma once

#include "skein/detail/atomic.hpp"
#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::os {

// allowed_cpus() is the size of the affinity mask; quota_cpus() that mask capped by the CPU quota of
// the process's cgroup (v2 or v1), rounded up, at least 1; 0 if that cannot be told at the moment.
int allowed_cpus() noexcept;
int quota_cpus() noexcept;

// Where the cgroups are mounted: /sys/fs/cgroup, unless a test has its own.
extern detail::atomic<const char*> cgroup_root;

// parse_count() reads a count; 0 for anything but a decimal number from 1 to `most`.
int parse_count(const char* text, int most) noexcept;

}  // namespace skein::inline SKEIN_ABI::os
