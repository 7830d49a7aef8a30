/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "base/thread.h"
#include "device/device.h"
#include "faster/status.h"

/* First give way, for devices that complete soon; then rest between polls, longer each
 * time, for those that take a seek. */
enum { YIELDS = 64, PAUSE_US = 20, PAUSE_US_MAX = 1000 };

struct waiter {
    struct device_request request; /* first: finish() gets its address */
    int status;
    uint64_t moved;

    /* The last touch of note_finish (M2), for the waiter lives on a stack. */
    _Atomic bool finished;
};

static void note_finish(struct device_request *request, int status, uint64_t moved) {
    struct waiter *waiter = (struct waiter *)request;
    waiter->status = status;
    waiter->moved = moved;
    atomic_store_explicit(&waiter->finished, true,
                          memory_order_release); /* M2, with wait_finish */
}

static void waiter_init(struct waiter *waiter) {
    device_request_init(&waiter->request, note_finish);
    waiter->status = FASTER_OK;
    waiter->moved = 0;
    /* relaxed: published by the submission, M1 */
    atomic_store_explicit(&waiter->finished, false, memory_order_relaxed);
}

/* Ended by the device, which completes what it accepted (V2).  A failing poll is not a
 * reason to leave: the request would still be in flight. */
static int wait_finish(const struct faster_device *device, struct waiter *waiter) {
    uint32_t turns = 0;
    uint32_t pause_us = PAUSE_US;
    while (!atomic_load_explicit(&waiter->finished,
                                 memory_order_acquire)) { /* M2, with note_finish */
        if (device_poll(device) > 0) {
            continue;
        }
        if (turns < YIELDS) {
            turns++;
            thread_yield();
        } else {
            thread_pause_us(pause_us);
            pause_us = pause_us < PAUSE_US_MAX ? 2 * pause_us : pause_us;
        }
    }
    return waiter->status;
}

int device_read_wait(const struct faster_device *device, uint64_t offset, void *buffer,
                     uint64_t length, uint64_t *moved) {
    struct waiter waiter;
    waiter_init(&waiter);
    int status = device_read(device, offset, buffer, length, &waiter.request);
    if (status == 0) {
        status = wait_finish(device, &waiter);
    }
    if (status == FASTER_OK) {
        *moved = waiter.moved;
    }
    return status;
}

int device_write_wait(const struct faster_device *device, uint64_t offset,
                      const void *buffer, uint64_t length) {
    struct waiter waiter;
    waiter_init(&waiter);
    int status = device_write(device, offset, buffer, length, &waiter.request);
    return status == 0 ? wait_finish(device, &waiter) : status;
}

int device_sync_wait(const struct faster_device *device) {
    struct waiter waiter;
    waiter_init(&waiter);
    int status = device_sync(device, &waiter.request);
    return status == 0 ? wait_finish(device, &waiter) : status;
}
