/* SPDX-License-Identifier: MIT */
/* waiting.c: waiting for pending operations, and what became of them, see pending.h */
#include <errno.h>

#include "store/pending.h"

enum {
    /* How long a waiter sleeps before it looks again by itself: a device that others
     * drive, too, may complete its operation without waking it. */
    REST_MS = 10,
    REST_DRIVEN_MS = 1,
    /* The part of the budget that operations on their way may take, and about what one
     * of them does; so many are never too many. */
    CROWD_SHARE = 4,
    CROWD_BYTES = 2 << 10,
    CROWD_MIN = 64
};

static bool has_arrived(struct pending_queue *queue) {
    return atomic_load_explicit(&queue->arrived, memory_order_seq_cst) != NULL; /* M2 */
}

/* Poll, or with a time wait, unless the device is being closed: the next entry says
 * so. */
static void poll_device(struct pending_queue *queue, uint32_t most_ms) {
    struct hlog *log = &queue->kv->log;
    if (disk_enter_device(log) != FASTER_OK) {
        return;
    }
    if (most_ms != 0) {
        (void)device_wait(queue->device, most_ms);
    } else {
        (void)device_poll(queue->device);
    }
    disk_leave_device(log);
}

void pending_rest(struct faster_session *session, uint64_t most_ms) {
    struct pending_queue *queue = session->queue;
    bool driven = (queue->device->capabilities & FASTER_DEVICE_DRIVEN) != 0;
    uint32_t slice = driven ? REST_DRIVEN_MS : REST_MS;
    slice = most_ms < slice ? (uint32_t)most_ms : slice;
    poll_device(queue, 0);
    /* relaxed: a hint */
    if (atomic_load_explicit(&queue->pressed, memory_order_relaxed)) {
        faster_session_wait(session); /* a device that is full must not be pressed */
        return;
    }
    if (has_arrived(queue)) {
        return;
    }
    if (driven) {
        poll_device(queue, slice);
    } else {
        atomic_store_explicit(&queue->sleeping, true, memory_order_seq_cst); /* M2 */
        if (!has_arrived(queue)) {
            (void)wakeup_wait_ms(&queue->wakeup, slice);
        }
        atomic_store_explicit(&queue->sleeping, false, memory_order_seq_cst); /* M2 */
    }
}

/* When it is, what has arrived is brought forward first: the caller will come again,
 * and may do nothing else. */
bool pending_crowds(struct faster_session *session) {
    uint64_t most = budget_limit(&session->kv->budget) / CROWD_SHARE / CROWD_BYTES;
    uint64_t few = most > CROWD_MIN ? most : CROWD_MIN;
    bool ready;
    if (pending_count(session->queue) < few) {
        return false;
    }
    (void)pending_run(session, NULL, &ready);
    pending_rest(session, 0);
    return pending_count(session->queue) >= few;
}

int faster_wait(struct faster_session *session, struct faster_pending *pending,
                uint32_t timeout_ms) {
    uint64_t deadline = clock_ms() + timeout_ms;
    if (session->queue == NULL) {
        return pending == NULL ? FASTER_NOT_FOUND : -EINVAL;
    }
    for (;;) { /* ends at the deadline at the latest */
        bool ready = false;
        int result = pending_run(session, pending, &ready);
        if (ready || (result != FASTER_OK && result != FASTER_RETRY)) {
            return ready ? FASTER_OK : result;
        }
        uint64_t now = clock_ms();
        if (now >= deadline) {
            poll_device(session->queue, 0); /* device.h V10 */
            return FASTER_E_TIMEOUT;
        }
        pending_rest(session, deadline - now);
    }
}

/* Whether updates of a session are on their way; also when nobody can say now. */
static bool is_busy(struct faster_session *session) {
    int result = session_enter(session);
    if (result != FASTER_OK) {
        return true;
    }
    bool busy = pending_busy(session->queue);
    session_leave(session);
    return busy;
}

uint64_t faster_session_updates(struct faster_session *session) {
    struct pending_queue *queue = session->queue;
    if (queue == NULL || session_enter_soon(session) != FASTER_OK) {
        return 0;
    }
    uint64_t count = pending_numbered(queue);
    const struct faster_pending *one = queue->waiting.first;
    for (; one != NULL; one = one->next) {
        count++;
    }
    session_leave(session);
    return count;
}

int faster_session_drain(struct faster_session *session, uint32_t timeout_ms) {
    uint64_t deadline = clock_ms() + timeout_ms;
    while (session->queue != NULL) { /* ends at the deadline at the latest */
        bool ready = false;
        int result = pending_run(session, NULL, &ready);
        if (result < 0) {
            return result;
        }
        uint64_t now = clock_ms();
        if (result != FASTER_RETRY && !is_busy(session)) {
            break;
        }
        if (now >= deadline) {
            return FASTER_E_TIMEOUT;
        }
        pending_rest(session, deadline - now);
    }
    return FASTER_OK;
}

int faster_next_finished(struct faster_session *session,
                         struct faster_pending **pending) {
    struct pending_queue *queue = session->queue;
    if (queue == NULL) {
        return FASTER_NOT_FOUND;
    }
    int result = session_enter_soon(session);
    if (result != FASTER_OK) {
        return result;
    }
    struct faster_pending *first = queue->finished.first;
    if (first != NULL) {
        pending_claim(queue, first);
        *pending = first;
    }
    session_leave(session);
    return first != NULL ? FASTER_OK : FASTER_NOT_FOUND;
}

void faster_result_of(const struct faster_pending *pending,
                      struct faster_result *result) {
    bool valued = pending->status == FASTER_OK;
    *result = (struct faster_result){
        .kind = pending_kind(pending),
        .status = pending->status,
        .context = pending->context,
        .serial = pending->serial,
        .key = pending->update.key,
        .key_size = pending->update.key_size,
        .value = valued ? pending->value : NULL,
        .value_size = valued ? pending->value_size : 0,
        .device_reads = pending->device_reads,
    };
}

uint64_t faster_pending_count(struct faster_session *session) {
    struct pending_queue *queue = session->queue;
    if (queue == NULL || session_enter_soon(session) != FASTER_OK) {
        return 0;
    }
    uint64_t count = pending_count(queue);
    session_leave(session);
    return count;
}

int faster_session_notify(struct faster_session *session, int64_t descriptor) {
    if (session->queue == NULL) {
        return FASTER_OK;
    }
    atomic_store_explicit(&session->queue->notify, descriptor,
                          memory_order_release); /* pending.h M4, with finish_read */
    return FASTER_OK;
}
