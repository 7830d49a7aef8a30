/* SPDX-License-Identifier: MIT */
/*
 * allocation.h: making the n-th allocation fail
 *
 * For tests named fault_*.c, which are linked so that malloc, calloc and realloc of the
 * core and of the test come here first (Linux only; elsewhere they are not built).
 * The usual loop: fail the first, the second, ... until the operation succeeds because
 * it needs no more, and check after each failure that nothing was lost.
 */
#ifndef ALLOCATION_H
#define ALLOCATION_H

#include <stdbool.h>
#include <stdint.h>

/* Let the n-th allocation from now (0 is the next) fail, once. */
void allocation_fail_at(uint64_t n);

/* Let all succeed again; whether the one that was to fail has been reached. */
bool allocation_failed(void);

#endif
