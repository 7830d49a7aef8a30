/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "device/device.h"

static int null_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                     const struct faster_completion *completion) {
    (void)context;
    if (!device_range_exists(offset, length)) {
        return -EINVAL;
    }
    if (length > 0) {
        memset(buffer, 0, length);
    }
    completion->done(completion->context, FASTER_DEVICE_DONE, length);
    return 0;
}

static int null_write(void *context, uint64_t offset, const void *buffer,
                      uint64_t length, const struct faster_completion *completion) {
    (void)context;
    (void)buffer;
    if (!device_range_exists(offset, length)) {
        return -EINVAL;
    }
    completion->done(completion->context, FASTER_DEVICE_DONE, length);
    return 0;
}

static int null_sync(void *context, const struct faster_completion *completion) {
    (void)context;
    completion->done(completion->context, FASTER_DEVICE_DONE, 0);
    return 0;
}

static int null_truncate_before(void *context, uint64_t offset) {
    (void)context;
    (void)offset;
    return 0;
}

static int null_poll(void *context) {
    (void)context;
    return 0; /* everything was completed when it was submitted */
}

/* V11: nothing is in flight, so there is nothing to wait for. */
static int null_wait(void *context, uint32_t timeout_ms) {
    (void)timeout_ms;
    return null_poll(context);
}

/* Nothing is in flight: requests complete inside their submission. */
static int null_close(void *context) {
    (void)context;
    return 0;
}

void device_open_null(struct faster_device *device) {
    *device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof *device,
        .capabilities = FASTER_DEVICE_VOLATILE | FASTER_DEVICE_DISCARDS,
        .sector_size = 512,
        .alignment = 1,
        .read = null_read,
        .write = null_write,
        .sync = null_sync,
        .truncate_before = null_truncate_before,
        .poll = null_poll,
        .wait = null_wait,
        .close = null_close,
    };
}
