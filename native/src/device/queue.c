/* SPDX-License-Identifier: MIT */
/* queue.c: see queue.h */
#include "device/queue.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/condition.h"
#include "device/device.h"
#include "faster/status.h"

enum state { FREE, QUEUED, TAKEN, ABANDONED };

enum { NONE = UINT32_MAX };

struct slot {
    enum state state;
    uint32_t sequence; /* how often it was used: the upper half of its id */
    uint32_t next;     /* in the list of free slots, or in the queue */
    uint32_t kind;
    uint64_t offset;
    uint64_t length;
    void *target; /* where the log wants what is read */
    struct bounce *bounce;
    struct faster_completion completion;
};

struct faster_queue {
    struct faster_device device;
    uint32_t slots_count;
    uint32_t timeout_ms;
    struct slot *slots; /* one more than may be in flight: the last one is CLOSE */

    struct lock lock;          /* guards the rest, and the slots */
    struct condition requests; /* something to take, or stopping */
    struct condition endings;  /* something completed, or CLOSE reported */
    uint32_t free;
    uint32_t first;
    uint32_t last;
    uint64_t in_flight;  /* accepted, and `done` has not returned */
    uint64_t out;        /* taken and not reported, also when given up */
    uint64_t unreported; /* completed since the last poll or wait */
    struct faster_queue_stats stats;
    bool stopping;
    bool close_given;
    bool close_reported;
    bool closed;
    int close_status;
};

/* What is needed to complete a request whose slot is free again. */
struct ending {
    struct faster_completion completion;
    void *target;
    struct bounce *bounce;
    uint64_t length;
};

/* --- slots; all inside the lock --------------------------------------------------- */

static uint64_t id_of(const struct faster_queue *queue, uint32_t index) {
    return (uint64_t)queue->slots[index].sequence << 32 | index;
}

static void push(struct faster_queue *queue, uint32_t index) {
    queue->slots[index].state = QUEUED;
    queue->slots[index].next = NONE;
    if (queue->first == NONE) {
        queue->first = index;
    } else {
        queue->slots[queue->last].next = index;
    }
    queue->last = index;
    condition_wake(&queue->requests);
}

/* Take a slot out of the queue, wherever it stands. */
static void unlink_slot(struct faster_queue *queue, uint32_t index) {
    uint32_t before = NONE;
    for (uint32_t at = queue->first; at != index; at = queue->slots[at].next) {
        before = at;
    }
    uint32_t next = queue->slots[index].next;
    if (before == NONE) {
        queue->first = next;
    } else {
        queue->slots[before].next = next;
    }
    if (queue->last == index) {
        queue->last = before;
    }
}

static void free_slot(struct faster_queue *queue, uint32_t index) {
    queue->slots[index].state = FREE;
    queue->slots[index].next = queue->free;
    queue->free = index;
}

/* End a request in the slot's sense; `done` is still to be called. */
static struct ending claim(struct faster_queue *queue, uint32_t index) {
    struct slot *slot = &queue->slots[index];
    struct ending ending = {
        .completion = slot->completion,
        .target = slot->target,
        .bounce = slot->bounce,
        .length = slot->length,
    };
    if (slot->state == TAKEN) {
        queue->out--;
    } else {
        unlink_slot(queue, index);
    }
    free_slot(queue, index);
    return ending;
}

/* The same for one that its server has not reported: the slot stays its own. */
static struct ending give_up(struct faster_queue *queue, uint32_t index) {
    bool taken = queue->slots[index].state == TAKEN;
    struct ending ending = claim(queue, index);
    if (taken) {
        queue->free = queue->slots[index].next;
        queue->slots[index].state = ABANDONED;
        queue->out++;
    }
    queue->stats.timeouts++;
    return ending;
}

/* --- completing ------------------------------------------------------------------- */

/* Tell the log; outside the lock. */
static void finish(struct faster_queue *queue, struct ending *ending, int32_t code,
                   uint64_t bytes) {
    if (ending->target != NULL && code == FASTER_DEVICE_DONE) {
        uint64_t size = bytes < ending->length ? bytes : ending->length;
        memcpy(ending->target, bounce_data(ending->bounce), (size_t)size);
    }
    if (ending->bounce != NULL) {
        bounce_drop(ending->bounce);
    }
    ending->completion.done(ending->completion.context, code, bytes);
    lock_enter(&queue->lock);
    queue->in_flight--;
    queue->unreported++;
    queue->stats.completed++;
    condition_wake(&queue->endings);
    lock_leave(&queue->lock);
}

