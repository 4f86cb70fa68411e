// Descriptors for simulations.
//
//   skein::test::explore([] {
//     skein::test::fake_fd fd;
//     skein::go([&] { skein::sleep_for(1s); fd.set_readable(true); });
//     skein::wait_readable(fd.number());
//   });
#pragma once

#include "skein/detail/config.hpp"
#include "skein/detail/fd_event.hpp"

namespace skein::inline SKEIN_ABI::test {

// fake_fd is a descriptor that is ready when it is told to be; only a simulation may wait for it. It
// begins as not ready. One made of a number stands for that descriptor, a socket the code under test
// reads and writes, say, which stays the caller's; otherwise it is an eventfd of its own. Throws misuse
// outside of a simulation. All who wait for it have to be gone before it goes.
class fake_fd {
 public:
  fake_fd();
  explicit fake_fd(int number);
  ~fake_fd();
  fake_fd(const fake_fd&) = delete;
  fake_fd& operator=(const fake_fd&) = delete;

  int number() const noexcept { return number_; }
  // Who waits is woken when it becomes ready, and nobody waits while it is. Goroutines of the simulation only.
  void set_readable(bool ready) { set(detail::fd_event::read, ready); }
  void set_writable(bool ready) { set(detail::fd_event::write, ready); }

 private:
  void set(detail::fd_event e, bool ready);

  int number_;
  bool own_;
};

}  // namespace skein::inline SKEIN_ABI::test
