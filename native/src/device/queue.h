/* SPDX-License-Identifier: MIT */
/*
 * queue.h: a device served by threads that pull its requests
 *
 * Level 1.  Includes: base.
 *
 * Purpose
 *   A device may be written in a language that C must not call into: whoever calls an
 *   interpreter from a thread of the core needs its lock, and may wait for one that
 *   waits for the core.  So requests are queued, and threads of the other language
 *   come and pull them, one call each way.
 *
 * Model
 *   A request is a slot: free -> queued -> taken -> free.  Its id is the slot's index
 *   and how often the slot was used, so that an id is never valid twice.  Data crosses
 *   in a bounce: a copy with two owners, the slot and whoever has taken the request.
 *   A write is copied when it is submitted and a read when it is completed: one
 *   allocation and one copy a request, which is the price of a server that can be
 *   neither trusted to come back nor stopped from touching what it was given.
 *
 *       log        table            slot                    server's thread
 *       write ---> copy, queue ---> queued --- take ------> works on the bounce
 *       done <---- complete <------ taken <--- complete --- status, bytes
 *       done <---- -ETIMEDOUT <---- taken --> abandoned     (comes back too late)
 *
 *   close waits until all is completed or the time is over; what is then left is
 *   completed with -ETIMEDOUT.  A slot given up while it was taken stays abandoned
 *   until its server reports, so that its id remains that of nobody else.  The last
 *   request is a CLOSE, given when no other is out.
 *
 * Invariants
 *   I1  Each accepted request is completed exactly once, by complete, by stop's last
 *       server, or by close.
 *   I2  A completion reaches the log only for a slot that is taken under this id.
 *   I3  A bounce is freed when neither a slot nor a server holds it; no server is given
 *       memory of the log.
 *   I4  CLOSE is given once, when nothing is queued and no request is out.
 *
 * Ordering
 *   M1  An owner of a bounce gives it up by a subtraction (release); the last one loads
 *       the count (acquire) before it frees.  Without it memory could be freed while
 *       the other owner's last copy is still under way.
 *
 * Progress   Blocking: one lock, held for no copy and for no call of `done`.
 * Threads    Any thread may submit, take and complete.  truncate_before and close wait
 *            for a server, so they are never called by one, nor by a thread that holds
 *            what a server needs (an interpreter's lock).
 * Errors     -EAGAIN when all slots are in use, -ECANCELED after stop or close, -EINVAL
 *            and -ENOSPC for ranges, -ENOMEM without memory for the bounce.
 * Limits     requests_max slots.  wait and poll count completions since the last call
 *            of either, by any thread.
 * Source     none
 * Tests      tests/device/{validate_queue,torture_queue,fault_tools}.c
 */
#ifndef FASTER_DEVICE_QUEUE_H
#define FASTER_DEVICE_QUEUE_H

#include "faster/device_tools.h"

/* How many requests may be in flight, and how long close waits, unless told. */
enum { QUEUE_REQUESTS = 4096, QUEUE_TIMEOUT_MS = 60000 };
/* What a configuration may ask for at most: a slot has about 100 bytes. */
enum { QUEUE_REQUESTS_MAX = 1 << 20 };

/* A copy of a request's data with two owners (I3). */
struct bounce;

/* Zeros, with one owner; NULL without memory. */
struct bounce *bounce_new(uint64_t length, uint32_t alignment);
void *bounce_data(struct bounce *bounce);
void bounce_hold(struct bounce *bounce);
void bounce_drop(struct bounce *bounce);

#endif
