// Processors and worker threads: how many, and how each is set up. The ABI namespace.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>

#include "skein/chan.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"
#include "skein/task.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"
#include "support/process.hpp"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace {

using everywhere::require;
using everywhere::scaled;
using everywhere::with_procs;

int procs_of_a_run(const skein::options& o = {}) {
  return skein::run([] { return skein::procs(); }, o);
}

struct environment {
  explicit environment(const char* value) { setenv("SKEIN_PROCS", value, 1); }
  ~environment() { unsetenv("SKEIN_PROCS"); }
};

// covers: R7
TEST(procs, a_number_in_the_environment_counts) {
  const environment e("3");
  EXPECT_EQ(procs_of_a_run(), 3);
  EXPECT_EQ(procs_of_a_run(with_procs(2)), 2);  // the program knows better
  EXPECT_EQ(skein::runtime().run([] { return skein::procs(); }), 3);
}

// covers: R7
TEST(procs, an_empty_variable_is_none) {
  const int usual = procs_of_a_run();
  const environment e("");
  EXPECT_EQ(procs_of_a_run(), usual);
}

// covers: R7
TEST(procs, nonsense_in_the_environment_is_a_clear_error) {
  for (const char* bad : {"0", "abc", "100000", "-1", "1.5", " 2", "2 ", "2x", "99999999999999999999", "0x2"}) {
    const environment e(bad);
    try {
      procs_of_a_run();
      ADD_FAILURE() << "SKEIN_PROCS=" << bad << " was accepted";
    } catch (const std::invalid_argument& error) {
      EXPECT_TRUE(everywhere::contains(error.what(), std::string("SKEIN_PROCS=") + bad)) << error.what();
    }
    EXPECT_THROW(skein::runtime{}, std::invalid_argument);
  }
}

// covers: R7
TEST(procs, nonsense_in_the_options_is_an_error) {
  for (const int bad : {-1, -100, 1025, 1 << 30}) EXPECT_THROW(procs_of_a_run(with_procs(bad)), std::invalid_argument) << bad;
  EXPECT_EQ(procs_of_a_run(with_procs(1)), 1);
  EXPECT_EQ(procs_of_a_run(with_procs(64)), 64);
  skein::options o;
  o.stack = 9 << 20;
  EXPECT_THROW(procs_of_a_run(o), std::invalid_argument);
  o = with_procs(4);
  o.max_threads = 2;
  EXPECT_THROW(procs_of_a_run(o), std::invalid_argument);
  o = with_procs(4);
  o.max_hogs = -2;
  EXPECT_THROW(procs_of_a_run(o), std::invalid_argument);
}

