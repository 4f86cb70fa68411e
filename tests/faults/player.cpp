#include "faults/player.hpp"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>

#include <dirent.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "skein/debug.hpp"
#include "skein/go.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace faults {
namespace {

// Where the child is, for messages: written between plays, read when something has gone wrong.
char place[400] = "";
std::atomic<const char*> stage{""};

[[noreturn]] void end(int status, const char* what, const std::string& more = {}) {
  std::fprintf(stderr, "%s: %s\n%s", place, what, more.c_str());
  std::fflush(stderr);
  _exit(status);
}

// watchdog: reports a play that does not come to its end. It looks at a count of plays, not at a clock that
// a busy machine could make look late: ten looks, each some seconds after the other.
class watchdog {
 public:
  explicit watchdog(const board& b) : thread_([this, &b] { watch(b); }) {}
  ~watchdog() {
    {
      const std::lock_guard hold(lock_);
      done_ = true;
    }
    ended_.notify_one();
    thread_.join();
  }

 private:
  void watch(const board& b) {
    const skein::debug::foreign_idle idle;
    long before = -1;
    int same = 0;
    std::unique_lock hold(lock_);
    while (!ended_.wait_for(hold, std::chrono::seconds(2), [this] { return done_; })) {
      const long now = b.plays.load(std::memory_order_relaxed);
      same = now == before ? same + 1 : 0;
      before = now;
      if (same < (everywhere::sanitized ? 60 : 15)) continue;
      disarm();
      end(hung, stage.load(), skein::debug::dump());
    }
  }

  std::mutex lock_;
  std::condition_variable ended_;
  bool done_ = false;
  std::thread thread_;  // last: it uses the others
};

// sniper: sends a thousand signals a second to threads of the process, one of two: with SA_RESTART, without.
class sniper {
 public:
  explicit sniper(std::uint64_t seed) {
    for (const int sig : {SIGUSR1, SIGUSR2}) {
      struct sigaction a{};
      a.sa_handler = &note_signal;
      a.sa_flags = SA_ONSTACK | (sig == SIGUSR1 ? SA_RESTART : 0);
      sigaction(sig, &a, nullptr);
    }
    thread_ = std::thread([this, seed] { shoot(everywhere::dice(seed)); });
  }
  ~sniper() {
    done_ = true;
    thread_.join();
  }

 private:
  void shoot(everywhere::dice d) {
    const int self = everywhere::thread_id();
    while (!done_) {
      DIR* tasks = opendir("/proc/self/task");
      int chosen = 0;
      std::uint64_t n = 0;
      while (const dirent* e = readdir(tasks)) {
        const int id = std::atoi(e->d_name);
        if (id != 0 && id != self && d.one_in(++n)) chosen = id;
      }
      closedir(tasks);
      if (chosen != 0) syscall(SYS_tgkill, getpid(), chosen, d.one_in(2) ? SIGUSR1 : SIGUSR2);
      usleep(1000);
    }
  }

  std::atomic<bool> done_{false};
  std::thread thread_;
};

// What a process has when nothing runs.
struct holdings {
  long blocks = 0;
  std::size_t descriptors = 0;
};

std::size_t descriptors() {
  std::size_t n = 0;
  DIR* all = opendir("/proc/self/fd");
  while (readdir(all) != nullptr) ++n;
  closedir(all);
  return n;
}

// Threads that are about to end may still give something back; one that never does is a leak.
void expect_nothing_left(const holdings& at_most) {
  stage = "memory was not given back";
  while (live_blocks() > at_most.blocks) usleep(100);
  stage = "descriptors were not closed";
  while (descriptors() > at_most.descriptors) usleep(100);
}

// After any fault skein works as ever.
void plain_use() {
  stage = "skein does not work any more";
  const int sum = skein::run(
      [] {
        const skein::chan<int> c(2);
        skein::wait_group wg;
        for (int k = 1; k <= 4; ++k) wg.go([=] { c.send(k); });
        int got = 0;
        for (int k = 1; k <= 4; ++k) got += *c.recv();
        wg.wait();
        return got;
      },
      settings(2));
  require(sum == 10, "a plain program came out wrong");
}

long play(const scenario& s, const plan& p) {
  stage = "no end in sight";
  std::unique_ptr<sniper> signals;
  const long times = p.way == how::signals ? p.first.n : 1;
  if (p.way == how::signals)
    signals = std::make_unique<sniper>(static_cast<std::uint64_t>(getpid()));
  arm(p);
  for (long i = 0; i < times; ++i) s.play();
  return disarm();
}

void note_counts(board& b) {
  for (kind k = 0; k < kinds; ++k) {
    std::atomic<long>& most = b.most[static_cast<std::size_t>(k)];
    const long n = calls(k);
    b.calls.fetch_add(n, std::memory_order_relaxed);
    if (n > most.load(std::memory_order_relaxed)) most.store(n, std::memory_order_relaxed);
    for (int p = 0; p < places; ++p)
      b.by_answer[static_cast<std::size_t>(k)][static_cast<std::size_t>(p)] +=
          faults(k, answer_at(p));
  }
}

}  // namespace

board* board::make() {
  void* const shared =
      mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::bad_alloc();
  return new (shared) board;
}

void require(bool holds, const char* what) {
  if (holds) [[likely]]
    return;
  disarm();
  end(lost, what);
}

void play_all(const scenario& s, const std::vector<plan>& plans, board& b) {
  std::unique_ptr<watchdog> dog = std::make_unique<watchdog>(b);
  std::snprintf(place, sizeof place, "%s without a fault", s.name);
  holdings usual;
  if (!s.cold) {
    for (int i = 0; i < 3; ++i) play(s, {how::none, {s.timed ? clock_look : 0, 0, 0}, {}});
    plain_use();
    usual = {live_blocks(), descriptors()};
  }
  for (std::size_t i = b.at; i < plans.size(); ++i) {
    const plan& p = plans[i];
    b.at = i;
    std::snprintf(place, sizeof place, "%s %s", s.name, text_of(p).c_str());
    const long met = play(s, p);
    b.faults += met;
    b.hit += met != 0;
    if (met == 0 && p.way != how::none && p.way != how::signals) ++b.not_reached;
    note_counts(b);
    if (!s.cold) expect_nothing_left(usual);
    if (i % 16 == 0) plain_use();
    ++b.plays;
    if (s.cold) break;
  }
}

}  // namespace faults
