// Locks and permits: taken in different orders, twice, or not given back.
#include <array>
#include <chrono>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>

#include "bugs/corpus.hpp"
#include "skein/mutex.hpp"
#include "skein/semaphore.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/task.hpp"

namespace {

using namespace corpus;
using namespace std::chrono_literals;

void move_money(skein::mutex& first, skein::mutex& second) {
  const std::lock_guard a(first);
  const std::lock_guard b(second);
}

void dine(bool last_is_left_handed) {
  std::array<skein::mutex, 3> forks;
  const auto eat = [&](std::size_t left, std::size_t right) {
    return [&, left, right] { move_money(forks[left], forks[right]); };
  };
  together(eat(0, 1), eat(1, 2), last_is_left_handed ? eat(0, 2) : eat(2, 0));
}

// A set of observers that are told of each change.
class subject {
 public:
  void on_change(std::function<void()> f) {
    const std::lock_guard hold(m_);
    tell_ = std::move(f);
  }
  void change_and_tell_locked() {
    const std::lock_guard hold(m_);
    ++changes_;
    tell_();
  }
  void change_and_tell() {
    std::function<void()> tell;
    {
      const std::lock_guard hold(m_);
      ++changes_;
      tell = tell_;
    }
    tell();
  }
  int changes() {
    const std::lock_guard hold(m_);
    return changes_;
  }

