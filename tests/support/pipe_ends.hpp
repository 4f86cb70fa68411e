// pipe_ends: a pipe that does not block, read by goroutines through the poller.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include "skein/net/poll.hpp"
#include "support/watched.hpp"

namespace watched {

struct pipe_ends {
  int fd[2];
  pipe_ends() { require(pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0, "pipe2"); }
  pipe_ends(const pipe_ends&) = delete;
  pipe_ends& operator=(const pipe_ends&) = delete;
  ~pipe_ends() {
    close(fd[0]);
    close(fd[1]);
  }
  void put() const { require(write(fd[1], "x", 1) == 1, "write"); }
  void get() const {
    char c;
    while (read(fd[0], &c, 1) != 1) skein::wait_readable(fd[0]);
  }
};

}  // namespace watched
