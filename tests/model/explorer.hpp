// The explorer: runs a body again and again, its threads as contexts on one thread of the system, with a
// decision before each atomic operation (who goes on) and at each load (what it reads).
//
// A thread that spins (cpu_relax, sched_yield, nanosleep) is not run again before another thread has
// stored something, and reads the newest value then, so that loops end; if nobody else can run it goes
// on all the same, a while later by the clock. Time stands still but for that, and for waits with a
// deadline: those may end by it whenever their thread could be chosen.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arch/context.hpp"
#include "choices.hpp"
#include "memory.hpp"
#include "model.hpp"

namespace model {

inline constexpr std::int64_t no_deadline = INT64_MAX;

struct thread : mind {
  enum class state : std::uint8_t { ready, spinning, sleeping, joining, locking, ended };
  state is = state::ready;
  bool fresh = false;  // the next load reads the newest
  bool stale = false;  // has read something older since it last span
  bool timed_out = false;
  std::uint64_t stores = 0;  // in all, when it began to spin
  std::uintptr_t on = 0;     // the futex or mutex it waits for, the thread it joins
  std::uint64_t ticket = 0;  // order of sleepers
  std::int64_t deadline = no_deadline;
  std::uint32_t pc = 0;  // of its last operation
  void (*run)(void*) = nullptr;
  void* arg = nullptr;
  skein::arch::context ctx;
  std::vector<char> locals;  // its thread_local objects while another runs
  std::array<char, 16> exceptions{};
  int error = 0;
};

// What an operation is called in traces and lists of sites.
enum class op : std::uint8_t {
  load,
  store,
  exchange,
  add,
  sub,
  band,
  bor,
  bxor,
  nand,
  cas,
  fence,
  light_fence,
  membarrier,
  futex_wait,
  futex_wake,
  begins,
  ends,
  joins,
  spins,
  locks,
  unlocks
};
const char* name(op what) noexcept;

struct site {
  op what;
  order ok, failed;  // failed: of a cas
};

struct result {
  std::uint64_t executions = 0;
  std::uint64_t steps = 0;  // of the longest
  bool all = false;         // the search has seen everything within its bounds
  std::string failure;      // empty: none
  std::string choices;      // that lead to it
  std::vector<std::string> trace;
  std::set<std::string> outcomes;
};

class explorer {
 public:
  explorer();

  result explore(const body& b, double share, std::uint64_t seed);
  result replay(const body& b, std::string_view choices);

  // active() tells whether the code that runs is a model's, and not the explorer's.
  bool active() const noexcept { return current_ != nullptr && !inside_; }

  // Operations of the running thread; bytes is 1, 2, 4 or 8.
  std::uint64_t load(std::uintptr_t a, std::uint32_t bytes, order o, std::uint32_t pc);
  void store(std::uintptr_t a, std::uint32_t bytes, std::uint64_t value, order o, std::uint32_t pc);
  std::uint64_t modify(op what, std::uintptr_t a, std::uint32_t bytes, std::uint64_t by, order o,
                       std::uint32_t pc);
  bool compare_exchange(std::uintptr_t a, std::uint32_t bytes, std::uint64_t& expected,
                        std::uint64_t desired, bool weak, order o, order failed, std::uint32_t pc);
  void fence(order o, std::uint32_t pc);
  void light_fence(std::uint32_t pc);
  void membarrier(std::uint32_t pc);
  void plain(std::uintptr_t a, std::size_t bytes, bool write, std::uint32_t pc);
  void* allocate(std::size_t bytes, std::size_t align);
  void deallocate(void* p, std::uint32_t pc);
  void* map(std::size_t bytes);
  int futex_wait(std::uintptr_t a, std::uint32_t expected, std::int64_t deadline,
                 std::uint32_t pc);  // 0 or an errno
  int futex_wake(std::uintptr_t a, int n, std::uint32_t pc);
  void spin(std::int64_t ns, std::uint32_t pc);
  void lock(std::uintptr_t mutex, std::uint32_t pc);
  bool try_lock(std::uintptr_t mutex, std::uint32_t pc);
  void unlock(std::uintptr_t mutex, std::uint32_t pc);
  int start(void (*f)(void*), void* arg, std::uint32_t pc);
  void join(int id, std::uint32_t pc);
  std::int64_t now();
  // sleep() lasts until futex_wake() on the same key; false: the deadline came.
  bool sleep(std::uintptr_t key, std::int64_t deadline);

  void fail_now [[noreturn]] (std::string why);
  void outcome(const std::string& what) { outcomes_.insert(what); }
  bool has_membarrier() const noexcept { return asymmetric_; }
  void asymmetric_fences(bool available) noexcept { asymmetric_ = available; }
  void no_deadlines() noexcept { deadlines_ = false; }
  void clock_leaps(std::int64_t by) noexcept { leap_ = by; }

  // Sites that were passed, and what weakens some of them.
  void weaken(std::uint32_t pc, order o, bool failure) {
    (failure ? weaker_failed_ : weaker_)[pc] = o;
  }
  std::unordered_map<std::uint32_t, site> take_sites() { return std::exchange(sites_, {}); }

  class guard;

 private:
  struct event {
    int thread;
    op what;
    std::uint32_t location, pc;
    std::uint64_t value;
    order o;
  };

  void run_once(const body& b);
  void restore() noexcept;
  void step(std::uint32_t pc);
  void point(std::uint32_t pc);  // where another thread may come first
  bool can_run(thread& t) const noexcept;
  void give_way(bool can_go_on);
  void switch_to(thread* t);
  void park(thread::state s, std::uintptr_t on);
  order weakened(std::uint32_t pc, op what, order o, order failed = order::none);
  std::uint32_t pick_store(const location& l, order o);
  void note(op what, const location* l, std::uint64_t value, order o, std::uint32_t pc);
  [[noreturn]] void stuck();
  static void enter();
  [[noreturn]] void leave_for_good();
  std::vector<std::string> trace() const;

  memory memory_;
  choices choices_;
  std::deque<thread> threads_;
  std::deque<mind*> minds_;
  thread* current_ = nullptr;
  bool inside_ = true;
  skein::arch::context outer_;
  std::uint64_t steps_ = 0, accesses_ = 0, tickets_ = 0, idle_rounds_ = 0;
  std::int64_t now_ = 0;
  std::int64_t leap_ = 0;
  bool deadlines_ = true;
  bool asymmetric_ = true;
  std::string failure_;
  std::set<std::string> outcomes_;
  bool tracing_ = false;
  std::vector<event> events_;
  std::unordered_map<std::uint32_t, site> sites_;
  std::unordered_map<std::uint32_t, order> weaker_, weaker_failed_;
  std::unordered_map<std::uintptr_t, int> owners_;  // of mutexes
  std::unordered_map<std::uintptr_t, knowledge> mutexes_;
  char* locals_ = nullptr;  // thread_local objects of this program
  std::vector<char> locals_at_start_;
  std::vector<char> image_;
};

// the() is the explorer; there is one. only_active(): it is there, and active.
explorer& the() noexcept;
bool only_active() noexcept;
// apply() is what a read-modify-write makes of a value.
std::uint64_t apply(op what, std::uint64_t old, std::uint64_t by) noexcept;

// guard: while it lives what runs is the explorer's.
class explorer::guard {
 public:
  guard() noexcept { the().inside_ = true; }
  ~guard() { the().inside_ = false; }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;
};

// where() names the source of code addresses: "file:line:column function", innermost first.
std::vector<std::string> where(const std::vector<std::uint32_t>& pcs);

}  // namespace model
