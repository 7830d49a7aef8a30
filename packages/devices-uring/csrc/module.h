/* SPDX-License-Identifier: MIT */
/*
 * module.h: what Python sees of the device
 *
 * Purpose    One flat interface, read as it is by the program that writes the module.
 * Model
 *   Handles are opaque: a device's table, which lives in memory of its own so that it
 *   outlives its context, and a script that stands in the kernel's place.
 * Invariants
 *   I1  The facts of a device can be asked for while its handle lives, open or closed.
 * Ordering   A lock of the handle's own orders its closing and whoever asks for facts.
 * Progress   uring_open and uring_close block.
 * Threads    any; a handle is freed once
 * Errors     -errno, FASTER_E_FORKED
 * Limits     none
 * Source     none
 * Tests      tests/
 */
#ifndef PYFASTER_URING_MODULE_H
#define PYFASTER_URING_MODULE_H

#include <stdint.h>

/* Of a device: what was asked for. */
struct uring_options {
    const char *path;
    uint64_t store_id;
    uint64_t generation;
    uint64_t segment_size;
    uint32_t depth;
    uint32_t direct; /* 0 no, 1 yes, 2 where it is possible */
    uint32_t fresh;
    uint32_t preallocate;
    uint32_t read_only;
};

/* What was found, and what it has done. */
struct uring_facts {
    uint32_t open;
    uint32_t sector_size;
    uint32_t alignment;
    uint32_t direct;
    uint32_t restricted;
    uint32_t depth;
    int32_t failed;
    uint32_t reserved;
    uint64_t enters;
    uint64_t submitted;
    uint64_t completed;
    uint64_t retried;
    uint64_t rests;
    uint64_t excess;
    uint64_t overflows;
    uint64_t keeper;
    uint64_t helped;
};

/* Why a device could not be opened, when its status is not all. */
struct uring_trouble {
    uint32_t ring; /* 1: the ring was refused, and the directory not touched */
    uint32_t kind; /* enum segments_problem_kind */
    uint64_t base;
    uint64_t found;
    uint64_t expected;
};

/* Open; `script` may be NULL and outlives the device. */
int uring_open(const struct uring_options *options, void *script, void **device,
               struct uring_trouble *trouble);
/* Close a device that nobody else was given. */
int uring_close(void *device);
void uring_facts(void *device, struct uring_facts *facts);
/* The address of the table. */
void *uring_address(void *device);
/* Free a handle; its device is closed. */
void uring_free(void *device);
/* 0 when the kernel gives us a ring. */
int uring_probe(void *script);

/* A rule of a script; see script.h. */
struct uring_rule {
    uint32_t opcode;
    uint32_t skip;
    uint32_t count;
    uint32_t length;
    int32_t result;
};

struct uring_counts {
    uint64_t calls[4];
    uint64_t asked[4];
    uint64_t seen[64];
    uint64_t drained;
};

void *uring_script_new(void);
int uring_script_answer(void *script, uint32_t call, int32_t answer);
int uring_script_rule(void *script, const struct uring_rule *rule);
void uring_script_results(void *script, uint32_t count);
void uring_script_hide(void *script, uint32_t features);
void uring_script_performs(void *script);
void uring_script_counts(void *script, struct uring_counts *counts);
void uring_script_free(void *script);

#endif
