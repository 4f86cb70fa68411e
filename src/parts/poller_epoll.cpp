#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/sys.hpp"
#include "parts/poller.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {
constexpr std::uint64_t wake_key = ~std::uint64_t{0};
}

void poller::close() noexcept {
  for (int* fd : {&epoll_, &wake_}) {
    if (*fd >= 0) sys::close(*fd);
    *fd = -1;
  }
}

poller::~poller() {
  close();
  for (std::size_t i = 0; i < size_; ++i)
    for (fd_wait* w : records_[i].by)
      if (w != nullptr) w->home.store(nullptr, std::memory_order_relaxed);
  if (records_ != nullptr) sys::deallocate(records_, size_ * sizeof(record), alignof(record));
}

int poller::open() noexcept {
  epoll_ = sys::epoll_create();
  if (epoll_ < 0) return epoll_;
  wake_ = sys::event_fd();
  if (wake_ < 0) return wake_;
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  e.data.u64 = wake_key;
  return sys::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &e);
}

poller::record* poller::find(int fd) noexcept {
  const auto i = static_cast<std::size_t>(fd);
  if (i >= size_) {
    if (::fcntl(fd, F_GETFD) < 0) return nullptr;  // before making room for a number that is no descriptor
    const std::size_t grown = std::max<std::size_t>({64, size_ * 2, i + 1});
    record* bigger;
    try {
      bigger = static_cast<record*>(sys::allocate(grown * sizeof(record), alignof(record)));
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
    const sys::unseen own;
    std::memset(static_cast<void*>(bigger), 0, grown * sizeof(record));
    if (records_ != nullptr) {
      std::memcpy(static_cast<void*>(bigger), records_, size_ * sizeof(record));
      sys::deallocate(records_, size_ * sizeof(record), alignof(record));
    }
    records_ = bigger;
    size_ = grown;
  }
  return &records_[i];
}

// Tells the kernel which directions are waited for. A descriptor that was closed and opened again
// is unknown to epoll although its record says otherwise, and the other way round.
int poller::update(int fd, record& r) noexcept {
  epoll_event e{};
  e.events = EPOLLONESHOT;
  if (r.by[0] != nullptr) e.events |= EPOLLIN | EPOLLRDHUP;
  if (r.by[1] != nullptr) e.events |= EPOLLOUT;
  e.data.u64 = static_cast<std::uint64_t>(static_cast<std::uint32_t>(fd)) | (std::uint64_t{++r.arming} << 32);
  int rc = sys::epoll_ctl(epoll_, r.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e);
  if (rc == -ENOENT) rc = sys::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e);
  if (rc == -EEXIST) rc = sys::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &e);
  r.registered = rc == 0;
  return rc;
}

int poller::arm(fd_wait* w) noexcept {
  if (w->fd < 0) return -EBADF;
  const auto d = static_cast<std::size_t>(w->event);
  lock_.lock();
  record* r = find(w->fd);
  int rc = 0;
  if (r == nullptr) {
    rc = errno == EBADF ? -EBADF : -ENOMEM;
  } else if (r->by[d] != nullptr) {
    rc = -EEXIST;
  } else {
    r->by[d] = w;
    rc = update(w->fd, *r);
    if (rc == 0) {
      waiters_.fetch_add(1, std::memory_order_relaxed);
      w->home.store(this, std::memory_order_relaxed);
    } else {
      r->by[d] = nullptr;
    }
  }
  lock_.unlock();
  return rc;
}

bool poller::disarm(fd_wait* w) noexcept {
  const auto d = static_cast<std::size_t>(w->event);
  lock_.lock();
  record* r = static_cast<std::size_t>(w->fd) < size_ ? &records_[w->fd] : nullptr;
  const bool armed = r != nullptr && r->by[d] == w;
  if (armed) {
    r->by[d] = nullptr;
    w->home.store(nullptr, std::memory_order_relaxed);
    waiters_.fetch_sub(1, std::memory_order_relaxed);
    // With the other direction still armed the kernel may report this one once more; wait() ignores
    // it and arms what is left.
    if (r->by[1 - d] == nullptr) {
      sys::epoll_ctl(epoll_, EPOLL_CTL_DEL, w->fd, nullptr);
      r->registered = false;
      ++r->arming;
    }
  }
  lock_.unlock();
  return armed;
}

std::size_t poller::wait(std::int64_t timeout_ns, goroutine_list& ready) noexcept {
  epoll_event events[128];
  const int n = sys::epoll_wait(epoll_, events, 128, timeout_ns);
  std::size_t fired = 0;
  lock_.lock();
  for (int i = 0; i < n; ++i) {
    const std::uint64_t key = events[i].data.u64;
    if (key == wake_key) {
      std::uint64_t count;
      sys::read(wake_, &count, sizeof count);
      continue;
    }
    const int fd = static_cast<int>(static_cast<std::uint32_t>(key));
    record& r = records_[static_cast<std::size_t>(fd)];
    if (r.arming != static_cast<std::uint32_t>(key >> 32)) continue;
    const std::uint32_t broken = events[i].events & (EPOLLERR | EPOLLHUP);
    const std::uint32_t is[2] = {events[i].events & (EPOLLIN | EPOLLRDHUP), events[i].events & EPOLLOUT};
    const auto fire = [&](int d) {
      fd_wait* w = r.by[d];
      r.by[d] = nullptr;
      waiters_.fetch_sub(1, std::memory_order_relaxed);
      ++fired;
      w->fire(w, ready);
      w->home.store(nullptr, std::memory_order_release);  // last: until then a dropper waits for the lock
    };
    for (int d = 0; d < 2; ++d)
      if (r.by[d] != nullptr && (is[d] | broken) != 0) fire(d);
    for (int d = 0; d < 2; ++d)  // cannot be armed again: its reader finds out why
      if (r.by[d] != nullptr && update(fd, r) != 0) fire(d);
  }
  lock_.unlock();
  return fired;
}

void poller::interrupt() noexcept {
  const std::uint64_t one = 1;
  sys::write(wake_, &one, sizeof one);
}

}  // namespace skein::inline SKEIN_ABI::detail
