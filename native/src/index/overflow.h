/* SPDX-License-Identifier: MIT */
/*
 * overflow.h: where the buckets beyond the table live
 *
 * Level 2.  Includes: base, index/bucket.
 *
 * Purpose
 *   A full bucket leads to one more.  These come from a pool that belongs to the table,
 *   so that a table's end ends them all and nothing is freed one by one.
 *
 * Model
 *   Buckets are numbered from 1.  Part j of the pool holds POOL_FIRST << j buckets, so
 *   40 parts hold more than an address can name and no part ever moves.
 *
 * Invariants
 *   I1  A number is given out once in the pool's life.
 *   I2  A bucket given out is zero.
 *
 * Ordering
 *   M1  A part's pointer is published by CAS (release) and loaded acquire: its buckets
 *       are seen zeroed.
 *
 * Progress   lock-free; a new part is an allocation, made without waiting
 * Threads    any
 * Errors     0 (no number) when the budget or the system has no more
 * Limits     POOL_PARTS
 * Source     none
 * Tests      tests/index/validate_overflow.c
 */
#ifndef FASTER_INDEX_OVERFLOW_H
#define FASTER_INDEX_OVERFLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "index/bucket.h"

enum { POOL_PARTS = 40, POOL_FIRST = 64 };

struct overflow_pool {
    struct budget *budget;
    _Atomic uint64_t next; /* numbers given out */
    _Atomic uint64_t bytes;
    _Atomic bool exhausted; /* a hint: it was not the budget that refused last */
    _Atomic(struct index_bucket *) parts[POOL_PARTS];
};

void overflow_init(struct overflow_pool *pool, struct budget *budget);
void overflow_destroy(struct overflow_pool *pool);

/* Bytes that must be free for overflow_take to succeed, when it has just refused. */
uint64_t overflow_next_bytes(struct overflow_pool *pool);

/* A new bucket's number, or 0.  `forced` ignores the budget: a split must end. */
uint64_t overflow_take(struct overflow_pool *pool, bool forced);

/* Whether it refuses because there is no memory, or no number: then nobody can make
 * room. */
static inline bool overflow_is_exhausted(struct overflow_pool *pool) {
    /* relaxed: a hint; who is refused may try again */
    return atomic_load_explicit(&pool->exhausted, memory_order_relaxed);
}

static inline uint64_t overflow_count(struct overflow_pool *pool) {
    /* relaxed: a figure */
    return atomic_load_explicit(&pool->next, memory_order_relaxed);
}

static inline uint64_t overflow_bytes(struct overflow_pool *pool) {
    /* relaxed: a figure */
    return atomic_load_explicit(&pool->bytes, memory_order_relaxed);
}

FASTER_INLINE struct index_bucket *overflow_bucket(struct overflow_pool *pool,
                                                   uint64_t number) {
    uint64_t slot = number - 1 + POOL_FIRST;
    uint32_t part = bit_highest(slot) - bit_highest(POOL_FIRST);
    struct index_bucket *first =
        atomic_load_explicit(&pool->parts[part], memory_order_acquire); /* M1 */
    return &first[slot - ((uint64_t)POOL_FIRST << part)];
}

#endif
