/* SPDX-License-Identifier: MIT */
/* A main for fuzz targets without libFuzzer: a bounded corpus made from the seed. */
#include <string.h>

#include "fuzz.h"
#include "harness.h"

enum { INPUTS = 1500, INPUT_SIZE_MAX = 4096 };

/* Sizes are as often small as large; bytes are noise, or few values, or one. */
static size_t make_input(struct rng *rng, uint8_t *bytes) {
    size_t size = (size_t)(rng_below(rng, INPUT_SIZE_MAX + 1) >> rng_below(rng, 10));
    rng_fill(rng, bytes, size);
    uint64_t shape = rng_below(rng, 4);
    if (shape == 0) {
        memset(bytes, (int)rng_below(rng, 256), size);
    } else if (shape == 1) {
        uint8_t mask = (uint8_t)rng_next(rng);
        for (size_t i = 0; i < size; i++) {
            bytes[i] &= mask;
        }
    }
    return size;
}

static void corpus_holds(void) {
    static uint8_t bytes[INPUT_SIZE_MAX];
    struct rng rng = rng_stream(0);
    for (uint64_t i = 0; i < harness_count(INPUTS); i++) {
        size_t size = make_input(&rng, bytes);
        CHECK_INT(LLVMFuzzerTestOneInput(bytes, size), 0);
    }
}

HARNESS_MAIN(TEST(corpus_holds))
