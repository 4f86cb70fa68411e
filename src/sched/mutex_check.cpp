// The check for pthread mutexes that are held across a park (SKEIN_CHECK_MUTEXES).
//
// The library defines the functions that lock and unlock a pthread mutex, hands each call on to the
// next definition and notes on the goroutine what it holds. Condition variables release and take their
// mutex inside glibc, unseen; their thread sleeps meanwhile, so at a park the notes are right again.
// skein's own locks are no pthread mutexes.
#if defined(SKEIN_CHECK_MUTEXES)

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "base/check.hpp"
#include "sched/faults.hpp"
#include "sched/park.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

// next_one: the C library's function of a name that is defined here as well.
//
// The look-up may call a malloc that locks and so come back here: that call does nothing. All look-ups
// are over before main() begins, so there is nobody yet whom it would have to keep out.
thread_local constinit bool looking_up = false;

template <class... A> class next_one {
 public:
  constexpr explicit next_one(const char* name) noexcept : name_(name) {}

  void look_up() noexcept {
    looking_up = true;
    function* f = reinterpret_cast<function*>(::dlsym(RTLD_NEXT, name_));
    looking_up = false;
    if (f == nullptr) base::fatal("SKEIN_CHECK_MUTEXES needs a shared C library");
    found_.store(f, std::memory_order_relaxed);  // the same, whoever stores it
  }
  int operator()(A... args) noexcept {
    if (found_.load(std::memory_order_relaxed) == nullptr) [[unlikely]] {
      if (looking_up) return 0;
      look_up();
    }
    return found_.load(std::memory_order_relaxed)(args...);
  }

 private:
  using function = int(A...);
  const char* name_;
  atomic<function*> found_{nullptr};
};

constinit next_one<pthread_mutex_t*> next_lock("pthread_mutex_lock");
constinit next_one<pthread_mutex_t*> next_trylock("pthread_mutex_trylock");
constinit next_one<pthread_mutex_t*> next_unlock("pthread_mutex_unlock");
constinit next_one<pthread_mutex_t*, const timespec*> next_timedlock("pthread_mutex_timedlock");
constinit next_one<pthread_mutex_t*, clockid_t, const timespec*>
    next_clocklock("pthread_mutex_clocklock");

[[gnu::constructor]] void look_up_all() {
  next_lock.look_up();
  next_trylock.look_up();
  next_unlock.look_up();
  next_timedlock.look_up();
  next_clocklock.look_up();
}

int locked(int result, const void* mutex, const void* where) noexcept {
  if (result == 0 || result == EOWNERDEAD)
    if (goroutine* g = current_goroutine()) g->mutexes.add(mutex, where);
  return result;
}

// first_from() is true once for each creation site; for none any more when many have been seen.
bool first_from(const void* site) noexcept {
  static constinit atomic<const void*> seen[512]{};
  for (atomic<const void*>& s : seen) {
    const void* before = nullptr;
    if (s.compare_exchange_strong(before, site, std::memory_order_relaxed)) return true;
    if (before == site) return false;
  }
  return false;
}

}  // namespace

void report_held_mutexes(const goroutine* g, status why) noexcept {
  if (g->mutexes.count() == 0 || !first_from(g->site)) return;
  const int kept = errno;
  const detail::held_mutexes::entry& last = g->mutexes.last();
  base::text held;
  held << "skein: a goroutine parks with a pthread mutex held\n  mutex: " << last.mutex
       << ", locked in ";
  describe_site(held, last.locked_at);
  held.print();
  base::text whose;
  whose << "\n  mutexes held: " << std::uint64_t{g->mutexes.count()}
        << "\n  waits for: " << detail::name(why) << "\n  created by ";
  describe_site(whose, g->site);
  whose.print();
  (base::text()
   << "\n  it belongs to the thread: others that lock it block their threads, and the goroutine "
      "may\n"
      "  go on, and unlock it, on another thread; skein::mutex may be held across a park\n"
      "  parks at:\n")
      .print();
  print_stack();
  *current()->errno_place = kept;
}

}  // namespace skein::inline SKEIN_ABI::sched

namespace of_skein = skein::sched;

extern "C" {

int pthread_mutex_lock(pthread_mutex_t* m) noexcept {
  return of_skein::locked(of_skein::next_lock(m), m, __builtin_return_address(0));
}
int pthread_mutex_trylock(pthread_mutex_t* m) noexcept {
  return of_skein::locked(of_skein::next_trylock(m), m, __builtin_return_address(0));
}
int pthread_mutex_timedlock(pthread_mutex_t* m, const timespec* t) noexcept {
  return of_skein::locked(of_skein::next_timedlock(m, t), m, __builtin_return_address(0));
}
int pthread_mutex_clocklock(pthread_mutex_t* m, clockid_t c, const timespec* t) noexcept {
  return of_skein::locked(of_skein::next_clocklock(m, c, t), m, __builtin_return_address(0));
}
int pthread_mutex_unlock(pthread_mutex_t* m) noexcept {
  const int result = of_skein::next_unlock(m);
  if (result == 0)
    if (skein::detail::goroutine* g = of_skein::current_goroutine()) g->mutexes.remove(m);
  return result;
}

}  // extern "C"

#endif
