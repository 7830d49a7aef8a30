/* SPDX-License-Identifier: MIT */
/* durable.c: waiting until the log is durable, see disk.h and sync.h */
#include <errno.h>

#include "base/thread.h"
#include "log/disk.h"
#include "log/sync.h"

/* Between two looks at a sync in flight; a device that wants to be driven sleeps by
 * itself. */
enum { SYNC_PAUSE_US = 50, SYNC_PAUSE_US_MAX = 1000, SYNC_WAIT_MS = 1 };

/* Bring the device on, and rest when that completed nothing. */
static void rest_for_sync(const struct faster_device *device, uint32_t *pause_us) {
    if ((device->capabilities & FASTER_DEVICE_DRIVEN) != 0) {
        (void)device_wait(device, SYNC_WAIT_MS); /* device.h V10 */
    } else if (device_poll(device) <= 0) {
        thread_pause_us(*pause_us);
        *pause_us = *pause_us < SYNC_PAUSE_US_MAX ? 2 * *pause_us : *pause_us;
    }
}

int disk_sync_until(struct hlog *log, uint64_t until, uint32_t timeout_ms) {
    struct log_sync *sync = disk_log_sync(log);
    uint64_t deadline = clock_ms() + timeout_ms;
    uint32_t pause_us = SYNC_PAUSE_US;
    if (until > disk_flushed_until(log)) {
        return -EINVAL;
    }
    for (;;) { /* ends at the deadline */
        bool moved = false;
        int status = disk_enter_device(log);
        if (status != FASTER_OK) {
            return status;
        }
        status = sync_step(sync, until, disk_flushed_until(log), &moved);
        if (status == FASTER_RETRY && !moved) {
            rest_for_sync(disk_device(log), &pause_us);
        }
        disk_leave_device(log);
        if (status != FASTER_RETRY) {
            return status;
        }
        if (!moved && clock_ms() >= deadline) {
            return FASTER_E_TIMEOUT;
        }
    }
}

int disk_sync(struct hlog *log, uint32_t timeout_ms) {
    return disk_sync_until(log, disk_flushed_until(log), timeout_ms);
}

uint64_t disk_synced_until(struct hlog *log) { return sync_until(disk_log_sync(log)); }

int disk_sync_failed(struct hlog *log, struct disk_failure *failure) {
    uint64_t from = 0;
    uint64_t until = 0;
    int failed = sync_failed(disk_log_sync(log), &from, &until);
    if (failed != FASTER_OK) {
        *failure = (struct disk_failure){failed, from, until};
    }
    return failed;
}
