/* SPDX-License-Identifier: MIT */
/*
 * pending.h: operations that wait for the device
 *
 * Level 5.  Includes: base, device, log, session, store, update.
 *
 * Purpose
 *   A lookup that leaves memory cannot be ended at once.  It becomes an object of the
 *   session that asks the device for one record after the other, and ends like any
 *   other operation when it knows what the key's newest record is.
 *
 * Model
 *
 *      start ---> FLYING ---device---> arrived ---> examine ---> FINISHED
 *        |          ^   ^                |  ^          |  |
 *        v          |   |                |  |          |  +--> AGAIN (retried later)
 *      WAITING -----+   +--- the record before it -----+
 *
 *   A completed read is pushed to the session's stack `arrived` by whichever thread the
 *   device uses.  The session's own thread takes the stack, and for each operation
 *   examines the record: bounds, checksum, key.  Another key leads to the record before
 *   it.  With the key's record, or at the chain's end, the index is asked again: if its
 *   chain still leaves memory where the walk began, nothing newer exists (core rule 7);
 *   else the walk begins anew.
 *
 *   An update whose key has an update on its way waits in the FIFO `waiting`, without a
 *   serial number, and so does every update after it: serial numbers follow the order
 *   of issue (C1).
 *
 *   An item of a batch is HELD until it is its turn.  What it needs may have left
 *   memory by then, and is fetched again; it has its serial number when it is made.  So
 *   one that fails takes none, and the items of a batch have consecutive ones.
 *
 *   While a checkpoint is in PREPARE, an update that would take a serial number without
 *   being done joins that FIFO instead, at its front (C4).  Those that have one are
 *   brought to their end by their session's thread, or by the checkpoint's as helper
 *   inside the session's slot (pending_help).  So are those of a session whose handle
 *   was freed before (session.h I5).
 *
 * Invariants
 *   I1  Lists and states are touched only inside the session's slot; what a device may
 *       touch of a FLYING operation is its request, status and buffer.
 *   I2  An operation's memory outlives its device read: the queue is freed by the last
 *       of the session and the reads in flight.
 *   I3  A value is given only from a record whose checksum and key are right, that was
 *       the key's newest at a moment between start and end.
 *   I4  What a record says of its own size is believed only as far as its page goes.
 *
 * Ordering
 *   M1  arrived: pushed by CAS (seq_cst, so release) after status and moved; taken by
 *       an exchange (seq_cst, so acquire).
 *   M2  A waiter sets `sleeping`, then looks at `arrived`, then sleeps; who pushes then
 *       looks at `sleeping` (all seq_cst): one of the two sees the other.
 *   M3  refs: decremented acq_rel, so that who frees comes after all others.
 *   M4  notify is stored release and loaded acquire: who sees the descriptor sees that
 *       it was made ready for writing.
 *   M5  state is stored release inside the slot and loaded acquire outside, by the
 *       session's thread while a helper may be inside: who sees FINISHED sees how.
 *   M6  numbered is lowered (release) behind the update's effect and loaded acquire by
 *       who drains (C4): it then knows that the update is done.
 *
 * Progress   The lock-free stack apart, as the device.
 * Threads    the session's; completions on any
 * Errors     FASTER_E_CORRUPT, the device's, and those of the operation
 * Limits     none on how many; each takes its key, value and a read buffer from the
 *            budget
 * Source     Chandramouli et al., SIGMOD 2018, section 5.3 (asynchronous operations)
 * Tests      tests/store/{validate_pending,validate_pending_faults,torture_pending,
 *            validate_close_device,fault_device}.c
 */
#ifndef FASTER_STORE_PENDING_H
#define FASTER_STORE_PENDING_H

#include "device/device.h"
#include "log/disk.h"
#include "store/update.h"

enum pending_state {
    PENDING_WAITING, /* in the FIFO: an update before it is on its way */
    PENDING_FLYING,  /* the device reads for it */
    PENDING_AGAIN,   /* an attempt met somebody; it is made again */
    PENDING_HELD,    /* what an update needs is here; it waits to be released */
    PENDING_FINISHED
};

struct pending_list {
    struct faster_pending *first;
    struct faster_pending *last;
};

