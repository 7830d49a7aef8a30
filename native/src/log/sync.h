/* SPDX-License-Identifier: MIT */
/*
 * sync.h: how far the log is durable
 *
 * Level 3.  Includes: base, device, events, figures.
 *
 * Purpose
 *   A written byte may still be lost with the power.  A sync makes durable what was
 *   written before it began.  Whoever promises durability needs two things of it: how
 *   far it reached, and that a failure is never forgotten.  After a failed sync nobody
 *   knows what the device holds, and asking once more can succeed without having made
 *   anything durable.  So the first failure is the last answer.
 *
 * Model
 *   One sync at a time.  Whoever wants one drives it through its states; who comes
 *   meanwhile waits for it, and begins another only if that one did not cover enough.
 *
 *      IDLE --claim--> CLAIMED --submit--> FLYING --completion--> DONE --claim--> ...
 *
 *   A wait that runs out of time leaves its sync in flight; the next call goes on with
 *   it, so short timeouts end, too.
 *
 * Invariants
 *   I1  synced_until covers only what was confirmed written when a sync that succeeded
 *       was submitted (device.h V6).  It never decreases.
 *   I2  Once a sync has failed, every call gets its status and the device no further
 *       sync.
 *
 * Ordering
 *   M1  The completion stores the status, then DONE (release); who claims DONE does so
 *       by CAS (acquire).  Without it a failed sync could be judged by the last one's
 *       status.
 *   M2  `failed` and `synced_until` are stored release by who has claimed the sync,
 *       before it lets go of it, and loaded acquire.
 *
 * Progress   A call blocks up to its timeout.
 * Threads    any, each inside disk_enter_device
 * Errors     the device's, for ever; FASTER_E_TIMEOUT.  A device that has no room for
 *            the request now (-EAGAIN when it is submitted) has not begun it, which is
 *            no failure.
 * Limits     none
 * Source     Rebello et al., USENIX ATC 2020, on applications and failed syncs
 * Tests      tests/cpr/fault_sync.c
 */
#ifndef FASTER_LOG_SYNC_H
#define FASTER_LOG_SYNC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"
#include "log/figures.h"

struct log_sync {
    struct device_request request; /* first: its completion gets this address */
    const struct faster_device *device;
    struct log_figures *figures;
    struct events *events; /* or NULL */
    int status;
    uint64_t covers; /* of the sync in flight */
    struct figures_request noted;
    _Atomic uint32_t state;
    _Atomic int failed;            /* M2 */
    _Atomic uint64_t synced_until; /* M2 */
};

/* `until`: durable already. */
void sync_init(struct log_sync *sync, const struct faster_device *device,
               uint64_t until, struct log_figures *figures, struct events *events);

/* `until` is durable, and what is behind it is given up; no sync is in flight. */
void sync_restart(struct log_sync *sync, uint64_t until);

/* One step towards having everything below `until` durable; `written` is how far the
 * log is confirmed written, at least `until`.  FASTER_OK, FASTER_RETRY (*moved: try
 * again at once), or why it never will be. */
int sync_step(struct log_sync *sync, uint64_t until, uint64_t written, bool *moved);

/* FASTER_OK, or why a sync has failed; then what it was to cover. */
int sync_failed(struct log_sync *sync, uint64_t *from, uint64_t *until);

uint64_t sync_until(struct log_sync *sync);

#endif
