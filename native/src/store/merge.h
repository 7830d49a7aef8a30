/* SPDX-License-Identifier: MIT */
/*
 * merge.h: what read-modify-write makes of an old value and an input
 *
 * Level 5.  Includes: base, record.
 *
 * Purpose
 *   Merges by name run inside the core, under the record's lock, without a call into
 *   the user's language.  Here is their arithmetic, and nothing about records.
 *
 * Model
 *   Numbers are at most 8 bytes and little-endian in memory; they are merged as words.
 *   Other merges work on bytes in a private buffer.
 *
 * Invariants none
 * Ordering   none: private memory only
 * Progress   bounded, but for native merges, which promise it (api.h)
 * Threads    any
 * Errors     FASTER_E_MERGE, FASTER_E_OVERFLOW
 * Limits     none
 * Source     none
 * Tests      tests/store/validate_merge.c
 */
#ifndef FASTER_STORE_MERGE_H
#define FASTER_STORE_MERGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "faster/api.h"

/* Bytes of a number type; 0 for what is not a number. */
uint32_t merge_type_size(enum faster_type type);

/* Whether a named merge applies to values of a type; `sized` when all of them have
 * value_size bytes. */
bool merge_applies(uint32_t kind, enum faster_type type, bool sized,
                   uint32_t value_size);

/* Whether a merge is arithmetic on words, and merge_words applies. */
static inline bool merge_is_arithmetic(uint32_t kind) {
    return kind >= FASTER_MERGE_ADD && kind <= FASTER_MERGE_BIT_AND;
}

/* Merge two numbers; *merged is written on FASTER_OK. */
int merge_words_slow(enum faster_type type, uint32_t kind, uint64_t old, uint64_t input,
                     uint64_t *merged);

FASTER_INLINE int merge_words(enum faster_type type, uint32_t kind, uint64_t old,
                              uint64_t input, uint64_t *merged) {
    if (faster_likely(kind == FASTER_MERGE_ADD)) {
        if (type == FASTER_TYPE_I64) {
            uint64_t sum = old + input;
            /* Overflow shows where both differ in sign from the sum. */
            if (faster_unlikely((((old ^ sum) & (input ^ sum)) >> 63) != 0)) {
                return FASTER_E_OVERFLOW;
            }
            *merged = sum;
            return FASTER_OK;
        }
        if (type == FASTER_TYPE_U64) {
            *merged = old + input;
            return *merged < old ? FASTER_E_OVERFLOW : FASTER_OK;
        }
    }
    return merge_words_slow(type, kind, old, input, merged);
}

/* Whether put_newest keeps the old value: its leading u64 is not below the input's. */
static inline bool merge_keeps_newest(const uint8_t *old, const uint8_t *input) {
    uint64_t have;
    uint64_t offered;
    memcpy(&have, old, 8);
    memcpy(&offered, input, 8);
    return have >= offered;
}

#endif