struct faster_pending {
    struct device_request request; /* first: its completion gets this address */
    struct pending_queue *queue;
    struct faster_pending *arrived_next; /* in the stack */
    struct faster_pending *next;         /* in a list */
    struct faster_pending *prev;

    /* what is asked */
    _Atomic uint32_t state; /* enum pending_state (M5) */
    bool reads;
    bool claimed;    /* faster_wait gives it: not on the list of the finished */
    bool forgotten;  /* freed when it is finished */
    bool numbered;   /* has its serial, and counts in the queue's keys */
    bool hold;       /* fetch only: the update is made when it is released */
    bool batched;    /* begun so: has its serial when it is made, and not before */
    bool walks;      /* only asks where on the device the key's record is */
    bool waited;     /* counted as one that had to */
    bool traced;     /* its end is told (tracing.h) */
    uint64_t number; /* that it was told with before, or 0 */
    uint64_t begun;  /* when, in ns (clock_ns) */
    uint64_t context;
    uint64_t serial;
    struct update update; /* key and hash, also of a read; pointers into `copies` */
    struct faster_merge merge;
    uint8_t *copies;
    uint64_t copies_size;

    /* where the walk is */
    uint64_t start;        /* where the chain left memory */
    uint64_t address;      /* the record asked for */
    uint64_t below;        /* records at or above do not count (walks) */
    uint64_t device_reads; /* made so far */
    struct record *record; /* the key's, in `buffer`, once found */
    bool walked;           /* to the key's record or the chain's end */
    bool retried;          /* a read that failed was made once more */

    /* the bytes that were read */
    uint8_t *block; /* as allocated */
    uint8_t *buffer;
    uint64_t buffer_size;
    uint64_t read_from;
    uint64_t read_size;  /* wanted from there on */
    uint64_t read_done;  /* here: a device may need several requests */
    uint64_t read_begun; /* when, in ns */
    int read_failed;     /* what the attempt before came to, or FASTER_OK */
    int io_status;
    uint64_t io_moved;

    /* how it ended */
    int status;
    uint8_t *out; /* grown for merged values */
    uint64_t out_capacity;
    uint64_t out_limit; /* a merged value that is larger is FASTER_SHORT */
    const uint8_t *value;
    uint64_t value_size;
};

/* Updates on their way, by a few bits of their keys' hashes. */
enum { PENDING_KEYS = 1024 };

struct pending_queue {
    /* set once */
    struct faster_kv *kv;
    const struct faster_device *device;
    struct budget *budget;
    struct wakeup wakeup;

    /* inside the slot (I1) */
    struct pending_list waiting;
    struct pending_list again;
    struct pending_list finished;
    struct pending_list kept; /* held, or finished and claimed: somebody's to forget */
    struct pending_list flying;
    struct faster_pending *unused;
    uint32_t unused_count;
    _Atomic uint64_t count;    /* neither finished nor forgotten */
    _Atomic uint64_t numbered; /* updates with a serial that are not finished (M6) */
    _Atomic bool pressed;      /* something is tried again soon: a hint for waiters */
    uint64_t guess;            /* bytes to read for a record of unknown size */
    uint32_t keys[PENDING_KEYS];

    /* written by completions */
    _Alignas(CACHE_LINE) _Atomic(struct faster_pending *) arrived; /* M1 */
    _Atomic bool sleeping;                                         /* M2 */
    _Atomic int64_t notify; /* descriptor, or -1 */
    _Atomic uint32_t refs;  /* M3 */

    /* figures */
    _Atomic uint64_t reads;
    _Atomic uint64_t read_bytes;
    _Atomic uint64_t read_retries;
    _Atomic uint64_t read_errors;
    _Atomic uint64_t bytes; /* taken from the budget */
};

/* Make a session's queue; only stores with a device have one. */
int pending_queue_new(struct faster_kv *kv, struct pending_queue **queue);
/* The session's part ends: every operation that is not flying is freed. */
void pending_queue_leave(struct pending_queue *queue);

/* Inside the slot: whether an update must wait behind others of its session. */
bool pending_defers(const struct pending_queue *queue, uint64_t hash);

/* Updates that have their serial number and are not done. */
static inline uint64_t pending_numbered(struct pending_queue *queue) {
    return atomic_load_explicit(&queue->numbered, memory_order_acquire); /* M6 */
}

