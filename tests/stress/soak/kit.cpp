// Pool, map, singleflight, rate limiter.
#include <array>
#include <optional>
#include <string>

#include "skein/map.hpp"
#include "skein/pool.hpp"
#include "skein/rate_limiter.hpp"
#include "skein/singleflight.hpp"
#include "skein/time.hpp"
#include "stress/soak/round.hpp"

namespace soak {
void pools(worker& w) {
  struct thing {
    bool lent = false;  // plain: whoever has it may change it
    std::array<char, 200> rest{};
  };
  skein::pool<thing> spare;
  all_along(w, 60, [&](worker& me) {
    auto a = spare.get();
    auto b = me.d.one_in(2) ? spare.try_get() : skein::pooled<thing>();
    require(!a->lent && !(b && b->lent), "a pool lent something twice");
    a->lent = true;
    if (b) b->lent = true;
    if (me.d.one_in(16)) me.interrupt();
    a->lent = false;
    if (b) b->lent = false;
    if (me.d.one_in(16)) a.drop();
    if (me.d.one_in(5000)) spare.trim();
    me.count(kind::pooled);
  });
}

void maps(worker& w) {
  skein::map<std::uint64_t, std::uint64_t>
      m;  // below 100: counters of all; above: each key has one owner
  std::atomic<std::uint64_t> added{0};
  std::atomic<std::uint64_t> owners{0};
  crowd_of(w, 40, [&](worker& me) {
    const std::uint64_t first = 1000 * owners.fetch_add(1, std::memory_order_relaxed) + 1000;
    std::array<std::optional<std::uint64_t>, 100> mine{};
    until_over(me, [&](worker&) {
      const std::uint64_t i = me.d.below(100);
      std::optional<std::uint64_t>& is = mine[i];
      const std::uint64_t key = first + i;
      const std::uint64_t next = me.d.roll();
      switch (me.d.below(8)) {
        case 0:
          require(m.load_and_delete(key) == is, "a map kept another value"), is.reset();
          break;
        case 1: require(m.swap(key, next) == is, "a map swapped another value"), is = next; break;
        case 2: require(m.erase(key) == is.has_value(), "a map erased wrongly"), is.reset(); break;
        case 3: {
          const auto [v, there] = m.load_or_store(key, next);
          require(there == is.has_value() && v == is.value_or(next), "a map has a wrong value");
          is = v;
          break;
        }
        case 4:
          if (is && m.compare_and_swap(key, *is, next)) is = next;
          require(m.load(key) == is, "a map lost a value");
          break;
        case 5:
          if (!me.d.one_in(50)) break;
          m.for_each([&](std::uint64_t k, std::uint64_t v) {
            if (k >= first && k < first + 100)
              require(mine[k - first] == v, "a walk met another value");
          });
          break;
        default: {
          const std::uint64_t n = m.load_or_store(i, 0).first;
          if (m.compare_and_swap(i, n, n + 1)) added.fetch_add(1, std::memory_order_relaxed);
          break;
        }
      }
      me.count(kind::mapped);
    });
    for (std::uint64_t i = 0; i < mine.size(); ++i)
      require(m.load(first + i) == mine[i], "a map lost a value");
  });
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < 100; ++i) sum += m.load(i).value_or(0);
  require(sum == added, "a map lost a change");
}

void flights(worker& w) {
  skein::singleflight<std::uint64_t, std::string> flights;
  std::array<std::atomic<bool>, 5> aloft{};
  skein::wait_group wg;
  for (std::size_t n = round::few(w.d, 40); n > 0; --n)
    w.r.go(wg, w.d, [&](worker& me) {
      until_over(me, [&](worker&) {
        const std::uint64_t key = me.d.below(aloft.size());
        const auto fly = [&aloft, &r = me.r, key, seed = me.d.roll()] {
          require(!aloft[key].exchange(true, std::memory_order_relaxed), "two flights for one key");
          worker crew(r, seed);
          crew.interrupt();
          require(aloft[key].exchange(false, std::memory_order_relaxed), "a flight ended twice");
          // Who lets go of a shared exception last is not seen by the race detector.
          if (!race_detector && crew.d.one_in(8)) throw fault{key};
          return std::to_string(key);
        };
        try {
          if (me.d.one_in(4)) {
            if (const auto v = flights.call_for(me.moment(), key, fly))
              require(v->get() == std::to_string(key), "another's flight");
          } else {
            require(flights.call(key, fly).get() == std::to_string(key), "another's flight");
          }
        } catch (const fault& x) {
          require(x.number == key, "another's failure");
        }
        me.count(kind::flights);
      });
    });
  wg.wait();
  // A flight may go on when those who asked for it have gone: with it ends what refers to this frame.
  for (std::uint64_t key = 0; key < aloft.size(); ++key) try {
      static_cast<void>(flights.call(key, [key] { return std::to_string(key); }));
    } catch (const fault&) {
    }
}

void limiters(worker& w) {
  const double limit = 100 + static_cast<double>(w.d.below(100'000));
  const std::size_t burst = 1 + w.d.below(50);
  const auto from = skein::now();
  skein::rate_limiter gate(limit, burst);
  std::atomic<std::uint64_t> taken{0};
  all_along(w, 20, [&](worker& me) {
    const bool mine = [&] {
      switch (me.d.below(5)) {
        case 0: return gate.allow();
        case 1: return gate.wait(me.r.ctx());
        case 2: {
          auto r = gate.reserve();
          r.cancel();
          return false;
        }
        default: return gate.wait_for(me.moment());
      }
    }();
    if (mine) {
      taken.fetch_add(1, std::memory_order_relaxed);
      me.count(kind::tokens);
    } else {
      skein::yield();
    }
  });
  const double seconds = std::chrono::duration<double>(skein::now() - from).count();
  require(static_cast<double>(taken) <= static_cast<double>(burst) + limit * seconds + 1,
          "too many tokens were given");
}

}  // namespace soak
