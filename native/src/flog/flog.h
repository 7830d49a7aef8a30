/* SPDX-License-Identifier: MIT */
/*
 * flog.h: the pieces of one durable log
 *
 * Level 5.  Includes: base, device, epoch, format, hash, log, worker.
 *
 * Purpose
 *   Entries are appended by many threads at once and become durable in groups.  The log
 *   of hlog.h takes them, disk.h writes them; what is here decides when, makes sure
 *   that a commit covers no byte that is still being written, and reads it all back.
 *
 * Model
 *   append   enter an epoch slot that is free, reserve, write the entry, leave (D1)
 *   commit   the first who comes leads: it reserves a record and a filler to the end of
 *            its sector, lets everybody leave who was inside, has all below flushed and
 *            synced, and publishes; the others wait, and one of them leads next
 *   scan     only what is committed, always from the device
 *
 *      begin            committed        flushed        tail
 *        | on the device,  | on its way    | being       |
 *        | durable         |               | written     |
 *
 * Invariants
 *   I1  `committed` is the end of a commit record's filler (or where a life began), and
 *       everything below it is durable.  It falls only when the end is cut off.
 *   I2  Record numbers ascend with addresses: both are taken under `lock`.
 *   I3  A life appends nothing before the caller has its slots written: a log that was
 *       opened or restarted begins behind them.
 *   I4  At most commits_in_flight leaders at a time, none while it is suspended but who
 *       suspends it.
 *
 * Ordering
 *   M1  `state` is changed seq_cst, then bumped; whoever appends loads it seq_cst after
 *       entering (epoch.h M1).  Without it an entry could come behind a cut.
 *   M2  `committed` is stored release when the sync has ended; who loads it acquire may
 *       read everything below from the device.
 *   M3  `users` counts calls under way (seq_cst); close sets CLOSED, then waits for 0;
 *       a call counts itself, then looks at the state.  Without it the log could be
 *       freed under a call.
 *   M4  `failed` is stored release before FAILED is set in the state.
 *   M5  `begin` is raised seq_cst, and loaded acquire by whoever reads.
 *   M6  `era` is raised release after new lives are in place, under `lock`; a scan
 *       loads it acquire, and then takes the lives under `lock`.
 *
 * Progress   append: lock-free, or FASTER_RETRY.  A commit blocks for the device.
 * Threads    any
 * Errors     as faster/flog.h
 * Limits     FLOG_SLOTS appends at the same moment; more wait
 * Source     Chandramouli et al., SIGMOD 2018, on the hybrid log; group commit is
 *            DeWitt et al., SIGMOD 1984
 * Tests      tests/flog/
 */
#ifndef FASTER_FLOG_FLOG_H
#define FASTER_FLOG_FLOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/condition.h"
#include "base/fork.h"
#include "base/histogram.h"
#include "base/thread.h"
#include "device/device.h"
#include "epoch/epoch.h"
#include "faster/flog.h"
#include "flog/lives.h"
#include "log/disk.h"
#include "log/hlog.h"
#include "worker/worker.h"

/* Enough for every thread of a machine to be inside at once; all of one chunk. */
enum { FLOG_SLOTS = EPOCH_CHUNK_SLOTS };

/* Event loops of one process; more are a leak. */
enum { FLOG_NOTIFY_MAX = 4096 };

/* Bits of `state`. */
enum {
    FLOG_CLOSED = 1,
    FLOG_SUSPENDED = 2,
    FLOG_FAILED = 4,
    FLOG_ENDED = 8 /* the addresses run out: entries are refused, commits are not */
};

/* A suspension whose call ran out of time is kept until it is tried again or given up:
 * else somebody who appends could keep it from ever being reached. */
enum flog_suspension {
    SUSPENSION_NONE,
    SUSPENSION_TAKEN, /* a call is inside */
    SUSPENSION_BEGUN, /* its time ran out */
    SUSPENSION_HELD
};

/* What one slot's holders have counted; written inside the slot only. */
struct flog_count {
    _Alignas(CACHE_LINE) _Atomic uint64_t entries;
    _Atomic uint64_t bytes;
};

/* Commits by themselves: a thread that sleeps until it is asked, or for a while. */
struct flog_committer {
    struct lock lock;
    struct condition wake;
    struct thread thread;
    bool started; /* under the lock, down to wanted */
    bool stop;
    uint64_t wanted; /* commit up to here */
};

