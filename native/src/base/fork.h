/* SPDX-License-Identifier: MIT */
/*
 * fork.h: knowing that this process is a copy
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   After fork() the child holds handles whose worker thread, sessions and files belong
 *   to the parent (P4).  Every handle remembers the generation it was made in; the
 *   child has a later one, and each call compares.
 *
 * Model      One counter, raised in the child by a fork handler.
 * Invariants
 *   I1  The generation only grows, and only in a forked child, before fork() returns.
 * Ordering   Relaxed: it changes only while the child has a single thread.
 * Progress   wait-free
 * Threads    any
 * Errors     -errno from fork_watch
 * Limits     none
 * Source     none
 * Tests      tests/store/validate_misuse.c
 */
#ifndef FASTER_BASE_FORK_H
#define FASTER_BASE_FORK_H

#include <stdatomic.h>
#include <stdint.h>

/* The only global word of the core. */
extern _Atomic uint32_t fork_generation_word;

/* Start counting, once per process; later calls do nothing. */
int fork_watch(void);

static inline uint32_t fork_generation(void) {
    /* relaxed: I1 */
    return atomic_load_explicit(&fork_generation_word, memory_order_relaxed);
}

#endif
