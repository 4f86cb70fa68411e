// Atomics: each step is atomic, all of them together are not.
#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "bugs/corpus.hpp"
#include "skein/map.hpp"
#include "skein/mutex.hpp"
#include "skein/test/sim.hpp"
#include "skein/test/var.hpp"

namespace {

using namespace corpus;
using skein::test::point;
using skein::test::var;

// An atomic of which each access is a point.
template <class T> struct shared {
  std::atomic<T> value{};
  T load() const { return point(), value.load(); }
  void store(T v) { point(), value.store(v); }
  T add(T n) { return point(), value.fetch_add(n); }
  bool replace(T old, T now) { return point(), value.compare_exchange_strong(old, now); }
};

// A stack of the nodes 0, 1, 2 as a list of indices; -1 is its end. The head carries a count of changes, which the
// version with the bug does not have.
class index_stack {
 public:
  explicit index_stack(bool counts) : counts_(counts) {
    for (int i : {2, 1, 0}) push(i);
  }
  int pop() {
    for (;;) {
      const long head = head_.load();
      if (node(head) < 0) return -1;
      const int next = next_[static_cast<std::size_t>(node(head))].load();
      if (head_.replace(head, changed(head, next))) return node(head);
    }
  }
  void push(int i) {
    for (;;) {
      const long head = head_.load();
      next_[static_cast<std::size_t>(i)].store(node(head));
      if (head_.replace(head, changed(head, i))) return;
    }
  }

 private:
  static int node(long head) { return static_cast<int>(head % 8) - 1; }
  long changed(long head, int to) const { return (counts_ ? head / 8 + 1 : 0) * 8 + to + 1; }

  const bool counts_;
  shared<long> head_;
  std::array<shared<int>, 3> next_;
};

// One pops two nodes and puts the first back while another is between its load of the head and its exchange.
void pop_and_put_back(bool counts) {
  index_stack s(counts);
  int first = -1, second = -1, other = -1;
  together([&] { other = s.pop(); },
           [&] {
             first = s.pop();
             second = s.pop();
             if (first >= 0) s.push(first);
           });
  const int next = s.pop();
  require(second < 0 || (other != second && next != second), "one node for two");
}

// Two threads that want to be alone: each says so and looks whether the other has.
void enter(bool say_first) {
  std::array<shared<bool>, 2> wants;
  int inside = 0, most = 0;
  const auto try_to_enter = [&](std::size_t me) {
    if (say_first) wants[me].store(true);
    if (wants[1 - me].load()) return;
    wants[me].store(true);
    most = std::max(most, ++inside);
    point();
    --inside;
    wants[me].store(false);
  };
  together([&] { try_to_enter(0); }, [&] { try_to_enter(1); });
  require(most <= 1, "two inside");
}

constexpr bug table[] = {
    {"load_then_store",
     "An atomic is read and written, each atomically, and an update between is lost.",
     "lost an update",
     [] {
       shared<int> hits;
       const auto hit = [&] { hits.store(hits.load() + 1); };
       together(hit, hit);
       require(hits.load() == 2, "lost an update");
     },
     [] {
       shared<int> hits;
       const auto hit = [&] { hits.add(1); };
       together(hit, hit);
       require(hits.load() == 2, "lost an update");
     },
     3},
    {"last_one_frees", "Who drops a count and then looks at it is not the only one to see zero.",
     "freed twice",
     [] {
       shared<int> users, freed;
       users.store(2);
       const auto drop = [&] {
         users.add(-1);
         if (users.load() == 0) freed.add(1);
       };
       together(drop, drop);
       require(freed.load() == 1, "freed twice");
     },
     [] {
       shared<int> users, freed;
       users.store(2);
       const auto drop = [&] {
         if (users.add(-1) == 1) freed.add(1);
       };
       together(drop, drop);
       require(freed.load() == 1, "freed twice");
     },
     3},
    {"revived_from_zero", "A reference is taken to what its last owner is giving back.",
     "used after it was freed",
     [] {
       shared<int> users, freed, late;
       users.store(1);
       together(
           [&] {
             if (users.add(-1) == 1) freed.store(1);
           },
           [&] {
             if (users.load() > 0) {
               users.add(1);
               if (freed.load() == 1) late.store(1);
             }
           });
       require(late.load() == 0, "used after it was freed");
     },
     [] {
       shared<int> users, freed, late;
       users.store(1);
       together(
           [&] {
             if (users.add(-1) == 1) freed.store(1);
           },
           [&] {
             if (users.replace(1, 2)) {
               if (freed.load() == 1) late.store(1);
               if (users.add(-1) == 1) freed.store(1);
             }
           });
       require(late.load() == 0, "used after it was freed");
     },
     3},
    {"aba_on_an_index", "The head is the same as before, its successor is not.", "one node for two",
     [] { pop_and_put_back(false); }, [] { pop_and_put_back(true); }},
    {"looks_before_it_says_so",
     "Each looks whether the other is inside before it says that it goes in.", "two inside",
     [] { enter(false); }, [] { enter(true); }, 3},
    {"slot_numbered_before_it_is_filled",
     "The index says that the slot is there before the value is.", race,
     [] {
       var<int> slot;
       shared<int> filled;
       together([&] { filled.store(1), slot = 7; },
                [&] {
                  if (filled.load() == 1) static_cast<void>(slot.load());
                });
     },
     [] {
       var<int> slot;
       skein::mutex m;
       int filled = 0;
       together(
           [&] {
             const std::lock_guard hold(m);
             slot = 7, filled = 1;
           },
           [&] {
             const std::lock_guard hold(m);
             if (filled == 1) static_cast<void>(slot.load());
           });
     },
     3},
    {"load_then_store_in_a_map",
     "A map that is safe is read and then written, and an update between is lost.",
     "lost an update",
     [] {
       skein::map<int, int> hits;
       hits.store(1, 0);
       const auto hit = [&] {
         const int n = *hits.load(1);
         point(), hits.store(1, n + 1);
       };
       together(hit, hit);
       require(hits.load(1) == 2, "lost an update");
     },
     [] {
       skein::map<int, int> hits;
       hits.store(1, 0);
       const auto hit = [&] {
         int n = 0;
         do n = *hits.load(1), point();
         while (!hits.compare_and_swap(1, n, n + 1));
       };
       together(hit, hit);
       require(hits.load(1) == 2, "lost an update");
     },
     3},
};
[[maybe_unused]] const bool added = add(__FILE__, table);

}  // namespace
