/* SPDX-License-Identifier: MIT */
/*
 * budget.h: one figure of bytes that whatever grows with the data shares
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   The user sets one number for the memory of a store: log, index, read cache, and
 *   what operations on their way to the device hold.  Whoever wants memory asks here
 *   first; what is refused has not been taken.  What is short-lived and must be had is
 *   counted without asking (budget_force), so that the others make room for it.
 *
 * Model      used, limit (UINT64_MAX when there is none), and wanted: what somebody was
 *            refused, for whoever can give memory back.
 * Invariants
 *   I1  used never exceeds limit, but for what was forced (budget_force).
 * Ordering   Relaxed throughout: the counter guards an amount, not data.
 * Progress   lock-free
 * Threads    any
 * Errors     budget_take gives false
 * Limits     none
 * Source     none
 * Tests      tests/base/validate_budget.c
 */
#ifndef FASTER_BASE_BUDGET_H
#define FASTER_BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "faster/status.h"

struct budget {
    uint64_t limit; /* set once */
    _Atomic uint64_t used;
    _Atomic uint64_t wanted;
    _Atomic int refusal; /* a status: why nobody can give anything back; 0 */

    /* Told that something is wanted; NULL when nobody can give memory back.  Set
     * once. */
    void (*yield)(void *context);
    void *context;
};

static inline void budget_init(struct budget *budget, uint64_t limit) {
    budget->limit = limit != 0 ? limit : UINT64_MAX;
    atomic_init(&budget->used, 0);
    atomic_init(&budget->wanted, 0);
    atomic_init(&budget->refusal, FASTER_OK);
    budget->yield = NULL;
    budget->context = NULL;
}

static inline uint64_t budget_used(struct budget *budget) {
    /* relaxed: a figure, see Ordering */
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}

static inline bool budget_take(struct budget *budget, uint64_t bytes) {
    uint64_t used = budget_used(budget);
    do {
        if (used > budget->limit || bytes > budget->limit - used) {
            return false;
        }
        /* relaxed: an amount, see Ordering */
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + bytes,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* Take without asking: for the few bytes without which work under way cannot end. */
static inline void budget_force(struct budget *budget, uint64_t bytes) {
    /* relaxed: an amount, see Ordering */
    (void)atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed);
}

/* What was refused is needed.  FASTER_RETRY when somebody may give it back, else why
 * not. */
static inline int budget_want(struct budget *budget, uint64_t bytes) {
    /* relaxed: an amount, see Ordering */
    atomic_store_explicit(&budget->wanted, bytes, memory_order_relaxed);
    if (budget->yield == NULL) {
        return FASTER_E_FULL;
    }
    budget->yield(budget->context);
    /* relaxed: a hint; who is told no may ask again */
    int refusal = atomic_load_explicit(&budget->refusal, memory_order_relaxed);
    return refusal != FASTER_OK ? refusal : FASTER_RETRY;
}

/* Whoever wanted something has it. */
static inline void budget_sated(struct budget *budget) {
    /* relaxed: an amount, see Ordering */
    atomic_store_explicit(&budget->wanted, 0, memory_order_relaxed);
}

/* Bytes by which use and wishes together exceed the limit. */
static inline uint64_t budget_excess(struct budget *budget) {
    /* relaxed: amounts, see Ordering */
    uint64_t wanted = atomic_load_explicit(&budget->wanted, memory_order_relaxed);
    uint64_t sum = budget_used(budget) + wanted;
    return sum > budget->limit ? sum - budget->limit : 0;
}

/* Bytes that neither use nor wishes lay claim to. */
static inline uint64_t budget_left(struct budget *budget) {
    /* relaxed: amounts, see Ordering */
    uint64_t wanted = atomic_load_explicit(&budget->wanted, memory_order_relaxed);
    uint64_t sum = budget_used(budget) + wanted;
    return sum < budget->limit ? budget->limit - sum : 0;
}

static inline void budget_give(struct budget *budget, uint64_t bytes) {
    /* relaxed: an amount, see Ordering */
    (void)atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
}

#endif
