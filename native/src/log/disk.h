/* SPDX-License-Identifier: MIT */
/*
 * disk.h: pages on their way to a device, and frames on their way back
 *
 * Level 3.  Includes: base, device, epoch, figures, hlog, record, worker.
 *
 * Purpose
 *   A log that is larger than memory must let its oldest pages go: they stop changing,
 *   they are written, they leave memory, and their frames serve again.  All of that
 *   happens here, and all of it on the store's worker.  Operations only find a page
 *   ready when the tail crosses into it, or FASTER_RETRY.
 *
 * Model
 *
 *    closed_until   head      flushed_until   submitted   safe_read_only  ready_until
 *         |  being   | in memory  |  written,   | in        |  waits         |
 *         |  freed   | and on the |  not in     | flight    |  for the flush |
 *         |          | device     |  order yet  |           |                |
 *
 *   One round of the worker (disk_work) moves each word as far as it may go:
 *     shift    read_only to where mutable_permille of the frames stay mutable, or to
 *              what a flush asked for; then safe_read_only (two epochs later nobody
 *              touches even the bits below it that mean nothing on a device)
 *     write    checksums, then device writes, several in flight
 *     reap     flushed_until over the contiguous prefix that was written in full
 *     evict    head, as far as frames are wanted and pages are written; then, when
 *              everyone has seen it, the frames go back to the system and the budget
 *     prepare  take the next frames ahead of the tail
 *
 * Invariants
 *   I1  flushed_until covers only bytes whose writes were confirmed in full length, and
 *       head never passes it; so nothing is dropped that is not on the device.
 *   I2  A frame is given back only when head has passed it, everyone has seen that, and
 *       no view pins it; it reads zero when it is taken again (L3).  A log without a
 *       layout keeps its frames, and whoever appends there writes every byte.
 *   I3  A sector is written once: writes end on multiples of the sector size, and where
 *       read_only does not (a shift from outside), the rest waits for the next one.
 *   I4  Every word here has one writer, the worker, but `flush_wanted` and
 *       `evict_wanted` (raised by anyone), `asked`, `resume` and `users`, and what a
 *       write's completion stores.
 *
 * Ordering
 *   M1  ready_until, flushed_until and closed_until are stored release by the worker
 *       and loaded acquire: who sees a frame ready sees it committed and zero.
 *   M2  `asked` is exchanged by who asks after it stored what it asks for (`wanted`
 *       among it, unless it is a write that has ended), and stored
 *       false by the worker before it looks (both seq_cst): either the worker sees the
 *       wish, or the asker posts.
 *   M3  A write's status is stored before its state (release); the worker loads the
 *       state (acquire) first.  Without it a failed write could count as done.
 *   M4  `failed` is stored release after the range and loaded acquire before it.
 *   M5  `users` is raised before a call of the device and lowered (release) behind it;
 *       disk_close sets its highest bit and then waits (acquire) for the others to be
 *       zero.  Without it the device could be freed under whoever waits for it.
 *
 * Progress   disk_page_ready: wait-free.  disk_work blocks for other threads' epochs
 *            and, after a failed write, for a back-off of milliseconds.
 * Threads    disk_work and disk_detach: the worker, or after it was stopped; the owner
 *            may let others do the worker's rounds, one thread at a time, under a lock.
 *            Others: any.
 * Errors     The device's: a write that fails DISK_ATTEMPTS times stops all writes
 *            (L4); -EAGAIN, from a device that is full for now, does not count.
 *            Nothing in memory is dropped; appends go on while there is room and then
 *            get the error; disk_resume tries again.
 * Limits     DISK_WRITES_MAX writes of at most DISK_WRITE_SIZE in flight
 * Source     Chandramouli et al., SIGMOD 2018, section 5.2
 * Tests      tests/log/{validate_disk,torture_disk}.c, tests/cpr/fault_sync.c
 */
#ifndef FASTER_LOG_DISK_H
#define FASTER_LOG_DISK_H

#include "device/device.h"
#include "faster/api.h"
#include "log/figures.h"
#include "log/hlog.h"
#include "record/record.h"
#include "worker/worker.h"

enum {
    /* The tail, the page prepared ahead of it, and one on its way out. */
    DISK_FRAMES_MIN = 4,
    DISK_WRITES_MAX = 16,
    /* Large enough for a device's full rate, small enough that several are in flight
     * of one page. */
    DISK_WRITE_SIZE = 1 << 20,
    DISK_ATTEMPTS = 5
};

