// Build configuration seen by the library and by every program that uses it.
#pragma once

#include <cstddef>

#if defined(SKEIN_MODEL)
// Instrumented as for a race detector, but it is tests/model/ that listens.
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SKEIN_SEES_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define SKEIN_SEES_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(SKEIN_MODEL)
#define SKEIN_SEES_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SKEIN_SEES_ASAN 1
#endif

#if !defined(__linux__)
#error "skein runs on Linux"
#endif
#if !defined(__x86_64__)
#error "skein has a register switch for x86-64 only; a new CPU starts in src/arch/"
#endif
#if !defined(__cpp_exceptions) || !defined(__cpp_rtti)
#error "skein needs exceptions and RTTI"
#endif

// One inline namespace per sanitizer setting: a program and a library that disagree do not link.
#if defined(SKEIN_MODEL)
#define SKEIN_ABI v1_model
#elif defined(SKEIN_TSAN)
#define SKEIN_ABI v1_tsan
#elif defined(SKEIN_TSAN_INTERNAL)
#define SKEIN_ABI v1_tsan_internal
#elif defined(SKEIN_SEES_TSAN)
#define SKEIN_ABI v1_tsan_without_a_matching_library
#elif defined(SKEIN_SEES_ASAN)
#define SKEIN_ABI v1_asan
#else
#define SKEIN_ABI v1
#endif

#define SKEIN_ALWAYS_INLINE [[gnu::always_inline]] inline
#define SKEIN_NOINLINE [[gnu::noinline]]
#define SKEIN_COLD [[gnu::cold, gnu::noinline]]