static void report_close(struct faster_queue *queue, int32_t code) {
    queue->close_reported = true;
    queue->close_status = code == FASTER_DEVICE_DONE ? 0 : (code < 0 ? code : -EIO);
    queue->slots[queue->slots_count].state = FREE;
    queue->out--;
    condition_wake(&queue->endings);
}

/* What a reported id is: the slot's index when it is out (I2), else NONE. */
static uint32_t find_taken(struct faster_queue *queue, uint64_t id) {
    uint32_t index = (uint32_t)id;
    if (index > queue->slots_count || id_of(queue, index) != id) {
        return NONE;
    }
    if (queue->slots[index].state == ABANDONED) {
        free_slot(queue, index);
        queue->out--;
        condition_wake(&queue->requests); /* CLOSE may be due */
        return NONE;
    }
    return queue->slots[index].state == TAKEN ? index : NONE;
}

int faster_queue_complete(struct faster_queue *queue, uint64_t id, int32_t status,
                          uint64_t bytes) {
    lock_enter(&queue->lock);
    uint32_t index = find_taken(queue, id);
    if (index == NONE) {
        queue->stats.strays++;
        lock_leave(&queue->lock);
        return FASTER_E_CLOSED;
    }
    if (index == queue->slots_count) {
        report_close(queue, status);
        lock_leave(&queue->lock);
        return 0;
    }
    struct ending ending = claim(queue, index);
    if (queue->stopping) {
        condition_wake(&queue->requests); /* CLOSE may be due */
    }
    lock_leave(&queue->lock);
    finish(queue, &ending, status, bytes);
    return 0;
}

/* --- taking ----------------------------------------------------------------------- */

static void hand_out(struct faster_queue *queue, uint32_t index,
                     struct faster_queue_request *request) {
    struct slot *slot = &queue->slots[index];
    slot->state = TAKEN;
    queue->out++;
    *request = (struct faster_queue_request){
        .id = id_of(queue, index),
        .offset = slot->offset,
        .length = slot->length,
        .kind = slot->kind,
    };
    if (slot->bounce != NULL) {
        bounce_hold(slot->bounce);
        request->buffer = bounce_data(slot->bounce);
    }
}

/* Whether there is an answer now, and which.  Inside the lock. */
static bool try_take(struct faster_queue *queue, struct faster_queue_request *request,
                     int *status) {
    if (queue->first != NONE) {
        uint32_t index = queue->first;
        unlink_slot(queue, index);
        hand_out(queue, index, request);
        *status = FASTER_OK;
        return true;
    }
    if (!queue->stopping) {
        return false;
    }
    if (queue->out == 0 && !queue->close_given) { /* I4 */
        queue->close_given = true;
        hand_out(queue, queue->slots_count, request);
        *status = FASTER_OK;
        return true;
    }
    /* Whoever works on the last one comes back and is given CLOSE. */
    *status = FASTER_E_CLOSED;
    return true;
}

int faster_queue_take(struct faster_queue *queue, uint32_t timeout_ms,
                      struct faster_queue_request *request) {
    uint64_t deadline = clock_ms() + timeout_ms;
    int status = FASTER_NOT_FOUND;
    lock_enter(&queue->lock);
    while (!try_take(queue, request, &status)) {
        if (!condition_wait_until(&queue->requests, &queue->lock, deadline)) {
            break;
        }
    }
    lock_leave(&queue->lock);
    return status;
}

/* --- the table -------------------------------------------------------------------- */

/* File a request; inside the lock.  Gives its slot, or a failure below 0. */
static int64_t file(struct faster_queue *queue, const struct slot *what) {
    if (queue->stopping) {
        return -ECANCELED;
    }
    if (queue->free == NONE) {
        queue->stats.refused++;
        return -EAGAIN;
    }
    uint32_t index = queue->free;
    struct slot *slot = &queue->slots[index];
    queue->free = slot->next;
    uint32_t sequence = slot->sequence + 1;
    *slot = *what;
    slot->sequence = sequence;
    queue->in_flight++;
    queue->stats.submitted++;
    push(queue, index);
    return index;
}

static int submit(struct faster_queue *queue, struct slot *what, const void *data) {
    if (what->length > 0 || data != NULL || what->target != NULL) {
        what->bounce = bounce_new(what->length, queue->device.alignment);
        if (what->bounce == NULL) {
            return -ENOMEM;
        }
    }
    if (data != NULL) {
        memcpy(bounce_data(what->bounce), data, (size_t)what->length);
    }
    lock_enter(&queue->lock);
    int64_t filed = file(queue, what);
    lock_leave(&queue->lock);
    if (filed < 0) {
        if (what->bounce != NULL) {
            bounce_drop(what->bounce);
        }
        return (int)filed;
    }
    return 0;
}

