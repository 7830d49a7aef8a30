/* SPDX-License-Identifier: MIT */
/* regions.c: moving the log's regions when a user asks for it */
#include "log/disk.h"
#include "store/store.h"

/* Between two looks at how far the device has come; each pause is twice the last. */
enum { PAUSE_US = 50, PAUSE_US_MAX = 2000 };

/* L5: pad the tail to a multiple of `unit`, inside the store's own slot.  FASTER_RETRY
 * while the page is being turned. */
static int pad_once(struct faster_kv *kv, uint64_t unit, uint64_t *until) {
    lock_enter(&kv->lock);
    int result = kv_enter_outside(kv);
    if (result == FASTER_OK) {
        result = hlog_pad(&kv->log, unit, until);
        epoch_leave(&kv->epoch, kv->slot);
    }
    lock_leave(&kv->lock);
    return result;
}

static bool kv_is_closed(struct faster_kv *kv) {
    uint64_t state =
        atomic_load_explicit(&kv->state, memory_order_seq_cst); /* store.h M1 */
    return (state & STATE_CLOSED) != 0;
}

static bool is_done(struct faster_kv *kv, uint64_t until, bool evict) {
    return evict ? disk_closed_until(&kv->log) >= until
                 : disk_flushed_until(&kv->log) >= until;
}

/* Wait for the worker to have moved the regions, or to have given up. */
static int wait_regions(struct faster_kv *kv, uint64_t until, bool evict,
                        uint64_t deadline) {
    uint32_t pause = PAUSE_US;
    struct disk_failure failure;
    while (!is_done(kv, until, evict)) { /* ends at the deadline */
        int failed = disk_failed(&kv->log, &failure);
        if (failed != FASTER_OK) {
            return failed;
        }
        if (kv_is_closed(kv)) {
            return FASTER_E_CLOSED;
        }
        if (clock_ms() >= deadline) {
            return FASTER_E_TIMEOUT;
        }
        thread_pause_us(pause);
        pause = pause < PAUSE_US_MAX ? 2 * pause : pause;
    }
    return FASTER_OK;
}

static int move_regions(struct faster_kv *kv, bool evict, uint32_t timeout_ms) {
    uint64_t deadline = clock_ms() + timeout_ms;
    uint64_t until = 0;
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if (kv->log.disk == NULL) {
        return FASTER_OK;
    }
    uint64_t unit = evict ? kv->log.page_size : disk_unit(&kv->log);
    int result = pad_once(kv, unit, &until);
    while (result == FASTER_RETRY && clock_ms() < deadline) {
        thread_pause_us(PAUSE_US);
        result = pad_once(kv, unit, &until);
    }
    if (result != FASTER_OK) {
        return result == FASTER_RETRY ? FASTER_E_TIMEOUT : result;
    }
    disk_resume(&kv->log);
    if (evict) {
        disk_want_evict(&kv->log, until);
    } else {
        disk_want_flush(&kv->log, until);
    }
    return wait_regions(kv, until, evict, deadline);
}

int faster_kv_flush(struct faster_kv *kv, uint32_t timeout_ms) {
    return move_regions(kv, false, timeout_ms);
}

int faster_kv_evict(struct faster_kv *kv, uint32_t timeout_ms) {
    return move_regions(kv, true, timeout_ms);
}

/* Under the lock: a store that is being closed keeps its parts until we are done. */
static int ask_disk(struct faster_kv *kv, struct disk_failure *failure) {
    lock_enter(&kv->lock);
    int result = kv->released ? FASTER_E_CLOSED : FASTER_OK;
    if (result == FASTER_OK && kv->log.disk != NULL) {
        if (failure != NULL) {
            result = disk_failed(&kv->log, failure);
        } else {
            disk_resume(&kv->log);
        }
    }
    lock_leave(&kv->lock);
    return result;
}

int faster_kv_resume_writes(struct faster_kv *kv) {
    return kv->generation != fork_generation() ? FASTER_E_FORKED : ask_disk(kv, NULL);
}

int faster_kv_failure(struct faster_kv *kv, uint64_t *from, uint64_t *until) {
    struct disk_failure failure = {FASTER_OK, 0, 0};
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    int result = ask_disk(kv, &failure);
    *from = failure.from;
    *until = failure.until;
    return result;
}
