// Signals as a channel (Go: os/signal).
//
//   skein::receiver<int> stop = skein::notify({SIGINT, SIGTERM});
//   switch (skein::select(recv(stop), recv(work, job))) { ... }
#pragma once

#include <csignal>
#include <initializer_list>

#include "skein/chan.hpp"

namespace skein::inline SKEIN_ABI {

// notify() delivers each of the given signals to the channel it returns, from then on instead of
// their usual effect, until the last handle of the channel is gone. The channel holds `capacity`
// signals that nobody has received yet; more are dropped. Throws std::system_error for a signal that
// cannot be caught.
receiver<int> notify(std::initializer_list<int> signals, std::size_t capacity = 8);

}  // namespace skein::inline SKEIN_ABI
