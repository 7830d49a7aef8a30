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
 *   leave begin, head, read_only and the phase are what the store said at entry.
 *
 *   The store's global word says (phase, version).  A session that finds another
 *   version there switches (C1): it notes its last serial as the commit point of the
 *   version it leaves, and goes on in the new one.  What the phase allows it is kept
 *   beside (session_switch):
 *
 *      phase                 in place                      newer records (C2)
 *      REST, INDEX_COPY      any, stamped (R2)             cannot be
 *      PREPARE(v)            of version v                  looked for
 *      IN_PROGRESS(v+1) ...  of version v+1, at or above   cannot be
 *                            the fuzzy start (C3, C12)
 *
 * Invariants
 *   I1  Fields without _Atomic are touched only by whoever is inside (or is opening or
 *       freeing the session).
 *   I2  serial counts updates that were done (C1): also those that changed nothing,
 *       never those that failed.
 *   I3  Once closed is set, nobody gets in.
 *   I4  version changes only at an entry or a refresh, before any operation of the new
 *       one, and never while an update has its serial and is not done (C1, C4).
 *   I5  An update that has its serial number is done before the session ends, unless
 *       the store ends: who frees a handle leaves an orphan, which the store keeps, and
 *       others bring forward as helpers (C4), until it is (C5).
 *
 * Ordering
 *   M1  Guarded state is loaded seq_cst after the slot's CAS (epoch.h M1).
 *   M2  serial is stored release after the update's effect, and loaded acquire.
 *   M3  closed is stored seq_cst by who is inside, and loaded seq_cst after the slot's
 *       CAS: who enters later sees it.  It is loaded before the CAS too: the slot of a
 *       closed session may be another's by now, which must neither be found busy (the
 *       caller would be told of misuse that is none) nor be held for a moment.
 *   M4  A switch stores committed, then current (release).  Who captures loads serial
 *       (acquire), then current (acquire), then, where it has moved on, committed
 *       (C5).  Were current loaded first, a serial of the new version could pass for
 *       one of the old.
 *   M5  orphan is stored release by who frees the handle, as the last thing done with
 *       it, and loaded acquire under the store's lock, by who ends the session.
 *
 * Progress   wait-free
 * Threads    one inside at a time, which the slot enforces (E2)
 * Errors     FASTER_E_FORKED, FASTER_E_CLOSED, FASTER_E_BUSY, FASTER_RETRY
 * Limits     EPOCH_SLOTS_MAX
 * Source     Chandramouli et al., SIGMOD 2018, section 2.5 (sessions)
 * Tests      tests/session/validate_session.c, tests/store/validate_misuse.c,
 *            tests/cpr/{validate_switch,torture_orphans,torture_prefix}.c
 */
#ifndef FASTER_SESSION_SESSION_H
#define FASTER_SESSION_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fork.h"
#include "epoch/epoch.h"
#include "format/record_format.h"
#include "index/index.h"
#include "log/hlog.h"

/* The store's global word: version in the low half, then the phase, flags above. */
#define STATE_CLOSED ((uint64_t)1 << 63)
#define STATE_VERSION_MASK ((uint64_t)0xffffffffu)
enum { STATE_PHASE_SHIFT = 32, STATE_PHASE_MASK = 7 };

static inline uint32_t state_version(uint64_t state) {
    return (uint32_t)(state & STATE_VERSION_MASK);
}

static inline uint32_t state_phase(uint64_t state) {
    return (uint32_t)(state >> STATE_PHASE_SHIFT) & STATE_PHASE_MASK;
}

static inline uint64_t state_make(uint32_t phase, uint32_t version) {
    return (uint64_t)phase << STATE_PHASE_SHIFT | version;
}

/* What a session has done; each is written by its session and read by stats.  With
 * FASTER_NO_COUNTING nothing is counted or timed: so is measured what that costs. */
enum session_count {
    COUNT_READ_HIT,
    COUNT_READ_MISS,
    COUNT_UPSERT, /* updates that were made: in the order of enum update_kind */
    COUNT_INSERT,
    COUNT_DELETE,
    COUNT_RMW,
    COUNT_COMPARE,
    COUNT_DISCARD,
    COUNT_INSERT_FOUND, /* updates that left things as they were */
    COUNT_DELETE_MISSED,
    COUNT_COMPARE_REFUSED,
    COUNT_FAILED,         /* operations that ended in an error */
    COUNT_READ_PENDING,   /* that had to wait for the device */
    COUNT_UPDATE_PENDING, /* the same, or waited behind one that had to */
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
    const _Atomic uint64_t *fuzzy_start; /* of the last checkpoint (C4) */
    uint32_t generation;
    uint64_t id; /* of a session that has a name; 0 for one that has none */

    /* guarded state as of the last entry or refresh (I1) */
    uint64_t seen; /* the global word */
    uint32_t version;
    bool stamps;  /* a record of an older version may be changed in place (R2) */
    bool watches; /* records of the next version may be met (C2) */
    uint64_t begin;
    uint64_t head;
    uint64_t new_from;     /* no record below is of this version (C12) */
    uint64_t mutable_from; /* what may be changed in place begins here */

