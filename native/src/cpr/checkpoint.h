/* SPDX-License-Identifier: MIT */
/*
 * checkpoint.h: a consistent prefix of every session, while all of them go on
 *
 * Level 6.  Includes: log, session, store, and this folder's copies.
 *
 * Purpose
 *   A checkpoint must hold, for each session, exactly its updates up to some serial
 *   number: the commit point.  Stopping the sessions would make that easy and the store
 *   useless.  So the version goes up instead, and each session goes over to it at its
 *   own next operation.
 *
 * Model
 *   The phases are those of the global word (session.h).  Each step stores the next
 *   one, bumps the epoch, and waits until nobody is left who has not seen it:
 *
 *      REST(v)
 *        |  cpr_copy_index   start := tail; the index is read from then on (C11)
 *      INDEX_COPY(v)
 *        |  cpr_prepare      no update takes a serial number any more and is not done
 *        |  cpr_drain        those that have one are brought to their end (C4)
 *      PREPARE(v)
 *        |  cpr_shift        fuzzy start := tail; sessions switch at their next entry
 *        |  cpr_pad          final := the tail, on a sector's end (L5)
 *        |  cpr_capture      the commit points (C5)
 *      IN_PROGRESS(v+1)
 *        |                   what belongs to v cannot change any more (C3): it is read,
 *      WAIT_FLUSH(v+1)       or flushed (C6)
 *        |  cpr_persist      sync
 *      PERSIST(v+1)
 *        |                   the caller publishes the manifest (C7)
 *      REST(v+1)
 *
 * Invariants
 *   I1  From the end of cpr_shift on nobody is inside an operation of version v, and
 *       none begins.
 *   I2  From the end of cpr_pad on every record below final has its header.
 *   I3  A checkpoint that ends early leaves REST(v) when it had not come to
 *       IN_PROGRESS, else REST(v+1); nothing else of it stays (C8).
 *   I4  At most one is under way in a store.
 *
 * Ordering
 *   The global word is stored seq_cst, then bumped (epoch.h M1).  fuzzy_start: store.h
 *   M2.  Commit points: session.h M4.  Updates on their way: pending.h M6.
 *
 * Progress   Steps wait, outside any slot, for threads that are inside an operation,
 *            which none is for long (E4), for updates on their way, and for the device.
 *            Sessions wait for nothing but, in PREPARE, updates that need the device.
 * Threads    one at a time
 * Errors     as api.h
 * Limits     A base is at most CPR_BASE_AGE versions old (C12).
 * Source     Prasaad, Chandramouli and Kossmann, SIGMOD 2019 (concurrent prefix
 *            recovery); models/cpr.pml
 * Tests      tests/cpr/{validate_switch,torture_prefix,torture_recover}.c
 */
#ifndef FASTER_CPR_CHECKPOINT_H
#define FASTER_CPR_CHECKPOINT_H

#include "cpr/copy_delta.h"
#include "cpr/copy_index.h"
#include "cpr/copy_pages.h"
#include "store/pending.h"

enum { CPR_BASE_AGE = 127 };

/* The steps of a checkpoint; a step that timed out is gone on with. */
enum cpr_step {
    CPR_BEGUN,
    CPR_HOLDING,   /* waits for the index to stop growing */
    CPR_COPYING,   /* the index is read */
    CPR_PREPARING, /* everyone is to see PREPARE */
    CPR_DRAINING,
    CPR_PREPARED,
    CPR_SHIFTING, /* everyone is to see IN_PROGRESS */
    CPR_PADDING,
    CPR_SETTLING, /* everyone who reserved below final is to leave */
    CPR_CAPTURED,
    CPR_WRITING, /* the streams are read, the log is flushed */
    CPR_PERSISTED
};

struct faster_checkpoint {
    struct faster_kv *kv;
    struct epoch_slot *slot;
    struct faster_checkpoint_config config;
    struct faster_checkpoint_facts facts;
    enum cpr_step step;
    uint32_t next_version;
    uint64_t bumped; /* the epoch that the step waits for */
    bool holds_growth;
    uint32_t ended; /* streams that were read to their end, a bit for each part */

    struct faster_point *points;

    union {
        struct copy_index index;
        struct copy_delta delta;
        struct copy_pages pages;
    } copy;
    uint32_t copying; /* which of them, an enum faster_part; 0: none has begun */
};

#endif
