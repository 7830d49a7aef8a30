/* SPDX-License-Identifier: MIT */
/*
 * copy_delta.h: the records that have changed since an older checkpoint (C6)
 *
 * Level 6.  Includes: cpr, epoch, store.
 *
 * Purpose
 *   An incremental checkpoint has the pages above its base's end, as a snapshot would.
 *   Below it the base has the bytes, except for what the device has meanwhile and for
 *   the records that were changed in place since: these are copied one by one.
 *
 * Model
 *   The records of [from, until) whose version is newer than the base's become a stream
 *   of part DELTA, in the order of their addresses.  `from` is flushed_until: below it
 *   the log is right.  A record that `from` cuts is copied whole.
 *   Versions have 8 bits in a record (C12).  One that is some steps ahead of the
 *   base's, but not ahead of the checkpoint's own, is newer.  A record that was last
 *   written so long ago that its bits have come round may pass for newer: its copy is
 *   right all the same, and only takes room.
 *
 * Invariants
 *   I1  Every record that differs from what the base recovers to is in the stream.
 *
 * Ordering   as copy_record.h
 * Progress   COPY_STEP bytes are looked at under one entry; the slot is idle when
 *            `next` returns.
 * Threads    one at a time; the slot is the caller's own
 * Errors     FASTER_RETRY when a page left memory before it was looked at: the stream
 *            is void, and a new one begins at flushed_until as it is then.
 *            FASTER_SHORT when the buffer has no room for a record, -EINVAL when it is
 *            not 8-byte aligned, FASTER_E_CLOSED.
 * Limits     a base at most DELTA_AGE_MAX versions older; capacity as copy_pages.h
 * Source     Prasaad et al., SIGMOD 2019, section 5, on incremental checkpoints
 * Tests      tests/cpr/validate_copy_delta.c
 */
#ifndef FASTER_CPR_COPY_DELTA_H
#define FASTER_CPR_COPY_DELTA_H

#include "cpr/stream.h"
#include "store/store.h"

enum { DELTA_AGE_MAX = 127 };

struct copy_delta {
    struct stream stream;
    struct faster_kv *kv;
    uint64_t from;
    uint64_t until;
    uint32_t base_version; /* what is not newer is as the base has it */
    uint32_t age;          /* the most that a version can be newer */
    uint64_t position;     /* looked at below */
};

/* Copy what of [from, until) changed between the base's version and `version`; the log,
 * which has a device, is trusted below, and `until` is the base's end.  FASTER_OK, or
 * -EINVAL when the base is not 1 ... DELTA_AGE_MAX versions older. */
int copy_delta_begin(struct copy_delta *copier, struct faster_kv *kv, uint64_t from,
                     uint64_t until, uint32_t base_version, uint32_t version,
                     uint64_t seed);

/* Fill the buffer with whole blocks.  FASTER_OK; *size 0 after the last. */
int copy_delta_next(struct copy_delta *copier, struct epoch_slot *slot, void *buffer,
                    uint64_t capacity, uint64_t *size);

#endif
