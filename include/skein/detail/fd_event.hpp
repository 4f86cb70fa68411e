// The two directions of a descriptor.
#pragma once

#include <cstdint>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::detail {

enum class fd_event : std::uint8_t { read, write };

}  // namespace skein::inline SKEIN_ABI::detail
