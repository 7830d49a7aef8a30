/* SPDX-License-Identifier: MIT */
/* probe.c: see probe.h */
#include "device/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "device/device.h"
#include "faster/status.h"

struct ticket {
    struct device_request request; /* first: finish() gets its address; for judged */
    struct faster_completion completion; /* for the others */
    struct faster_probe *probe;
    uint8_t *block; /* what is freed; NULL without a buffer */
    uint8_t *buffer;
    uint64_t length;

    /* Guarded by the probe's lock. */
    const char *submitter; /* while the submission runs: which thread */
    const char *thread;    /* which thread submitted */
    struct faster_probe_result result;
};

struct faster_probe {
    const struct faster_device *device;

    struct lock lock; /* guards the rest */
    struct ticket **tickets;
    uint64_t count;
    uint64_t room;
    uint64_t completed;
    bool closed;
};

/* Its address is the thread's own. */
static _Thread_local const char thread_mark = 0;

/* --- completions ------------------------------------------------------------------ */

static void note(struct ticket *ticket, int32_t code, uint64_t bytes) {
    struct faster_probe *probe = ticket->probe;
    lock_enter(&probe->lock);
    struct faster_probe_result *result = &ticket->result;
    if (result->completions == 0) { /* I1 */
        result->code = code;
        result->bytes = bytes;
        result->inside = ticket->submitter == &thread_mark;
        result->foreign = ticket->thread != &thread_mark;
    }
    result->completions++;
    probe->completed++;
    lock_leave(&probe->lock);
}

static void note_raw(void *context, int32_t code, uint64_t bytes) {
    note(context, code, bytes);
}

static void note_judged(struct device_request *request, int status, uint64_t moved) {
    note((struct ticket *)request, status, moved);
}

/* --- tickets ---------------------------------------------------------------------- */

static void ticket_free(struct ticket *ticket) {
    free(ticket->block);
    free(ticket);
}

static int place_buffer(struct ticket *ticket, uint64_t length, uint32_t misalignment) {
    uint64_t around = 2 * PROBE_GUARD + 2 * (uint64_t)PROBE_ALIGNMENT + misalignment;
    if (length > SIZE_MAX - around) {
        return -ENOMEM;
    }
    ticket->block = malloc((size_t)(length + around));
    if (ticket->block == NULL) {
        return -ENOMEM;
    }
    uint64_t first = (uintptr_t)ticket->block + PROBE_GUARD;
    uint64_t shift = (PROBE_ALIGNMENT - first % PROBE_ALIGNMENT) % PROBE_ALIGNMENT;
    ticket->buffer = ticket->block + PROBE_GUARD + shift + misalignment;
    ticket->length = length;
    memset(ticket->buffer - PROBE_GUARD, PROBE_GUARD_FILL, PROBE_GUARD);
    memset(ticket->buffer + length, PROBE_GUARD_FILL, PROBE_GUARD);
    return 0;
}

static bool is_overrun(const struct ticket *ticket) {
    if (ticket->block == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < PROBE_GUARD; i++) {
        if (ticket->buffer[ticket->length + i] != PROBE_GUARD_FILL ||
            *(ticket->buffer - 1 - i) != PROBE_GUARD_FILL) {
            return true;
        }
    }
    return false;
}

/* Give a ticket its name.  Inside the lock. */
static int enlist(struct faster_probe *probe, struct ticket *ticket) {
    if (probe->count == probe->room) {
        uint64_t room = probe->room == 0 ? 64 : 2 * probe->room;
        struct ticket **grown =
            realloc(probe->tickets, (size_t)room * sizeof *probe->tickets);
        if (grown == NULL) {
            return -ENOMEM;
        }
        probe->tickets = grown;
        probe->room = room;
    }
    probe->tickets[probe->count++] = ticket;
    return 0;
}

static struct ticket *ticket_new(struct faster_probe *probe) {
    struct ticket *ticket = calloc(1, sizeof *ticket);
    if (ticket == NULL) {
        return NULL;
    }
    ticket->probe = probe;
    ticket->completion.done = note_raw;
    ticket->completion.context = ticket;
    ticket->submitter = ticket->thread = &thread_mark;
    device_request_init(&ticket->request, note_judged);
    return ticket;
}

/* List a ticket before its submission, for it may be completed inside. */
static int begin(struct faster_probe *probe, struct ticket *ticket, uint64_t *name) {
    lock_enter(&probe->lock);
    int status = enlist(probe, ticket);
    uint64_t index = probe->count - 1;
    lock_leave(&probe->lock);
    if (status != 0) {
        ticket_free(ticket);
        return status;
    }
    *name = index;
    return 0;
}

static int end(struct ticket *ticket, int result) {
    lock_enter(&ticket->probe->lock);
    ticket->submitter = NULL;
    ticket->result.result = result;
    lock_leave(&ticket->probe->lock);
    return result;
}

static struct ticket *find(struct faster_probe *probe, uint64_t name) {
    lock_enter(&probe->lock);
    struct ticket *ticket = name < probe->count ? probe->tickets[name] : NULL;
    lock_leave(&probe->lock);
    return ticket;
}

/* --- submitting ------------------------------------------------------------------- */

