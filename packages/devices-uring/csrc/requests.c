/* SPDX-License-Identifier: MIT */
/* requests.c: what becomes of a request when its result is there */
#include <errno.h>
#include <string.h>

#include "uring_state.h"

/* One part; a multiple of every alignment, and below what the kernel moves at once. */
enum { PART_MAX = 1 << 30 };

/* How often a part may move nothing before that is an error. */
enum { STILL_MAX = 8 };

static bool finish(struct request *request, int32_t status) {
    request->status = status;
    return false;
}

bool request_advance(struct uring *uring, struct request *request) {
    struct segments_piece *piece = &request->piece;
    while (request->moved < request->length) {
        uint64_t offset = request->offset + request->moved;
        uint64_t left = request->length - request->moved;
        int status = request->kind == REQUEST_READ
                         ? segments_pin_read(uring->segments, offset, left, piece)
                         : segments_pin_write(uring->segments, offset, left, piece);
        if (status != 0) {
            return finish(request, status);
        }
        request->within = 0;
        request->tries = 0;
        if (piece->kind == SEGMENTS_FILE) {
            return true;
        }
        if (piece->kind == SEGMENTS_END) {
            break;
        }
        if (piece->kind == SEGMENTS_HOLE) {
            memset(request->buffer + request->moved, 0, (size_t)piece->length);
        }
        request->moved += piece->length;
    }
    return finish(request, FASTER_DEVICE_DONE);
}

/* The next file that was written to, for the sync that runs. */
static bool advance_sync(struct uring *uring, struct request *request) {
    int status = segments_failed(uring->segments);
    if (status == 0 &&
        segments_take_dirty(uring->segments, &request->cursor, &request->piece)) {
        request->tries = 0;
        return true;
    }
    return finish(request, status == 0 ? FASTER_DEVICE_DONE : status);
}

bool request_begin_sync(struct uring *uring, struct request *request) {
    request->cursor = 0;
    return advance_sync(uring, request);
}

void request_describe(struct request *request, struct io_uring_sqe *entry) {
    const struct segments_piece *piece = &request->piece;
    entry->fd = (int32_t)piece->file;
    entry->user_data = (uint64_t)(uintptr_t)request;
    if (request->kind == REQUEST_SYNC) {
        entry->opcode = IORING_OP_FSYNC;
        entry->fsync_flags = IORING_FSYNC_DATASYNC;
        return;
    }
    uint64_t left = piece->length - request->within;
    request->asked = left < PART_MAX ? (uint32_t)left : (uint32_t)PART_MAX;
    entry->opcode = request->kind == REQUEST_READ ? IORING_OP_READ : IORING_OP_WRITE;
    entry->addr = (uint64_t)(uintptr_t)(request->buffer + request->moved);
    entry->len = request->asked;
    entry->off = piece->position + request->within;
}

static void unpin(struct uring *uring, struct request *request) {
    segments_unpin(uring->segments, &request->piece, request->kind == REQUEST_WRITE);
}

void request_fail(struct uring *uring, struct request *request, int32_t status) {
    unpin(uring, request);
    request->status = status;
}

static enum verdict end_with(struct uring *uring, struct request *request,
                             int32_t status) {
    request_fail(uring, request, status);
    return VERDICT_DONE;
}

/* What may succeed when it is done again: the kernel did nothing. */
static bool passes(int32_t result) {
    return result == -EAGAIN || result == -EINTR || result == -ECANCELED;
}

static enum verdict again(struct uring *uring, struct request *request,
                          int32_t failure) {
    request->tries++;
    if (request->tries > TRIES_MAX) {
        if (request->kind == REQUEST_SYNC) {
            (void)segments_latch(uring->segments, failure);
        }
        return end_with(uring, request, failure);
    }
    return request->tries <= TRIES_AT_ONCE ? VERDICT_AGAIN : VERDICT_REST;
}

static enum verdict judge_sync(struct uring *uring, struct request *request,
                               int32_t result) {
    if (passes(result)) {
        return again(uring, request, result);
    }
    (void)segments_latch(uring->segments, result < 0 ? result : 0);
    unpin(uring, request);
    return advance_sync(uring, request) ? VERDICT_AGAIN : VERDICT_DONE;
}

static enum verdict judge_moved(struct uring *uring, struct request *request,
                                uint64_t bytes) {
    /* A rest has to begin where transfers may begin: what is beyond is moved anew. */
    bool whole = bytes == request->piece.length - request->within;
    uint64_t usable =
        whole ? bytes : bytes & ~(uint64_t)(uring->geometry.alignment - 1);
    if (usable == 0) { /* of a read: the file was cut (segments.h I6) */
        return request->tries < STILL_MAX ? again(uring, request, -EIO)
                                          : end_with(uring, request, -EIO);
    }
    request->moved += usable;
    request->within += usable;
    request->tries = 0;
    if (!whole) {
        return VERDICT_AGAIN;
    }
    unpin(uring, request);
    return request_advance(uring, request) ? VERDICT_AGAIN : VERDICT_DONE;
}

enum verdict request_judge(struct uring *uring, struct request *request,
                           int32_t result) {
    if (request->kind == REQUEST_SYNC) {
        return judge_sync(uring, request, result);
    }
    if (passes(result)) {
        return again(uring, request, result);
    }
    if (result < 0) {
        return end_with(uring, request, result);
    }
    if ((uint32_t)result > request->asked) {
        return end_with(uring, request, -EIO);
    }
    return judge_moved(uring, request, (uint64_t)result);
}
