/* SPDX-License-Identifier: MIT */
/*
 * address.h: where a record is, and where the next one goes
 *
 * Level 1.  Includes: none.
 *
 * Purpose
 *   An address is a byte offset into a log that never ends.  It names a record for the
 *   record's whole life, in memory and on the device, and it orders records: a record
 *   points only to lower addresses.
 *
 * Model
 *   48 bits; 0 means none; bit 47 marks a place in the read cache (cache.h), where
 *   copies of records are that the log has at an address of its own.  The tail is one
 *   word, so that a single addition reserves room and shows whether a page is over:
 *
 *      63..41  page (23 bits)      40..0  offset in the page
 *
 *   The offset has far more bits than a page, so that additions that find the page full
 *   do not run into the page's number.
 *
 * Invariants
 *   I1  The first record is at ADDRESS_FIRST, so no record has address 0.
 * Ordering   none here
 * Progress   pure functions
 * Threads    any
 * Errors     none
 * Limits     2^47 bytes of log; 2^23 pages
 * Source     Chandramouli et al., SIGMOD 2018, section 5
 * Tests      tests/log/validate_reserve.c
 */
#ifndef FASTER_ADDRESS_ADDRESS_H
#define FASTER_ADDRESS_ADDRESS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum { TAIL_OFFSET_BITS = 41, TAIL_PAGE_BITS = 23, ADDRESS_BITS = 47 };

static_assert(TAIL_OFFSET_BITS + TAIL_PAGE_BITS == 64, "page and offset fill the tail");

/* One cache line in: keeps 0 free, and 32-byte records aligned to their size. */
enum { ADDRESS_NONE = 0, ADDRESS_FIRST = 64 };

/* The mark of the read cache's addresses; those of a log end below it. */
#define ADDRESS_CACHE ((uint64_t)1 << ADDRESS_BITS)

static inline bool address_is_cached(uint64_t address) {
    return (address & ADDRESS_CACHE) != 0;
}

#define TAIL_OFFSET_MASK (((uint64_t)1 << TAIL_OFFSET_BITS) - 1)

static inline uint64_t tail_make(uint64_t page, uint64_t offset) {
    return page << TAIL_OFFSET_BITS | offset;
}

static inline uint64_t tail_page(uint64_t tail) { return tail >> TAIL_OFFSET_BITS; }

static inline uint64_t tail_offset(uint64_t tail) { return tail & TAIL_OFFSET_MASK; }

#endif
