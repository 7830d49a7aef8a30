/* SPDX-License-Identifier: MIT */
/*
 * events.h: telling somebody what happens, without waiting for him
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   Pages turn, writes end and devices fail on threads that must not wait, some of them
 *   inside an epoch.  Whoever listens runs code of a user, which may take any time.  So
 *   what happens is written down here and told elsewhere; and a listener that is too
 *   slow costs events, which are counted, and nothing else.
 *
 * Model
 *   A ring of cells, each with a record and a turn.  A position counts up for ever; the
 *   cell is its low bits.
 *
 *      turn == position        free for the writer of that position
 *      turn == position + 1    written, for the reader
 *      turn == position + capacity   read: free for the next round
 *
 *   Writers take positions from `tail` by CAS; the one reader owns `head`.  A writer
 *   that finds the cell of the tail not yet read has no room: it adds one to `missing`
 *   and leaves.  The next writer that has room takes `missing` with it, so the gap is
 *   told where it is; when the ring is empty the reader takes it.
 *   The ring is made when somebody first listens.  Nothing is written down before that,
 *   nor after the end.
 *
 * Invariants
 *   I1  Every event that is posted between begin and end is read exactly once, or
 *       counted exactly once as missing.
 *   I2  Events of one writer are read in the order in which it posted them.
 *   I3  A writer takes no lock, makes no memory, and waits for nobody.
 *   I4  What is missing is told behind all events that were written before it, and
 *       before those of a writer that came to know of it.
 *   I5  A reader that has gone to sleep is woken by the next event, read or lost, by
 *       the next wake, and by the end.
 *
 * Ordering
 *   M1  A cell's turn is stored release after its record was written, and loaded
 *       acquire before the record is read; the other way round when it is given back.
 *       Without it the reader could see half a record, or a writer overwrite one.
 *   M2  The reader stores `asleep` and then looks at the next cell's turn, at
 *       `missing`, at `poked` and at `ended`; writers store one of these and then
 *       exchange `asleep` (all seq_cst): one of the two sees the other.  Without it an
 *       event, or a gap, could lie there until the next one.
 *   M3  `cells` is stored release once it is made, and loaded acquire by who posts;
 *       who finds none writes nothing, since `wanted` may be seen earlier.
 *   M4  `reading` is taken acquire and given back release: whoever reads next goes on
 *       where the last reader stood.
 *   M5  `ended` is stored before `poked` is (M2's order), and the reader that has seen
 *       it looks at the ring once more: what was posted before the end is read.
 *   M6  A writer loads `tail` and then adds to `missing`; the reader loads `missing`
 *       and then `tail` (M2's orders).  Without it the reader could take the ring for
 *       empty, and tell of a gap that is behind what others have written (I4).
 *
 * Progress   events_wanted: wait-free.  events_post: lock-free.  events_next blocks.
 * Threads    post, wake, end: any, inside an epoch, too.  next: one at a time.  begin:
 *            one at a time, under the owner's lock.
 * Errors     -ENOMEM, -EINVAL, FASTER_E_BUSY, FASTER_E_CLOSED
 * Limits     EVENTS_CAPACITY_MIN ... EVENTS_CAPACITY_MAX
 * Source     the cells' turns after Vyukov's bounded queue (2010)
 * Tests      tests/events/{validate_events,torture_events}.c
 */
#ifndef FASTER_EVENTS_EVENTS_H
#define FASTER_EVENTS_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/thread.h"
#include "faster/event.h"
#include "faster/status.h"

enum {
    EVENTS_CAPACITY_MIN = 2, /* the turns of one cell could not tell full from empty */
    EVENTS_CAPACITY_DEFAULT = 4096, /* a burst of pages in a few hundred kilobytes */
    EVENTS_CAPACITY_MAX = 1 << 20
};

struct event_cell {
    _Atomic uint64_t turn; /* M1 */
    struct faster_event event;
};

struct events {
    /* read by all, written at begin and end */
    _Atomic bool wanted;
    _Atomic bool ended;                 /* M2, M5 */
    _Atomic(struct event_cell *) cells; /* M3 */
    uint64_t mask;                      /* set before cells is */
    struct wakeup wakeup;

    /* written by those who post */
    _Alignas(CACHE_LINE) _Atomic uint64_t tail;
    _Atomic uint64_t missing; /* not told yet */
    _Atomic uint64_t lost;    /* since the beginning */

    /* written by the reader; `asleep` and `poked` by others, too, but seldom */
    _Alignas(CACHE_LINE) _Atomic uint64_t head;
    _Atomic bool reading; /* M4 */
    _Atomic bool asleep;  /* M2 */
    _Atomic bool poked;   /* M2 */
};

int events_init(struct events *events);
/* Nobody posts or reads any more. */
void events_destroy(struct events *events);

/* Begin to listen, with room for `capacity` events (0: the default), rounded up to a
 * power of two.  FASTER_OK, FASTER_E_BUSY, FASTER_E_CLOSED, -ENOMEM. */
int events_begin(struct events *events, uint64_t capacity);

/* As faster_kv_events_next, without the clock. */
int events_next(struct events *events, struct faster_event *out, uint64_t capacity,
                uint32_t timeout_ms, uint64_t *count, uint64_t *lost);

void events_wake(struct events *events);
void events_end(struct events *events);

/* Figures: events in the ring, and events lost so far. */
uint64_t events_waiting(struct events *events);
uint64_t events_lost(struct events *events);

/* The general part of events_post. */
void events_write(struct events *events, const struct faster_event *event);

/* Whether somebody listens; ask it before anything is made for an event.  NULL: the
 * owner has no events. */
FASTER_INLINE bool events_wanted(struct events *events) {
    /* relaxed: who finds false a little longer has an event less */
    return events != NULL &&
           faster_unlikely(atomic_load_explicit(&events->wanted, memory_order_relaxed));
}

/* Write an event down, if somebody listens.  lost_before is not the caller's. */
FASTER_INLINE void events_post(struct events *events,
                               const struct faster_event *event) {
    if (events_wanted(events)) {
        events_write(events, event);
    }
}

/* The same, of something that began at begin_ns (0: it took no time) and is over. */
void events_tell(struct events *events, enum faster_event_kind kind, int status,
                 uint64_t begin_ns, const uint64_t words[FASTER_EVENT_WORDS]);

#endif
