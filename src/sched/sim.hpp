// A simulated runtime: one thread, no processors, a clock that moves only when everybody waits, and a
// schedule that a seed, or a list of choices, decides.
//
// It uses the same goroutines, parks and waits as a real runtime. Its only worker never holds a
// processor, so every fast path falls through to the slow one, which asks here; the attention word
// stays set, so every operation calls point(). Everything that is left to chance is drawn from the
// schedule (sim_schedule.hpp): who goes on at a point, who after a park, which of the deadlines that are
// due comes first, the order of a select's cases.
//
// A schedule ends when the body has ended and nobody is left, or when it fails: then the goroutines that
// are left are dropped where they stand, as at the end of a runtime.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "parts/poller.hpp"
#include "sched/sched.hpp"
#include "sched/sim_clocks.hpp"
#include "sched/sim_schedule.hpp"
#include "sched/sim_trace.hpp"

namespace skein::inline SKEIN_ABI::sched {

class simulation {
 public:
  // The name of the operation that gives way to all others.
  static constexpr char yields[] = "yield";

  struct limits {
    std::uint64_t steps;
    bool leaks;
  };

  explicit simulation(runtime_state* rt);
  ~simulation();
  simulation(const simulation&) = delete;
  simulation& operator=(const simulation&) = delete;

  // run() is one schedule of body: why it failed, or nothing. After a failure the simulation is over.
  std::optional<std::string> run(const std::function<void()>& body, schedule& choices, const limits& l, trace* t);
  std::uint64_t steps() const noexcept { return steps_; }
  worker* only_worker() noexcept { return &worker_; }

  // The rest is for the goroutines of the simulation, and for what they call.
  // ready() makes g runnable; only from the simulation's own thread.
  void ready(goroutine* g) noexcept;
  // point() may let another goroutine run first.
  void point(worker* w, const act& a) noexcept;
  void parks(const goroutine* g) noexcept;
  // fail() notes why the schedule fails, which ends at the next point.
  void fail(std::string why) noexcept;
  std::uint32_t pick(std::uint32_t n) noexcept {
    const sys::unseen own;
    return choices_->pick(n);
  }
  std::int64_t now() const noexcept { return clock_; }
  std::uint64_t number() const noexcept { return number_; }
  clocks& order() noexcept { return clocks_; }
  std::uint32_t current_number() const noexcept;  // of the goroutine that runs; 0: none
  trace* tracing() noexcept { return trace_; }

  // Fake descriptors: the poller's contract. -EBADF for one that no fake_fd stands for.
  int arm(detail::fd_wait* w) noexcept;
  bool disarm(detail::fd_wait* w) noexcept;
  void add_fd(int fd);
  void drop_fd(int fd) noexcept;
  void set_fd(int fd, detail::fd_event e, bool ready) noexcept;

 private:
  // What is known of a goroutine, by its number in the slab.
  struct info {
    std::uint32_t number = 0;  // in the order of their starts
    detail::closure_fn run = nullptr;
    act last{"", nullptr, nullptr};
    std::uint64_t since = 0;  // the step of `last`
  };
  struct fake {
    int fd;
    bool ready[2];
    detail::fd_wait* waits[2];
  };

  enum class outcome { done, deadlock, leak, livelock };
  outcome go_on(const limits& l);
  void fire_one() noexcept;
  bool somebody_else(goroutine* g, bool yielding) noexcept;
  goroutine* take(std::size_t i) noexcept;
  void execute_next(goroutine* g) noexcept;
  info& info_of(const goroutine* g) noexcept;
  void note(std::uint32_t who, const act& a, const char* how = "");
  void note_who_is_left();
  static void run_guarded(void* closure);
  static void run_body(void* closure);

  runtime_state* rt_;
  worker worker_;
  schedule* choices_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  trace* trace_ = nullptr;
  std::int64_t clock_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t max_steps_ = 0;
  std::uint64_t number_ = 0;
  std::uint32_t started_ = 0;
  std::vector<goroutine*> runnable_;
  std::vector<std::uint32_t> ids_;  // their numbers, for the schedule
  goroutine* picked_ = nullptr;     // by a point, taken out of runnable_
  std::vector<info> infos_;
  std::vector<fake> fakes_;
  clocks clocks_;
  std::optional<std::string> error_;
};

}  // namespace skein::inline SKEIN_ABI::sched
