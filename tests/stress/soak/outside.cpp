// What comes from outside: numbers through pipes, whose reader waits for the descriptor in every form;
// signals.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <unistd.h>

#include "skein/net/poll.hpp"
#include "skein/os/signal.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"
#include "stress/soak/round.hpp"

namespace soak {
namespace {

// A function of its own: compilers remember where errno is across a park.
[[gnu::noinline]] bool would_block() { return errno == EAGAIN; }

void wait_to_read(worker& w, int fd) {
  switch (
      w.d.below(w.has_runtime ? 5 : 4)) {  // the last one needs a poller that somebody sleeps in
    case 0: static_cast<void>(skein::wait_readable_for(fd, w.moment())); break;
    case 1: {
      auto [ctx, cancel] = skein::with_timeout(skein::background(), w.moment());
      static_cast<void>(skein::wait_readable(ctx, fd));
      break;
    }
    case 2:
    case 3: skein::wait_readable(fd); break;
    default:
      skein::select(skein::recv(skein::readable(fd)), skein::recv(skein::after(w.moment())));
      break;
  }
}

void read_all(worker& w, int fd) {
  std::uint64_t next = 0;
  for (;;) {
    std::uint64_t v[64];
    const ssize_t n = read(fd, v, (1 + w.d.below(64)) * sizeof v[0]);
    if (n == 0) break;
    if (n < 0) {
      require(would_block(), "a pipe could not be read");
      wait_to_read(w, fd);
      continue;
    }
    require(n % static_cast<ssize_t>(sizeof v[0]) == 0, "a pipe was cut in the middle of a number");
    for (std::size_t i = 0; i < static_cast<std::size_t>(n) / sizeof v[0]; ++i)
      require(v[i] == next++, "a pipe delivers other numbers");
    w.count(kind::pipe_bytes, static_cast<std::uint64_t>(n));
    w.pause();
  }
  close(fd);
}

void write_all(worker& w, int fd) {
  for (std::uint64_t next = 0; !w.r.over(); w.pause()) {
    std::uint64_t v[16];
    for (std::uint64_t i = 0; i < 16; ++i) v[i] = next + i;
    const ssize_t n = write(fd, v, (1 + w.d.below(16)) * sizeof v[0]);
    if (n < 0)
      w.d.one_in(2) ? static_cast<void>(skein::wait_writable_for(fd, w.moment()))
                    : skein::wait_writable(fd);
    else
      next += static_cast<std::uint64_t>(n) / sizeof v[0];
  }
  close(fd);
}

}  // namespace

void pipes(worker& w) {
  skein::wait_group wg;
  for (std::size_t n = round::few(w.d, 20); n > 0; --n) {
    int ends[2];
    require(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0, "no pipe could be had");
    w.r.anywhere(wg, w.d, [fd = ends[0]](worker& me) { read_all(me, fd); });
    w.r.anywhere(wg, w.d, [fd = ends[1]](worker& me) { write_all(me, fd); });
  }
  wg.wait();
}

// SIGWINCH, for it does nothing to a process that has no use for it. The race detector holds a signal
// back until the thread it came to calls something that it watches, which may be never.
void signals(worker& w) {
  if (race_detector) return;
  const skein::receiver<int> mine = skein::notify({SIGWINCH}, 1);
  until_over(w, [&](worker& me) {
    require(kill(getpid(), SIGWINCH) == 0, "no signal could be sent");
    if (me.d.one_in(2)) {
      const skein::receiver<int> passing = skein::notify({SIGWINCH}, 1);
      require(kill(getpid(), SIGWINCH) == 0 && passing.recv() == SIGWINCH,
              "a signal did not arrive");
    }
    require(mine.recv() == SIGWINCH, "a signal did not arrive");
    me.count(kind::signals);
    skein::sleep_for(me.moment());
  });
}

}  // namespace soak