struct faster_flog {
    /* set once */
    struct faster_device device; /* a copy: the owner of the original may go */
    uint64_t log_id;
    uint64_t page_size;
    uint64_t payload_max;
    uint64_t entries_end; /* beyond it there is only room for commits */
    uint64_t unit;
    uint64_t commit_bytes;
    uint32_t commit_ms;
    uint32_t commits_in_flight;
    uint32_t fork_generation;
    bool read_only;

    struct epoch epoch;
    struct budget budget;
    struct worker worker;
    struct hlog log; /* not of a read-only log */
    struct epoch_slot *slots[FLOG_SLOTS];

    /* read by every append */
    _Alignas(CACHE_LINE) _Atomic uint32_t state; /* M1 */
    _Atomic int failed;                          /* M4 */
    uint64_t generation;                         /* changed while suspended */
    uint64_t life_seed;                          /* of its entries' checksums */
    _Atomic uint64_t asked_until;                /* the committer was asked so far */

    _Alignas(CACHE_LINE) _Atomic uint64_t users; /* M3 */
    _Atomic uint32_t scans;
    _Atomic uint32_t room_waiters;

    /* written by commits */
    _Alignas(CACHE_LINE) _Atomic uint64_t committed; /* M2 */
    _Atomic uint64_t begin;                          /* M5 */
    _Atomic uint64_t era;                            /* M6 */
    _Atomic uint64_t commit_waits;                   /* figures, down to syncs */
    _Atomic uint64_t waits;
    _Atomic uint64_t syncs;
    struct histogram commit_times;

    struct lock flushing; /* who does the worker's rounds (disk.h) */

    /* under `lock` */
    struct lock lock;
    struct condition moved; /* a commit has ended, or the log has */
    struct condition room;  /* appending may be worth an attempt */
    uint64_t number;        /* of the last durable commit */
    uint64_t next_number;
    uint64_t promised;    /* the leaders' records end here */
    uint64_t promised_ns; /* when the turn of the last of them came */
    uint32_t leaders;
    struct flog_lives *lives;
    uint64_t failed_from;
    uint64_t failed_until;
    uint32_t notified;
    uint32_t notify_capacity;
    int64_t *notify;
    uint8_t *attachment;
    uint64_t attachment_size;
    uint64_t commits;
    enum flog_suspension suspension;
    bool released; /* by somebody, */
    bool gone;     /* who is through with it */

    struct flog_committer committer;
    struct flog_count counts[FLOG_SLOTS];
};

/* Count a call that may block, and leave it: FASTER_OK, FASTER_E_CLOSED or
 * FASTER_E_FORKED. */
int flog_begin_call(struct faster_flog *log);
void flog_end_call(struct faster_flog *log);

/* Why nothing more is taken: of a state that is not 0. */
int flog_refusal(struct faster_flog *log, uint32_t state);

/* Stop for good (D3); the first reason stays. */
void flog_fail(struct faster_flog *log, int status, uint64_t from, uint64_t until);

/* Under `lock`: wake whoever waits for a commit or for room. */
void flog_wake(struct faster_flog *log);

/* One round of the worker (worker_fn). */
bool flog_work(void *context);

/* Commit everything below `until`; who suspends the log leads all the same. */
int flog_commit_until(struct faster_flog *log, uint64_t until, uint64_t deadline,
                      bool suspending);

/* The thread that commits by itself. */
int flog_committer_init(struct flog_committer *committer);
void flog_committer_destroy(struct flog_committer *committer);
int flog_committer_ask(struct faster_flog *log, uint64_t until);
int flog_committer_start(struct faster_flog *log);
void flog_committer_stop(struct faster_flog *log);
void flog_committer_reset(struct faster_flog *log);

static inline uint32_t flog_state(struct faster_flog *log) {
    return atomic_load_explicit(&log->state, memory_order_seq_cst); /* M1 */
}

static inline uint64_t flog_committed(struct faster_flog *log) {
    return atomic_load_explicit(&log->committed, memory_order_acquire); /* M2 */
}

static inline uint64_t flog_begin(struct faster_flog *log) {
    return atomic_load_explicit(&log->begin, memory_order_acquire); /* M5 */
}

/* A copy of the lives as they are, which the caller frees; NULL without memory. */
struct flog_lives *flog_lives_copy(struct faster_flog *log);

#endif
