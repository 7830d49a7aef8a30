/* SPDX-License-Identifier: MIT */
/*
 * uring_state.h: what the files of the device share
 *
 * Purpose    The structs behind uring_device.h, for uring_device.c (the table),
 *            requests.c (what becomes of a result) and turns.c (the ring).
 * Model
 *   A request belongs to one thread at a time: to its submitter until it is queued, to
 *   the lock while it is in a list or in the kernel, and to whoever fetched its result
 *   until that one queues or frees it.
 *
 * Invariants
 *   I1  `active` counts requests from acceptance until done() has returned; `inside`
 *       counts threads that may touch the device without holding a request.
 *   I2  in_ring counts entries taken from the ring whose result was not fetched.
 *   I3  gathered counts published entries that no thread is handing over.  Whoever
 *       takes it to zero may have the kernel take so many: if the kernel has as many
 *       left to take as are gathered, no thread can make it take one.
 *   I4  A request is held only from a moment on when it was the only one that is
 *       active.  Whoever polls, and whoever waits but cannot carry it out, queues it;
 *       the keeper does not, for nobody relies on it before (device.h V10).
 *
 * Ordering   The lock, and none for the two hints.
 * Progress   The lock is held over no system call and no call of done().
 * Threads    any
 * Errors     none
 * Limits     none
 * Source     none
 * Tests      as uring_device.h
 */
#ifndef PYFASTER_URING_STATE_H
#define PYFASTER_URING_STATE_H

#include "os.h"
#include "uring_device.h"

/* As in the core's status.h. */
enum { E_CLOSED = -5004, E_FORKED = -5007 };

enum {
    GATHER_MAX = 32,     /* hand over without being asked: a batch that pays */
    GATHER_NESTED = 128, /* while done() runs: who called it comes to hand over */
    BATCH = 64,          /* results fetched inside one hold of the lock */
    TRIES_MAX = 64,      /* of one part, for errors that pass */
    TRIES_AT_ONCE = 3,   /* before a request rests for a while */
    REFUSALS_MAX = 64,   /* of the ring, in a row, before it is given up: a second */
    REFUSALS_FAST = 8,   /* that are followed by a short pause */
    PAUSE_MS = 16,
    REST_MS = 1,     /* how long, and between two looks of the keeper */
    IDLE_LOOKS = 32, /* without anything to do, before the keeper sleeps for good */
    SLICE_MS = 100,  /* of a sleep in the kernel; bounds what a lost wake-up costs */
    SLOTS_AT_ONCE = 256,
    HOLD_MAX = 64 << 10, /* bytes of a transfer for whose sake a thread may be away */
    RESERVED = 2         /* results that are not of requests: a wake-up and a mark */
};

enum request_kind { REQUEST_READ = 1, REQUEST_WRITE = 2, REQUEST_SYNC = 3 };

struct request {
    struct request *next;
    const struct faster_completion *completion;
    uint8_t *buffer;
    uint64_t offset;
    uint64_t length;
    uint64_t moved;

    uintptr_t thread; /* of one that is held: who submitted it */
    uint32_t kind;
    uint32_t tries;  /* of the part that is under way */
    uint32_t asked;  /* bytes of it */
    int32_t status;  /* once it is finished */
    uint64_t within; /* bytes of the piece that were moved */
    struct segments_piece piece;
    bool in_kernel;

    /* Of a sync: how far it got, and the others that share it. */
    uint64_t cursor;
    struct request *sharers;
};

struct requests {
    struct request *first;
    struct request *last;
};

struct slots {
    struct slots *next;
    struct request slots[SLOTS_AT_ONCE];
};

struct uring {
    uint32_t generation; /* of forks, when it was made */
    struct segments *segments;
    struct segments_geometry geometry;
    struct ring ring;
    uint32_t room; /* requests in the kernel at most (I2 of uring_device.h) */
    struct os os;  /* the system's, opening files as a ring likes them */

    void (*closing_call)(void *context, const struct uring_figures *figures);
    void *closing_context;

    /* Hints, read outside of the lock. */
    _Atomic uint64_t attended; /* how often somebody looked for results */
    _Atomic uint32_t gathered; /* I3; written inside the lock */