// covers: R7
TEST(procs, default_is_what_the_affinity_allows) {
  const auto end = everywhere::run_child([] {
    cpu_set_t all;
    require(sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity");
    require(procs_of_a_run() <= CPU_COUNT(&all), "more processors than CPUs");
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
      if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    require(sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
    require(procs_of_a_run() == 1, "one CPU and not one processor");
    require(procs_of_a_run(with_procs(4)) == 4, "an explicit number counts");
  });
  EXPECT_EQ(end.status, 0) << end.text;
}

// covers: R7 S4
TEST(procs, change_up_and_down_under_load) {
  skein::run([] {
    EXPECT_THROW(skein::procs(0), std::invalid_argument);
    EXPECT_THROW(skein::procs(-3), std::invalid_argument);
    EXPECT_THROW(skein::procs(1025), std::invalid_argument);
    std::atomic<bool> enough{false};
    skein::wait_group wg;
    std::atomic<std::uint64_t> exchanged{0};
    for (int i = 0; i < 10; ++i) {
      const skein::chan<int> c;
      wg.go([&, c] { for ([[maybe_unused]] const int v : c) ++exchanged; });
      wg.go([&, c] {
        while (!enough) c.send(1), skein::yield();
        c.close();
      });
    }
    int before = 2;
    everywhere::dice dice(7);
    for (std::uint64_t i = scaled(300); i > 0; --i) {
      const int n = 1 + static_cast<int>(dice.below(8));
      EXPECT_EQ(skein::procs(n), before);
      EXPECT_EQ(skein::procs(), n);
      before = n;
      // Every change meets goroutines at work.
      for (const std::uint64_t seen = exchanged; exchanged < seen + 20;) skein::yield();
    }
    enough = true;
    wg.wait();
  }, with_procs(2));
}

// covers: R7
TEST(procs, without_a_runtime_cannot_change) {
  EXPECT_THROW(skein::procs(2), skein::no_runtime);
}

// on_all_workers(procs, f) runs f on that many different worker threads at once.
template <class F> void on_all_workers(int procs, const F& f, skein::options o = {}) {
  o.procs = procs;
  skein::run(
      [&] {
        std::atomic<int> arrived{0};
        skein::wait_group wg;
        for (int i = 0; i < procs; ++i)
          wg.go([&] {
            // Nobody leaves its processor before all are there.
            for (++arrived; arrived < procs;) {
            }
            f();
          });
        wg.wait();
      },
      o);
}

// covers: R8
TEST(worker, is_named_after_skein_and_its_number) {
  std::mutex m;
  std::set<std::string> names;
  on_all_workers(3, [&] {
    std::lock_guard hold(m);
    names.insert(everywhere::thread_name());
  });
  EXPECT_EQ(names.size(), 3u);
  for (const std::string& n : names) {
    ASSERT_TRUE(n.starts_with("skein/")) << n;
    EXPECT_EQ(n.find_first_not_of("0123456789", 6), std::string::npos) << n;
  }
}

// covers: R8
TEST(worker, leaves_asynchronous_signals_to_others) {
  const std::set<int> caused_by_the_thread = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
  on_all_workers(2, [&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (int s = 1; s <= SIGRTMAX; ++s) {
      if (s == SIGKILL || s == SIGSTOP || (s > SIGSYS && s < SIGRTMIN)) continue;
      EXPECT_EQ(sigismember(&mask, s), caused_by_the_thread.contains(s) ? 0 : 1) << s;
    }
  });
}

// covers: R8
TEST(worker, handles_faults_on_a_stack_of_its_own) {
  on_all_workers(2, [] {
    stack_t s;
    ASSERT_EQ(sigaltstack(nullptr, &s), 0);
    EXPECT_EQ(s.ss_flags & SS_DISABLE, 0);
    EXPECT_GE(s.ss_size, getauxval(AT_MINSIGSTKSZ));
  });
}

// covers: R8
TEST(worker, calls_its_hooks_once_per_thread) {
  std::mutex m;
  std::multiset<int> started;
  std::multiset<int> stopped;
  std::set<int> ran;
  skein::options o;
  const auto note = [&](auto& where) {
    std::lock_guard hold(m);
    where.insert(everywhere::thread_id());
  };
  o.on_thread_start = [&] { note(started); };
  o.on_thread_stop = [&] { note(stopped); };
  on_all_workers(4, [&] { note(ran); }, o);
  EXPECT_EQ(started, stopped);
  EXPECT_EQ(std::set<int>(started.begin(), started.end()).size(), started.size());
  for (const int id : ran) EXPECT_TRUE(started.contains(id));
}

// covers: R8
TEST(worker, can_be_pinned) {
  skein::options o;
  o.pin = true;
  on_all_workers(2, [] {
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    EXPECT_EQ(CPU_COUNT(&set), 1);
  }, o);
}

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x

// covers: R9
TEST(abi, names_live_in_a_versioned_inline_namespace) {
  const std::string abi = TEXT_OF(SKEIN_ABI);
  EXPECT_TRUE(abi.starts_with("v1")) << abi;
  const std::string prefix = "N5skein" + std::to_string(abi.size()) + abi;
  for (const std::type_info* t : {&typeid(skein::unit), &typeid(skein::runtime), &typeid(skein::misuse), &typeid(skein::chan<int>)})
    EXPECT_TRUE(everywhere::contains(t->name(), prefix)) << t->name();
  static_assert(std::is_same_v<skein::runtime, skein::SKEIN_ABI::runtime>);
}

}  // namespace
