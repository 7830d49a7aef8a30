/* SPDX-License-Identifier: MIT */
/* state.c: who may go on, and what stops a log; see flog.h */
#include <errno.h>

#include "base/notify.h"
#include "flog/flog.h"

int flog_refusal(struct faster_flog *log, uint32_t state) {
    if ((state & FLOG_CLOSED) != 0) {
        return FASTER_E_CLOSED;
    }
    if ((state & FLOG_FAILED) != 0) {
        return atomic_load_explicit(&log->failed, memory_order_acquire); /* M4 */
    }
    if ((state & FLOG_SUSPENDED) != 0) {
        return FASTER_RETRY;
    }
    return (state & FLOG_ENDED) != 0 ? FASTER_E_FULL : FASTER_OK;
}

int flog_begin_call(struct faster_flog *log) {
    if (log->fork_generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    (void)atomic_fetch_add_explicit(&log->users, 1, memory_order_seq_cst); /* M3 */
    if ((flog_state(log) & FLOG_CLOSED) == 0) {
        return FASTER_OK;
    }
    flog_end_call(log);
    return FASTER_E_CLOSED;
}

void flog_end_call(struct faster_flog *log) {
    (void)atomic_fetch_sub_explicit(&log->users, 1, memory_order_seq_cst); /* M3 */
}

void flog_wake(struct faster_flog *log) {
    condition_wake(&log->moved);
    condition_wake(&log->room);
    for (uint32_t i = 0; i < log->notified; i++) {
        notify_send(log->notify[i]);
    }
}

void flog_fail(struct faster_flog *log, int status, uint64_t from, uint64_t until) {
    lock_enter(&log->lock);
    if ((flog_state(log) & FLOG_FAILED) == 0) {
        uint64_t committed = flog_committed(log); /* what is durable has not failed */
        log->failed_from = from > committed ? from : committed;
        log->failed_until = until;
        atomic_store_explicit(&log->failed, status,
                              memory_order_release); /* M4, with flog_refusal */
        (void)atomic_fetch_or_explicit(&log->state, FLOG_FAILED,
                                       memory_order_seq_cst); /* M1 */
    }
    flog_wake(log);
    lock_leave(&log->lock);
}

int faster_flog_failed(struct faster_flog *log, uint64_t *from, uint64_t *until) {
    if (log->fork_generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if ((flog_state(log) & FLOG_FAILED) == 0 || log->read_only) {
        return FASTER_OK;
    }
    lock_enter(&log->lock);
    *from = log->failed_from;
    *until = log->failed_until;
    lock_leave(&log->lock);
    return atomic_load_explicit(&log->failed, memory_order_acquire); /* M4 */
}

void faster_flog_poison(struct faster_flog *log, int status) {
    if (flog_begin_call(log) == FASTER_OK) {
        uint64_t from = flog_committed(log);
        uint64_t until = log->read_only ? from : hlog_tail(&log->log);
        flog_fail(log, status < 0 ? status : -EIO, from, until);
        flog_end_call(log);
    }
}
