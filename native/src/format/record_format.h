/* SPDX-License-Identifier: MIT */
/*
 * record_format.h: a record's words, as memory and every device hold them
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   One place says where each bit of a record is.  The same bytes are worked on in
 *   memory and written to a device, so nothing here may depend on the build.
 *
 * Model
 *   A record starts at a multiple of 8 and never crosses a page:
 *
 *      byte  0        8          12    16                      (fixed layout)
 *           +--------+----------+-----+--------------+-------------------+
 *           | info   | checksum | seq | key, padded  | value, padded     |
 *           +--------+----------+-----+--------------+-------------------+
 *           | info   | checksum | seq | lengths | key, padded | value ...|
 *           +--------+----------+-----+---------+-------------+----------+
 *      byte  0        8          12    16        24              (varlen layout)
 *
 *      info     63..61  60      59       58      57       56         55..48   47..0
 *               zero    filler  written  sealed  invalid  tombstone  version  prev
 *      lengths  63..48 slack in 8-byte words   47..32 key size   31..0 value size
 *
 *   Padding is to 8 bytes.  A header of zero ends the written part of a page.
 *
 * Invariants
 *   I1  `written` is set in every live header, so no live header is zero.
 *   I2  prev is below the record's own address.
 * Ordering   see record.h
 * Progress   pure functions
 * Threads    any
 * Errors     none
 * Limits     RECORD_KEY_MAX, RECORD_SLACK_MAX
 * Source     Chandramouli et al., SIGMOD 2018, section 5 (the record header)
 * Tests      tests/record/validate_record.c
 */
#ifndef FASTER_FORMAT_RECORD_FORMAT_H
#define FASTER_FORMAT_RECORD_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INFO_PREV_SHIFT = 0,
    INFO_PREV_BITS = 48,
    INFO_VERSION_SHIFT = 48,
    INFO_VERSION_BITS = 8,
    INFO_TOMBSTONE_SHIFT = 56,
    INFO_INVALID_SHIFT = 57,
    INFO_SEALED_SHIFT = 58,
    INFO_WRITTEN_SHIFT = 59,
    INFO_FILLER_SHIFT = 60,
    INFO_FLAG_BITS = 5,
    INFO_RESERVED_BITS = 3
};

static_assert(INFO_PREV_BITS + INFO_VERSION_BITS + INFO_FLAG_BITS +
                      INFO_RESERVED_BITS ==
                  64,
              "the widths of info add to a word");

#define INFO_PREV_MASK (((uint64_t)1 << INFO_PREV_BITS) - 1)
#define INFO_VERSION_MASK                                                              \
    ((((uint64_t)1 << INFO_VERSION_BITS) - 1) << INFO_VERSION_SHIFT)
#define INFO_TOMBSTONE ((uint64_t)1 << INFO_TOMBSTONE_SHIFT)
#define INFO_INVALID ((uint64_t)1 << INFO_INVALID_SHIFT)
#define INFO_SEALED ((uint64_t)1 << INFO_SEALED_SHIFT)
#define INFO_WRITTEN ((uint64_t)1 << INFO_WRITTEN_SHIFT)
#define INFO_FILLER ((uint64_t)1 << INFO_FILLER_SHIFT)

static inline uint64_t info_make(uint64_t prev, uint32_t version, uint64_t flags) {
    return (prev & INFO_PREV_MASK) |
           (((uint64_t)version << INFO_VERSION_SHIFT) & INFO_VERSION_MASK) |
           INFO_WRITTEN | flags;
}

static inline uint64_t info_prev(uint64_t info) { return info & INFO_PREV_MASK; }

static inline uint32_t info_version(uint64_t info) {
    return (uint32_t)((info & INFO_VERSION_MASK) >> INFO_VERSION_SHIFT);
}

static inline uint64_t info_with_version(uint64_t info, uint32_t version) {
    return (info & ~INFO_VERSION_MASK) |
           (((uint64_t)version << INFO_VERSION_SHIFT) & INFO_VERSION_MASK);
}

enum {
    LENGTHS_VALUE_SHIFT = 0,
    LENGTHS_VALUE_BITS = 32,
    LENGTHS_KEY_SHIFT = 32,
    LENGTHS_KEY_BITS = 16,
    LENGTHS_SLACK_SHIFT = 48,
    LENGTHS_SLACK_BITS = 16
};

static_assert(LENGTHS_VALUE_BITS + LENGTHS_KEY_BITS + LENGTHS_SLACK_BITS == 64,
              "the widths of lengths add to a word");

/* The largest key the 16 bits can say, and the most spare words a record can carry. */
enum { RECORD_KEY_MAX = 65535, RECORD_SLACK_MAX = 65535 };

static inline uint64_t lengths_make(uint64_t value_size, uint64_t key_size,
                                    uint64_t slack_words) {
    return (value_size & 0xffffffffu) | ((key_size & 0xffffu) << LENGTHS_KEY_SHIFT) |
           ((slack_words & 0xffffu) << LENGTHS_SLACK_SHIFT);
}

static inline uint64_t lengths_value(uint64_t lengths) { return lengths & 0xffffffffu; }

static inline uint64_t lengths_key(uint64_t lengths) {
    return (lengths >> LENGTHS_KEY_SHIFT) & 0xffffu;
}

static inline uint64_t lengths_slack(uint64_t lengths) {
    return (lengths >> LENGTHS_SLACK_SHIFT) & 0xffffu;
}

/* What a device holds; in memory the words that change are read through record.h. */
struct record_prefix {
    uint64_t info;
    uint32_t checksum;
    uint32_t seq;
};

static_assert(sizeof(struct record_prefix) == 16, "a record's prefix is 16 bytes");
static_assert(offsetof(struct record_prefix, info) == 0, "info comes first");
static_assert(offsetof(struct record_prefix, checksum) == 8, "then the checksum");
static_assert(offsetof(struct record_prefix, seq) == 12, "then seq");
static_assert(_Alignof(struct record_prefix) == 8, "records are 8-byte aligned");

enum { RECORD_FIXED_HEADER = 16, RECORD_VARLEN_HEADER = 24 };

#endif
