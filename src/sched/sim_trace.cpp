#include "sched/sim_trace.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>


namespace skein::inline SKEIN_ABI::sched {

std::string trace::object(const void* p) {
  if (p == nullptr) return "";
  return "#" + std::to_string(objects_.try_emplace(p, objects_.size() + 1).first->second);
}

std::string trace::place(const void* site) {
  if (site == nullptr) return "";
  Dl_info info;
  if (dladdr(site, &info) == 0 || info.dli_fname == nullptr) return "?";
  const char* slash = std::strrchr(info.dli_fname, '/');
  char offset[24];
  // One less: it is where the call returns to.
  std::snprintf(offset, sizeof offset, "+%#tx", static_cast<const char*>(site) - 1 - static_cast<const char*>(info.dli_fbase));
  return std::string(slash != nullptr ? slash + 1 : info.dli_fname) + offset;
}

void trace::note(std::uint64_t step, std::int64_t clock, std::uint32_t who, const char* how, const act& a) {
  char head[64];
  const std::string name = who == 0 ? "-" : "g" + std::to_string(who);
  std::snprintf(head, sizeof head, "%6llu %12lldns %4s  ", static_cast<unsigned long long>(step), static_cast<long long>(clock),
                name.c_str());
  std::string line = std::string(head) + how + a.name;
  if (a.object != nullptr) line += " " + object(a.object);
  if (a.site != nullptr) line += "  at " + place(a.site);
  lines_.push_back(std::move(line));
  if (lines_.size() <= most) return;
  lines_.pop_front();
  ++cut_;
}

std::string trace::text() const {
  std::string s;
  if (cut_ != 0) s += "  (" + std::to_string(cut_) + " steps before)\n";
  for (const std::string& l : lines_) s += l + "\n";
  return s;
}

}  // namespace skein::inline SKEIN_ABI::sched
