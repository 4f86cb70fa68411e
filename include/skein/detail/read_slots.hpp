// Where the readers of a shared_mutex count; defined by src/prim/read_slots.hpp.
#pragma once

#include <cstdint>

#include "skein/detail/atomic.hpp"

namespace skein::inline SKEIN_ABI::sched {
struct proc;
struct worker;
}  // namespace skein::inline SKEIN_ABI::sched

namespace skein::inline SKEIN_ABI::detail {

struct read_slot {
  atomic<const void*> owner{nullptr};
  atomic<std::uint64_t> came{0};
  atomic<std::uint64_t> left{0};
  atomic<std::uint64_t> moved{0};

  std::int64_t count() const noexcept;
  void move(std::int64_t n) noexcept;
};

class read_slots {
 public:
  read_slots() noexcept = default;
  read_slots(const read_slots&) = delete;
  read_slots& operator=(const read_slots&) = delete;
  ~read_slots();

  read_slot* of(const sched::proc* p) noexcept;
  std::int64_t count() noexcept;
  std::int64_t move_all() noexcept;
  bool take() noexcept;

  struct table;
  table* prepare(const sched::proc* p) noexcept;
  bool give(const sched::proc* p, table*& fresh) noexcept;
  static void drop(table* t) noexcept;

 private:
  template <class F> void each(F f) noexcept;

  read_slot first_;
  atomic<table*> table_{nullptr};
};

}  // namespace skein::inline SKEIN_ABI::detail
