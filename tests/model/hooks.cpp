// What the compiler calls in code that is instrumented for a race detector (-fsanitize=thread): here the
// explorer is the detector. Outside of a running model the operations are done as they are.
#include <cstdlib>
#include <cstring>
#include <new>

#include "explorer.hpp"

namespace model {
namespace {

#define PC                                                                                         \
  static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1)

std::uintptr_t place(const volatile void* p) noexcept {
  return reinterpret_cast<std::uintptr_t>(p);
}

void touch(const void* p, std::size_t bytes, bool write, std::uint32_t pc) {
  if (only_active()) {
    const explorer::guard own;
    the().plain(place(p), bytes, write, pc);
  }
}

template <class T> T load(const volatile T* p, int o, std::uint32_t pc) {
  if (!only_active()) return *p;
  const explorer::guard own;
  return static_cast<T>(the().load(place(p), sizeof(T), static_cast<order>(o), pc));
}

template <class T> void put(volatile T* p, T v, int o, std::uint32_t pc) {
  if (!only_active()) {
    *p = v;
    return;
  }
  const explorer::guard own;
  the().store(place(p), sizeof(T), v, static_cast<order>(o), pc);
}

template <class T> T modify(op what, volatile T* p, T by, int o, std::uint32_t pc) {
  if (!only_active()) {
    const T old = *p;
    *p = static_cast<T>(apply(what, old, by));
    return old;
  }
  const explorer::guard own;
  return static_cast<T>(the().modify(what, place(p), sizeof(T), by, static_cast<order>(o), pc));
}

template <class T>
int exchange_if(volatile T* p, T* expected, T desired, bool weak, int o, int failed,
                std::uint32_t pc) {
  if (!only_active()) {
    if (*p != *expected) {
      *expected = *p;
      return 0;
    }
    *p = desired;
    return 1;
  }
  const explorer::guard own;
  std::uint64_t e = *expected;
  const bool done = the().compare_exchange(place(p), sizeof(T), e, desired, weak,
                                           static_cast<order>(o), static_cast<order>(failed), pc);
  *expected = static_cast<T>(e);
  return done;
}

void* allocate(std::size_t bytes, std::size_t align) {
  if (only_active()) {
    const explorer::guard own;
    return the().allocate(bytes, align);
  }
  void* p = align > 16 ? std::aligned_alloc(align, (bytes + align - 1) & ~(align - 1))
                       : std::malloc(bytes);
  if (p == nullptr) std::abort();
  return p;
}

void deallocate(void* p, std::uint32_t pc) noexcept {
  if (p == nullptr) return;
  if (!memory::in_arena(p)) {
    std::free(p);
  } else if (only_active()) {
    const explorer::guard own;
    the().deallocate(p, pc);
  }
}

}  // namespace
}  // namespace model

using model::op;

