/* SPDX-License-Identifier: MIT */
/* committer.c: commits that nobody waits for in a call; see flog.h */
#include <errno.h>

#include "flog/flog.h"

/* How long one attempt may take before the thread looks whether it is to end. */
enum { ATTEMPT_MS = 100, SLEEP_MS = 60000, PAUSE_MS = 20 };

int flog_committer_init(struct flog_committer *committer) {
    int error = lock_init(&committer->lock);
    if (error != 0) {
        return error;
    }
    error = condition_init(&committer->wake);
    if (error != 0) {
        lock_destroy(&committer->lock);
    }
    return error;
}

void flog_committer_destroy(struct flog_committer *committer) {
    condition_destroy(&committer->wake);
    lock_destroy(&committer->lock);
}

/* Under the lock: sleep until there is something to commit; what, or 0 at the end. */
static uint64_t next_target(struct faster_flog *log) {
    struct flog_committer *committer = &log->committer;
    uint64_t look = clock_ms() + (log->commit_ms != 0 ? log->commit_ms : SLEEP_MS);
    while (!committer->stop) { /* ends with the log */
        /* Who asked just before the end was cut off meant what is gone now. */
        uint64_t end = hlog_tail(&log->log);
        committer->wanted = committer->wanted < end ? committer->wanted : end;
        if (committer->wanted > flog_committed(log)) {
            return committer->wanted;
        }
        if (condition_wait_until(&committer->wake, &committer->lock, look)) {
            continue;
        }
        uint64_t tail = hlog_tail(&log->log);
        if (log->commit_ms != 0 && tail > flog_committed(log)) {
            return tail;
        }
        look = clock_ms() + (log->commit_ms != 0 ? log->commit_ms : SLEEP_MS);
    }
    return 0;
}

/* After a failure: not at once again.  A full device may have room soon; a log that has
 * failed only waits for its end. */
static void pause_after_failure(struct faster_flog *log) {
    struct flog_committer *committer = &log->committer;
    uint32_t state = atomic_load_explicit(&log->state, memory_order_seq_cst); /* M1 */
    lock_enter(&committer->lock);
    if (!committer->stop) {
        condition_wait(&committer->wake, &committer->lock,
                       (state & FLOG_FAILED) != 0 ? SLEEP_MS : PAUSE_MS);
    }
    lock_leave(&committer->lock);
}

static void committer_main(void *context) {
    struct faster_flog *log = context;
    struct flog_committer *committer = &log->committer;
    for (;;) { /* ends when it is told to stop */
        lock_enter(&committer->lock);
        uint64_t until = next_target(log);
        lock_leave(&committer->lock);
        if (until == 0) {
            flog_end_call(log);
            return;
        }
        int result = flog_commit_until(log, until, clock_ms() + ATTEMPT_MS, false);
        if (result != FASTER_OK && result != FASTER_E_TIMEOUT) {
            pause_after_failure(log);
        }
    }
}

/* Under the lock. */
static int start(struct faster_flog *log) {
    struct flog_committer *committer = &log->committer;
    if (committer->started || committer->stop) {
        return FASTER_OK;
    }
    /* The thread counts as a call (flog.h M3): no close gets by before it has ended. */
    (void)atomic_fetch_add_explicit(&log->users, 1, memory_order_seq_cst); /* M3 */
    int error = thread_start(&committer->thread, committer_main, log);
    committer->started = error == 0;
    if (error != 0) {
        flog_end_call(log);
    }
    return error;
}

int flog_committer_start(struct faster_flog *log) {
    lock_enter(&log->committer.lock);
    int error = start(log);
    lock_leave(&log->committer.lock);
    return error;
}

int flog_committer_ask(struct faster_flog *log, uint64_t until) {
    struct flog_committer *committer = &log->committer;
    lock_enter(&committer->lock);
    int error = start(log);
    if (until > committer->wanted) {
        committer->wanted = until;
        condition_wake(&committer->wake);
    }
    lock_leave(&committer->lock);
    return error;
}

void flog_committer_stop(struct faster_flog *log) {
    struct flog_committer *committer = &log->committer;
    lock_enter(&committer->lock);
    committer->stop = true;
    condition_wake(&committer->wake);
    bool started = committer->started;
    committer->started = false;
    lock_leave(&committer->lock);
    if (started) {
        thread_join(&committer->thread);
    }
}

/* After the end was cut off: what was wanted lies behind it. */
void flog_committer_reset(struct faster_flog *log) {
    lock_enter(&log->committer.lock);
    log->committer.wanted = 0;
    lock_leave(&log->committer.lock);
}

int faster_flog_request(struct faster_flog *log, uint64_t until) {
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    uint64_t tail = hlog_tail(&log->log);
    if (until > tail) {
        result = -EINVAL;
    } else {
        result = flog_committer_ask(log, until != 0 ? until : tail);
    }
    flog_end_call(log);
    return result;
}
