/* SPDX-License-Identifier: MIT */
/*
 * recovery.h: a store as its checkpoint left it
 *
 * Level 6.  Includes: base, cpr, index, log, store.
 *
 * Purpose
 *   A checkpoint is a prefix of every session's operations, in up to three places: the
 *   log's device below log_until, a file with the log's end behind it, and perhaps a
 *   copy of the index.  Recovery puts them together again, and believes none of them
 *   before it was verified.  It opens no file: the caller reads, and hands in bytes.
 *
 * Model
 *      begin      index_start              log_until          final     page's end
 *        | in the     | verified and linked    | written into     | filler  |
 *        | index's    | by faster_recovery_log | the log's memory |         | tail
 *        | copy       | (parts, any order)     | and linked       |         | then
 *
 *   The store was opened with its tail at log_until and no session.  Pages behind it
 *   are handed in, put where the log's memory has them, and verified when they are
 *   whole; then the tail moves over them, and the worker writes and evicts them like
 *   all others.  The tail's first page may begin below log_until: that part comes from
 *   the device, before anything is put behind it.  Pages below index_start need no
 *   link: they may be handed in while the index is restored.
 *
 *   Pages carry the checksums of the life that took the checkpoint (taken_with).  When
 *   they are written again they get those of the new life, whose generation begins at
 *   log_until: so nothing that an earlier life wrote there passes for them.
 *
 * Invariants
 *   I1  Nothing below log_until is written, on the device or by it.
 *   I2  The tail moves over a page only when each of its records was verified.
 *   I3  The table never has fewer buckets than the one that the log was written with
 *       (replay.h).
 *   I4  Afterwards every record is read-only, and none of them is of the new version:
 *       fuzzy_start is the tail (C12).
 *
 * Ordering
 *   M1  hlog.h M1 for the tail; the worker reads the pages behind it after that store.
 *   M2  `covered` is added to (release) by each thread that has read a part, and loaded
 *       (acquire) by finish: what they linked is there.
 *   M3  `ended` is set (release) by the thread that restores the index, behind its last
 *       bucket, and loaded (acquire) by those that link.
 *
 * Progress   faster_recovery_pages and _finish wait for the worker to have frames.
 * Threads    as api.h says for each call
 * Errors     FASTER_E_CORRUPT, with the lowest damage kept; the device's; -EINVAL
 * Limits     RECOVERY_SKIPS_MAX ranges
 * Source     Prasaad et al., SIGMOD 2019, section 6.4
 * Tests      tests/cpr/{validate_recovery,validate_restore,fault_recovery}.c,
 *            fuzz/fuzz_recovery.c
 */
#ifndef FASTER_CPR_RECOVERY_H
#define FASTER_CPR_RECOVERY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"
#include "cpr/replay.h"
#include "store/store.h"

enum { RECOVERY_SKIPS_MAX = 1 << 16 };

/* Where the parsing of the index's copy stands. */
struct restore {
    uint64_t number; /* of the next block */
    uint64_t next;   /* bucket of the next run of main buckets */
    bool opened;
    _Atomic bool ended; /* M3 */
    struct index_tally tally;
};

struct faster_recovery {
    struct faster_kv *kv;
    struct faster_recovery_config config; /* without the list of skips */
    struct replay_skips skips;
    struct faster_skip *skip_list;
    struct log_seeds taken_with; /* of the checkpoint's bytes behind log_until */
    bool own_seeds;              /* they have the store's own */
    uint64_t link_from;          /* begin, or where the index's copy began */

    struct lock lock;
    struct faster_damage damage; /* under the lock */
    _Atomic uint64_t covered;    /* bytes of the log that were read (M2) */

    struct restore restore;
    struct replay replay; /* of the pages */
    bool loaded;          /* the tail's page, as far as the device has it */
    uint64_t pushed;      /* the log is in memory, or on the device, below */
    uint64_t verified;    /* and verified; where the replay of the pages goes on */
    struct replay_starts starts;
    bool finished;
};

/* Keep a damage, if it is the lowest. */
void recovery_note(struct faster_recovery *recovery,
                   const struct faster_damage *damage);

/* Whether the index's copy was taken, or there is none. */
static inline bool recovery_has_index(struct faster_recovery *recovery) {
    return recovery->config.index_bits == 0 ||
           atomic_load_explicit(&recovery->restore.ended,
                                memory_order_acquire); /* M3 */
}

/* Fill the last page, verify it, and move the tail to its end. */
int recovery_close_page(struct faster_recovery *recovery);

#endif
