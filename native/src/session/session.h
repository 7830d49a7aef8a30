/* SPDX-License-Identifier: MIT */
/*
 * session.h: one logical thread of operations
 *
 * Level 4.  Includes: base, epoch, log, index.
 *
 * Purpose
 *   Every operation is made through a session.  It owns an epoch slot, so entering it
 *   is entering the epoch and locking the session in one step; it numbers the updates;
 *   and it keeps, for the time inside, the guarded state as of its entry.
 *
 * Model
 *   enter ... leave around each operation, refresh inside long ones.  Between enter and
 *   leave begin, head, read_only and version are what the store said at entry.
 *
 * Invariants
 *   I1  Fields without _Atomic are touched only by whoever is inside (or is opening or
 *       freeing the session).
 *   I2  serial counts updates that were done (C1): also those that changed nothing,
 *       never those that failed.
 *   I3  Once closed is set, nobody gets in.
 *
 * Ordering
 *   M1  Guarded state is loaded seq_cst after the slot's CAS (epoch.h M1).
 *   M2  serial is stored release after the update's effect, and loaded acquire.
 *   M3  closed is stored seq_cst by who is inside, and loaded seq_cst after the slot's
 *       CAS: who enters later sees it.  It is loaded before the CAS too: the slot of a
 *       closed session may be another's by now, which must neither be found busy (the
 *       caller would be told of misuse that is none) nor be held for a moment.
 *
 * Progress   wait-free
 * Threads    one inside at a time, which the slot enforces (E2)
 * Errors     FASTER_E_FORKED, FASTER_E_CLOSED, FASTER_E_BUSY, FASTER_RETRY
 * Limits     EPOCH_SLOTS_MAX
 * Source     Chandramouli et al., SIGMOD 2018, section 2.5 (sessions)
 * Tests      tests/session/validate_session.c, tests/store/validate_misuse.c
 */
#ifndef FASTER_SESSION_SESSION_H
#define FASTER_SESSION_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fork.h"
#include "epoch/epoch.h"
#include "index/index.h"
#include "log/hlog.h"

/* The store's global word: version in the low half, flags above. */
#define STATE_CLOSED ((uint64_t)1 << 63)
#define STATE_VERSION_MASK ((uint64_t)0xffffffffu)

/* What a session has done; each is written by its session and read by stats. */
enum session_count {
    COUNT_READ_HIT,
    COUNT_READ_MISS,
    COUNT_UPSERT,
    COUNT_INSERT,
    COUNT_RMW,
    COUNT_DELETE,
    COUNT_COMPARE,
    COUNT_RETRY,
    COUNT_CACHE_HIT, /* lookups that ended in the read cache */
    COUNT_KINDS
};

struct pending_queue;

struct faster_session {
    /* set when opened; the struct is a session's alone, to the cache line */
    _Alignas(CACHE_LINE) struct faster_kv *kv;
    struct epoch *epoch;
    struct epoch_slot *slot;
    struct hlog *log;
    _Atomic uint64_t *state;
    uint32_t generation;

    /* guarded state as of the last entry or refresh (I1) */
    uint32_t version;
    uint64_t begin;
    uint64_t head;
    uint64_t read_only;

    /* the session's own */
    struct pending_queue *queue; /* NULL when the store has no device */
    struct index_tally tally;
    uint8_t *scratch; /* merged values are built here */
    uint64_t scratch_size;
    uint64_t scratch_need;

    /* written here, read by others */
    _Atomic uint64_t serial; /* M2 */
    _Atomic bool closed;     /* M3 */
    _Atomic uint64_t counts[COUNT_KINDS];

    /* written outside, by whoever waits */
    _Atomic uint32_t waits;

    /* the store's list, under its lock */
    struct faster_session *next;
    struct faster_session *prev;
};

FASTER_INLINE void session_look(struct faster_session *session, uint64_t state) {
    session->version = (uint32_t)(state & STATE_VERSION_MASK);
    session->begin = hlog_begin(session->log);
    session->head = hlog_head(session->log);
    session->read_only = hlog_read_only(session->log);
}

FASTER_INLINE bool session_is_closed(struct faster_session *session) {
    return atomic_load_explicit(&session->closed, memory_order_seq_cst); /* M3 */
}

FASTER_INLINE int session_enter(struct faster_session *session) {
    if (faster_unlikely(session->generation != fork_generation())) {
        return FASTER_E_FORKED;
    }
    if (faster_unlikely(session_is_closed(session))) {
        return FASTER_E_CLOSED;
    }
    int result = epoch_enter(session->epoch, session->slot);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    uint64_t state =
        atomic_load_explicit(session->state, memory_order_seq_cst); /* M1 */
    if (faster_unlikely((state & STATE_CLOSED) != 0 || session_is_closed(session))) {
        epoch_leave(session->epoch, session->slot);
        return FASTER_E_CLOSED;
    }
    session_look(session, state);
    return FASTER_OK;
}

FASTER_INLINE void session_leave(struct faster_session *session) {
    epoch_leave(session->epoch, session->slot);
}

FASTER_INLINE void session_count_by(struct faster_session *session,
                                    enum session_count kind, uint64_t n) {
    /* relaxed: one writer, and a figure */
    uint64_t before =
        atomic_load_explicit(&session->counts[kind], memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&session->counts[kind], before + n, memory_order_relaxed);
}

FASTER_INLINE void session_count(struct faster_session *session,
                                 enum session_count kind) {
    session_count_by(session, kind, 1);
}

/* Number an update that is done (I2). */
FASTER_INLINE void session_issue(struct faster_session *session) {
    /* relaxed: one writer */
    uint64_t serial = atomic_load_explicit(&session->serial, memory_order_relaxed);
    atomic_store_explicit(&session->serial, serial + 1, memory_order_release); /* M2 */
}

/* An attempt met somebody: look at the world anew.  Returns 0 or -ENOMEM when the
 * attempt had asked for a larger scratch. */
int session_again(struct faster_session *session);

/* Begin anew inside a long operation: a closed store is noticed at the next entry. */
FASTER_INLINE void session_refresh(struct faster_session *session) {
    epoch_refresh(session->epoch, session->slot);
    session_look(session,
                 atomic_load_explicit(session->state, memory_order_seq_cst)); /* M1 */
}

#endif
