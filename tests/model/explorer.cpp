#include "explorer.hpp"

#include <cxxabi.h>
#include <errno.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

extern "C" char __data_start, _end;

namespace model {
namespace {

constexpr std::uint64_t most_steps = 50'000;
constexpr std::uint64_t most_idle_rounds = 5'000;
constexpr std::int64_t idle_ns = 10'000;
constexpr std::int64_t far_ns = 3'600'000'000'000;  // such deadlines come when nothing else does

constinit explorer* only = nullptr;

}  // namespace

explorer& the() noexcept { return *only; }
bool only_active() noexcept { return only != nullptr && only->active(); }

void fail(std::string why) { the().fail_now(std::move(why)); }

explorer::explorer() {
  only = this;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* p) {
        auto* self = static_cast<explorer*>(p);
        for (int i = 0; i < info->dlpi_phnum; ++i)
          if (info->dlpi_phdr[i].p_type == PT_TLS && info->dlpi_tls_data != nullptr) {
            self->locals_ = static_cast<char*>(info->dlpi_tls_data);
            self->locals_at_start_.assign(self->locals_,
                                          self->locals_ + info->dlpi_phdr[i].p_memsz);
          }
        return 1;  // the first is the program itself
      },
      this);
  image_.assign(&__data_start, &_end);
}

// Globals of the program are as they were at the start before each execution. The explorer's own state
// is on the heap.
void explorer::restore() noexcept { std::memcpy(&__data_start, image_.data(), image_.size()); }

void explorer::run_once(const body& b) {
  memory_.begin();
  threads_.clear();
  minds_.clear();
  owners_.clear();
  mutexes_.clear();
  events_.clear();
  failure_.clear();
  steps_ = accesses_ = tickets_ = idle_rounds_ = 0;
  now_ = 1'000'000'000;
  leap_ = 0;
  deadlines_ = true;
  asymmetric_ = true;
  restore();
  thread& t = threads_.emplace_back();
  minds_.push_back(&t);
  t.run = [](void* body_run) { reinterpret_cast<void (*)()>(body_run)(); };
  t.arg = reinterpret_cast<void*>(b.run);
  t.locals = locals_at_start_;
  t.tick();
  switch_to(&t);
  current_ = nullptr;
  inside_ = true;
  std::memcpy(locals_, locals_at_start_.data(), locals_at_start_.size());
}

result explorer::explore(const body& b, double share, std::uint64_t seed) {
  result r;
  outcomes_.clear();
  const auto scaled = [&](std::uint64_t n) {
    return n == 0 ? n
                  : std::max<std::uint64_t>(
                        1, static_cast<std::uint64_t>(static_cast<double>(n) * share));
  };
  const std::uint64_t searched = scaled(b.how.searched), random = scaled(b.how.random);
  choices_.search({b.how.preemptions, b.how.stale});
  std::uint64_t seeds = 0;
  bool searching = searched != 0;
  for (;;) {
    if (!searching) {
      if (r.all || seeds == random) break;
      choices_.random(seed + seeds++);
    }
    run_once(b);
    ++r.executions;
    r.steps = std::max(r.steps, steps_);
    if (!failure_.empty()) {
      r.failure = failure_;
      r.choices = choices_.text();
      break;
    }
    if (searching && !choices_.next()) {
      r.all = true;
      searching = false;
    } else if (r.executions == searched) {
      searching = false;
    }
  }
  r.outcomes = outcomes_;
  return r;
}

result explorer::replay(const body& b, std::string_view choices) {
  result r;
  choices_.replay(choices);
  tracing_ = true;
  run_once(b);
  tracing_ = false;
  r.executions = 1;
  r.steps = steps_;
  r.failure = failure_;
  r.choices = choices_.text();
  r.trace = trace();
  return r;
}

void explorer::enter() {
  explorer& e = the();
  thread* t = e.current_;
  e.note(op::begins, nullptr, 0, order::none, t->pc);
  e.inside_ = false;
  t->run(t->arg);
  e.inside_ = true;
  t->tick();
  e.note(op::ends, nullptr, 0, order::none, t->pc);
  t->is = thread::state::ended;
  for (thread& o : e.threads_)
    if (o.is == thread::state::joining && o.on == static_cast<std::uintptr_t>(t->id))
      o.is = thread::state::ready;
  if (t->id == 0) e.leave_for_good();  // as a process ends with main(), whatever other threads do
  e.give_way(false);
  __builtin_unreachable();
}

[[gnu::noinline]] void explorer::leave_for_good() {
  skein::arch::context unused;
  skein::arch::raw_switch(&unused, &outer_, nullptr);
  __builtin_unreachable();
}

void explorer::fail_now(std::string why) {
  inside_ = true;
  failure_ = std::move(why);
  leave_for_good();
}

