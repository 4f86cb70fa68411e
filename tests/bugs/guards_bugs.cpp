// What a lock guards: too little, by the wrong lock, or not for long enough.
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "bugs/corpus.hpp"
#include "skein/mutex.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/test/var.hpp"
#include "skein/time.hpp"

namespace {

using namespace corpus;
using namespace std::chrono_literals;
using skein::test::var;

// An account; the balance is looked at and changed in one step or in two.
class account {
 public:
  bool withdraw_in_two_steps(int n) {
    if (balance() < n) return false;
    const std::lock_guard hold(m_);
    balance_ -= n;
    return true;
  }
  bool withdraw(int n) {
    const std::lock_guard hold(m_);
    if (balance_ < n) return false;
    balance_ -= n;
    return true;
  }
  int balance() {
    const std::lock_guard hold(m_);
    return balance_;
  }

 private:
  skein::mutex m_;
  int balance_ = 100;
};

constexpr bug table[] = {
    {"failed_try_lock_ignored", "Nobody looks whether the timed lock was had; two are inside.",
     race,
     [] {
       skein::mutex m;
       var<int> shared;
       together(
           [&] {
             const std::lock_guard hold(m);
             ++shared;
             skein::sleep_for(2ms);
             ++shared;
           },
           [&] {
             const bool locked = m.try_lock_for(1ms);
             ++shared;
             if (locked) m.unlock();
           });
     },
     [] {
       skein::mutex m;
       var<int> shared;
       together(
           [&] {
             const std::lock_guard hold(m);
             ++shared;
             skein::sleep_for(2ms);
             ++shared;
           },
           [&] {
             if (std::unique_lock hold(m, 1ms); hold) ++shared;
           });
     },
     3},
    {"wrong_lock", "Two goroutines guard one counter by two locks.", race,
     [] {
       var<int> hits;
       skein::mutex a, b;
       together(
           [&] {
             const std::lock_guard hold(a);
             ++hits;
           },
           [&] {
             const std::lock_guard hold(b);
             ++hits;
           });
     },
     [] {
       var<int> hits;
       skein::mutex a;
       together(
           [&] {
             const std::lock_guard hold(a);
             ++hits;
           },
           [&] {
             const std::lock_guard hold(a);
             ++hits;
           });
     },
     3},
    {"write_under_read_lock", "Readers count their visits in what they hold for reading.", race,
     [] {
       var<int> visits;
       skein::shared_mutex m;
       const auto visit = [&] {
         const std::shared_lock hold(m);
         ++visits;
       };
       together(visit, visit);
     },
     [] {
       var<int> visits;
       skein::shared_mutex m;
       const auto visit = [&] {
         const std::unique_lock hold(m);
         ++visits;
       };
       together(visit, visit);
     },
     3},
    {"check_then_act_on_a_balance", "Two see enough money under the lock, and then both take it.",
     "overdrawn",
     [] {
       account a;
       together([&] { a.withdraw_in_two_steps(80); }, [&] { a.withdraw_in_two_steps(80); });
       require(a.balance() >= 0, "overdrawn");
     },
     [] {
       account a;
       together([&] { a.withdraw(80); }, [&] { a.withdraw(80); });
       require(a.balance() >= 0, "overdrawn");
     },
     3},
    {"check_then_act_on_a_queue", "There is room when asked for, and none when the item is put.",
     "too many",
     [] {
       skein::mutex m;
       std::vector<int> queue(1);
       const auto has_room = [&] {
         const std::lock_guard hold(m);
         return queue.size() < 2;
       };
       const auto put = [&] {
         if (!has_room()) return;
         const std::lock_guard hold(m);
         queue.push_back(1);
       };
       together(put, put);
       require(queue.size() <= 2, "too many");
     },
     [] {
       skein::mutex m;
       std::vector<int> queue(1);
       const auto put = [&] {
         const std::lock_guard hold(m);
         if (queue.size() < 2) queue.push_back(1);
       };
       together(put, put);
       require(queue.size() <= 2, "too many");
     },
     3},
    {"reference_escapes_the_lock", "A getter returns a reference to what its lock guards.", race,
     [] {
       skein::mutex m;
       var<int> level;
       const auto get = [&]() -> var<int>& {
         const std::lock_guard hold(m);
         return level;
       };
       together([&] { static_cast<void>(get().load()); },
                [&] {
                  const std::lock_guard hold(m);
                  level = 1;
                });
     },
     [] {
       skein::mutex m;
       var<int> level;
       const auto get = [&] {
         const std::lock_guard hold(m);
         return level.load();
       };
       together([&] { static_cast<void>(get()); },
                [&] {
                  const std::lock_guard hold(m);
                  level = 1;
                });
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
