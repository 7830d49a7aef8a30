/* SPDX-License-Identifier: MIT */
/* histogram.h: every duration has one counter, and the sum of all. */
#include "base/histogram.h"

#include "harness.h"

enum { THREADS = 4, ADDS = 100000 };

static void every_duration_is_in_the_bucket_of_its_power(void) {
    CHECK_U64(histogram_bucket(0), 0);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        CHECK_U64(histogram_bucket(power), bit);
        CHECK_U64(histogram_bucket(power | (power - 1)), bit);
    }
}

static void i2_counts_say_little_less_than_the_sum(void) {
    struct histogram histogram;
    struct rng rng = rng_stream(1);
    uint64_t counts[HISTOGRAM_BUCKETS] = {0};
    uint64_t total = 0;
    uint64_t sum = 0;
    uint64_t samples = 0;
    uint64_t least = 0;
    histogram_init(&histogram);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t ns = rng_next(&rng) >> (14 + rng_below(&rng, 50));
        histogram_add(&histogram, ns);
        sum += ns;
    }
    histogram_read(&histogram, counts, &total);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        samples += counts[i];
        least += i > 0 ? counts[i] << i : 0;
    }
    CHECK_U64(samples, 1000);
    CHECK_U64(total, sum);
    CHECK(least <= sum && sum < 2 * least + counts[0] + samples,
          "%" PRIu64 " and %" PRIu64, least, sum);
}

static void what_is_read_is_added_to_what_is_there(void) {
    struct histogram histogram;
    uint64_t counts[HISTOGRAM_BUCKETS] = {[3] = 5};
    uint64_t total = 100;
    histogram_init(&histogram);
    histogram_add(&histogram, 9);
    histogram_read(&histogram, counts, &total);
    CHECK_U64(counts[3], 6);
    CHECK_U64(total, 109);
}

static void add_many(void *context, uint32_t thread) {
    struct histogram *histogram = context;
    for (uint64_t i = 0; i < ADDS; i++) {
        histogram_add(histogram, (uint64_t)1 << (thread + i % 2));
    }
}

static void i1_nothing_that_threads_add_is_lost(void) {
    struct histogram histogram;
    uint64_t counts[HISTOGRAM_BUCKETS] = {0};
    uint64_t total = 0;
    uint64_t sum = 0;
    histogram_init(&histogram);
    harness_threads(THREADS, add_many, &histogram);
    histogram_read(&histogram, counts, &total);
    for (uint32_t i = 0; i <= THREADS; i++) {
        uint64_t adders = i > 0 && i < THREADS ? 2 : 1;
        CHECK_U64(counts[i], adders * ADDS / 2);
        sum += (adders * ADDS / 2) << i;
    }
    CHECK_U64(total, sum);
}

HARNESS_MAIN(TEST(every_duration_is_in_the_bucket_of_its_power),
             TEST(i2_counts_say_little_less_than_the_sum),
             TEST(what_is_read_is_added_to_what_is_there),
             TEST(i1_nothing_that_threads_add_is_lost))
