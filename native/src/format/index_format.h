/* SPDX-License-Identifier: MIT */
/*
 * index_format.h: an index entry's word
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   Index copies hold the same words as the index in memory, so their bits are fixed
 *   here once.
 *
 * Model
 *      63      62         61..48   47..0
 *      frozen  tentative  tag      address
 *
 *   A word of zero is a free place.  The bucket's eighth word is the overflow word: the
 *   number of the next bucket of the chain in its low 48 bits, and the same frozen bit.
 *   Bucket and tag come from disjoint bits of the key's hash: the low ones and the
 *   highest 14.
 *
 * Invariants
 *   I1  An entry that is not zero has an address that is not zero.
 *   I2  No tag is 0, so a free place has the tag of no entry.
 * Ordering   see index.h
 * Progress   pure functions
 * Threads    any
 * Errors     none
 * Limits     2^48 buckets
 * Source     Chandramouli et al., SIGMOD 2018, section 3.1
 * Tests      tests/index/validate_find.c
 */
#ifndef FASTER_FORMAT_INDEX_FORMAT_H
#define FASTER_FORMAT_INDEX_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    ENTRY_ADDRESS_SHIFT = 0,
    ENTRY_ADDRESS_BITS = 48,
    ENTRY_TAG_SHIFT = 48,
    ENTRY_TAG_BITS = 14,
    ENTRY_TENTATIVE_SHIFT = 62,
    ENTRY_FROZEN_SHIFT = 63
};

static_assert(ENTRY_ADDRESS_BITS + ENTRY_TAG_BITS + 2 == 64,
              "the widths of an entry add to a word");

#define ENTRY_ADDRESS_MASK (((uint64_t)1 << ENTRY_ADDRESS_BITS) - 1)
#define ENTRY_TENTATIVE ((uint64_t)1 << ENTRY_TENTATIVE_SHIFT)
#define ENTRY_FROZEN ((uint64_t)1 << ENTRY_FROZEN_SHIFT)

static inline uint64_t entry_address(uint64_t entry) {
    return entry & ENTRY_ADDRESS_MASK;
}

/* The tag in its place, as it stands in an entry.  I2: 0 becomes 1, which costs those
 * two tags a false match now and then and every lookup nothing. */
static inline uint64_t entry_tag_of_hash(uint64_t hash) {
    uint64_t tag = hash >> (64 - ENTRY_TAG_BITS);
    return (tag + (uint64_t)(tag == 0)) << ENTRY_TAG_SHIFT;
}

static inline uint64_t entry_make(uint64_t tag, uint64_t address) {
    return tag | address;
}

/* Whether a word is a final entry of this tag: neither tentative nor frozen. */
static inline bool entry_is(uint64_t entry, uint64_t tag) {
    return (entry & ~ENTRY_ADDRESS_MASK) == tag && (entry & ENTRY_ADDRESS_MASK) != 0;
}

#endif
