/* SPDX-License-Identifier: MIT */
/*
 * os_posix.h: where POSIX systems differ
 *
 * Purpose    os_posix.c has what these systems share; each one's own file has these.
 * Model      Plain functions over descriptors.
 * Invariants
 *   I1  posix_sync returns 0 only for what os.h I3 promises.
 * Ordering   none
 * Progress   as the system calls
 * Threads    any
 * Errors     -errno
 * Limits     none
 * Source     none
 * Tests      as os.h
 */
#ifndef FASTER_FILE_OS_POSIX_H
#define FASTER_FILE_OS_POSIX_H

#include <pthread.h>
#include <sys/stat.h>

#include "os.h"

/* The flag of open() for direct transfers; 0 where a file is told afterwards. */
int posix_direct_flag(void);
/* Tell an open file that its transfers are direct. */
int posix_make_direct(int descriptor);

int posix_align(int descriptor, const struct stat *found,
                struct os_alignment *alignment);
int posix_allocate(int descriptor, uint64_t size);
int posix_sync(int descriptor);
/* Ask the system to begin with what was written to a file, so that a sync does not find
 * all of it; promises nothing. */
void posix_begin_writing(int descriptor, uint64_t position, uint64_t length);

int posix_condition_init(pthread_cond_t *condition);
/* Sleep until woken or the time is over. */
void posix_condition_sleep(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           uint32_t timeout_ms);

#endif
