// The decisions of one execution, and who takes them: a depth-first search through all of them within
// bounds, a seed, or a string that an earlier execution left.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace model {

class choices {
 public:
  enum class kind : std::uint8_t { thread, value };
  struct bounds {
    int preemptions = 2;
    int stale = 1;  // reads of something else than the newest store, and wake-ups without a reason
  };

  void search(bounds b);  // the first execution of a search
  bool next();            // the next one; false: that was all
  void random(std::uint64_t seed);
  void replay(std::string_view text);

  // pick() is one of n options; the first `free` ones cost nothing, the others one of what is bounded.
  std::uint32_t pick(kind k, std::uint32_t n, std::uint32_t free);
  std::string text() const;  // for replay()

 private:
  enum class mode : std::uint8_t { search, random, replay };
  struct decision {
    std::uint32_t taken, options;
  };
  std::uint32_t roll(std::uint32_t n) noexcept;
  void start();

  mode mode_ = mode::search;
  bounds bounds_;
  int left_[2] = {};
  std::vector<decision> made_;
  std::size_t at_ = 0;
  std::uint64_t state_ = 0;
  std::uint32_t restless_ = 0;  // random: one in so many chances to switch is taken
  std::uint32_t stale_ = 0;     // random: one in so many loads is stale, 0: none
};

}  // namespace model
