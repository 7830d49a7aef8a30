/* SPDX-License-Identifier: MIT */
/*
 * replay.h: records of the log, verified and put into the index again
 *
 * Level 6.  Includes: base, index, log, record, store.
 *
 * Purpose
 *   Recovery walks over the log as it was written and makes each record that counts the
 *   newest of its chain, unless a newer one is there.  The bytes come from a device or
 *   a file and may be anything: each is looked at only after its bounds were.
 *
 * Model
 *   A piece of the log is fillers and records without gaps.  For each record, in order:
 *   header, bounds, checksum (by the seed of its address); then it is linked, unless it
 *   is invalid, of a version that was left behind (skips), or below `link_from`.
 *
 *   Linking is entry := max(entry, address), so ranges may come in any order and from
 *   several threads.  Since a record points to what was the newest of its chain when it
 *   was published, the newest leads to all others, if the table has at least as many
 *   buckets as the one they were published in.
 *
 *   Nearly every link misses the cache once.  Links are gathered, their buckets asked
 *   for, and REPLAY_GROUP of them done together.
 *
 * Invariants
 *   I1  Every record is verified before it is linked, and nothing of a record is used
 *       but its bounds before its checksum was right.
 *   I2  A walk moves up with each step and never leaves its page (F86).
 *   I3  prev is below the record's address, and a place where a record may begin; one
 *       that leads into memory leads to a record.
 *
 * Ordering   none of its own: links are published as any record is (index.h M1, M2)
 *
 * Progress   One pass over the bytes.  A link is lock-free.
 * Threads    any number with a struct each.  No epoch is entered: the growth of the
 *            index is held, so no table goes, and nothing is read through an entry.
 * Errors     FASTER_E_CORRUPT with the damage told, FASTER_E_FULL
 * Limits     none
 * Source     Prasaad et al., SIGMOD 2019, section 6.4 (recovery); prefetching in groups
 *            after Chen et al., ICDE 2004
 * Tests      tests/cpr/{validate_recovery,validate_restore}.c, fuzz/fuzz_recovery.c
 */
#ifndef FASTER_CPR_REPLAY_H
#define FASTER_CPR_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "log/seeds.h"
#include "store/store.h"

enum { REPLAY_GROUP = 32 };

/* What of the log does not count: ascending, disjoint ranges. */
struct replay_skips {
    const struct faster_skip *list;
    uint64_t count;
    uint64_t from; /* of the first, until of the last: most records are outside */
    uint64_t until;
};

struct replay_link {
    uint64_t hash;
    uint64_t address;
};

/* Where records begin in the part of the log that is in memory: a bit for 8 bytes.
 * Memory is followed without a look at checksums, so what leads into it must lead to a
 * record (F86). */
struct replay_starts {
    uint64_t *bits;
    uint64_t from;  /* a page's beginning */
    uint64_t bytes; /* of the log that there are bits for, again and again */
    uint64_t mask;  /* cuts a distance from `from` to that */
    uint64_t low;   /* what is below is no more, or not in memory */
};

struct replay {
    struct faster_kv *kv;
    const struct replay_skips *skips;
    const struct log_seeds *seeds; /* NULL: the store's */
    uint64_t link_from;            /* records below are only verified */
    uint64_t until;                /* what is walked over ends here */
    uint64_t summed_until;         /* fillers from here on have no checksum yet */
    struct replay_starts *starts;  /* the bytes are the log's own; else NULL */

    struct index_tally tally;
    uint32_t count;
    struct replay_link links[REPLAY_GROUP];
    struct faster_damage damage; /* written with FASTER_E_CORRUPT */
};

void replay_init(struct replay *replay, struct faster_kv *kv,
                 const struct replay_skips *skips, uint64_t link_from, uint64_t until);

/*
 * Walk over the log's bytes from `address` on, of which `size` are at `bytes` (aligned
 * as the address is, to 8); they do not cross a page.  *used gets how many were walked
 * over.  FASTER_OK when all were, and perhaps more: the inside of a filler is of no
 * interest.  FASTER_SHORT when what begins behind them takes *need bytes.
 */
int replay_walk(struct replay *replay, uint64_t address, uint8_t *bytes, uint64_t size,
                uint64_t *used, uint64_t *need);

/* Do the links that are gathered, and count them: at the end. */
int replay_settle(struct replay *replay);

/* entry := max(entry, address), for the chain of a hash. */
int replay_link_one(struct index *index, struct index_tally *tally, uint64_t hash,
                    uint64_t address);

/* Bits for the log from a page's beginning `from` on, up to `until`.  -ENOMEM. */
int starts_init(struct replay_starts *starts, struct hlog *log, uint64_t from,
                uint64_t until, uint64_t first);
void starts_destroy(struct replay_starts *starts, struct hlog *log);

/* A page is about to be walked over. */
void starts_clear_page(struct replay_starts *starts, uint64_t address,
                       uint64_t page_size);

/* Whether an address is that of a record that was walked over, or not in memory. */
bool starts_fit(const struct replay_starts *starts, uint64_t address);

/* Tell a damage; gives FASTER_E_CORRUPT. */
int replay_damage(struct faster_damage *damage, uint32_t what, uint64_t address,
                  uint64_t expected, uint64_t found);

#endif
