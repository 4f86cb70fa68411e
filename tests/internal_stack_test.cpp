// Stacks: classes, guards, reuse.
#include "arch/stack.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <set>
#include <thread>
#include <vector>

#include "base/sys.hpp"
#include "support/everywhere.hpp"

namespace {

namespace arch = skein::arch;
namespace sys = skein::sys;
using arch::guard_bytes;
using arch::stack;
using arch::stack_pool;

constexpr std::size_t kib = 1024;

std::vector<stack*> take(stack_pool& p, int cls, int n) {
  std::vector<stack*> all;
  while (static_cast<int>(all.size()) < n) {
    stack* list = p.take(cls, n - static_cast<int>(all.size()));
    if (list == nullptr) break;
    for (; list != nullptr; list = list->next) all.push_back(list);
  }
  return all;
}
void put(stack_pool& p, int cls, stack* s) {
  s->next = nullptr;
  p.put(cls, s);
}

// covers: G5
TEST(stacks, the_class_is_the_next_power_of_two) {
  EXPECT_EQ(arch::class_for(0), 0);
  EXPECT_EQ(arch::class_for(1), 0);
  EXPECT_EQ(arch::class_for(64 * kib), 0);
  EXPECT_EQ(arch::class_for(64 * kib + 1), 1);
  EXPECT_EQ(arch::class_for(128 * kib), 1);
  EXPECT_EQ(arch::class_for(256 * kib), 2);
  EXPECT_EQ(arch::class_for(257 * kib), 3);
  EXPECT_EQ(arch::class_for(1024 * kib), 4);
  EXPECT_EQ(arch::class_for(8192 * kib), 7);
  EXPECT_EQ(arch::class_for(8192 * kib + 1), -1);
  EXPECT_EQ(arch::class_for(~std::size_t{0}), -1);
  for (int c = 0; c < arch::stack_classes; ++c) EXPECT_EQ(arch::class_for(arch::class_bytes(c)), c);
}

// covers: G5
TEST(stacks, every_class_gives_stacks_that_can_be_used) {
  stack_pool p;
  for (int cls = 0; cls < arch::stack_classes; ++cls) {
    std::set<char*> lows;
    for (stack* s : take(p, cls, 40)) {
      EXPECT_TRUE(lows.insert(s->low).second);
      EXPECT_EQ(s->cls, cls);
      EXPECT_GE(s->usable() + (cls == 0 ? 0 : guard_bytes), arch::class_bytes(cls));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(s->top()) % 64, 0u);
      EXPECT_LE(s->top(), s->end());
      EXPECT_LT(s->end() - s->top(), 4096);
      s->top()[-1] = 1;
      s->limit()[0] = 2;  // the lowest byte
      EXPECT_EQ(s->top()[-1], 1);
    }
    EXPECT_EQ(lows.size(), 40u);
    char* before = nullptr;
    for (char* low : lows) {
      if (before != nullptr) {
        EXPECT_GE(static_cast<std::size_t>(low - before),
                  std::max(arch::class_bytes(cls), 2 * guard_bytes));
      }
      before = low;
    }
  }
}

TEST(stacks, tops_have_different_colours) {
  stack_pool p;
  std::set<std::size_t> colours;
  for (stack* s : take(p, 2, 64)) colours.insert(static_cast<std::size_t>(s->end() - s->top()));
  EXPECT_GE(colours.size(), 8u);
}

// covers: G5
TEST(stacks, the_one_put_back_last_is_given_first) {
  stack_pool p;
  const auto all = take(p, 2, 10);
  ASSERT_EQ(all.size(), 10u);
  for (stack* s : all) put(p, 2, s);
  for (std::size_t i = all.size(); i > 0; --i) EXPECT_EQ(p.take(2, 1), all[i - 1]);
}

// covers: G6
TEST(stacks, find_knows_every_address_of_a_stack) {
  stack_pool p;
  int local = 0;
  EXPECT_EQ(p.find(&local), nullptr);
  for (const int cls : {0, 2, 7})
    for (stack* s : take(p, cls, 5)) {
      EXPECT_EQ(p.find(s->low), s);
      EXPECT_EQ(p.find(s->limit() - 1), s);
      EXPECT_EQ(p.find(s->limit()), s);
      EXPECT_EQ(p.find(s->end() - 1), s);
      EXPECT_NE(p.find(s->end()), s);
      EXPECT_NE(p.find(s->low - 1), s);
    }
  EXPECT_EQ(p.find(nullptr), nullptr);
  EXPECT_EQ(p.find(&local), nullptr);
}

