/* SPDX-License-Identifier: MIT */
/*
 * word.h: words in bytes, and words too wide for C11
 *
 * Level 0.  Includes: compiler.
 *
 * Purpose
 *   Hashes and stored structs are defined over little-endian words at any address.
 *   Reading them with memcpy is legal at every alignment and is one instruction; the
 *   swap on big-endian machines stands here once.
 *
 * Model      Pure functions.
 * Invariants none
 * Ordering   Plain accesses: the bytes belong to the caller.
 * Progress   wait-free
 * Threads    any
 * Errors     none
 * Limits     word_rotate counts are 1 ... 63
 * Source     none
 * Tests      tests/base/validate_word.c
 */
#ifndef FASTER_BASE_WORD_H
#define FASTER_BASE_WORD_H

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif

/* Compilers know these as one instruction. */
FASTER_INLINE uint64_t word_rotate(uint64_t word, unsigned count) {
    return (word << count) | (word >> (64 - count));
}

FASTER_INLINE uint32_t word_swap32(uint32_t word) {
    return (word << 24) | ((word << 8) & 0x00ff0000u) | ((word >> 8) & 0x0000ff00u) |
           (word >> 24);
}

FASTER_INLINE uint64_t word_swap64(uint64_t word) {
    return ((uint64_t)word_swap32((uint32_t)word) << 32) |
           word_swap32((uint32_t)(word >> 32));
}

FASTER_INLINE uint32_t word_load32(const void *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = word_swap32(word);
#endif
    return word;
}

FASTER_INLINE uint64_t word_load64(const void *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = word_swap64(word);
#endif
    return word;
}

FASTER_INLINE void word_store64(void *bytes, uint64_t word) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = word_swap64(word);
#endif
    memcpy(bytes, &word, sizeof word);
}

/* The two halves of a 128-bit product, without a type for it. */
FASTER_INLINE uint64_t word_multiply_portable(uint64_t a, uint64_t b, uint64_t *high) {
    uint64_t a_low = (uint32_t)a, a_high = a >> 32;
    uint64_t b_low = (uint32_t)b, b_high = b >> 32;
    uint64_t low = a_low * b_low;
    /* Each sum is at most (2^32 - 1)^2 + 2 * (2^32 - 1), which is 2^64 - 1. */
    uint64_t middle = a_high * b_low + (low >> 32);
    uint64_t cross = a_low * b_high + (uint32_t)middle;
    *high = a_high * b_high + (middle >> 32) + (cross >> 32);
    return (cross << 32) | (uint32_t)low;
}

FASTER_INLINE uint64_t word_multiply(uint64_t a, uint64_t b, uint64_t *high) {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
#elif defined(_MSC_VER) && defined(_M_X64)
    return _umul128(a, b, high);
#else
    return word_multiply_portable(a, b, high);
#endif
}

#endif
