/* SPDX-License-Identifier: MIT */
/* cut.c: where a log begins, and cutting its end off; see flog.h */
#include <errno.h>
#include <stdlib.h>

#include "flog/entry.h"
#include "flog/flog.h"
#include "flog/read.h"

/* --- the beginning ---------------------------------------------------------------- */

int faster_flog_begin_at(struct faster_flog *log, uint64_t address) {
    struct faster_flog_damage damage;
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    if (address > flog_committed(log)) {
        result = -EINVAL;
    } else if (address > flog_begin(log)) {
        result = read_begins_entry(log, address, &damage);
    }
    if (result == FASTER_OK) {
        hlog_raise(&log->begin, address); /* M5, with flog_begin */
    }
    flog_end_call(log);
    return result;
}

int faster_flog_free_space(struct faster_flog *log) {
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    result = device_truncate_before(&log->device, flog_begin(log));
    flog_end_call(log);
    return result < 0 ? result : FASTER_OK;
}

/* --- the end ---------------------------------------------------------------------- */

/* Wait until nobody leads a commit any more. */
static int wait_for_leaders(struct faster_flog *log, uint64_t deadline) {
    int result = FASTER_OK;
    lock_enter(&log->lock);
    while (log->leaders != 0 && result == FASTER_OK) {
        result = condition_wait_until(&log->moved, &log->lock, deadline)
                     ? FASTER_OK
                     : FASTER_E_TIMEOUT;
    }
    lock_leave(&log->lock);
    return result;
}

void faster_flog_resume(struct faster_flog *log) {
    if (flog_begin_call(log) != FASTER_OK) {
        return;
    }
    (void)atomic_fetch_and_explicit(&log->state, ~(uint32_t)FLOG_SUSPENDED,
                                    memory_order_seq_cst); /* M1 */
    lock_enter(&log->lock);
    log->suspension = SUSPENSION_NONE;
    flog_wake(log);
    lock_leave(&log->lock);
    flog_end_call(log);
}

/* Become who suspends; a call whose time ran out goes on where it was. */
static int take_suspension(struct faster_flog *log) {
    int result = FASTER_OK;
    lock_enter(&log->lock);
    if (log->suspension == SUSPENSION_NONE || log->suspension == SUSPENSION_BEGUN) {
        log->suspension = SUSPENSION_TAKEN;
    } else {
        result = FASTER_E_BUSY;
    }
    lock_leave(&log->lock);
    return result;
}

static void settle_suspension(struct faster_flog *log, enum flog_suspension how) {
    lock_enter(&log->lock);
    log->suspension = how;
    lock_leave(&log->lock);
}

/* Keep everybody out, and have all that was appended committed. */
static int suspend(struct faster_flog *log, uint64_t deadline) {
    uint32_t before = atomic_fetch_or_explicit(&log->state, FLOG_SUSPENDED,
                                               memory_order_seq_cst); /* M1 */
    int result = flog_refusal(log, before & (FLOG_CLOSED | FLOG_FAILED));
    if (result == FASTER_OK) {
        epoch_wait(&log->epoch, epoch_bump(&log->epoch));
        result = wait_for_leaders(log, deadline);
    }
    if (result == FASTER_OK) {
        result = flog_commit_until(log, hlog_tail(&log->log), deadline, true);
    }
    return result;
}

int faster_flog_suspend(struct faster_flog *log, uint32_t timeout_ms) {
    uint64_t deadline = clock_ms() + timeout_ms;
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    uint32_t state = atomic_load_explicit(&log->state, memory_order_seq_cst); /* M1 */
    result = flog_refusal(log, state & (FLOG_CLOSED | FLOG_FAILED));
    if (result == FASTER_OK) {
        result = take_suspension(log);
    }
    if (result == FASTER_OK) {
        result = suspend(log, deadline);
        if (result == FASTER_OK || result == FASTER_E_TIMEOUT) {
            settle_suspension(log,
                              result == FASTER_OK ? SUSPENSION_HELD : SUSPENSION_BEGUN);
        } else {
            faster_flog_resume(log);
        }
    }
    flog_end_call(log);
    return result;
}

/* Whether new lives go on from those that there are. */
static bool may_restart(const struct faster_flog *log,
                        const struct faster_flog_life *lives, uint64_t count) {
    return lives_are_sane(lives, count) &&
           lives[count - 1].generation > log->generation &&
           lives[count - 1].first % log->unit == 0;
}

/* Under `lock`, suspended: nobody appends, commits or flushes. */
static void go_on_at(struct faster_flog *log, struct flog_lives *lives,
                     uint64_t number) {
    const struct faster_flog_life *last = &lives->lives[lives->count - 1];
    free(log->lives);
    log->lives = lives;
    log->generation = last->generation;
    log->life_seed = entry_life_seed(log->log_id, log->generation);
    log->number = number;
    log->next_number = number > log->next_number ? number : log->next_number;
    log->promised = last->first;
    disk_restart(&log->log, last->first);
    /* relaxed: nobody appends */
    atomic_store_explicit(&log->asked_until, last->first, memory_order_relaxed);
    atomic_store_explicit(&log->committed, last->first, memory_order_release); /* M2 */
    if (last->first <= log->entries_end) {
        (void)atomic_fetch_and_explicit(&log->state, ~(uint32_t)FLOG_ENDED,
                                        memory_order_seq_cst); /* M1 */
    }
    (void)atomic_fetch_add_explicit(&log->era, 1,
                                    memory_order_release); /* M6, with follow_era */
}

int faster_flog_restart(struct faster_flog *log, const struct faster_flog_life *lives,
                        uint64_t life_count, uint64_t number) {
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    uint32_t state = atomic_load_explicit(&log->state, memory_order_seq_cst); /* M1 */
    struct flog_lives *copy = NULL;
    if ((state & ~(uint32_t)FLOG_ENDED) != FLOG_SUSPENDED ||
        !may_restart(log, lives, life_count) ||
        lives[life_count - 1].first < flog_begin(log) ||
        lives[life_count - 1].first > flog_committed(log) ||
        flog_committed(log) != hlog_tail(&log->log)) {
        result = -EINVAL;
    } else {
        copy = lives_copy(lives, life_count);
        result = copy != NULL ? FASTER_OK : -ENOMEM;
    }
    if (result == FASTER_OK) {
        lock_enter(&log->flushing);
        lock_enter(&log->lock);
        go_on_at(log, copy, number);
        lock_leave(&log->lock);
        lock_leave(&log->flushing);
        /* Behind it: what is asked for from here on is held against the new end, and
         * nobody can mean a new entry before it is resumed. */
        flog_committer_reset(log);
    }
    flog_end_call(log);
    if (result == FASTER_OK) {
        faster_flog_resume(log);
    }
    return result;
}
