// What the scenarios share: goroutines that may not start, values that may not be lost, and an element whose
// every function may throw.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <utility>

#include "faults/engine.hpp"
#include "skein/skein.hpp"

namespace faults {

using namespace std::chrono_literals;

// team: goroutines of one scenario. begun counts those that could be started.
struct team {
  skein::wait_group all;
  int begun = 0;
  template <class F> bool go(F&& f) {
    const bool started = attempt([&] { all.go(std::forward<F>(f)); });
    begun += started;
    return started;
  }
  void wait() { all.wait(); }
};

// books: what became of each value.
class books {
 public:
  static constexpr int values = 64;
  void sent(int v) { note(sent_, v); }
  void received(int v) { note(received_, v); }
  void consumed() { ++consumed_; }  // by a receive that threw

  // close() is for when everybody is done; `left` values are still in the channel.
  void close(int left = 0) const {
    int in = 0, out = 0;
    for (int v = 0; v < values; ++v) {
      require(sent_[v] <= 1 && received_[v] <= 1, "a value came twice");
      in += sent_[v], out += received_[v];
      require(sent_[v] != 0 || received_[v] == 0, "a value came that was not sent");
    }
    require(in == out + consumed_ + left, "values were lost");
  }

 private:
  using marks = std::array<std::atomic<int>, values>;
  static void note(marks& m, int v) {
    require(v >= 0 && v < values, "a value came broken");
    ++m[static_cast<std::size_t>(v)];
  }
  marks sent_{};
  marks received_{};
  std::atomic<int> consumed_{0};
};

// note: a value that travels as bytes. parcel: one that travels in a box of its own, since its copy and its
// move may throw.
struct note {
  int value = -1;
};
class parcel {
 public:
  explicit parcel(int v) : value(v) { ++live_; }
  parcel(const parcel& o) : value((callback(), o.value)) { ++live_; }
  parcel(parcel&& o) : value((callback(), std::exchange(o.value, -1))) { ++live_; }
  parcel& operator=(const parcel& o) {
    callback();
    value = o.value;
    return *this;
  }
  parcel& operator=(parcel&& o) {
    callback();
    value = std::exchange(o.value, -1);
    return *this;
  }
  ~parcel() { --live_; }
  friend bool operator==(const parcel& a, const parcel& b) {
    return callback(), a.value == b.value;
  }

  int value;
  static int live() { return live_; }

 private:
  inline static std::atomic<int> live_{0};
};

// job: a callable whose every function may throw. It counts its objects and its calls.
class job {
 public:
  explicit job(std::atomic<int>& runs) : runs_(&runs) { ++live_; }
  job(const job& o) : runs_((callback(), o.runs_)) { ++live_; }
  job(job&& o) : runs_((callback(), o.runs_)) { ++live_; }
  ~job() { --live_; }
  int operator()() const {
    ++*runs_;
    callback();
    return 5;
  }
  static int live() { return live_; }

 private:
  std::atomic<int>* runs_;
  inline static std::atomic<int> live_{0};
};
// The same for those who do not take an exception: go(), wait_group.
struct quiet_job : job {
  using job::job;
  void operator()() const {
    attempt([&] { job::operator()(); });
  }
};

inline void no_job_is_left() { require(job::live() == 0, "a callable was not destroyed"); }

// receive() is one receive; false at the end of the channel. A value whose move throws is consumed.
template <class T> bool receive(const skein::receiver<T>& c, books& b) {
  try {
    auto v = c.recv();
    if (!v) return false;
    b.received(v->value);
  } catch (const thrown&) {
    b.consumed();
  }
  return true;
}

}  // namespace faults

template <> struct std::hash<faults::parcel> {
  std::size_t operator()(const faults::parcel& p) const {
    faults::callback();
    return static_cast<std::size_t>(p.value % 3);  // few chains, so keys are compared
  }
};
