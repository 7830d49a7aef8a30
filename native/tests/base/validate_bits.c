/* SPDX-License-Identifier: MIT */
/* bits.h: rounding and bit positions agree with counting, up to their limits. */
#include "base/bits.h"

#include "harness.h"

static void check_align(uint64_t value, uint64_t alignment) {
    uint64_t up = align_up(value, alignment);
    CHECK(up >= value, "%" PRIu64 " to %" PRIu64 " gave %" PRIu64, value, alignment,
          up);
    CHECK(up - value < alignment, "%" PRIu64 " to %" PRIu64 " gave %" PRIu64, value,
          alignment, up);
    CHECK_U64(up % alignment, 0);
}

static void alignment_goes_up_by_less_than_one_step(void) {
    struct rng rng = rng_stream(1);
    for (uint32_t bit = 0; bit < 48; bit++) {
        uint64_t alignment = (uint64_t)1 << bit;
        CHECK_U64(align_up(0, alignment), 0);
        CHECK_U64(align_up(1, alignment), alignment);
        CHECK_U64(align_up(alignment, alignment), alignment);
        CHECK_U64(align_up(UINT64_MAX - alignment + 1, alignment),
                  UINT64_MAX - alignment + 1);
        for (int i = 0; i < 100; i++) {
            check_align(rng_next(&rng) >> 1, alignment);
        }
    }
}

static void powers_of_two_have_one_bit(void) {
    CHECK(!is_power_of_two(0), "0");
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        CHECK(is_power_of_two(power), "%" PRIu64, power);
        CHECK(bit < 2 || !is_power_of_two(power - 1), "%" PRIu64, power - 1);
        CHECK(bit < 1 || !is_power_of_two(power + 1), "%" PRIu64, power + 1);
    }
    CHECK(!is_power_of_two(UINT64_MAX), "all bits");
}

static void the_lowest_and_the_highest_bit_are_found_among_others(void) {
    struct rng rng = rng_stream(2);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        CHECK_U64(bit_highest(power), bit);
        CHECK_U64(bit_highest(power | (rng_next(&rng) & (power - 1))), bit);
        if (bit < 32) {
            uint32_t above = (uint32_t)rng_next(&rng) & ~(uint32_t)(power - 1);
            CHECK_U64(bit_lowest((uint32_t)power), bit);
            CHECK_U64(bit_lowest((uint32_t)power | above), bit);
        }
    }
}

static void the_next_power_of_two_is_the_least_that_holds(void) {
    CHECK_U64(power_of_two_at_least(0), 1);
    CHECK_U64(power_of_two_at_least(1), 1);
    for (uint32_t bit = 1; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        CHECK_U64(power_of_two_at_least(power), power);
        CHECK_U64(power_of_two_at_least(power / 2 + 1), power);
        CHECK_U64(power_of_two_at_least(power - 1), bit < 2 ? 1 : power);
    }
}

HARNESS_MAIN(TEST(alignment_goes_up_by_less_than_one_step),
             TEST(powers_of_two_have_one_bit),
             TEST(the_lowest_and_the_highest_bit_are_found_among_others),
             TEST(the_next_power_of_two_is_the_least_that_holds))
