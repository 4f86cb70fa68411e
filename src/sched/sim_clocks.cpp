#include "sched/sim_clocks.hpp"

#include <algorithm>

namespace skein::inline SKEIN_ABI::sched {

void clocks::stop() noexcept {
  if (!started_) return;
  started_ = false;
  goroutines_.clear();
  edges_.clear();
}

void clocks::forget(std::uint32_t who) noexcept {
  if (who < goroutines_.size()) goroutines_[who].clear();
}

clocks::clock& clocks::at(std::uint32_t who) {
  if (who >= goroutines_.size()) goroutines_.resize(who + 1);
  clock& c = goroutines_[who];
  if (who >= c.size()) c.resize(who + 1);
  if (c[who] == 0) c[who] = 1;
  return c;
}

void clocks::join(clock& to, const clock& from) {
  if (to.size() < from.size()) to.resize(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = std::max(to[i], from[i]);
}

void clocks::release(std::uint32_t who, const void* edge) {
  if (!started_) return;
  clock& mine = at(who);
  join(edges_[edge], mine);
  ++mine[who];
}

void clocks::acquire(std::uint32_t who, const void* edge) {
  if (!started_) return;
  const auto it = edges_.find(edge);
  if (it != edges_.end()) join(at(who), it->second);
}

std::uint32_t clocks::of(std::uint32_t who) { return at(who)[who]; }

bool clocks::before(std::uint32_t other, std::uint32_t then, std::uint32_t who) {
  const auto& mine = at(who);
  return other < mine.size() && then <= mine[other];
}

}  // namespace skein::inline SKEIN_ABI::sched
