// The explorer's own tests: small programs whose outcomes C++20 names. Each lists all of them.
#include <atomic>
#include <new>
#include <string>

#include "base/sys.hpp"
#include "model.hpp"

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

constexpr model::effort everything{
    .preemptions = 8, .stale = 8, .searched = 2'000'000, .random = 0};

using word = std::atomic<int>;

std::string said(int a, int b) { return std::to_string(a) + std::to_string(b); }

void store_buffering(std::memory_order store, std::memory_order load) {
  word x{0}, y{0};
  int a = 0, b = 0;
  const auto left = [&] {
    x.store(1, store);
    a = y.load(load);
  };
  const auto right = [&] {
    y.store(1, store);
    b = x.load(load);
  };
  model::threads(left, right);
  model::outcome(said(a, b));
}
MODEL(litmus, store_buffering, everything, {"00", "01", "10", "11"}) {
  store_buffering(memory_order_release, memory_order_acquire);
}
MODEL(litmus, store_buffering_seq_cst, everything, {"01", "10", "11"}) {
  store_buffering(memory_order_seq_cst, memory_order_seq_cst);
}

template <class Left, class Right> void fenced_store_buffering(Left left_fence, Right right_fence) {
  word x{0}, y{0};
  int a = 0, b = 0;
  const auto left = [&] {
    x.store(1, memory_order_relaxed);
    left_fence();
    a = y.load(memory_order_relaxed);
  };
  const auto right = [&] {
    y.store(1, memory_order_relaxed);
    right_fence();
    b = x.load(memory_order_relaxed);
  };
  model::threads(left, right);
  model::outcome(said(a, b));
}
const auto strict_fence = [] { std::atomic_thread_fence(memory_order_seq_cst); };
const auto weak_fence = [] { std::atomic_thread_fence(memory_order_acq_rel); };
const auto light = [] { std::atomic_signal_fence(memory_order_seq_cst); };
const auto heavy = [] { model::heavy_fence(); };
MODEL(litmus, store_buffering_fences, everything, {"01", "10", "11"}) {
  fenced_store_buffering(strict_fence, strict_fence);
}
MODEL(litmus, store_buffering_weak_fences, everything, {"00", "01", "10", "11"}) {
  fenced_store_buffering(strict_fence, weak_fence);
}
MODEL(litmus, store_buffering_light_heavy, everything, {"01", "10", "11"}) {
  fenced_store_buffering(light, heavy);
}
MODEL(litmus, store_buffering_light_light, everything, {"00", "01", "10", "11"}) {
  fenced_store_buffering(light, light);
}
MODEL(litmus, store_buffering_heavy_alone, everything, {"00", "01", "10", "11"}) {
  fenced_store_buffering([] {}, heavy);
}

// One side a seq_cst operation, the other a fence.
MODEL(litmus, store_buffering_fence_and_operation, everything, {"01", "10", "11"}) {
  word x{0}, y{0};
  int a = 0, b = 0;
  const auto left = [&] {
    x.store(1, memory_order_seq_cst);
    a = y.load(memory_order_seq_cst);
  };
  const auto right = [&] {
    y.store(1, memory_order_relaxed);
    strict_fence();
    b = x.load(memory_order_relaxed);
  };
  model::threads(left, right);
  model::outcome(said(a, b));
}

void message_passing(std::memory_order store, std::memory_order load) {
  word x{0}, y{0};
  int a = 0, b = 0;
  const auto send = [&] {
    x.store(1, memory_order_relaxed);
    y.store(1, store);
  };
  const auto receive = [&] {
    a = y.load(load);
    b = x.load(memory_order_relaxed);
  };
  model::threads(send, receive);
  model::outcome(said(a, b));
}
MODEL(litmus, message_passing, everything, {"00", "01", "11"}) {
  message_passing(memory_order_release, memory_order_acquire);
}
MODEL(litmus, message_passing_no_release, everything, {"00", "01", "10", "11"}) {
  message_passing(memory_order_relaxed, memory_order_acquire);
}
MODEL(litmus, message_passing_no_acquire, everything, {"00", "01", "10", "11"}) {
  message_passing(memory_order_release, memory_order_relaxed);
}
MODEL(litmus, message_passing_fences, everything, {"00", "01", "11"}) {
  word x{0}, y{0};
  int a = 0, b = 0;
  const auto send = [&] {
    x.store(1, memory_order_relaxed);
    std::atomic_thread_fence(memory_order_release);
    y.store(1, memory_order_relaxed);
  };
  const auto receive = [&] {
    a = y.load(memory_order_relaxed);
    std::atomic_thread_fence(memory_order_acquire);
    b = x.load(memory_order_relaxed);
  };
  model::threads(send, receive);
  model::outcome(said(a, b));
}

