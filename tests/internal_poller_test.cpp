// The poller: what is armed fires once, and nothing else fires.
#include "parts/poller.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "base/sys.hpp"
#include "support/everywhere.hpp"

namespace {

using namespace std::chrono_literals;
using skein::detail::fd_event;
using skein::detail::fd_wait;
using skein::detail::goroutine_list;
using skein::detail::poller;

struct counted_wait : fd_wait {
  std::atomic<int> fired{0};

  counted_wait(int to, fd_event e) {
    fire = [](fd_wait* self, goroutine_list&) noexcept {
      ++static_cast<counted_wait*>(self)->fired;
    };
    fd = to;
    event = e;
  }
};

// pair: two connected descriptors; [0] reads what was written to [1].
struct pair {
  int fd[2];
  pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0); }
  pair(const pair&) = delete;
  pair& operator=(const pair&) = delete;
  ~pair() {
    for (const int f : fd)
      if (f >= 0) close(f);
  }
  void feed() const { EXPECT_EQ(write(fd[1], "x", 1), 1); }
  void drain() const {
    char c;
    EXPECT_EQ(read(fd[0], &c, 1), 1);
  }
};

struct poller_test : ::testing::Test {
  poller p;
  void SetUp() override { ASSERT_EQ(p.open(), 0); }
  void TearDown() override { skein::sys::set_fault_hook(nullptr); }
  std::size_t poll(std::chrono::nanoseconds timeout = 0ns) {
    goroutine_list ready;
    return p.wait(timeout.count(), ready);
  }
};

// covers: S1
TEST_F(poller_test, a_wait_fires_once_and_then_is_over) {
  const pair s;
  counted_wait w(s.fd[0], fd_event::read);
  ASSERT_EQ(p.arm(&w), 0);
  EXPECT_EQ(p.waiters(), 1u);
  EXPECT_EQ(poll(), 0u);
  s.feed();
  EXPECT_EQ(poll(1s), 1u);
  EXPECT_EQ(w.fired, 1);
  EXPECT_EQ(p.waiters(), 0u);
  EXPECT_EQ(poll(), 0u) << "still readable, but nobody waits";
  EXPECT_FALSE(p.disarm(&w));
  ASSERT_EQ(p.arm(&w), 0) << "armed again while ready";
  EXPECT_EQ(poll(1s), 1u);
  EXPECT_EQ(w.fired, 2);
}

TEST_F(poller_test, after_a_disarm_nothing_fires) {
  const pair s;
  counted_wait w(s.fd[0], fd_event::read);
  ASSERT_EQ(p.arm(&w), 0);
  s.feed();
  EXPECT_TRUE(p.disarm(&w));
  EXPECT_FALSE(p.disarm(&w));
  EXPECT_EQ(poll(), 0u);
  EXPECT_EQ(w.fired, 0);
  EXPECT_EQ(p.waiters(), 0u);
}

TEST_F(poller_test, one_wait_for_each_direction) {
  const pair s;
  counted_wait r(s.fd[0], fd_event::read);
  counted_wait r2(s.fd[0], fd_event::read);
  counted_wait w(s.fd[0], fd_event::write);
  ASSERT_EQ(p.arm(&r), 0);
  EXPECT_EQ(p.arm(&r2), -EEXIST);
  ASSERT_EQ(p.arm(&w), 0);
  EXPECT_FALSE(p.disarm(&r2));
  EXPECT_EQ(poll(1s), 1u) << "writable at once";
  EXPECT_EQ(w.fired, 1);
  EXPECT_EQ(r.fired, 0);
  EXPECT_EQ(poll(), 0u);
  s.feed();
  EXPECT_EQ(poll(1s), 1u) << "the other direction has stayed armed";
  EXPECT_EQ(r.fired, 1);
}

TEST_F(poller_test, a_disarm_leaves_the_other_direction) {
  const pair s;
  counted_wait r(s.fd[0], fd_event::read);
  counted_wait w(s.fd[0], fd_event::write);
  ASSERT_EQ(p.arm(&r), 0);
  ASSERT_EQ(p.arm(&w), 0);
  EXPECT_TRUE(p.disarm(&w));
  EXPECT_EQ(poll(), 0u);
  s.feed();
  EXPECT_EQ(poll(1s), 1u);
  EXPECT_EQ(r.fired, 1);
  EXPECT_EQ(w.fired, 0);
}

