/* SPDX-License-Identifier: MIT */
/* tell.c: what commits carry, and whom they tell; see flog.h */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flog/flog.h"

int faster_flog_attach(struct faster_flog *log, const void *data, uint64_t size) {
    if (size > FASTER_FLOG_ATTACHMENT_MAX || size > log->payload_max / 4) {
        return log->read_only ? -EROFS : FASTER_E_VALUE_SIZE;
    }
    int result = log->read_only ? -EROFS : flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    uint8_t *copy = malloc(size != 0 ? (size_t)size : 1);
    if (copy != NULL) {
        if (size != 0) {
            memcpy(copy, data, size);
        }
        lock_enter(&log->lock);
        uint8_t *old = log->attachment;
        log->attachment = copy;
        log->attachment_size = size;
        lock_leave(&log->lock);
        free(old);
    }
    flog_end_call(log);
    return copy != NULL ? FASTER_OK : -ENOMEM;
}

/* Under `lock`: room for more descriptors. */
static int grow_notify(struct faster_flog *log) {
    uint32_t capacity = log->notify_capacity != 0 ? 2 * log->notify_capacity : 8;
    if (capacity > FLOG_NOTIFY_MAX) {
        return FASTER_E_FULL;
    }
    int64_t *grown = realloc(log->notify, capacity * sizeof *grown);
    if (grown == NULL) {
        return -ENOMEM;
    }
    log->notify = grown;
    log->notify_capacity = capacity;
    return FASTER_OK;
}

int faster_flog_notify(struct faster_flog *log, int64_t descriptor) {
    int result = flog_begin_call(log);
    if (result != FASTER_OK) {
        return result;
    }
    lock_enter(&log->lock);
    if (log->notified == log->notify_capacity) {
        result = grow_notify(log);
    }
    if (result == FASTER_OK) {
        log->notify[log->notified++] = descriptor;
    }
    lock_leave(&log->lock);
    flog_end_call(log);
    return result;
}

void faster_flog_notify_end(struct faster_flog *log, int64_t descriptor) {
    if (log->fork_generation != fork_generation()) {
        return;
    }
    lock_enter(&log->lock);
    for (uint32_t i = 0; i < log->notified; i++) {
        if (log->notify[i] == descriptor) {
            log->notify[i] = log->notify[--log->notified];
            break;
        }
    }
    lock_leave(&log->lock);
}
