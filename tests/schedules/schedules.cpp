// Many schedules of each scenario, a table of what that was, and status 0 if nothing failed.
//
// The seeds are shared out: with two jobs each of two child processes runs half of those of every scenario, and tells
// the parent in a line of text. A scenario that fails is not gone on with by the child that saw it.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "schedules/scenarios.hpp"
#include "support/everywhere.hpp"

namespace schedules {
namespace {

using clock = std::chrono::steady_clock;

struct settings {
  std::uint64_t schedules = 1'000'000;  // of all scenarios together
  std::uint64_t seed = 1;               // the first one
  std::string filter{};                 // part of a scenario's name
  std::uint64_t jobs = 2;
};

struct tally {
  unsigned long long schedules = 0, steps = 0, failures = 0;
  double seconds = 0, rate = 0;  // rate: of all jobs together
};

std::vector<scenario> chosen(const std::string& filter) {
  std::vector<scenario> all;
  for (const auto theme : {channels(), selects(), locks(), conditions(), meetings(), timers(),
                           contexts(), tasks(), kit()})
    for (const scenario& s : theme)
      if (everywhere::contains(s.name, filter)) all.push_back(s);
  if (all.empty()) throw std::invalid_argument("no scenario is called " + filter);
  return all;
}

tally run(const scenario& s, std::uint64_t first, std::uint64_t count) {
  tally t;
  const auto start = clock::now();
  try {
    const auto done = skein::test::explore(
        s.body, {.schedules = count, .first_seed = first, .max_steps = 100'000});
    t.schedules = done.schedules, t.steps = done.steps;
  } catch (const skein::test::failure& f) {
    std::fprintf(stderr,
                 "%s\nagain: schedules --filter %s --seed %llu --schedules 1 --jobs 1\n%s\n",
                 s.name, s.name, static_cast<unsigned long long>(f.seed()), f.what());
    t.schedules = f.seed() - first + 1, t.failures = 1;
  }
  t.seconds = std::chrono::duration<double>(clock::now() - start).count();
  return t;
}

// The child's side: a line for each scenario.
void run_share(const std::vector<scenario>& all, std::uint64_t first, std::uint64_t count,
               std::FILE* to) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const tally t = run(all[i], first, count);
    std::fprintf(to, "%zu %llu %llu %llu %.9f\n", i, t.schedules, t.steps, t.failures, t.seconds);
    std::fflush(to);
  }
}

struct child {
  pid_t pid;
  std::FILE* from;
};

child start(const std::vector<scenario>& all, std::uint64_t first, std::uint64_t count) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe");
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid == 0) {
    close(ends[0]);
    run_share(all, first, count, fdopen(ends[1], "w"));
    std::exit(0);  // so that a leak detector has its say
  }
  close(ends[1]);
  return {pid, fdopen(ends[0], "r")};
}

// finish() adds up what a child says; false if it did not come to its end.
bool finish(const child& c, std::vector<tally>& sums) {
  std::size_t i = 0, lines = 0;
  tally t;
  while (std::fscanf(c.from, "%zu %llu %llu %llu %lf", &i, &t.schedules, &t.steps, &t.failures,
                     &t.seconds) == 5) {
    ++lines;
    tally& sum = sums.at(i);
    sum.schedules += t.schedules, sum.steps += t.steps, sum.failures += t.failures;
    sum.rate += static_cast<double>(t.schedules) / t.seconds;
  }
  std::fclose(c.from);
  int status = -1;
  waitpid(c.pid, &status, 0);
  return status == 0 && lines == sums.size();
}

void print(const char* name, const tally& t) {
  std::printf("%-48s %10llu %12llu %10.0f %8llu\n", name, t.schedules, t.steps, t.rate, t.failures);
}

int run_all(const settings& s) {
  const auto all = chosen(s.filter);
  const auto begin = clock::now();
  const std::uint64_t shares = all.size() * s.jobs;
  const std::uint64_t each = (everywhere::scaled(s.schedules) + shares - 1) / shares;
  std::vector<child> children;
  for (std::uint64_t j = 0; j < s.jobs; ++j)
    children.push_back(start(all, s.seed + j * each, each));
  std::vector<tally> sums(all.size());
  bool ended = true;
  for (const child& c : children) ended = finish(c, sums) && ended;

  std::printf("%-48s %10s %12s %10s %8s\n", "scenario", "schedules", "steps", "per second",
              "failures");
  tally total;
  for (std::size_t i = 0; i < all.size(); ++i) {
    print(all[i].name, sums[i]);
    total.schedules += sums[i].schedules, total.steps += sums[i].steps,
        total.failures += sums[i].failures;
  }
  const double seconds = std::chrono::duration<double>(clock::now() - begin).count();
  total.rate = static_cast<double>(total.schedules) / seconds;
  print(("total of " + std::to_string(all.size())).c_str(), total);
  if (!ended) std::printf("schedules: a job did not come to its end\n");
  return ended && total.failures == 0 ? 0 : 1;
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(name + " needs a value");
    if (name == "--filter") {
      s.filter = argv[i + 1];
      continue;
    }
    char* rest = nullptr;
    const unsigned long long n = std::strtoull(argv[i + 1], &rest, 0);
    if (*rest != '\0' || n == 0) throw std::invalid_argument(name + " needs a number");
    if (name == "--schedules")
      s.schedules = n;
    else if (name == "--seed")
      s.seed = n;
    else if (name == "--jobs")
      s.jobs = n;
    else
      throw std::invalid_argument("unknown option " + name);
  }
  return s;
}

}  // namespace
}  // namespace schedules

int main(int argc, char** argv) {
  try {
    return schedules::run_all(schedules::parse(argc, argv));
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr,
                 "schedules: %s\n"
                 "usage: schedules [--schedules N] [--seed N] [--filter NAME] [--jobs N]\n"
                 "N schedules, a million if not said otherwise, of all scenarios together, from "
                 "the given seed on, or of\n"
                 "those whose names contain NAME. SKEIN_TEST_SCALE multiplies N.\n",
                 e.what());
    return 2;
  }
}