// A read-modify-write by another thread hands the release on, a store does not.
template <class Middle> void release_sequence(Middle middle) {
  word x{0}, y{0};
  int a = 0, b = 0;
  const auto send = [&] {
    x.store(1, memory_order_relaxed);
    y.store(1, memory_order_release);
  };
  const auto pass = [&] { middle(y); };
  const auto receive = [&] {
    a = y.load(memory_order_acquire);
    b = x.load(memory_order_relaxed);
  };
  model::threads(send, pass, receive);
  model::outcome(said(a, b));
}
MODEL(litmus, release_sequence, everything, {"00", "01", "11", "20", "21", "31"}) {
  release_sequence([](word& y) { y.fetch_add(2, memory_order_relaxed); });
}
MODEL(litmus, release_sequence_broken, everything, {"00", "01", "11", "20", "21"}) {
  release_sequence([](word& y) { y.store(2, memory_order_relaxed); });
}

void independent_reads(std::memory_order load) {
  word x{0}, y{0};
  int a = 0, b = 0, c = 0, d = 0;
  const auto first = [&] { x.store(1, memory_order_seq_cst); };
  const auto second = [&] { y.store(1, memory_order_seq_cst); };
  const auto third = [&] {
    a = x.load(load);
    b = y.load(load);
  };
  const auto fourth = [&] {
    c = y.load(load);
    d = x.load(load);
  };
  model::threads(first, second, third, fourth);
  if (a == 1 && b == 0 && c == 1 && d == 0) model::outcome("apart");
  model::outcome("together");
}
constexpr model::effort enough{.preemptions = 4, .stale = 2, .searched = 2'000'000, .random = 0};
MODEL(litmus, independent_reads, enough, {"apart", "together"}) {
  independent_reads(memory_order_acquire);
}
MODEL(litmus, independent_reads_seq_cst, enough, {"together"}) {
  independent_reads(memory_order_seq_cst);
}

// A load that reads what is stored after it would need an order that hardware and compilers may have
// but the standard discourages; the explorer has none.
MODEL(litmus, load_buffering, everything, {"00", "01", "10"}) {
  word x{0}, y{0};
  int a = 0, b = 0;
  const auto left = [&] {
    a = x.load(memory_order_relaxed);
    y.store(1, memory_order_relaxed);
  };
  const auto right = [&] {
    b = y.load(memory_order_relaxed);
    x.store(1, memory_order_relaxed);
  };
  model::threads(left, right);
  model::outcome(said(a, b));
}

MODEL(litmus, coherence, everything, {"00", "01", "02", "11", "12", "22"}) {
  word x{0};
  int a = 0, b = 0;
  const auto write = [&] {
    x.store(1, memory_order_relaxed);
    x.store(2, memory_order_relaxed);
  };
  const auto read = [&] {
    a = x.load(memory_order_relaxed);
    b = x.load(memory_order_relaxed);
  };
  model::threads(write, read);
  model::outcome(said(a, b));
}

// What one thread has read, another that it releases to cannot read anything older than.
MODEL(litmus, coherence_across_threads, everything,
      {"000", "001", "011", "100", "101", "111", "010"}) {
  word x{0}, y{0};
  int a = 0, b = 0, c = 0;
  const auto write = [&] { x.store(1, memory_order_relaxed); };
  const auto pass = [&] {
    a = x.load(memory_order_relaxed);
    y.store(1, memory_order_release);
  };
  const auto read = [&] {
    b = y.load(memory_order_acquire);
    c = x.load(memory_order_relaxed);
  };
  model::threads(write, pass, read);
  model::outcome(said(a, b) + std::to_string(c));
}

