/* SPDX-License-Identifier: MIT */
/*
 * bits.h: arithmetic on sizes and words
 *
 * Level 0.  Includes: compiler.
 *
 * Purpose    Rounding, powers of two and bit counts, each with its limits checked once.
 * Model      Pure functions.
 * Invariants none
 * Ordering   none
 * Progress   wait-free
 * Threads    any
 * Errors     none; arguments are our own and within the stated ranges
 * Limits     align arguments are powers of two; log2 arguments are not 0; what is
 *            rounded up fits a word
 * Source     none
 * Tests      tests/base/validate_bits.c
 */
#ifndef FASTER_BASE_BITS_H
#define FASTER_BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

static inline uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline bool is_power_of_two(uint64_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

/* Position of the lowest set bit. */
static inline uint32_t bit_lowest(uint32_t value) {
#if defined(__GNUC__) || defined(__clang__)
    return (uint32_t)__builtin_ctz(value);
#else
    uint32_t position = 0;
    while (((value >> position) & 1u) == 0) {
        position++;
    }
    return position;
#endif
}

/* Position of the highest set bit. */
static inline uint32_t bit_highest(uint64_t value) {
#if defined(__GNUC__) || defined(__clang__)
    return 63u - (uint32_t)__builtin_clzll(value);
#else
    uint32_t position = 63;
    while (((value >> position) & 1u) == 0) {
        position--;
    }
    return position;
#endif
}

static inline uint64_t power_of_two_at_least(uint64_t value) {
    return value <= 1 ? 1 : (uint64_t)2 << bit_highest(value - 1);
}

#endif