static int check(const struct faster_queue *queue, uint64_t offset, uint64_t length) {
    uint64_t misfit = queue->device.alignment - 1;
    bool large = queue->device.max_io != 0 && length > queue->device.max_io;
    if (!device_range_exists(offset, length) || large ||
        ((offset | length) & misfit) != 0) {
        return -EINVAL;
    }
    return 0;
}

static int queue_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                      const struct faster_completion *completion) {
    struct faster_queue *queue = context;
    struct slot what = {
        .kind = FASTER_KIND_READ,
        .offset = offset,
        .length = length,
        .target = buffer,
        .completion = *completion,
    };
    int status = check(queue, offset, length);
    return status != 0 ? status : submit(queue, &what, NULL);
}

static int queue_write(void *context, uint64_t offset, const void *buffer,
                       uint64_t length, const struct faster_completion *completion) {
    struct faster_queue *queue = context;
    struct slot what = {
        .kind = FASTER_KIND_WRITE,
        .offset = offset,
        .length = length,
        .completion = *completion,
    };
    int status = check(queue, offset, length);
    if (status != 0) {
        return status;
    }
    if (queue->device.capacity != 0 && offset + length > queue->device.capacity) {
        return -ENOSPC;
    }
    return submit(queue, &what, buffer);
}

static int queue_sync(void *context, const struct faster_completion *completion) {
    struct slot what = {.kind = FASTER_KIND_SYNC, .completion = *completion};
    return submit(context, &what, NULL);
}

struct waiter {
    struct faster_queue *queue;
    int32_t code;
    bool ended;
};

static void note_end(void *context, int32_t code, uint64_t bytes) {
    struct waiter *waiter = context;
    (void)bytes;
    lock_enter(&waiter->queue->lock);
    waiter->code = code;
    waiter->ended = true;
    lock_leave(&waiter->queue->lock);
}

/* Give a truncation up unless a server is just completing it.  Inside the lock; gives
 * whether there is an ending to finish. */
static bool withdraw(struct faster_queue *queue, uint32_t index, uint64_t id,
                     struct ending *ending) {
    enum state state = queue->slots[index].state;
    if (id_of(queue, index) != id || (state != QUEUED && state != TAKEN)) {
        return false;
    }
    *ending = give_up(queue, index);
    return true;
}

static int queue_truncate_before(void *context, uint64_t offset) {
    struct faster_queue *queue = context;
    struct waiter waiter = {.queue = queue};
    struct ending ending;
    bool late = false;
    struct slot what = {
        .kind = FASTER_KIND_TRUNCATE,
        .offset = offset,
        .completion = {note_end, &waiter},
    };
    uint64_t deadline = clock_ms() + queue->timeout_ms;
    lock_enter(&queue->lock);
    int64_t filed = file(queue, &what);
    uint64_t id = filed >= 0 ? id_of(queue, (uint32_t)filed) : 0;
    /* Ends: after the deadline the request is withdrawn, or is being completed. */
    while (filed >= 0 && !waiter.ended) {
        if (condition_wait_until(&queue->endings, &queue->lock, deadline)) {
            continue;
        }
        late = withdraw(queue, (uint32_t)filed, id, &ending);
        deadline += late ? 0 : queue->timeout_ms;
        if (late) {
            break;
        }
    }
    lock_leave(&queue->lock);
    if (late) {
        finish(queue, &ending, -ETIMEDOUT, 0);
    }
    if (filed < 0) {
        return (int)filed;
    }
    return waiter.code == FASTER_DEVICE_DONE ? 0
                                             : (waiter.code < 0 ? waiter.code : -EIO);
}

/* Inside the lock. */
static int take_unreported(struct faster_queue *queue) {
    uint64_t count = queue->unreported;
    queue->unreported = 0;
    return count < INT_MAX ? (int)count : INT_MAX;
}

static int queue_poll(void *context) {
    struct faster_queue *queue = context;
    lock_enter(&queue->lock);
    int count = take_unreported(queue);
    lock_leave(&queue->lock);
    return count;
}

/* V11; without anything in flight there is nothing to wait for. */
static int queue_wait(void *context, uint32_t timeout_ms) {
    struct faster_queue *queue = context;
    uint64_t deadline = clock_ms() + timeout_ms;
    lock_enter(&queue->lock);
    uint64_t seen = queue->stats.completed;
    while (queue->unreported == 0 && queue->stats.completed == seen &&
           queue->in_flight > 0) {
        if (!condition_wait_until(&queue->endings, &queue->lock, deadline)) {
            break;
        }
    }
    int count = take_unreported(queue);
    lock_leave(&queue->lock);
    return count;
}

/* Complete what is left when the time is over.  Inside the lock, which is left for each
 * completion. */
