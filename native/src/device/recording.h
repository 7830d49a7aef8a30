/* SPDX-License-Identifier: MIT */
/*
 * recording.h: a device that writes down what it is asked
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   What a power cut may leave is decided by the order of requests and their ends, and
 *   by nothing else.  So a test that wants to try every state a crash could leave needs
 *   exactly these, with the bytes, from the run itself.
 *
 * Model
 *   The recording stands before a device and forwards everything.  An event is made
 *   before a request is forwarded, and ended before its completion is: so whoever acts
 *   on a completion acts later by the clock.  From the numbers follows what a sync
 *   covers (faster/device.h V6):
 *
 *       write A submitted 1 completed 3     sync submitted 4 covers A,
 *       write B submitted 2 completed 5     and not B
 *
 * Invariants
 *   I1  Each submission and each first completion has a number of one clock of its own.
 *   I2  A completion has its number before the log learns of it, and a submission has
 *       its number before the device learns of it.
 *   I3  Events are in the order of their `submitted`, and are never moved.
 *
 * Ordering   One lock.
 * Progress   Blocking: the lock, held for no copy of data and no call.
 * Threads    any
 * Errors     -ENOMEM refuses a request that could not be recorded; -EBUSY from clear.
 * Limits     events_max and bytes_max.  A completion that comes a second time after
 *            clear or free finds no memory: the device behind is to be honest there.
 * Source     none
 * Tests      tests/device/{validate_recording,torture_recording,fault_tools}.c
 */
#ifndef FASTER_DEVICE_RECORDING_H
#define FASTER_DEVICE_RECORDING_H

#include "faster/device_tools.h"

/* What is recorded unless told. */
enum { RECORDING_EVENTS = 1 << 20, RECORDING_BYTES = 1 << 30 };

#endif