    /* the session's own */
    struct pending_queue *queue; /* NULL when the store has no device */
    struct index_tally tally;
    uint8_t *scratch; /* merged values are built here */
    uint64_t scratch_size;
    uint64_t scratch_need;
    uint32_t ticks;    /* operations until one is timed (store/timing.h) */
    uint32_t untraced; /* that were not told (store/tracing.h) */

    /* written here, read by others */
    _Atomic uint64_t serial;    /* M2 */
    _Atomic uint64_t committed; /* the last serial before the last switch (M4) */
    _Atomic uint32_t current;   /* version, for who captures (M4) */
    _Atomic bool closed;        /* M3 */
    _Atomic bool orphan;        /* M5 */
    _Atomic uint64_t held;      /* bytes of scratch: a figure */
    _Atomic uint64_t traced;    /* store/tracing.h */
    _Atomic uint64_t counts[COUNT_KINDS];

    /* written outside, by whoever waits */
    _Atomic uint32_t waits;

    /* the store's list, under its lock */
    struct faster_session *next;
    struct faster_session *prev;
};

/* The global word has changed: go over to its version (C1), and to what its phase
 * allows. */
void session_switch(struct faster_session *session, uint64_t state);

FASTER_INLINE void session_look(struct faster_session *session, uint64_t state) {
    if (faster_unlikely(state != session->seen)) {
        session_switch(session, state);
    }
    uint64_t read_only = hlog_read_only(session->log);
    session->begin = hlog_begin(session->log);
    session->head = hlog_head(session->log);
    session->mutable_from =
        read_only > session->new_from ? read_only : session->new_from;
}

/* Whether a record at or above mutable_from may be changed in place by its version. */
FASTER_INLINE bool session_may_change(const struct faster_session *session,
                                      uint64_t info) {
    return session->stamps || info_version(info) == (session->version & 0xffu);
}

FASTER_INLINE bool session_is_closed(struct faster_session *session) {
    return atomic_load_explicit(&session->closed, memory_order_seq_cst); /* M3 */
}

/* Under the store's lock: whether the session's handle is gone. */
static inline bool session_is_orphan(struct faster_session *session) {
    return atomic_load_explicit(&session->orphan, memory_order_acquire); /* M5 */
}

/* Inside the slot since just now: look at the world, unless that has ended. */
FASTER_INLINE int session_arrive(struct faster_session *session) {
    uint64_t state =
        atomic_load_explicit(session->state, memory_order_seq_cst); /* M1 */
    if (faster_unlikely((state & STATE_CLOSED) != 0 || session_is_closed(session))) {
        epoch_leave(session->epoch, session->slot);
        return FASTER_E_CLOSED;
    }
    session_look(session, state);
    return FASTER_OK;
}

FASTER_INLINE int session_enter(struct faster_session *session) {
    if (faster_unlikely(session->generation != fork_generation())) {
        return FASTER_E_FORKED;
    }
    if (faster_unlikely(session_is_closed(session))) {
        return FASTER_E_CLOSED;
    }
    int result = epoch_enter(session->epoch, session->slot);
    return faster_likely(result == FASTER_OK) ? session_arrive(session) : result;
}

/* C4: as session_enter, for whoever does the work of a session that does not come.  The
 * session's own thread meanwhile gets FASTER_RETRY. */
FASTER_INLINE int session_enter_helper(struct faster_session *session) {
    int result = epoch_enter_helper(session->epoch, session->slot);
    return result == FASTER_OK ? session_arrive(session) : result;
}

FASTER_INLINE void session_leave(struct faster_session *session) {
    epoch_leave(session->epoch, session->slot);
}

FASTER_INLINE void session_count_by(struct faster_session *session,
                                    enum session_count kind, uint64_t n) {
#if defined(FASTER_NO_COUNTING)
    (void)session;
    (void)kind;
    (void)n;
#else
    /* relaxed: one writer, and a figure */
    uint64_t before =
        atomic_load_explicit(&session->counts[kind], memory_order_relaxed);
    /* relaxed: as above */
    atomic_store_explicit(&session->counts[kind], before + n, memory_order_relaxed);
#endif
}

FASTER_INLINE void session_count(struct faster_session *session,
                                 enum session_count kind) {
    session_count_by(session, kind, 1);
}

/* Inside: an operation begins.  Whether its turn to be timed may have come. */
FASTER_INLINE bool session_tick(struct faster_session *session) {
#if defined(FASTER_NO_COUNTING)
    (void)session;
    return false;
#else
    return faster_unlikely(--session->ticks == 0);
#endif
}

/* Number an update that is done (I2). */
FASTER_INLINE void session_issue(struct faster_session *session) {
    /* relaxed: one writer */
    uint64_t serial = atomic_load_explicit(&session->serial, memory_order_relaxed);
    atomic_store_explicit(&session->serial, serial + 1, memory_order_release); /* M2 */
}

/* Outside: enter, and wait while a helper is inside, which is for one step. */
int session_enter_soon(struct faster_session *session);

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
