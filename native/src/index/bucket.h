/* SPDX-License-Identifier: MIT */
/*
 * bucket.h: seven entries and a way on, in one cache line
 *
 * Level 2.  Includes: base, format.
 *
 * Purpose
 *   A lookup should cost one cache miss.  So a bucket is a cache line, and only a
 *   bucket that is full leads to another.
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
#include <stdbool.h>
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

FASTER_INLINE uint64_t bucket_entry(struct index_bucket *bucket, uint32_t i) {
    return atomic_load_explicit(&bucket->entries[i], memory_order_acquire); /* M1 */
}

FASTER_INLINE uint64_t bucket_overflow(struct index_bucket *bucket) {
    return atomic_load_explicit(&bucket->overflow, memory_order_acquire); /* M1 */
}

/* The places whose words are final entries of the tag, as a bit each.  A free place
 * never is one: no tag is 0.  Written out, because compilers leave a loop of seven a
 * loop, which doubles the instructions of every lookup. */
FASTER_INLINE uint32_t bucket_match(struct index_bucket *bucket, uint64_t tag) {
    uint64_t wanted = tag >> ENTRY_TAG_SHIFT;
#define MATCH(i)                                                                       \
    ((uint32_t)(bucket_entry(bucket, i) >> ENTRY_TAG_SHIFT == wanted) << (i))
    return MATCH(0) | MATCH(1) | MATCH(2) | MATCH(3) | MATCH(4) | MATCH(5) | MATCH(6);
#undef MATCH
}

static_assert(BUCKET_ENTRIES == 7, "bucket_match looks at seven words");

/* What a bucket without a match offers. */
struct bucket_room {
    uint32_t empty;    /* bit i: place i is free */
    bool again;        /* a word is frozen, or has the tag: the match missed it */
    uint64_t overflow; /* the next bucket's number, 0 for none */
};

/* The match looked before.  An entry that was frozen then and is not any more (a split
 * that was undone) has the tag now, and must not be taken for absent. */
FASTER_INLINE struct bucket_room bucket_room(struct index_bucket *bucket,
                                             uint64_t tag) {
    uint64_t overflow = bucket_overflow(bucket);
    struct bucket_room room = {0, false, overflow};
    uint64_t any = overflow;
    for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
        uint64_t word = bucket_entry(bucket, i);
        any |= word;
        room.empty |= (uint32_t)(word == 0) << i;
        room.again |= (word & ~ENTRY_ADDRESS_MASK) == tag;
    }
    room.again |= (any & ENTRY_FROZEN) != 0;
    return room;
}

#endif
