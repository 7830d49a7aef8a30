/* SPDX-License-Identifier: MIT */
#include "hash/hash.h"

/* Four lanes take 8 bytes each of a 32-byte stripe. */
enum { LANES = 4, STRIPE = 32 };

static uint64_t absorb(uint64_t lane, uint64_t word) {
    return word_rotate(lane + word * HASH_PRIME64_2, 31) * HASH_PRIME64_1;
}

static uint64_t merge_lane(uint64_t hash, uint64_t lane) {
    return (hash ^ absorb(0, lane)) * HASH_PRIME64_1 + HASH_PRIME64_4;
}

/* Take whole stripes; what is left over is below one stripe. */
static uint64_t take_stripes(const uint8_t *data, uint64_t size, uint64_t seed) {
    uint64_t lanes[LANES] = {seed + HASH_PRIME64_1 + HASH_PRIME64_2,
                             seed + HASH_PRIME64_2, seed, seed - HASH_PRIME64_1};
    for (; size >= STRIPE; data += STRIPE, size -= STRIPE) {
        for (unsigned i = 0; i < LANES; i++) {
            lanes[i] = absorb(lanes[i], word_load64(data + 8 * i));
        }
    }
    uint64_t hash = word_rotate(lanes[0], 1) + word_rotate(lanes[1], 7) +
                    word_rotate(lanes[2], 12) + word_rotate(lanes[3], 18);
    for (unsigned i = 0; i < LANES; i++) {
        hash = merge_lane(hash, lanes[i]);
    }
    return hash;
}

/* Take the last 0 ... 31 bytes: words, then perhaps half a word, then bytes. */
static uint64_t take_rest(uint64_t hash, const uint8_t *data, uint64_t size) {
    for (; size >= 8; data += 8, size -= 8) {
        hash ^= absorb(0, word_load64(data));
        hash = word_rotate(hash, 27) * HASH_PRIME64_1 + HASH_PRIME64_4;
    }
    if (size >= 4) {
        hash ^= word_load32(data) * HASH_PRIME64_1;
        hash = word_rotate(hash, 23) * HASH_PRIME64_2 + HASH_PRIME64_3;
        data += 4;
        size -= 4;
    }
    for (; size > 0; data++, size--) {
        hash ^= *data * HASH_PRIME64_5;
        hash = word_rotate(hash, 11) * HASH_PRIME64_1;
    }
    return hash;
}

static uint64_t avalanche(uint64_t hash) {
    hash = (hash ^ (hash >> 33)) * HASH_PRIME64_2;
    hash = (hash ^ (hash >> 29)) * HASH_PRIME64_3;
    return hash ^ (hash >> 32);
}

uint64_t hash_xxh64(const void *data, uint64_t size, uint64_t seed) {
    const uint8_t *bytes = data;
    uint64_t whole = size & ~(uint64_t)(STRIPE - 1);
    uint64_t hash =
        whole > 0 ? take_stripes(bytes, whole, seed) : seed + HASH_PRIME64_5;
    /* Adding 0 to NULL is undefined, so an empty input is not walked (I3). */
    hash += size;
    return avalanche(size == whole ? hash
                                   : take_rest(hash, bytes + whole, size - whole));
}