struct disk_config {
    const struct faster_device *device;
    const struct record_layout *layout; /* NULL: what is appended has its checksum */
    struct worker *worker;
    uint64_t store_id; /* of the seeds of checksums */
    /* Which addresses belong to which generation, ascending; NULL: all to number 1.
     * Used only during the call. */
    const struct faster_generation *generations;
    uint64_t generation_count;
    uint32_t mutable_permille; /* of the frames, at least a page */
};

/* Why writing has stopped. */
struct disk_failure {
    int status;
    uint64_t from;
    uint64_t until;
};

/* Let the log use a device.  Called once, before anyone uses the log; its ring must
 * hold DISK_FRAMES_MIN pages and the budget be limited.  What is below the log's tail
 * then is on the device (hlog_start_at): the tail must be a multiple of disk_unit.
 * Errors: -ENOMEM, -EINVAL. */
int disk_attach(struct hlog *log, const struct disk_config *config);

/* Forget the device, when the worker has ended and the device is closed. */
void disk_detach(struct hlog *log);

/* Whether the tail may move into a page: FASTER_OK, FASTER_RETRY, or why not. */
int disk_page_ready(struct hlog *log, uint64_t page);

/* One round of the worker; true when there may be more to do at once. */
bool disk_work(struct hlog *log);

/* The same by a thread that calls device_wait next, instead of having the device poll:
 * it may carry out there itself what it has submitted here. */
bool disk_work_waiting(struct hlog *log);

/* Nobody needs to wake the worker: the caller does a round itself soon (M2).  A round
 * ends it. */
void disk_hold(struct hlog *log);

/* Go on at `until`, on a unit, as after disk_attach: what is behind it is given up.
 * Only of a log without a layout.  Everything was written, nobody is inside, no round
 * is under way, nobody waits for a flush or sync. */
void disk_restart(struct hlog *log, uint64_t until);

/* Have the worker look soon. */
void disk_ask(struct hlog *log);

/* Keep another share of the frames mutable, as disk_config has it.  Any thread. */
void disk_keep_mutable(struct hlog *log, uint32_t permille);

/* Have everything below `until` written (a multiple of the sector size), or written and
 * out of memory (a multiple of the page size).  Both return at once. */
void disk_want_flush(struct hlog *log, uint64_t until);
void disk_want_evict(struct hlog *log, uint64_t until);

/* Try again after a failure. */
void disk_resume(struct hlog *log);

/* FASTER_OK, or why writing has stopped; *failure is written then. */
int disk_failed(struct hlog *log, struct disk_failure *failure);

/* Whether a failure is for lack of space, which may be there again. */
bool disk_is_full(int status);

uint64_t disk_flushed_until(struct hlog *log);
uint64_t disk_closed_until(struct hlog *log);
/* Bytes written since the log was opened. */
uint64_t disk_written(struct hlog *log);

/* What the device was asked for; whoever reads from it counts its failures there. */
struct log_figures *disk_figures(struct hlog *log);

/* Bytes of the frames held. */
uint64_t disk_bytes(struct hlog *log);

/* Have everything that was written when the call began made durable, or what is below
 * `until` (an address that disk_flushed_until has reached; else -EINVAL).  FASTER_OK
 * only when the device has confirmed it.  Outside any epoch.  After FASTER_E_TIMEOUT
 * nothing is lost: with the same `until` the next call goes on.  The first sync that
 * fails is the last (sync.h I2): every later call gives its status, the device is not
 * asked again, and whatever needs no durability goes on.
 * Blocks: up to timeout_ms. */
int disk_sync(struct hlog *log, uint32_t timeout_ms);
int disk_sync_until(struct hlog *log, uint64_t until, uint32_t timeout_ms);

/* Everything below is durable. */
uint64_t disk_synced_until(struct hlog *log);

/* FASTER_OK, or why a sync has failed; *failure is written then. */
int disk_sync_failed(struct hlog *log, struct disk_failure *failure);

/* Around every call of the device by anyone but the worker: FASTER_OK, and then
 * disk_leave_device, or FASTER_E_CLOSED.  What is called in between may wait for
 * milliseconds at most: disk_close waits for it. */
int disk_enter_device(struct hlog *log);
void disk_leave_device(struct hlog *log);

/* Close the device, once nobody calls it and the worker has ended; what is in flight is
 * completed by that.  Blocks for calls under way. */
int disk_close(struct hlog *log);

struct log_sync;
/* How far it is durable; for durable.c. */
struct log_sync *disk_log_sync(struct hlog *log);

const struct faster_device *disk_device(const struct hlog *log);
/* The seed of the checksum of a record at `address`. */
uint64_t disk_seed_at(const struct hlog *log, uint64_t address);
/* The identity of the store that they belong to. */
uint64_t disk_store_id(const struct hlog *log);
/* Bytes that writes are multiples of. */
uint64_t disk_unit(const struct hlog *log);

#endif
