/* SPDX-License-Identifier: MIT */
/*
 * copy_index.h: the index, copied while it is used (C11)
 *
 * Level 6.  Includes: cpr, epoch, index, store.
 *
 * Purpose
 *   With a copy of the index a recovery need not read the whole log to find what is
 *   where: it takes the copy and replays only what was appended since.
 *
 * Model
 *   start := tail, then everyone leaves who was inside, then the copy: a stream of part
 *   INDEX, first the table's buckets in order, then the entries of overflow buckets.
 *   Operations go on.  An entry that is copied late may name a record at or above
 *   start, which the replay finds as well; an entry that is missed, because it came
 *   late, names only such records.  Entries do not move and are not freed meanwhile.
 *
 * Invariants
 *   I1  Every entry that was final when the copying began is in the stream once, with
 *       an address of the log that its chain led to then or later.
 *   I2  No word in the stream is tentative, frozen, or names a copy of the cache.
 *
 * Ordering
 *   Entries are loaded acquire (bucket.h M1).  Those whose owners entered before start
 *   was taken are seen final, since these have left (epoch.h M2).
 *
 * Progress   COPY_INDEX_STEP buckets under one entry; the slot is idle when `next`
 *            returns
 * Threads    one at a time; the slot is the caller's own
 * Errors     FASTER_SHORT when the buffer has no room for the smallest block, -EINVAL
 *            when it is not 8-byte aligned, FASTER_E_CLOSED
 * Limits     capacity at least COPY_INDEX_ROOM
 * Source     Prasaad et al., SIGMOD 2019, section 5 (fuzzy index checkpoint)
 * Tests      tests/cpr/{validate_copy_index,torture_copy}.c
 */
#ifndef FASTER_CPR_COPY_INDEX_H
#define FASTER_CPR_COPY_INDEX_H

#include "cpr/stream.h"
#include "store/store.h"

enum {
    COPY_INDEX_ROOM = 256,
    COPY_INDEX_STEP = 1024,       /* 64 KiB of buckets: microseconds */
    COPY_INDEX_BUCKETS = 1 << 14, /* in one block: 1 MiB */
    COPY_INDEX_PAIRS = 1 << 16    /* in one block: 1 MiB */
};

enum copy_index_stage { COPY_OPENING, COPY_MAIN, COPY_OVERFLOW, COPY_DONE };

struct copy_index {
    struct stream stream;
    struct faster_kv *kv;
    struct index_table *table; /* only inside the slot: a close frees it */
    uint64_t bits;             /* of the table */
    uint64_t mask;             /* likewise */
    uint64_t start;
    enum copy_index_stage stage;
    uint64_t bucket;  /* the next one, in either stage */
    uint64_t link;    /* the overflow bucket of it to go on with; 0: its first */
    uint64_t entries; /* copied */
};

/* The growth of the index is held until the copy has ended (index_hold_growth).  start
 * was the tail, and everyone who was inside then has left.  Inside the slot.
 * FASTER_OK. */
int copy_index_begin(struct copy_index *copier, struct faster_kv *kv, uint64_t start,
                     uint64_t seed);

/* Fill the buffer with whole blocks.  FASTER_OK; *size 0 after the last. */
int copy_index_next(struct copy_index *copier, struct epoch_slot *slot, void *buffer,
                    uint64_t capacity, uint64_t *size);

#endif
