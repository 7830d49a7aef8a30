/* SPDX-License-Identifier: MIT */
/* commit.c: see flog.h */
#include <errno.h>
#include <stdlib.h>

#include "flog/entry.h"
#include "flog/flog.h"
#include "flog/reader.h"

/* What is written about as fast as a thread is woken. */
enum { SMALL_FLUSH = 1 << 16 };

/* A worker whose writes have failed stays away from the lock for so long. */
enum { FAILED_PAUSE_US = 1000 };

/* A call that waits for others looks again so often, should the leader have gone. */
enum { WAIT_LOOK_MS = 100 };

/* --- a leader's work (D1) --------------------------------------------------------- */

bool flog_work(void *context) {
    struct faster_flog *log = context;
    struct disk_failure failure;
    lock_enter(&log->flushing);
    bool moved = disk_work(&log->log);
    lock_leave(&log->flushing);
    int failed = disk_failed(&log->log, &failure);
    if (failed != FASTER_OK && !disk_is_full(failed)) {
        flog_fail(log, failed, failure.from, failure.until); /* D3 */
    }
    if (failed != FASTER_OK) {
        /* What failed was tried again inside the lock: let others in now. */
        thread_pause_us(FAILED_PAUSE_US);
    }
    /* relaxed: whoever waits looks again soon */
    if (moved && atomic_load_explicit(&log->room_waiters, memory_order_relaxed) != 0) {
        lock_enter(&log->lock);
        condition_wake(&log->room);
        lock_leave(&log->lock);
    }
    return moved;
}

/* What a leader makes durable. */
struct lead {
    uint64_t until;
    uint64_t number;
    uint64_t begun_ns; /* also where a call before this one ran out of time */
};

/* Under `lock`: the payload of the next record.  Its sizes are within a page by
 * faster_flog_attach and faster_flog_commit_strong. */
static void put_record(struct faster_flog *log, uint64_t address, const void *cookie,
                       uint64_t cookie_size, const struct lead *lead) {
    uint8_t payload[sizeof(struct commit_opening) + FASTER_FLOG_COOKIE_MAX +
                    FASTER_FLOG_ATTACHMENT_MAX];
    struct commit_opening opening = {
        .number = lead->number,
        .begin = flog_begin(log),
        .until = lead->until,
        .durable = flog_committed(log),
        .cookie = (uint32_t)cookie_size,
        .attachment = (uint32_t)log->attachment_size,
    };
    uint64_t size = sizeof opening + cookie_size + log->attachment_size;
    uint8_t *place = log->log.base + (address & log->log.ring_mask);
    uint64_t extent = entry_extent(size);
    memcpy(payload, &opening, sizeof opening);
    if (cookie_size != 0) {
        memcpy(payload + sizeof opening, cookie, cookie_size);
    }
    if (log->attachment_size != 0) {
        memcpy(payload + sizeof opening + cookie_size, log->attachment,
               log->attachment_size);
    }
    entry_put(place, log->life_seed, address,
              entry_word(size, ENTRY_COMMIT, log->generation), payload, size);
    if (address + extent < lead->until) {
        entry_fill(place + extent, log->life_seed, address + extent,
                   lead->until - address - extent, log->generation);
    }
}

/* Under `lock`, inside a slot: reserve and write the record (I2). */
static int reserve_record(struct faster_flog *log, const void *cookie,
                          uint64_t cookie_size, struct lead *lead) {
    uint64_t size = sizeof(struct commit_opening) + cookie_size + log->attachment_size;
    uint64_t address;
    int result = hlog_reserve_to_unit(&log->log, entry_extent(size), log->unit,
                                      &address, &lead->until);
    if (result == FASTER_OK) {
        lead->number = ++log->next_number;
        log->promised = lead->until;
        log->promised_ns = lead->begun_ns;
        log->commits++;
        put_record(log, address, cookie, cookie_size, lead);
    }
    return result;
}

/* Append a commit record; its end is the commit's. */
static int append_record(struct faster_flog *log, const void *cookie,
                         uint64_t cookie_size, uint64_t deadline, struct lead *lead) {
    for (;;) { /* ends at the deadline */
        int result = FASTER_RETRY;
        lock_enter(&log->lock);
        for (uint32_t i = 0; i < FLOG_SLOTS && result == FASTER_RETRY; i++) {
            if (epoch_enter(&log->epoch, log->slots[i]) == FASTER_OK) {
                result = reserve_record(log, cookie, cookie_size, lead);
                epoch_leave(&log->epoch, log->slots[i]);
                break;
            }
        }
        lock_leave(&log->lock);
        if (result != FASTER_RETRY) {
            return result;
        }
        (void)flog_work(log);
        if ((flog_state(log) & (FLOG_CLOSED | FLOG_FAILED)) != 0) {
            return flog_refusal(log, flog_state(log));
        }
        if (clock_ms() >= deadline) {
            return FASTER_E_TIMEOUT;
        }
        thread_yield();
    }
}

