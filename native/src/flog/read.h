/* SPDX-License-Identifier: MIT */
/*
 * read.h: one entry, by its address
 *
 * Level 5.  Includes: base, device, flog.
 *
 * Purpose
 *   Whoever kept an address may want its entry, or only to know that there is one.
 *
 * Model      A block of the device is read that holds the header and, most often, all
 *            of the entry; a second time only when it was too short.
 * Invariants none
 * Ordering   none: what is committed does not change
 * Progress   blocks for the device
 * Threads    any
 * Errors     as faster_flog_read
 * Limits     none
 * Source     none
 * Tests      tests/flog/validate_scan.c
 */
#ifndef FASTER_FLOG_READ_H
#define FASTER_FLOG_READ_H

#include "flog/entry.h"
#include "flog/flog.h"

/* What entries of a life fulfil. */
static inline struct entry_rules rules_of(uint64_t log_id, uint64_t page_size,
                                          const struct faster_flog_life *life) {
    return (struct entry_rules){
        .seed = entry_life_seed(log_id, life->generation),
        .page_size = page_size,
        .generation = life->generation,
        .until = life->until,
    };
}

/* Whether some entry, of any kind, begins at an address in [begin, committed].
 * FASTER_OK, -EINVAL, why the device failed, -ENOMEM. */
int read_begins_entry(struct faster_flog *log, uint64_t address,
                      struct faster_flog_damage *damage);

#endif
