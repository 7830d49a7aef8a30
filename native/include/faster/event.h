/* SPDX-License-Identifier: MIT */
/*
 * event.h: what happens in a store, told to one listener
 *
 * Off until somebody begins to listen.  Then whoever does something that the list below
 * has writes it down in a ring of the store and goes on; what finds no room there is
 * counted.  One thread takes it out.
 */
#ifndef FASTER_EVENT_H
#define FASTER_EVENT_H

#include <stdint.h>

struct faster_kv;

/* What happened, and what its words say.  Addresses are the log's; `until` and `end`
 * are behind the last. */
enum faster_event_kind {
    FASTER_EVENT_NEWS = 1,           /* figures have changed that somebody may watch */
    FASTER_EVENT_PAGE_TURNED = 2,    /* page, address */
    FASTER_EVENT_PAGES_FLUSHED = 3,  /* from, until, bytes */
    FASTER_EVENT_PAGES_EVICTED = 4,  /* from, until */
    FASTER_EVENT_INDEX_GROWING = 5,  /* buckets there will be */
    FASTER_EVENT_INDEX_GROWN = 6,    /* growths, buckets, bytes */
    FASTER_EVENT_DEVICE_RETRIED = 7, /* enum faster_event_io, attempts */
    FASTER_EVENT_DEVICE_FAILED = 8,  /* enum faster_event_io, from, until */
    FASTER_EVENT_OPERATION = 9,      /* enum faster_operation_kind, sequence */
    FASTER_EVENT_PENDING_COMPLETED = 10 /* the same, device reads */
};

enum faster_event_io {
    FASTER_EVENT_WRITE = 1,
    FASTER_EVENT_READ = 2,
    FASTER_EVENT_SYNC = 3
};

enum { FASTER_EVENT_WORDS = 4 };

struct faster_event {
    uint32_t kind;        /* enum faster_event_kind */
    int32_t status;       /* of what can fail; else FASTER_OK */
    uint64_t begin_ns;    /* by a clock that never goes back; begin and end are the */
    uint64_t end_ns;      /* same for what takes no time */
    uint64_t lost_before; /* events lost between the one before and this one */
    uint64_t words[FASTER_EVENT_WORDS];
};

/*
 * Begin to write events down.  Once per store: what has ended does not begin again.
 * Allocates: the ring, for event_capacity events.  Blocks: briefly.
 * Errors: FASTER_E_BUSY when they are being written down; FASTER_E_CLOSED, -ENOMEM.
 */
int faster_kv_events_begin(struct faster_kv *kv);

/*
 * Take the next events, at most `capacity`, the oldest first; where none is there, wait
 * for one.  *count is how many; *lost how many were lost behind them, when none is left
 * (else 0, and the next event's lost_before says it).  *epoch_ns, added to the times of
 * events, gives nanoseconds since 1970 by the system's clock as it is now.
 * FASTER_OK with no event: the time is over, or somebody asked to look
 * (faster_kv_events_wake).  FASTER_E_CLOSED: the end has come and everything was taken.
 * One thread at a time; the handle is not freed meanwhile.
 * Blocks: yes, up to timeout_ms.  Errors: FASTER_E_BUSY, FASTER_E_FORKED; -EINVAL
 * before faster_kv_events_begin.
 */
int faster_kv_events_next(struct faster_kv *kv, struct faster_event *events,
                          uint64_t capacity, uint32_t timeout_ms, uint64_t *count,
                          uint64_t *lost, int64_t *epoch_ns);

/* Let faster_kv_events_next return soon.  Never waits.  In a forked child nothing
 * happens. */
void faster_kv_events_wake(struct faster_kv *kv);

/* Write no more down: faster_kv_events_next gives what is left, then FASTER_E_CLOSED.
 * Closing the store does the same, behind its last event.  Never waits. */
void faster_kv_events_end(struct faster_kv *kv);

#endif
