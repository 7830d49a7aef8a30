/* SPDX-License-Identifier: MIT */
/*
 * uring_device.h: a device whose reads and writes go through a ring
 *
 * Purpose
 *   A fast disk is busy only with many requests at once, and one system call per
 *   request costs more than the request.  This device gathers requests, hands them to
 *   the kernel many at a time, and fetches results the same way.  Bytes lie in the
 *   files of segments.h, so that the same directory serves other devices too.
 *
 * Model
 *   A request is a slot of a pool:
 *
 *          +----> held, carried out by its submitter ---+
 *          |       |                                    v
 *        free --> gathered --> in the kernel --> judged --> done() --> free
 *                    ^   ^            |             |
 *                    |   +- no room --+             |
 *                    +------ rest, or next file ----+
 *
 *   Judging decides between the end, the rest of a short transfer, and another try.  A
 *   sync is such a request too: it flushes one file after the other.  One sync runs at
 *   a time; those that come meanwhile all share the next one.
 *
 *   A ring gains nothing for a single request: the kernel has a thread of its own flush
 *   the file, and being woken by it costs as much as a short write.  So a sync or small
 *   transfer that is submitted when nothing else is active is held, and if the thread
 *   that submitted it waits and it is still alone, that thread makes the plain call.
 *
 *   Whoever polls or waits does the work.  A thread of the device, the keeper, does it
 *   when nobody else does: it looks once a millisecond while others attend to results,
 *   sleeps in the kernel while they do not, and sleeps for good once there has been
 *   nothing to do for a while.
 *
 * Invariants
 *   I1  An accepted request's done() is called once, outside of all locks.
 *   I2  Requests in the kernel are never more than the ring has room for results.
 *   I3  A buffer is the kernel's from the hand-over until its result is there: nothing
 *       that goes wrong meanwhile completes the request, closing included.
 *   I4  A failed flush is never tried again (segments.h I4).
 *   I5  Nothing of the ring is touched in a child of fork().
 *   I6  Results of requests are judged after their file was let go of, so that a sync
 *       submitted from done() finds it dirty (segments.h I3).
 *
 * Ordering   One lock guards all that is shared.  Two words are read outside of it,
 *            relaxed, as hints; the rest is ring.h's.
 * Progress   read, write, sync block only for making files and when 32 are gathered,
 *            for handing them over; wait blocks; close blocks until all is done.
 * Threads    any; done() is called on threads that poll, wait or close, on the keeper,
 *            and inside read or write when there is nothing to move.
 * Errors     FASTER_E_CLOSED, FASTER_E_FORKED, those of segments.h; completions: the
 *            system's, -EIO for what does not move on and for a ring that broke.
 * Limits     A request costs no allocation unless more are accepted than ever before.
 *            poll from within done() nests.
 * Source     none
 * Tests      tests/test_device.py, tests/test_ring.py, tests/test_fork.py
 */
#ifndef PYFASTER_URING_DEVICE_H
#define PYFASTER_URING_DEVICE_H

#include "device.h"
#include "ring.h"
#include "segments.h"

/* What a device is and has done. */
struct uring_figures {
    uint64_t enters;    /* system calls for handing over and waiting */
    uint64_t submitted; /* requests, and parts of requests, handed over */
    uint64_t completed; /* requests that ended */
    uint64_t retried;   /* parts handed over again after an error that passes */
    uint64_t rests;     /* parts handed over because the one before was short */
    uint64_t excess;    /* requests that had to wait for room */
    uint64_t overflows; /* times the kernel had more results than room */
    uint64_t keeper;    /* results that nobody but the keeper fetched */
    uint64_t helped;    /* requests that their submitter carried out itself, waiting */
    uint32_t depth;     /* requests in the kernel at most */
    uint32_t alignment;
    uint32_t sector_size;
    uint32_t direct;     /* 1: past the system's cache */
    uint32_t restricted; /* 1: the kernel refuses all but reads, writes and flushes */
    int32_t failed;      /* as segments_failed */
    uint32_t reserved;
};

struct uring_settings {
    struct segments_settings segments;
    uint32_t depth; /* results that the ring has room for; a power of two */
    const struct ring_calls *calls; /* NULL: the system's */

    /* Called by close with the last figures, before the device is freed; or NULL. */
    void (*closing)(void *context, const struct uring_figures *figures);
    void *closing_context;
};

/*
 * Fill `device` with one that keeps its bytes in `settings->segments.path`.
 * `ring_refused` tells a failure of the ring from one of the files.
 * Allocates.  Errors: as ring_open and segments_open.
 */
int uring_device_open(const struct uring_settings *settings,
                      struct faster_device *device, struct segments_problem *problem,
                      bool *ring_refused);

/* Of a device that is open. */
void uring_device_figures(const struct faster_device *device,
                          struct uring_figures *figures);

/* 0 when this system gives us a ring, else why not: -ENOSYS, -EPERM, ... */
int uring_device_probe(const struct ring_calls *calls);

#endif
