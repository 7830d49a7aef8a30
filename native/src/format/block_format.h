/* SPDX-License-Identifier: MIT */
/*
 * block_format.h: the files of a checkpoint, byte by byte
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   What a checkpoint keeps outside the log is one stream for each part (enum
 *   faster_part).  A stream is the whole file, and it is cut in blocks that are
 *   verified one by one, so that neither side holds more of it than it likes.
 *
 * Model
 *   All words are little-endian.  A stream is blocks, numbered from 0, without gaps:
 *
 *      byte  0       4      6        8        16      20      24     32
 *           +-------+------+--------+--------+-------+-------+------+-----------+
 *           | magic | part | format | number | bytes | flags | hash | payload...|
 *           +-------+------+--------+--------+-------+-------+------+-----------+
 *
 *      magic   "FBLK"
 *      bytes   of payload: a multiple of 8
 *      flags   bit 0: the stream ends here; the others are zero
 *      hash    XXH3-64 of the payload, seeded with the XXH3-64 of the header's first 24
 *              bytes, which is seeded with the stream's seed
 *
 *   The seed is the checkpoint's, 64 random bits that the manifest keeps, so that a
 *   block of another checkpoint, part or place fails like a damaged one.  The block
 *   that ends a stream has no payload; no other block is without one.
 *
 *   Payload of part INDEX, block 0 (struct index_opening): start, bits, buckets.  The
 *   others begin with a type and a count (struct index_run):
 *
 *      byte  0      4       8              16
 *           +------+-------+--------------+---------------------------------+
 *           | 1    | count | first bucket | count * (7 entries and a zero)  |
 *           +------+-------+--------------+---------------------------------+
 *           | 2    | count | zero         | count * (bucket, entry)         |
 *           +------+-------+--------------+---------------------------------+
 *
 *   Runs of type 1 give every bucket of the table once, in order; those of type 2
 *   follow and give the entries of overflow buckets, of any number for one bucket, in
 *   the order of the buckets.  Entries are as index_format.h draws them, neither
 *   tentative nor frozen, with a log's address; 0 is a free place.
 *
 *   Payload of part PAGES (struct pages_opening): address, length, then the log's bytes
 *   at [address, address + length), which lie in one page.  Each block goes on where
 *   the last one ended; a record may be cut by that.  The first one begins at
 *   the manifest's log_until, the last one ends at its `final`.
 *
 *   Payload of part DELTA: records of the log, each behind its place (struct
 *   delta_opening): address, extent, then `extent` bytes.  Addresses grow, over blocks
 *   too; records do not overlap.
 *
 * Invariants
 *   I1  No block is zero, and no two blocks of a checkpoint have the same header.
 *   I2  Records and fillers in PAGES and DELTA carry the checksum of their address;
 *       records have seq 0 and are not sealed.
 * Ordering   none: bytes of their owner
 * Progress   pure data
 * Threads    any
 * Errors     none
 * Limits     BLOCK_PAYLOAD_MAX bytes of payload: a page of the largest kind and its
 *            opening.  Blocks of stores with pages below BLOCK_PAYLOAD_USUAL have at
 *            most that.
 * Source     none
 * Tests      tests/cpr/validate_stream.c
 */
#ifndef FASTER_FORMAT_BLOCK_FORMAT_H
#define FASTER_FORMAT_BLOCK_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_MAGIC UINT32_C(0x4b4c4246) /* "FBLK" */

enum { BLOCK_FORMAT = 1, BLOCK_HEADER = 32, BLOCK_HASHED = 24, BLOCK_LAST = 1 };

#define BLOCK_PAYLOAD_USUAL ((uint64_t)16 << 20)
#define BLOCK_PAYLOAD_MAX (((uint64_t)1 << 30) + 64)

struct block_header {
    uint32_t magic;
    uint16_t part;
    uint16_t format;
    uint64_t number;
    uint32_t bytes;
    uint32_t flags;
    uint64_t hash;
};

static_assert(sizeof(struct block_header) == BLOCK_HEADER, "32 bytes of header");
static_assert(offsetof(struct block_header, magic) == 0, "magic comes first");
static_assert(offsetof(struct block_header, part) == 4, "then the part");
static_assert(offsetof(struct block_header, format) == 6, "then the format");
static_assert(offsetof(struct block_header, number) == 8, "then the number");
static_assert(offsetof(struct block_header, bytes) == 16, "then bytes of payload");
static_assert(offsetof(struct block_header, flags) == 20, "then flags");
static_assert(offsetof(struct block_header, hash) == BLOCK_HASHED, "the hash is last");

/* The first payload of an index's copy. */
struct index_opening {
    uint64_t start; /* the tail when the copy began: later records are replayed */
    uint64_t bits;
    uint64_t buckets; /* 2^bits */
};

static_assert(sizeof(struct index_opening) == 24, "three words");
static_assert(offsetof(struct index_opening, start) == 0, "start comes first");
static_assert(offsetof(struct index_opening, bits) == 8, "then bits");
static_assert(offsetof(struct index_opening, buckets) == 16, "then buckets");

enum { INDEX_RUN_MAIN = 1, INDEX_RUN_OVERFLOW = 2 };

struct index_run {
    uint32_t type;
    uint32_t count;
    uint64_t first; /* bucket; 0 in a run of overflow entries */
};

static_assert(sizeof(struct index_run) == 16, "two words");
static_assert(offsetof(struct index_run, type) == 0, "type comes first");
static_assert(offsetof(struct index_run, count) == 4, "then the count");
static_assert(offsetof(struct index_run, first) == 8, "then the first bucket");

/* Bytes that one bucket, or one overflow entry, takes in a run. */
enum { INDEX_RUN_BUCKET = 64, INDEX_RUN_PAIR = 16 };

struct pages_opening {
    uint64_t address;
    uint64_t length;
};

static_assert(sizeof(struct pages_opening) == 16, "two words");
static_assert(offsetof(struct pages_opening, address) == 0, "address comes first");
static_assert(offsetof(struct pages_opening, length) == 8, "then the length");

struct delta_opening {
    uint64_t address;
    uint64_t extent;
};

static_assert(sizeof(struct delta_opening) == 16, "two words");
static_assert(offsetof(struct delta_opening, address) == 0, "address comes first");
static_assert(offsetof(struct delta_opening, extent) == 8, "then the extent");

#endif
