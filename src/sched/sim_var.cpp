// Data races on test::var, judged by the vector clocks of the simulation. As in FastTrack (Flanagan and
// Freund, PLDI 2009): of the writes the last is enough, for an earlier one that is not ordered with it
// was a race already.
#include <algorithm>

#include "sched/sim.hpp"
#include "skein/test/var.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {
namespace {

// access: one access of a goroutine of a simulation; none outside of one.
class access {
 public:
  access(detail::var_history& h, const act& a) noexcept : h_(h) {
    worker* w = current();
    if (w->g == nullptr || w->rt->sim == nullptr) return;
    sim_ = w->rt->sim;
    sim_->point(w, a);
    const sys::unseen own;
    sim_->order().start();
    me_ = {sim_->current_number(), 0, a.site};
    me_.clock = sim_->order().of(me_.who);
    if (h_.schedule == sim_->number()) return;
    h_.schedule = sim_->number();
    h_.write = {};
    h_.reads.clear();
  }

  void read(const void* of) {
    if (sim_ == nullptr) return;
    {
      const sys::unseen own;
      check("reads", "write", h_.write);
      const auto mine = std::find_if(h_.reads.begin(), h_.reads.end(), [&](const auto& r) { return r.who == me_.who; });
      if (mine != h_.reads.end())
        *mine = me_;
      else
        h_.reads.push_back(me_);
    }
    end_if_failed(of);
  }

  void write(const void* of) {
    if (sim_ == nullptr) return;
    {
      const sys::unseen own;
      check("writes", "write", h_.write);
      for (const auto& r : h_.reads) check("writes", "read", r);
      h_.write = me_;
      h_.reads.clear();
    }
    end_if_failed(of);
  }

 private:
  void check(const char* does, const char* did, const detail::var_history::access& other) {
    if (other.who == 0 || other.who == me_.who || sim_->order().before(other.who, other.clock, me_.who)) return;
    failed_ = true;
    sim_->fail("data race: g" + std::to_string(me_.who) + " " + does + " at " + trace::place(me_.site) +
               " what is not ordered with the " + did + " of g" + std::to_string(other.who) + " at " + trace::place(other.site));
  }
  void end_if_failed(const void* of) noexcept {
    if (failed_) sim_->point(current(), {"is in a data race", of, me_.site});  // from which it does not return
  }

  detail::var_history& h_;
  simulation* sim_ = nullptr;
  detail::var_history::access me_{};
  bool failed_ = false;
};

}  // namespace
}  // namespace sched

namespace detail {

SKEIN_NOINLINE void var_read(var_history& h, const void* of) {
  sched::access(h, {"var.read", of, __builtin_return_address(0)}).read(of);
}
SKEIN_NOINLINE void var_write(var_history& h, const void* of) {
  sched::access(h, {"var.write", of, __builtin_return_address(0)}).write(of);
}

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
