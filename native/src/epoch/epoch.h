/* SPDX-License-Identifier: MIT */
/*
 * epoch.h: knowing when no thread can still be looking
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   A thread that reads shared memory without locks must be able to say so, and a
 *   thread that wants to reuse memory must be able to learn that nobody still says so.
 *   Everything else in this store that sounds like magic (moving regions, growing the
 *   index, a checkpoint's phases) is "do X once every thread has seen Y".
 *
 * Model
 *   One counter, `current`.  One slot per session: 0 when idle, else the epoch at which
 *   the session entered.  A list of (epoch, action) to run once every slot that is not
 *   idle holds a later epoch.  The slot is also the session's lock: who fails to change
 *   it from 0 does not get in (E2).  A helper marks its epoch with EPOCH_HELPER.
 *
 * Invariants
 *   I1  `current` never decreases, and starts at 1.
 *   I2  A slot holds 0, or an epoch not above `current`, perhaps with EPOCH_HELPER.
 *   I3  An action filed with the bump from e runs exactly once, after a scan in which
 *       every slot that was not 0 held an epoch above e.  A slot entered after that
 *       scan may hold a stale epoch: it sees the new state all the same (M1).
 *   I4  Actions run outside each other: draining never nests.
 *
 * Ordering
 *   M1  enter: CAS slot 0 -> current (seq_cst), then load guarded state (seq_cst).
 *       bump:  store new state, add to current, then load every slot (all seq_cst).
 *       In the single order of these, either the scan sees the slot, or the loads after
 *       the CAS see the new state.  Without it a thread could enter unseen and keep a
 *       pointer that we then reuse.  A stale `current` in the CAS only delays bumps.
 *   M2  leave: store 0 (release).  Pairs with the slot loads of a scan: what the thread
 *       read and wrote happens before the action that waited for it.
 *   M3  An action's fields are stored before its epoch (release); who takes it reads
 *       the epoch first (acquire).  Without it an action could run with a stale
 *       context.
 *   M4  Chunks are published in order by a CAS (seq_cst), and a scan loads the pointers
 *       (seq_cst) up to the first that is missing.  A slot of a chunk that the scan did
 *       not see is entered after the scan in the single order of M1, and so sees the
 *       new state.
 *
 * Progress   enter, leave, refresh: wait-free.  bump and drain: lock-free.
 *            epoch_wait ends when the sessions that were inside have left or refreshed;
 *            they may not wait for anything while inside (E4).
 * Threads    A slot is written by whoever won the CAS from 0, until it stores 0 again.
 * Errors     FASTER_E_SESSIONS when no slot is left, -ENOMEM; FASTER_E_FULL when the
 *            action list is; FASTER_E_BUSY or FASTER_RETRY from enter.
 * Limits     EPOCH_SLOTS_MAX sessions, EPOCH_ACTIONS_MAX pending actions.
 * Source     Chandramouli et al., SIGMOD 2018, section 2.4 (epoch protection)
 * Tests      tests/epoch/{validate_enter,validate_actions,torture_reuse}.c
 */
#ifndef FASTER_EPOCH_EPOCH_H
#define FASTER_EPOCH_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "faster/status.h"

enum {
    EPOCH_CHUNK_SLOTS = 64, /* one page of 4 KiB */
    EPOCH_CHUNKS_MAX = 65,  /* 4096 sessions, and a few slots of the store's own */
    EPOCH_SLOTS_MAX = EPOCH_CHUNK_SLOTS * EPOCH_CHUNKS_MAX,
    EPOCH_ACTIONS_MAX = 64 /* more than the store ever has under way */
};

#define EPOCH_HELPER ((uint64_t)1 << 63)

struct epoch_slot {
    _Alignas(CACHE_LINE) _Atomic uint64_t word; /* M1, M2 */
    _Atomic uint32_t taken;                     /* 1 while a session owns the slot */
};

struct epoch_chunk {
    struct epoch_slot slots[EPOCH_CHUNK_SLOTS];
};

typedef void (*epoch_action_fn)(void *context);

struct epoch_action {
    _Atomic uint64_t epoch; /* ACTION_FREE, ACTION_TAKEN, or bumped from (M3) */
    epoch_action_fn run;
    void *context;
};

struct epoch {
    /* read by every operation, written by bumps */
    _Alignas(CACHE_LINE) _Atomic uint64_t current;
    _Atomic uint32_t waiting; /* actions filed and not yet run */

