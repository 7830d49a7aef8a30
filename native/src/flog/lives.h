/* SPDX-License-Identifier: MIT */
/*
 * lives.h: who wrote which addresses of a log
 *
 * Level 5.  Includes: base, flog.
 *
 * Purpose
 *   What an earlier life of a log wrote beyond its last commit still lies on the
 *   device, and would pass for entries.  The table of lives says whose entries are to
 *   be found at an address.
 *
 * Model      Ascending, each [first, until); between two lives, and below the first one
 *            that is remembered, there is nothing.
 * Invariants
 *   I1  Generations and addresses ascend; only the last life goes on (until 0).
 * Ordering   none: a table does not change; a log's is replaced under its lock
 * Progress   logarithmic in the lives
 * Threads    any
 * Errors     none
 * Limits     FASTER_FLOG_LIVES_MAX
 * Source     none
 * Tests      tests/flog/{validate_slots,validate_truncate}.c
 */
#ifndef FASTER_FLOG_LIVES_H
#define FASTER_FLOG_LIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "faster/flog.h"

struct flog_lives {
    uint64_t count;
    struct faster_flog_life lives[];
};

/* I1, of what came from a caller or a slot; NULL and none are not. */
bool lives_are_sane(const struct faster_flog_life *lives, uint64_t count);

/* A copy, which the caller frees; NULL when there is no memory. */
struct flog_lives *lives_copy(const struct faster_flog_life *lives, uint64_t count);

/* The last life that begins at or below an address; below all, the first one. */
const struct faster_flog_life *lives_at(const struct flog_lives *lives,
                                        uint64_t address);

#endif