// Two exchanges never read the same store.
MODEL(litmus, read_modify_write, everything, {"01", "10"}) {
  word x{0};
  int a = 0, b = 0;
  const auto left = [&] { a = x.fetch_add(1, memory_order_relaxed); };
  const auto right = [&] { b = x.fetch_add(1, memory_order_relaxed); };
  model::threads(left, right);
  model::outcome(said(a, b));
}

// A weak compare_exchange may fail for no reason, a strong one may not.
MODEL(litmus, compare_exchange, everything, {"01", "11"}) {
  word x{0};
  int none = 0;
  const int weak = x.compare_exchange_weak(none, 0, memory_order_relaxed);
  const int strong = x.compare_exchange_strong(none, 1, memory_order_relaxed);
  model::outcome(said(weak, strong));
}

MODEL(litmus, race, everything, {}, "data race") {
  int n = 0;
  const auto add = [&] { ++n; };
  model::threads(add, add);
}
MODEL(litmus, race_with_an_atomic, everything, {}, "data race") {
  word x{0};
  const auto write = [&] { x.store(1, memory_order_relaxed); };
  const auto construct = [&] { new (&x) word(2); };
  model::threads(write, construct);
}
MODEL(litmus, race_through_relaxed, everything, {}, "data race") {
  word ready{0};
  int n = 0;
  const auto write = [&] {
    n = 1;
    ready.store(1, memory_order_release);
  };
  const auto read = [&] {
    if (ready.load(memory_order_relaxed) == 1) model::outcome(std::to_string(n));
  };
  model::threads(write, read);
}
MODEL(litmus, no_race, everything, {"1", "none"}) {
  word ready{0};
  int n = 0;
  const auto write = [&] {
    n = 1;
    ready.store(1, memory_order_release);
  };
  const auto read = [&] {
    model::outcome(ready.load(memory_order_acquire) == 1 ? std::to_string(n) : "none");
  };
  model::threads(write, read);
}
MODEL(litmus, freed_memory, everything, {}, "freed memory") {
  int* p = new int(1);
  word done{0};
  const auto free = [&] {
    delete p;
    done.store(1, memory_order_release);
  };
  const auto use = [&] {
    if (done.load(memory_order_acquire) == 1) *p = 2;
  };
  model::threads(free, use);
}
// An atomic that is made again in the same place has no past.
MODEL(litmus, made_again, everything, {"0"}) {
  word x{0};
  x.store(1, memory_order_relaxed);
  const auto other = [&] { x.store(2, memory_order_relaxed); };
  model::threads(other);
  new (&x) word(0);
  model::outcome(std::to_string(x.load(memory_order_relaxed)));
}
MODEL(litmus, lost_wake_up, everything, {}, "deadlock") {
  skein::detail::atomic<std::uint32_t> ready{0};
  const auto set = [&] { ready.store(1, memory_order_release); };
  const auto wait = [&] {
    while (ready.load(memory_order_acquire) == 0) skein::sys::futex_wait(ready, 0, nullptr);
  };
  model::threads(set, wait);
}
MODEL(litmus, locks_crosswise, everything, {}, "livelock") {
  skein::detail::spin_lock a, b;
  const auto one = [&] {
    a.lock();
    b.lock();
  };
  const auto other = [&] {
    b.lock();
    a.lock();
  };
  model::threads(one, other);
}
MODEL(litmus, a_list_that_bites_its_tail, everything, {}, "livelock") {
  struct node {
    node* next;
  } n{&n};
  for (node* at = &n; at != nullptr; at = at->next) asm volatile("" : : "m"(n) : "memory");
}
MODEL(litmus, check, everything, {}, "check failed") { MODEL_CHECK(false); }

}  // namespace
