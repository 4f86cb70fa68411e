// The world outside: descriptors, threads, signals, stacks.
#include "faults/scenes.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/trim.hpp"
#include "skein/debug.hpp"

namespace faults {
namespace {

// ends: two descriptors that do not block, connected.
struct ends {
  explicit ends(bool sockets) {
    const int r = sockets ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd)
                          : pipe2(fd, O_NONBLOCK | O_CLOEXEC);
    require(r == 0, "no pipe");
  }
  ends(const ends&) = delete;
  ends& operator=(const ends&) = delete;
  ~ends() { ::close(fd[0]), ::close(fd[1]); }
  int fd[2];
};

// ready() waits for a descriptor; refused, it lets others go on.
template <class Wait> void ready(Wait wait) {
  if (!attempt(wait)) skein::yield();
}

// Bytes through a pipe or a socket, faster than it takes them: each arrives, in order.
template <bool Sockets> void bytes() {
  on(2, [] {
    const ends e(Sockets);
    constexpr int all = 200'000;
    team t;
    const bool writes = t.go([&] {
      char block[4096];
      for (int done = 0; done < all;) {
        for (std::size_t i = 0; i < sizeof block; ++i)
          block[i] = static_cast<char>((static_cast<std::size_t>(done) + i) % 251);
        const auto n =
            ::write(e.fd[1], block,
                    std::min<std::size_t>(sizeof block, static_cast<std::size_t>(all - done)));
        if (n > 0)
          done += static_cast<int>(n);
        else if (errno == EAGAIN)
          ready([&] { skein::wait_writable(e.fd[1]); });
        else
          require(errno == EINTR, "the pipe broke");
      }
    });
    char block[4096];
    for (int done = 0; writes && done < all;) {
      const auto n = ::read(e.fd[0], block, sizeof block);
      if (n < 0) {
        require(errno == EAGAIN || errno == EINTR, "the pipe broke");
        ready([&] { skein::select(recv(skein::readable(e.fd[0])), recv(skein::after(5h))); });
        continue;
      }
      for (int i = 0; i < n; ++i)
        require(block[i] == static_cast<char>((done + i) % 251), "a byte was lost");
      done += static_cast<int>(n);
    }
    t.wait();
    ready([&] { require(!skein::wait_readable_for(e.fd[0], 50us), "there was something left"); });
  });
}

// Many descriptors at once, so that the poller's table grows.
void many_descriptors() {
  on(2, [] {
    attempt([] {
      std::vector<std::unique_ptr<ends>> all;
      for (int k = 0; k < 24; ++k)
        attempt([&] { all.push_back(std::make_unique<ends>(k % 2 == 0)); });
      std::atomic<int> came{0};
      team t;
      for (const auto& e : all)
        t.go([&, fd = e->fd[0]] {
          for (char c; ::read(fd, &c, 1) != 1;) ready([&] { skein::wait_readable(fd); });
          ++came;
        });
      for (const auto& e : all)
        while (::write(e->fd[1], "x", 1) != 1) skein::yield();
      t.wait();
      require(came == t.begun, "a reader sleeps on");
    });
  });
}

// Threads of the program use what goroutines use.
void threads() {
  on(2, [] {
    attempt([] {
      const skein::chan<int> there, back;
      const skein::chan<skein::unit> done;
      std::atomic<int> sum{0};
      std::thread other([&] {
        while (const auto v = there.recv()) back.send(*v);
        attempt([&] { require(!back.recv_for(50us), "nobody sends"); });
        attempt([&] { skein::spawn([&] { sum += 1000; }).join(); });
        done.close();
      });
      int got = 0;
      for (int i = 0; i < 10; ++i) {
        there.send(i);
        got += *back.recv();
      }
      there.close();
      done.recv();  // with the last thread that there is nobody may wait for another in blocking()
      other.join();
      require(got == 45 && (sum == 0 || sum == 1000), "an answer was lost");
    });
  });
}

void blocked() {
  on(2, [] {
    const ends e(false);
    std::atomic<int> over{0};
    team t;
    for (int k = 0; k < 12; ++k)
      t.go([&] {
        skein::blocking([&] {
          char c;
          while (::read(e.fd[0], &c, 1) != 1) usleep(20);
        });
        ++over;
      });
    for (int k = 0; k < t.begun; ++k)
      while (::write(e.fd[1], "x", 1) != 1) skein::yield();
    t.wait();
    require(over == t.begun, "somebody did not come back");
  });
}

// Stacks of every size, and the big one of the system.
void stacks() {
  on(2, [] {
    std::atomic<int> ran{0};
    int begun = 0;
    skein::wait_group all;
    for (const std::size_t size :
         {64u << 10, 300u << 10, 2u << 20, 8u << 20, 64u << 10, 8u << 20}) {
      all.add(1);
      if (attempt([&] {
            skein::go({.stack = size}, [&] {
              skein::yield();
              ++ran;
              all.done();
            });
          }))
        ++begun;
      else
        all.done();
    }
    all.wait();
    require(ran == begun, "a stack was lost");
    std::atomic<int> big{0}, called{0};
    team t;
    for (int k = 0; k < 4; ++k)
      t.go([&] {
        big += attempt([&] {
          skein::on_system_stack([&] {
            ++called;
            skein::yield();
          });
        });
      });
    t.wait();
    require(big == called, "a call on the big stack was lost");
  });
}

// Stacks are measured and their pages given back while their goroutines sleep; they come back unharmed.
void trimmed() {
  skein::sched::trim_pause_ns = 100'000;
  skein::debug::watch_stacks();
  on(2, [] {
    const skein::chan<skein::unit> gate;
    std::atomic<int> whole{0};
    team t;
    for (int k = 0; k < 40; ++k)
      t.go([&, k] {
        volatile char deep[20'000];
        for (std::size_t i = 0; i < sizeof deep; i += 512) deep[i] = static_cast<char>(k);
        gate.recv();
        bool same = true;
        for (std::size_t i = 0; i < sizeof deep; i += 512)
          same = same && deep[i] == static_cast<char>(k);
        whole += same;
      });
    const auto begun = skein::now();
    while (skein::now() - begun < 6ms) attempt([] { skein::sleep_for(1ms); });
    gate.close();
    t.wait();
    require(whole == t.begun, "a stack was changed");
  });
  attempt([] { static_cast<void>(skein::debug::stack_report()); });
}

void signals() {
  on(2, [] {
    attempt([] {
      const skein::receiver<int> a = skein::notify({SIGWINCH, SIGCONT});
      const skein::receiver<int> b = skein::notify({SIGCONT});
      kill(getpid(), SIGCONT);
      require(a.recv() == SIGCONT && b.recv() == SIGCONT, "a signal was lost");
      kill(getpid(), SIGWINCH);
      require(a.recv() == SIGWINCH, "a signal was lost");
      require(!b.try_recv(), "somebody else's signal came");
    });
  });
}

constexpr scenario all[] = {
    {"pipe_bytes", &bytes<false>},
    {"socket_bytes", &bytes<true>},
    {"many_descriptors", &many_descriptors},
    {"threads", &threads},
    {"blocked_threads", &blocked},
    {"stacks", &stacks},
    {"trimmed_stacks", &trimmed},
    {"signal_channels", &signals},
    {"signal_channels_first", &signals, true},
};

}  // namespace

theme outsides() { return {all, std::size(all)}; }

}  // namespace faults
