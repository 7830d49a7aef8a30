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
 *   padding), seeded by store, generation, address and info.  A generation is one life
 *   of the store, from a recovery to the next: what an earlier life left beyond the
 *   addresses that were recovered never passes for a record of this one.  `sealed` is
 *   left out of info: it means nothing on a device and may be set after the record was
 *   written.  checksum and seq are left out, too.
 *
 *   A filler of at least a prefix has the checksum of its info alone.
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

/* The seed of a store's records of one generation. */
static inline uint64_t record_seed(uint64_t store_id, uint64_t generation) {
    return hash_xxh3_avalanche(store_id ^ hash_xxh3_avalanche(generation));
}

/* `extent` is record_extent; `seed` that of the address. */
static inline uint32_t record_checksum(struct record *record, uint64_t extent,
                                       uint64_t address, uint64_t seed) {
    uint64_t info = record_info(record) & ~INFO_SEALED;
    uint64_t place = hash_xxh3_avalanche(seed ^ hash_xxh3_avalanche(address));
    const uint8_t *rest = (const uint8_t *)record + sizeof *record;
    return (uint32_t)hash_xxh3(rest, extent - sizeof *record,
                               hash_xxh3_avalanche(place ^ info));
}

/* A filler that has room for it carries one, too: who walks over a page must not be led
 * past records by a length that is wrong.  One without room ends with a sector. */
enum { FILLER_SUMMED = sizeof(struct record), FILLER_END = 512 };

static inline uint32_t filler_checksum(struct record *record, uint64_t address,
                                       uint64_t seed) {
    return record_checksum(record, sizeof *record, address, seed);
}

/* Whether `info` can be a filler's, `room` bytes before the page's end. */
static inline bool filler_fits(uint64_t info, uint64_t address, uint64_t room) {
    uint64_t gap = info_prev(info);
    bool plain = (info & ~INFO_PREV_MASK) == (INFO_WRITTEN | INFO_FILLER);
    bool ends = gap >= FILLER_SUMMED || (address + gap) % FILLER_END == 0;
    return plain && gap != 0 && gap % 8 == 0 && gap <= room && ends;
}

/* The same of one that came back from a device. */
static inline bool filler_is_whole(struct record *record, uint64_t address,
                                   uint64_t room, uint64_t seed) {
    uint64_t info = record_info(record);
    return filler_fits(info, address, room) &&
           (info_prev(info) < FILLER_SUMMED ||
            record->checksum == filler_checksum(record, address, seed));
}

#endif