TEST_F(poller_test, an_end_wakes_both_directions) {
  pair s;
  counted_wait r(s.fd[0], fd_event::read);
  counted_wait w(s.fd[0], fd_event::write);
  while (write(s.fd[0], "xxxxxxxxxxxxxxxx", 16) > 0) {
  }
  ASSERT_EQ(p.arm(&r), 0);
  ASSERT_EQ(p.arm(&w), 0);
  EXPECT_EQ(poll(), 0u);
  close(s.fd[1]);
  s.fd[1] = -1;
  std::size_t fired = 0;
  for (int i = 0; i < 10 && fired < 2; ++i) fired += poll(100ms);
  EXPECT_EQ(r.fired, 1);
  EXPECT_EQ(w.fired, 1);
}

TEST_F(poller_test, says_which_descriptors_cannot_be_polled) {
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  counted_wait regular(file, fd_event::read);
  EXPECT_EQ(p.arm(&regular), -EPERM);
  close(file);
  counted_wait shut(file, fd_event::read);
  EXPECT_EQ(p.arm(&shut), -EBADF);
  EXPECT_FALSE(p.disarm(&shut));
  EXPECT_EQ(p.waiters(), 0u);
  EXPECT_EQ(poll(), 0u);
}

TEST_F(poller_test, bad_descriptors_are_refused_and_nothing_else_happens) {
  for (const int fd : {-1, -2, INT_MIN}) {
    counted_wait w(fd, fd_event::read);
    EXPECT_EQ(p.arm(&w), -EBADF);
    for (int i = 0; i < 40; ++i) ASSERT_FALSE(p.disarm(&w)) << "and grows no table";
  }
}

