// faults: plays scenarios, each once for each call that can fail, and for mixtures of them.
//
// A lane is a process that takes one scenario after another. It never uses skein itself: children play, many
// plans one after another, so that an end of the process costs no more than the plan that caused it. A
// scenario without a fault tells how many calls of which kind it makes; from these the plans are drawn.
// Counts vary from play to play, so a fault may not be reached; that is counted, and is no pass. The table
// counts plays with a fault apart from faults: whoever is refused again and again tries again and again.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults/plans.hpp"
#include "faults/player.hpp"
#include "support/everywhere.hpp"

namespace faults {
namespace {

struct options_given {
  std::uint64_t seed = 0;
  std::size_t plays = 0;  // of each scenario; 0: as SKEIN_TEST_SCALE has it
  int lanes = 2;
  std::vector<std::string> names = {};  // none: all
  std::string replay = {};              // a plan
};

// totals: of all lanes, in memory that they share.
struct totals {
  std::atomic<std::size_t> next{0};  // scenario that nobody has taken
  std::atomic<long> plays{0}, calls{0}, hit{0}, faults{0}, not_reached{0}, ends{0}, hangs{0},
      losses{0};
  tally by_answer;
};

std::vector<scenario> chosen(const std::vector<std::string>& names) {
  std::vector<scenario> all;
  for (const theme& t :
       {starts(), channels(), times(), locks(), jobs(), outsides(), files(), bodies(), throws()})
    all.insert(all.end(), t.first, t.first + t.count);
  if (names.empty()) return all;
  std::vector<scenario> some;
  for (const std::string& name : names) {
    const auto at =
        std::find_if(all.begin(), all.end(), [&](const scenario& s) { return name == s.name; });
    if (at == all.end()) throw std::invalid_argument("no scenario is called " + name);
    some.push_back(*at);
  }
  return some;
}

using moment = std::chrono::steady_clock::time_point;
double seconds_since(moment begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void print_row(const char* name, long plays, long calls, long hit, long faults, long missed,
               long ends, long hangs, long losses, double seconds) {
  std::printf("%-20s %7ld %10ld %8ld %10ld %7ld %6ld %6ld %6ld %8.1f\n", name, plays, calls, hit,
              faults, missed, ends, hangs, losses, seconds);
  std::fflush(stdout);
}

void print_faults(const tally& t) {
  std::printf("\n%-24s %10s\n", "fault", "times");
  for (kind k = 0; k < kinds; ++k)
    for (int p = 0; p < places; ++p)
      if (const long n = t[static_cast<std::size_t>(k)][static_cast<std::size_t>(p)])
        std::printf("%-24s %10ld\n", describe(k, answer_at(p)).c_str(), n);
}

// A scenario's books.
struct result {
  long ends = 0;  // of the process, as documented
  long hangs = 0;
  long losses = 0;
};

void report(const scenario& s, const plan& p, const everywhere::child_end& end) {
  std::printf("FAILED %s %s: status %d, signal %d\n%s\n  again: faults --scenario %s --replay %s\n",
              s.name, text_of(p).c_str(), end.status, end.signal, end.text.c_str(), s.name,
              text_of(p).c_str());
  std::fflush(stdout);
}

// play_in_children() plays all the plans, whatever ends a child on the way; after a few failures no more.
result play_in_children(const scenario& s, const std::vector<plan>& plans, board& b) {
  constexpr long enough = 3;
  result r;
  for (b.at = 0; b.at < plans.size(); ++b.at) {
    const everywhere::child_end end = everywhere::run_child([&] { play_all(s, plans, b); });
    if (end.status == 0) {
      if (!s.cold) break;
      continue;
    }
    const plan& p = plans[b.at];
    ++b.plays;
    if (end.signal == SIGABRT && may_end(s, p, end.text)) {
      ++r.ends;
      ++b.faults, ++b.hit;
      ++b.by_answer[static_cast<std::size_t>(p.first.what)]
                   [static_cast<std::size_t>(place_of(p.first.answer))];
      continue;
    }
    report(s, p, end);
    // "All goroutines are asleep" is a hang that noticed itself.
    ++(end.status == hung || end.status == 2 ? r.hangs : r.losses);
    if (r.hangs + r.losses == enough) break;
  }
  return r;
}

void play_scenario(const scenario& s, const options_given& o, totals& t) {
  const auto begin = std::chrono::steady_clock::now();
  board* const b = board::make();
  std::vector<plan> plans;
  result r;
  if (!o.replay.empty()) {
    plans.assign(o.plays != 0 ? o.plays : 100, parse(o.replay));
  } else {
    plan nothing;
    nothing.first.what = s.timed ? clock_look : 0;
    r = play_in_children(s, std::vector<plan>(3, nothing), *b);
    call_counts made{};
    for (std::size_t k = 0; k < made.size(); ++k) made[k] = b->most[k];
    if (r.hangs + r.losses == 0)
      plans = plans_for(s, made, o.plays != 0 ? o.plays : everywhere::scaled(500), o.seed);
  }
  if (!plans.empty()) r = play_in_children(s, plans, *b);
  const double seconds = seconds_since(begin);
  print_row(s.name, b->plays, b->calls, b->hit, b->faults, b->not_reached, r.ends, r.hangs,
            r.losses, seconds);
  t.plays += b->plays, t.calls += b->calls, t.hit += b->hit, t.faults += b->faults;
  t.not_reached += b->not_reached;
  for (std::size_t k = 0; k < b->by_answer.size(); ++k)
    for (std::size_t p = 0; p < b->by_answer[k].size(); ++p)
      t.by_answer[k][p] += b->by_answer[k][p];
  t.ends += r.ends, t.hangs += r.hangs, t.losses += r.losses;
  munmap(b, sizeof *b);
}

int run(const options_given& o) {
  const std::vector<scenario> all = chosen(o.names);
  void* const shared =
      mmap(nullptr, sizeof(totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::bad_alloc();
  totals& t = *new (shared) totals;
  const auto begin = std::chrono::steady_clock::now();
  std::printf("%-20s %7s %10s %8s %10s %7s %6s %6s %6s %8s\n", "scenario", "plays", "calls", "hit",
              "faults", "missed", "ends", "hangs", "lost", "seconds");
  std::fflush(stdout);
  for (int i = 0; i < o.lanes; ++i) {
    const pid_t lane = fork();
    if (lane < 0) throw std::runtime_error("fork");
    if (lane != 0) continue;
    for (std::size_t n; (n = t.next.fetch_add(1)) < all.size();) play_scenario(all[n], o, t);
    _exit(0);
  }
  bool whole = true;
  for (int i = 0; i < o.lanes; ++i) {
    int status = 0;
    wait(&status);
    whole = whole && status == 0;
  }
  print_row("total", t.plays, t.calls, t.hit, t.faults, t.not_reached, t.ends, t.hangs, t.losses,
            seconds_since(begin));
  print_faults(t.by_answer);
  const bool good = whole && t.hangs == 0 && t.losses == 0 && t.plays > 0;
  std::printf("faults: %s\n", good ? "ok" : "FAILED");
  return good ? 0 : 1;
}

options_given parse_options(int argc, char** argv) {
  options_given o;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(name + " needs a value");
    const std::string value = argv[i + 1];
    if (name == "--scenario") {
      std::istringstream list(value);
      for (std::string one; std::getline(list, one, ',');) o.names.push_back(one);
    } else if (name == "--seed") {
      o.seed = std::stoull(value);
    } else if (name == "--plays") {
      o.plays = std::stoull(value);
    } else if (name == "--lanes") {
      o.lanes = std::stoi(value);
    } else if (name == "--replay") {
      static_cast<void>(parse(value));
      o.replay = value;
    } else {
      throw std::invalid_argument("unknown option " + name);
    }
  }
  if (o.seed == 0) o.seed = everywhere::fresh_seed();
  return o;
}

}  // namespace
}  // namespace faults

int main(int argc, char** argv) {
  try {
    return faults::run(faults::parse_options(argc, argv));
  } catch (const std::invalid_argument& e) {
    std::fprintf(
        stderr,
        "faults: %s\n"
        "usage: faults [--scenario A,B,…] [--plays N] [--lanes N] [--seed N] [--replay PLAN]\n"
        "--plays is how many plans each scenario gets; --replay plays one, as a failure names it, "
        "again "
        "and again.\n",
        e.what());
    return 2;
  }
}
