#include "faults/plans.hpp"

#include <algorithm>
#include <cerrno>
#include <initializer_list>

#include "support/everywhere.hpp"
#include "support/process.hpp"

namespace faults {
namespace {

// for_ever: the program can do without the call for good. Without an answer from epoll_wait, read or futex
// nobody hears of a descriptor, a signal or the end of a time, and a membarrier that was there does not go
// away; but short answers may be all there are. write is not here: it fails only when there is something to be
// read already. An eventfd that is asked for less than its eight bytes refuses, and stays ready.
struct answers {
  kind of;
  std::initializer_list<int> all;
  bool for_ever;
};
const answers ways_to_fail[] = {
    {of(call::allocate), {ENOMEM}, true},
    {of(call::mmap), {ENOMEM}, true},
    {of(call::madvise), {EINVAL, EAGAIN, ENOMEM}, true},
    {of(call::mprotect), {ENOMEM}, true},
    {of(call::futex), {EINTR, EAGAIN}, false},
    {of(call::membarrier), {ENOSYS, EPERM}, false},
    {of(call::thread_create), {EAGAIN, EPERM}, true},
    {of(call::epoll_create), {EMFILE, ENFILE, ENOMEM}, true},
    {of(call::epoll_ctl), {ENOMEM, ENOSPC}, true},
    {of(call::epoll_wait), {EINTR, -1}, false},
    {of(call::epoll_pwait2), {ENOSYS, EPERM}, true},
    {of(call::eventfd), {EMFILE, ENFILE, ENOMEM}, true},
    {of(call::open), {EMFILE, ENFILE, ENOMEM}, true},
    {of(call::pipe), {EMFILE, ENFILE}, true},
    {of(call::pidfd_open), {EMFILE, ENFILE, ENOSYS, EPERM}, true},
    {of(call::process_madvise), {ENOSYS, EPERM, EINVAL, -1}, true},
    {of(call::read), {EINTR, EAGAIN, -1, -9}, false},
    {of(call::report), {EINTR, EAGAIN, -1, -9}, false},
    {callback_call, {1}, true},
};
const answers clock_answers = {clock_look, {jumps_hours, jumps_a_little, stands_still}, false};

struct maker {
  const call_counts& made;
  everywhere::dice d;
  std::vector<fault> single = {};  // each call in each way
  std::vector<plan> plans = {};

  void consider(const answers& a) {
    for (long n = 1; n <= made[static_cast<std::size_t>(a.of)]; ++n)
      for (const int e : a.all) single.push_back({a.of, e, n});
  }
  const fault& any() { return single[d.below(single.size())]; }
  void add(how way, const fault& first, const fault& second = {}) {
    plans.push_back({way, first, second});
  }
};

bool allowed(const answers& a, how way, int answer) {
  return way == how::every_nth || a.for_ever || answer < 0;
}

}  // namespace

std::vector<plan> plans_for(const scenario& s, const call_counts& made, std::size_t most,
                            std::uint64_t seed) {
  maker m{made, everywhere::dice(seed)};
  for (const answers& a : ways_to_fail) m.consider(a);
  if (s.timed) m.consider(clock_answers);
  if (m.single.empty()) return {};
  const std::size_t half = std::max<std::size_t>(most / 2, 1);
  if (m.single.size() <= half)
    for (const fault& f : m.single) m.add(how::nth, f);
  else
    for (std::size_t i = 0; i < half; ++i) m.add(how::nth, m.any());
  for (std::size_t i = 0; i < most / 4; ++i) m.add(how::two, m.any(), m.any());
  const auto several = [&](how way, const fault& f) {
    for (const answers& a : ways_to_fail)
      if (a.of == f.what && allowed(a, way, f.answer)) m.add(way, f);
  };
  for (std::size_t i = 0; i < most / 8; ++i) {
    several(how::from_nth, m.any());
    fault f = m.any();
    f.n = static_cast<long>(2 + m.d.below(i % 4 == 0 ? 64 : 6));
    several(how::every_nth, f);
  }
  // The detector of addresses cannot run a handler on every stack that there is.
  if (!s.cold && !everywhere::sanitized)
    for (std::size_t i = 0; i < most / 64; ++i) m.add(how::signals, {signal_came, 0, 8});
  return m.plans;
}

bool may_end(const scenario& s, const plan& p, const std::string& text) {
  const auto says = [&](const char* what) { return text.find(what) != std::string::npos; };
  const auto concerns = [&](kind k) {
    return p.first.what == k || (p.way == how::two && p.second.what == k);
  };
  if (concerns(of(call::mmap)) || concerns(of(call::allocate)))
    if (says("skein: fatal: out of address space or memory for goroutine stacks")) return true;
  return concerns(callback_call) && s.fatal != nullptr && says(s.fatal);
}

}  // namespace faults
