// A schedule: the source of every choice of a simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "skein/test/sim.hpp"

namespace skein::inline SKEIN_ABI::sched {

class schedule {
 public:
  virtual ~schedule() = default;
  // pick() is one of n things that have no order of their own.
  virtual std::uint32_t pick(std::uint32_t n) = 0;
  // at_point() is who goes on of `self`, for 0, or ids[i - 1]. One that yields wants another.
  virtual std::size_t at_point(std::uint32_t self, const std::vector<std::uint32_t>& ids, bool yields) = 0;
  // after_park() is the index of who goes on.
  virtual std::size_t after_park(const std::vector<std::uint32_t>& ids) = 0;
  virtual std::string name() const = 0;  // for replay()
};

class random_schedule final : public schedule {
 public:
  explicit random_schedule(std::uint64_t seed) : seed_(seed), random_(seed * 0x9e3779b97f4a7c15ULL) {}
  std::uint32_t pick(std::uint32_t n) override { return random_.below(n); }
  std::size_t at_point(std::uint32_t self, const std::vector<std::uint32_t>& ids, bool yields) override;
  std::size_t after_park(const std::vector<std::uint32_t>& ids) override;
  std::string name() const override { return std::to_string(seed_); }

 private:
  std::uint64_t seed_;
  base::rng random_;
};

// pct_schedule: who has the highest priority runs. The places where it loses it are drawn as if the
// schedule had a length between 8 and 1024 points, which the seed decides too; so short and long ones get
// their share. Whoever yields, or passes very many points in a row, loses it as well, and now and then all
// priorities are drawn anew, so that loops that wait for others end.
class pct_schedule final : public schedule {
 public:
  pct_schedule(std::uint64_t seed, int depth);
  std::uint32_t pick(std::uint32_t n) override { return random_.below(n); }
  std::size_t at_point(std::uint32_t self, const std::vector<std::uint32_t>& ids, bool yields) override;
  std::size_t after_park(const std::vector<std::uint32_t>& ids) override;
  std::string name() const override { return std::to_string(seed_); }

 private:
  std::uint64_t priority(std::uint32_t id);
  void lower(std::uint32_t id);

  std::uint64_t seed_;
  base::rng random_;
  int changes_;
  std::uint32_t length_;
  std::uint64_t lowest_ = 1ULL << 40;
  std::uint64_t points_ = 0;
  std::vector<std::uint64_t> priorities_;  // by id; 0: not drawn yet
  std::uint32_t last_ = 0;
  int in_a_row_ = 0;
};

std::unique_ptr<schedule> seeded(std::uint64_t seed, test::strategy s, int depth);

// listed_schedule: choices from a list, and 0 beyond it. next() moves on to the one that comes after it in
// depth-first order.
class listed_schedule final : public schedule {
 public:
  explicit listed_schedule(int preemptions) : preemptions_(preemptions) {}
  explicit listed_schedule(const std::string& name);  // throws std::invalid_argument
  std::uint32_t pick(std::uint32_t n) override;
  std::size_t at_point(std::uint32_t self, const std::vector<std::uint32_t>& ids, bool yields) override;
  std::size_t after_park(const std::vector<std::uint32_t>& ids) override { return pick(static_cast<std::uint32_t>(ids.size())); }
  std::string name() const override;
  void restart() noexcept;
  bool next();  // false: that was the last one

 private:
  struct choice {
    std::uint32_t taken, of;
  };
  int preemptions_;
  int left_ = preemptions_;
  std::vector<choice> choices_;
  std::size_t at_ = 0;
  std::uint32_t last_ = 0;
  int in_a_row_ = 0;
};

}  // namespace skein::inline SKEIN_ABI::sched
