/* SPDX-License-Identifier: MIT */
/*
 * compiler.h: the only place where a compiler is asked for more than C11
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   Branch hints, prefetches and forced inlining have no spelling in C11.  They are
 *   named here once, with an empty meaning where a compiler has none, so that no other
 *   file knows which compiler it is.
 *
 * Model      Macros and inline functions without state.
 * Invariants none
 * Ordering   A prefetch orders nothing and may be dropped.
 * Progress   wait-free
 * Threads    any
 * Errors     none
 * Limits     none
 * Source     none
 * Tests      used by all
 */
#ifndef FASTER_BASE_COMPILER_H
#define FASTER_BASE_COMPILER_H

/* 64 on every machine we build for with a cache worth naming; Apple's 128 would only
 * cost a little sharing. */
enum { CACHE_LINE = 64 };

#if defined(__GNUC__) || defined(__clang__)
#define faster_likely(cond) __builtin_expect(!!(cond), 1)
#define faster_unlikely(cond) __builtin_expect(!!(cond), 0)
#define FASTER_INLINE static inline __attribute__((always_inline))
#define FASTER_NOINLINE __attribute__((noinline))
#define faster_prefetch(ptr) __builtin_prefetch((ptr), 0, 3)
#define faster_prefetch_write(ptr) __builtin_prefetch((ptr), 1, 3)
#else
#define faster_likely(cond) (cond)
#define faster_unlikely(cond) (cond)
#define FASTER_INLINE static inline
#define FASTER_NOINLINE
#define faster_prefetch(ptr) ((void)(ptr))
#define faster_prefetch_write(ptr) ((void)(ptr))
#endif

/* Tell the core that a loop only waits for another thread. */
static inline void cpu_relax(void) {
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
    __builtin_ia32_pause();
#elif (defined(__GNUC__) || defined(__clang__)) && defined(__aarch64__)
    __asm__("yield");
#endif
}

#endif
