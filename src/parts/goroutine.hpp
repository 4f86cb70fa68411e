// G: a goroutine, and the slab it comes from.
//
// field      written by
//   next     the owner of the list the goroutine stands in: a run queue, a free list, a wake list
//   hold     the worker that runs it sets `on_cpu`, which ends `fresh`; the context that runs after
//            it on that worker clears it with release, once the registers are saved. Whoever takes
//            the goroutine from a queue reads it with acquire and does not switch to it while it is
//            set. `locked` belongs to the goroutine itself; `seen`, `trimming` and `trimmed`
//            to the monitor (sched/trim.cpp).
//   status   whoever runs, parks, makes or frees it; read by dumps, a hint
//   waiting  the goroutine itself, before it publishes a wait; read at shutdown and by dumps
//   extras, locals  the goroutine itself, once it runs
//   the rest whoever owns the goroutine: its maker, then the worker that runs it
//
// A goroutine that never parks touches its first cache line only: it has no stack before it runs,
// its closure stands in the line itself, which stack it runs on is known to the stack, and `extras`
// tells that there is nothing to clear away. Slabs are never given back while their runtime lives, so
// a stale pointer always points to some goroutine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "arch/context.hpp"
#include "arch/stack.hpp"
#include "parts/held_mutexes.hpp"
#include "skein/detail/atomic.hpp"
#include "skein/detail/launch.hpp"

namespace skein::inline SKEIN_ABI {
namespace sched {
struct waiter;
struct worker;
}  // namespace sched

namespace detail {

struct local_table;
struct runtime_state;

// What a goroutine is doing; from chan_send on it is parked for that reason.
enum class status : std::uint8_t {
  free, runnable, running, ended,
  chan_send, chan_recv, select, select_nothing, nil_chan, sleep, wait_group, mutex, once, join, fd,
  semaphore, condition, read_lock, write_lock, barrier, atomic
};
const char* name(status s) noexcept;

struct alignas(64) goroutine {
  // Bits of hold. Zero: whoever takes it from a queue may switch to it at once.
  static constexpr std::uint8_t on_cpu = 1;
  static constexpr std::uint8_t locked = 2;  // to a thread
  static constexpr std::uint8_t fresh = 4;   // has no stack yet
  static constexpr std::uint8_t seen = 8;       // parked when the monitor came by
  static constexpr std::uint8_t trimming = 16;  // the monitor is at its stack
  static constexpr std::uint8_t trimmed = 32;   // what its stack does not need has been given back

  // Bits of extras, what is to be cleared away at the end.
  static constexpr std::uint8_t boxed = 1;       // the closure is on the heap, `closure` holds its address
  static constexpr std::uint8_t has_locals = 2;  // `locals` is not null

  goroutine* next;
  closure_fn run;
  const void* site;  // where go() was called
  atomic<std::uint8_t> hold;
  atomic<status> state;
  std::uint8_t stack_class;
  std::uint8_t extras;
  std::uint32_t epoch;  // how often the slot was used, for the numbers in dumps
  alignas(16) std::byte closure[inline_closure];

  arch::context ctx;
  sched::waiter* waiting;  // null unless it waits
  sched::worker* locked_to;
  std::uint32_t lock_depth;  // of lock_os_thread
#if defined(SKEIN_FORCE_MIGRATION)
  sched::worker* ran_on;     // last
#endif
  local_table* locals;       // null, as slabs begin, unless it has values of locals
  [[no_unique_address]] held_mutexes mutexes;

