/* SPDX-License-Identifier: MIT */
/*
 * tracing.h: telling of single operations
 *
 * Level 5.  Includes: base, events, session, store.
 *
 * Purpose
 *   A histogram says that some operations are slow, not which part of them.  Of the
 *   operations that are timed (timing.h) a listener is told one by one; and when one of
 *   them has to wait for the device, its end is told with the same number, so that both
 *   halves can be put together.
 *
 * Model
 *   timing_note comes here with each timed operation, which gets the store's next
 *   number.  If it has to wait, its session keeps the number for the operation that
 *   faster_start begins next: the same one, for who is told FASTER_PENDING starts what
 *   he has asked for.  Of all others that may have to wait, those of batches among
 *   them, one in so many is told, without a number.
 *
 * Invariants
 *   I1  A number is told with at most one operation that was timed and at most one that
 *       waited, of one session and one kind.
 * Ordering   Relaxed: the session's word is its own thread's; the number is a counter.
 * Progress   wait-free but for events_post
 * Threads    tracing_timed outside, all else inside the slot
 * Errors     none
 * Limits     2^56 numbers
 * Source     none
 * Tests      tests/store/validate_tracing.c
 */
#ifndef FASTER_STORE_TRACING_H
#define FASTER_STORE_TRACING_H

#include "store/pending.h"

/* A single operation that was timed has ended with `result`, or has to wait. */
void tracing_timed(struct faster_session *session, uint32_t operation, int result,
                   uint64_t begun);

/* An operation that may have to wait begins. */
void tracing_begin(struct faster_session *session, struct faster_pending *pending);

/* It has ended, after having waited. */
void tracing_end(struct faster_session *session, const struct faster_pending *pending);

/* A read for it has failed with `status`, and is made again or not; or has succeeded
 * after that. */
void tracing_read_failed(struct faster_session *session, struct faster_pending *pending,
                         int status, bool again);
void tracing_read_done(struct faster_session *session, struct faster_pending *pending);

#endif