 private:
  skein::mutex m_;
  int changes_ = 0;
  std::function<void()> tell_;
};

void parse(int n) {
  if (n % 2 != 0) throw std::invalid_argument("odd");
}

constexpr bug table[] = {
    {"lock_order_of_two",
     "Two goroutines take two locks in opposite order, and each gets its first.", deadlock,
     [] {
       skein::mutex a, b;
       together([&] { move_money(a, b); }, [&] { move_money(b, a); });
     },
     [] {
       skein::mutex a, b;
       together([&] { move_money(a, b); }, [&] { move_money(a, b); });
     },
     3},
    {"lock_order_of_three", "Three goroutines take two of three locks each, in a circle.", deadlock,
     [] {
       skein::mutex a, b, c;
       together([&] { move_money(a, b); }, [&] { move_money(b, c); }, [&] { move_money(c, a); });
     },
     [] {
       skein::mutex a, b, c;
       const auto both = [](skein::mutex& x, skein::mutex& y) {
         const std::scoped_lock hold(x, y);
       };
       together([&] { both(a, b); }, [&] { both(b, c); }, [&] { both(c, a); });
     }},
    {"dining_philosophers", "Each philosopher takes the left fork and waits for the right one.",
     deadlock, [] { dine(false); }, [] { dine(true); }},
    {"unlock_missing_on_exception",
     "An exception leaves between lock and unlock; the next one waits for ever.", deadlock,
     [] {
       skein::mutex m;
       const auto work = [&](int n) {
         m.lock();
         parse(n);
         m.unlock();
       };
       together([&] { work(2); },
                [&] {
                  try {
                    work(3);
                  } catch (const std::invalid_argument&) {
                  }
                });
     },
     [] {
       skein::mutex m;
       const auto work = [&](int n) {
         const std::lock_guard hold(m);
         parse(n);
       };
       together([&] { work(2); },
                [&] {
                  try {
                    work(3);
                  } catch (const std::invalid_argument&) {
                  }
                });
     },
     3},
    {"unlock_missing_on_early_return",
     "The path that finds nothing to do returns with the lock held.", deadlock,
     [] {
       skein::mutex m;
       int jobs = 1;
       const auto take = [&] {
         m.lock();
         if (jobs == 0) return;
         --jobs;
         m.unlock();
       };
       together(take, take, take);
     },
     [] {
       skein::mutex m;
       int jobs = 1;
       const auto take = [&] {
         const std::lock_guard hold(m);
         if (jobs != 0) --jobs;
       };
       together(take, take, take);
     }},
    {"lock_taken_twice",
     "Who adds the last item calls flush(), which takes the lock that it holds.", deadlock,
     [] {
       skein::mutex m;
       int items = 0;
       const auto flush = [&] {
         const std::lock_guard hold(m);
         items = 0;
       };
       const auto add = [&] {
         const std::lock_guard hold(m);
         if (++items == 2) flush();
       };
       together(add, add);
     },
     [] {
       skein::mutex m;
       int items = 0;
       const auto flush_locked = [&] { items = 0; };
       const auto add = [&] {
         const std::lock_guard hold(m);
         if (++items == 2) flush_locked();
       };
       together(add, add);
     },
     3},
    {"unlocked_twice", "A helper unlocks what its caller unlocks again.", "unlock",
     [] {
       skein::mutex m;
       const auto notify = [&] { m.unlock(); };
       together(
           [&] {
             m.lock();
             notify();
             m.unlock();
           },
           [&] { const std::lock_guard hold(m); });
     },
     [] {
       skein::mutex m;
       const auto notify = [](std::unique_lock<skein::mutex>& hold) { hold.unlock(); };
       together(
           [&] {
             std::unique_lock hold(m);
             notify(hold);
           },
           [&] { const std::lock_guard hold(m); });
     },
     3},
    {"read_lock_reentered",
     "A reader locks again while a writer, who waits for it, goes before new readers.", deadlock,
     [] {
       skein::shared_mutex m;
       const auto name = [&] { const std::shared_lock hold(m); };
       together(
           [&] {
             const std::shared_lock hold(m);
             name();
           },
           [&] { const std::unique_lock hold(m); });
     },
     [] {
       skein::shared_mutex m;
       const auto name_locked = [] {};
       together(
           [&] {
             const std::shared_lock hold(m);
             name_locked();
           },
           [&] { const std::unique_lock hold(m); });
     },
     3},
    {"read_lock_upgraded", "Two readers keep their read locks and wait to be the writer.", deadlock,
     [] {
       skein::shared_mutex m;
       const auto insert = [&] {
         const std::shared_lock look(m);
         const std::unique_lock change(m);
       };
       together(insert, insert);
     },
     [] {
       skein::shared_mutex m;
       const auto insert = [&] {
         {
           const std::shared_lock look(m);
         }
         const std::unique_lock change(m);  // and look again
       };
       together(insert, insert);
     },
     3},
    {"lock_held_across_join", "A task is joined under the lock that it needs to end.", deadlock,
     [] {
       skein::mutex m;
       auto t = skein::spawn([&] { const std::lock_guard hold(m); });
       const std::lock_guard hold(m);
       if (!t.wait_for(1s)) t.join();
     },
     [] {
       skein::mutex m;
       auto t = skein::spawn([&] { const std::lock_guard hold(m); });
       {
         const std::lock_guard hold(m);
       }
       if (!t.wait_for(1s)) t.join();
     },
     3},
    {"callback_under_lock", "An observer is told under the lock that it takes to look.", deadlock,
     [] {
       subject s;
       together(
           [&] {
             s.on_change([&] { s.changes(); });
             s.change_and_tell_locked();
           },
           [&] { s.changes(); });
     },
     [] {
       subject s;
       together(
           [&] {
             s.on_change([&] { s.changes(); });
             s.change_and_tell();
           },
           [&] { s.changes(); });
     },
     3},
    {"semaphore_taken_in_pieces",
     "Two goroutines need two of two permits and take one after the other.", deadlock,
     [] {
       skein::semaphore permits(2);
       const auto work = [&] {
         permits.acquire();
         permits.acquire();
         permits.release(2);
       };
       together(work, work);
     },
     [] {
       skein::semaphore permits(2);
       const auto work = [&] {
         permits.acquire(2);
         permits.release(2);
       };
       together(work, work);
     },
     3},
    {"permit_lost_on_failure", "The path that fails does not give its permit back.", deadlock,
     [] {
       skein::semaphore permits(1);
       const auto work = [&](int n) {
         permits.acquire();
         try {
           parse(n);
           permits.release();
         } catch (const std::invalid_argument&) {
         }
       };
       together([&] { work(1); }, [&] { work(2); });
     },
     [] {
       skein::semaphore permits(1);
       const auto work = [&](int n) {
         permits.acquire();
         try {
           parse(n);
         } catch (const std::invalid_argument&) {
         }
         permits.release();
       };
       together([&] { work(1); }, [&] { work(2); });
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
