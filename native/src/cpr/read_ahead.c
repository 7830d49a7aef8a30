/* SPDX-License-Identifier: MIT */
/* read_ahead.c: see read_ahead.h */
#include "cpr/read_ahead.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/memory.h"
#include "base/thread.h"
#include "log/disk.h"

/* Between two looks at a read in flight. */
enum { REST_US = 50, REST_MS = 1 };

static void finish_piece(struct device_request *request, int status, uint64_t moved) {
    struct ahead_piece *piece = (struct ahead_piece *)request;
    piece->status = status;
    piece->moved = moved;
    atomic_store_explicit(&piece->done, true, memory_order_release); /* M1 */
}

static bool is_done(struct ahead_piece *piece) {
    return atomic_load_explicit(&piece->done, memory_order_acquire); /* M1 */
}

/* Ask the device; one that is full for now is asked again later (-EAGAIN). */
static void submit(struct read_ahead *ahead, struct ahead_piece *piece) {
    /* relaxed: published by the submission (device.h M1) */
    atomic_store_explicit(&piece->done, false, memory_order_relaxed);
    piece->submitted = true;
    int status = disk_enter_device(ahead->log);
    if (status == FASTER_OK) {
        status = device_read(ahead->device, piece->from + piece->got,
                             piece->buffer + piece->got, piece->size - piece->got,
                             &piece->request);
        (void)device_poll(ahead->device); /* device.h V10 */
        disk_leave_device(ahead->log);
    }
    if (status == -EAGAIN) {
        piece->submitted = false;
    } else if (status != 0) {
        finish_piece(&piece->request, status, 0);
    }
}

/* Send a free piece for the next part of the range. */
static void send(struct read_ahead *ahead, struct ahead_piece *piece) {
    uint64_t left = ahead->until - ahead->next;
    piece->size = left < ahead->piece_size ? left : ahead->piece_size;
    if (piece->size == 0) {
        return;
    }
    piece->from = ahead->next;
    piece->got = 0;
    piece->attempts = 1;
    ahead->next += piece->size;
    submit(ahead, piece);
}

/* Large, but not so that the pieces together take more than a quarter of what the
 * budget has left. */
static uint64_t piece_size_of(const struct hlog *log, uint64_t range) {
    uint64_t unit = disk_unit(log);
    uint64_t max_io = disk_device(log)->max_io;
    uint64_t most = max_io != 0 && max_io < AHEAD_PIECE ? max_io : AHEAD_PIECE;
    uint64_t left = budget_left(log->budget) / (4 * AHEAD_DEPTH);
    uint64_t share = (range + AHEAD_DEPTH - 1) / AHEAD_DEPTH;
    most = most < left ? most : left;
    most &= ~(unit - 1);
    share = align_up(share, unit);
    share = share < most ? share : most;
    return share > unit ? share : unit;
}

int read_ahead_begin(struct read_ahead *ahead, struct hlog *log, uint64_t from,
                     uint64_t until) {
    uint64_t unit = disk_unit(log);
    memset((void *)ahead, 0, sizeof *ahead);
    ahead->log = log;
    ahead->device = disk_device(log);
    ahead->next = from & ~(unit - 1);
    ahead->until = align_up(until, unit);
    ahead->piece_size = piece_size_of(log, ahead->until - ahead->next);
    ahead->bytes = AHEAD_DEPTH * ahead->piece_size + unit;
    ahead->block = memory_lines_new(ahead->bytes);
    if (ahead->block == NULL) {
        return -ENOMEM;
    }
    /* Forced: without it nothing is recovered; the log gives way. */
    budget_force(log->budget, ahead->bytes);
    uint8_t *buffer =
        (uint8_t *)(uintptr_t)align_up((uint64_t)(uintptr_t)ahead->block, unit);
    for (uint32_t i = 0; i < AHEAD_DEPTH; i++) {
        struct ahead_piece *piece = &ahead->pieces[i];
        device_request_init(&piece->request, finish_piece);
        atomic_init(&piece->done, true);
        piece->buffer = buffer + i * ahead->piece_size;
        send(ahead, piece);
    }
    return FASTER_OK;
}

/* Bring the device on, and rest a little if that completed nothing. */
static void rest(struct read_ahead *ahead) {
    bool driven = (ahead->device->capabilities & FASTER_DEVICE_DRIVEN) != 0;
    if (disk_enter_device(ahead->log) == FASTER_OK) {
        int done = device_poll(ahead->device);
        if (done <= 0 && driven) {
            (void)device_wait(ahead->device, REST_MS);
        }
        disk_leave_device(ahead->log);
        if (done > 0 || driven) {
            return;
        }
    }
    thread_pause_us(REST_US);
}

/* Whether a read that has ended is to be continued (F03: it was short before the
 * device's end) or made again (F07). */
static bool goes_on(struct read_ahead *ahead, struct ahead_piece *piece) {
    if (piece->status == FASTER_OK) {
        uint64_t all = piece->got + piece->moved;
        uint64_t whole = all & ~(disk_unit(ahead->log) - 1);
        bool more = all < piece->size && whole > piece->got;
        piece->got = more ? whole : piece->got;
        return more;
    }
    return piece->status != FASTER_E_CLOSED && piece->attempts++ < AHEAD_ATTEMPTS;
}

/* Ends: the device completes what it accepted, when it is closed at the latest
 * (device.h V2, V9); each read goes on behind the last or is counted. */
static int wait_piece(struct read_ahead *ahead, struct ahead_piece *piece) {
    for (;;) {
        if (!piece->submitted) {
            rest(ahead);
            submit(ahead, piece);
        } else if (!is_done(piece)) {
            rest(ahead);
        } else if (goes_on(ahead, piece)) {
            submit(ahead, piece);
        } else {
            return piece->status;
        }
    }
}

int read_ahead_take(struct read_ahead *ahead, uint64_t *from, uint8_t **bytes,
                    uint64_t *size) {
    struct ahead_piece *last =
        &ahead->pieces[(ahead->taken + AHEAD_DEPTH - 1) % AHEAD_DEPTH];
    struct ahead_piece *piece = &ahead->pieces[ahead->taken];
    if (last->size != 0 && last->from < piece->from) {
        send(ahead, last);
    }
    *size = 0;
    if (piece->size == 0) {
        return FASTER_OK;
    }
    int status = wait_piece(ahead, piece);
    if (status == FASTER_OK) {
        *from = piece->from;
        *bytes = piece->buffer;
        *size = piece->got + piece->moved;
        ahead->taken = (ahead->taken + 1) % AHEAD_DEPTH;
    }
    return status;
}

void read_ahead_end(struct read_ahead *ahead) {
    if (ahead->block == NULL) {
        return;
    }
    for (uint32_t i = 0; i < AHEAD_DEPTH; i++) {
        struct ahead_piece *piece = &ahead->pieces[i];
        while (piece->submitted && !is_done(piece)) { /* ends as in wait_piece */
            rest(ahead);
        }
    }
    memory_lines_free(ahead->block);
    budget_give(ahead->log->budget, ahead->bytes);
    ahead->block = NULL;
}
