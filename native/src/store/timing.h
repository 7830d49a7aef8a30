/* SPDX-License-Identifier: MIT */
/*
 * timing.h: how long operations take
 *
 * Level 5.  Includes: base, session, store.
 *
 * Purpose
 *   Looking at the clock costs as much as an operation in memory.  So one operation in
 *   so many is timed, and the others pay for a countdown and a branch.  What waits for
 *   the device is slow enough to be timed each time.
 *
 * Model
 *   session->ticks counts down, once for each single operation that got inside.  At 0
 *   timing_is_due sets it anew; the operation then leaves, and calls itself between two
 *   looks at the clock.  So the path of all others holds nothing that timing needs, and
 *   what is timed is that path, with the checks before it.
 *
 *   Histograms are the store's, not the session's: what is added rarely may be shared,
 *   and a store has thousands of sessions.
 *
 * Invariants
 *   I1  ticks is at least 1 outside, and above 1 when a timed operation calls itself:
 *       that one is not timed in turn.
 *   I2  A histogram has only operations that ended: none that is to be made again, went
 *       to the device, or failed.
 * Ordering   Relaxed throughout: figures.
 * Progress   wait-free; faster_kv_sample waits a little for who is inside
 * Threads    timing_is_due inside the slot; all else any
 * Errors     none
 * Limits     one operation in 2^31
 * Source     none
 * Tests      tests/store/{validate_figures,validate_timing,validate_cost,
 *            torture_timing}.c
 */
#ifndef FASTER_STORE_TIMING_H
#define FASTER_STORE_TIMING_H

#include "base/histogram.h"
#include "base/thread.h"
#include "store/store.h"

/* Begin: time one operation in `every`; 0: none. */
void timing_init(struct faster_kv *kv, uint32_t every);

/* Whether so many are a power of two within the limit, or 0. */
bool timing_is_sane(uint32_t every);

/* How many lie between two that are timed; 0: none is. */
uint32_t timing_every(struct faster_kv *kv);

/* How many ticks a session begins with. */
uint32_t timing_ticks(struct faster_kv *kv);

/* Inside, when ticks is 0: set it anew, and say whether to time this operation. */
bool timing_is_due(struct faster_session *session);

/* Outside: a single operation that began at `begun` has given `result`.  `operation`:
 * enum faster_operation_kind. */
void timing_note(struct faster_session *session, uint32_t operation, int result,
                 uint64_t begun);

/* Something that began at `begun` is over; `timed` is an enum faster_timed of what the
 * store itself times. */
void timing_add(struct faster_kv *kv, uint32_t timed, uint64_t begun);

#endif
