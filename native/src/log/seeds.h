/* SPDX-License-Identifier: MIT */
/*
 * seeds.h: which life of the store an address belongs to
 *
 * Level 3.  Includes: base, record.
 *
 * Purpose
 *   A recovery gives the addresses behind what it recovered to a new generation, so
 *   that bytes which an earlier life wrote there never verify (record/checksum.h).  So
 *   a record's seed depends on its address.
 *
 * Model
 *   Ascending boundaries, each with the seed from there on.  A store that was never
 *   recovered has one; looking it up is one comparison.
 *
 * Invariants
 *   I1  The first boundary is 0, and each is above the one before.
 *
 * Ordering   none: written before the log is used, never again
 * Progress   logarithmic in the generations
 * Threads    any
 * Errors     -EINVAL for boundaries that break I1, -ENOMEM
 * Limits     SEEDS_MAX generations
 * Source     none
 * Tests      tests/cpr/validate_recovery.c
 */
#ifndef FASTER_LOG_SEEDS_H
#define FASTER_LOG_SEEDS_H

#include <stdint.h>

#include "base/compiler.h"
#include "faster/api.h"

enum { SEEDS_MAX = 1 << 20 };

struct log_seeds {
    uint64_t newest;       /* the last boundary */
    uint64_t newest_seed;  /* and its seed */
    uint64_t *boundaries;  /* the others, ascending; NULL: none */
    uint64_t *older_seeds; /* in the same block of memory */
    uint64_t count;        /* of the others */
    uint64_t store_id;
};

/* NULL: everything belongs to generation 1. */
int seeds_init(struct log_seeds *seeds, uint64_t store_id,
               const struct faster_generation *generations, uint64_t count);
void seeds_destroy(struct log_seeds *seeds);

uint64_t seeds_older(const struct log_seeds *seeds, uint64_t address);

FASTER_INLINE uint64_t seeds_at(const struct log_seeds *seeds, uint64_t address) {
    return faster_likely(address >= seeds->newest) ? seeds->newest_seed
                                                   : seeds_older(seeds, address);
}

#endif
