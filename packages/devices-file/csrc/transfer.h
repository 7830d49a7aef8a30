/* SPDX-License-Identifier: MIT */
/*
 * transfer.h: moving all bytes of a piece
 *
 * Purpose
 *   The system may move fewer bytes than asked, be interrupted, or ask to be asked
 *   again.  Whoever wants a whole range needs a loop, with an end.
 *
 * Model
 *   Each call goes on behind what was moved.  A call that moves nothing counts against
 *   a bound, and one that moves something resets it.  Direct transfers go on from the
 *   last aligned byte, as the next call must begin at one.
 *
 * Invariants
 *   I1  transfer_write returns 0 only when the system confirmed every byte.
 *   I2  transfer_read returns less than asked only when the file ends there.
 *   I3  An error other than EINTR and EAGAIN is never retried.
 * Ordering   none
 * Progress   at most TRANSFER_TRIES calls that move nothing
 * Threads    any
 * Errors     -errno of the system; -EIO for writes that go on moving nothing
 * Limits     none
 * Source     none
 * Tests      tests/test_faults.py
 */
#ifndef FASTER_FILE_TRANSFER_H
#define FASTER_FILE_TRANSFER_H

#include "os.h"

enum { TRANSFER_TRIES = 16 };

struct transfer {
    const struct os *os;
    os_file file;
    uint64_t position;
    uint64_t length;
    uint32_t alignment; /* a power of two */
};

/* How many bytes were read, or -errno. */
int64_t transfer_read(const struct transfer *transfer, uint8_t *to);

/* 0, or -errno; then any part of the range may have been written. */
int transfer_write(const struct transfer *transfer, const uint8_t *from);

#endif
