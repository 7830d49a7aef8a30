/* SPDX-License-Identifier: MIT */
/* seeds.c: see seeds.h */
#include "log/seeds.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "record/checksum.h"

static bool are_sane(const struct faster_generation *generations, uint64_t count) {
    bool sane = count >= 1 && count <= SEEDS_MAX && generations[0].first == 0;
    for (uint64_t i = 1; sane && i < count; i++) {
        sane = generations[i].first > generations[i - 1].first;
    }
    return sane;
}

int seeds_init(struct log_seeds *seeds, uint64_t store_id,
               const struct faster_generation *generations, uint64_t count) {
    static const struct faster_generation only = {0, 1};
    *seeds = (struct log_seeds){0};
    if (generations == NULL) {
        generations = &only;
        count = 1;
    }
    if (!are_sane(generations, count)) {
        return -EINVAL;
    }
    seeds->store_id = store_id;
    seeds->count = count - 1;
    seeds->newest = generations[count - 1].first;
    seeds->newest_seed = record_seed(store_id, generations[count - 1].number);
    if (seeds->count == 0) {
        return FASTER_OK;
    }
    seeds->boundaries = calloc((size_t)seeds->count, 2 * sizeof(uint64_t));
    if (seeds->boundaries == NULL) {
        return -ENOMEM;
    }
    seeds->older_seeds = seeds->boundaries + seeds->count;
    for (uint64_t i = 0; i < seeds->count; i++) {
        seeds->boundaries[i] = generations[i].first;
        seeds->older_seeds[i] = record_seed(store_id, generations[i].number);
    }
    return FASTER_OK;
}

void seeds_destroy(struct log_seeds *seeds) {
    free(seeds->boundaries);
    seeds->boundaries = NULL;
    seeds->count = 0;
}

/* The last boundary at or below the address; I1 says that there is one. */
uint64_t seeds_older(const struct log_seeds *seeds, uint64_t address) {
    uint64_t low = 0;
    uint64_t high = seeds->count;
    while (high - low > 1) { /* ends: the distance halves */
        uint64_t middle = low + (high - low) / 2;
        if (seeds->boundaries[middle] <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return seeds->older_seeds[low];
}
