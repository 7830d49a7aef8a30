/* SPDX-License-Identifier: MIT */
/* hash.h against what the reference implementation gives, and against itself. */
#include "hash/hash.h"

#include <stdlib.h>

#include "harness.h"

struct digest_vector {
    uint32_t which;
    uint64_t seed;
    uint64_t digest;
};

struct value_vector {
    uint32_t which;
    uint64_t size;
    uint64_t plain;
    uint64_t seeded;
};

#include "vectors.h"

/* The input of make_vectors.py. */
static uint8_t input[VECTOR_SIZE_MAX];

static void fill_input(void) {
    uint64_t word = 0;
    for (size_t i = 0; i < sizeof input; i++) {
        word = word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        input[i] = (uint8_t)(word >> 56);
    }
}

static void i1_selected_lengths_give_the_published_values(void) {
    fill_input();
    for (size_t i = 0; i < sizeof value_vectors / sizeof value_vectors[0]; i++) {
        const struct value_vector *v = &value_vectors[i];
        uint64_t plain = hash_bytes(v->which, input, v->size, 0);
        uint64_t seeded = hash_bytes(v->which, input, v->size, VECTOR_SEED);
        CHECK(plain == v->plain, "function %u, size %" PRIu64 ": 0x%" PRIx64, v->which,
              v->size, plain);
        CHECK(seeded == v->seeded, "function %u, size %" PRIu64 ", seeded: 0x%" PRIx64,
              v->which, v->size, seeded);
    }
}

static void i1_all_lengths_give_the_published_digest(void) {
    fill_input();
    for (size_t i = 0; i < sizeof digest_vectors / sizeof digest_vectors[0]; i++) {
        const struct digest_vector *v = &digest_vectors[i];
        uint64_t word = 0;
        for (uint64_t size = 0; size <= VECTOR_LENGTH_MAX; size++) {
            word = word * UINT64_C(0x100000001b3) +
                   hash_bytes(v->which, input, size, v->seed);
        }
        CHECK(word == v->digest,
              "function %u, seed 0x%" PRIx64 ": 0x%" PRIx64 ", expected 0x%" PRIx64,
              v->which, v->seed, word, v->digest);
    }
}

/* Bytes around the input are different at every shift, so I3 is attacked too. */
static void i1_alignment_and_surroundings_do_not_matter(void) {
    enum { SIZE_MAX_HERE = 1200, SHIFTS = 17 };
    static uint8_t room[SIZE_MAX_HERE + SHIFTS + 16];
    struct rng rng = rng_stream(1);
    fill_input();
    for (uint64_t size = 0; size <= SIZE_MAX_HERE; size++) {
        uint64_t seed = rng_next(&rng);
        uint64_t xxh3 = hash_xxh3(input, size, seed);
        uint64_t xxh64 = hash_xxh64(input, size, seed);
        for (unsigned shift = 1; shift < SHIFTS; shift += 3) {
            rng_fill(&rng, room, sizeof room);
            memcpy(room + shift, input, size);
            CHECK_U64(hash_xxh3(room + shift, size, seed), xxh3);
            CHECK_U64(hash_xxh64(room + shift, size, seed), xxh64);
        }
    }
}

static void i2_keys_hash_as_any_other_bytes(void) {
    struct rng rng = rng_stream(2);
    uint8_t key[300];
    for (uint64_t round = 0; round < harness_count(2000); round++) {
        rng_fill(&rng, key, sizeof key);
        for (uint64_t size = 0; size <= 40; size++) {
            uint64_t expected = hash_xxh3(key, size, 0);
            CHECK_U64(hash_xxh3_key(key, size), expected);
            CHECK_U64(hash_key(FASTER_HASH_XXH3, key, size), expected);
            CHECK_U64(hash_key(FASTER_HASH_XXH64, key, size), hash_xxh64(key, size, 0));
        }
        uint64_t size = rng_below(&rng, sizeof key);
        CHECK_U64(hash_xxh3_key(key, size), hash_xxh3(key, size, 0));
        CHECK_U64(hash_xxh3_8(key), hash_xxh3(key, 8, 0));
    }
}

/* Exact allocations: with AddressSanitizer a byte too far ends the test. */
static void i3_nothing_outside_is_read(void) {
    for (uint64_t size = 0; size <= 1100; size++) {
        uint8_t *exact = malloc(size > 0 ? size : 1);
        CHECK(exact != NULL, "size %" PRIu64, size);
        memset(exact, 0x5a, size);
        uint64_t again = hash_xxh3(exact, size, 7);
        CHECK_U64(faster_hash_bytes(FASTER_HASH_XXH3, exact, size, 7), again);
        CHECK_U64(hash_xxh3_key(exact, size), hash_xxh3(exact, size, 0));
        CHECK_U64(faster_hash_bytes(FASTER_HASH_XXH64, exact, size, 7),
                  hash_xxh64(exact, size, 7));
        free(exact);
    }
    CHECK_U64(hash_xxh3(NULL, 0, 0), UINT64_C(0x2d06800538d394c2));
    CHECK_U64(hash_xxh64(NULL, 0, 0), UINT64_C(0xef46db3751d8e999));
}

static void flips_are_the_secrets_words(void) {
    const uint8_t *s = hash_secret;
    CHECK_U64(HASH_FLIP_0, word_load64(s + 56) ^ word_load64(s + 64));
    CHECK_U64(HASH_FLIP_3, word_load32(s) ^ word_load32(s + 4));
    CHECK_U64(HASH_FLIP_8, word_load64(s + 8) ^ word_load64(s + 16));
    CHECK_U64(HASH_FLIP_16_LOW, word_load64(s + 24) ^ word_load64(s + 32));
    CHECK_U64(HASH_FLIP_16_HIGH, word_load64(s + 40) ^ word_load64(s + 48));
}

static void an_unknown_function_hashes_to_zero(void) {
    CHECK_U64(faster_hash_bytes(0, "key", 3, 0), 0);
    CHECK_U64(faster_hash_bytes(3, "key", 3, 0), 0);
    CHECK_U64(hash_key(3, "key", 3), 0);
}

HARNESS_MAIN(TEST(i1_selected_lengths_give_the_published_values),
             TEST(i1_all_lengths_give_the_published_digest),
             TEST(i1_alignment_and_surroundings_do_not_matter),
             TEST(i2_keys_hash_as_any_other_bytes), TEST(i3_nothing_outside_is_read),
             TEST(flips_are_the_secrets_words),
             TEST(an_unknown_function_hashes_to_zero))
