// Random histories of two channels, checked against a model: is there an order of the operations,
// compatible with when they began and ended, in which a simple channel would have answered the same?
// (Linearizability; the search is Wing and Gong's, "Testing and Verifying Concurrent Objects", 1993.)
#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "skein/chan.hpp"
#include "skein/select.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct chan_stress : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_stress);

enum class did { sent, refused, received, ended, full, empty, none_ready, closed, misused, sized };

struct op {
  did what;
  int chan;   // the receive of a none_ready
  int value;  // what was sent, received, or the size; the channel of the send of a none_ready
  std::uint64_t from;
  std::uint64_t to;
};

std::ostream& operator<<(std::ostream& o, const op& x) {
  static const char* const names[] = {"sent",  "refused",    "received", "ended",   "full",
                                      "empty", "none_ready", "closed",   "misused", "sized"};
  return o << "[" << x.from << "," << x.to << "] " << names[static_cast<int>(x.what)] << " chan " << x.chan
           << " value " << x.value;
}

// model: what two channels are, apart from who waits.
struct model {
  std::size_t capacity[2];
  std::deque<int> buffer[2];
  bool closed[2] = {};

  bool room(int c) const { return buffer[c].size() < capacity[c]; }
  // Whether x could happen now; if so it does.
  bool apply(const op& x) {
    const int c = x.chan;
    switch (x.what) {
      case did::sent:
        if (closed[c] || !room(c)) return false;
        buffer[c].push_back(x.value);
        return true;
      case did::received:
        if (buffer[c].empty() || buffer[c].front() != x.value) return false;
        buffer[c].pop_front();
        return true;
      case did::refused:
      case did::misused: return closed[c];
      case did::ended: return closed[c] && buffer[c].empty();
      // Whether somebody waits cannot be seen, so without a buffer these are always possible.
      case did::full: return !closed[c] && !room(c);
      case did::empty: return !closed[c] && buffer[c].empty();
      case did::none_ready: return !closed[c] && buffer[c].empty() && !closed[x.value] && !room(x.value);
      case did::closed: return !std::exchange(closed[c], true);
      case did::sized: return buffer[c].size() == static_cast<std::size_t>(x.value);
    }
    return false;
  }
  std::string key() const {
    std::string k;
    for (int c = 0; c < 2; ++c) {
      for (const int v : buffer[c]) k += static_cast<char>(v);
      k += closed[c] ? '\xff' : '\xfe';
    }
    return k;
  }
};

class search {
 public:
  explicit search(const std::vector<op>& h) : history_(h) {}

  bool possible(const model& m, std::uint64_t done = 0) {
    if (done == (std::uint64_t{1} << history_.size()) - 1) return true;
    if (!tried_.emplace(done, m.key()).second) return false;
    std::uint64_t first_end = ~std::uint64_t{0};
    for (std::size_t i = 0; i < history_.size(); ++i)
      if ((done >> i & 1) == 0) first_end = std::min(first_end, history_[i].to);
    // Only what began before the first of the others ended can be next.
    const auto may_be_next = [&](std::size_t i) { return (done >> i & 1) == 0 && history_[i].from < first_end; };
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if (!may_be_next(i)) continue;
      const op& x = history_[i];
      const std::uint64_t with_i = done | std::uint64_t{1} << i;
      model next = m;
      if (next.apply(x) && possible(next, with_i)) return true;
      if (x.what != did::sent || m.capacity[x.chan] != 0 || m.closed[x.chan]) continue;
      // Without a buffer sender and receiver do their part at the same moment.
      for (std::size_t j = 0; j < history_.size(); ++j) {
        const op& y = history_[j];
        if (may_be_next(j) && y.what == did::received && y.chan == x.chan && y.value == x.value &&
            possible(m, with_i | std::uint64_t{1} << j))
          return true;
      }
    }
    return false;
  }

 private:
  const std::vector<op>& history_;
  std::set<std::pair<std::uint64_t, std::string>> tried_;
};

// record: two channels, and all that is done to them.
struct record {
  record(std::size_t a, std::size_t b) : chan{skein::chan<int>(a), skein::chan<int>(b)} {}

