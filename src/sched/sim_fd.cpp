// Fake descriptors of simulations.
#include <errno.h>

#include <algorithm>
#include <system_error>

#include "sched/sim.hpp"
#include "skein/test/fake_fd.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {

int simulation::arm(detail::fd_wait* w) noexcept {
  const sys::unseen own;
  const auto it = std::find_if(fakes_.begin(), fakes_.end(), [&](const fake& f) { return f.fd == w->fd; });
  if (it == fakes_.end()) return -EBADF;
  const auto d = static_cast<std::size_t>(w->event);
  if (it->waits[d] != nullptr) return -EEXIST;
  it->waits[d] = w;
  if (it->ready[d]) set_fd(w->fd, w->event, true);
  return 0;
}

bool simulation::disarm(detail::fd_wait* w) noexcept {
  for (fake& f : fakes_)
    for (detail::fd_wait*& at : f.waits)
      if (at == w) {
        at = nullptr;
        return true;
      }
  return false;
}

void simulation::add_fd(int fd) {
  const sys::unseen own;
  fakes_.push_back({fd, {false, false}, {nullptr, nullptr}});
}

void simulation::drop_fd(int fd) noexcept {
  const sys::unseen own;
  std::erase_if(fakes_, [&](const fake& f) { return f.fd == fd; });
}

void simulation::set_fd(int fd, detail::fd_event e, bool ready) noexcept {
  const auto d = static_cast<std::size_t>(e);
  goroutine_list woken;
  for (fake& f : fakes_) {
    if (f.fd != fd) continue;
    f.ready[d] = ready;
    if (!ready || f.waits[d] == nullptr) continue;
    detail::fd_wait* w = std::exchange(f.waits[d], nullptr);
    w->fire(w, woken);
  }
  while (goroutine* g = woken.pop()) this->ready(g);
}

namespace {
simulation& required() {
  const worker* w = current();
  if (w->g == nullptr || w->rt->sim == nullptr) throw misuse("skein: a fake_fd outside of a simulation");
  return *w->rt->sim;
}
}  // namespace

}  // namespace sched

namespace test {

fake_fd::fake_fd() : number_(-1), own_(true) {
  sched::simulation& sim = sched::required();
  number_ = sys::event_fd();
  if (number_ < 0) throw std::system_error(-number_, std::generic_category(), "skein: fake_fd");
  sim.add_fd(number_);
}

fake_fd::fake_fd(int number) : number_(number), own_(false) { sched::required().add_fd(number); }

fake_fd::~fake_fd() {
  sched::required().drop_fd(number_);
  if (own_) sys::close(number_);
}

void fake_fd::set(detail::fd_event e, bool ready) {
  sched::attend_if_asked(ready ? "fake_fd.ready" : "fake_fd.not_ready");
  sched::required().set_fd(number_, e, ready);
}

}  // namespace test
}  // namespace skein::inline SKEIN_ABI
