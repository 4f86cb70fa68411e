// Work that is handed out: whatever was begun ends once, and its exception goes to whoever asked for it.
#include "faults/scenes.hpp"

#include <numeric>

namespace faults {
namespace {

void closures() {
  on(2, [] {
    std::atomic<int> runs{0};
    skein::wait_group all;
    int begun = 0;
    struct counted : quiet_job {
      skein::wait_group* all;
      counted(std::atomic<int>& r, skein::wait_group* w) : quiet_job(r), all(w) {}
      void operator()() const {
        quiet_job::operator()();
        all->done();
      }
    };
    for (int k = 0; k < 4; ++k) {
      all.add(1);
      if (attempt([&] { skein::go(counted(runs, &all)); }))
        ++begun;
      else
        all.done();
      all.add(1);
      if (attempt([&] {
            skein::go(
                {.stack = 64 << 10}, [&all](const quiet_job& f) { f(), all.done(); },
                quiet_job(runs));
          }))
        ++begun;
      else
        all.done();
      begun += attempt([&] { all.go(quiet_job(runs)); });
    }
    all.wait();
    require(runs == begun, "a goroutine was lost, or ran without being started");
  });
  no_job_is_left();
}

void tasks() {
  on(2, [] {
    std::atomic<int> runs{0};
    int begun = 0;
    for (int k = 0; k < 4; ++k) {
      bool spawned = false, joined = false;
      attempt([&] {
        auto t = skein::spawn(job(runs));
        spawned = true;
        if (k == 1) skein::yield();
        if (k == 2) attempt([&] { static_cast<void>(t.wait_for(50us)); });
        if (k == 3) return;  // dropped: the destructor joins
        require(t.join() == 5, "another value");
        joined = true;
      });
      begun += spawned;
      require(runs == begun, "a task did not run once");
      require(!joined || spawned, "nothing was joined");
    }
    attempt([] {
      require(skein::spawn([] { return parcel(3); }).join().value == 3, "another result");
    });
  });
  no_job_is_left();
  require(parcel::live() == 0, "a result was not destroyed");
}

void groups() {
  on(2, [] {
    std::atomic<int> runs{0};
    int begun = 0;
    bool failed = false;
    attempt([&] {
      skein::task_group g(skein::background());
      g.set_limit(2);
      for (int k = 0; k < 5; ++k) begun += attempt([&] { g.go(job(runs)); });
      failed = !attempt([&] { g.wait(); });
      require(runs == begun, "wait() ended before everybody had");
      require(!failed || g.context().err(), "a failure did not cancel the group");
    });
    require(runs == begun, "a job was lost");
    attempt([&] {
      skein::task_group g;
      int more = 0;
      for (int k = 0; k < 3; ++k) attempt([&] { more += g.try_go(job(runs)); });
      begun += more;
    });
    require(runs == begun, "the destructor did not wait");
  });
  no_job_is_left();
}

void loops() {
  on(2, [] {
    std::array<std::atomic<int>, 40> seen{};
    std::array<std::size_t, 40> numbers{};
    std::iota(numbers.begin(), numbers.end(), std::size_t{0});
    const bool whole = attempt([&] {
      skein::parallel_for_each(numbers, [&](std::size_t i) {
        ++seen[i];
        callback();
        if (i % 8 == 0) skein::yield();
      });
    });
    for (const auto& n : seen) require(whole ? n == 1 : n <= 1, "an element was not visited once");
    attempt([&] {
      const skein::chan<std::size_t> queue(40);
      for (const std::size_t i : numbers) queue.send(i);
      queue.close();
      std::array<std::atomic<int>, 40> from_queue{};
      const bool drained = attempt([&] {
        skein::parallel_for_each(queue, [&](std::size_t i) { ++from_queue[i], callback(); },
                                 {.limit = 3});
      });
      int visited = 0;
      for (const auto& n : from_queue) visited += n, require(n <= 1, "a job was done twice");
      require(!drained || visited == 40, "a job was lost");
    });
  });
}

void flights() {
  on(2, [] {
    attempt([] {
      skein::singleflight<parcel, parcel> f;
      std::atomic<int> answers{0}, failures{0};
      team t;
      for (int k = 0; k < 5; ++k)
        t.go([&, k] {
          const bool good = attempt([&] {
            const parcel key(k % 2);
            // A flight may outlive its callers: no references.
            const auto work = [] { return callback(), skein::yield(), parcel(9); };
            if (k == 1) {
              if (const auto r = f.call_for(1h, key, work))
                require((*r)->value == 9, "another value");
            } else if (k == 2) {
              const auto r = f.call_chan(key, work).recv();
              require(r.has_value(), "a flight did not answer");
              require((*r)->value == 9, "another value");
            } else {
              require(f.call(key, work)->value == 9, "another value");
            }
          });
          ++(good ? answers : failures);
        });
      t.wait();
      require(answers + failures == t.begun, "a caller has no answer");
      attempt([&] { f.forget(parcel(1)); });
    });
  });
  require(parcel::live() == 0, "a key or a value was not destroyed");
}

// Values that stay with a goroutine; making one may fail, and the next call tries again.
void values() {
  struct made {
    made() { callback(), ++live(); }
    made(const made&) { callback(), ++live(); }
    ~made() { --live(); }
    static std::atomic<int>& live() {
      static std::atomic<int> n{0};
      return n;
    }
    int value = 1;
  };
  on(2, [] {
    attempt([] {
      skein::local<made> a;
      skein::local<int> b([] { return callback(), 4; });
      skein::local<made> c([] { return made(); });
      team t;
      for (int k = 0; k < 5; ++k)
        t.go([&] {
          attempt([&] { a->value = 2; });
          attempt([&] { require(*b == 4, "another initial value"); });
          attempt([&] { require(c->value == 1, "somebody else's value"); });
          skein::yield();
          attempt([&] { require(a->value == 2 || a->value == 1, "a value changed"); });
        });
      t.wait();
    });
  });
  require(made::live() == 0, "a value outlived its goroutine");
}

void pools() {
  struct buffer {
    buffer() { callback(), ++live(); }
    buffer(buffer&&) noexcept { ++live(); }
    ~buffer() { --live(); }
    static std::atomic<int>& live() {
      static std::atomic<int> n{0};
      return n;
    }
    bool used = false;
  };
  on(2, [] {
    attempt([] {
      skein::pool<buffer> p;
      team t;
      for (int k = 0; k < 5; ++k)
        t.go([&] {
          for (int i = 0; i < 20; ++i)
            attempt([&] {
              auto one = p.get(), two = p.get();
              require(!std::exchange(one->used, true) && !std::exchange(two->used, true),
                      "two have one object");
              if (i % 4 == 0) skein::yield();
              one->used = two->used = false;
              if (i % 8 == 0) two.drop();
              if (i % 5 == 0) p.put(buffer());
            });
        });
      t.wait();
      p.trim();
    });
  });
  require(buffer::live() == 0, "an object was lost");
}

// When a key's or a value's function throws the map is as it was.
void maps() {
  on(2, [] {
    attempt([] {
      skein::map<parcel, int> m;
      std::array<std::atomic<int>, 24> stored{};
      team t;
      for (int k = 0; k < 3; ++k)
        t.go([&, k] {
          for (int i = k; i < 24; i += 3) {
            std::atomic<int>& mine =
                stored[static_cast<std::size_t>(i)];  // keys of this goroutine only
            if (attempt([&] { m.store(parcel(i), i); })) mine = 1;
            attempt([&] {
              require(m.load(parcel(i)) == (mine != 0 ? std::optional(i) : std::nullopt),
                      "another value");
            });
            if (i % 4 == 0) attempt([&] { mine = m.compare_and_swap(parcel(i), i, i) ? 1 : 0; });
            if (i % 5 == 0 && attempt([&] {
                  require(m.erase(parcel(i)) == (mine != 0), "erased what was not there");
                }))
              mine = 0;
            if (i % 7 == 0) attempt([&] { m.load_or_store(parcel(i), i), mine = 1; });
          }
        });
      t.wait();
      std::array<int, 24> found{};
      const bool all = attempt([&] {
        m.for_each([&](const parcel& key, int value) {
          callback();
          require(key.value == value, "a value under another key");
          ++found[static_cast<std::size_t>(value)];
        });
      });
      for (std::size_t i = 0; i < found.size(); ++i)
        require(all ? found[i] == stored[i] : found[i] <= stored[i], "a key was lost");
      attempt([&] { m.clear(); });
    });
  });
  require(parcel::live() == 0, "a key was not destroyed");
}

void limiters() {
  on(2, [] {
    skein::rate_limiter gate(skein::every(20us), 2);
    std::atomic<int> passed{0}, tried{0};
    team t;
    for (int k = 0; k < 4; ++k)
      t.go([&] {
        for (int i = 0; i < 4; ++i)
          attempt([&] {
            ++tried;
            const bool through = gate.wait();
            require(through, "the gate stays closed");
            ++passed;
          });
      });
    t.wait();
    require(passed <= tried, "more passed than came");
  });
}

constexpr scenario all[] = {
    {"closures", &closures},    {"tasks", &tasks},     {"task_groups", &groups},
    {"parallel_loops", &loops}, {"flights", &flights}, {"locals", &values},
    {"pools", &pools},          {"maps", &maps},       {"limiters", &limiters, false, true},
};

}  // namespace

theme jobs() { return {all, std::size(all)}; }

}  // namespace faults
