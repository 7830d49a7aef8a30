/* SPDX-License-Identifier: MIT */
/*
 * hash.h: from bytes to 64 well-mixed bits
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   The index takes a key's bucket and its tag from disjoint bits of one hash, and
 *   everything stored carries a checksum.  Both want the same thing: a fast function
 *   with a public definition, so that a file written here can be checked by anyone.
 *   XXH3 (64 bits) is that function; XXH64 is offered for stores that must agree with
 *   systems that know only it.
 *
 * Model
 *   Pure functions of (bytes, size, seed).  XXH3 is five functions, chosen by size:
 *
 *       0            a constant, mixed
 *       1 ...   3    all bytes in one word, mixed
 *       4 ...   8    two overlapping 4-byte words in one 8-byte word, mixed
 *       9 ...  16    two overlapping 8-byte words, one 64 x 64 -> 128 multiplication
 *      17 ... 240    such multiplications over 16-byte pieces, some overlapping
 *     241 ...        eight lanes over 64-byte stripes; no dependence between lanes
 *
 *   Keys of 4 to 16 bytes are what stores hold, and hashing is the first thing each
 *   operation waits for.  So these sizes are inline here, where a constant seed and
 *   a constant size leave half a dozen instructions.
 *
 * Invariants
 *   I1  The result depends on the bytes, the size and the seed, and on nothing else:
 *       not on alignment, byte order, compiler or processor.  It is stored in files.
 *   I2  hash_xxh3_key(key, size) == hash_xxh3(key, size, 0), for every size.
 *   I3  No byte outside data[0 .. size) is read; with size 0, data may be NULL.
 *
 * Ordering   none; the bytes must not change meanwhile
 * Progress   wait-free
 * Threads    any
 * Errors     none
 * Limits     Not a defence against chosen keys: the secret is public.  Who takes keys
 *            from strangers gives a secret seed.
 * Source     The xxHash specification, "XXH64 Algorithm" and "XXH3 Algorithm".
 * Tests      tests/hash/{validate_vectors,validate_plain}.c, fuzz/fuzz_hash.c
 */
#ifndef FASTER_HASH_HASH_H
#define FASTER_HASH_HASH_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/word.h"
#include "faster/api.h"

/* The specification's constants. */
#define HASH_PRIME32_1 UINT64_C(0x9e3779b1)
#define HASH_PRIME32_2 UINT64_C(0x85ebca77)
#define HASH_PRIME32_3 UINT64_C(0xc2b2ae3d)
#define HASH_PRIME64_1 UINT64_C(0x9e3779b185ebca87)
#define HASH_PRIME64_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define HASH_PRIME64_3 UINT64_C(0x165667b19e3779f9)
#define HASH_PRIME64_4 UINT64_C(0x85ebca77c2b2ae63)
#define HASH_PRIME64_5 UINT64_C(0x27d4eb2f165667c5)
#define HASH_MIX_1 UINT64_C(0x165667919e3779f9)
#define HASH_MIX_2 UINT64_C(0x9fb21c651e98df25)

/* Exclusive-or of two neighbouring words of the secret, each: what short inputs are
 * masked with.  validate_vectors derives them from the secret again. */
#define HASH_FLIP_0 UINT64_C(0x8726f9105dc21ddc)
#define HASH_FLIP_3 UINT64_C(0x87275a9b)
#define HASH_FLIP_8 UINT64_C(0xc73ab174c5ecd5a2)
#define HASH_FLIP_16_LOW UINT64_C(0x6782737bea4239b9)
#define HASH_FLIP_16_HIGH UINT64_C(0xaf56bc3b0996523a)

/* The secret that every unseeded XXH3 mixes in. */
enum { HASH_SECRET_SIZE = 192 };
extern const uint8_t hash_secret[HASH_SECRET_SIZE];

/* The functions by their definitions; any size, any seed. */
uint64_t hash_xxh3(const void *data, uint64_t size, uint64_t seed);
uint64_t hash_xxh64(const void *data, uint64_t size, uint64_t seed);

/* The one that `which` (enum faster_hash) names; 0 when it names none. */
uint64_t hash_bytes(uint32_t which, const void *data, uint64_t size, uint64_t seed);

FASTER_INLINE uint64_t hash_fold(uint64_t a, uint64_t b) {
    uint64_t high;
    uint64_t low = word_multiply(a, b, &high);
    return low ^ high;
}

FASTER_INLINE uint64_t hash_xxh3_avalanche(uint64_t word) {
    word ^= word >> 37;
    word *= HASH_MIX_1;
    return word ^ (word >> 32);
}

/* The end of sizes 4 ... 8, once the bytes are one word. */
FASTER_INLINE uint64_t hash_xxh3_mix8(uint64_t word, uint64_t size) {
    word ^= word_rotate(word, 49) ^ word_rotate(word, 24);
    word *= HASH_MIX_2;
    word ^= (word >> 35) + size;
    word *= HASH_MIX_2;
    return word ^ (word >> 28);
}

FASTER_INLINE uint64_t hash_xxh3_4to8(const void *data, uint64_t size, uint64_t seed) {
    uint64_t first = word_load32(data);
    uint64_t last = word_load32((const uint8_t *)data + size - 4);
    seed ^= (uint64_t)word_swap32((uint32_t)seed) << 32;
    return hash_xxh3_mix8((last + (first << 32)) ^ (HASH_FLIP_8 - seed), size);
}

FASTER_INLINE uint64_t hash_xxh3_9to16(const void *data, uint64_t size, uint64_t seed) {
    uint64_t low = word_load64(data) ^ (HASH_FLIP_16_LOW + seed);
    uint64_t high =
        word_load64((const uint8_t *)data + size - 8) ^ (HASH_FLIP_16_HIGH - seed);
    return hash_xxh3_avalanche(size + word_swap64(low) + high + hash_fold(low, high));
}

/* The unseeded hash of exactly eight bytes: one load, as its halves trade places. */
FASTER_INLINE uint64_t hash_xxh3_8(const void *data) {
    return hash_xxh3_mix8(word_rotate(word_load64(data), 32) ^ HASH_FLIP_8, 8);
}

/* The unseeded hash of a key (I2).  Wrap-around makes each range one comparison. */
FASTER_INLINE uint64_t hash_xxh3_key(const void *key, uint64_t size) {
    if (size == 8) {
        return hash_xxh3_8(key);
    }
    if (size - 9 <= 16 - 9) {
        return hash_xxh3_9to16(key, size, 0);
    }
    if (size - 4 <= 8 - 4) {
        return hash_xxh3_4to8(key, size, 0);
    }
    return hash_xxh3(key, size, 0);
}

/* The unseeded hash of a key by the store's function (enum faster_hash). */
FASTER_INLINE uint64_t hash_key(uint32_t which, const void *key, uint64_t size) {
    return faster_likely(which == FASTER_HASH_XXH3) ? hash_xxh3_key(key, size)
                                                    : hash_bytes(which, key, size, 0);
}

#endif
