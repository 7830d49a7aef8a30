/* SPDX-License-Identifier: MIT */
/*
 * bucket.h: seven entries and a way on, in one cache line
 *
 * Level 2.  Includes: base, format.
 *
 * Purpose
 *   A lookup should cost one cache miss.  So a bucket is a cache line, and only a bucket
 *   that is full leads to another.
 *
 * Model
 *   entries[0..6] and an overflow word (format/index_format.h).  Matching looks at all
 *   seven words without branching on which one fits: a wrong guess of the branch
 *   predictor costs more than six comparisons.
 *
 * Invariants
 *   I1  At most one final entry of a tag in a chain of buckets.
 *   I2  A frozen word never changes again, unless the split that froze it is undone.
 *
 * Ordering
 *   M1  Entries are published by CAS (release at least) and loaded acquire: the record
 *       that an entry names is seen whole.
 *
 * Progress   wait-free
 * Threads    any, inside an epoch
 * Errors     none
 * Limits     none
 * Source     Chandramouli et al., SIGMOD 2018, section 3.1
 * Tests      tests/index/validate_find.c
 */
#ifndef FASTER_INDEX_BUCKET_H
#define FASTER_INDEX_BUCKET_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/compiler.h"
#include "format/index_format.h"

enum { BUCKET_ENTRIES = 7 };

struct index_bucket {
    _Atomic uint64_t entries[BUCKET_ENTRIES]; /* M1 */
    _Atomic uint64_t overflow;                /* bucket number, 0 for none */
};

static_assert(sizeof(struct index_bucket) == CACHE_LINE, "a bucket is a cache line");

/* What one look at a bucket showed. */
struct bucket_view {
    uint64_t words[BUCKET_ENTRIES];
    uint32_t matches; /* bit i: entry i is final and has the tag */
    uint32_t empty;   /* bit i: entry i is free */
    uint64_t any;     /* all words together, to see a frozen bit */
};

FASTER_INLINE void bucket_look(struct index_bucket *bucket, uint64_t tag,
                               struct bucket_view *view) {
    uint32_t matches = 0;
    uint32_t empty = 0;
    uint64_t any = 0;
    for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
        uint64_t word =
            atomic_load_explicit(&bucket->entries[i], memory_order_acquire); /* M1 */
        view->words[i] = word;
        any |= word;
        empty |= (uint32_t)(word == 0) << i;
        matches |= (uint32_t)((word & ~ENTRY_ADDRESS_MASK) == tag) << i;
    }
    view->empty = empty;
    view->matches = matches & ~empty;
    view->any = any;
}

#endif
