// The program that explores the models. tools/mutate calls it with weaker orders.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <functional>
#include <string>
#include <string_view>

#include "explorer.hpp"

namespace {

constexpr const char* usage = R"(usage: model_tests [OPTION…]
  --list              names the bodies, PART/NAME
  --only A,B          only the bodies A and B; PART/ stands for all of a part
  --share X           X times the executions (default 1)
  --seed N            where random executions begin (default 1)
  --replay CHOICES    one execution of one body, with its trace
  --stop              ends at the first failure
  --sites FILE        writes which operations were executed: address, what, orders, body
  --weaken A,B=ORDER  the operations at these addresses have this order instead; none drops a fence
  --weaken-failed A,B=ORDER  the same for compare_exchanges that fail
)";

struct settings {
  bool list = false, stop = false;
  std::vector<std::string> only;
  double share = 1;
  std::uint64_t seed = 1;
  std::string replay, sites;
};

[[noreturn]] void fail_usage(const char* what) {
  std::fprintf(stderr, "model_tests: %s\n%s", what, usage);
  std::exit(2);
}

std::vector<std::string> split(const std::string& s) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= s.size();) {
    const std::size_t end = std::min(s.find(',', at), s.size());
    parts.push_back(s.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

void weaken(const std::string& what, bool failed) {
  const std::size_t eq = what.find('=');
  if (eq == std::string::npos) fail_usage("--weaken needs ADDRESSES=ORDER");
  for (int o = 0; o <= static_cast<int>(model::order::none); ++o)
    if (what.substr(eq + 1) == model::name(static_cast<model::order>(o)))
      for (const std::string& pc : split(what.substr(0, eq)))
        model::the().weaken(static_cast<std::uint32_t>(std::stoul(pc, nullptr, 16)),
                            static_cast<model::order>(o), failed);
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string_view a = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) fail_usage("a value is missing");
      return argv[++i];
    };
    if (a == "--list")
      s.list = true;
    else if (a == "--stop")
      s.stop = true;
    else if (a == "--only")
      s.only = split(value());
    else if (a == "--share")
      s.share = std::stod(value());
    else if (a == "--seed")
      s.seed = std::stoull(value());
    else if (a == "--replay")
      s.replay = value();
    else if (a == "--sites")
      s.sites = value();
    else if (a == "--weaken")
      weaken(value(), false);
    else if (a == "--weaken-failed")
      weaken(value(), true);
    else
      fail_usage("unknown option");
  }
  return s;
}

bool wanted(const settings& s, const std::string& name) {
  if (s.only.empty()) return true;
  for (const std::string& o : s.only)
    if (name == o || (o.ends_with('/') && name.starts_with(o))) return true;
  return false;
}

// Puts the source in the place of each @ADDRESS.
std::string with_places(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '@') {
      out += text[i++];
      continue;
    }
    char* end;
    const auto pc = static_cast<std::uint32_t>(std::strtoul(text.c_str() + i + 1, &end, 16));
    out += model::where({pc}).front();
    i = static_cast<std::size_t>(end - text.c_str());
  }
  return out;
}

// What the result lacks of what the body asks for; empty: nothing.
std::string verdict(const model::body& b, const model::result& r) {
  if (!b.failure.empty()) {
    if (r.failure.find(b.failure) != std::string::npos) return {};
    return "did not find: " + b.failure + (r.failure.empty() ? "" : "; but: " + r.failure);
  }
  if (!r.failure.empty()) return r.failure;
  if (b.outcomes.empty()) return {};
  std::string wrong;
  const std::set<std::string> allowed(b.outcomes.begin(), b.outcomes.end());
  for (const std::string& o : r.outcomes)
    if (!allowed.contains(o)) wrong += " unexpected " + o;
  for (const std::string& o : allowed)
    if (!r.outcomes.contains(o)) wrong += " missing " + o;
  return wrong;
}

void show_trace(const model::body& b, const std::string& choices) {
  for (const std::string& line : model::the().replay(b, choices).trace)
    std::printf("    %s\n", line.c_str());
}

}  // namespace

std::vector<model::body>& model::bodies() {
  static std::vector<body> all;
  return all;
}

