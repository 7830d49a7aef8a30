/* SPDX-License-Identifier: MIT */
#include "hash/hash.h"

#include "hash/lanes.h"

/* Long inputs: eight lanes take 8 bytes each of a 64-byte stripe, masked by the secret
 * from 8 bytes further on at each stripe; when the secret is used up, the lanes are
 * scrambled and it starts again.  That is a block. */
enum {
    STRIPE = 64,
    SECRET_STEP = 8,
    STRIPES_PER_BLOCK = (HASH_SECRET_SIZE - STRIPE) / SECRET_STEP,
    BLOCK = STRIPE * STRIPES_PER_BLOCK
};

/* Where the parts of the algorithm look into the secret: from the specification. */
enum {
    SECRET_SCRAMBLE = HASH_SECRET_SIZE - STRIPE,
    SECRET_LAST_STRIPE = HASH_SECRET_SIZE - STRIPE - 7,
    SECRET_MERGE = 11,
    SECRET_MIDDLE_SECOND = 3,
    SECRET_MIDDLE_LAST = 136 - 17
};

const uint8_t hash_secret[HASH_SECRET_SIZE] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21,
    0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4,
    0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a,
    0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e,
    0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3,
    0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97,
    0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa,
    0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78,
    0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff,
    0xfa, 0x13, 0x63, 0xeb, 0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16,
    0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc,
    0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16,
    0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

/* The avalanche of XXH64, which the shortest inputs share. */
static uint64_t avalanche64(uint64_t hash) {
    hash = (hash ^ (hash >> 33)) * HASH_PRIME64_2;
    hash = (hash ^ (hash >> 29)) * HASH_PRIME64_3;
    return hash ^ (hash >> 32);
}

static uint64_t hash_1to3(const uint8_t *data, uint64_t size, uint64_t seed) {
    uint64_t combined = ((uint64_t)data[0] << 16) | ((uint64_t)data[size >> 1] << 24) |
                        data[size - 1] | (size << 8);
    return avalanche64(combined ^ (HASH_FLIP_3 + seed));
}

/* Mix 16 bytes with 16 bytes of the secret. */
static uint64_t mix16(const uint8_t *data, const uint8_t *secret, uint64_t seed) {
    uint64_t low = word_load64(data) ^ (word_load64(secret) + seed);
    uint64_t high = word_load64(data + 8) ^ (word_load64(secret + 8) - seed);
    return hash_fold(low, high);
}

/* Pairs of pieces from both ends inwards; they overlap unless 32 divides the size. */
static uint64_t hash_17to128(const uint8_t *data, uint64_t size, uint64_t seed) {
    uint64_t hash = size * HASH_PRIME64_1;
    for (uint64_t pair = (size - 1) / 32 + 1; pair-- > 0;) {
        const uint8_t *secret = hash_secret + 32 * pair;
        hash += mix16(data + 16 * pair, secret, seed);
        hash += mix16(data + size - 16 * (pair + 1), secret + 16, seed);
    }
    return hash_xxh3_avalanche(hash);
}

static uint64_t hash_129to240(const uint8_t *data, uint64_t size, uint64_t seed) {
    uint64_t hash = size * HASH_PRIME64_1;
    uint64_t pieces = size / 16;
    for (uint64_t i = 0; i < 8; i++) {
        hash += mix16(data + 16 * i, hash_secret + 16 * i, seed);
    }
    hash = hash_xxh3_avalanche(hash);
    for (uint64_t i = 8; i < pieces; i++) {
        const uint8_t *secret = hash_secret + 16 * (i - 8) + SECRET_MIDDLE_SECOND;
        hash += mix16(data + 16 * i, secret, seed);
    }
    hash += mix16(data + size - 16, hash_secret + SECRET_MIDDLE_LAST, seed);
    return hash_xxh3_avalanche(hash);
}

/* Take all of an input of more than one stripe.  The last stripe always ends with the
 * input and has its own place in the secret, so it may overlap the one before. */
FASTER_INLINE void take_stripes(struct lanes *restrict lanes,
                                const uint8_t *restrict data, uint64_t size,
                                const uint8_t *restrict secret) {
    const uint8_t *last = data + size - STRIPE;
    for (; size > BLOCK; data += BLOCK, size -= BLOCK) {
        for (unsigned i = 0; i < STRIPES_PER_BLOCK; i++) {
            lanes_take(lanes, data + STRIPE * i, secret + SECRET_STEP * i);
        }
        lanes_scramble(lanes, secret + SECRET_SCRAMBLE);
    }
    uint64_t stripes = (size - 1) / STRIPE;
    for (uint64_t i = 0; i < stripes; i++) {
        lanes_take(lanes, data + STRIPE * i, secret + SECRET_STEP * i);
    }
    lanes_take(lanes, last, secret + SECRET_LAST_STRIPE);
}

static uint64_t merge_lanes(const uint64_t lanes[LANES], const uint8_t *secret,
                            uint64_t start) {
    uint64_t hash = start;
    for (unsigned i = 0; i < LANES; i += 2) {
        hash += hash_fold(lanes[i] ^ word_load64(secret + 8 * i),
                          lanes[i + 1] ^ word_load64(secret + 8 * i + 8));
    }
    return hash_xxh3_avalanche(hash);
}

static FASTER_NOINLINE uint64_t hash_long(const uint8_t *restrict data, uint64_t size,
                                          const uint8_t *restrict secret) {
    uint64_t words[LANES] = {HASH_PRIME32_3, HASH_PRIME64_1, HASH_PRIME64_2,
                             HASH_PRIME64_3, HASH_PRIME64_4, HASH_PRIME32_2,
                             HASH_PRIME64_5, HASH_PRIME32_1};
    struct lanes lanes;
    lanes_begin(&lanes, words);
    take_stripes(&lanes, data, size, secret);
    lanes_end(&lanes, words);
    return merge_lanes(words, secret + SECRET_MERGE, size * HASH_PRIME64_1);
}

/* For long inputs a seed changes the secret itself. */
static FASTER_NOINLINE uint64_t hash_long_seeded(const uint8_t *data, uint64_t size,
                                                 uint64_t seed) {
    uint8_t secret[HASH_SECRET_SIZE];
    for (unsigned i = 0; i < HASH_SECRET_SIZE; i += 16) {
        word_store64(secret + i, word_load64(hash_secret + i) + seed);
        word_store64(secret + i + 8, word_load64(hash_secret + i + 8) - seed);
    }
    return hash_long(data, size, secret);
}

uint64_t hash_xxh3(const void *data, uint64_t size, uint64_t seed) {
    const uint8_t *bytes = data;
    if (size <= 16) {
        if (size > 8) {
            return hash_xxh3_9to16(bytes, size, seed);
        }
        if (size >= 4) {
            return hash_xxh3_4to8(bytes, size, seed);
        }
        return size > 0 ? hash_1to3(bytes, size, seed)
                        : avalanche64(seed ^ HASH_FLIP_0);
    }
    if (size <= 128) {
        return hash_17to128(bytes, size, seed);
    }
    if (size <= 240) {
        return hash_129to240(bytes, size, seed);
    }
    return seed == 0 ? hash_long(bytes, size, hash_secret)
                     : hash_long_seeded(bytes, size, seed);
}
