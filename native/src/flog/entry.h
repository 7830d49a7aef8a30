/* SPDX-License-Identifier: MIT */
/*
 * entry.h: writing an entry, and finding out whether one is whole
 *
 * Level 5.  Includes: base, format, hash.
 *
 * Purpose
 *   A log's bytes come back damaged, old, or from another place.  An entry's checksum
 *   is seeded by its log, its address and its header, which holds the generation, so
 *   that none of these passes for an entry.
 *
 * Model
 *   entry_parse looks at the bytes from one address on.  It never reads beyond the room
 *   that it is given: where an entry may go on there, it says how much it needs.
 *
 * Invariants
 *   I1  What entry_parse accepts lies within its page and its life.
 *   I2  Its extent is positive, so whoever goes from one entry to the next comes to an
 *       end.
 *
 * Ordering   none: the bytes are private, or do not change any more
 * Progress   one pass over the payload
 * Threads    any
 * Errors     FASTER_SHORT, FASTER_E_CORRUPT
 * Limits     none
 * Source     none
 * Tests      tests/flog/{validate_append,validate_scan}.c, fuzz/fuzz_flog.c
 */
#ifndef FASTER_FLOG_ENTRY_H
#define FASTER_FLOG_ENTRY_H

#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"
#include "base/word.h"
#include "faster/flog.h"
#include "format/entry_format.h"
#include "hash/hash.h"

struct entry_rules {
    uint64_t seed; /* entry_life_seed */
    uint64_t page_size;
    uint64_t generation; /* that it must have */
    uint64_t until;      /* the life's; 0: it goes on */
};

struct entry_place {
    uint64_t extent; /* how far the next entry is; of a short one: what it needs */
    uint64_t length; /* of the payload */
    uint32_t kind;
};

/* Of all entries that one life of a log has written.  All of the generation is in it;
 * the header has room for 16 bits. */
static inline uint64_t entry_life_seed(uint64_t log_id, uint64_t generation) {
    return hash_xxh3_avalanche(log_id ^ hash_xxh3_avalanche(generation));
}

FASTER_INLINE uint64_t entry_seed(uint64_t life_seed, uint64_t address, uint64_t word) {
    return hash_xxh3_avalanche(life_seed ^ word ^ address * HASH_PRIME64_1);
}

/* Put header, payload and padding in place; `summed` are the payload's bytes that its
 * checksum is taken of. */
FASTER_INLINE void entry_put_summed(uint8_t *place, uint64_t seed, uint64_t word,
                                    const void *data, uint64_t size,
                                    const void *summed) {
    struct entry_header header = {word, 0};
    if (size % 8 != 0) {
        memset(place + entry_extent(size) - 8, 0, 8);
    }
    if (size != 0) {
        memcpy(place + sizeof header, data, size);
    }
    header.checksum = hash_xxh3(summed, size, seed);
    memcpy(place, &header, sizeof header);
}

/* Write an entry's bytes; `data` does not change meanwhile. */
FASTER_INLINE void entry_put(uint8_t *place, uint64_t life_seed, uint64_t address,
                             uint64_t word, const void *data, uint64_t size) {
    entry_put_summed(place, entry_seed(life_seed, address, word), word, data, size,
                     data);
}

/* The same of bytes that may change: the entry may hold some of each, but is whole.
 * It takes longer, for the processor has to wait for its own copy. */
FASTER_INLINE void entry_put_copy(uint8_t *place, uint64_t life_seed, uint64_t address,
                                  uint64_t word, const void *data, uint64_t size) {
    entry_put_summed(place, entry_seed(life_seed, address, word), word, data, size,
                     place + sizeof(struct entry_header));
}

/* Write a filler of `gap` bytes, at least 8: all of them. */
void entry_fill(uint8_t *place, uint64_t life_seed, uint64_t address, uint64_t gap,
                uint64_t generation);

/*
 * Look at what begins at `address`, of which `room` bytes are at hand, at most to the
 * end of its page.
 * Outcomes: FASTER_OK; FASTER_SHORT: place->extent bytes are needed.
 * Errors: FASTER_E_CORRUPT with *damage.
 */
int entry_parse(const struct entry_rules *rules, const uint8_t *data, uint64_t address,
                uint64_t room, struct entry_place *place,
                struct faster_flog_damage *damage);

#endif
