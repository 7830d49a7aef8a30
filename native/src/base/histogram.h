/* SPDX-License-Identifier: MIT */
/*
 * histogram.h: how long things took, to the power of two
 *
 * Level 0.  Includes: bits.
 *
 * Purpose
 *   A mean hides what hurts, and keeping every duration costs more than what is timed.
 *   64 counters, one for each power of two of nanoseconds, hold everything from a cache
 *   hit to an hour in half a kilobyte, and two of them are added by adding.
 *
 * Model
 *   counts[i] has the durations with 2^i <= ns < 2^(i+1); counts[0] also those of 0.
 *   total is their sum, for the mean.
 *
 * Invariants
 *   I1  Counters never go back.
 *   I2  counts[i] * 2^i, summed over i > 0, is at most the sum of what was counted.
 * Ordering   Relaxed throughout: figures, guarding nothing.  Who reads while others add
 *            may find a duration in one of counts and total, and not in the other.
 * Progress   wait-free where fetch-and-add is
 * Threads    any
 * Errors     none
 * Limits     none: the sum runs over after 584 years of durations
 * Source     none
 * Tests      tests/base/validate_histogram.c
 */
#ifndef FASTER_BASE_HISTOGRAM_H
#define FASTER_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bits.h"

enum { HISTOGRAM_BUCKETS = 64 };

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
    _Atomic uint64_t total;
};

/* Which counter a duration belongs to. */
static inline uint32_t histogram_bucket(uint64_t ns) { return bit_highest(ns | 1); }

/* Memory that is zero is an empty histogram, too. */
static inline void histogram_init(struct histogram *histogram) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        atomic_init(&histogram->counts[i], 0);
    }
    atomic_init(&histogram->total, 0);
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns) {
    /* relaxed, both: see Ordering */
    (void)atomic_fetch_add_explicit(&histogram->counts[histogram_bucket(ns)], 1,
                                    memory_order_relaxed);
    /* relaxed: as above */
    (void)atomic_fetch_add_explicit(&histogram->total, ns, memory_order_relaxed);
}

/* Add what is in it to `counts` and *total. */
static inline void histogram_read(struct histogram *histogram, uint64_t *counts,
                                  uint64_t *total) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        /* relaxed: see Ordering */
        counts[i] += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
    }
    /* relaxed: as above */
    *total += atomic_load_explicit(&histogram->total, memory_order_relaxed);
}

#endif
