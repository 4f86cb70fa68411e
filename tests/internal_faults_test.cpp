// A program that uses everything, once for each system call and allocation that can fail: the n-th
// call of a kind is refused, for n = 1, 2, ... until the program ends before it. Whatever n is, the
// program ends by itself, in one of these ways:
//   - as if nothing had happened, by another way or a second try;
//   - with std::bad_alloc or std::system_error out of the operation that could not be done, or out
//     of run(), and everything else undisturbed: no value lost, nobody left waiting;
//   - with a fatal message that is documented.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/sys.hpp"
#include "skein/net/poll.hpp"
#include "skein/skein.hpp"
#include "skein/task_group.hpp"
#include "support/watched.hpp"

namespace {

using namespace std::chrono_literals;
using skein::sys::call;
using watched::require;

// The fault: the n-th call of a kind.
std::atomic<int> kind{-1};
std::atomic<long> left{0};
std::atomic<int> error{0};
std::atomic<bool> hit{false};

int nth_fails(call c) noexcept {
  if (static_cast<int>(c) != kind.load(std::memory_order_relaxed)) return 0;
  if (left.fetch_sub(1, std::memory_order_relaxed) != 1) return 0;
  hit = true;
  return error.load(std::memory_order_relaxed);
}

// attempt() runs one step of the program; true if it was done, false if it was refused in a way
// that the contract allows. Whatever else goes wrong ends the child.
std::atomic<int> refused{0};
template <class F> bool attempt(F&& step) {
  try {
    step();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const std::system_error&) {
  }
  ++refused;
  return false;
}

struct large {
  std::array<char, 300> bytes{};
};

void channels() {
  const skein::chan<int> c(4);
  skein::wait_group wg;
  std::atomic<std::int64_t> sent{0};
  std::int64_t received = 0;
  int senders = 0;
  for (int k = 0; k < 4; ++k)
    senders += attempt([&] {
      wg.go([&, ballast = large()] {
        for (int i = 0; i < 20; ++i) c.send(i + ballast.bytes[0]), sent += i;
      });
    });
  for (int i = 0; i < senders * 20; ++i) received += *c.recv();
  wg.wait();
  require(sent == received, "what was sent came");
}

void boxed() {
  const skein::chan<everywhere::tracked> c(1);
  skein::wait_group wg;
  const bool other = attempt([&] { wg.go([&] { c.send(everywhere::tracked(5)); }); });
  if (other) require(c.recv()->value == 5, "the value came");
  wg.wait();
}

void selects() {
  std::vector<skein::chan<int>> cs(20);
  skein::wait_group wg;
  const bool other = attempt([&] { wg.go([&] { cs[7].send(1); }); });
  std::optional<int> v;
  std::vector<skein::any_case> cases;
  for (const auto& c : cs) cases.emplace_back(recv(c, v));
  while (other && !attempt([&] {
           require(skein::select(std::span(cases)) == 7 && v == 1, "the case that was served");
         })) {
  }
  wg.wait();
  attempt([&] { require(!cs[0].recv_for(1ms), "nothing came"); });
  attempt([&] {
    require(skein::select(recv(cs[0]), recv(skein::after(200us))) == 1, "time was over");
  });
}

void timers() {
  skein::wait_group wg;
  std::atomic<int> woken{0};
  int sleepers = 0;
  for (int k = 0; k < 40; ++k)
    sleepers += attempt([&] {
      wg.go([&, k] {
        attempt([&] { skein::sleep_for(std::chrono::microseconds(k * 50)); });
        ++woken;
      });
    });
  wg.wait();
  require(woken == sleepers, "everybody woke");
  std::atomic<int> fired{0};
  int armed = 0;
  std::vector<skein::func_timer> handles;
  for (int k = 0; k < 70; ++k)
    armed += attempt([&] { handles.push_back(skein::after_func(100us, [&] { ++fired; })); });
  while (fired < armed) skein::yield();
  attempt([&] {
    skein::timer t(1h);
    require(t.stop(), "stopped in time");
    require(!t.chan().try_recv(), "and silent");
  });
}

void tasks() {
  for (int k = 0; k < 3; ++k)
    attempt([&] {
      auto t = skein::spawn([k] { return k + 1; });
      if (k == 1) skein::yield();
      require(t.join() == k + 1, "the task's value");
    });
  attempt([] {
    auto t = skein::spawn([]() -> int { throw std::runtime_error("mine"); });
    try {
      t.join();
      require(false, "the exception came");
    } catch (const std::runtime_error&) {
    }
  });
  std::atomic<int> ran{0};
  int begun = 0;
  attempt([&] {
    skein::task_group g;
    for (int k = 0; k < 3; ++k) begun += attempt([&] { g.go([&] { ++ran; }); });
    g.wait();
  });
  require(ran == begun, "the whole group");
}

void contexts() {
  attempt([] {
    auto [ctx, cancel] = skein::with_cancel(skein::background());
    const skein::chan<int> c;
    skein::wait_group wg;
    const bool waits = attempt([&] {
      wg.go([&, inner = ctx] { attempt([&] { require(!c.recv(inner), "cancelled"); }); });
    });
    std::atomic<bool> called{false};
    bool registered = attempt([&] { skein::after_func(ctx, [&] { called = true; }); });
    cancel();
    require(static_cast<bool>(ctx.err()), "has ended");
    if (waits) wg.wait();
    while (registered && !called) skein::yield();
  });
  attempt([] {
    auto [ctx, cancel] = skein::with_timeout(skein::background(), 300us);
    ctx.done().recv();
    require(ctx.err() == skein::errc::deadline_exceeded, "timed out");
  });
}

void locks() {
  skein::mutex m;
  int inside = 0;
  int count = 0;
  skein::wait_group wg;
  int begun = 0;
  for (int k = 0; k < 6; ++k)
    begun += attempt([&] {
      wg.go([&, k] {
        bool mine = false;
        if (!attempt([&] { mine = k % 2 == 0 ? m.try_lock_for(10s) : (m.lock(), true); }))
          m.lock(), mine = true;
        require(mine && ++inside == 1, "alone inside");
        ++count;
        skein::yield();
        --inside;
        m.unlock();
      });
    });
  wg.wait();
  require(count == begun, "everybody was inside");
}

// Readers that would like a table of their own, and a writer that waits.
void shared_locks() {
  skein::shared_mutex m;
  skein::wait_group wg;
  int value = 0;
  int written = 0;
  for (int k = 0; k < 3; ++k)
    attempt([&] {
      wg.go([&] {
        for (int i = 0; i < 4000; ++i) {
          m.lock_shared();
          require(value == 0, "no writer inside");
          if (i % 512 == 0) skein::yield();
          m.unlock_shared();
        }
        bool mine = false;
        if (!attempt([&] { mine = m.try_lock_for(10s); })) m.lock(), mine = true;
        require(mine && ++value == 1, "alone inside");
        ++written;
        --value;
        m.unlock();
      });
    });
  wg.wait();
  require(m.try_lock() && written <= 3, "nobody is left inside");
}

void descriptors() {
  int p[2];
  require(pipe2(p, O_NONBLOCK | O_CLOEXEC) == 0, "pipe2");
  skein::wait_group wg;
  std::atomic<int> got{0};
  const bool reads = attempt([&] {
    wg.go([&] {
      char c;
      while (::read(p[0], &c, 1) != 1)
        if (!attempt([&] { skein::wait_readable(p[0]); })) skein::yield();
      ++got;
    });
  });
  skein::yield();
  attempt([&] { require(skein::wait_writable_for(p[1], 10s), "writable"); });
  require(::write(p[1], "x", 1) == 1, "write");
  if (reads) wg.wait();
  require(got == reads, "the byte came");
  attempt([&] {
    require(::write(p[1], "x", 1) == 1, "write");
    require(skein::select(recv(skein::readable(p[0])), recv(skein::after(10s))) == 0, "readable");
  });
  close(p[0]);
  close(p[1]);
}

void stacks() {
  skein::wait_group wg;
  std::atomic<int> ran{0};
  int begun = 0;
  for (const std::size_t size : {64u << 10, 1u << 20, 8u << 20}) {
    wg.add(1);
    if (attempt([&] {
          skein::go({.stack = size}, [&] {
            ++ran;
            wg.done();
          });
        }))
      ++begun;
    else
      wg.done();
  }
  attempt([&] { skein::on_system_stack([&] { skein::yield(); }); });
  wg.wait();
  require(ran == begun, "every size ran");
}

void threads() {
  const skein::chan<int> there;
  const skein::chan<int> back;
  std::thread t([&] {
    for (int i = 0; i < 5; ++i) {
      require(there.recv() == i, "a thread receives");
      back.send(i);
    }
    attempt([&] { require(!there.recv_for(200us), "nothing more"); });
    std::atomic<bool> called{false};
    if (attempt([&] { skein::after_func(100us, [&] { called = true; }); }))
      while (!called) std::this_thread::yield();
  });
  for (int i = 0; i < 5; ++i) {
    there.send(i);
    require(back.recv() == i, "and answers");
  }
  skein::blocking([&] { t.join(); });
}

void blocked_calls() {
  skein::wait_group wg;
  std::atomic<int> over{0};
  int begun = 0;
  for (int k = 0; k < 4; ++k)
    begun += attempt([&] {
      wg.go([&] {
        skein::blocking([] { usleep(500); });
        ++over;
      });
    });
  wg.wait();
  require(over == begun, "every blocked call came back");
  skein::procs(3);
  skein::procs(2);
}

void program() {
  const auto step = [](void (*f)()) { attempt(f); };
  step(channels);
  step(boxed);
  step(selects);
  step(timers);
  step(tasks);
  step(contexts);
  step(locks);
  step(shared_locks);
  step(descriptors);
  step(stacks);
  step(threads);
  step(blocked_calls);
}

enum : int { fine = 0, not_reached = 10, out_of_run = 20, lost = 30 };

everywhere::child_end with_fault(call c, long n, int e) {
  return watched::child(
      [=] {
        kind = static_cast<int>(c);
        error = e;
        left = n;
        skein::sys::set_fault_hook(&nth_fails);
        bool ended = false;
        int status = fine;
        try {
          skein::run(
              [&] {
                program();
                ended = true;
              },
              watched::procs(2));
          if (!ended) status = lost;
        } catch (const std::bad_alloc&) {
          status = out_of_run;
        } catch (const std::system_error&) {
          status = out_of_run;
        }
        skein::sys::set_fault_hook(nullptr);
        _exit(status == fine && !hit ? not_reached : status);
      },
      20);
}

bool documented(const std::string& text) {
  for (const char* message : {"skein: fatal: out of address space or memory for goroutine stacks"})
    if (text.find(message) != std::string::npos) return true;
  return false;
}

struct fault_case {
  const char* name;
  call c;
  int error;
  bool transparent;  // must change nothing at all
};

class faults : public ::testing::TestWithParam<fault_case> {};

// covers: R1 S4
TEST_P(faults, each_one_call_that_fails) {
  const fault_case& f = GetParam();
  long n = 1;
  int survived = 0;
  for (;; n = n < 24 ? n + 1 : n + 1 + n / 6) {
    const auto end = with_fault(f.c, n, f.error);
    const std::string which = std::string(f.name) + " number " + std::to_string(n) + ": ";
    if (end.status == not_reached) break;
    if (end.signal == SIGABRT && !f.transparent && documented(end.text)) continue;
    EXPECT_EQ(end.signal, 0) << which << end.text;
    if (f.transparent)
      EXPECT_EQ(end.status, fine) << which << end.text;
    else
      EXPECT_TRUE(end.status == fine || end.status == out_of_run)
          << which << "status " << end.status << ' ' << end.text;
    survived += end.status == fine;
    if (n > 100'000) break;
  }
  EXPECT_GT(n, 1) << "no such call was made";
  RecordProperty("calls", std::to_string(n));
  RecordProperty("survived", survived);
}

INSTANTIATE_TEST_SUITE_P(
    , faults,
    ::testing::Values(fault_case{"allocate", call::allocate, ENOMEM, false},
                      fault_case{"mmap", call::mmap, ENOMEM, false},
                      fault_case{"madvise", call::madvise, EINVAL, true},
                      fault_case{"thread_create", call::thread_create, EAGAIN, false},
                      fault_case{"epoll_create", call::epoll_create, EMFILE, false},
                      fault_case{"eventfd", call::eventfd, EMFILE, false},
                      fault_case{"epoll_ctl", call::epoll_ctl, ENOMEM, false},
                      fault_case{"epoll_wait", call::epoll_wait, EINTR, true},
                      fault_case{"read", call::read, EAGAIN, true},
                      fault_case{"futex_interrupted", call::futex, EINTR, true},
                      fault_case{"futex_again", call::futex, EAGAIN, true},
                      fault_case{"membarrier", call::membarrier, EINTR, true}),
    [](const ::testing::TestParamInfo<fault_case>& tested) {
      return std::string(tested.param.name);
    });

int no_threads_after_the_first(call c) noexcept {
  return c == call::thread_create && left.fetch_sub(1, std::memory_order_relaxed) <= 0 ? EAGAIN : 0;
}

// The system has two threads to give, the monitor's and one worker's, and no more for ever: the
// program goes on with the one worker, but for what needs a thread of its own.
// covers: S4
TEST(faults_for_ever, a_system_that_gives_one_worker_runs_everything_on_it) {
  const auto end = watched::child(
      [] {
        left = 2;
        skein::sys::set_fault_hook(&no_threads_after_the_first);
        skein::run(
            [] {
              channels();
              boxed();
              selects();
              timers();
              tasks();
              contexts();
              locks();
              descriptors();
              stacks();
              blocked_calls();
            },
            watched::procs(4));
        if (refused != 0) throw std::runtime_error("something was refused");
      },
      20);
  EXPECT_EQ(end.signal, 0) << end.text;
  EXPECT_EQ(end.status, 0) << end.text;
}

int no_guards(call c) noexcept {
  return c == call::madvise ? EINVAL : c == call::mprotect ? ENOMEM : 0;
}

// covers: G6
TEST(faults_for_ever, without_any_guard_pages_everything_runs) {
  const auto end = watched::child(
      [] {
        skein::sys::set_fault_hook(&no_guards);
        skein::run([] { program(); }, watched::procs(2));
        if (refused != 0) throw std::runtime_error("something was refused");
      },
      20);
  EXPECT_EQ(end.signal, 0) << end.text;
  EXPECT_EQ(end.status, 0) << end.text;
}

int no_membarrier(call c) noexcept { return c == call::membarrier ? ENOSYS : 0; }

// covers: S2
TEST(faults_for_ever, without_membarrier_everything_runs) {
  const auto end = watched::child(
      [] {
        skein::sys::set_fault_hook(&no_membarrier);
        for (int i = 0; i < 10; ++i) skein::run([] { program(); }, watched::procs(4));
        if (refused != 0) throw std::runtime_error("something was refused");
      },
      40);
  EXPECT_EQ(end.signal, 0) << end.text;
  EXPECT_EQ(end.status, 0) << end.text;
}

// Many lines, in a report that ends the process.
void fall_asleep() {
  skein::run(
      [] {
        const skein::chan<int> never;
        for (int i = 0; i < 300; ++i) skein::go([never] { never.recv(); });
        never.recv();
      },
      watched::procs(2));
}

void expect_whole_report(const everywhere::child_end& end) {
  EXPECT_EQ(end.status, 2) << end.text;
  EXPECT_TRUE(end.text.starts_with("fatal error: all goroutines are asleep - deadlock!\n\n"))
      << end.text;
  int origins = 0;
  for (std::size_t at = 0; (at = end.text.find("]:\n\tcreated by ", at)) != std::string::npos; ++at)
    ++origins;
  EXPECT_EQ(origins, 301) << end.text;
  EXPECT_TRUE(end.text.ends_with("\n"));
}

int every_second_report_is_interrupted(call c) noexcept {
  return c == call::report && left.fetch_add(1, std::memory_order_relaxed) % 2 == 0 ? EINTR : 0;
}

// covers: D2
TEST(faults_of_reports, one_that_is_interrupted_is_whole) {
  expect_whole_report(watched::child([] {
    skein::sys::set_fault_hook(&every_second_report_is_interrupted);
    fall_asleep();
  }));
}

// covers: D2
TEST(faults_of_reports, one_to_a_full_pipe_that_does_not_block_is_whole) {
  expect_whole_report(watched::child([] {
    fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096);
    fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
    fall_asleep();
  }));
}

}  // namespace