/* Have everything below `until` written.  This thread does the worker's rounds itself:
 * waking the worker and being woken by it takes longer than a small write. */
static int flush_until(struct faster_flog *log, uint64_t until, uint64_t deadline) {
    struct disk_failure failure;
    uint32_t pause_us = 0;
    int result = FASTER_OK;
    lock_enter(&log->flushing);
    /* While much is written the worker serves those who need pages. */
    bool small = until - disk_flushed_until(&log->log) <= SMALL_FLUSH;
    disk_hold(&log->log);
    disk_want_flush(&log->log, until);
    while (result == FASTER_OK) { /* ends at the deadline */
        bool moved = disk_work_waiting(&log->log);
        if (small) {
            disk_hold(&log->log);
        }
        if (disk_flushed_until(&log->log) >= until) {
            break;
        }
        result = disk_failed(&log->log, &failure);
        lock_leave(&log->flushing);
        if (!moved && result == FASTER_OK) {
            reader_rest(&log->device, &pause_us);
        }
        if (result == FASTER_OK && clock_ms() >= deadline) {
            result = FASTER_E_TIMEOUT;
        }
        if ((flog_state(log) & (FLOG_CLOSED | FLOG_FAILED)) != 0) {
            result = flog_refusal(log, flog_state(log));
        }
        lock_enter(&log->flushing);
    }
    bool more = disk_work(&log->log);
    lock_leave(&log->flushing);
    if (more) {
        disk_ask(&log->log);
    }
    return result;
}

static void publish(struct faster_flog *log, const struct lead *lead) {
    lock_enter(&log->lock);
    if (lead->until > flog_committed(log)) {
        log->number = lead->number;
        atomic_store_explicit(&log->committed, lead->until,
                              memory_order_release); /* M2, with flog_committed */
    }
    flog_wake(log);
    lock_leave(&log->lock);
}

/* D3: what failed for good stops the log; a device that is full does not. */
static int judge(struct faster_flog *log, int status) {
    struct disk_failure failure = {0};
    if (status == FASTER_OK || status == FASTER_E_TIMEOUT ||
        status == FASTER_E_CLOSED) {
        return status;
    }
    bool synced = disk_sync_failed(&log->log, &failure) == FASTER_OK;
    if (synced && (disk_failed(&log->log, &failure) == FASTER_OK ||
                   disk_is_full(failure.status))) {
        return status;
    }
    flog_fail(log, failure.status, failure.from, failure.until);
    return failure.status;
}

static uint32_t left_until(uint64_t deadline) {
    uint64_t now = clock_ms();
    uint64_t left = deadline > now ? deadline - now : 0;
    return left < INT32_MAX ? (uint32_t)left : INT32_MAX;
}

/* What a record covers that some leader has appended whose time ran out before it was
 * durable: until 0 when there is none that will do. */
static struct lead record_left_behind(struct faster_flog *log, uint64_t until) {
    struct lead lead = {0};
    lock_enter(&log->lock);
    if (log->promised >= until && log->promised > flog_committed(log)) {
        lead = (struct lead){.until = log->promised,
                             .number = log->next_number,
                             .begun_ns = log->promised_ns};
    }
    lock_leave(&log->lock);
    return lead;
}

/* Make everything below `until` durable, with a record of its own for a cookie. */
static int lead_commit(struct faster_flog *log, uint64_t until, const void *cookie,
                       uint64_t cookie_size, uint64_t deadline,
                       struct faster_flog_commit *commit) {
    struct lead lead = record_left_behind(log, until);
    int result = FASTER_OK;
    if (lead.until == 0) {
        lead.begun_ns = clock_ns();
        result = append_record(log, cookie, cookie_size, deadline, &lead);
    }
    if (result == FASTER_OK) {
        *commit = (struct faster_flog_commit){lead.number, lead.until};
        /* disk_work lets everybody leave who was inside before it writes (L2). */
        result = flush_until(log, lead.until, deadline);
    }
    if (result == FASTER_OK) {
        /* relaxed: a figure */
        (void)atomic_fetch_add_explicit(&log->syncs, 1, memory_order_relaxed);
        result = disk_sync_until(&log->log, lead.until, left_until(deadline));
    }
    if (result == FASTER_OK) {
        publish(log, &lead);
        histogram_add(&log->commit_times, clock_ns() - lead.begun_ns);
    }
    return judge(log, result);
}

/* --- groups ----------------------------------------------------------------------- */

/* Under `lock`: whether this call is to lead; else somebody's commit will do. */
static bool may_lead(const struct faster_flog *log, uint64_t until) {
    bool covered = log->leaders != 0 && log->promised >= until;
    return !covered && log->leaders < log->commits_in_flight;
}