void* operator new(std::size_t n) { return model::allocate(n, 16); }
void* operator new[](std::size_t n) { return model::allocate(n, 16); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return model::allocate(n, 16); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  return model::allocate(n, 16);
}
void* operator new(std::size_t n, std::align_val_t a) {
  return model::allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return model::allocate(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { model::deallocate(p, PC); }
void operator delete[](void* p) noexcept { model::deallocate(p, PC); }
void operator delete(void* p, std::size_t) noexcept { model::deallocate(p, PC); }
void operator delete[](void* p, std::size_t) noexcept { model::deallocate(p, PC); }
void operator delete(void* p, std::align_val_t) noexcept { model::deallocate(p, PC); }
void operator delete[](void* p, std::align_val_t) noexcept { model::deallocate(p, PC); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { model::deallocate(p, PC); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  model::deallocate(p, PC);
}

extern "C" {

void __tsan_init() {}

#define ACCESS(bytes)                                                                              \
  void __tsan_read##bytes(void* p) { model::touch(p, bytes, false, PC); }                          \
  void __tsan_write##bytes(void* p) { model::touch(p, bytes, true, PC); }                          \
  void __tsan_unaligned_read##bytes(void* p) { model::touch(p, bytes, false, PC); }                \
  void __tsan_unaligned_write##bytes(void* p) { model::touch(p, bytes, true, PC); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
void __tsan_read_range(void* p, unsigned long bytes) { model::touch(p, bytes, false, PC); }
void __tsan_write_range(void* p, unsigned long bytes) { model::touch(p, bytes, true, PC); }
void __tsan_vptr_update(void* p, void*) { model::touch(p, 8, true, PC); }
void __tsan_vptr_read(void* p) { model::touch(p, 8, false, PC); }

#define ATOMIC(bits, type)                                                                         \
  type __tsan_atomic##bits##_load(const volatile type* p, int o) {                                 \
    return model::load<type>(p, o, PC);                                                            \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile type* p, type v, int o) {                              \
    model::put<type>(p, v, o, PC);                                                                 \
  }                                                                                                \
  type __tsan_atomic##bits##_exchange(volatile type* p, type v, int o) {                           \
    return model::modify<type>(op::exchange, p, v, o, PC);                                         \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_add(volatile type* p, type v, int o) {                          \
    return model::modify<type>(op::add, p, v, o, PC);                                              \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_sub(volatile type* p, type v, int o) {                          \
    return model::modify<type>(op::sub, p, v, o, PC);                                              \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_and(volatile type* p, type v, int o) {                          \
    return model::modify<type>(op::band, p, v, o, PC);                                             \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_or(volatile type* p, type v, int o) {                           \
    return model::modify<type>(op::bor, p, v, o, PC);                                              \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_xor(volatile type* p, type v, int o) {                          \
    return model::modify<type>(op::bxor, p, v, o, PC);                                             \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_nand(volatile type* p, type v, int o) {                         \
    return model::modify<type>(op::nand, p, v, o, PC);                                             \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* p, type* e, type d, int o,      \
                                                    int f) {                                       \
    return model::exchange_if<type>(p, e, d, false, o, f, PC);                                     \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* p, type* e, type d, int o,        \
                                                  int f) {                                         \
    return model::exchange_if<type>(p, e, d, true, o, f, PC);                                      \
  }
ATOMIC(8, unsigned char)
ATOMIC(16, unsigned short)
ATOMIC(32, unsigned int)
ATOMIC(64, unsigned long)

void __tsan_atomic_thread_fence(int o) {
  if (!model::only_active()) return;
  const model::explorer::guard own;
  model::the().fence(static_cast<model::order>(o), PC);
}

// A compiler barrier: a light_barrier() when there is a membarrier().
void __tsan_atomic_signal_fence(int) {
  if (!model::only_active()) return;
  const model::explorer::guard own;
  model::the().light_fence(PC);
}

// The seams of include/skein/detail/atomic.hpp and src/arch/context.hpp.
void skein_model_pause() {
  if (!model::only_active()) return;
  const model::explorer::guard own;
  model::the().spin(0, PC);
}
unsigned long skein_model_cycles() {
  if (!model::only_active()) return 0;
  const model::explorer::guard own;
  return static_cast<unsigned long>(model::the().now()) * 3;
}
void skein_model_switch(void* from, void* to) {
  model::touch(from, sizeof(skein::arch::context), true, PC);
  model::touch(to, sizeof(skein::arch::context), false, PC);
}

void* __real_memcpy(void* to, const void* from, std::size_t n);
void* __real_memmove(void* to, const void* from, std::size_t n);
void* __real_memset(void* to, int v, std::size_t n);
void* __wrap_memcpy(void* to, const void* from, std::size_t n) {
  model::touch(from, n, false, PC);
  model::touch(to, n, true, PC);
  return __real_memcpy(to, from, n);
}
void* __wrap_memmove(void* to, const void* from, std::size_t n) {
  model::touch(from, n, false, PC);
  model::touch(to, n, true, PC);
  return __real_memmove(to, from, n);
}
void* __wrap_memset(void* to, int v, std::size_t n) {
  model::touch(to, n, true, PC);
  return __real_memset(to, v, n);
}

}  // extern "C"