#if !defined(SKEIN_SEES_ASAN) && !defined(SKEIN_SEES_TSAN)
TEST(poller_child, a_huge_descriptor_is_refused_without_a_table_for_it) {
  const auto end = everywhere::run_child([] {
    const rlimit some{std::size_t{2} << 30, std::size_t{2} << 30};
    setrlimit(RLIMIT_AS, &some);
    poller p;
    if (p.open() != 0) _exit(2);
    counted_wait w(2'000'000'000, fd_event::read);
    _exit(p.arm(&w) == -EBADF && !p.disarm(&w) ? 0 : 1);
  });
  EXPECT_EQ(end.status, 0) << end.text;
}
#endif

// The descriptor is closed and its number given to another file (golang/go#59545).
TEST_F(poller_test, an_event_of_the_old_file_does_not_reach_the_new_one) {
  const pair old;
  const pair fresh;
  const int number = dup(old.fd[0]);
  counted_wait w(number, fd_event::read);
  ASSERT_EQ(p.arm(&w), 0);
  old.feed();
  close(number);  // the file lives on, and so does its registration
  EXPECT_TRUE(p.disarm(&w));
  ASSERT_EQ(dup2(fresh.fd[0], number), number);
  counted_wait n(number, fd_event::read);
  ASSERT_EQ(p.arm(&n), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(poll(), 0u);
  EXPECT_EQ(n.fired, 0);
  fresh.feed();
  EXPECT_EQ(poll(1s), 1u);
  EXPECT_EQ(n.fired, 1);
  EXPECT_EQ(w.fired, 0);
  close(number);
}

TEST_F(poller_test, a_number_can_be_used_again_whatever_the_kernel_remembers) {
  const pair a;
  const pair b;
  const int number = dup(a.fd[0]);
  // Registered by our record, unknown to the kernel.
  counted_wait w(number, fd_event::read);
  ASSERT_EQ(p.arm(&w), 0);
  a.feed();
  ASSERT_EQ(poll(1s), 1u);
  a.drain();
  ASSERT_EQ(dup2(b.fd[0], number), number);
  ASSERT_EQ(p.arm(&w), 0);
  b.feed();
  EXPECT_EQ(poll(1s), 1u);
  EXPECT_EQ(w.fired, 2);
  b.drain();
  // Known to the kernel, not to our record: closed while armed, then the same file under the same
  // number.
  ASSERT_EQ(p.arm(&w), 0);
  close(number);
  EXPECT_TRUE(p.disarm(&w));
  ASSERT_EQ(dup2(b.fd[0], number), number);
  ASSERT_EQ(p.arm(&w), 0);
  b.feed();
  EXPECT_EQ(poll(1s), 1u);
  EXPECT_EQ(w.fired, 3);
  close(number);
}

// A table that has to grow keeps what is armed.
TEST_F(poller_test, many_descriptors) {
  std::vector<std::unique_ptr<pair>> pairs;
  std::vector<std::unique_ptr<counted_wait>> waits;
  for (int i = 0; i < 200; ++i) {
    pairs.push_back(std::make_unique<pair>());
    waits.push_back(std::make_unique<counted_wait>(pairs.back()->fd[0], fd_event::read));
    ASSERT_EQ(p.arm(waits.back().get()), 0);
  }
  for (const auto& s : pairs) s->feed();
  std::size_t fired = 0;
  for (int i = 0; i < 10; ++i) fired += poll();
  EXPECT_EQ(fired, 200u);
  for (const auto& w : waits) EXPECT_EQ(w->fired, 1);
}

std::atomic<bool> refuse_changes{false};
int changes_fail(skein::sys::call c) noexcept {
  return c == skein::sys::call::epoll_ctl && refuse_changes.load() ? ENOMEM : 0;
}

// The kernel may refuse to arm the direction that is left; that wait must not be lost.
TEST_F(poller_test, a_refusal_by_the_kernel_loses_no_wait) {
  skein::sys::set_fault_hook(&changes_fail);
  {
    const pair s;
    counted_wait r(s.fd[0], fd_event::read);
    refuse_changes = true;
    EXPECT_EQ(p.arm(&r), -ENOMEM);
    EXPECT_EQ(p.waiters(), 0u);
    refuse_changes = false;
    EXPECT_EQ(p.arm(&r), 0);
    s.feed();
    EXPECT_EQ(poll(1s), 1u);
  }
  for (const bool by_disarm : {false, true}) {
    const pair s;
    counted_wait r(s.fd[0], fd_event::read);
    counted_wait w(s.fd[0], fd_event::write);
    ASSERT_EQ(p.arm(&r), 0);
    ASSERT_EQ(p.arm(&w), 0);
    refuse_changes = true;
    if (by_disarm)
      EXPECT_TRUE(p.disarm(&w));
    else
      EXPECT_GE(poll(1s), 1u);
    refuse_changes = false;
    s.feed();
    for (int i = 0; i < 5; ++i) poll();
    EXPECT_EQ(r.fired, 1) << (by_disarm ? "after a disarm" : "after the other direction had fired");
    EXPECT_EQ(p.waiters(), 0u);
  }
}

TEST_F(poller_test, waits_as_long_as_it_is_told) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(poll(20ms), 0u);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
}

TEST_F(poller_test, an_interrupt_ends_this_wait_or_the_next) {
  p.interrupt();
  p.interrupt();
  EXPECT_EQ(poll(-1ns), 0u) << "one that came before";
  std::atomic<bool> back{false};
  std::thread sleeper([&] {
    poll(-1ns);
    back = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(back.load());
  p.interrupt();
  sleeper.join();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(poll(20ms), 0u);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms) << "an interrupt counts once";
}

// Each arming ends in one firing or in one disarm that says true.
TEST_F(poller_test, arming_and_firing_in_different_threads) {
  std::atomic<bool> over{false};
  std::thread waiter([&] {
    while (!over.load()) poll(1ms);
  });
  std::vector<std::thread> users;
  std::atomic<int> wrong{0};
  for (std::uint64_t me = 0; me < 3; ++me)
    users.emplace_back([&, me] {
      everywhere::dice d(me);
      const pair s;
      s.feed();
      for (std::uint64_t i = everywhere::scaled(3000); i > 0; --i) {
        counted_wait w(s.fd[0], d.one_in(2) ? fd_event::read : fd_event::write);
        if (p.arm(&w) != 0) ++wrong;
        for (std::uint64_t k = d.below(300); k > 0; --k) skein::detail::cpu_relax();
        const bool stopped = p.disarm(&w);
        if (w.fired + (stopped ? 1 : 0) != 1) ++wrong;
      }
    });
  for (std::thread& u : users) u.join();
  over = true;
  waiter.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(p.waiters(), 0u);
}

}  // namespace
