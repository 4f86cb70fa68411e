// The operations of threads: atomics, fences, futexes, mutexes, and what is noted of them.
#include <errno.h>

#include <algorithm>
#include <cstdio>

#include "explorer.hpp"

namespace model {
namespace {

constexpr std::uint64_t most_accesses = 1'000'000;  // of one execution, other than atomic ones

std::uint64_t cut(std::uint64_t v, std::uint32_t bytes) noexcept {
  return bytes == 8 ? v : v & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

}  // namespace

std::uint64_t apply(op what, std::uint64_t old, std::uint64_t by) noexcept {
  switch (what) {
    case op::add: return old + by;
    case op::sub: return old - by;
    case op::band: return old & by;
    case op::bor: return old | by;
    case op::bxor: return old ^ by;
    case op::nand: return ~(old & by);
    default: return by;
  }
}

const char* name(op what) noexcept {
  constexpr const char* names[] = {
      "load",       "store",      "exchange",   "fetch_add",        "fetch_sub", "fetch_and",
      "fetch_or",   "fetch_xor",  "fetch_nand", "compare_exchange", "fence",     "light_fence",
      "membarrier", "futex_wait", "futex_wake", "begins",           "ends",      "joins",
      "spins",      "locks",      "unlocks"};
  return names[static_cast<int>(what)];
}

order explorer::weakened(std::uint32_t pc, op what, order o, order failed) {
  sites_.try_emplace(pc, site{what, o, failed});
  const auto it = weaker_.find(pc);
  return it == weaker_.end() ? o : it->second;
}

void explorer::note(op what, const location* l, std::uint64_t value, order o, std::uint32_t pc) {
  if (tracing_) events_.push_back({current_->id, what, l == nullptr ? 0 : l->number, pc, value, o});
}

std::vector<std::string> explorer::trace() const {
  std::vector<std::uint32_t> pcs;
  for (const event& e : events_) pcs.push_back(e.pc);
  const std::vector<std::string> places = where(pcs);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const event& e = events_[i];
    char text[160];
    std::snprintf(text, sizeof text, "%*sT%d %-16s %s%-3s %#-10lx %-8s ", 2 * e.thread, "",
                  e.thread, name(e.what), e.location != 0 ? "a" : "",
                  e.location != 0 ? std::to_string(e.location).c_str() : "", e.value,
                  e.o == order::none ? "" : name(e.o));
    lines.push_back(text + places[i]);
  }
  return lines;
}

// The newest store, or an older one that the thread may still read.
std::uint32_t explorer::pick_store(const location& l, order o) {
  constexpr std::uint32_t most = 4;
  const auto newest = static_cast<std::uint32_t>(l.stores.size() - 1);
  const std::uint32_t n = std::min(newest - memory_.oldest(*current_, l, o) + 1, most);
  if (std::exchange(current_->fresh, false) || n == 1) return newest;
  const std::uint32_t back = choices_.pick(choices::kind::value, n, 1);
  if (back != 0) current_->stale = true;
  return newest - back;
}

std::uint64_t explorer::load(std::uintptr_t a, std::uint32_t bytes, order o, std::uint32_t pc) {
  point(pc);
  o = weakened(pc, op::load, o);
  current_->tick();
  location& l = memory_.find(*current_, a, bytes, false, pc);
  const std::uint64_t v = memory_.read(*current_, l, pick_store(l, o), o);
  current_->tick();
  note(op::load, &l, v, o, pc);
  return v;
}

void explorer::store(std::uintptr_t a, std::uint32_t bytes, std::uint64_t value, order o,
                     std::uint32_t pc) {
  point(pc);
  o = weakened(pc, op::store, o);
  current_->tick();
  location& l = memory_.find(*current_, a, bytes, true, pc);
  memory_.write(*current_, l, cut(value, bytes), o, false);
  current_->tick();
  note(op::store, &l, cut(value, bytes), o, pc);
}

std::uint64_t explorer::modify(op what, std::uintptr_t a, std::uint32_t bytes, std::uint64_t by,
                               order o, std::uint32_t pc) {
  point(pc);
  o = weakened(pc, what, o);
  current_->tick();
  location& l = memory_.find(*current_, a, bytes, true, pc);
  const std::uint64_t old =
      memory_.read(*current_, l, static_cast<std::uint32_t>(l.stores.size() - 1), o);
  const std::uint64_t now = cut(apply(what, old, by), bytes);
  memory_.write(*current_, l, now, o, true);
  current_->tick();
  note(what, &l, now, o, pc);
  return old;
}

// One that fails is a load. It may read an old store, as long as that is not the expected value: then it
// would have to be the newest. A weak one may fail for no reason.
bool explorer::compare_exchange(std::uintptr_t a, std::uint32_t bytes, std::uint64_t& expected,
                                std::uint64_t desired, bool weak, order o, order failed,
                                std::uint32_t pc) {
  point(pc);
  o = weakened(pc, op::cas, o, failed);
  if (const auto it = weaker_failed_.find(pc); it != weaker_failed_.end()) failed = it->second;
  current_->tick();
  location& l = memory_.find(*current_, a, bytes, true, pc);
  const auto newest = static_cast<std::uint32_t>(l.stores.size() - 1);
  std::uint32_t at = pick_store(l, failed);
  if (at != newest && l.stores[at].value == expected) at = newest;
  bool done = at == newest && l.stores[at].value == expected;
  if (done && weak && !current_->fresh && choices_.pick(choices::kind::value, 2, 1) == 1)
    done = false;
  expected = memory_.read(*current_, l, at, done ? o : failed);
  if (done) memory_.write(*current_, l, cut(desired, bytes), o, true);
  current_->tick();
  note(op::cas, &l, done ? cut(desired, bytes) : expected, done ? o : failed, pc);
  return done;
}

void explorer::fence(order o, std::uint32_t pc) {
  point(pc);
  o = weakened(pc, op::fence, o);
  current_->tick();
  if (o != order::none) memory_.fence(*current_, o);
  current_->tick();
  note(op::fence, nullptr, 0, o, pc);
}

void explorer::light_fence(std::uint32_t pc) {
  current_->pc = pc;
  const order o = weakened(pc, op::light_fence, order::seq_cst);
  if (o == order::none) return;
  current_->tick();
  memory_.light_fence(*current_);
  current_->tick();
  note(op::light_fence, nullptr, 0, o, pc);
}

void explorer::membarrier(std::uint32_t pc) {
  point(pc);
  const order o = weakened(pc, op::membarrier, order::seq_cst);
  current_->tick();
  if (o != order::none) memory_.heavy_fence(*current_, minds_);
  current_->tick();
  note(op::membarrier, nullptr, 0, o, pc);
}

void explorer::plain(std::uintptr_t a, std::size_t bytes, bool write, std::uint32_t pc) {
  if (++accesses_ > most_accesses) fail("livelock: a loop without an atomic operation does not end");
  memory_.plain(*current_, a, bytes, write, pc);
}

void* explorer::allocate(std::size_t bytes, std::size_t align) {
  return memory_.allocate(bytes, align);
}
void explorer::deallocate(void* p, std::uint32_t pc) { memory_.deallocate(*current_, p, pc); }
void* explorer::map(std::size_t bytes) { return memory_.map(bytes); }

// The kernel compares with the newest value, and from then on the thread knows that one; else system
// calls are no fences here. A sleep may end for no reason.
int explorer::futex_wait(std::uintptr_t a, std::uint32_t expected, std::int64_t deadline,
                         std::uint32_t pc) {
  point(pc);
  current_->tick();
  location& l = memory_.find(*current_, a, 4, false, pc);
  const auto v = static_cast<std::uint32_t>(
      memory_.read(*current_, l, static_cast<std::uint32_t>(l.stores.size() - 1), order::relaxed));
  note(op::futex_wait, &l, v, order::none, pc);
  current_->tick();
  if (v != expected) return EAGAIN;
  if (choices_.pick(choices::kind::value, 2, 1) == 1) return EINTR;
  return sleep(a, deadline) ? 0 : ETIMEDOUT;
}

bool explorer::sleep(std::uintptr_t key, std::int64_t deadline) {
  current_->ticket = ++tickets_;
  current_->deadline = deadline;
  current_->timed_out = false;
  park(thread::state::sleeping, key);
  return !current_->timed_out;
}

int explorer::futex_wake(std::uintptr_t a, int n, std::uint32_t pc) {
  point(pc);
  int woken = 0;
  for (; woken < n; ++woken) {
    thread* first = nullptr;
    for (thread& t : threads_)
      if (t.is == thread::state::sleeping && t.on == a &&
          (first == nullptr || t.ticket < first->ticket))
        first = &t;
    if (first == nullptr) break;
    first->is = thread::state::ready;
  }
  note(op::futex_wake, nullptr, static_cast<std::uint64_t>(woken), order::none, pc);
  return woken;
}

void explorer::spin(std::int64_t ns, std::uint32_t pc) {
  step(pc);
  note(op::spins, nullptr, 0, order::none, pc);
  now_ += std::max<std::int64_t>(ns, 1'000);
  current_->fresh = true;
  if (std::exchange(current_->stale, false)) return;  // what it waits for may have happened
  current_->stores = memory_.stores();
  park(thread::state::spinning, 0);
}

std::int64_t explorer::now() {
  if (leap_ != 0 && choices_.pick(choices::kind::value, 2, 1) == 1) now_ += leap_;
  return now_ += 1;
}

bool explorer::try_lock(std::uintptr_t mutex, std::uint32_t pc) {
  point(pc);
  if (!owners_.try_emplace(mutex, current_->id).second) return false;
  current_->know.join(mutexes_[mutex]);
  current_->tick();
  note(op::locks, nullptr, 0, order::none, pc);
  return true;
}

void explorer::lock(std::uintptr_t mutex, std::uint32_t pc) {
  while (!try_lock(mutex, pc)) park(thread::state::locking, mutex);
}

void explorer::unlock(std::uintptr_t mutex, std::uint32_t pc) {
  note(op::unlocks, nullptr, 0, order::none, pc);
  mutexes_[mutex] = current_->know;
  current_->tick();
  owners_.erase(mutex);
  for (thread& t : threads_)
    if (t.is == thread::state::locking && t.on == mutex) t.is = thread::state::ready;
}

}  // namespace model
