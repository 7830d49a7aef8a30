/* SPDX-License-Identifier: MIT */
/*
 * device.h: asking a device we did not write
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   A device is a stranger's code behind a table of pointers (faster/device.h, rules V1
 *   to V9).  The log must be able to rely on what it is told by it.  So every request
 *   goes through here: ranges are checked before the device sees them, results are
 *   judged before the log does, and what a broken device does wrong becomes a status.
 *
 * Model
 *   A request is memory of the caller that holds what the device needs until it
 *   completes: idle -> submitted -> idle.  The table's completion points back to it.
 *
 *       caller               dispatch                       device
 *       device_write  ---->  submitted; range checked  -->  write
 *          |                                                  |  any thread
 *       finish(status) <---  idle; V3, V4 judged       <---  done(code, bytes)
 *
 *   Two devices are here because the core needs them itself: one that keeps nothing and
 *   one that keeps bytes in memory and behaves like a file that may have holes.
 *
 * Invariants
 *   I1  Each submission ends exactly once: in a negative result, or in one call of
 *       `finish`.  A completion of a request that is not submitted is dropped.
 *   I2  `finish` gets FASTER_OK only if the device said FASTER_DEVICE_DONE (V3), moved
 *       no more than was asked and, for a write, no less (V4).
 *   I3  An accepted request is not touched after the device returned: it may already
 *       have been completed and freed.
 *   I4  What a newer, larger table holds beyond struct faster_device is never read.
 *
 * Ordering
 *   M1  submit stores `state` (release) after the request's other fields; completion
 *       exchanges it (acquire) before it reads them.  Without it a device that hands
 *       requests to its threads by relaxed stores could make us judge by old lengths.
 *   M2  A waiting thread's status and count are stored before `finished` (release) and
 *       read after it (acquire).  Without it a wait could return the initial success.
 *
 * Progress   As the device.  The *_wait functions block until the completion.
 * Threads    Any thread may submit; `finish` runs on whichever thread the device uses.
 *            One request is submitted by one thread at a time.
 * Errors     -EINVAL for a range that overflows or is not aligned, -ENOSPC for a write
 *            beyond the capacity, -EIO for what breaks a rule, else the device's own.
 * Limits     Offsets end at DEVICE_OFFSET_MAX.  A device that both refuses and
 *            completes is caught only while the request is not used again.
 * Source     none
 * Tests      tests/device/{validate_dispatch,validate_rules,torture_memory,
 *            fault_memory}.c,
 *            fuzz/fuzz_device.c
 */
#ifndef FASTER_DEVICE_DEVICE_H
#define FASTER_DEVICE_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "faster/device.h"

/* What file offsets are everywhere: 63 bits. */
#define DEVICE_OFFSET_MAX ((uint64_t)INT64_MAX)

struct device_request {
    /* The caller's.  Called once, on any thread; must not block; may free or submit the
     * request again.  For a read, `moved` may be short where the device ends. */
    void (*finish)(struct device_request *request, int status, uint64_t moved);

    /* Dispatch's, from submission to completion. */
    struct faster_completion completion;
    uint64_t length;
    uint32_t kind;
    _Atomic uint32_t state;
};

/* Prepare a request's memory, once.  While idle it may be copied and moved. */
void device_request_init(struct device_request *request,
                         void (*finish)(struct device_request *request, int status,
                                        uint64_t moved));

/*
 * Accept or refuse a table before its first use.
 * Errors: FASTER_E_ABI for another interface or a table that is too small, -EINVAL for
 * a missing function or a size that is no power of two.
 */
int device_validate(const struct faster_device *device);

/* Submit.  Returns 0, after which `finish` is or was called, or a negative status,
 * after which it never is. */
int device_read(const struct faster_device *device, uint64_t offset, void *buffer,
                uint64_t length, struct device_request *request);
int device_write(const struct faster_device *device, uint64_t offset,
                 const void *buffer, uint64_t length, struct device_request *request);
int device_sync(const struct faster_device *device, struct device_request *request);

/* Submit, poll, and wait for the completion.  Returns FASTER_OK or what went wrong.
 * For tests, recovery and whoever has nothing else to do. */
int device_read_wait(const struct faster_device *device, uint64_t offset, void *buffer,
                     uint64_t length, uint64_t *moved);
int device_write_wait(const struct faster_device *device, uint64_t offset,
                      const void *buffer, uint64_t length);
int device_sync_wait(const struct faster_device *device);

/* Let bytes below `offset` go (V8). */
int device_truncate_before(const struct faster_device *device, uint64_t offset);
/* Finish what is ready.  Returns how many were completed, or a failure. */
int device_poll(const struct faster_device *device);
/* The same, and sleep until something is completed or the time is over (V11). */
int device_wait(const struct faster_device *device, uint32_t timeout_ms);
/* Wait for what is in flight and end the device (V9); once, last. */
int device_close(const struct faster_device *device);

/* Whether [offset, offset + length) is a range of offsets at all. */
static inline bool device_range_exists(uint64_t offset, uint64_t length) {
    return offset <= DEVICE_OFFSET_MAX && length <= DEVICE_OFFSET_MAX - offset;
}

/* Fill `device` with one that takes every write, keeps nothing and reads as zeros. */
void device_open_null(struct faster_device *device);

/* What device_open_memory allows for its unit of allocation. */
enum { DEVICE_SEGMENT_MIN = 4096, DEVICE_SEGMENT_MAX = 1 << 30 };

/*
 * Fill `device` with one that keeps bytes in segments allocated as they are written.
 * Reads are short at the highest byte ever written; holes read as zeros.
 * truncate_before frees whole segments; later writes below it are dropped.
 * `capacity` ends the offsets, 0 means that only memory does.
 * Allocates: at open, and when a write touches new segments (-ENOMEM refuses it whole).
 * Errors: -EINVAL unless segment_size is a power of two within the limits, -ENOMEM.
 */
int device_open_memory(uint64_t segment_size, uint64_t capacity,
                       struct faster_device *device);

#endif