    struct os_lock lock; /* guards the rest */
    uint64_t active;
    uint32_t inside;
    uint32_t in_ring;
    uint32_t delivering; /* threads that call done() */
    uint32_t sleepers;   /* threads in wait() that sleep in the kernel */
    bool closing;
    uint32_t refusals; /* in a row; nothing is handed over before pause_end_ms */
    uint64_t pause_end_ms;
    int32_t broken;   /* why the ring is given up: no new requests; 0: it works */
    bool mark_wanted; /* results were lost: a request that ends after all others */
    bool mark_made;
    bool woken; /* a wake-up is under way */
    struct request *free;
    struct slots *slots;
    struct request *held;    /* I4; or NULL */
    struct requests waiting; /* for room in the ring */
    struct requests resting; /* after an error that passes, until rest_end_ms */
    uint64_t rest_end_ms;
    struct request *sync_running;
    struct requests syncs;
    struct uring_figures figures;

    struct os_condition left; /* posted when active or inside got 0 while closing */

    /* The keeper. */
    struct os_condition work;
    struct os_thread keeper;
    bool keeper_started;
    bool keeper_asleep;
    bool keeper_stop;
};

static inline void push(struct requests *list, struct request *request) {
    request->next = NULL;
    if (list->first == NULL) {
        list->first = request;
    } else {
        list->last->next = request;
    }
    list->last = request;
}

static inline struct request *pop(struct requests *list) {
    struct request *request = list->first;
    if (request != NULL) {
        list->first = request->next;
    }
    return request;
}

/* requests.c: what a request does next.  Outside of the lock. */

/* Find the next piece for the kernel.  False: it is finished, with its status. */
bool request_advance(struct uring *uring, struct request *request);
/* Begin a sync, which runs alone.  False: as request_advance. */
bool request_begin_sync(struct uring *uring, struct request *request);
enum verdict { VERDICT_DONE, VERDICT_AGAIN, VERDICT_REST };
/* Judge a result; the request's piece is let go of when it is not needed again. */
enum verdict request_judge(struct uring *uring, struct request *request,
                           int32_t result);
/* End a request that was never handed over. */
void request_fail(struct uring *uring, struct request *request, int32_t status);
/* Write down for the kernel what is to be done. */
void request_describe(struct request *request, struct io_uring_sqe *entry);

/* turns.c: the ring's traffic. */

/* A free slot, or NULL without memory.  Inside the lock. */
struct request *uring_slot(struct uring *uring);
/* Put a request into the ring or, without room, into the list.  Inside the lock. */
void uring_queue(struct uring *uring, struct request *request);
/* Take the right to hand over what is gathered.  Inside the lock. */
uint32_t uring_take_gathered(struct uring *uring);
/* Hand over what was taken.  Returns 0 or a failure that passes. */
int uring_hand_over(struct uring *uring, uint32_t count);
/* Tell of finished requests, one after another, and free them. */
void uring_deliver(struct uring *uring, struct request *finished);
/* Fetch and hand over.  Returns how many requests ended, or a failure. */
int uring_turn(struct uring *uring);
/* The same, and sleep until a request ends or the time is over; `attend`: somebody
 * other than the keeper does. */
int uring_sleep(struct uring *uring, uint32_t timeout_ms, bool attend);
/* Run a sync that is the only one, and those that come meanwhile. */
void uring_run_sync(struct uring *uring, struct request *sync);
/* Keep a request for its submitter to carry out, if that is worth it.  Inside the
 * lock. */
bool uring_hold(struct uring *uring, struct request *request);
/* Queue what is held.  Inside the lock. */
void uring_let_go(struct uring *uring);
/* Carry out what is held if it is the calling thread's and alone, else let it go.
 * Returns how many requests ended. */
int uring_help(struct uring *uring);
/* Count a thread that is inside the device: close waits for it.  `let_go`: queue what
 * is held.  Returns whether something was gathered. */
bool uring_enter(struct uring *uring, bool let_go);
void uring_leave(struct uring *uring);
/* Begin the keeper.  Inside the lock. */
int uring_start_keeper(struct uring *uring);
/* End it.  Outside of the lock, when nothing is active. */
void uring_stop_keeper(struct uring *uring);

#endif