  void* closure_data() noexcept { return (extras & boxed) != 0 ? *reinterpret_cast<void**>(closure) : closure; }
  void set_box(void* p) noexcept {
    extras |= boxed;
    *reinterpret_cast<void**>(closure) = p;
  }
};
#if !defined(SKEIN_SEES_ASAN) && !defined(SKEIN_TSAN_FIBERS) && !defined(SKEIN_FORCE_MIGRATION) && \
    !defined(SKEIN_CHECK_MUTEXES)
static_assert(sizeof(goroutine) == 128);
#endif

inline bool is_parked(const goroutine& g) noexcept { return g.state.load(std::memory_order_relaxed) >= status::chan_send; }

// goroutine_block: where queues and caches that may become long keep goroutines. By address, so that
// the next one is found without a cache miss for each.
struct goroutine_block {
  static constexpr std::uint32_t slots = 126;
  goroutine_block* next = nullptr;
  std::uint32_t begin = 0;  // [begin, end) is in use
  std::uint32_t end = 0;
  goroutine* slot[slots];
};
static_assert(sizeof(goroutine_block) == 1024);
goroutine_block* new_block() noexcept;  // null when memory is out
void free_blocks(goroutine_block* list) noexcept;

// goroutine_slab: the goroutines of one runtime, in chunks whose first slot is a header; the header
// of any goroutine is found by its address.
class goroutine_slab {
 public:
  static constexpr std::size_t chunk_bytes = shrunk<std::size_t>(64 * 1024, 1024);
  static constexpr std::size_t per_chunk = chunk_bytes / sizeof(goroutine) - 1;

  explicit goroutine_slab(runtime_state* owner) noexcept : owner_(owner) {}
  ~goroutine_slab();
  goroutine_slab(const goroutine_slab&) = delete;
  goroutine_slab& operator=(const goroutine_slab&) = delete;

  // take() fills out with n goroutines, or with fewer when memory is out, and returns how many; put()
  // takes n back. Thread-safe.
  int take(goroutine** out, int n) noexcept;
  void put(goroutine* const* in, int n) noexcept;

  // walk() visits the goroutines of some chunks and returns where to go on; null: that was the last.
  struct chunk {
    runtime_state* owner;
    chunk* next;
    std::size_t first;  // number of the first goroutine in it
    goroutine* slots() noexcept { return reinterpret_cast<goroutine*>(this) + 1; }
  };
  chunk* first_chunk() noexcept { return chunks_.load(std::memory_order_acquire); }
  template <class F> static chunk* walk(chunk* c, int chunks, F f) {
    for (; c != nullptr && chunks > 0; c = c->next, --chunks)
      for (std::size_t i = 0; i < per_chunk; ++i) f(c->slots()[i], c->first + i);
    return c;
  }

  // for_each() visits every goroutine that was ever used. New ones may be missed.
  template <class F> void for_each(F f) {
    walk(first_chunk(), std::numeric_limits<int>::max(), f);
  }

  static runtime_state* owner_of(const goroutine* g) noexcept { return chunk_of(g)->owner; }
  // number_of() counts from 0 in the order of memory, as for_each() does.
  static std::size_t number_of(const goroutine* g) noexcept {
    const chunk* c = chunk_of(g);
    return c->first + static_cast<std::size_t>(g - reinterpret_cast<const goroutine*>(c) - 1);
  }

 private:
  static const chunk* chunk_of(const goroutine* g) noexcept {
    return reinterpret_cast<const chunk*>(reinterpret_cast<std::uintptr_t>(g) & ~(chunk_bytes - 1));
  }
  static_assert(sizeof(chunk) <= sizeof(goroutine));
  struct block {
    void* base;
    block* next;
  };

  bool grow() noexcept;

  runtime_state* owner_;
  spin_lock lock_;
  goroutine_block* free_ = nullptr;   // those put back last come first
  goroutine_block* empty_ = nullptr;  // blocks to use again
  goroutine* loose_ = nullptr;        // put back when there was no memory for a block; linked by next
  atomic<chunk*> chunks_{nullptr};
  std::size_t made_ = 0;
  std::size_t chunk_used_ = per_chunk;
  char* spare_ = nullptr;  // chunks cut from the last block
  char* spare_end_ = nullptr;
  block* blocks_ = nullptr;
};

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
