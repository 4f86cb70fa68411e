// All that is written: lines to stdout, messages and the progress line to stderr.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "skein/chan.hpp"
#include "skein/runtime.hpp"
#include "tally.hpp"

namespace digest {

// interrupted: thrown where a signal ended the wait for something else.
struct interrupted {
  int signal;
};

// print() writes all of `text`; false if that failed.
bool print(int fd, std::string_view text);

// output: used by one goroutine. Stdout gets whole lines only, whatever happens. While stdout does
// not take any, a signal ends the wait and interrupted is thrown; a stdout that fails throws
// std::system_error. The progress line is there only if stderr is a terminal.
class output {
 public:
  output(const tally& t, skein::receiver<int> signals);
  output(const output&) = delete;
  output& operator=(const output&) = delete;
  ~output();

  void line(std::string_view text);
  void message(std::string_view text);
  // tick() is to be called about ten times a second.
  void tick();
  // finish() writes what is left and the summary.
  void finish(const skein::runtime_stats& s);

 private:
  void flush();
  void draw();
  void erase();
  double seconds() const;

  const tally& tally_;
  skein::receiver<int> signals_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const bool show_progress_;
  const bool shares_terminal_;  // stdout scrolls the progress line away
  bool drawn_ = false;
  std::uint64_t lines_ = 0;
  std::string block_;  // whole lines for stdout
};

}  // namespace digest
