/* SPDX-License-Identifier: MIT */
/*
 * condition.h: sleeping until something guarded by a lock has changed
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   A wakeup (thread.h) counts posts and has no deadline.  Whoever waits for a device
 *   needs both a predicate and an end: a device that never answers must not hang its
 *   caller.
 *
 * Model
 *   A condition belongs to a lock.  wait leaves the lock, sleeps, and has entered it
 *   again when it returns; it may return early, so callers ask their predicate again
 *   and count the time by clock_ms().
 *
 * Invariants
 *   I1  A wake that follows a wait in the order of the lock ends that wait.
 *
 * Ordering   That of the lock.
 * Progress   wait blocks, at most for its time; wake never waits.
 * Threads    any
 * Errors     -errno from condition_init
 * Limits     none
 * Source     none
 * Tests      tests/base/validate_condition.c
 */
#ifndef FASTER_BASE_CONDITION_H
#define FASTER_BASE_CONDITION_H

#include <stdbool.h>

#include "base/thread.h"

#if defined(_WIN32)
struct condition {
    CONDITION_VARIABLE word;
};
#else
struct condition {
    pthread_cond_t word;
};
#endif

int condition_init(struct condition *condition);
void condition_destroy(struct condition *condition);

/* Sleep until woken or the time is over.  Inside the lock, before and after. */
void condition_wait(struct condition *condition, struct lock *lock,
                    uint32_t timeout_ms);

/* The same, once, up to a moment of clock_ms(); false when that has passed. */
static inline bool condition_wait_until(struct condition *condition, struct lock *lock,
                                        uint64_t deadline_ms) {
    uint64_t now = clock_ms();
    if (now >= deadline_ms) {
        return false;
    }
    uint64_t left = deadline_ms - now;
    condition_wait(condition, lock, left < INT32_MAX ? (uint32_t)left : INT32_MAX);
    return true;
}

/* End every wait that has begun.  Inside the lock. */
void condition_wake(struct condition *condition);

#endif
