/* SPDX-License-Identifier: MIT */
/* The core's own devices, with tables on the heap (faster/device_tools.h). */
#include <errno.h>
#include <stdlib.h>

#include "device/device.h"
#include "faster/device_tools.h"

/* A table in front of another one, to know whether it was closed. */
struct builtin {
    struct faster_device table;
    struct faster_device device;
    bool closed;
};

static int builtin_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                        const struct faster_completion *completion) {
    const struct faster_device *device = &((struct builtin *)context)->device;
    return device->read(device->context, offset, buffer, length, completion);
}

static int builtin_write(void *context, uint64_t offset, const void *buffer,
                         uint64_t length, const struct faster_completion *completion) {
    const struct faster_device *device = &((struct builtin *)context)->device;
    return device->write(device->context, offset, buffer, length, completion);
}

static int builtin_sync(void *context, const struct faster_completion *completion) {
    const struct faster_device *device = &((struct builtin *)context)->device;
    return device->sync(device->context, completion);
}

static int builtin_truncate_before(void *context, uint64_t offset) {
    const struct faster_device *device = &((struct builtin *)context)->device;
    return device->truncate_before(device->context, offset);
}

static int builtin_poll(void *context) {
    const struct faster_device *device = &((struct builtin *)context)->device;
    return device->poll(device->context);
}

static int builtin_wait(void *context, uint32_t timeout_ms) {
    const struct faster_device *device = &((struct builtin *)context)->device;
    return device->wait(device->context, timeout_ms);
}

static int builtin_close(void *context) {
    struct builtin *builtin = context;
    builtin->closed = true;
    return builtin->device.close(builtin->device.context);
}

static void fill_table(struct builtin *builtin) {
    builtin->table = builtin->device;
    builtin->table.context = builtin;
    builtin->table.read = builtin_read;
    builtin->table.write = builtin_write;
    builtin->table.sync = builtin_sync;
    builtin->table.truncate_before = builtin_truncate_before;
    builtin->table.poll = builtin_poll;
    builtin->table.wait = builtin_wait;
    builtin->table.close = builtin_close;
}

int faster_device_memory(uint64_t segment_size, uint64_t capacity,
                         struct faster_device **device) {
    struct builtin *builtin = calloc(1, sizeof *builtin);
    if (builtin == NULL) {
        return -ENOMEM;
    }
    int status = device_open_memory(segment_size, capacity, &builtin->device);
    if (status != 0) {
        free(builtin);
        return status;
    }
    fill_table(builtin);
    *device = &builtin->table;
    return 0;
}

int faster_device_null(struct faster_device **device) {
    struct builtin *builtin = calloc(1, sizeof *builtin);
    if (builtin == NULL) {
        return -ENOMEM;
    }
    device_open_null(&builtin->device);
    fill_table(builtin);
    *device = &builtin->table;
    return 0;
}

void faster_device_free(struct faster_device *device) {
    struct builtin *builtin = (struct builtin *)device; /* its first member */
    if (builtin->closed) {
        free(builtin);
    }
}

int faster_device_check(const struct faster_device *device) {
    return device_validate(device);
}

int faster_device_close(const struct faster_device *device) {
    return device_close(device);
}

int faster_device_sync(const struct faster_device *device) {
    return device_sync_wait(device);
}