// Writes to an address in a child, which is to die of it.
everywhere::child_end touch(const std::function<char*()>& where) {
  return everywhere::run_child([&] {
    char* at = where();
    signal(SIGSEGV, SIG_DFL);  // a sanitizer may have its own
    signal(SIGBUS, SIG_DFL);
    *const_cast<volatile char*>(at) = 1;
  });
}

int no_markers(sys::call c) noexcept { return c == sys::call::madvise ? EINVAL : 0; }
int no_guards(sys::call c) noexcept {
  return c == sys::call::madvise ? EINVAL : c == sys::call::mprotect ? ENOMEM : 0;
}

// covers: G6
TEST(stacks, the_guard_faults_from_its_first_byte_to_its_last) {
  for (const auto hook : {sys::fault_hook{nullptr}, sys::fault_hook{&no_markers}})
    for (const int cls : {0, 2, 7})
      for (const bool lowest : {false, true}) {
        const auto end = touch([&] {
          sys::set_fault_hook(hook);
          auto* pool = new stack_pool;
          stack* s = pool->take(cls, 1);
          if (s == nullptr || !s->guarded) _exit(3);
          return lowest ? s->low : s->limit() - 1;
        });
        EXPECT_EQ(end.signal, SIGSEGV) << "class " << cls << ", status " << end.status << end.text;
      }
}

// covers: G6
TEST(stacks, without_markers_some_are_guarded_with_mprotect) {
  const auto end = everywhere::run_child([] {
    sys::set_fault_hook(&no_markers);
    stack_pool p;
    for (stack* s : take(p, 2, 100))
      if (!s->guarded) _exit(3);
  });
  EXPECT_EQ(end.status, 0);
}

// covers: G6
TEST(stacks, without_any_guard_there_is_a_canary) {
  const auto end = everywhere::run_child([] {
    sys::set_fault_hook(&no_guards);
    stack_pool p;
    for (const int cls : {0, 2, 7}) {
      stack* s = p.take(cls, 1);
      if (s->guarded || !arch::canary_intact(*s)) _exit(2);
      s->top()[-1] = 1;
      if (!arch::canary_intact(*s)) _exit(3);
      s->limit()[7] ^= 1;
      if (arch::canary_intact(*s)) _exit(4);
    }
  });
  EXPECT_EQ(end.status, 0);
}

std::atomic<int> maps_to_fail{0};
int maps_fail(sys::call c) noexcept {
  return c == sys::call::mmap && maps_to_fail.load() > 0 && maps_to_fail.fetch_sub(1) > 0 ? ENOMEM
                                                                                          : 0;
}

// covers: G5
TEST(stacks, take_less_address_space_when_there_is_less) {
  stack_pool p;
  sys::set_fault_hook(&maps_fail);
  maps_to_fail = 6;
  EXPECT_EQ(take(p, 2, 3).size(), 3u);
  EXPECT_LE(maps_to_fail.load(), 0);
  maps_to_fail = 1'000'000;
  EXPECT_EQ(p.take(3, 1), nullptr) << "no address space at all";
  maps_to_fail = 0;
  EXPECT_NE(p.take(3, 1), nullptr) << "but later there is";
  sys::set_fault_hook(nullptr);
}

TEST(stacks, a_pool_can_be_shared_by_threads) {
  stack_pool p;
  std::atomic<int> clashes{0};
  std::vector<std::thread> threads;
  for (char me = 1; me <= 4; ++me)
    threads.emplace_back([&, me] {
      everywhere::dice d(static_cast<std::uint64_t>(me));
      std::vector<stack*> mine;
      for (std::uint64_t i = everywhere::scaled(3000); i > 0; --i) {
        for (stack* s = p.take(2, 1 + static_cast<int>(d.below(8))); s != nullptr; s = s->next)
          mine.push_back(s);
        for (stack* s : mine) s->top()[-8] = me;
        for (stack* s : mine)
          if (s->top()[-8] != me) ++clashes;
        if (mine.size() > 100 || d.one_in(4)) {
          for (stack* s : mine) put(p, 2, s);
          mine.clear();
        }
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(clashes.load(), 0);
}

}  // namespace