// The symbolizer gives a line for each inlined function, the innermost first; what std::atomic consists
// of says nothing.
std::vector<std::string> model::where(const std::vector<std::uint32_t>& pcs) {
  std::unordered_map<std::uint32_t, std::string> known;
  std::vector<std::uint32_t> asked;
  std::string command =
      "llvm-symbolizer-19 -p --basenames -e /proc/" + std::to_string(::getpid()) + "/exe";
  for (const std::uint32_t pc : pcs)
    if (known.try_emplace(pc, "?").second) {
      char text[16];
      std::snprintf(text, sizeof text, " 0x%x", pc);
      command += text;
      asked.push_back(pc);
    }
  if (std::FILE* p = ::popen(command.c_str(), "r")) {
    std::size_t i = 0;
    char line[4096];
    bool found = false;
    while (std::fgets(line, sizeof line, p) != nullptr && i < asked.size()) {
      line[std::strcspn(line, "\n")] = '\0';
      if (line[0] == '\0') {
        ++i;
        found = false;
      } else if (const char* at = std::strstr(line, " at "); !found && at != nullptr) {
        const std::string place = at + 4;
        found = !place.starts_with("atomic");
        const char* function = std::strstr(line, "by) ");
        function = function != nullptr ? function + 4 : line;
        known[asked[i]] =
            place + "  " + std::string(function, static_cast<std::size_t>(at - function));
      }
    }
    ::pclose(p);
  }
  std::vector<std::string> places;
  for (const std::uint32_t pc : pcs) places.push_back(known[pc]);
  return places;
}

int main(int argc, char** argv) {
  std::set_terminate([] { model::fail("std::terminate()"); });
  auto* all = new model::explorer;
  const settings s = parse(argc, argv);
  std::FILE* sites = s.sites.empty() ? nullptr : std::fopen(s.sites.c_str(), "w");
  int failures = 0, ran = 0;
  for (const model::body& b : model::bodies()) {
    const std::string name = std::string(b.part) + "/" + b.name;
    if (!wanted(s, name)) continue;
    ++ran;
    if (s.list) {
      std::printf("%s\n", name.c_str());
      continue;
    }
    if (!s.replay.empty()) {
      const model::result r = all->replay(b, s.replay);
      for (const std::string& line : r.trace) std::printf("    %s\n", line.c_str());
      std::printf("%s\n", with_places(r.failure).c_str());
      return r.failure.empty() ? 0 : 1;
    }
    const std::clock_t before = std::clock();
    const model::result r = all->explore(b, s.share, s.seed);
    const std::string wrong = verdict(b, r);
    std::printf("%-44s %8lu executions%-5s %5lu steps %7.2f s  %s\n", name.c_str(), r.executions,
                r.all ? ", all" : "", r.steps,
                static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC,
                wrong.empty() ? "ok" : "FAILED");
    if (sites != nullptr)
      for (const auto& [pc, site] : all->take_sites())
        std::fprintf(sites, "%x %s %s %s %s\n", pc, model::name(site.what), model::name(site.ok),
                     model::name(site.failed), name.c_str());
    if (!wrong.empty()) {
      ++failures;
      std::printf("  %s\n", with_places(wrong).c_str());
      if (!r.choices.empty() && !s.stop) {
        std::printf("  again: --only %s --replay %s\n", name.c_str(), r.choices.c_str());
        show_trace(b, r.choices);
      }
      if (s.stop) break;
    }
    std::fflush(stdout);
  }
  if (sites != nullptr) std::fclose(sites);
  if (ran == 0) fail_usage("no such body");
  std::fflush(stdout);
  std::_Exit(failures != 0 ? 1 : 0);  // static objects of models are gone with their executions
}

namespace model {

int start(void (*f)(void*), void* arg) {
  const explorer::guard own;
  return the().start(f, arg,
                     static_cast<std::uint32_t>(
                         reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1));
}

void join(int thread) {
  const explorer::guard own;
  the().join(thread, static_cast<std::uint32_t>(
                         reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1));
}

void outcome(const std::string& what) {
  const explorer::guard own;
  the().outcome(what);
}

void check(bool holds, const char* what, const char* file, int line) {
  if (holds) return;
  const explorer::guard own;
  const char* slash = std::strrchr(file, '/');
  fail(std::string("check failed: ") + what + " (" + (slash != nullptr ? slash + 1 : file) + ":" +
       std::to_string(line) + ")");
}

void heavy_fence() {
  const explorer::guard own;
  the().membarrier(static_cast<std::uint32_t>(
      reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1));
}

void asymmetric_fences(bool available) { the().asymmetric_fences(available); }
void no_deadlines() { the().no_deadlines(); }
void clock_leaps(std::chrono::nanoseconds by) { the().clock_leaps(by.count()); }

}  // namespace model