/* Inside the slot: whether any update is on its way or waits for its turn. */
static inline bool pending_busy(struct pending_queue *queue) {
    return queue->waiting.first != NULL || pending_numbered(queue) != 0;
}

static inline uint32_t pending_state(struct faster_pending *pending) {
    return atomic_load_explicit(&pending->state, memory_order_acquire); /* M5 */
}

/* Operations on their way: a figure, exact for whoever is inside. */
static inline uint64_t pending_count(struct pending_queue *queue) {
    /* relaxed: see above */
    return atomic_load_explicit(&queue->count, memory_order_relaxed);
}

/* Outside: whether more is on its way than the budget has room for. */
bool pending_crowds(struct faster_session *session);

/* Take memory for an operation from the budget, without asking, and give it back. */
static inline void pending_take(struct pending_queue *queue, uint64_t bytes) {
    budget_force(queue->budget, bytes);
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(&queue->bytes, bytes, memory_order_relaxed);
}

static inline void pending_give(struct pending_queue *queue, uint64_t bytes) {
    budget_give(queue->budget, bytes);
    /* relaxed: a figure */
    (void)atomic_fetch_sub_explicit(&queue->bytes, bytes, memory_order_relaxed);
}

/* What api.h calls the kind of an operation. */
static inline uint32_t pending_kind(const struct faster_pending *pending) {
    return pending->reads ? FASTER_READ : update_operation(pending->update.kind);
}

/* Add the queue's figures of its reads. */
void pending_add_figures(struct pending_queue *queue, struct read_figures *figures);

/* Reads that the device has now, or has completed just now. */
uint64_t pending_in_flight(struct pending_queue *queue);

/* What has to be handed to the device once the slot is left. */
struct pending_outbox {
    struct faster_pending *first;
};

/* Inside the slot: begin an operation, which may be finished when this returns.  With
 * `hold` an update only fetches what it needs.  FASTER_OK or -ENOMEM. */
int pending_begin(struct faster_session *session,
                  const struct faster_operation *operation, bool hold,
                  struct pending_outbox *outbox, struct faster_pending **pending);

/* Inside the slot: make the held update, with a result of at most `limit` bytes. */
void pending_release(struct faster_session *session, struct faster_pending *pending,
                     uint64_t limit, struct pending_outbox *outbox);

/* Inside the slot: make sure that nobody else is given the operation. */
void pending_claim(struct pending_queue *queue, struct faster_pending *pending);

/* Inside the slot: begin a walk on the device from the record at `start` to the first
 * one of the key that is below `below`; pending->address then says where it is. */
int pending_begin_walk(struct faster_session *session,
                       const struct faster_operation *operation, uint64_t start,
                       uint64_t below, struct pending_outbox *outbox,
                       struct faster_pending **pending);

/* Outside: hand over what was begun. */
void pending_send(struct pending_outbox *outbox);

/* Outside: bring everything forward once.  *ready: whether `pending` is finished or
 * held, or with NULL whether anything is finished.  As faster_wait otherwise. */
int pending_run(struct faster_session *session, struct faster_pending *pending,
                bool *ready);

/* C4: by the checkpoint's thread: enter the slot of a session as helper, unless someone
 * is inside, and bring updates that have their serial number forward.  Under the
 * store's lock, so that the session stays. */
void pending_help(struct faster_session *session);

/* Outside: sleep until something may have changed, at most so long. */
void pending_rest(struct faster_session *session, uint64_t most_ms);

/* --- fetch.c: one record from the device ----------------------------------------- */

/* Describe the read of the record at `address`; fetch_submit hands it over, outside the
 * slot.  FASTER_OK or -ENOMEM. */
int fetch_prepare(struct faster_pending *pending, uint64_t address, uint64_t size);
void fetch_submit(struct faster_pending *pending);

/*
 * What has arrived.  FASTER_OK: the record at `address` is whole, *record is it.
 * FASTER_PENDING: its end is missing, *need bytes must be read.  FASTER_RETRY: what was
 * asked for is not all here yet; fetch_submit asks for the rest.  FASTER_E_CORRUPT, or
 * the device's failure.
 */
int fetch_examine(struct faster_pending *pending, struct record **record,
                  uint64_t *need);

/* Bytes to ask for when nothing is known of the record at `address`. */
uint64_t fetch_guess(const struct pending_queue *queue);

#endif
