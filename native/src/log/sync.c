/* SPDX-License-Identifier: MIT */
/* sync.c: see sync.h */
#include "log/sync.h"

#include <errno.h>

#include "faster/status.h"

enum sync_state { SYNC_IDLE, SYNC_CLAIMED, SYNC_FLYING, SYNC_DONE };

static void finish_sync(struct device_request *request, int status, uint64_t moved) {
    struct log_sync *sync = (struct log_sync *)request;
    (void)moved;
    sync->noted.ended_ns = clock_ns();
    sync->status = status;
    atomic_store_explicit(&sync->state, SYNC_DONE, memory_order_release); /* M1 */
}

void sync_init(struct log_sync *sync, const struct faster_device *device,
               uint64_t until, struct log_figures *figures, struct events *events) {
    device_request_init(&sync->request, finish_sync);
    sync->figures = figures;
    sync->events = events;
    sync->noted = (struct figures_request){0};
    sync->device = device;
    sync->status = FASTER_OK;
    sync->covers = until;
    atomic_init(&sync->state, SYNC_IDLE);
    atomic_init(&sync->failed, FASTER_OK);
    atomic_init(&sync->synced_until, until);
}

void sync_restart(struct log_sync *sync, uint64_t until) {
    sync->covers = until;
    atomic_store_explicit(&sync->synced_until, until, memory_order_release); /* M2 */
}

static bool claim(struct log_sync *sync, uint32_t from) {
    return atomic_compare_exchange_strong_explicit(&sync->state, &from, SYNC_CLAIMED,
                                                   memory_order_acquire,
                                                   memory_order_relaxed); /* M1 */
}

static void let_go(struct log_sync *sync) {
    atomic_store_explicit(&sync->state, SYNC_IDLE, memory_order_release); /* M1 */
}

/* I2: there is no way back from here; the claim is kept, so that nobody submits. */
static void latch(struct log_sync *sync, int status) {
    atomic_store_explicit(&sync->failed, status, memory_order_release); /* M2 */
    figures_fail(sync->figures, &sync->noted, status);
    figures_gave_up(sync->events, FASTER_EVENT_SYNC, status, sync_until(sync),
                    sync->covers);
}

static void judge(struct log_sync *sync) {
    if (sync->status != FASTER_OK) {
        latch(sync, sync->status);
        return;
    }
    figures_synced(sync->figures, &sync->noted);
    atomic_store_explicit(&sync->synced_until, sync->covers,
                          memory_order_release); /* M2, with sync_until */
    let_go(sync);
}

/* Whether the device took it, or has said for good that it will not. */
static bool submit(struct log_sync *sync, uint64_t written) {
    sync->covers = written;
    sync->noted = (struct figures_request){0};
    figures_start(&sync->noted);
    /* relaxed: published by the submission (device.h M1) */
    atomic_store_explicit(&sync->state, SYNC_FLYING, memory_order_relaxed);
    int status = device_sync(sync->device, &sync->request);
    if (status == -EAGAIN) {
        let_go(sync);
        return false;
    }
    if (status != 0) {
        finish_sync(&sync->request, status, 0);
    }
    return true;
}

int sync_step(struct log_sync *sync, uint64_t until, uint64_t written, bool *moved) {
    int failed = atomic_load_explicit(&sync->failed, memory_order_acquire); /* M2 */
    *moved = false;
    if (failed != FASTER_OK) {
        return failed;
    }
    if (claim(sync, SYNC_DONE)) {
        judge(sync);
        *moved = true;
        return FASTER_RETRY;
    }
    if (sync_until(sync) >= until) {
        return FASTER_OK;
    }
    if (claim(sync, SYNC_IDLE)) {
        /* Another's sync may have ended between the two looks. */
        if (sync_until(sync) >= until) {
            let_go(sync);
            return FASTER_OK;
        }
        *moved = submit(sync, written);
    }
    return FASTER_RETRY;
}

int sync_failed(struct log_sync *sync, uint64_t *from, uint64_t *until) {
    int failed = atomic_load_explicit(&sync->failed, memory_order_acquire); /* M2 */
    if (failed != FASTER_OK) {
        *from = sync_until(sync);
        *until = sync->covers; /* stays: the claim is never given back */
    }
    return failed;
}

uint64_t sync_until(struct log_sync *sync) {
    return atomic_load_explicit(&sync->synced_until, memory_order_acquire); /* M2 */
}
