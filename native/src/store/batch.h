/* SPDX-License-Identifier: MIT */
/*
 * batch.h: many operations as one software pipeline
 *
 * Level 5.  Includes: pending, store, update.
 *
 * Purpose
 *   A single lookup waits for two cache misses, one after the other: the bucket and the
 *   record.  In a batch the misses of different items overlap: while a group of items
 *   is finished, the records of the next group and the buckets of the one after are on
 *   their way.
 *
 * Model
 *   Items are done in blocks of BATCH_BLOCK, each under one entry of the session.  In a
 *   block every item passes three stages, in item order:
 *
 *      hash     hash the key, prefetch its bucket
 *      find     match the bucket, prefetch the record
 *      finish   do the operation
 *
 *   The first two only look.  A read counts only if the entry is still what find saw; a
 *   word is changed in place under its lock; any other update looks up again (R3).
 *   An item that finish cannot end (FASTER_RETRY) ends the block; it is then done like
 *   a single operation, and the next block begins behind it.  An item that needs the
 *   device (FASTER_PENDING) ends the pipeline: batch_window.c goes on, with many reads
 *   in flight, until items are found in memory again.
 *
 * Invariants
 *   I1  No address found in one block is used in another (E5).
 *   I2  *done counts the items whose effect and result are complete; serials follow.
 *
 * Ordering   as record.h and index.h; a prefetch orders nothing
 * Progress   A block is bounded; between blocks the batch may wait for others.
 * Threads    inside the session
 * Errors     as api.h
 * Limits     none
 * Source     Chen et al., ICDE 2004, and Kocberber et al., VLDB 2015, on prefetching
 *            groups of independent lookups
 * Tests      tests/store/{validate_batch,validate_batch_disk,torture_batch}.c
 */
#ifndef FASTER_STORE_BATCH_H
#define FASTER_STORE_BATCH_H

#include "store/pending.h"

enum {
    BATCH_BLOCK = 256, /* E5 */
    BATCH_GROUP = 16,  /* outstanding first-level misses of today's cores */
    BATCH_LANES = 64   /* a power of two, at least three groups */
};

static_assert(BATCH_LANES >= 3 * BATCH_GROUP, "an item keeps its lane to the end");

struct batch {
    enum update_kind kind; /* for updates */
    bool reads;            /* a read batch */
    uint64_t count;
    const struct faster_items *keys;
    const struct faster_items
        *values; /* values or inputs; NULL for reads and deletes */
    const struct faster_results *results; /* NULL where none are wanted */
    const struct faster_merge *merge;
};

/* Item i of a column. */
FASTER_INLINE const uint8_t *item_at(const struct faster_items *items, uint64_t i) {
    return items->offsets != NULL ? items->data + items->offsets[i]
                                  : items->data + i * items->stride;
}

FASTER_INLINE uint64_t item_size(const struct faster_items *items, uint64_t i) {
    return items->offsets != NULL ? items->offsets[i + 1] - items->offsets[i]
                                  : items->size;
}

/* Say how item i ended in a batch's results. */
FASTER_INLINE void note_result(const struct faster_kv *kv,
                               const struct faster_results *results, uint64_t i,
                               uint64_t size, bool present) {
    if (results->flags != NULL) {
        results->flags[i] = present;
    }
    if (!kv->layout.fixed && results->offsets != NULL) {
        results->offsets[i + 1] = results->offsets[i] + (present ? size : 0);
    }
}

/* Room for a varlen result i. */
static inline uint64_t room_left(const struct faster_results *results, uint64_t i) {
    return results->offsets != NULL ? results->capacity - results->offsets[i] : 0;
}

/*
 * batch_window.c: do items from *done on of which some need the device.  Returns
 * FASTER_OK when all are done, or none has needed it for a while; else as batch_run.
 */
int batch_run_window(struct faster_session *session, const struct batch *batch,
                     uint64_t *done);

/* Do the items from *done on; see api.h. */
int batch_run(struct faster_session *session, const struct batch *batch,
              uint64_t *done);

#endif
