/* SPDX-License-Identifier: MIT */
/*
 * assert.h: checks on what we ourselves wrote in memory
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   faster_assert states what must hold unless our own code is wrong.  It is in test
 *   builds only.  What comes from a caller, a device or a file is never asserted; it is
 *   validated and answered with a status.
 *
 * Model      faster_assert(cond) ends the process at the broken statement.
 * Invariants none
 * Ordering   none
 * Progress   wait-free
 * Threads    any
 * Errors     none
 * Limits     One condition per assert, so that the line says which one broke.
 * Source     none
 * Tests      every preset but release
 */
#ifndef FASTER_BASE_ASSERT_H
#define FASTER_BASE_ASSERT_H

#if defined(FASTER_ASSERTS) && FASTER_ASSERTS
#if defined(__GNUC__) || defined(__clang__)
#define faster_assert(cond) ((cond) ? (void)0 : __builtin_trap())
#else
#define faster_assert(cond) ((cond) ? (void)0 : (void)(*(int *)0 = 0))
#endif
#else
#define faster_assert(cond) ((void)sizeof(cond))
#endif

#endif
