/* SPDX-License-Identifier: MIT */
/*
 * copy_record.h: a record of memory, as a device would hold it
 *
 * Level 6.  Includes: base, log, record, store.
 *
 * Purpose
 *   A checkpoint copies records out of pages that sessions go on working in.  What the
 *   two copiers of pages and of changed records share is here: how to walk a page, and
 *   how to copy what stands there.
 *
 * Model
 *   A page is pieces without gaps: records, fillers, and the rest behind its written
 *   part.  A copy is made word by word from one load of each, gets its checksum, and
 *   forgets what means nothing outside memory (R5: seq, sealed).
 *
 * Invariants
 *   I1  info is loaded once for a piece: what it says of the record's version decides
 *       how the rest is copied, and is what the copy says.
 *   I2  Of a record that may be changed meanwhile only the words that never change are
 *       copied: info, lengths as they were at one moment, and the key.
 *
 * Ordering
 *   Words are loaded acquire, as others store them release (record.h M2).  All that was
 *   written when a piece was reserved is seen: the caller has waited for everyone who
 *   was inside then (hlog.h I2), and whoever changes a value that is copied has left
 *   before the copying began (C4).
 *
 * Progress   one pass over the piece
 * Threads    any, inside an epoch, at or above head
 * Errors     none
 * Limits     none
 * Source     none
 * Tests      tests/cpr/{validate_copy_pages,validate_copy_delta,torture_copy}.c
 */
#ifndef FASTER_CPR_COPY_RECORD_H
#define FASTER_CPR_COPY_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* Bytes that are looked at under one entry (E5): a tenth of a millisecond. */
enum { COPY_STEP = 256 << 10 };

/* What begins at an address. */
struct log_piece {
    uint64_t address;
    uint64_t extent;
    uint64_t info; /* 0 behind the page's written part, and before the first record */
    bool is_record;
};

enum copy_as {
    COPY_WHOLE, /* as it is */
    COPY_VOID   /* as an invalid record without a value */
};

struct log_piece piece_at(struct faster_kv *kv, uint64_t address);

/* Write a piece's extent to `out`, which is 8-byte aligned. */
void copy_piece(struct faster_kv *kv, const struct log_piece *piece, enum copy_as as,
                uint8_t *out);

/* Where a walk to `address` has to begin: a page begins with a record. */
static inline uint64_t walk_start(const struct hlog *log, uint64_t address) {
    return address & ~(log->page_size - 1);
}

/* Whether what begins at a walk's address is still in memory. */
static inline bool is_in_memory(struct hlog *log, uint64_t address) {
    return (address > ADDRESS_FIRST ? address : ADDRESS_FIRST) >= hlog_head(log);
}

#endif
