/* SPDX-License-Identifier: MIT */
/*
 * device.h: what a storage device must offer
 *
 * This header stands alone, so that whoever writes a device may vendor it.  A device is
 * a struct of function pointers whose first words are the interface's number and the
 * struct's size; the struct only ever grows at its end, and a field beyond `size` is
 * never read.
 *
 * Rules (each is one check of the conformance suite)
 *   V1  read, write and sync submit one request and return 0, or refuse it with a
 *       negative status; a refused request is never completed.
 *   V2  An accepted request is completed exactly once, from any thread, perhaps before
 *       the submitting call has returned.
 *   V3  Success is FASTER_DEVICE_DONE and nothing else: a completion whose status is 0
 *       counts as failed, because 0 is what a broken callback leaves behind.
 *   V4  A completion says how many bytes were moved; fewer than asked is not success
 *       for a write.  A read may be short only where the device ends.
 *   V5  Buffers and the struct faster_completion are the caller's and stay valid until
 *       `done` is called.
 *   V6  Requests in flight may finish in any order; sync covers the writes that were
 *       COMPLETED before it was submitted, no others.
 *   V7  Bytes that were never written read as zero or end the read short.
 *   V8  After truncate_before(offset) bytes below offset may be gone; those above are
 *       untouched.
 *   V9  close waits for what is in flight, completes it, and frees the context; it is
 *       called once, last.
 *   V10 A device may gather accepted requests; poll hands on what was gathered and
 *       completes what is ready.  Whoever has submitted calls poll, or wait, before it
 *       relies on progress; from then on requests are completed without further calls.
 *   V11 wait is poll, and when that completed nothing it sleeps until something has
 *       been completed, by whomever, or the time is over.
 */
#ifndef FASTER_DEVICE_H
#define FASTER_DEVICE_H

#include <stdint.h>

enum { FASTER_DEVICE_ABI = 1 };

/* Success of a completion; not 0, see V3. */
enum { FASTER_DEVICE_DONE = 0x600D };

/* What a device declares of itself: bits of `capabilities`. */
enum {
    FASTER_DEVICE_VOLATILE = 1,   /* contents end with the process */
    FASTER_DEVICE_DISCARDS = 2,   /* accepts writes and keeps nothing */
    FASTER_DEVICE_TRUNCATES = 4,  /* truncate_before gives space back */
    FASTER_DEVICE_FLUSHES = 8,    /* sync makes completed writes survive a power cut */
    FASTER_DEVICE_FORKS = 16,     /* a child may go on using it after fork() */
    FASTER_DEVICE_SHARED = 32,    /* several processes may have it open */
    FASTER_DEVICE_POWERSAFE = 64, /* a power cut spares sectors not being written */
    FASTER_DEVICE_DRIVEN = 128    /* calling wait is the fastest way to completions */
};

/* One request's end.  The device calls `done` once; `done` never blocks. */
struct faster_completion {
    void (*done)(void *context, int32_t status, uint64_t bytes);
    void *context;
};

struct faster_device {
    uint32_t abi;  /* FASTER_DEVICE_ABI */
    uint32_t size; /* sizeof(struct faster_device) when it was built */

    void *context;         /* handed back in every call */
    uint64_t capabilities; /* FASTER_DEVICE_* bits */
    uint32_t sector_size;  /* unit of atomic writes: a power of two, at least 512 */
    uint32_t alignment;    /* of offsets, lengths and buffers: a power of two */
    uint64_t capacity;     /* bytes it can hold; 0 when only the system limits it */
    uint64_t max_io;       /* bytes of one request at most; 0 when it has no limit */
    uint32_t atomic_unit;  /* bytes that a power cut never leaves mixed; 0: none */
    uint32_t reserved;     /* zero */

    int (*read)(void *context, uint64_t offset, void *buffer, uint64_t length,
                const struct faster_completion *completion);
    int (*write)(void *context, uint64_t offset, const void *buffer, uint64_t length,
                 const struct faster_completion *completion);
    int (*sync)(void *context, const struct faster_completion *completion);
    int (*truncate_before)(void *context, uint64_t offset);
    int (*poll)(void *context); /* V10; how many requests it completed, or a failure */
    int (*wait)(void *context, uint32_t timeout_ms); /* V11; returns as poll */
    int (*close)(void *context);
};

#endif
