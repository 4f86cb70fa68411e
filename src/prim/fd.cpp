// Waiting for descriptors, alone and as a channel for select.
#include <errno.h>
#include <poll.h>

#include <system_error>

#include "prim/limits.hpp"
#include "sched/sim.hpp"
#include "skein/net/poll.hpp"

namespace skein::inline SKEIN_ABI::detail {

namespace {

struct waiting_fd : fd_wait {
  sched::waiter* who;
};

void fire_waiter(fd_wait* base, goroutine_list& ready) noexcept {
  sched::waiter* w = static_cast<waiting_fd*>(base)->who;
  if (w->try_claim(0)) sched::collect(w, ready);
}

// What tells of readiness: the runtime's poller, or the fake descriptors of a simulation.
int arm(runtime_state* rt, fd_wait* w) noexcept { return rt->sim == nullptr ? rt->io.arm(w) : rt->sim->arm(w); }
void disarm(runtime_state* rt, fd_wait* w) noexcept { rt->sim == nullptr ? rt->io.disarm(w) : rt->sim->disarm(w); }

[[noreturn]] void refuse(const runtime_state* rt, int error) {
  if (error == -EEXIST) throw misuse("skein: two waits for one descriptor and direction");
  if (rt != nullptr && rt->sim != nullptr)
    throw misuse("skein: waiting for a real descriptor in a simulation; see skein/test/fake_fd.hpp");
  throw std::system_error(-error, std::generic_category(), "skein: this descriptor cannot be polled");
}

// A plain thread polls for itself. A context is looked at every so often.
chan_status poll_on_thread(int fd, fd_event e, const limit& l) {
  for (;;) {
    pollfd p{fd, static_cast<short>(e == fd_event::read ? POLLIN | POLLRDHUP : POLLOUT), 0};
    std::int64_t left = never;
    if (l.has_deadline) left = l.deadline.time_since_epoch().count() - sys::monotonic_ns();
    if (l.ctx != nullptr) left = std::min<std::int64_t>(left, 10'000'000);
    const timespec ts{static_cast<time_t>(std::max<std::int64_t>(left, 0) / 1'000'000'000),
                      static_cast<long>(std::max<std::int64_t>(left, 0) % 1'000'000'000)};
    const int n = ::ppoll(&p, 1, left == never ? nullptr : &ts, nullptr);
    if (n < 0 && errno != EINTR) refuse(nullptr, -errno);
    if (n > 0 && (p.revents & POLLNVAL) != 0) refuse(nullptr, -EBADF);
    if (n > 0) return chan_status::done;
    chan_status why;
    if (prim::limit_guard::over(l, why)) return why;
  }
}

}  // namespace

chan_status wait_fd(int fd, fd_event e, const limit& l) {
  sched::attend_if_asked(e == fd_event::read ? "wait_readable" : "wait_writable");
  chan_status why;
  if (prim::limit_guard::over(l, why)) return why;
  goroutine* g = sched::current_goroutine();
  if (g == nullptr) return poll_on_thread(fd, e, l);
  runtime_state* rt = sched::runtime_of(g);
  sched::waiter me(g);
  prim::limit_guard guard(me, l);
  if (guard.needed()) guard.arm();
  waiting_fd w;
  w.fire = &fire_waiter;
  w.fd = fd;
  w.event = e;
  w.who = &me;
  me.io = &w;
  g->waiting = &me;
  const int r = arm(rt, &w);
  if (r != 0) {
    // Not armed; but time or context may have claimed the wait already.
    g->waiting = nullptr;
    if (guard.needed()) {
      guard.disarm();
      if (!me.try_claim(0)) guard.consume(status::fd);
    }
    if (r == -EPERM) return chan_status::done;
    refuse(rt, r);
  }
  guard.wait(status::fd);
  if (guard.needed()) guard.disarm();
  const chan_status s = prim::status_of(me.winner());
  if (s != chan_status::done) disarm(rt, &w);
  return s;
}

namespace {

// fd_core: the channel of readable() and writable(): one unit, sent by the poller.
struct fd_core : chan_core {
  fd_core() noexcept : chan_core(elem<unit>::ops, 1, nullptr) { special = kind::fd; }
  struct watch : fd_wait {
    fd_core* to;
  } wait;
};

void fire_chan(fd_wait* base, goroutine_list& ready) noexcept {
  unit u;
  offer(static_cast<fd_core::watch*>(base)->to, &u, ready);
}

}  // namespace

chan_core* fd_chan(int fd, fd_event e) {
  sched::attend_if_asked(e == fd_event::read ? "readable" : "writable");
  const sched::runtime_ref ours;
  runtime_state* rt = ours.required();
  auto* c = new (sys::allocate(sizeof(fd_core), alignof(fd_core))) fd_core;
  c->wait.fire = &fire_chan;
  c->wait.fd = fd;
  c->wait.event = e;
  c->wait.to = c;
  const int r = arm(rt, &c->wait);
  if (r == -EPERM) {
    c->count = 1;
  } else if (r != 0) {
    chan_release(c);
    refuse(rt, r);
  }
  return c;
}

void fd_destroy(chan_core* base) noexcept {
  auto* c = static_cast<fd_core*>(base);
  // After a firing the lock is taken all the same: the firing may still be under way.
  if (poller* io = c->wait.home.load(std::memory_order_acquire)) io->disarm(&c->wait);
  if (const sched::worker* w = sched::current(); w->rt != nullptr && w->rt->sim != nullptr) w->rt->sim->disarm(&c->wait);
  c->~fd_core();
  sys::deallocate(c, sizeof(fd_core), alignof(fd_core));
}

}  // namespace skein::inline SKEIN_ABI::detail
