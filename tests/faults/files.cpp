// What the runtime reads and writes by itself: files of the kernel's, reports. Half of it is never taken for all.
#include "faults/scenes.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.hpp"
#include "os/cpus.hpp"
#include "os/procfs.hpp"
#include "support/process.hpp"

namespace faults {
namespace {

// Each answer is right, or the one for "cannot be told". A thread's name may look like the rest of its line.
void process_files() {
  pthread_setname_np(pthread_self(), "x) S 1");
  for (int i = 0; i < 3; ++i) {
    const char state = skein::os::thread_state(everywhere::thread_id());
    require(state == 'R' || state == 0, "the state of another thread");
    const std::size_t bytes = skein::os::address_space_in_use();
    require(bytes == 0 || bytes >= 1 << 20, "half a number");
    static_cast<void>(skein::os::commits_strictly());
  }
}

// Half a processor's time is one processor.
void quota_files() {
  constexpr std::string_view quota = "50000 100000\n";
  char directory[] = "/tmp/skein-quota-XXXXXX";
  char file[sizeof directory + 16];
  require(mkdtemp(directory) != nullptr, "no directory");
  std::snprintf(file, sizeof file, "%s/cpu.max", directory);
  const int fd = ::open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  require(::write(fd, quota.data(), quota.size()) == static_cast<ssize_t>(quota.size()), "no file");
  ::close(fd);
  const char* const before = skein::os::cgroup_root.exchange(directory, std::memory_order_relaxed);
  const int cpus = skein::os::quota_cpus();
  skein::os::cgroup_root.store(before, std::memory_order_relaxed);
  ::unlink(file);
  ::rmdir(directory);
  require(cpus == 0 || cpus == 1, "another quota");
}

void reports() {
  constexpr std::string_view all =
      "one line of a report, the first\none line of a report, number 2\n";
  int ends[2];
  require(pipe2(ends, O_CLOEXEC) == 0, "no pipe");
  const int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  dup2(ends[1], STDERR_FILENO);
  ::close(ends[1]);
  (skein::base::text() << "one line of a report, the first\n").print();
  (skein::base::text() << "one line of a report, number " << std::uint64_t{2} << "\n").print();
  dup2(before, STDERR_FILENO);
  ::close(before);
  char text[80];
  std::size_t got = 0;
  for (ssize_t n; (n = ::read(ends[0], text + got, sizeof text - got)) != 0;)
    if (n > 0) got += static_cast<std::size_t>(n);
  ::close(ends[0]);
  require(std::string_view(text, got) == all, "a report is not whole");
}

// Memory that is given back reads as zero. Only a madvise that refuses leaves it as it was.
void pages() {
  constexpr std::size_t bytes = 8192;
  iovec all[4];
  for (iovec& v : all) {
    v = {mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), bytes};
    require(v.iov_base != MAP_FAILED, "no memory");
    std::memset(v.iov_base, 1, bytes);
  }
  skein::sys::give_back(all, 4);
  long refused = 0;
  for (int p = 0; p < places; ++p) refused += faults(of(call::madvise), answer_at(p));
  long kept = 0;
  for (const iovec& v : all) {
    const char* const c = static_cast<const char*>(v.iov_base);
    for (std::size_t i = 0; i < bytes; i += 4096) kept += c[i] != 0;
    munmap(v.iov_base, bytes);
  }
  require(kept == 2 * refused, "memory was not given back");
}

constexpr scenario all[] = {
    {"process_files", &process_files},
    {"quota_files", &quota_files},
    {"reports", &reports},
    {"pages_first", &pages, true},
};

}  // namespace

theme files() { return {all, std::size(all)}; }

}  // namespace faults
