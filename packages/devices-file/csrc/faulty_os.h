/* SPDX-License-Identifier: MIT */
/*
 * faulty_os.h: a system that fails when it is told to
 *
 * Purpose
 *   What a device does when the disk is full or a sync fails is seldom seen on a
 *   machine that works.  This stands between a device and the system, counts the
 *   calls, and answers some of them itself.
 *
 * Model
 *   A rule names a kind of call, which calls of that kind it means, counted from 1, and
 *   what they give: an error, without asking the system; or, for reads and writes, how
 *   many bytes at most the system is asked to move; or, for align_file, the alignment;
 *   or, for measure_file, that the file has lost its name since it was opened.  A read,
 *   write or sync of a file may also be parked: the caller stays in it until all that
 *   are parked are let go, and then the system is asked.  The first rule that fits a
 *   call decides.
 *
 * Invariants
 *   I1  A call that no rule names is passed on unchanged.
 *   I2  The struct begins with its struct os.
 * Ordering   none: the counts only have to be unique; a lock guards who is parked
 * Progress   as the system; a parked call blocks until it is let go
 * Threads    any; rules are set before the first call that they mean
 * Errors     what the rules say
 * Limits     FAULTY_RULES rules
 * Source     none
 * Tests      tests/test_faults.py
 */
#ifndef FASTER_FILE_FAULTY_OS_H
#define FASTER_FILE_FAULTY_OS_H

#include <stdatomic.h>

#include "os.h"

/* What a rule gives that parks the caller. */
#define FAULTY_PARK INT64_MIN

enum faulty_call {
    FAULTY_MAKE_DIRECTORY,
    FAULTY_OPEN_DIRECTORY,
    FAULTY_SYNC_DIRECTORY,
    FAULTY_LIST_DIRECTORY,
    FAULTY_OPEN_FILE,
    FAULTY_RENAME_FILE,
    FAULTY_REMOVE_FILE,
    FAULTY_CLOSE_FILE,
    FAULTY_MEASURE_FILE,
    FAULTY_ALIGN_FILE,
    FAULTY_ALLOCATE_FILE,
    FAULTY_RESIZE_FILE,
    FAULTY_READ_FILE,
    FAULTY_WRITE_FILE,
    FAULTY_SYNC_FILE,
    FAULTY_CALLS /* how many kinds there are */
};

enum { FAULTY_RULES = 16 };

struct faulty_rule {
    uint32_t call; /* enum faulty_call */
    uint64_t first;
    uint64_t count;
    int64_t result; /* -errno, or a number of bytes, or FAULTY_PARK */
};

struct faulty_os {
    struct os os;
    const struct os *system;
    uint32_t rules_used;
    struct faulty_rule rules[FAULTY_RULES];
    _Atomic uint64_t calls[FAULTY_CALLS];

    struct os_lock lock;         /* guards the rest */
    struct os_condition changed; /* woken for each change */
    uint32_t parked;
    uint64_t rounds; /* how often those that were parked were let go */
};

/* Stand in front of a system, without rules yet.  Errors: those of a lock. */
int faulty_os_init(struct faulty_os *faulty, const struct os *system);
/* No call is in it any more. */
void faulty_os_destroy(struct faulty_os *faulty);

/* -EINVAL for a kind that does not exist, -ENOSPC for too many. */
int faulty_os_add(struct faulty_os *faulty, const struct faulty_rule *rule);

/* Whether so many calls are parked before the time is over. */
bool faulty_os_await(struct faulty_os *faulty, uint32_t parked, uint32_t timeout_ms);

/* Let go all that are parked. */
void faulty_os_release(struct faulty_os *faulty);

/* How many calls of a kind there were. */
uint64_t faulty_os_calls(const struct faulty_os *faulty, uint32_t call);

#endif
