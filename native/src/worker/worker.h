/* SPDX-License-Identifier: MIT */
/*
 * worker.h: the one thread that a store may start
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   Work that must not be done inside an operation (finishing a growth, giving memory
 *   back, later checksums and device writes) is done by one thread per store, started
 *   when there is first something to do and joined by close.
 *
 * Model
 *   worker_post says "look"; the thread calls `work` until it answers that nothing is
 *   left, then sleeps until the next post.  What there is to do is kept by the owner in
 *   words of its own, so a post carries nothing and posts may merge.
 *
 * Invariants
 *   I1  After a post, `work` is called at least once more before the thread sleeps or
 *       ends.  Posts made after worker_stop was called may be passed over.
 *   I2  `work` runs on one thread only.
 *
 * Ordering
 *   M1  worker_post's semaphore post pairs with the wait: words stored before the post
 *       are seen by the call of `work` that follows.  `stop` is stored (release) before
 *       its post and loaded (acquire) after the wait.
 *   M2  `state` moves IDLE -> STARTING -> RUNNING by CAS; the thread's fields are
 *       written before RUNNING (release) and read by stop after it (acquire).
 *
 * Progress   post never waits; stop waits for the running `work`.
 * Threads    any may post; start and stop as their comments say
 * Errors     -errno from worker_start
 * Limits     none
 * Source     none
 * Tests      tests/worker/validate_worker.c
 */
#ifndef FASTER_WORKER_WORKER_H
#define FASTER_WORKER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/thread.h"

/* Do a bounded piece of work; true when there may be more. */
typedef bool (*worker_fn)(void *context);

struct worker {
    worker_fn work;
    void *context;
    struct thread thread;
    struct wakeup wakeup;
    _Atomic int state; /* M2 */
    _Atomic bool stop; /* M1 */
};

int worker_init(struct worker *worker, worker_fn work, void *context);
void worker_destroy(struct worker *worker);

/* Start the thread if it is not running.  0, or -errno; after worker_stop:
 * -ECANCELED. */
int worker_start(struct worker *worker);

void worker_post(struct worker *worker);

/* Let the running piece of work finish, do one more for what was posted, and join.  It
 * cannot be started again. */
void worker_stop(struct worker *worker);

#endif
