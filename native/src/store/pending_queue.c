/* SPDX-License-Identifier: MIT */
/* pending_queue.c: a session's queue, and the operations in it coming and going, see
 * pending.h */
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/notify.h"
#include "store/pending_list.h"
#include "store/timing.h"

/* Operations kept for reuse, with buffers up to so many bytes. */
enum { UNUSED_MAX = 1024, UNUSED_BUFFER_MAX = 16 << 10 };

int pending_queue_new(struct faster_kv *kv, struct pending_queue **out) {
    struct pending_queue *queue = memory_lines_new(sizeof *queue);
    if (queue == NULL) {
        return -ENOMEM;
    }
    memset((void *)queue, 0, sizeof *queue);
    queue->kv = kv;
    queue->device = disk_device(&kv->log);
    queue->budget = &kv->budget;
    atomic_init(&queue->arrived, NULL);
    atomic_init(&queue->sleeping, false);
    atomic_init(&queue->notify, -1);
    atomic_init(&queue->refs, 1);
    int error = wakeup_init(&queue->wakeup);
    if (error != 0) {
        memory_lines_free(queue);
        return error;
    }
    *out = queue;
    return FASTER_OK;
}

/* What an operation holds beside itself. */
static uint64_t pending_bytes(const struct faster_pending *pending) {
    return pending->buffer_size + pending->copies_size + pending->out_capacity;
}

static void pending_free(struct faster_pending *pending) {
    pending_give(pending->queue, pending_bytes(pending) + sizeof *pending);
    memory_lines_free(pending->block);
    free(pending->copies);
    free(pending->out);
    memory_lines_free(pending);
}

static void list_free(struct pending_list *list) {
    while (list->first != NULL) { /* ends with the list */
        struct faster_pending *pending = list->first;
        list->first = pending->next;
        pending_free(pending);
    }
    list->last = NULL;
}

/* One less may touch the queue; the last one frees it (I2). */
static void queue_release(struct pending_queue *queue) {
    if (atomic_fetch_sub_explicit(&queue->refs, 1, memory_order_acq_rel) !=
        1) { /* M3 */
        return;
    }
    list_free(&queue->flying);
    wakeup_destroy(&queue->wakeup);
    memory_lines_free(queue);
}

void pending_queue_leave(struct pending_queue *queue) {
    list_free(&queue->waiting);
    list_free(&queue->again);
    list_free(&queue->finished);
    list_free(&queue->kept);
    while (queue->unused != NULL) { /* ends with the list */
        struct faster_pending *pending = queue->unused;
        queue->unused = pending->next;
        pending_free(pending);
    }
    queue_release(queue);
}

/* Whether an update with its serial is on its way to a key of this hash. */
static bool list_has(const struct pending_list *list, uint64_t hash) {
    for (const struct faster_pending *one = list->first; one != NULL; one = one->next) {
        if (one->numbered && one->update.hash == hash) {
            return true;
        }
    }
    return false;
}

/* The few bits are asked first: mostly they say no. */
bool pending_is_under_way(const struct pending_queue *queue, uint64_t hash) {
    return queue->keys[hash % PENDING_KEYS] != 0 &&
           (list_has(&queue->flying, hash) || list_has(&queue->again, hash));
}

bool pending_defers(const struct pending_queue *queue, uint64_t hash) {
    return queue->waiting.first != NULL || pending_is_under_way(queue, hash);
}

/* A device's read has ended: on any thread. */
static void finish_read(struct device_request *request, int status, uint64_t moved) {
    struct faster_pending *pending = (struct faster_pending *)request;
    struct pending_queue *queue = pending->queue;
    pending->io_status = status;
    pending->io_moved = moved;
    if (status == FASTER_OK) {
        timing_add(queue->kv, FASTER_TIMED_DEVICE_READ, pending->read_begun);
    }
    /* relaxed: proved by the CAS */
    struct faster_pending *seen =
        atomic_load_explicit(&queue->arrived, memory_order_relaxed);
    do { /* ends: each failure means that another has arrived, or all were taken */
        pending->arrived_next = seen;
    } while (!atomic_compare_exchange_weak_explicit(&queue->arrived, &seen, pending,
                                                    memory_order_seq_cst,
                                                    memory_order_relaxed)); /* M1, M2 */
    /* From here on the operation may be another's. */
    int64_t descriptor =
        atomic_load_explicit(&queue->notify, memory_order_acquire); /* M4 */
    if (seen == NULL && descriptor >= 0) {
        notify_send(descriptor);
    }
    if (atomic_load_explicit(&queue->sleeping, memory_order_seq_cst) && /* M2 */
        atomic_exchange_explicit(&queue->sleeping, false, memory_order_seq_cst)) {
        wakeup_post(&queue->wakeup); /* M2, pending_rest */
    }
    queue_release(queue);
}

void pending_add_figures(struct pending_queue *queue, struct read_figures *figures) {
    /* relaxed: figures, all */
    figures->reads += atomic_load_explicit(&queue->reads, memory_order_relaxed);
    /* relaxed: as above */
    figures->bytes += atomic_load_explicit(&queue->read_bytes, memory_order_relaxed);
    /* relaxed: as above */
    figures->retries +=
        atomic_load_explicit(&queue->read_retries, memory_order_relaxed);
    /* relaxed: as above */
    figures->errors += atomic_load_explicit(&queue->read_errors, memory_order_relaxed);
}

