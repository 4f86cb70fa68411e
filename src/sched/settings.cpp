#include "sched/settings.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "base/check.hpp"
#include "os/cpus.hpp"

namespace skein::inline SKEIN_ABI::sched {
namespace {

constexpr int most_guards = 1'000'000;

// A variable of the environment; empty if it is not set.
std::string_view setting(const char* name) noexcept {
  const char* text = std::getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

[[noreturn]] void refuse(const char* name, std::string_view text, const char* expected) {
  throw std::invalid_argument("skein: " + std::string(name) + "=" + std::string(text) + ": expected " + expected);
}

}  // namespace

void check_options(const options& o) {
  if (o.max_hogs < -1) throw std::invalid_argument("skein: options.max_hogs must be a number of goroutines, or -1");
  if (arch::class_for(o.stack) < 0) throw std::invalid_argument("skein: options.stack must be at most 8 MiB");
}

int asked_procs(const options& o) {
  if (o.procs < 0 || o.procs > max_procs) throw std::invalid_argument("skein: options.procs must be 0 (default) or 1 to 1024");
  if (o.procs != 0) return o.procs;
  const std::string_view text = setting("SKEIN_PROCS");
  if (text.empty()) return 0;
  const int n = os::parse_count(text.data(), max_procs);
  if (n == 0) refuse("SKEIN_PROCS", text, "a number from 1 to 1024");
  return n;
}

void choose_guards(arch::stack_pool& stacks) {
  constexpr std::string_view counted = "mprotect:";
  const std::string_view text = setting("SKEIN_GUARDS");
  if (text.empty()) return;
  if (text == "markers") {
    if (stacks.mode() != arch::guard_mode::markers)
      throw std::system_error(std::make_error_code(std::errc::operation_not_supported),
                              "skein: SKEIN_GUARDS=markers: this kernel has none (Linux 6.13 has), or memory is locked");
  } else if (text == "mprotect") {
    stacks.use_mprotect(stacks.budget());
  } else if (text.starts_with(counted) && os::parse_count(text.data() + counted.size(), most_guards) != 0) {
    stacks.use_mprotect(os::parse_count(text.data() + counted.size(), most_guards));
  } else {
    refuse("SKEIN_GUARDS", text, "markers, mprotect, or mprotect:N with N from 1 to 1000000");
  }
}

bool wants_start_line() {
  const std::string_view text = setting("SKEIN_VERBOSE");
  if (!text.empty() && text != "0" && text != "1") refuse("SKEIN_VERBOSE", text, "0 or 1");
  return text == "1";
}

void print_start_line(const runtime_state* rt) noexcept {
  base::text t;
  t << "skein: processors: " << static_cast<std::uint64_t>(rt->procs.load(std::memory_order_relaxed))
    << ", stacks: " << std::uint64_t{arch::class_bytes(rt->stack_class) / 1024} << " KiB, guards: ";
  if (rt->stacks.mode() == arch::guard_mode::markers)
    t << "markers\n";
  else
    t << "mprotect for the first " << static_cast<std::uint64_t>(rt->stacks.budget()) << " stacks, canaries for the rest\n";
  t.print();
}

void refuse_shadow_stack() {
  std::FILE* f = std::fopen("/proc/self/status", "re");
  if (f == nullptr) return;
  char line[256];
  bool on = false;
  while (std::fgets(line, sizeof line, f) != nullptr)
    if (std::string_view(line).starts_with("x86_Thread_features:") && std::string_view(line).find("shstk") != std::string_view::npos) on = true;
  std::fclose(f);
  if (on) throw std::system_error(std::make_error_code(std::errc::operation_not_supported),
                                  "skein: this process runs with CET shadow stacks, which allow no switch between stacks; "
                                  "start it with GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK");
}

}  // namespace skein::inline SKEIN_ABI::sched
