// on_system_stack(): a call on a stack of the largest class.
#include <exception>
#include <new>
#include <utility>

#include "sched/sched.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {

// on_fiber_of: while it lives g, which runs, is the stack's fiber to the race detector. What is done on
// a stack is done by its fiber; so whoever has the stack next goes on where the one before has ended.
// In line, so that the detector counts no call that begins on one fiber and ends on another.
class on_fiber_of {
 public:
#if defined(SKEIN_TSAN_FIBERS)
  SKEIN_ALWAYS_INLINE on_fiber_of(goroutine* g, arch::stack* s) noexcept
      : g_(g), before_(std::exchange(g->ctx.fiber, s->own_fiber())) {
    __tsan_switch_to_fiber(g->ctx.fiber, 0);
  }
  on_fiber_of(const on_fiber_of&) = delete;
  on_fiber_of& operator=(const on_fiber_of&) = delete;
  SKEIN_ALWAYS_INLINE ~on_fiber_of() {
    g_->ctx.fiber = before_;
    __tsan_switch_to_fiber(before_, 0);
  }

 private:
  goroutine* g_;
  void* before_;
#else
  on_fiber_of(goroutine*, arch::stack*) noexcept {}
#endif
};

}  // namespace

void call_on_big_stack(void (*f)(void*), void* arg) {
  sched::worker* w = sched::current();
  goroutine* g = w->g;
  if (g == nullptr) {
    f(arg);
    return;
  }
  runtime_state* rt = w->rt;
  arch::stack* big = rt->stacks.take(arch::stack_classes - 1, 1);
  if (big == nullptr) throw std::bad_alloc();
  struct giver {
    runtime_state* rt;
    arch::stack* s;
    ~giver() {
      s->next = nullptr;
      rt->stacks.put(s->cls, s);
    }
  } give_back{rt, big};
  const on_fiber_of fiber(g, big);
#if defined(SKEIN_SEES_ASAN)
  struct frame {
    void (*f)(void*);
    void* arg;
    goroutine* g;
    const void* bottom;
    std::size_t size;
    void* fake;
    std::exception_ptr error;
    [[gnu::no_sanitize_address]] static void enter(void* p) {
      auto* fr = static_cast<frame*>(p);
      __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
      try {
        fr->f(fr->arg);
      } catch (...) {
        fr->error = std::current_exception();
      }
      __sanitizer_start_switch_fiber(nullptr, fr->bottom, fr->size);
    }
  } fr{f, arg, g, g->ctx.bottom, g->ctx.size, nullptr, nullptr};
  g->ctx.bottom = big->limit();
  g->ctx.size = static_cast<std::size_t>(big->top() - big->limit());
  __sanitizer_start_switch_fiber(&fr.fake, g->ctx.bottom, g->ctx.size);
  skein_call_on_stack(&frame::enter, &fr, big->top());
  __sanitizer_finish_switch_fiber(fr.fake, nullptr, nullptr);
  g->ctx.bottom = fr.bottom;
  g->ctx.size = fr.size;
  if (fr.error) std::rethrow_exception(fr.error);
#else
  skein_call_on_stack(f, arg, big->top());
#endif
}

}  // namespace skein::inline SKEIN_ABI::detail
