// wyrand: one multiplication per number, 64 bits of state.
// https://github.com/wangyi-fudan/wyhash
#pragma once

#include <cstdint>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI::base {

class rng {
 public:
  explicit constexpr rng(std::uint64_t seed = 0) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    state_ += 0xa0761d6478bd642fULL;
    __extension__ using wide = unsigned __int128;
    const auto m = static_cast<wide>(state_) * (state_ ^ 0xe7037ed1a0b428dbULL);
    return static_cast<std::uint64_t>(m >> 64) ^ static_cast<std::uint64_t>(m);
  }
  // below(n) is uniform in [0, n) up to a bias of n / 2^32; n < 2^32.
  std::uint32_t below(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace skein::inline SKEIN_ABI::base
