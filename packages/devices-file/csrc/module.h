/* SPDX-License-Identifier: MIT */
/*
 * module.h: what Python sees of the device
 *
 * Purpose    One flat interface, read as it is by the program that writes the module.
 * Model
 *   Handles are opaque: a table of a device, which lives in memory of its own so that
 *   it outlives its context, and a system that fails when it is told to.
 * Invariants
 *   I1  The table is not read any more by file_free than by free().
 * Ordering   none
 * Progress   file_open and file_close block.
 * Threads    any; a handle is freed once
 * Errors     -errno
 * Limits     none
 * Source     none
 * Tests      tests/
 */
#ifndef FASTER_FILE_MODULE_H
#define FASTER_FILE_MODULE_H

#include <stdint.h>

/* Of a device: what was asked, and what was found. */
struct file_settings {
    const char *path;
    uint64_t store_id;
    uint64_t generation;
    uint64_t segment_size;
    uint32_t threads;
    uint32_t direct; /* 0 no, 1 yes, 2 where it is possible */
    uint32_t fresh;
    uint32_t preallocate;
    uint32_t read_only;
};

struct file_facts {
    uint32_t sector_size;
    uint32_t alignment;
    uint32_t direct;
    uint32_t problem; /* enum segments_problem_kind */
    uint64_t base;
    uint64_t found;
    uint64_t expected;
};

/* Open; `faults` may be NULL.  `facts` is filled whatever comes of it. */
int file_open(const struct file_settings *settings, const void *faults, void **device,
              struct file_facts *facts);
/* Close a device that nobody else was given. */
int file_close(void *device);
/* Free the table of a device that was closed. */
void file_free(void *device);

void *file_faults_new(void);
int file_faults_add(void *faults, uint32_t call, uint64_t first, uint64_t count,
                    int64_t result);
uint64_t file_faults_calls(const void *faults, uint32_t call);
/* Whether so many calls are parked before the time is over. */
int file_faults_await(void *faults, uint32_t parked, uint32_t timeout_ms);
void file_faults_release(void *faults);
void file_faults_free(void *faults);

#endif