  skein::chan<int> chan[2];
  std::atomic<std::uint64_t> clock = 0;
  std::vector<std::vector<op>> by;  // one list per goroutine

  // Does f, which returns what came of it, and writes it down.
  template <class F> void step(std::size_t who, F f) {
    const std::uint64_t from = ++clock;
    op x = f();
    x.from = from;
    x.to = ++clock;
    by[who].push_back(x);
  }
  static op got(int c, std::optional<int> v) { return v ? op{did::received, c, *v, 0, 0} : op{did::ended, c, 0, 0, 0}; }
};

op random_step(record& r, int v, everywhere::dice& d) {
  const int c = static_cast<int>(d.below(2));
  const skein::chan<int>& ch = r.chan[c];
  const skein::chan<int>& other = r.chan[1 - c];
  const std::uint64_t way = d.below(20);
  try {
    std::optional<int> got;
    int fired = -1;
    switch (way) {
      case 0: return {did::sized, c, static_cast<int>(ch.size()), 0, 0};
      case 1:
      case 2:
      case 3: return {ch.try_send(v) ? did::sent : did::full, c, v, 0, 0};
      case 4:
      case 5:
      case 6: {
        auto x = ch.try_recv();
        return x.empty() ? op{did::empty, c, 0, 0, 0} : record::got(c, x.optional());
      }
      case 7: return record::got(c, ch.recv());
      case 8: return ch.send(v), op{did::sent, c, v, 0, 0};
      case 9:
      case 10:
      case 11:
      case 12: fired = skein::try_select(recv(ch, got), send(other, v)); break;
      case 13: ch.close(); return {did::closed, c, 0, 0, 0};
      default: fired = skein::select(recv(ch, got), send(other, v)); break;
    }
    if (fired == -1) return {did::none_ready, c, 1 - c, 0, 0};
    return fired == 0 ? record::got(c, got) : op{did::sent, 1 - c, v, 0, 0};
  } catch (const skein::closed_channel&) {
    return {did::refused, way >= 9 ? 1 - c : c, v, 0, 0};
  } catch (const skein::misuse&) {
    return {did::misused, c, 0, 0, 0};
  }
}

void random_history(std::uint64_t seed) {
  everywhere::dice d(seed);
  record r(d.below(4), d.below(3));
  constexpr std::size_t people = 3;
  constexpr int steps = 4;
  r.by.resize(people + 1);
  skein::wait_group wg;
  for (std::size_t who = 0; who < people; ++who)
    wg.go([&r, who, own = everywhere::dice(d.roll())]() mutable {
      for (int i = 0; i < steps; ++i)
        r.step(who, [&] { return random_step(r, static_cast<int>(who) * steps + i + 1, own); });
    });
  for (std::uint64_t n = d.below(4); n > 0; --n) skein::yield();
  for (int c = 0; c < 2; ++c)  // so that nobody waits for ever
    r.step(people, [&]() -> op {
      try {
        r.chan[c].close();
        return {did::closed, c, 0, 0, 0};
      } catch (const skein::misuse&) {
        return {did::misused, c, 0, 0, 0};
      }
    });
  wg.wait();
  for (int c = 0; c < 2; ++c)  // what is left
    while (r.by[people].back().what != did::ended || r.by[people].back().chan != c)
      r.step(people, [&] { return record::got(c, r.chan[c].recv()); });

  std::vector<op> history;
  for (const auto& list : r.by) history.insert(history.end(), list.begin(), list.end());
  model m{{r.chan[0].capacity(), r.chan[1].capacity()}, {}, {}};
  if (!search(history).possible(m)) {
    std::ostringstream all;
    for (const op& x : history) all << x << "\n";
    ADD_FAILURE() << "seed " << seed << ": no channels of capacity " << m.capacity[0] << " and " << m.capacity[1]
                  << " could have answered\n" << all.str();
  }
}

// covers: C2 C3 C4 C6 L1 L2
TEST_P(chan_stress, every_history_is_one_of_simple_channels) {
  std::uint64_t seed = everywhere::fresh_seed();
  repeat([&] { random_history(seed++); }, 10'000);
}

}  // namespace