// What the system keeps for each thread changes hands with the stack.
[[gnu::noinline]] void explorer::switch_to(thread* t) {
  thread* from = current_;
  if (from != nullptr) {
    from->locals.assign(locals_, locals_ + locals_at_start_.size());
    std::memcpy(from->exceptions.data(), abi::__cxa_get_globals(), from->exceptions.size());
    from->error = errno;
  }
  current_ = t;
  std::memcpy(locals_, t->locals.data(), t->locals.size());
  std::memcpy(static_cast<void*>(abi::__cxa_get_globals()), t->exceptions.data(),
              t->exceptions.size());
  errno = t->error;
  if (t->ctx.ip == nullptr) {
    t->ctx.ip = reinterpret_cast<void*>(&explorer::enter);
    t->ctx.sp = memory::stack_of(t->id) - 8;  // as after a call
    *static_cast<void**>(t->ctx.sp) = nullptr;
  }
  skein::arch::raw_switch(from != nullptr ? &from->ctx : &outer_, &t->ctx, nullptr);
}

void explorer::step(std::uint32_t pc) {
  current_->pc = pc;
  if (++steps_ > most_steps) fail("livelock: the execution does not end");
}

void explorer::point(std::uint32_t pc) {
  step(pc);
  give_way(true);
}

bool explorer::can_run(thread& t) const noexcept {
  if (t.is == thread::state::spinning && t.stores != memory_.stores()) t.is = thread::state::ready;
  return t.is == thread::state::ready ||
         (deadlines_ && t.is == thread::state::sleeping && t.deadline <= now_);
}

// Who goes on: first the current thread if it can, then the others in turn; those who could only spin, if
// there is nobody else; and last those whose deadline may come early.
void explorer::give_way(bool can_go_on) {
  thread* options[most_threads];
  std::uint32_t n = 0;
  if (can_go_on) options[n++] = current_;
  const auto count = threads_.size();
  const auto from = static_cast<std::size_t>(current_->id);
  const auto add = [&](auto which) {
    for (std::size_t i = 1; i <= count; ++i) {
      thread& t = threads_[(from + i) % count];
      if ((&t != current_ || !can_go_on) && which(t)) options[n++] = &t;
    }
  };
  add([&](thread& t) { return can_run(t); });
  std::uint32_t free = can_go_on ? 1 : n;
  if (n == 0) {
    if (++idle_rounds_ > most_idle_rounds) fail("livelock: threads spin, and nobody stores");
    add([](const thread& t) { return t.is == thread::state::spinning; });
    free = n;
  }
  if (deadlines_)
    add([&](const thread& t) {
      return t.is == thread::state::sleeping && t.deadline != no_deadline && t.deadline > now_ &&
             (n == 0 || t.deadline - now_ < far_ns);
    });
  if (n == 0) stuck();
  if (free == 0) {  // only deadlines are left: the earliest comes first
    const auto earlier = [](const thread* a, const thread* b) { return a->deadline < b->deadline; };
    std::iter_swap(options, std::min_element(options, options + n, earlier));
    free = 1;
  }
  thread* t = options[choices_.pick(choices::kind::thread, n, free)];
  if (t->is == thread::state::spinning) {
    t->is = thread::state::ready;
    now_ += idle_ns;
  } else if (t->is == thread::state::sleeping) {
    t->is = thread::state::ready;
    t->timed_out = true;
    now_ = std::max(now_, t->deadline);
  }
  if (t != current_) switch_to(t);
}

void explorer::park(thread::state s, std::uintptr_t on) {
  current_->is = s;
  current_->on = on;
  give_way(false);
}

void explorer::stuck() {
  constexpr const char* names[] = {"ready", "spins",         "sleeps",
                                   "joins", "locks a mutex", "has ended"};
  std::string text = "deadlock:";
  for (const thread& t : threads_) {
    if (t.is == thread::state::ended) continue;
    char one[64];
    std::snprintf(one, sizeof one, " T%d %s at @%x;", t.id, names[static_cast<int>(t.is)], t.pc);
    text += one;
  }
  text.pop_back();
  fail(text);
}

int explorer::start(void (*f)(void*), void* arg, std::uint32_t pc) {
  point(pc);
  if (threads_.size() == most_threads) fail("too many threads");
  thread& t = threads_.emplace_back();
  minds_.push_back(&t);
  t.id = static_cast<int>(threads_.size()) - 1;
  t.run = f;
  t.arg = arg;
  t.locals = locals_at_start_;
  current_->tick();
  t.know = current_->know;
  current_->tick();
  t.tick();
  t.pc = pc;
  return t.id;
}

void explorer::join(int id, std::uint32_t pc) {
  current_->pc = pc;
  thread& t = threads_[static_cast<std::size_t>(id)];
  if (t.is != thread::state::ended) park(thread::state::joining, static_cast<std::uintptr_t>(id));
  current_->know.join(t.know);
  current_->tick();
  note(op::joins, nullptr, static_cast<std::uint64_t>(id), order::none, pc);
}

}  // namespace model
