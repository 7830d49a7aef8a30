/* SPDX-License-Identifier: MIT */
/*
 * segments_table.h: what segments.c and segments_open.c share
 *
 * Purpose    The struct behind segments.h, for the two files that fill and use it.
 * Model
 *   Slots for the numbers first ... first + count - 1; a number is base / segment_size.
 *   A slot is empty only for a file that was missing when the directory was opened, or
 *   that nobody has wanted since, when it is open for reading alone.
 *
 * Invariants
 *   I1  The slots, `first`, `count` and `floor` change only inside both locks, so that
 *       either is enough for reading them; truncated, pins, dirty and removed only need
 *       the table's.
 *   I2  floor <= first while there are slots: below `floor` no file is made.
 * Ordering   The locks: change_lock before table_lock.
 * Progress   table_lock is never held over a system call.
 * Threads    segments_insert needs both locks, or nobody else who knows the struct.
 * Errors     as segments.h
 * Limits     none
 * Source     none
 * Tests      as segments.h
 */
#ifndef FASTER_FILE_SEGMENTS_TABLE_H
#define FASTER_FILE_SEGMENTS_TABLE_H

#include <stdatomic.h>

#include "segments.h"

#define SEGMENT_ENDING ".seg"
#define SEGMENT_UNFINISHED ".new"

enum {
    SEGMENT_NAME_DIGITS = 20,
    SEGMENT_NAME_LENGTH = SEGMENT_NAME_DIGITS + 4,
    SEGMENT_NAME_SIZE = SEGMENT_NAME_LENGTH + 1,
    SEGMENTS_TRIES = 16, /* of what may succeed when it is done again */
    SEGMENTS_ABSENT = 1
};

struct segment {
    os_file file;
    uint32_t pins;
    bool dirty;
    bool removed; /* from the table; the last unpin closes it */
};

struct segments {
    const struct os *os;
    uint64_t store_id;
    uint64_t generation;
    uint64_t segment_size;
    uint32_t shift; /* segment_size is 1 << shift */
    bool preallocate;
    bool read_only; /* segments.h I7 */
    struct segments_geometry geometry;
    os_file directory;
    _Atomic int failed; /* segments.h I4 */

    struct os_lock sync_lock;   /* held by the one sync that runs */
    struct os_lock change_lock; /* held while files are made and removed */
    uint8_t *block;             /* a header; guarded by change_lock */
    void *block_memory;

    struct os_lock table_lock;
    struct segment **slots;
    uint64_t first;
    uint64_t count;
    uint64_t room;
    uint64_t floor;     /* below it nothing is read as zeros, and no file is made */
    uint64_t truncated; /* below it, writes are forgotten */
};

/* Write a file's name: twenty digits and an ending of four characters. */
void segment_name(char *name, uint64_t base, const char *ending);

/* Sync a directory; a failure is latched. */
int segments_sync_directory(struct segments *segments, os_file directory);

/* Show a file under its number; -EFBIG, -ENOMEM. */
int segments_insert(struct segments *segments, uint64_t number,
                    struct segment *segment);

/* Check the file of a base, and keep it open in the table; -ENOENT when there is none.
 * Inside the lock of changes, or while nobody else knows the struct. */
int segments_adopt(struct segments *segments, uint64_t base,
                   struct segments_problem *problem);

/* Make the file of a number, and those between it and the others. */
int segments_make(struct segments *segments, uint64_t number);

/* Free the struct, whose files are closed. */
void segments_free(struct segments *segments);

#endif
