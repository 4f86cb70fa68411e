#include "choices.hpp"

#include <cstdlib>

#include "memory.hpp"

namespace model {

void choices::start() {
  at_ = 0;
  left_[0] = bounds_.preemptions;
  left_[1] = bounds_.stale;
}

void choices::search(bounds b) {
  mode_ = mode::search;
  bounds_ = b;
  made_.clear();
  start();
}

bool choices::next() {
  made_.resize(at_);
  while (!made_.empty() && made_.back().taken + 1 == made_.back().options) made_.pop_back();
  if (made_.empty()) return false;
  ++made_.back().taken;
  start();
  return true;
}

void choices::random(std::uint64_t seed) {
  mode_ = mode::random;
  made_.clear();
  at_ = 0;
  state_ = seed;
  roll(2);
  restless_ = 2u << roll(6);
  const std::uint32_t stale[] = {0, 2, 8};
  stale_ = stale[roll(3)];
}

// As text(): options taken, separated by commas; NxM stands for M, N times.
void choices::replay(std::string_view text) {
  mode_ = mode::replay;
  made_.clear();
  at_ = 0;
  const std::string all(text);
  for (const char* p = all.c_str(); *p != '\0';) {
    char* end;
    unsigned long times = 1;
    unsigned long taken = std::strtoul(p, &end, 10);
    if (*end == 'x') {
      times = taken;
      taken = std::strtoul(end + 1, &end, 10);
    }
    made_.insert(made_.end(), times, {static_cast<std::uint32_t>(taken), 0});
    p = *end == ',' ? end + 1 : end;
  }
}

std::string choices::text() const {
  std::string out;
  for (std::size_t i = 0; i < at_;) {
    std::size_t n = 1;
    while (i + n < at_ && made_[i + n].taken == made_[i].taken) ++n;
    if (!out.empty()) out += ',';
    if (n > 1) out += std::to_string(n) + 'x';
    out += std::to_string(made_[i].taken);
    i += n;
  }
  return out;
}

std::uint32_t choices::roll(std::uint32_t n) noexcept {  // splitmix64
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<std::uint32_t>(((z ^ (z >> 31)) >> 32) * n >> 32);
}

std::uint32_t choices::pick(kind k, std::uint32_t n, std::uint32_t free) {
  if (n < 2) return 0;
  // A decision all the same: a replay, which knows no bounds, has it too.
  if (mode_ == mode::search && left_[static_cast<int>(k)] == 0) n = free;
  if (mode_ == mode::random) {
    const std::uint32_t one_in = k == kind::thread ? restless_ : stale_;
    std::uint32_t taken = free > 1 ? roll(free) : 0;
    if (n > free && one_in != 0 && roll(one_in) == 0) taken = roll(n);
    made_.push_back({taken, n});
    ++at_;
    return taken;
  }
  if (at_ == made_.size()) made_.push_back({0, n});  // past the end of a replay: the usual
  decision& d = made_[at_++];
  if (mode_ == mode::search && d.options != n) fail("the model does not do the same each time");
  if (d.taken >= n) fail("the choices to replay are those of another model");
  if (d.taken >= free) --left_[static_cast<int>(k)];
  return d.taken;
}

}  // namespace model
