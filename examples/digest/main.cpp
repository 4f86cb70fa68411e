// Prints the checksums of all files below some directories, as find | xargs sha256sum would.
//
//             paths               lines
//   walker ==========> worker 1 ==========> collector => stdout
//      |               …                        |
//      |               worker N                 |
//      +------------<== window <==--------------+
//
// The walker finds files in the order of the output, N workers hash them in any order, and the
// collector restores it. The window is what keeps memory bounded: a slot is taken for each file
// found and given back when its line has been printed.
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "hash.hpp"
#include "options.hpp"
#include "output.hpp"
#include "reorder.hpp"
#include "skein/skein.hpp"
#include "tally.hpp"
#include "walk.hpp"

namespace digest {

// A file to hash. The index says where its line belongs.
struct file {
  std::uint64_t index;
  std::string path;
};

// What became of it: a line for stdout, or for stderr if it failed.
struct outcome {
  std::uint64_t index;
  std::string line;
  bool failed;
};

}  // namespace digest

template <> inline constexpr bool skein::moves_inline<digest::file> = true;
template <> inline constexpr bool skein::moves_inline<digest::outcome> = true;

namespace digest {
namespace {

constexpr std::size_t window_size = 1024;

// What the goroutines share; they own it together, because none of them outlives the others for
// certain when the program is interrupted.
struct pipeline {
  std::vector<std::string> directories;
  digest::algorithm algorithm;
  digest::tally tally;
  skein::chan<file> files{64};
  skein::chan<outcome> outcomes{64};
  skein::chan<skein::unit> window{window_size};
};
using shared = std::shared_ptr<pipeline>;

void find_files(pipeline& p) {
  std::uint64_t index = 0;
  for (const std::string& directory : p.directories)
    walk(directory, [&](std::string path, std::error_code error) {
      p.window.send({});
      p.tally.found.fetch_add(1, std::memory_order_relaxed);
      if (error)
        p.outcomes.send({index++, error_line(path, error), true});
      else
        p.files.send({index++, std::move(path)});
    });
  p.tally.walked.store(true, std::memory_order_relaxed);
  p.files.close();
}

void hash_files(pipeline& p) {
  hasher h(p.algorithm, p.tally);
  for (file& f : p.files) {
    std::string hex;
    if (std::error_code error = h.hash(f.path, hex))
      p.outcomes.send({f.index, error_line(f.path, error), true});
    else
      p.outcomes.send({f.index, digest_line(hex, f.path), false});
  }
}

// collect() prints the outcomes in order and says whether all was well. Only it writes.
bool collect(pipeline& p, output& out, const skein::receiver<int>& signals) {
  reorder<outcome> arrived(window_size);
  skein::ticker tick(std::chrono::milliseconds(100));
  bool all_well = true;
  for (;;) {
    std::optional<outcome> o;
    std::optional<int> signal;
    switch (skein::select(recv(p.outcomes, o), recv(tick.chan()), recv(signals, signal))) {
      case 0:
        if (!o) return all_well;
        arrived.put(o->index, std::move(*o));
        while ((o = arrived.next())) {
          o->failed ? out.message(o->line) : out.line(o->line);
          all_well &= !o->failed;
          p.window.recv();
        }
        break;
      case 1: out.tick(); break;
      case 2: throw interrupted{*signal};
    }
  }
}

int digest_all(shared p, int jobs) {
  const skein::receiver<int> signals = skein::notify({SIGINT, SIGTERM});
  skein::go([p, jobs] {
    skein::wait_group producers;
    producers.go([p] { find_files(*p); });
    for (int i = 0; i < jobs; ++i) producers.go([p] { hash_files(*p); });
    producers.wait();
    p->outcomes.close();
  });

  output out(p->tally, signals);
  try {
    const bool all_well = collect(*p, out, signals);
    out.finish(skein::stats());
    return all_well ? 0 : 1;
  } catch (const interrupted& by) {
    out.message("digest: interrupted\n");
    return 128 + by.signal;
  }
}

}  // namespace
}  // namespace digest

int main(int argc, char** argv) try {
  const digest::options o = digest::parse(argc, argv);
  // A file that is opened must not become the stdout that was closed.
  if (::fcntl(STDOUT_FILENO, F_GETFD) < 0)
    throw std::system_error(errno, std::system_category(), "stdout");
  std::signal(SIGPIPE, SIG_IGN);
  auto p = std::make_shared<digest::pipeline>(o.directories, digest::algorithm(o.algorithm));
  return skein::run([&] { return digest::digest_all(p, o.jobs > 0 ? o.jobs : skein::procs()); });
} catch (const digest::help& h) {
  return digest::print(STDOUT_FILENO, h.text) ? 0 : 1;
} catch (const std::invalid_argument& e) {
  digest::print(STDERR_FILENO, std::string("digest: ") + e.what() + "\n");
  return 2;
} catch (const std::exception& e) {
  digest::print(STDERR_FILENO, std::string("digest: ") + e.what() + "\n");
  return 1;
}
