/* SPDX-License-Identifier: MIT */
/*
 * file_device.h: a device that keeps segments with plain reads and writes
 *
 * Purpose
 *   The device that works everywhere: blocking system calls, made by a few threads of
 *   its own so that nobody who submits has to wait, and by those who wait anyway.
 *
 * Model
 *   Requests wait in one queue, first in, first out, and threads take them from it.
 *   Syncs wait beside it: one runs at a time, and the next one serves all that have
 *   gathered in the meantime.
 *
 *        read, write --> queue --> thread: pieces (segments.h), bytes (transfer.h)
 *        sync ---------> syncs --> thread: segments_sync, for all of them
 *                                     |
 *                              done(), then counted for poll and wait
 *
 *   Threads of the pool are called by poll and wait (V10), as many as there is work
 *   for, and without either for a read, or when transfers have gathered.  Two ways from
 *   thread to thread cost as much as a short write does, so a thread that waits carries
 *   out one of its own requests itself, if none has taken it, and leaves the rest to
 *   the pool.
 *
 * Invariants
 *   I1  An accepted request is completed exactly once, by the thread that took it,
 *       outside of the lock; only then is it counted, so that whoever is woken finds it
 *       done.
 *   I2  A sync that is taken was submitted after the writes that it must cover had been
 *       unpinned (segments.h I3).
 *   I3  In a child of fork() nothing is touched: the threads are the parent's.
 *   I4  A thread that waits takes transfers of its own alone, and syncs only when one
 *       is its own: a reader is never held by what another living thread has asked for.
 *   I5  Behind poll, and behind wait, whatever can be taken is taken without further
 *       calls: every thread of the pool that sleeps, up to the number of what is there,
 *       was called and looks again; the others look before they sleep.
 *   I6  A thread of the pool is idle from before it runs: what nobody has handed on
 *       stays where it was gathered, however late the system lets the thread begin.
 *
 * Ordering   One lock orders all.
 * Progress   Submitting takes the lock, and sometimes memory; poll takes the lock; wait
 *            and close block.  wait may be longer away than it was told, by the time
 *            that one transfer or sync takes.
 * Threads    any; close is the last call, and not made from a completion
 * Errors     -errno of the system; -EINVAL for a range that is not aligned or wraps;
 *            -EAGAIN for more than FILE_DEVICE_REQUESTS at once; -EOWNERDEAD in a child
 * Limits     64 threads, FILE_DEVICE_REQUESTS requests in flight
 * Source     none
 * Tests      tests/test_device.py, tests/test_helping.py, tests/test_faults.py,
 *            tests/test_torture.py
 */
#ifndef FASTER_FILE_FILE_DEVICE_H
#define FASTER_FILE_FILE_DEVICE_H

#include "device.h"
#include "segments.h"

enum { FILE_DEVICE_THREADS_MAX = 64, FILE_DEVICE_REQUESTS = 1 << 16 };

/*
 * Fill `device` with one that keeps its bytes in `settings->path`.
 * Errors: as segments_open, and what starting threads gives.
 */
int file_device_open(const struct segments_settings *settings, uint32_t threads,
                     const struct os *os, struct faster_device *device,
                     struct segments_problem *problem);

/* Whether an open device moves bytes past the system's cache. */
bool file_device_is_direct(const struct faster_device *device);

#endif
