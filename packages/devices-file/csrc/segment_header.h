/* SPDX-License-Identifier: MIT */
/*
 * segment_header.h: the block in front of a segment's bytes
 *
 * Purpose
 *   A file that was swapped, copied from another store, cut or damaged must be found
 *   when it is opened.  So each segment says in its first block what it is.
 *
 * Model
 *   The block has 4096 bytes, so that the bytes behind it are aligned for direct
 *   transfers.  All numbers are little-endian.
 *
 *       0   8   magic: "PYFSEG", carriage return, line feed
 *       8   4   format version: 1
 *       12  4   size of this block: 4096
 *       16  8   store id
 *       24  8   base address: the log's offset of the first byte behind the block
 *       32  8   segment size: bytes of the log that the file holds at most
 *       40  8   generation of the store when the file was made
 *       48      zero
 *       4092 4  CRC-32C (Castagnoli, as in iSCSI) of the 4092 bytes before
 *
 *   The checksum is a CRC and not the core's XXH3 so that the device needs nothing of
 *   the core; it is computed here from a table of sixteen entries.
 *
 * Invariants
 *   I1  segment_header_read accepts only blocks that segment_header_write could have
 *       written; an all-zero block is none.
 * Ordering   none
 * Progress   wait-free
 * Threads    any
 * Errors     -EILSEQ, with the difference in struct segments_problem
 * Limits     none
 * Source     none
 * Tests      tests/test_layout.py
 */
#ifndef FASTER_FILE_SEGMENT_HEADER_H
#define FASTER_FILE_SEGMENT_HEADER_H

#include <stdbool.h>
#include <stdint.h>

enum { SEGMENT_HEADER_SIZE = 4096, SEGMENT_FORMAT_VERSION = 1 };

/* What a segment says of itself. */
struct segment_label {
    uint64_t store_id;
    uint64_t base;
    uint64_t segment_size;
    uint64_t generation;
};

/* What kept a directory from being opened. */
enum segments_problem_kind {
    SEGMENTS_FINE = 0,
    SEGMENTS_NOT_PLAIN = 1,      /* a name of ours is no regular file, or a link */
    SEGMENTS_CUT = 2,            /* the file is shorter than it was made */
    SEGMENTS_MAGIC = 3,          /* it is no segment */
    SEGMENTS_VERSION = 4,        /* of another format */
    SEGMENTS_CHECKSUM = 5,       /* the header is damaged */
    SEGMENTS_STORE = 6,          /* of another store */
    SEGMENTS_SIZE = 7,           /* made with another segment size */
    SEGMENTS_BASE = 8,           /* it is another segment than its name says */
    SEGMENTS_TOO_MANY = 9,       /* more files, or farther apart, than are kept open */
    SEGMENTS_NO_DIRECT = 10,     /* the file system has no direct transfers */
    SEGMENTS_WIDE_ALIGNMENT = 11 /* direct transfers need more than 4096 */
};

struct segments_problem {
    uint32_t kind; /* enum segments_problem_kind */
    uint32_t reserved;
    uint64_t base; /* the file: its name's base address */
    uint64_t found;
    uint64_t expected;
};

/* The CRC-32C of some bytes. */
uint32_t crc32c(const uint8_t *bytes, uint64_t length);

/* Fill a block of SEGMENT_HEADER_SIZE bytes. */
void segment_header_write(uint8_t *block, const struct segment_label *label);

/* Read a block.  Returns 0, or -EILSEQ and what is wrong: `kind`, `found`, `expected`;
 * SEGMENTS_STORE, SIZE and BASE are the caller's to find. */
int segment_header_read(const uint8_t *block, struct segment_label *label,
                        struct segments_problem *problem);

/* Whether a block begins as any segment does, damaged or not. */
bool segment_header_is_ours(const uint8_t *block);

#endif
