#include "support/process.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "skein/chan.hpp"
#include "skein/go.hpp"

namespace everywhere {
namespace {

std::size_t entries(const char* directory) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(directory)) ++n;
  return n;
}

[[gnu::noinline]] std::size_t dig_from(const char* start, std::size_t bytes) {
  volatile char frame[512];
  frame[0] = 1;
  asm volatile("" : : "r"(frame) : "memory");  // all of it, however little is used
  const auto* here = static_cast<const char*>(__builtin_frame_address(0));
  if (static_cast<std::size_t>(start - here) >= bytes) return 1;
  const std::size_t deeper = dig_from(start, bytes);
  return deeper + static_cast<std::size_t>(frame[0]);
}

std::mutex homes_lock;
std::map<int, int> homes;  // by thread; a thread_local would be the worker's, not the goroutine's

}  // namespace

skein::options at_home(int which, int n) {
  skein::options o = with_procs(n);
  o.on_thread_start = [which] {
    const std::lock_guard hold(homes_lock);
    homes[thread_id()] = which;
  };
  return o;
}

int home_here() {
  const std::lock_guard hold(homes_lock);
  const auto at = homes.find(thread_id());
  return at == homes.end() ? 0 : at->second;
}

std::size_t count_threads() { return entries("/proc/self/task"); }
std::size_t count_fds() { return entries("/proc/self/fd"); }

std::size_t count_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

std::size_t status_kib(std::string_view field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field) && line[field.size()] == ':') return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10);
  throw std::runtime_error("no such field: " + std::string(field));
}

std::size_t resident_bytes() { return (status_kib("VmRSS") + status_kib("VmPTE")) * 1024; }

void limit_address_space(std::size_t more) {
  rlimit limit{};
  require(getrlimit(RLIMIT_AS, &limit) == 0, "getrlimit");
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, status_kib("VmSize") * 1024 + more);
  require(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
}

bool address_space_is_limited() {
  rlimit limit{};
  require(getrlimit(RLIMIT_AS, &limit) == 0, "getrlimit");
  return limit.rlim_cur != RLIM_INFINITY;
}

std::string thread_name() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

int thread_id() { return static_cast<int>(syscall(SYS_gettid)); }

// A goroutine that meets the caller on its thread keeps that thread until the caller is on another one.
void change_thread() {
  const int before = thread_id();
  const auto gone = std::make_shared<std::atomic<int>>(0);
  while (thread_id() == before) {
    const skein::chan<int> met;
    skein::go([met, gone, before] {
      met.send(1);
      if (thread_id() == before) skein::blocking([&] { gone->wait(0); });
    });
    met.recv();
  }
  *gone = 1;
  gone->notify_all();
}

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

os_pipe::os_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  in = ends[0];
  out = ends[1];
}
os_pipe::~os_pipe() {
  close(in);
  close(out);
}
void os_pipe::put() const {
  const char byte = 0;
  if (write(out, &byte, 1) != 1) throw std::runtime_error("write");
}
bool os_pipe::take() const {
  char byte;
  return read(in, &byte, 1) == 1;
}

std::size_t dig(std::size_t bytes) {
  return dig_from(static_cast<const char*>(__builtin_frame_address(0)), bytes);
}

}  // namespace everywhere
