/* SPDX-License-Identifier: MIT */
/* word.h: byte order, alignment and wide products. */
#include "base/word.h"

#include "harness.h"

static void words_are_little_endian_at_any_address(void) {
    static const uint8_t bytes[] = {0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    CHECK_U64(word_load32(bytes + 1), 0x04030201u);
    CHECK_U64(word_load64(bytes + 1), UINT64_C(0x0807060504030201));
    CHECK_U64(word_load64(bytes + 2), UINT64_C(0x0908070605040302));
    uint8_t room[9] = {0};
    word_store64(room + 1, UINT64_C(0x0807060504030201));
    CHECK(memcmp(room + 1, bytes + 1, 8) == 0, "first byte %u", room[1]);
    CHECK_U64(room[0], 0);
}

static void swaps_and_rotations_are_undone_by_themselves(void) {
    struct rng rng = rng_stream(1);
    CHECK_U64(word_swap32(0x01020304u), 0x04030201u);
    CHECK_U64(word_swap64(UINT64_C(0x0102030405060708)), UINT64_C(0x0807060504030201));
    CHECK_U64(word_rotate(UINT64_C(0x8000000000000001), 1), 3);
    for (unsigned count = 1; count < 64; count++) {
        uint64_t word = rng_next(&rng);
        CHECK_U64(word_rotate(word_rotate(word, count), 64 - count), word);
        CHECK_U64(word_swap64(word_swap64(word)), word);
    }
}

static void check_product(uint64_t a, uint64_t b) {
    uint64_t high, portable_high;
    uint64_t low = word_multiply(a, b, &high);
    uint64_t portable_low = word_multiply_portable(a, b, &portable_high);
    CHECK_U64(low, a * b);
    CHECK_U64(portable_low, low);
    CHECK_U64(portable_high, high);
}

static void both_multiplications_agree(void) {
    static const uint64_t edges[] = {
        0, 1, 2, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX - 1, UINT64_MAX};
    enum { EDGES = sizeof edges / sizeof edges[0] };
    struct rng rng = rng_stream(2);
    uint64_t high;
    CHECK_U64(word_multiply_portable(UINT64_MAX, UINT64_MAX, &high), 1);
    CHECK_U64(high, UINT64_MAX - 1);
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t j = 0; j < EDGES; j++) {
            check_product(edges[i], edges[j]);
        }
        check_product(edges[i], rng_next(&rng));
    }
    for (uint64_t i = 0; i < harness_count(10000); i++) {
        check_product(rng_next(&rng), rng_next(&rng));
    }
}

HARNESS_MAIN(TEST(words_are_little_endian_at_any_address),
             TEST(swaps_and_rotations_are_undone_by_themselves),
             TEST(both_multiplications_agree))
