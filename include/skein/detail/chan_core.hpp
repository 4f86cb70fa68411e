// The library's side of channels and select, as the templates see it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "skein/detail/elem.hpp"
#include "skein/time_point.hpp"

namespace skein::inline SKEIN_ABI {

class context;

namespace detail {

struct chan_core;
struct context_core;

enum class chan_status : std::uint8_t {
  done,         // the value moved
  closed,       // recv: closed and drained; send: closed, the value stayed with the sender
  would_block,  // a try form found nobody
  timeout,      // the deadline came first
  canceled      // the context ended first
};

// limit says how long an operation may wait: not at all, until a deadline, until a context ends.
struct limit {
  bool wait = true;
  bool has_deadline = false;
  time_point deadline{};
  context_core* ctx = nullptr;

  static limit forever() noexcept { return {}; }
  static limit never() noexcept { return {false, false, {}, nullptr}; }
  static limit until(time_point t) noexcept { return {true, true, t, nullptr}; }
  static limit by(const context& ctx) noexcept;
  static limit by(const context& ctx, time_point t) noexcept;  // whichever comes first
};

// chan_make allocates a channel with one reference. Throws std::length_error for a capacity whose
// buffer could not exist and std::bad_alloc for one that does not fit.
chan_core* chan_make(const elem_ops& ops, std::size_t capacity);
void chan_retain(chan_core* c) noexcept;
void chan_release(chan_core* c) noexcept;

// A null core is the nil channel. send moves the element out of `from` if and only if it returns
// done; recv constructs an element in `to` if and only if it returns done.
chan_status chan_send(chan_core* c, void* from);
chan_status chan_recv(chan_core* c, void* to);
chan_status chan_send(chan_core* c, void* from, const limit& l);
chan_status chan_recv(chan_core* c, void* to, const limit& l);
chan_status chan_try_send(chan_core* c, void* from);
chan_status chan_try_recv(chan_core* c, void* to);
void chan_close(chan_core* c);
std::size_t chan_size(const chan_core* c) noexcept;
std::size_t chan_capacity(const chan_core* c) noexcept;

// One case of a select. core null: never ready.
struct select_case {
  enum class kind : std::uint8_t { recv, send };
  chan_core* core = nullptr;
  void* slot = nullptr;
  kind dir = kind::recv;
  bool closed = false;  // written for the case that fired: it met a closed channel
};

inline constexpr int no_case = -1;   // would block, when the limit says not to wait
inline constexpr int timed_out = -2;
inline constexpr int was_canceled = -3;

// select_cases blocks within the limit until one case fires and returns its index, or one of the
// three constants above.
int select_cases(select_case* const* cases, std::size_t n, const limit& l);

[[noreturn]] void throw_closed_channel();

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