int faster_probe_read(struct faster_probe *probe, uint64_t offset, uint64_t length,
                      uint32_t misalignment, int judged, uint64_t *ticket) {
    const struct faster_device *device = probe->device;
    struct ticket *made = ticket_new(probe);
    if (made == NULL) {
        return -ENOMEM;
    }
    if (place_buffer(made, length, misalignment) != 0) {
        ticket_free(made);
        return -ENOMEM;
    }
    memset(made->buffer, PROBE_FILL, (size_t)length);
    int status = begin(probe, made, ticket);
    if (status != 0) {
        return status;
    }
    if (judged) {
        return end(made,
                   device_read(device, offset, made->buffer, length, &made->request));
    }
    return end(made, device->read(device->context, offset, made->buffer, length,
                                  &made->completion));
}

int faster_probe_write(struct faster_probe *probe, uint64_t offset, const void *data,
                       uint64_t length, uint32_t misalignment, int judged,
                       uint64_t *ticket) {
    const struct faster_device *device = probe->device;
    struct ticket *made = ticket_new(probe);
    if (made == NULL) {
        return -ENOMEM;
    }
    if (place_buffer(made, length, misalignment) != 0) {
        ticket_free(made);
        return -ENOMEM;
    }
    if (length > 0) {
        memcpy(made->buffer, data, (size_t)length);
    }
    int status = begin(probe, made, ticket);
    if (status != 0) {
        return status;
    }
    if (judged) {
        return end(made,
                   device_write(device, offset, made->buffer, length, &made->request));
    }
    return end(made, device->write(device->context, offset, made->buffer, length,
                                   &made->completion));
}

int faster_probe_sync(struct faster_probe *probe, int judged, uint64_t *ticket) {
    const struct faster_device *device = probe->device;
    struct ticket *made = ticket_new(probe);
    if (made == NULL) {
        return -ENOMEM;
    }
    int status = begin(probe, made, ticket);
    if (status != 0) {
        return status;
    }
    if (judged) {
        return end(made, device_sync(device, &made->request));
    }
    return end(made, device->sync(device->context, &made->completion));
}

int faster_probe_truncate_before(struct faster_probe *probe, uint64_t offset) {
    return probe->device->truncate_before(probe->device->context, offset);
}

int faster_probe_poll(struct faster_probe *probe) {
    return probe->device->poll(probe->device->context);
}

int faster_probe_device_wait(struct faster_probe *probe, uint32_t timeout_ms) {
    return probe->device->wait(probe->device->context, timeout_ms);
}

/* --- looking ---------------------------------------------------------------------- */

static bool is_completed(struct faster_probe *probe, const struct ticket *ticket) {
    lock_enter(&probe->lock);
    bool completed = ticket->result.completions > 0;
    lock_leave(&probe->lock);
    return completed;
}

int faster_probe_wait(struct faster_probe *probe, uint64_t ticket,
                      uint32_t timeout_ms) {
    enum { PIECE_MS = 20 }; /* a device whose wait misses a wake-up is asked again */
    struct ticket *wanted = find(probe, ticket);
    if (wanted == NULL) {
        return FASTER_NOT_FOUND;
    }
    uint64_t deadline = clock_ms() + timeout_ms;
    while (!is_completed(probe, wanted)) {
        uint64_t now = clock_ms();
        if (now >= deadline) {
            return FASTER_E_TIMEOUT;
        }
        uint64_t left = deadline - now;
        (void)faster_probe_device_wait(probe,
                                       left < PIECE_MS ? (uint32_t)left : PIECE_MS);
    }
    return FASTER_OK;
}

int faster_probe_result(struct faster_probe *probe, uint64_t ticket,
                        struct faster_probe_result *result) {
    struct ticket *wanted = find(probe, ticket);
    if (wanted == NULL) {
        return FASTER_NOT_FOUND;
    }
    lock_enter(&probe->lock);
    *result = wanted->result;
    lock_leave(&probe->lock);
    result->overrun = is_overrun(wanted);
    return FASTER_OK;
}

void *faster_probe_buffer(struct faster_probe *probe, uint64_t ticket) {
    struct ticket *wanted = find(probe, ticket);
    return wanted == NULL ? NULL : wanted->buffer;
}

uint64_t faster_probe_submitted(struct faster_probe *probe) {
    lock_enter(&probe->lock);
    uint64_t count = probe->count;
    lock_leave(&probe->lock);
    return count;
}

uint64_t faster_probe_completed(struct faster_probe *probe) {
    lock_enter(&probe->lock);
    uint64_t completed = probe->completed;
    lock_leave(&probe->lock);
    return completed;
}

/* --- opening and ending ----------------------------------------------------------- */

int faster_probe_open(const struct faster_device *device, struct faster_probe **probe) {
    int status = device_validate(device);
    if (status != 0) {
        return status;
    }
    struct faster_probe *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    status = lock_init(&made->lock);
    if (status != 0) {
        free(made);
        return status;
    }
    made->device = device;
    *probe = made;
    return 0;
}

int faster_probe_close(struct faster_probe *probe) {
    lock_enter(&probe->lock);
    bool was = probe->closed;
    probe->closed = true;
    lock_leave(&probe->lock);
    return was ? FASTER_E_CLOSED : probe->device->close(probe->device->context);
}

void faster_probe_free(struct faster_probe *probe) {
    lock_enter(&probe->lock);
    bool closed = probe->closed;
    lock_leave(&probe->lock);
    if (!closed) {
        return;
    }
    for (uint64_t i = 0; i < probe->count; i++) {
        ticket_free(probe->tickets[i]);
    }
    free(probe->tickets);
    lock_destroy(&probe->lock);
    free(probe);
}
