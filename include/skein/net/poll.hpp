// Waiting for file descriptors.
//
//   skein::wait_readable(fd);                       // parks the goroutine, not the thread
//   switch (skein::select(recv(skein::readable(fd)), recv(skein::after(1s)))) { ... }
#pragma once

#include <chrono>
#include <system_error>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/detail/fd_event.hpp"

namespace skein::inline SKEIN_ABI {
namespace detail {
chan_status wait_fd(int fd, fd_event e, const limit& l);
inline bool fd_is_ready(int fd, fd_event e, const limit& l) {
  return wait_fd(fd, e, l) == chan_status::done;
}
chan_core* fd_chan(int fd, fd_event e);
}  // namespace detail

// wait_readable(), wait_writable() block until fd is ready, or has an error or hang-up to report by
// the next read or write. One waiter per fd and direction at a time: a second one throws misuse. A
// file that is always ready (a regular file) returns at once. Throws std::system_error for a
// descriptor that cannot be polled. The descriptor must stay open during the wait.
inline void wait_readable(int fd) { detail::wait_fd(fd, detail::fd_event::read, detail::limit::forever()); }
inline void wait_writable(int fd) { detail::wait_fd(fd, detail::fd_event::write, detail::limit::forever()); }

// The timed and context forms return false when the time or the context ends first.
template <class Rep, class Period>
bool wait_readable_for(int fd, std::chrono::duration<Rep, Period> d) {
  return detail::fd_is_ready(fd, detail::fd_event::read,
                             detail::limit::until(detail::deadline_after(d)));
}
template <class Rep, class Period>
bool wait_writable_for(int fd, std::chrono::duration<Rep, Period> d) {
  return detail::fd_is_ready(fd, detail::fd_event::write,
                             detail::limit::until(detail::deadline_after(d)));
}
template <class Clock, class Dur>
bool wait_readable_until(int fd, std::chrono::time_point<Clock, Dur> t) {
  return detail::fd_is_ready(fd, detail::fd_event::read,
                             detail::limit::until(detail::deadline_at(t)));
}
template <class Clock, class Dur>
bool wait_writable_until(int fd, std::chrono::time_point<Clock, Dur> t) {
  return detail::fd_is_ready(fd, detail::fd_event::write,
                             detail::limit::until(detail::deadline_at(t)));
}
inline bool wait_readable(const context& ctx, int fd) {
  return detail::fd_is_ready(fd, detail::fd_event::read, detail::limit::by(ctx));
}
inline bool wait_writable(const context& ctx, int fd) {
  return detail::fd_is_ready(fd, detail::fd_event::write, detail::limit::by(ctx));
}

// readable(), writable() are receivers that give one unit when fd is ready, for a select. Dropping
// the last handle ends the wait.
inline receiver<unit> readable(int fd) {
  return receiver<unit>(detail::chan_handle(detail::fd_chan(fd, detail::fd_event::read)));
}
inline receiver<unit> writable(int fd) {
  return receiver<unit>(detail::chan_handle(detail::fd_chan(fd, detail::fd_event::write)));
}

}  // namespace skein::inline SKEIN_ABI
