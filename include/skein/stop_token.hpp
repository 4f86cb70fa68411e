// Contexts and std::stop_token, each from the other.
//
//   std::jthread worker([](std::stop_token st) {
//     auto [ctx, cancel] = skein::with_stop_token(skein::background(), st);
//     while (auto job = jobs.recv(ctx)) job->run();                  // ends when the thread is to stop
//   });
//   library.run(skein::stop_token_of(ctx));                          // stops when ctx ends
//
// Beware of what <stop_token> keeps per thread: request_stop() and the end of a std::stop_callback compare
// thread ids, which a compiler may remember across a park of the same function. On a goroutine give them a
// function of their own that is not inlined, and do not block in a callback.
#pragma once

#include <memory>
#include <stop_token>
#include <utility>

#include "skein/context.hpp"

namespace skein::inline SKEIN_ABI {

namespace detail {
// stopper is what std::stop_callback calls, on the goroutine or thread that requests the stop, which must not
// park there: the standard tells a callback that destroys itself by its thread. It does not own the
// context, which holds the callback.
struct stopper {
  context_core* c;
  void operator()() const noexcept { context_cancel_soon(c); }
};
}  // namespace detail

// with_stop_token() is with_cancel() whose context also ends, with errc::canceled, when a stop is requested
// of st: at once if it has been, otherwise from a goroutine (a thread of skein's, outside a runtime) that
// the request starts, so soon after it. A context that has ended, or that nobody has any more, holds
// nothing of the token.
inline cancelable with_stop_token(const context& parent, const std::stop_token& st) {
  cancelable made = with_cancel(parent);
  detail::context_core* const c = made.ctx.core();
  if (st.stop_requested())
    made.cancel();
  else if (st.stop_possible())
    detail::context_hold(
        c, std::make_shared<std::stop_callback<detail::stopper>>(st, detail::stopper{c}));
  return made;
}

// stop_token_of() is a token of which a stop is requested when ctx ends, from a goroutine as after_func()
// has it, which runs the token's callbacks. It is the same token for each call. A token of a
// context that cannot end, or that nobody has any more and has not ended, says that no stop is possible.
inline std::stop_token stop_token_of(const context& ctx) {
  const auto token = [](const std::shared_ptr<void>& p) {
    return static_cast<std::stop_source*>(p.get())->get_token();
  };
  if (const auto there = detail::context_companion(ctx.core(), nullptr)) return token(there);
  const auto made = std::make_shared<std::stop_source>();
  if (ctx.err()) made->request_stop();
  const auto forget = after_func(ctx, [source = *made]() mutable { source.request_stop(); });
  const auto there = detail::context_companion(ctx.core(), made);
  if (there != made) forget();
  return there != nullptr ? token(there) : std::stop_token();
}

}  // namespace skein::inline SKEIN_ABI
