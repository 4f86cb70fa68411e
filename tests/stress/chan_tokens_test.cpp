// Tokens wander through channels that come and go; each must be somewhere exactly once at the end.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/mutex.hpp"
#include "skein/select.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
#include "support/everywhere.hpp"

namespace {

struct chan_tokens : everywhere::on_procs {};
SKEIN_EVERYWHERE(chan_tokens);

struct token {
  explicit token(std::size_t n) : number(n) {}
  std::size_t number;
  std::size_t hops = 0;  // plain: whoever has the token may count
};
using pocket = std::vector<std::unique_ptr<token>>;
using road = skein::chan<std::unique_ptr<token>>;

// roads: where tokens go. Now and then one is closed and replaced; what it holds is rescued.
class roads {
 public:
  explicit roads(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) all_.emplace_back(i % 4);
  }
  road pick(everywhere::dice& d) {
    std::lock_guard hold(m_);
    return all_[d.below(all_.size())];
  }
  void rebuild(everywhere::dice& d, pocket& rescued) {
    road old = skein::nil;
    {
      std::lock_guard hold(m_);
      old = std::exchange(all_[d.below(all_.size())], road(d.below(5)));
    }
    old.close();
    for (std::unique_ptr<token>& t : old) rescued.push_back(std::move(t));
  }
  std::vector<road> rest() { return all_; }

 private:
  skein::mutex m_;
  std::vector<road> all_;
};

// One step of a traveller: passes a token on, or takes one up. A token that was not taken stays.
void step(roads& where, pocket& mine, everywhere::dice& d) {
  const auto moment = [&] { return std::chrono::nanoseconds(d.below(2000)); };
  const road c = where.pick(d);
  if (!mine.empty() && !d.one_in(3)) {
    std::swap(mine[d.below(mine.size())], mine.back());
    std::unique_ptr<token>& t = mine.back();
    ++t->hops;
    bool sent = false;
    try {
      switch (d.below(4)) {
        case 0: sent = c.try_send(std::move(t)); break;
        case 1: sent = c.send_for(std::move(t), moment()); break;
        case 2: {
          auto [ctx, cancel] = skein::with_timeout(skein::background(), moment());
          sent = c.send(ctx, std::move(t));
          break;
        }
        case 3: {
          std::vector<skein::any_case> cases;
          cases.emplace_back(recv(skein::after(moment())));
          cases.emplace_back(send(c, std::move(t)));
          sent = skein::select(std::span(cases)) == 1;
          break;
        }
      }
    } catch (const skein::closed_channel&) {
    }
    ASSERT_EQ(t == nullptr, sent);
    if (sent) mine.pop_back();
    return;
  }
  const auto take = [&](std::optional<std::unique_ptr<token>> t) {
    if (t) mine.push_back(std::move(*t));
  };
  switch (d.below(4)) {
    case 0: take(std::move(c.try_recv().optional())); break;
    case 1: take(std::move(c.recv_for(moment()).optional())); break;
    case 2: skein::select(recv(c, take), recv(where.pick(d), take), recv(skein::after(moment()))); break;
    case 3: {
      std::vector<skein::any_case> cases;
      for (std::uint64_t n = 1 + d.below(20); n > 0; --n) cases.emplace_back(recv(where.pick(d), take));
      skein::try_select(std::span(cases));
      break;
    }
  }
}

// covers: C1 C2 C3 C4 C5 C7 L1 L3 L4
TEST_P(chan_tokens, each_is_somewhere_exactly_once) {
  const std::uint64_t seed = everywhere::fresh_seed();
  SCOPED_TRACE(seed);
  const std::size_t people = simulated() ? 3 : 16;
  const std::size_t tokens = 2 * people;
  const std::uint64_t steps = rounds(20'000, 8);
  std::uint64_t run_number = 0;
  run([&] {
    everywhere::dice seeds(seed + run_number++);
    roads where(people / 2 + 1);
    std::vector<pocket> pockets(people);
    for (std::size_t i = 0; i < tokens; ++i) pockets[i % people].push_back(std::make_unique<token>(i));
    skein::wait_group wg;
    for (pocket& mine : pockets)
      wg.go([&where, &mine, steps, d = everywhere::dice(seeds.roll())]() mutable {
        for (std::uint64_t i = 0; i < steps; ++i) {
          step(where, mine, d);
          if (d.one_in(50)) where.rebuild(d, mine);
        }
      });
    wg.wait();
    std::vector<int> seen(tokens);
    for (const pocket& p : pockets)
      for (const auto& t : p) ++seen[t->number];
    for (const road& c : where.rest()) {
      c.close();
      for (const auto& t : c) ++seen[t->number];
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(tokens));
  });
}

}  // namespace
