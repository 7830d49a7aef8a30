/* SPDX-License-Identifier: MIT */
/*
 * status.h: every result the core can give, once
 *
 * 0 is success, a positive number is an outcome, a negative number a failure.  Failures
 * of the system are -errno, unchanged; ours start at -5001, clear of -1 ... -4095.
 * The comment behind each line is its sentence: docs/errors.md and faster_strerror()
 * say the same, by test.
 */
#ifndef FASTER_STATUS_H
#define FASTER_STATUS_H

enum faster_status {
    FASTER_OK = 0,        /* The operation is done. */
    FASTER_NOT_FOUND = 1, /* The key is absent. */
    FASTER_EXISTS = 2,    /* The key was there already; nothing changed. */
    FASTER_MISMATCH = 3,  /* The value is not the expected one; nothing changed. */
    FASTER_SHORT = 4,     /* The caller's buffer is too small; its size is told. */
    FASTER_PENDING = 5,   /* The operation waits for the device. */
    FASTER_RETRY = 6,     /* Another thread is in the way; wait outside and retry. */
    FASTER_MUTABLE = 7,   /* The record may still change; copy instead of borrow. */

    FASTER_E_CORRUPT = -5001,  /* Stored bytes fail their checksum or their bounds. */
    FASTER_E_ABI = -5002,      /* The two sides were built for different interfaces. */
    FASTER_E_FORMAT = -5003,   /* Stored bytes are of another format or layout. */
    FASTER_E_CLOSED = -5004,   /* The store or session has been closed. */
    FASTER_E_FULL = -5005,     /* The memory budget is used up; nothing changed. */
    FASTER_E_BUSY = -5006,     /* Another thread is inside this session. */
    FASTER_E_FORKED = -5007,   /* The handle belongs to the parent of this process. */
    FASTER_E_SESSIONS = -5008, /* All session slots are taken. */
    FASTER_E_KEY_SIZE = -5009, /* The key is larger or of another size than allowed. */
    FASTER_E_VALUE_SIZE =
        -5010,              /* The value is larger or of another size than allowed. */
    FASTER_E_MERGE = -5011, /* The merge does not apply to this store's values. */
    FASTER_E_OVERFLOW = -5012, /* The result does not fit the value's type. */
    FASTER_E_CONFIG = -5013,   /* A setting is out of range or contradicts another. */
    FASTER_E_TIMEOUT = -5014   /* The deadline passed before the work was done. */
};

/* Give the sentence of a status; for -errno the fixed text "system error". */
const char *faster_strerror(int status);

#endif
