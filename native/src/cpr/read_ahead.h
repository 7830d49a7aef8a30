/* SPDX-License-Identifier: MIT */
/*
 * read_ahead.h: the log's bytes in order, several reads ahead of whoever takes them
 *
 * Level 6.  Includes: base, device, log.
 *
 * Purpose
 *   A device gives its full rate only when it has several requests to work on.  Here a
 *   range of the log is read in large pieces, and while one is looked at the next ones
 *   are on their way.
 *
 * Model
 *   AHEAD_DEPTH pieces of memory, used in turn.  Taking a piece gives back the one that
 *   was taken before, which is sent for the next part of the range at once.
 *
 * Invariants
 *   I1  Pieces are given in the order of their addresses, without gaps.
 *   I2  Memory is freed only when no request holds it.
 *
 * Ordering
 *   M1  A completion stores its result before `done` (release); who takes the piece
 *       loads `done` (acquire) first.  Without it bytes could be taken that have not
 *       arrived.
 *
 * Progress   take blocks until the device has completed the oldest read.
 * Threads    one; any number of them with a struct each
 * Errors     the device's, after AHEAD_ATTEMPTS; FASTER_E_CLOSED, -ENOMEM
 * Limits     AHEAD_DEPTH pieces of AHEAD_PIECE bytes
 * Source     none
 * Tests      tests/cpr/{validate_recovery,fault_recovery}.c
 */
#ifndef FASTER_CPR_READ_AHEAD_H
#define FASTER_CPR_READ_AHEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"
#include "log/hlog.h"

enum { AHEAD_DEPTH = 4, AHEAD_PIECE = 1 << 20, AHEAD_ATTEMPTS = 3 };

struct ahead_piece {
    struct device_request request; /* first: its completion gets this address */
    uint8_t *buffer;
    uint64_t from;
    uint64_t size;  /* asked for; 0: free */
    uint64_t got;   /* of whole units, when the device gave less than was asked for */
    uint64_t moved; /* behind them */
    uint32_t attempts;
    int status;
    bool submitted;
    _Atomic bool done; /* M1 */
};

struct read_ahead {
    struct hlog *log;
    const struct faster_device *device;
    uint64_t until;      /* on a multiple of the device's unit */
    uint64_t piece_size; /* likewise */
    uint64_t next;       /* address of the next piece to be asked for */
    uint64_t bytes;      /* of memory, taken from the budget */
    uint8_t *block;
    uint32_t taken; /* place of the piece that is given next */
    struct ahead_piece pieces[AHEAD_DEPTH];
};

/* Begin to read [from, until), rounded out to what the device reads.  -ENOMEM. */
int read_ahead_begin(struct read_ahead *ahead, struct hlog *log, uint64_t from,
                     uint64_t until);

/* The next piece: its bytes begin at the address *from; *size is less than was asked
 * for where the device ends.  *size 0 at the end of the range.  The bytes are valid
 * until the next call. */
int read_ahead_take(struct read_ahead *ahead, uint64_t *from, uint8_t **bytes,
                    uint64_t *size);

/* Wait for what is in flight, and free. */
void read_ahead_end(struct read_ahead *ahead);

#endif
