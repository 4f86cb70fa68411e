// Nanoseconds per operation and bytes per goroutine, each measured in a process of its own.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <getopt.h>
#include <sys/wait.h>
#include <unistd.h>

#include "skein/runtime.hpp"
#include "workloads.hpp"

namespace {

constexpr const char* usage =
    R"(usage: bench_micro [--only NAME[,NAME…]] [--procs N] [--json FILE]
       bench_micro --only NAME --count N     does N operations, for an instruction counter
       bench_micro --list
)";

constexpr std::size_t rounds = 7;
constexpr double round_seconds = 0.3;

struct settings {
  std::string only;  // between commas
  int procs = 1;
  std::FILE* json = nullptr;
  std::uint64_t count = 0;

  bool wants(const char* name) const {
    return only.empty() || only.find("," + std::string(name) + ",") != std::string::npos;
  }
};

struct figure {
  double median = 0, min = 0, max = 0;
};

template <class F> void on_runtime(int procs, F f) { skein::run(f, {.procs = procs}); }

double seconds_for(const workload& w, std::uint64_t n) {
  const auto start = std::chrono::steady_clock::now();
  w.run(n);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The rounds that find out how many operations fill a round are the warm-up.
std::uint64_t operations_per_round(const workload& w) {
  if (w.fixed != 0) {
    w.run(w.fixed);
    return w.fixed;
  }
  std::uint64_t n = 1000;
  double s = seconds_for(w, n);
  for (; s < round_seconds / 4; s = seconds_for(w, n)) n *= 4;
  return static_cast<std::uint64_t>(static_cast<double>(n) * round_seconds / s);
}

figure measure(const workload& w, int procs) {
  std::vector<double> ns;
  on_runtime(procs, [&] {
    const std::uint64_t n = operations_per_round(w);
    while (ns.size() < rounds) ns.push_back(seconds_for(w, n) * 1e9 / static_cast<double>(n));
  });
  std::sort(ns.begin(), ns.end());
  return {ns[rounds / 2], ns.front(), ns.back()};
}

// in_child() keeps one measurement's memory, stacks and threads out of the next one.
template <class F> auto in_child(F f) {
  int pipe[2];
  if (::pipe(pipe) != 0) throw std::runtime_error("no pipe");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    const auto r = f();
    ::_exit(::write(pipe[1], &r, sizeof r) == sizeof r ? 0 : 1);
  }
  ::close(pipe[1]);
  decltype(f()) r;
  const bool complete = ::read(pipe[0], &r, sizeof r) == sizeof r;
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!complete || status != 0) throw std::runtime_error("a measurement has failed");
  return r;
}

figure measure(const footprint& f) {
  const double bytes = in_child([&] {
    double b = 0;
    on_runtime(1, [&] { b = f.bytes(); });
    return b;
  });
  return {bytes, bytes, bytes};
}

void report(const settings& s, const char* name, const char* what, const char* unit, std::size_t n,
            int procs, const figure& f) {
  std::printf("%-17s %10.1f %-2s  %9.1f … %-9.1f  %s\n", name, f.median, unit, f.min, f.max, what);
  std::fflush(stdout);
  if (s.json != nullptr)
    std::fprintf(s.json,
                 R"({"workload":"%s","peer":"skein","procs":%d,"unit":"%s",)"
                 R"("median":%.2f,"min":%.2f,"max":%.2f,"rounds":%zu})"
                 "\n",
                 name, procs, unit, f.median, f.min, f.max, n);
}

std::uint64_t number(const char* text) {
  char* end = nullptr;
  const std::uint64_t n = std::strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || n == 0)
    throw std::invalid_argument(std::string("not a positive number: ") + text);
  return n;
}

void list() {
  for (const workload& w : workloads()) std::printf("%-17s %s\n", w.name, w.operation);
  for (const footprint& f : footprints()) std::printf("%-17s %s\n", f.name, f.goroutine);
  std::exit(0);
}

settings parse(int argc, char** argv) {
  const option known[] = {
      {"only", required_argument, nullptr, 'o'}, {"procs", required_argument, nullptr, 'p'},
      {"json", required_argument, nullptr, 'j'}, {"count", required_argument, nullptr, 'c'},
      {"list", no_argument, nullptr, 'l'},       {}};
  settings s;
  for (int c; (c = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (c) {
      case 'o': s.only = "," + std::string(optarg) + ","; break;
      case 'p': s.procs = static_cast<int>(number(optarg)); break;
      case 'c': s.count = number(optarg); break;
      case 'l': list(); break;
      case 'j':
        s.json = std::fopen(optarg, "w");
        if (s.json == nullptr) throw std::invalid_argument(std::string("cannot write ") + optarg);
        break;
      default: throw std::invalid_argument(usage);
    }
  }
  if (optind != argc) throw std::invalid_argument(usage);
  return s;
}

// run_all() returns how many were asked for.
int run_all(const settings& s) {
  int wanted = 0;
  for (const workload& w : workloads()) {
    if (!s.wants(w.name)) continue;
    ++wanted;
    if (s.count != 0)
      on_runtime(s.procs, [&] { w.run(s.count); });
    else
      report(s, w.name, w.operation, "ns", rounds, s.procs,
             in_child([&] { return measure(w, s.procs); }));
  }
  for (const footprint& f : footprints()) {
    if (!s.wants(f.name) || s.count != 0) continue;
    ++wanted;
    report(s, f.name, f.goroutine, "B", 1, 1, measure(f));
  }
  return wanted;
}

}  // namespace

int main(int argc, char** argv) try {
  const settings s = parse(argc, argv);
  if (run_all(s) == 0) throw std::invalid_argument("nothing of that name; --list shows them");
  if (s.json != nullptr && std::fclose(s.json) != 0)
    throw std::runtime_error("the JSON file is not complete");
} catch (const std::invalid_argument& e) {
  std::fprintf(stderr, "bench_micro: %s\n", e.what());
  return 2;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_micro: %s\n", e.what());
  return 1;
}
