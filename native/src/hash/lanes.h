/* SPDX-License-Identifier: MIT */
/*
 * lanes.h: the eight lanes of XXH3's long inputs
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   Nearly all the time of a long input goes into two steps, which every lane takes by
 *   itself.  A processor that has vectors of two lanes does them at twice the speed;
 *   the steps are written once for it and once plainly.
 *
 * Model      lanes[8], lanes_take() a stripe of 64 bytes, lanes_scramble() each block.
 * Invariants
 *   I1  Both forms give the same lanes, always.
 *
 * Ordering   none
 * Progress   wait-free
 * Threads    any
 * Errors     none
 * Limits     HASH_PLAIN chooses the plain form, for tests.
 * Source     The xxHash specification, "XXH3 Algorithm (for input size > 240 bytes)".
 * Tests      tests/hash/{validate_vectors,validate_plain}.c
 */
#ifndef FASTER_HASH_LANES_H
#define FASTER_HASH_LANES_H

#include "hash/hash.h"

enum { LANES = 8 };

#if defined(__SSE2__) && !defined(HASH_PLAIN)
#include <emmintrin.h>

struct lanes {
    __m128i pair[LANES / 2];
};

FASTER_INLINE __m128i lanes_load(const void *bytes) {
    return _mm_loadu_si128((const __m128i *)bytes);
}

/* Both words of a pair change places. */
FASTER_INLINE __m128i lanes_swap(__m128i pair) {
    return _mm_shuffle_epi32(pair, _MM_SHUFFLE(1, 0, 3, 2));
}

/* The upper halves of both words, where the products look for them. */
FASTER_INLINE __m128i lanes_upper(__m128i pair) { return _mm_srli_epi64(pair, 32); }

FASTER_INLINE void lanes_begin(struct lanes *lanes, const uint64_t words[LANES]) {
    for (unsigned i = 0; i < LANES / 2; i++) {
        lanes->pair[i] = lanes_load(words + 2 * i);
    }
}

FASTER_INLINE void lanes_end(const struct lanes *lanes, uint64_t words[LANES]) {
    for (unsigned i = 0; i < LANES / 2; i++) {
        _mm_storeu_si128((__m128i *)(void *)(words + 2 * i), lanes->pair[i]);
    }
}

/* Add one stripe.  Each lane also gets its neighbour's plain word, so that a product
 * with zero loses nothing. */
FASTER_INLINE void lanes_take(struct lanes *lanes, const uint8_t *data,
                              const uint8_t *secret) {
    for (unsigned i = 0; i < LANES / 2; i++) {
        __m128i words = lanes_load(data + 16 * i);
        __m128i keyed = _mm_xor_si128(words, lanes_load(secret + 16 * i));
        __m128i product = _mm_mul_epu32(keyed, lanes_upper(keyed));
        __m128i sum = _mm_add_epi64(lanes->pair[i], lanes_swap(words));
        lanes->pair[i] = _mm_add_epi64(sum, product);
    }
}

FASTER_INLINE void lanes_scramble(struct lanes *lanes, const uint8_t *secret) {
    const __m128i prime = _mm_set1_epi64x((long long)HASH_PRIME32_1);
    for (unsigned i = 0; i < LANES / 2; i++) {
        __m128i pair = lanes->pair[i];
        pair = _mm_xor_si128(pair, _mm_srli_epi64(pair, 47));
        pair = _mm_xor_si128(pair, lanes_load(secret + 16 * i));
        __m128i upper = _mm_mul_epu32(lanes_upper(pair), prime);
        lanes->pair[i] =
            _mm_add_epi64(_mm_mul_epu32(pair, prime), _mm_slli_epi64(upper, 32));
    }
}

#else

struct lanes {
    uint64_t word[LANES];
};

FASTER_INLINE void lanes_begin(struct lanes *lanes, const uint64_t words[LANES]) {
    for (unsigned i = 0; i < LANES; i++) {
        lanes->word[i] = words[i];
    }
}

FASTER_INLINE void lanes_end(const struct lanes *lanes, uint64_t words[LANES]) {
    for (unsigned i = 0; i < LANES; i++) {
        words[i] = lanes->word[i];
    }
}

/* As above.  Without restrict the lanes, which bytes may alias, would go through memory
 * at each step: half the speed. */
FASTER_INLINE void lanes_take(struct lanes *restrict lanes,
                              const uint8_t *restrict data,
                              const uint8_t *restrict secret) {
    for (unsigned i = 0; i < LANES; i++) {
        uint64_t word = word_load64(data + 8 * i);
        uint64_t keyed = word ^ word_load64(secret + 8 * i);
        lanes->word[i ^ 1] += word;
        lanes->word[i] += (keyed & UINT32_MAX) * (keyed >> 32);
    }
}

FASTER_INLINE void lanes_scramble(struct lanes *lanes, const uint8_t *secret) {
    for (unsigned i = 0; i < LANES; i++) {
        uint64_t lane = lanes->word[i];
        lane ^= lane >> 47;
        lane ^= word_load64(secret + 8 * i);
        lanes->word[i] = lane * HASH_PRIME32_1;
    }
}

#endif
#endif
