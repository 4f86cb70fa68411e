// Element types that tests send through channels: they count what happens to them, throw on demand,
// or are awkward to store.
#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "skein/detail/elem.hpp"

namespace everywhere {

// tracked: counts its objects. A moved-from one has the value -1. tracked travels boxed, since its
// move is user code; tracked_inline says that it may be moved under the channel's lock.
template <bool Inline> class counted {
 public:
  explicit counted(int v) noexcept : value(v) { born(); }
  counted(const counted& o) noexcept : value(o.value) { born(), note(copies_); }
  counted(counted&& o) noexcept : value(std::exchange(o.value, -1)) { born(), note(moves_); }
  counted& operator=(const counted& o) noexcept {
    value = o.value;
    note(copies_);
    return *this;
  }
  counted& operator=(counted&& o) noexcept {
    value = std::exchange(o.value, -1);
    note(moves_);
    return *this;
  }
  ~counted() {
    if (alive_ != this) note(broken_);
    note(destroyed_);
    live_.fetch_sub(1, std::memory_order_relaxed);
  }
  friend bool operator==(const counted& a, const counted& b) noexcept { return a.value == b.value; }

  int value;

  static void reset() noexcept { live_ = copies_ = moves_ = destroyed_ = broken_ = 0; }
  static long live() noexcept { return live_; }
  static long copies() noexcept { return copies_; }
  static long moves() noexcept { return moves_; }
  static long destroyed() noexcept { return destroyed_; }
  // Objects destroyed elsewhere than they were made: moved about as bytes.
  static long broken() noexcept { return broken_; }

 private:
  // Relaxed: the counters must not order what the tests want to see ordered by channels.
  static void note(std::atomic<long>& n) noexcept { n.fetch_add(1, std::memory_order_relaxed); }
  void born() noexcept { note(live_); }

  counted* alive_ = this;  // where it was made
  inline static std::atomic<long> live_, copies_, moves_, destroyed_, broken_;
};
using tracked = counted<false>;
using tracked_inline = counted<true>;

// throwing: its n-th copy, move or destruction from now on throws throwing::error.
class throwing {
 public:
  struct error : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  struct countdown {
    std::atomic<int> left;
    void operator()(int n) noexcept { left = n; }
    bool hit() noexcept { return left.load() > 0 && left.fetch_sub(1) == 1; }
  };
  inline static countdown on_copy, on_move, on_destroy;

  explicit throwing(int v) noexcept : value(v) { ++live_; }
  throwing(const throwing& o) : value(copied(o)) { ++live_; }
  throwing(throwing&& o) : value(moved(o)) { ++live_; }
  throwing& operator=(const throwing& o) {
    value = copied(o);
    return *this;
  }
  throwing& operator=(throwing&& o) {
    value = moved(o);
    return *this;
  }
  ~throwing() noexcept(false) {
    --live_;
    if (on_destroy.hit()) throw error("destroy");
  }

  int value;

  static void reset() noexcept {
    on_copy(0), on_move(0), on_destroy(0);
    live_ = 0;
  }
  static long live() noexcept { return live_; }

 private:
  static int copied(const throwing& o) {
    if (on_copy.hit()) throw error("copy");
    return o.value;
  }
  static int moved(throwing& o) {
    if (on_move.hit()) throw error("move");
    return std::exchange(o.value, -1);
  }
  inline static std::atomic<long> live_;
};

struct move_only {
  explicit move_only(int v) noexcept : value(v) {}
  move_only(move_only&& o) noexcept : value(std::exchange(o.value, -1)) {}
  move_only& operator=(move_only&& o) noexcept {
    value = std::exchange(o.value, -1);
    return *this;
  }
  int value;
};

struct no_default {
  no_default() = delete;
  explicit constexpr no_default(int v) noexcept : value(v) {}
  int value;
};

// overaligned counts the times that one of its objects stood where it must not.
struct alignas(64) overaligned {
  explicit overaligned(int v) noexcept : value(v) { check(); }
  overaligned(const overaligned& o) noexcept : value(o.value) { check(); }
  overaligned(overaligned&& o) noexcept : value(o.value) { check(); }
  overaligned& operator=(const overaligned&) = default;
  ~overaligned() { check(); }
  int value;
  inline static std::atomic<int> misplaced{0};

 private:
  void check() const noexcept {
    if (reinterpret_cast<std::uintptr_t>(this) % 64 != 0) ++misplaced;
  }
};
struct overaligned_inline : overaligned {
  using overaligned::overaligned;
};

struct big {
  explicit big(int v) noexcept : value(v) { body.fill(v); }
  int value;
  std::array<int, 1023> body;
  bool whole() const noexcept {
    for (const int b : body)
      if (b != value) return false;
    return true;
  }
};
static_assert(sizeof(big) == 4096);

}  // namespace everywhere

template <> inline constexpr bool skein::moves_inline<everywhere::tracked_inline> = true;
template <> inline constexpr bool skein::moves_inline<everywhere::overaligned_inline> = true;
