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
 *            refused, for whoever can give memory back.  He answers with a refusal when
 *            there is nothing to give.
 * Invariants
 *   I1  used never grows beyond limit, but for what was forced (budget_force).  The
 *       limit itself may be lowered below it; then everything is refused.
 *   I2  A refusal answers a wish that was there when he began to look, and no smaller
 *       one: asks counts the times that the first wish came up.
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
    _Atomic uint64_t limit;
    _Atomic uint64_t used;
    _Atomic uint64_t wanted;
    _Atomic uint64_t asks;
    _Atomic uint64_t refusal; /* I2: asks, a status and the size, see budget_refuse */

    /* Told that something is wanted; NULL when nobody can give memory back.  Set
     * once. */
    void (*yield)(void *context);
    void *context;
};

static inline void budget_init(struct budget *budget, uint64_t limit) {
    atomic_init(&budget->limit, limit != 0 ? limit : UINT64_MAX);
    atomic_init(&budget->used, 0);
    atomic_init(&budget->wanted, 0);
    atomic_init(&budget->asks, 0);
    atomic_init(&budget->refusal, 0);
    budget->yield = NULL;
    budget->context = NULL;
}

/* Allow other than before; 0 means no limit. */
static inline void budget_allow(struct budget *budget, uint64_t limit) {
    /* relaxed: an amount, see Ordering */
    atomic_store_explicit(&budget->limit, limit != 0 ? limit : UINT64_MAX,
                          memory_order_relaxed);
}

static inline uint64_t budget_limit(struct budget *budget) {
    /* relaxed: an amount, see Ordering */
    return atomic_load_explicit(&budget->limit, memory_order_relaxed);
}

static inline uint64_t budget_used(struct budget *budget) {
    /* relaxed: a figure, see Ordering */
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}

static inline bool budget_take(struct budget *budget, uint64_t bytes) {
    uint64_t used = budget_used(budget);
    uint64_t limit = budget_limit(budget);
    do {
        if (used > limit || bytes > limit - used) {
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

/* Whoever wanted something has it, or gives up. */
static inline void budget_sated(struct budget *budget) {
    /* relaxed: an amount, see Ordering */
    atomic_store_explicit(&budget->wanted, 0, memory_order_relaxed);
}

/* A wish as whoever gives memory back finds it before he looks what he has. */
struct budget_wish {
    uint64_t asks;
    uint64_t bytes;
};

static inline struct budget_wish budget_wish(struct budget *budget) {
    struct budget_wish wish;
    /* relaxed, both: an answer that does not fit is none, and he is asked again */
    wish.asks = atomic_load_explicit(&budget->asks, memory_order_relaxed);
    /* relaxed: as above */
    wish.bytes = atomic_load_explicit(&budget->wanted, memory_order_relaxed);
    return wish;
}

/* A size in a refusal; what does not fit is more than anybody has. */
static inline uint64_t budget_refused_size(uint64_t bytes) {
    uint64_t size = bytes / 64 + (bytes % 64 != 0);
    return size < UINT32_MAX ? size : UINT32_MAX;
}

/* Answer a wish: nothing will be given back, and why; FASTER_OK: it may be. */
static inline void budget_refuse(struct budget *budget, const struct budget_wish *wish,
                                 int status) {
    uint64_t refusal = wish->asks << 48 | (uint64_t)(uint16_t)-status << 32 |
                       budget_refused_size(wish->bytes);
    /* relaxed: a hint; who is told no may ask again */
    atomic_store_explicit(&budget->refusal, status != FASTER_OK ? refusal : 0,
                          memory_order_relaxed);
}

/* What was refused is needed.  FASTER_RETRY when somebody may give it back, else why
 * not; the wish is then forgotten. */
static inline int budget_want(struct budget *budget, uint64_t bytes) {
    /* relaxed, all: see budget_wish; a wish that is lost comes up again */
    if (atomic_exchange_explicit(&budget->wanted, bytes, memory_order_relaxed) == 0) {
        /* relaxed: as above */
        (void)atomic_fetch_add_explicit(&budget->asks, 1, memory_order_relaxed);
    }
    if (budget->yield == NULL) {
        return FASTER_E_FULL;
    }
    budget->yield(budget->context);
    /* relaxed: as above */
    uint64_t refusal = atomic_load_explicit(&budget->refusal, memory_order_relaxed);
    /* relaxed: as above */
    uint64_t asks = atomic_load_explicit(&budget->asks, memory_order_relaxed);
    if (refusal == 0 || refusal >> 48 != (uint16_t)asks ||
        (uint32_t)refusal > budget_refused_size(bytes)) {
        return FASTER_RETRY;
    }
    budget_sated(budget);
    return -(int)(uint16_t)(refusal >> 32);
}

/* Bytes by which use and wishes together exceed the limit. */
static inline uint64_t budget_excess(struct budget *budget) {
    /* relaxed: amounts, see Ordering */
    uint64_t wanted = atomic_load_explicit(&budget->wanted, memory_order_relaxed);
    uint64_t sum = budget_used(budget) + wanted;
    uint64_t limit = budget_limit(budget);
    return sum > limit ? sum - limit : 0;
}

/* Bytes that neither use nor wishes lay claim to. */
static inline uint64_t budget_left(struct budget *budget) {
    /* relaxed: amounts, see Ordering */
    uint64_t wanted = atomic_load_explicit(&budget->wanted, memory_order_relaxed);
    uint64_t sum = budget_used(budget) + wanted;
    uint64_t limit = budget_limit(budget);
    return sum < limit ? limit - sum : 0;
}

static inline void budget_give(struct budget *budget, uint64_t bytes) {
    /* relaxed: an amount, see Ordering */
    (void)atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
}

#endif
