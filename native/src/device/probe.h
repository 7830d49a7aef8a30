/* SPDX-License-Identifier: MIT */
/*
 * probe.h: a hand that drives a device and notes what it does
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   The rules of faster/device.h are promises about completions: how often, from where,
 *   with which code.  Dispatch hides what a device does wrong, as it must; a test of a
 *   device has to see it.  The probe calls the table as it is, or through dispatch when
 *   asked, and keeps what it learns of every request until it is freed.
 *
 * Model
 *   A ticket is one request: its buffer between two guards, its submission's result and
 *   its completions.  Tickets are never used again and never freed before the probe, so
 *   that a completion that comes twice, late, or of a refused request finds memory and
 *   is counted instead of doing harm.
 *
 *       | guard | buffer, at a multiple of 4,096 plus misalignment | guard |
 *
 * Invariants
 *   I1  A ticket's code and bytes are those of its first completion.
 *   I2  A buffer is written by nobody but the device, from the submission on.
 *
 * Ordering   One lock; a completion takes it for a few words.
 * Progress   Blocking: the lock, and wait for its time.
 * Threads    Any thread may submit, wait and look; completions come from any.
 * Errors     FASTER_NOT_FOUND for a ticket that is none, -ENOMEM, else the device's.
 * Limits     Memory is given back by free alone: a ticket costs its buffer and a page.
 * Source     none
 * Tests      tests/device/{validate_probe,torture_probe,fault_tools}.c
 */
#ifndef FASTER_DEVICE_PROBE_H
#define FASTER_DEVICE_PROBE_H

#include "faster/device_tools.h"

/* Buffers begin at a multiple of it: more than any device asks for. */
enum { PROBE_ALIGNMENT = 4096 };
/* Bytes before and behind a buffer that a device must leave alone. */
enum { PROBE_GUARD = 64 };
/* What reads are filled with before the device sees them, and what guards hold. */
enum { PROBE_FILL = 0xee, PROBE_GUARD_FILL = 0xa7 };

#endif
