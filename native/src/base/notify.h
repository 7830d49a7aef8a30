/* SPDX-License-Identifier: MIT */
/*
 * notify.h: telling an event loop that there is something to fetch
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   An event loop sleeps on descriptors, not on our words.  Whoever completes something
 *   for it writes to a descriptor that the loop watches.
 *
 * Model      One write of a 64-bit 1: what an eventfd counts and a socket passes on.
 * Invariants none
 * Ordering   What was stored before the write is seen by who was woken by it.
 * Progress   The descriptor does not block; a full one is readable already.
 * Threads    any
 * Errors     none: a descriptor that is gone has nobody to wake
 * Limits     none
 * Source     none
 * Tests      tests/store/validate_pending.c
 */
#ifndef FASTER_BASE_NOTIFY_H
#define FASTER_BASE_NOTIFY_H

#include <stdint.h>

void notify_send(int64_t descriptor);

#endif
