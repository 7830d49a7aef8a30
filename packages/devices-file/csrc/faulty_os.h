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
 *   or, for measure_file, that the file has lost its name since it was opened.  The
 *   first rule that fits a call decides.
 *
 * Invariants
 *   I1  A call that no rule names is passed on unchanged.
 *   I2  The struct begins with its struct os.
 * Ordering   none: the counts only have to be unique
 * Progress   as the system
 * Threads    any; rules are set before the first call
 * Errors     what the rules say
 * Limits     FAULTY_RULES rules
 * Source     none
 * Tests      tests/test_faults.py
 */
#ifndef FASTER_FILE_FAULTY_OS_H
#define FASTER_FILE_FAULTY_OS_H

#include <stdatomic.h>

#include "os.h"

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
    int64_t result; /* -errno, or a number of bytes */
};

struct faulty_os {
    struct os os;
    const struct os *system;
    uint32_t rules_used;
    struct faulty_rule rules[FAULTY_RULES];
    _Atomic uint64_t calls[FAULTY_CALLS];
};

/* Stand in front of a system, without rules yet. */
void faulty_os_init(struct faulty_os *faulty, const struct os *system);

/* -EINVAL for a kind that does not exist, -ENOSPC for too many. */
int faulty_os_add(struct faulty_os *faulty, const struct faulty_rule *rule);

/* How many calls of a kind there were. */
uint64_t faulty_os_calls(const struct faulty_os *faulty, uint32_t call);

#endif
