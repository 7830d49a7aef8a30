/* SPDX-License-Identifier: MIT */
/*
 * entry_format.h: a durable log's entries and slots, byte by byte
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   What a durable log writes is read by later lives of it, by other processes and by
 *   other builds.  One place says where each byte is.
 *
 * Model
 *   All words are little-endian.  An entry begins at a multiple of 8 and never crosses
 *   a page; its address is its offset on the device:
 *
 *      byte  0        4      5       6            8          16
 *           +--------+------+-------+------------+----------+---------------------+
 *           | length | kind | flags | generation | checksum | payload, padded     |
 *           +--------+------+-------+------------+----------+---------------------+
 *
 *      length      of the payload; of a filler: of all of it, header included
 *      kind        1 data, 2 commit record, 3 filler
 *      flags       zero
 *      generation  the low 16 bits of that of the life which wrote it
 *      checksum    XXH3-64 of the payload (of a filler: of nothing), seeded with
 *                  mix(life ^ first word ^ address * 0x9e3779b185ebca87), where
 *                  life is mix(log ^ mix(generation)) with all 64 bits of it, and mix
 *                  is the end of XXH3 (hash_xxh3_avalanche)
 *
 *   Padding is zeros, to 8 bytes.  A filler closes what is left of a sector or a page;
 *   one of 8 bytes has no checksum, since its only word can have one value there.  A
 *   word of zero is no entry: nothing was written there.
 *
 *   A commit record's payload (struct commit_opening) is followed by its cookie and its
 *   attachment.  A slot (struct slot_opening) is followed by its lives (struct
 *   slot_life), its attachment, zeros to a multiple of 8, and the XXH3-64 of all that,
 *   seeded with SLOT_SEED.
 *
 * Invariants
 *   I1  No entry's first word is zero.
 *   I2  A filler of 8 bytes ends at a multiple of ENTRY_FILL_END.
 * Ordering   none: bytes of their owner
 * Progress   pure data
 * Threads    any
 * Errors     none
 * Limits     a page without 80 bytes of payload; a slot FASTER_FLOG_SLOT_MAX bytes
 * Source     none
 * Tests      tests/flog/{validate_append,validate_slots}.c
 */
#ifndef FASTER_FORMAT_ENTRY_FORMAT_H
#define FASTER_FORMAT_ENTRY_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENTRY_LENGTH_SHIFT = 0,
    ENTRY_LENGTH_BITS = 32,
    ENTRY_KIND_SHIFT = 32,
    ENTRY_KIND_BITS = 8,
    ENTRY_FLAGS_SHIFT = 40,
    ENTRY_FLAGS_BITS = 8,
    ENTRY_GENERATION_SHIFT = 48,
    ENTRY_GENERATION_BITS = 16
};

static_assert(ENTRY_LENGTH_BITS + ENTRY_KIND_BITS + ENTRY_FLAGS_BITS +
                      ENTRY_GENERATION_BITS ==
                  64,
              "the first word is full");

enum { ENTRY_DATA = 1, ENTRY_COMMIT = 2, ENTRY_FILLER = 3 };

/* What a sector is at least; a filler without a checksum has to end there. */
enum { ENTRY_FILL_END = 512, ENTRY_SHORT_FILLER = 8 };

struct entry_header {
    uint64_t word;
    uint64_t checksum;
};

static_assert(sizeof(struct entry_header) == 16, "two words");
static_assert(offsetof(struct entry_header, word) == 0, "the word comes first");
static_assert(offsetof(struct entry_header, checksum) == 8, "then the checksum");

static inline uint64_t entry_word(uint64_t length, uint64_t kind, uint64_t generation) {
    return length | kind << ENTRY_KIND_SHIFT |
           (generation & 0xffff) << ENTRY_GENERATION_SHIFT;
}

static inline uint64_t entry_length(uint64_t word) { return (uint32_t)word; }

static inline uint32_t entry_kind(uint64_t word) {
    return (uint32_t)(word >> ENTRY_KIND_SHIFT) & 0xff;
}

static inline uint32_t entry_flags(uint64_t word) {
    return (uint32_t)(word >> ENTRY_FLAGS_SHIFT) & 0xff;
}

static inline uint32_t entry_generation(uint64_t word) {
    return (uint32_t)(word >> ENTRY_GENERATION_SHIFT);
}

/* Bytes that an entry with so long a payload takes. */
static inline uint64_t entry_extent(uint64_t length) {
    return (sizeof(struct entry_header) + length + 7) & ~(uint64_t)7;
}

struct commit_opening {
    uint64_t number;
    uint64_t begin;   /* of the log */
    uint64_t until;   /* the end of the filler behind the record */
    uint64_t durable; /* what was durable when it was written */
    uint32_t cookie;  /* bytes */
    uint32_t attachment;
};

static_assert(sizeof(struct commit_opening) == 40, "five words");
static_assert(offsetof(struct commit_opening, number) == 0, "number comes first");
static_assert(offsetof(struct commit_opening, begin) == 8, "then begin");
static_assert(offsetof(struct commit_opening, until) == 16, "then until");
static_assert(offsetof(struct commit_opening, durable) == 24, "then durable");
static_assert(offsetof(struct commit_opening, cookie) == 32, "then cookie");
static_assert(offsetof(struct commit_opening, attachment) == 36, "then attachment");

#define SLOT_MAGIC UINT64_C(0x544f4c53474f4c46) /* "FLOGSLOT" */
#define SLOT_SEED SLOT_MAGIC

enum { SLOT_FORMAT = 1 };

struct slot_opening {
    uint64_t magic;
    uint32_t format;
    uint32_t bytes; /* of the slot, with its checksum */
    uint64_t sequence;
    uint64_t log_id;
    uint64_t page_size;
    uint64_t begin;
    uint64_t until;
    uint64_t number;
    uint32_t lives;
    uint32_t attachment; /* bytes */
};

static_assert(sizeof(struct slot_opening) == 72, "nine words");
static_assert(offsetof(struct slot_opening, magic) == 0, "magic comes first");
static_assert(offsetof(struct slot_opening, format) == 8, "then the format");
static_assert(offsetof(struct slot_opening, bytes) == 12, "then bytes");
static_assert(offsetof(struct slot_opening, sequence) == 16, "then the sequence");
static_assert(offsetof(struct slot_opening, log_id) == 24, "then the log's id");
static_assert(offsetof(struct slot_opening, page_size) == 32, "then the page size");
static_assert(offsetof(struct slot_opening, begin) == 40, "then begin");
static_assert(offsetof(struct slot_opening, until) == 48, "then until");
static_assert(offsetof(struct slot_opening, number) == 56, "then the number");
static_assert(offsetof(struct slot_opening, lives) == 64, "then how many lives");
static_assert(offsetof(struct slot_opening, attachment) == 68, "then attachment");

struct slot_life {
    uint64_t generation;
    uint64_t first;
    uint64_t until; /* 0: it goes on */
};

static_assert(sizeof(struct slot_life) == 24, "three words");
static_assert(offsetof(struct slot_life, generation) == 0, "generation comes first");
static_assert(offsetof(struct slot_life, first) == 8, "then first");
static_assert(offsetof(struct slot_life, until) == 16, "then until");

#endif
