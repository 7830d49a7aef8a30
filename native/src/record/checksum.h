/* SPDX-License-Identifier: MIT */
/*
 * checksum.h: whether a record came back from the device as it went
 *
 * Level 2.  Includes: base, format, hash, record.
 *
 * Purpose
 *   A device may give back damaged bytes, old ones, or those of another place.  Every
 *   record carries a checksum that only its own bytes at its own address in its own
 *   store fulfil, so each of these is found when the record is read.
 *
 * Model
 *   The low 32 bits of XXH3 over all that follows the prefix (lengths, key, value and
 *   padding), seeded by store, address and info.  `sealed` is left out of info: it
 *   means nothing on a device and may be set after the record was written.  checksum
 *   and seq are left out, too.
 *
 * Invariants
 *   I1  The checksum of a record below safe_read_only does not change (hlog.h I5).
 *
 * Ordering   none: the record is immutable, or private
 * Progress   one pass over the record
 * Threads    any
 * Errors     none
 * Limits     One damage in 2^32 passes.
 * Source     none
 * Tests      tests/record/validate_checksum.c
 */
#ifndef FASTER_RECORD_CHECKSUM_H
#define FASTER_RECORD_CHECKSUM_H

#include "hash/hash.h"
#include "record/record.h"

/* `extent` is record_extent; `seed` the store's. */
static inline uint32_t record_checksum(struct record *record, uint64_t extent,
                                       uint64_t address, uint64_t seed) {
    uint64_t info = record_info(record) & ~INFO_SEALED;
    uint64_t place = hash_xxh3_avalanche(seed ^ hash_xxh3_avalanche(address));
    const uint8_t *rest = (const uint8_t *)record + sizeof *record;
    return (uint32_t)hash_xxh3(rest, extent - sizeof *record,
                               hash_xxh3_avalanche(place ^ info));
}

#endif
