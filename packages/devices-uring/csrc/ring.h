/* SPDX-License-Identifier: MIT */
/*
 * ring.h: two queues shared with the kernel
 *
 * Purpose
 *   The kernel takes requests from one queue in shared memory and puts their results
 *   into another, so that one system call may hand over many requests and fetch many
 *   results.  This file is the whole of io_uring that the device needs, by the three
 *   system calls themselves: no library stands between.
 *
 * Model
 *       ring_take   fill one entry    ring_publish      kernel, inside ring_enter
 *     free entry  ----------------->  submission queue  ------------------------>  I/O
 *                                     completion queue  <------------------------
 *     result      <-----------------     ring_reap
 *
 *   Whoever uses a ring takes and publishes inside a lock of his own, reaps inside that
 *   lock, and enters outside of it.
 *
 * Invariants
 *   I1  Entries between the kernel's head and our tail belong to the kernel; ring_take
 *       gives none of them, and NULL when all do.
 *   I2  A result is given out once, in the order of the completion queue.
 *   I3  The ring accepts reads, writes, flushes and empty requests only, where the
 *       kernel knows restrictions.
 *   I4  The mappings do not exist in a child of fork().
 *
 * Ordering
 *   M1  publish: store the submission tail (release) after the entries.  The kernel
 *       loads it (acquire).  Without it the kernel could read half an entry.
 *       take: load the submission head (acquire), which the kernel stored (release)
 *       after it had read the entries.  Without it we could overwrite one being read.
 *   M2  reap: load the completion tail (acquire), which the kernel stored (release)
 *       after the results; store the completion head (release) after they were copied.
 *       Without it a result could be read before it is there, or overwritten.
 *   M3  ring_flags is loaded (acquire) where the kernel stores it after a result that
 *       did not fit; a late sight costs one turn.
 *
 * Progress   ring_enter blocks when it is told to wait; nothing else does.
 * Threads    take, publish, reap, ready: one at a time.  enter, flags: any.
 * Errors     -errno.  -EOPNOTSUPP from ring_open when the kernel lacks what is needed.
 * Limits     RING_ENTRIES_MAX requests; Linux 5.11 or later.
 * Source     none
 * Tests      tests/test_ring.py, tests/test_refusals.py
 */
#ifndef PYFASTER_URING_RING_H
#define PYFASTER_URING_RING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_ENTRIES_MIN = 64, RING_ENTRIES_MAX = 4096 };

struct ring;

struct ring_result {
    uint64_t user_data;
    int32_t result;
};

/* How the kernel is asked; results are as of the system: -1 never, -errno instead. */
struct ring_calls {
    int (*setup)(void *context, uint32_t entries, struct io_uring_params *params);
    int (*enter)(void *context, struct ring *ring, uint32_t submit, uint32_t wait_for,
                 uint32_t flags, const struct io_uring_getevents_arg *argument);
    int (*configure)(void *context, int fd, uint32_t what, void *argument,
                     uint32_t count);
    /* Do at once what an entry asks for; bytes or -errno.  NULL: nobody does. */
    int32_t (*perform)(void *context, const struct io_uring_sqe *entry);
    /* Change a result, or say false for one that is to get lost; NULL: as they are. */
    bool (*result)(void *context, struct ring_result *result);
    void *context;
};

/* The system's own. */
extern const struct ring_calls ring_system;

struct ring {
    struct ring_calls calls;
    int fd;
    bool restricted;

    /* Submission.  The head and the flags are written by the kernel. */
    struct io_uring_sqe *entries;
    uint32_t entries_count;
    uint32_t tail; /* entries taken; the shared tail follows it in ring_publish */
    _Atomic uint32_t *submit_head;
    _Atomic uint32_t *submit_tail;
    _Atomic uint32_t *submit_flags;

    /* Completion.  The tail and the overflow count are written by the kernel. */
    struct io_uring_cqe *results;
    uint32_t results_count;
    uint32_t results_mask;
    _Atomic uint32_t *result_head;
    _Atomic uint32_t *result_tail;
    _Atomic uint32_t *result_dropped;

    void *queues;
    size_t queues_size;
    size_t entries_size;
};

/*
 * Make a ring of `entries` (a power of two) with room for `results` results or more.
 * Errors: what the kernel says (-ENOSYS, -EPERM, -ENOMEM, ...), -EOPNOTSUPP.
 */
int ring_open(struct ring *ring, uint32_t entries, uint32_t results,
              const struct ring_calls *calls);
/* Give it back.  `child`: in a child of fork(), which has no mappings (I4). */
void ring_close(struct ring *ring, bool child);

/* The next free entry, zeroed, or NULL when all are the kernel's (I1). */
struct io_uring_sqe *ring_take(struct ring *ring);
/* Show the kernel what was taken so far. */
void ring_publish(struct ring *ring);
/* How many published entries the kernel has not taken yet. */
uint32_t ring_unsubmitted(const struct ring *ring);
/* Take back the last entry that the kernel has not taken, while nobody hands over;
 * false when there is none. */
bool ring_withdraw(struct ring *ring, uint64_t *user_data);

/*
 * Hand over up to `submit` entries; with `wait_for` also sleep until so many results
 * are there or `timeout_us` is over.  An interruption is tried again, a bounded number
 * of times, if nothing is waited for.  Returns how many entries the kernel took.
 * Blocks: with `wait_for`.  Errors: -ETIME, -EINTR, -EAGAIN, -EBUSY, -EBADR, ...
 */
int ring_enter(struct ring *ring, uint32_t submit, uint32_t wait_for,
               uint64_t timeout_us);

/* Take up to `max` results. */
uint32_t ring_reap(struct ring *ring, struct ring_result *results, uint32_t max);
/* Whether a result is there. */
bool ring_ready(const struct ring *ring);
/* Whether the kernel keeps results that did not fit; ring_flush makes it go on. */
bool ring_overflowed(const struct ring *ring);
int ring_flush(struct ring *ring);
/* How many results the kernel lost; each is a request that never ends. */
uint32_t ring_dropped(const struct ring *ring);

#endif
