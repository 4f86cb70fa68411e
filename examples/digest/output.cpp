#include "output.hpp"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <system_error>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

#include "skein/net/poll.hpp"
#include "skein/select.hpp"
#include "system.hpp"

namespace digest {
namespace {

template <class... A> std::string format(const char* how, A... a) {
  char text[256];
  const int n = std::snprintf(text, sizeof text, how, a...);
  return std::string(text, std::clamp<std::size_t>(n, 0, sizeof text - 1));
}

std::string clock_time(double seconds) {
  const auto s = static_cast<unsigned long>(seconds);
  return s < 3600 ? format("%lu:%02lu", s / 60, s % 60)
                  : format("%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

std::size_t columns() {
  winsize w{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

}  // namespace

bool print(int fd, std::string_view text) {
  std::error_code error;
  while (!text.empty() && !error)
    text.remove_prefix(write_some(fd, text.data(), text.size(), error));
  return !error;
}

output::output(const tally& t, skein::receiver<int> signals)
    : tally_(t), signals_(std::move(signals)), show_progress_(::isatty(STDERR_FILENO)),
      shares_terminal_(show_progress_ && ::isatty(STDOUT_FILENO)) {}

output::~output() { erase(); }

void output::line(std::string_view text) {
  if (block_.size() + text.size() > PIPE_BUF) flush();
  block_ += text;
  ++lines_;
}

void output::message(std::string_view text) {
  erase();
  print(STDERR_FILENO, text);
}

void output::tick() {
  flush();
  draw();
}

// A block of up to PIPE_BUF bytes enters a pipe that is writable at once and as a whole. So a
// signal is looked for before each block, and never between the parts of one.
void output::flush() {
  if (block_.empty()) return;
  std::optional<int> signal;
  if (skein::select(recv(signals_, signal), recv(skein::writable(STDOUT_FILENO))) == 0)
    throw interrupted{*signal};
  if (shares_terminal_) erase();
  for (std::string_view rest = block_; !rest.empty();) {
    std::error_code error;
    rest.remove_prefix(write_some(STDOUT_FILENO, rest.data(), rest.size(), error));
    if (error == std::errc::resource_unavailable_try_again)
      skein::wait_writable(STDOUT_FILENO);
    else if (error)
      throw std::system_error(error, "stdout");
  }
  block_.clear();
}

void output::draw() {
  if (!show_progress_) return;
  const double bytes = static_cast<double>(tally_.bytes.load(std::memory_order_relaxed));
  std::string text =
      format("%llu files  %.1f MB  %.1f MB/s  ", static_cast<unsigned long long>(lines_),
             bytes / 1e6, bytes / 1e6 / seconds());
  if (!tally_.walked.load(std::memory_order_relaxed)) {
    text += "walking";
  } else if (lines_ > 0) {
    const double left = static_cast<double>(tally_.found.load(std::memory_order_relaxed) - lines_);
    text += "ETA " + clock_time(seconds() / static_cast<double>(lines_) * left);
  }
  text.resize(std::min(text.size(), columns() - 1));
  print(STDERR_FILENO, "\r\033[K" + text);
  drawn_ = true;
}

void output::erase() {
  if (std::exchange(drawn_, false)) print(STDERR_FILENO, "\r\033[K");
}

void output::finish(const skein::runtime_stats& s) {
  flush();
  using count = unsigned long long;
  const auto bytes = tally_.bytes.load(std::memory_order_relaxed);
  message(format("digest: %llu files, %llu bytes in %.2f s, %.1f MB/s; "
                 "%llu goroutines, %llu steals, %llu parks\n",
                 count{lines_}, count{bytes}, seconds(),
                 static_cast<double>(bytes) / 1e6 / seconds(), count{s.goroutines_started},
                 count{s.steals}, count{s.parks}));
}

double output::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

}  // namespace digest
