/* SPDX-License-Identifier: MIT */
/* lanes.h: the plain form of the lanes gives what the processor's vectors give. */
#define HASH_PLAIN
#define hash_xxh3 hash_xxh3_plain
#define hash_secret hash_secret_plain
#include "../../src/hash/xxh3.c"
#undef hash_xxh3
#undef hash_secret

#include "harness.h"

enum { SIZE_MAX_HERE = 5000 };

uint64_t hash_xxh3(const void *data, uint64_t size, uint64_t seed);

static void i1_both_forms_agree(void) {
    struct rng rng = rng_stream(1);
    uint8_t bytes[SIZE_MAX_HERE + 8];
    for (uint64_t size = 0; size <= SIZE_MAX_HERE; size++) {
        uint64_t shift = rng_below(&rng, 8);
        uint64_t seed = size % 3 == 0 ? 0 : rng_next(&rng);
        rng_fill(&rng, bytes, sizeof bytes);
        CHECK_U64(hash_xxh3_plain(bytes + shift, size, seed),
                  hash_xxh3(bytes + shift, size, seed));
    }
}

HARNESS_MAIN(TEST(i1_both_forms_agree))