    /* written when a chunk of slots is added */
    _Alignas(CACHE_LINE) uint32_t slots_max; /* set once */
    _Atomic(struct epoch_chunk *) chunks[EPOCH_CHUNKS_MAX];

    struct epoch_action actions[EPOCH_ACTIONS_MAX];
};

void epoch_init(struct epoch *epoch, uint32_t slots_max);
void epoch_destroy(struct epoch *epoch);

/* Take and give back a slot.  A slot stays in memory until epoch_destroy. */
int epoch_slot_take(struct epoch *epoch, struct epoch_slot **slot);
void epoch_slot_give(struct epoch_slot *slot);

/* Run what is due.  Called inside or outside an epoch, never from an action. */
void epoch_drain(struct epoch *epoch);

/* Let later readers of `current` be told from earlier ones; returns the epoch bumped
 * from.  The new guarded state was stored (seq_cst) before. */
uint64_t epoch_bump(struct epoch *epoch);

/* Bump, and run `action` once nobody is left who entered before.  Actions only move
 * words and post work (E3).  Returns 0, or FASTER_E_FULL without having bumped. */
int epoch_bump_with(struct epoch *epoch, epoch_action_fn action, void *context);

/* Whether every slot that is not idle holds an epoch above `bumped_from`. */
bool epoch_is_safe(struct epoch *epoch, uint64_t bumped_from);

/* The earliest epoch that anybody is inside of; `current` when nobody is. */
uint64_t epoch_oldest(struct epoch *epoch);

/* Outside any slot: wait until epoch_is_safe, draining meanwhile. */
void epoch_wait(struct epoch *epoch, uint64_t bumped_from);

/* What a failed entry means: a helper is inside, or another thread is. */
static inline int epoch_refusal(uint64_t occupant) {
    return (occupant & EPOCH_HELPER) != 0 ? FASTER_RETRY : FASTER_E_BUSY;
}

FASTER_INLINE int epoch_enter(struct epoch *epoch, struct epoch_slot *slot) {
    uint64_t idle = 0;
    /* relaxed: a stale value only delays bumps (M1) */
    uint64_t now = atomic_load_explicit(&epoch->current, memory_order_relaxed);
    if (faster_likely(atomic_compare_exchange_strong_explicit(
            &slot->word, &idle, now, memory_order_seq_cst,
            memory_order_relaxed))) { /* M1, with epoch_oldest */
        return FASTER_OK;
    }
    return epoch_refusal(idle);
}

/* The same by another thread than the session's, which marks its epoch. */
static inline int epoch_enter_helper(struct epoch *epoch, struct epoch_slot *slot) {
    uint64_t idle = 0;
    /* relaxed: as in epoch_enter */
    uint64_t now = atomic_load_explicit(&epoch->current, memory_order_relaxed);
    return atomic_compare_exchange_strong_explicit(
               &slot->word, &idle, now | EPOCH_HELPER, memory_order_seq_cst,
               memory_order_relaxed) /* M1 */
               ? FASTER_OK
               : FASTER_E_BUSY;
}

FASTER_INLINE void epoch_leave(struct epoch *epoch, struct epoch_slot *slot) {
    atomic_store_explicit(&slot->word, 0, memory_order_release); /* M2 */
    /* relaxed: a missed action is found by the next caller or by who waits */
    if (faster_unlikely(atomic_load_explicit(&epoch->waiting, memory_order_relaxed) !=
                        0)) {
        epoch_drain(epoch);
    }
}

/* Inside: become as late as an entry made now.  All that was read before is void. */
FASTER_INLINE void epoch_refresh(struct epoch *epoch, struct epoch_slot *slot) {
    /* relaxed: as in epoch_enter */
    uint64_t now = atomic_load_explicit(&epoch->current, memory_order_relaxed);
    /* relaxed: one's own word */
    uint64_t mark =
        atomic_load_explicit(&slot->word, memory_order_relaxed) & EPOCH_HELPER;
    atomic_store_explicit(&slot->word, now | mark,
                          memory_order_seq_cst); /* M1, epoch_oldest */
    /* relaxed: as in epoch_leave */
    if (faster_unlikely(atomic_load_explicit(&epoch->waiting, memory_order_relaxed) !=
                        0)) {
        epoch_drain(epoch);
    }
}

#endif