static void give_up_all(struct faster_queue *queue) {
    for (uint32_t index = 0; index < queue->slots_count; index++) {
        enum state state = queue->slots[index].state;
        if (state == QUEUED || state == TAKEN) {
            struct ending ending = give_up(queue, index);
            lock_leave(&queue->lock);
            finish(queue, &ending, -ETIMEDOUT, 0);
            lock_enter(&queue->lock);
        }
    }
}

static int queue_close(void *context) {
    struct faster_queue *queue = context;
    uint64_t deadline = clock_ms() + queue->timeout_ms;
    faster_queue_stop(queue);
    lock_enter(&queue->lock);
    while (queue->in_flight > 0 &&
           condition_wait_until(&queue->endings, &queue->lock, deadline)) {
        /* ends with the last completion, or with the time */
    }
    give_up_all(queue);
    /* Ends: whoever is inside finish() only calls `done`, which never blocks. */
    while (queue->in_flight > 0) {
        condition_wait(&queue->endings, &queue->lock, queue->timeout_ms);
    }
    while (!queue->close_reported &&
           condition_wait_until(&queue->endings, &queue->lock, deadline)) {
        /* ends with the report of CLOSE, or with the time */
    }
    int status = queue->close_reported ? queue->close_status : -ETIMEDOUT;
    queue->closed = true;
    lock_leave(&queue->lock);
    return status;
}

/* --- opening and ending ----------------------------------------------------------- */

static void fill_table(struct faster_queue *queue,
                       const struct faster_queue_config *config) {
    queue->device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof queue->device,
        .context = queue,
        .capabilities = config->capabilities,
        .sector_size = config->sector_size,
        .alignment = config->alignment,
        .capacity = config->capacity,
        .max_io = config->max_io,
        .atomic_unit = config->atomic_unit,
        .read = queue_read,
        .write = queue_write,
        .sync = queue_sync,
        .truncate_before = queue_truncate_before,
        .poll = queue_poll,
        .wait = queue_wait,
        .close = queue_close,
    };
}

static void link_slots(struct faster_queue *queue) {
    queue->first = queue->last = queue->free = NONE;
    for (uint32_t index = queue->slots_count; index-- > 0;) {
        free_slot(queue, index);
    }
    queue->slots[queue->slots_count].kind = FASTER_KIND_CLOSE;
    queue->slots[queue->slots_count].sequence = 1;
}

static int start(struct faster_queue *queue) {
    queue->slots = calloc((size_t)queue->slots_count + 1, sizeof *queue->slots);
    if (queue->slots == NULL) {
        return -ENOMEM;
    }
    int status = lock_init(&queue->lock);
    if (status != 0) {
        goto no_lock;
    }
    status = condition_init(&queue->requests);
    if (status != 0) {
        goto no_requests;
    }
    status = condition_init(&queue->endings);
    if (status != 0) {
        goto no_endings;
    }
    link_slots(queue);
    return 0;
no_endings:
    condition_destroy(&queue->requests);
no_requests:
    lock_destroy(&queue->lock);
no_lock:
    free(queue->slots);
    return status;
}

int faster_queue_open(const struct faster_queue_config *config,
                      struct faster_queue **queue) {
    if (config->size != sizeof *config) {
        return FASTER_E_ABI;
    }
    if (config->requests_max > QUEUE_REQUESTS_MAX) {
        return -EINVAL;
    }
    struct faster_queue *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    made->slots_count =
        config->requests_max != 0 ? config->requests_max : QUEUE_REQUESTS;
    made->timeout_ms = config->timeout_ms != 0 ? config->timeout_ms : QUEUE_TIMEOUT_MS;
    fill_table(made, config);
    int status = device_validate(&made->device);
    status = status != 0 ? status : start(made);
    if (status != 0) {
        free(made);
        return status;
    }
    *queue = made;
    return 0;
}

struct faster_device *faster_queue_device(struct faster_queue *queue) {
    return &queue->device;
}

void faster_queue_stop(struct faster_queue *queue) {
    lock_enter(&queue->lock);
    queue->stopping = true;
    condition_wake(&queue->requests);
    lock_leave(&queue->lock);
}

void faster_queue_stats(struct faster_queue *queue, struct faster_queue_stats *stats) {
    lock_enter(&queue->lock);
    *stats = queue->stats;
    lock_leave(&queue->lock);
}

void faster_queue_free(struct faster_queue *queue) {
    lock_enter(&queue->lock);
    bool closed = queue->closed;
    lock_leave(&queue->lock);
    if (!closed) {
        return;
    }
    condition_destroy(&queue->endings);
    condition_destroy(&queue->requests);
    lock_destroy(&queue->lock);
    free(queue->slots);
    free(queue);
}
