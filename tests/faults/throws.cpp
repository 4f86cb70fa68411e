// Functions of the program that throw in places where other scenarios have none: nothing is half done.
#include "faults/scenes.hpp"

#include <iterator>

namespace faults {
namespace {

// One goroutine selects among sends of values whose functions throw, and receives whose handlers do.
void select_parcels() {
  books b;
  on(1, [&] {
    attempt([&] {
      const skein::chan<parcel> here(4), there(4);
      for (int i = 0; i < 16; ++i) {
        const std::size_t before = there.size();
        bool heard = false;
        const auto sent = [&b](int v) { return [&b, v] { b.sent(v), callback(); }; };
        const auto take = [&](std::optional<parcel> v) {
          heard = true;
          b.received(v->value);
          callback();
        };
        try {
          parcel p(i), q(i + 20), r(i + 40);
          if (i % 2 == 0) {
            skein::try_select(send(here, std::move(p), sent(i)), send(there, q, sent(i + 20)));
          } else {
            std::vector<skein::any_case> cases;
            cases.emplace_back(send(here, r, sent(i + 40)));
            cases.emplace_back(recv(there, take));
            skein::try_select(std::span(cases));
          }
        } catch (const thrown&) {
          // Only a move out of the channel loses its value, and that is the receiver's.
          if (!heard && there.size() < before) b.consumed();
        } catch (const std::bad_alloc&) {
        }
      }
      b.close(static_cast<int>(here.size() + there.size()));
    });
  });
  require(parcel::live() == 0, "an element was not destroyed");
}

// Functions that run later are destroyed whether they ran, were stopped, or could not be copied.
void later() {
  on(2, [] {
    std::atomic<int> runs{0};
    int due = 0;
    attempt([&] {
      auto [ctx, cancel] = skein::with_cancel(skein::background());
      for (int k = 0; k < 6; ++k) {
        attempt([&] {
          auto f = skein::after_func(k % 2 == 0 ? skein::duration(20us) : skein::duration(1h),
                                     quiet_job(runs));
          if (k % 2 == 0)
            due += !f.stop();
          else if (!f.stop())
            require(false, "an hour was over");
        });
        attempt([&] { due += (skein::after_func(10us, quiet_job(runs)), 1); });
        attempt([&] { due += (skein::after_func(ctx, quiet_job(runs)), 1); });
      }
    });
    while (runs < due) skein::yield();
  });
  no_job_is_left();
}

void context_values() {
  struct user {
    using type = parcel;
  };
  on(2, [] {
    attempt([] {
      const skein::context root = skein::with_value<user>(skein::background(), parcel(1));
      attempt([&] {
        auto [ctx, cancel] = skein::with_cancel(root);
        attempt([&, inner = ctx] {
          const skein::context own = skein::with_value<user>(inner, parcel(2));
          require(own.value<user>()->value == 2, "another value");
        });
        require(ctx.value<user>()->value == 1, "another value");
      });
    });
  });
  require(parcel::live() == 0, "a value was not destroyed");
}

// A map with one user is what its user knows. After what hands out a value and threw he has to look.
void map_values() {
  struct entry {
    bool known = true;
    int value = 0;  // 0: none
  };
  on(1, [] {
    attempt([] {
      skein::map<parcel, parcel> m;
      std::array<entry, 7> model;
      for (int i = 0; i < 60; ++i) {
        const int key = i % 7, next = 100 + i;
        entry& e = model[static_cast<std::size_t>(key)];
        if (!e.known)
          attempt([&] {
            const auto v = m.load(parcel(key));
            e = {true, v ? v->value : 0};
          });
        if (!e.known) continue;
        const int had = e.value;
        const auto same = [had](const std::optional<parcel>& v) {
          require((v ? v->value : 0) == had, "another value");
        };
        bool changed = false;
        switch (i % 6) {
          case 0: attempt([&] { m.store(parcel(key), parcel(next)), e.value = next; }); break;
          case 1:
            e.known = attempt([&] { same(m.swap(parcel(key), parcel(next))), e.value = next; });
            break;
          case 2:
            e.known = attempt([&] {
              const auto [v, found] = m.load_or_store(parcel(key), parcel(next));
              require(found == (had != 0) && v.value == (found ? had : next), "another value");
              e.value = v.value;
            });
            break;
          case 3:
            attempt([&] {
              changed = m.compare_and_swap(parcel(key), parcel(had), parcel(next));
              require(changed == (had != 0), "not swapped");
              if (changed) e.value = next;
            });
            break;
          case 4:
            e.known = attempt([&] { same(m.load_and_delete(parcel(key))), e.value = 0; });
            break;
          default:
            attempt([&] {
              changed = m.compare_and_delete(parcel(key), parcel(had));
              require(changed == (had != 0), "not erased");
              if (changed) e.value = 0;
            });
            break;
        }
        if (e.known)
          attempt([&] {
            const auto v = m.load(parcel(key));
            require((v ? v->value : 0) == e.value, "the map is not as it was");
          });
      }
    });
  });
  require(parcel::live() == 0, "a key or a value was not destroyed");
}

void pool_makers() {
  struct maker {
    maker() = default;
    maker(const maker&) { callback(); }
    parcel operator()() const { return callback(), parcel(1); }
  };
  on(2, [] {
    attempt([] {
      skein::pool<parcel> p{maker()};
      team t;
      for (int k = 0; k < 3; ++k)
        t.go([&] {
          for (int i = 0; i < 6; ++i) {
            attempt([&] { require(p.get()->value == 1, "another object"); });
            attempt([&] { p.put(parcel(1)); });
          }
        });
      t.wait();
    });
  });
  require(parcel::live() == 0, "an object was lost");
}

// steps: a range that can be walked once, and fails at any step.
struct steps {
  struct iterator {
    using value_type = parcel;
    using difference_type = std::ptrdiff_t;
    int at = 0;
    parcel operator*() const { return callback(), parcel(at); }
    iterator& operator++() { return callback(), ++at, *this; }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) {
      return callback(), i.at == 20;
    }
  };
  static iterator begin() { return {}; }
  static std::default_sentinel_t end() { return {}; }
};

void loops_once() {
  on(2, [] {
    std::array<std::atomic<int>, 20> seen{};
    const bool whole = attempt([&] {
      skein::parallel_for_each(steps(), [&](const parcel& p) {
        ++seen[static_cast<std::size_t>(p.value)];
        callback();
      });
    });
    for (const auto& n : seen) require(whole ? n == 1 : n <= 1, "an element was not visited once");
  });
  require(parcel::live() == 0, "an element was not destroyed");
}

// The other forms of those who run a function for somebody.
void forms() {
  on(2, [] {
    std::atomic<int> runs{0};
    int begun = 0;
    attempt([&] {
      skein::task_group g;
      g.set_limit(2);
      for (int k = 0; k < 2; ++k) {
        attempt([&] { begun += g.go_for(1h, job(runs)); });
        attempt([&] { begun += g.go(skein::background(), job(runs)); });
      }
      attempt([&] { g.wait(); });
    });
    attempt([&] {
      auto t = skein::spawn({.stack = 64 << 10}, job(runs));
      ++begun;
      attempt([&] { require(t.join() == 5, "another value"); });
    });
    require(runs == begun, "a job was lost");
    attempt([&] {
      const auto f = skein::once_func(job(runs));
      const int before = runs;
      const bool first = attempt([&] { f(); });
      const bool second = attempt([&] { f(); });
      require(first == second && runs <= before + 1, "one execution had two ends");
    });
    attempt([&] {
      skein::singleflight<parcel, int> s;
      const parcel a(1), b(2);
      attempt([&] { require(**s.call_for(1h, a, job(runs)) == 5, "another value"); });
      attempt([&] { require(**s.call(skein::background(), b, job(runs)) == 5, "another value"); });
      attempt([&] {
        const auto r = s.call_chan(a, job(runs)).recv();
        require(**r == 5, "another value");
      });
    });
  });
  no_job_is_left();
  require(parcel::live() == 0, "a key was not destroyed");
}

constexpr scenario all[] = {
    {"select_parcels", &select_parcels},
    {"later_functions", &later, false, true},
    {"context_values", &context_values},
    {"map_values", &map_values},
    {"pool_makers", &pool_makers},
    {"loops_once", &loops_once},
    {"forms", &forms},
};

}  // namespace

theme throws() { return {all, std::size(all)}; }

}  // namespace faults
