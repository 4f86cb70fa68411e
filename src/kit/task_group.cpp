#include "skein/task_group.hpp"

#include <utility>

namespace skein::inline SKEIN_ABI {

void task_group::set_limit(std::size_t n) {
  if (running_.load(std::memory_order_relaxed) != 0) throw misuse("skein: set_limit() while goroutines of the group run");
  if (n == 0) throw misuse("skein: a task_group with a limit of 0 could run nothing");
  slots_.reset();
  if (n != no_limit) slots_.emplace(n);
}

void task_group::failed(std::exception_ptr e) noexcept {
  {
    std::lock_guard hold(m_);
    if (first_) return;
    first_ = e;
  }
  if (bound_) bound_->cancel(std::move(e));
}

void task_group::finished() noexcept {
  running_.fetch_sub(1, std::memory_order_relaxed);
  if (slots_) static_cast<void>(slots_->try_recv());
  all_.done();
}

void task_group::wait() {
  all_.wait();
  ended();
}

bool task_group::ended() {
  if (bound_) bound_->cancel();
  std::exception_ptr e;
  {
    std::lock_guard hold(m_);
    e = std::exchange(first_, nullptr);
  }
  if (e) std::rethrow_exception(e);
  return true;
}

}  // namespace skein::inline SKEIN_ABI
