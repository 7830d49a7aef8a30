/* SPDX-License-Identifier: MIT */
/*
 * memory.h: address space first, memory later
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   The log and the index want one contiguous range each, so that turning an address
 *   into a pointer is one addition, and they want to pay for it only as they grow.  So
 *   a range of address space is reserved once and committed page by page.  Both are
 *   advised to use huge pages: at 16 M random keys a 4 KiB page costs a second cache
 *   miss for the translation of every first one.
 *
 * Model
 *   reserve gives inaccessible addresses; commit makes a part readable, writable and
 *   zero; discard gives the memory of a committed part back, after which it reads zero
 *   again; release ends the whole reservation.
 *
 * Invariants none
 * Ordering   The callers publish what they commit.
 * Progress   commit and discard are system calls that do not wait for I/O.
 * Threads    Parts that do not overlap may be committed and discarded concurrently.
 * Errors     NULL or -errno
 * Limits     Sizes are multiples of MEMORY_GRANULE where the text says part.
 * Source     none
 * Tests      tests/base/validate_memory.c
 */
#ifndef FASTER_BASE_MEMORY_H
#define FASTER_BASE_MEMORY_H

#include <stdint.h>

/* A huge page on x86-64 and on 4 KiB-granule arm64: reservations start at a multiple of
 * it, so that the first huge page is not lost. */
enum { MEMORY_HUGE = 2 << 20 };

/* What parts are multiples of: the smallest base page in use.  Where the system's is
 * larger (16 or 64 KiB on arm64) commit rounds out to it, and discard only clears what
 * is not whole ones. */
enum { MEMORY_GRANULE = 4096 };

/* Reserve `size` bytes aligned to MEMORY_HUGE; NULL when the system has none. */
void *memory_reserve(uint64_t size);

/* Make a part usable and zero.  Returns 0 or -errno. */
int memory_commit(void *part, uint64_t size);

/* Give a part's memory back; it reads zero afterwards, also where the system does not
 * take it: a part of its pages, or memory that is locked. */
void memory_discard(void *part, uint64_t size);

/* Touch a committed part, so that later first uses do not fault.  A hint. */
void memory_populate(void *part, uint64_t size);

/* End a reservation made with exactly this size. */
void memory_release(void *range, uint64_t size);

/* Bytes of physical memory; a guess of 4 GiB where the system does not say. */
uint64_t memory_physical(void);

/* A heap block that begins at a cache line and shares none; NULL when there is none. */
void *memory_lines_new(uint64_t size);
void memory_lines_free(void *block);

#endif
