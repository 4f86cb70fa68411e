// What skein throws. Ordinary outcomes (closed, would block, time-out) are values; these are
// misuse, or an end that the caller has to know about.
//
// What destructors throw reaches somebody only where a channel hands an element out: the receiver, or the sender
// who gets it back. map and pool take no types whose destructors may throw. Otherwise skein destroys where nobody
// could catch, and an exception ends the process: what goroutines, tasks and timers captured, values of contexts,
// locals and singleflights, elements that are left in a channel.
#pragma once

#include <stdexcept>
#include <system_error>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI {

// misuse: a call that Go answers with a panic: close of a closed or nil channel, a negative wait
// group, unlock of an unlocked mutex.
struct misuse : std::logic_error {
  using std::logic_error::logic_error;
};

// closed_channel: send on a channel that is closed, or that was closed while the send waited.
struct closed_channel : misuse {
  closed_channel() : misuse("skein: send on closed channel") {}
};

// no_runtime: go() or spawn() from a thread that has no runtime to use.
struct no_runtime : misuse {
  using misuse::misuse;
};

// goroutine_exited: the result of something that was left through exit_goroutine(), join() of such a
// task, another call of such a once_func(); and of a task whose runtime ended first.
struct goroutine_exited : std::runtime_error {
  using std::runtime_error::runtime_error;
  goroutine_exited()
      : std::runtime_error("skein: no result, because exit_goroutine() was called") {}
};

// errc: the outcomes that travel as std::error_code.
enum class errc { canceled = 1, deadline_exceeded = 2, closed = 3 };

const std::error_category& error_category() noexcept;
inline std::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), error_category()};
}

}  // namespace skein::inline SKEIN_ABI

template <> struct std::is_error_code_enum<skein::errc> : std::true_type {};