/* Each holds the queue, beside the session (I2). */
uint64_t pending_in_flight(struct pending_queue *queue) {
    /* relaxed: a figure */
    return atomic_load_explicit(&queue->refs, memory_order_relaxed) - 1;
}

/* --- operations come and go ------------------------------------------------------- */

static struct faster_pending *pending_new(struct pending_queue *queue) {
    struct faster_pending *pending = queue->unused;
    if (pending != NULL) {
        queue->unused = pending->next;
        queue->unused_count--;
        return pending;
    }
    pending = memory_lines_new(sizeof *pending);
    if (pending != NULL) {
        memset((void *)pending, 0, sizeof *pending);
        device_request_init(&pending->request, finish_read);
        pending->queue = queue;
        pending_take(queue, sizeof *pending);
    }
    return pending;
}

/* Keep an operation's memory for the next, if there is not enough of that. */
void pending_drop(struct pending_queue *queue, struct faster_pending *pending) {
    if (queue->unused_count >= UNUSED_MAX ||
        pending_bytes(pending) > UNUSED_BUFFER_MAX) {
        pending_free(pending);
        return;
    }
    pending->next = queue->unused;
    queue->unused = pending;
    queue->unused_count++;
}

static const void *copy_in(uint8_t **to, const void *bytes, uint64_t size) {
    uint8_t *copy = *to;
    if (size != 0) {
        memcpy(copy, bytes, (size_t)size);
    }
    *to += align_up(size, 8);
    return copy;
}

/* Take everything that the caller's memory holds (api.h). */
static int copy_operation(struct faster_pending *pending,
                          const struct faster_operation *operation) {
    uint64_t size = align_up(operation->key_size, 8) +
                    align_up(operation->value_size, 8) +
                    align_up(operation->expected_size, 8) + 8;
    struct update *update = &pending->update;
    if (size > pending->copies_size) {
        uint8_t *larger = realloc(pending->copies, (size_t)size);
        if (larger == NULL) {
            return -ENOMEM;
        }
        pending_take(pending->queue, size - pending->copies_size);
        pending->copies = larger;
        pending->copies_size = size;
    }
    uint8_t *to = pending->copies;
    update->key = copy_in(&to, operation->key, operation->key_size);
    update->value = copy_in(&to, operation->value, operation->value_size);
    update->expected = copy_in(&to, operation->expected, operation->expected_size);
    if (operation->merge != NULL) {
        pending->merge = *operation->merge;
    }
    return FASTER_OK;
}

static enum update_kind update_kind_of(uint32_t kind) {
    static const enum update_kind kinds[] = {
        [FASTER_UPSERT] = UPDATE_UPSERT, [FASTER_INSERT] = UPDATE_INSERT,
        [FASTER_DELETE] = UPDATE_DELETE, [FASTER_DISCARD] = UPDATE_DISCARD,
        [FASTER_RMW] = UPDATE_RMW,       [FASTER_COMPARE] = UPDATE_COMPARE,
    };
    return kinds[kind];
}

static int pending_fill(struct faster_pending *pending,
                        const struct faster_operation *operation) {
    struct update *update = &pending->update;
    pending->reads = operation->kind == FASTER_READ;
    pending->claimed = (operation->flags & FASTER_CLAIMED) != 0;
    pending->forgotten = false;
    pending->numbered = false;
    pending->hold = false;
    pending->batched = false;
    pending->walks = false;
    pending->waited = false;
    pending->traced = false;
    pending->number = 0;
    pending->read_failed = FASTER_OK;
    pending->begun = clock_ns();
    pending->below = UINT64_MAX;
    pending->out_limit = UINT64_MAX;
    pending->walked = false;
    pending->retried = false;
    pending->context = operation->context;
    pending->serial = 0;
    pending->start = ADDRESS_NONE;
    pending->device_reads = 0;
    pending->record = NULL;
    pending->value = NULL;
    pending->value_size = 0;
    *update = (struct update){
        .kind = pending->reads ? UPDATE_UPSERT : update_kind_of(operation->kind),
        .key_size = operation->key_size,
        .hash = kv_hash(pending->queue->kv, operation->key, operation->key_size),
        .value_size = operation->value_size,
        .expected_size = operation->expected_size,
        .merge = operation->merge != NULL ? &pending->merge : NULL,
    };
    return copy_operation(pending, operation);
}

/* An operation on no list, which counts as being on its way. */
int pending_make(struct pending_queue *queue, const struct faster_operation *operation,
                 struct faster_pending **out) {
    struct faster_pending *pending = pending_new(queue);
    if (pending == NULL) {
        return -ENOMEM;
    }
    int error = pending_fill(pending, operation);
    if (error != FASTER_OK) {
        pending_drop(queue, pending);
        return error;
    }
    pending_count_by(queue, 1);
    *out = pending;
    return FASTER_OK;
}