/* Under `lock`: sleep until a commit has ended. */
static int wait_for_leader(struct faster_flog *log, uint64_t deadline) {
    uint64_t look = clock_ms() + WAIT_LOOK_MS;
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(&log->commit_waits, 1, memory_order_relaxed);
    if (!condition_wait_until(&log->moved, &log->lock,
                              look < deadline ? look : deadline) &&
        clock_ms() >= deadline) {
        return FASTER_E_TIMEOUT;
    }
    return FASTER_OK;
}

/* Become one of the leaders: FASTER_OK; FASTER_NOT_FOUND when everything below `until`
 * is committed already (UINT64_MAX never is). */
static int take_lead(struct faster_flog *log, uint64_t until, uint64_t deadline,
                     bool suspending) {
    int result = FASTER_OK;
    lock_enter(&log->lock);
    for (;;) { /* ends at the deadline */
        uint32_t passed = FLOG_ENDED | (suspending ? FLOG_SUSPENDED : 0u);
        uint32_t state = flog_state(log) & ~passed;
        if (flog_committed(log) >= until) {
            result = FASTER_NOT_FOUND;
        } else if ((state & (FLOG_CLOSED | FLOG_FAILED)) != 0) {
            result = flog_refusal(log, state);
        } else if (state == 0 && may_lead(log, until)) {
            log->leaders++;
        } else {
            result = wait_for_leader(log, deadline);
            if (result == FASTER_OK) {
                continue;
            }
        }
        lock_leave(&log->lock);
        return result;
    }
}

static void give_lead(struct faster_flog *log) {
    lock_enter(&log->lock);
    log->leaders--;
    condition_wake(&log->moved);
    lock_leave(&log->lock);
}

int flog_commit_until(struct faster_flog *log, uint64_t until, uint64_t deadline,
                      bool suspending) {
    struct faster_flog_commit commit;
    int result = take_lead(log, until, deadline, suspending);
    if (result == FASTER_OK) {
        result = lead_commit(log, until, NULL, 0, deadline, &commit);
        give_lead(log);
    }
    return result == FASTER_NOT_FOUND ? FASTER_OK : result;
}

int faster_flog_commit(struct faster_flog *log, uint64_t until, uint32_t timeout_ms,
                       struct faster_flog_commit *commit) {
    uint64_t deadline = clock_ms() + timeout_ms;
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    uint64_t tail = hlog_tail(&log->log);
    result = until > tail
                 ? -EINVAL
                 : flog_commit_until(log, until != 0 ? until : tail, deadline, false);
    if (result == FASTER_OK) {
        faster_flog_committed(log, commit);
    }
    flog_end_call(log);
    return result;
}

int faster_flog_commit_strong(struct faster_flog *log, const void *cookie,
                              uint64_t cookie_size, uint32_t timeout_ms,
                              struct faster_flog_commit *commit) {
    uint64_t deadline = clock_ms() + timeout_ms;
    if (cookie_size > FASTER_FLOG_COOKIE_MAX || cookie_size > log->payload_max / 8) {
        return FASTER_E_VALUE_SIZE;
    }
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    *commit = (struct faster_flog_commit){0, 0};
    result = take_lead(log, UINT64_MAX, deadline, false);
    if (result == FASTER_OK) {
        result = lead_commit(log, UINT64_MAX, cookie, cookie_size, deadline, commit);
        give_lead(log);
    }
    flog_end_call(log);
    return result;
}

void faster_flog_committed(struct faster_flog *log, struct faster_flog_commit *commit) {
    if (log->fork_generation != fork_generation()) {
        /* The lock is the parent's; here nobody writes. */
        *commit = (struct faster_flog_commit){log->number, flog_committed(log)};
        return;
    }
    lock_enter(&log->lock);
    *commit = (struct faster_flog_commit){log->number, flog_committed(log)};
    lock_leave(&log->lock);
}

int faster_flog_wait_committed(struct faster_flog *log, uint64_t seen,
                               uint32_t timeout_ms) {
    uint64_t deadline = clock_ms() + timeout_ms;
    int result = flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    lock_enter(&log->lock);
    while (result == FASTER_OK && flog_committed(log) <= seen) {
        uint32_t state = flog_state(log) & (FLOG_CLOSED | FLOG_FAILED);
        if (state != 0 && !log->read_only) {
            result = flog_refusal(log, state);
        } else if (state == FLOG_CLOSED) {
            result = FASTER_E_CLOSED;
        } else if (!condition_wait_until(&log->moved, &log->lock, deadline)) {
            result = FASTER_E_TIMEOUT;
        }
    }
    lock_leave(&log->lock);
    flog_end_call(log);
    return result;
}
