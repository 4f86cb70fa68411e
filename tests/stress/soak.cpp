// One long run of everything at once: soak --minutes 60. It is made of rounds of a second or so; in each
// some of the scenes in soak/ run together, on runtimes and threads that come and go, and each checks
// what the library promised it. After a round nothing of it may be left, and memory stays level.
// Status 0 and "soak: ok" when all of it held.
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <sstream>
#include <stdexcept>

#include <malloc.h>
#include <unistd.h>

#include "skein/debug.hpp"
#include "skein/go.hpp"
#include "skein/time.hpp"
#include "stress/soak/round.hpp"

namespace soak {
namespace {

using clock = std::chrono::steady_clock;

struct scene {
  const char* name;
  void (*play)(worker&);
};
constexpr scene scenes[] = {
    {"packets", packets},   {"parcels", parcels}, {"slabs", slabs},
    {"fragiles", fragiles}, {"mutexes", mutexes}, {"readers_and_writers", readers_and_writers},
    {"permits", permits},   {"onces", onces},     {"queue", queue},
    {"phases", phases},     {"latches", latches}, {"ping_pong", ping_pong},
    {"tasks", tasks},       {"groups", groups},   {"contexts", contexts},
    {"crowd", crowd},       {"timers", timers},   {"hogs", hogs},
    {"pools", pools},       {"maps", maps},       {"flights", flights},
    {"limiters", limiters}, {"pipes", pipes},     {"signals", signals},
};

struct settings {
  std::uint64_t seed = 0;
  std::uint64_t first_round = 1;
  nanoseconds length = std::chrono::milliseconds(everywhere::scaled(10'000));
  int procs = 0;                       // 0: changing
  std::vector<const scene*> scenes{};  // none: as chance has it
};

// Where the run is, for messages.
std::atomic<std::uint64_t> seed{0};
std::atomic<std::uint64_t> round_number{0};

std::string place() {
  char text[100];
  std::snprintf(text, sizeof text,
                "soak: seed %llu, round %llu: ", static_cast<unsigned long long>(seed.load()),
                static_cast<unsigned long long>(round_number.load()));
  return text;
}

std::string covered() {
  static constexpr const char* names[] = {
#define SOAK_KIND(name) #name,
      SOAK_KINDS(SOAK_KIND)
#undef SOAK_KIND
  };
  std::string text;
  for (std::size_t k = 0; k < kinds; ++k)
    text += std::string(k == 0 ? "" : ", ") + names[k] + " " +
            std::to_string(totals[k].load(std::memory_order_relaxed));
  return text;
}

unsigned long long operations() {
  unsigned long long sum = 0;
  for (const auto& n : totals) sum += n.load(std::memory_order_relaxed);
  return sum;
}

// watchdog: a thread that reports a round which does not end, and prints a line a minute.
class watchdog {
 public:
  watchdog() : thread_([this] { watch(); }) {}
  ~watchdog() {
    {
      const std::lock_guard hold(m_);
      done_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  // expect(d): the next round begins, or the run ends, within d.
  void expect(nanoseconds d) {
    const std::lock_guard hold(m_);
    latest_ = clock::now() + d;
  }

 private:
  void watch() {
    const skein::debug::foreign_idle idle;
    auto report = clock::now() + std::chrono::minutes(1);
    std::unique_lock hold(m_);
    while (!wake_.wait_for(hold, std::chrono::seconds(1), [&] { return done_; })) {
      if (clock::now() > latest_) {
        std::fprintf(stderr, "%sno end in sight\n%s\n%s\n", place().c_str(), covered().c_str(),
                     skein::debug::dump().c_str());
        std::abort();
      }
      if (clock::now() < report) continue;
      report += std::chrono::minutes(1);
      std::printf("%s%zu KiB, %llu operations\n", place().c_str(),
                  everywhere::memory_in_use() >> 10, operations());
      std::fflush(stdout);
    }
  }

  std::mutex m_;
  std::condition_variable wake_;
  bool done_ = false;
  clock::time_point latest_ = clock::time_point::max();
  std::thread thread_;
};

// levels: memory in use after each round. The first rounds warm up; after them it may not rise more
// than a fifth and 16 MiB above what it was at most by then, unless it falls again within some rounds.
class levels {
 public:
  void note(std::size_t bytes) {
    if (rounds_++ == 0) first_ = bytes;
    if (rounds_ <= warm_up) {
      warm_ = std::max(warm_, bytes);
      return;
    }
    recent_.push_back(bytes);
    if (recent_.size() > window) recent_.pop_front();
    if (recent_.size() == window && lowest() > warm_ + warm_ / 5 + (16 << 20))
      fail("memory grows: " + text());
  }
  std::string text() const {
    const auto kib = [](std::size_t n) { return std::to_string(n >> 10) + " KiB"; };
    return "memory after the first round " + kib(first_) + ", at most " + kib(warm_) +
           " in the first " + std::to_string(warm_up) +
           (recent_.empty()
                ? ""
                : ", at least " + kib(lowest()) + " in the last " + std::to_string(recent_.size()));
  }

 private:
  std::size_t lowest() const { return *std::min_element(recent_.begin(), recent_.end()); }

  static constexpr std::size_t warm_up = 60;
  static constexpr std::size_t window = 12;
  std::size_t rounds_ = 0;
  std::size_t first_ = 0;
  std::size_t warm_ = 0;
  std::deque<std::size_t> recent_;
};

// Mostly some of the scenes, one in eight times all of them.
std::vector<const scene*> pick_scenes(dice& d, const settings& s) {
  if (!s.scenes.empty()) return s.scenes;
  const std::uint64_t share = d.one_in(8) ? 1 : 1 + d.below(8);
  std::vector<const scene*> picked;
  for (const scene& x : scenes)
    if (d.one_in(share)) picked.push_back(&x);
  if (picked.empty()) picked.push_back(&scenes[d.below(std::size(scenes))]);
  return picked;
}

int pick_procs(dice& d, const settings& s) { return s.procs != 0 ? s.procs : 1 << d.below(4); }

std::unique_ptr<skein::runtime> make_runtime(dice& d, const settings& s) {
  skein::options o;
  o.procs = pick_procs(d, s);
  o.stop_grace = std::chrono::seconds(60);
  o.save_fp = d.one_in(4);
  o.pin = d.one_in(8);
  return std::make_unique<skein::runtime>(o);
}

// A round ends when all of its goroutines have; the last ones are on their way out.
void wait_until_empty(skein::runtime& rt) {
  const auto latest = clock::now() + std::chrono::seconds(20) * patience;
  while (rt.run([] { return skein::num_goroutine(); }) != 1) {
    if (clock::now() > latest) {
      const auto counted = rt.run([] { return skein::num_goroutine() - 1; });
      fail(std::to_string(counted) + " goroutines are left over\n" + skein::debug::dump());
    }
    skein::sleep_for(std::chrono::milliseconds(1));
  }
}

void play(const std::vector<skein::runtime*>& homes, dice& d, nanoseconds length,
          const settings& s) {
  round r(homes, d.one_in(4), 200 / weight);
  skein::wait_group playing;
  std::string names;
  for (const scene* x : pick_scenes(d, s)) {
    names += std::string(" ") + x->name;
    r.go(playing, d, x->play);
  }
  if (s.procs == 0 && d.one_in(2))
    for (skein::runtime* const rt : homes)
      rt->run([&] {
        playing.go([&r, &s, own = dice(d.roll())]() mutable {
          while (skein::sleep_for(r.ctx(), nanoseconds(own.below(200'000'000))))
            skein::procs(pick_procs(own, s));
        });
      });
  std::fprintf(stderr, "%s%zu KiB; %.1f s on %zu runtimes,%s:%s\n", place().c_str(),
               everywhere::memory_in_use() >> 10, std::chrono::duration<double>(length).count(),
               homes.size(), r.lazy() ? " lazy" : "", names.c_str());
  skein::sleep_for(length);
  r.end();
  playing.wait();
  r.join();
  for (skein::runtime* const rt : homes) wait_until_empty(*rt);
}

int run(const settings& s) {
  seed = s.seed;
  std::printf("soak: seed %llu\n", static_cast<unsigned long long>(s.seed));
  std::fflush(stdout);
  watchdog dog;
  levels memory;
  std::unique_ptr<skein::runtime> main;
  const auto end = clock::now() + s.length;
  for (std::uint64_t n = s.first_round; clock::now() < end; ++n) {
    round_number = n;
    dice d(mix(s.seed) + n);
    const auto most = std::min<nanoseconds>(
        std::chrono::milliseconds(100 + d.below(d.one_in(8) ? 5000 : 1500)), end - clock::now());
    dog.expect(most + std::chrono::seconds(60) * patience);
    {
      if (d.one_in(20)) main.reset();
      if (main == nullptr) main = make_runtime(d, s);
      std::vector<std::unique_ptr<skein::runtime>> guests(d.one_in(4) ? 1 + d.below(3) : 0);
      std::vector<skein::runtime*> homes{main.get()};
      for (auto& g : guests) {
        g = make_runtime(d, s);
        homes.push_back(g.get());
      }
      play(homes, d, most, s);
    }
    malloc_trim(0);  // what the allocator keeps for itself is nobody's leak
    memory.note(everywhere::memory_in_use());
  }
  main.reset();
  std::printf("soak: seed %llu, %llu rounds\nsoak: %s\nsoak: %s\nsoak: ok\n",
              static_cast<unsigned long long>(s.seed),
              static_cast<unsigned long long>(round_number.load()), covered().c_str(),
              memory.text().c_str());
  return 0;
}

std::vector<const scene*> scenes_named(const std::string& list) {
  std::vector<const scene*> chosen;
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');) {
    const auto it = std::find_if(std::begin(scenes), std::end(scenes),
                                 [&](const scene& x) { return name == x.name; });
    if (it == std::end(scenes)) throw std::invalid_argument("no scene is called " + name);
    chosen.push_back(it);
  }
  return chosen;
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--scenes" && i + 1 < argc) {
      s.scenes = scenes_named(argv[i + 1]);
      continue;
    }
    char* rest = nullptr;
    const unsigned long long n = i + 1 < argc ? std::strtoull(argv[i + 1], &rest, 0) : 0;
    if (rest == nullptr || *rest != '\0') throw std::invalid_argument(name + " needs a number");
    if (name == "--seed")
      s.seed = n;
    else if (name == "--round")
      s.first_round = n;
    else if (name == "--minutes")
      s.length = std::chrono::minutes(n);
    else if (name == "--seconds")
      s.length = std::chrono::seconds(n);
    else if (name == "--procs")
      s.procs = static_cast<int>(n);
    else
      throw std::invalid_argument("unknown option " + name);
  }
  if (s.seed == 0) s.seed = everywhere::fresh_seed();
  return s;
}

}  // namespace

void fail(const std::string& what) {
  std::fprintf(stderr, "%s%s\n", place().c_str(), what.c_str());
  std::fflush(nullptr);
  _exit(1);
}

}  // namespace soak

int main(int argc, char** argv) {
  try {
    return soak::run(soak::parse(argc, argv));
  } catch (const std::invalid_argument& e) {
    std::fprintf(
        stderr,
        "soak: %s\n"
        "usage: soak [--seed N] [--round N] [--minutes N | --seconds N] [--procs N] [--scenes "
        "A,B,…]\n"
        "--round N begins with the N-th round of the seed; --scenes plays these in each round.\n",
        e.what());
    return 2;
  }
}
