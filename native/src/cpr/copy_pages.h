/* SPDX-License-Identifier: MIT */
/*
 * copy_pages.h: the end of the log, copied while it is used (C6)
 *
 * Level 6.  Includes: cpr, epoch, store.
 *
 * Purpose
 *   A snapshot has the log's bytes from where the device has them to the checkpoint's
 *   end.  They are copied out of memory page by page, while sessions of the next
 *   version go on; memory stays as mutable as it was.
 *
 * Model
 *   [from, until) becomes a stream of part PAGES, one block for each page's part.  A
 *   record of the next version (at or above fuzzy_start, with that version's low bits)
 *   is copied as an invalid one: key and extent stay, so that chains and walks go on
 *   over it.  Everything else is as the flusher would write it.
 *   `from` may cut a record, since a sector may: its first part is in the log then, so
 *   nobody changes it any more, and the rest is copied as it is, of whatever version.
 *
 * Invariants
 *   I1  The bytes of all blocks are [from, until) without a gap.
 *   I2  No value of the next version is copied, nor is its absence (a tombstone) ever
 *       valid.
 *
 * Ordering   as copy_record.h
 * Progress   A page is copied in steps of COPY_STEP bytes, each under an entry of its
 *            own; the slot is idle between steps and when `next` returns.
 * Threads    one at a time; the slot is the caller's own
 * Errors     FASTER_RETRY when a page left memory before it was copied: the stream is
 *            void, and a new one begins at flushed_until as it is then.  FASTER_SHORT
 *            when the buffer has no room for a page, -EINVAL when it is not 8-byte
 *            aligned, FASTER_E_CLOSED.
 * Limits     capacity: a page and COPY_PAGES_ROOM
 * Source     Prasaad et al., SIGMOD 2019, section 5 (snapshot)
 * Tests      tests/cpr/{validate_copy_pages,torture_copy}.c
 */
#ifndef FASTER_CPR_COPY_PAGES_H
#define FASTER_CPR_COPY_PAGES_H

#include "cpr/stream.h"
#include "store/store.h"

enum { COPY_PAGES_ROOM = 256 };

struct copy_pages {
    struct stream stream;
    struct faster_kv *kv;
    uint64_t from;
    uint64_t until;
    uint64_t fuzzy_start;
    uint32_t next_version; /* low bits of what is left out */
    uint64_t position;     /* copied below */
};

/* Copy version `version` of [from, until); the log, which has a device, is trusted
 * below.  Everyone who could reserve or change there as a session of that version has
 * left.  FASTER_OK. */
int copy_pages_begin(struct copy_pages *copier, struct faster_kv *kv, uint64_t from,
                     uint64_t until, uint64_t fuzzy_start, uint32_t version,
                     uint64_t seed);

/* Fill the buffer with whole blocks.  FASTER_OK; *size 0 after the last. */
int copy_pages_next(struct copy_pages *copier, struct epoch_slot *slot, void *buffer,
                    uint64_t capacity, uint64_t *size);

#endif
