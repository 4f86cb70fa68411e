#include "sched/sim_schedule.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <stdexcept>

namespace skein::inline SKEIN_ABI::sched {

// Points in a row after which whoever passes them is taken for a loop that waits for others.
constexpr int patience = 200;
// Points after which all priorities are drawn anew.
constexpr std::uint64_t reign = 1000;

std::size_t random_schedule::at_point(std::uint32_t, const std::vector<std::uint32_t>& ids, bool yields) {
  const auto n = static_cast<std::uint32_t>(ids.size());
  if (yields) return 1 + random_.below(n);
  return random_.below(3) != 0 ? 0 : random_.below(n + 1);
}

std::size_t random_schedule::after_park(const std::vector<std::uint32_t>& ids) {
  return random_.below(static_cast<std::uint32_t>(ids.size()));
}

pct_schedule::pct_schedule(std::uint64_t seed, int depth)
    : seed_(seed), random_(seed * 0x9e3779b97f4a7c15ULL + 1), changes_(depth - 1), length_(8U << random_.below(8)) {}

std::uint64_t pct_schedule::priority(std::uint32_t id) {
  if (id >= priorities_.size()) priorities_.resize(id + 8);
  if (priorities_[id] == 0) priorities_[id] = lowest_ + 1 + (random_.next() >> 1) % (1ULL << 62);
  return priorities_[id];
}

void pct_schedule::lower(std::uint32_t id) {
  priority(id);
  priorities_[id] = --lowest_;
}

std::size_t pct_schedule::at_point(std::uint32_t self, const std::vector<std::uint32_t>& ids, bool yields) {
  if (++points_ % reign == 0) priorities_.clear();
  in_a_row_ = self == last_ ? in_a_row_ + 1 : 0;
  last_ = self;
  if (yields || in_a_row_ >= patience) {
    in_a_row_ = 0;
    lower(self);
  } else if (changes_ > 0 && random_.below(length_) < static_cast<std::uint32_t>(changes_)) {
    --changes_;
    lower(self);
  }
  const std::size_t best = after_park(ids);
  return priority(ids[best]) > priority(self) ? best + 1 : 0;
}

std::size_t pct_schedule::after_park(const std::vector<std::uint32_t>& ids) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < ids.size(); ++i)
    if (priority(ids[i]) > priority(ids[best])) best = i;
  return best;
}

std::unique_ptr<schedule> seeded(std::uint64_t seed, test::strategy s, int depth) {
  if (s == test::strategy::mixed) {
    if (seed % 2 != 0) return std::make_unique<random_schedule>(seed);
    depth = 1 + static_cast<int>(seed / 2 % 5);
  }
  if (s == test::strategy::random) return std::make_unique<random_schedule>(seed);
  return std::make_unique<pct_schedule>(seed, std::max(depth, 1));
}

// A list is written as its number of preemptions and its choices, without the zeros at the end: x3:0.0.2.1
listed_schedule::listed_schedule(const std::string& name) : preemptions_(0) {
  const char* at = name.data() + 1;
  const char* const end = name.data() + name.size();
  const auto number = [&](auto& n, char after) {
    const auto [rest, error] = std::from_chars(at, end, n);
    if (error != std::errc() || (rest != end && *rest != after)) throw std::invalid_argument("skein: no schedule: " + name);
    at = rest == end ? end : rest + 1;
  };
  number(preemptions_, ':');
  while (at != end) {
    choices_.push_back({0, 0});
    number(choices_.back().taken, '.');
  }
  left_ = preemptions_;
}

std::uint32_t listed_schedule::pick(std::uint32_t n) {
  if (n == 1) return 0;
  if (at_ == choices_.size()) choices_.push_back({0, n});
  choice& c = choices_[at_++];
  c.of = n;
  return std::min(c.taken, n - 1);
}

std::size_t listed_schedule::at_point(std::uint32_t self, const std::vector<std::uint32_t>& ids, bool yields) {
  in_a_row_ = self == last_ ? in_a_row_ + 1 : 0;
  last_ = self;
  const auto n = static_cast<std::uint32_t>(ids.size());
  if (yields || in_a_row_ >= patience) {
    in_a_row_ = 0;
    return 1 + pick(n);
  }
  if (left_ == 0) return 0;
  const std::uint32_t c = pick(n + 1);
  if (c != 0) --left_;
  return c;
}

std::string listed_schedule::name() const {
  std::size_t n = std::min(at_, choices_.size());
  while (n > 0 && choices_[n - 1].taken == 0) --n;
  std::string s = "x" + std::to_string(preemptions_);
  for (std::size_t i = 0; i < n; ++i) s += (i == 0 ? ":" : ".") + std::to_string(choices_[i].taken);
  return s;
}

void listed_schedule::restart() noexcept {
  at_ = 0;
  left_ = preemptions_;
  last_ = 0;
  in_a_row_ = 0;
}

bool listed_schedule::next() {
  choices_.resize(at_);
  restart();
  while (!choices_.empty() && choices_.back().taken + 1 >= choices_.back().of) choices_.pop_back();
  if (choices_.empty()) return false;
  ++choices_.back().taken;
  return true;
}

}  // namespace skein::inline SKEIN_ABI::sched
