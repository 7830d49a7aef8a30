/* SPDX-License-Identifier: MIT */
/* pending.c: see pending.h */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/notify.h"
#include "store/pending_list.h"
#include "store/timing.h"
#include "store/tracing.h"

/* Operations that one entry brings forward (E5). */
enum { RUN_BLOCK = 64 };

/* --- bringing one forward, inside the slot --------------------------------------- */

/* A value in memory that is not the operation's own. */
static int make_out(struct faster_pending *pending, uint64_t size) {
    uint64_t capacity = align_up(size, 64) + 64;
    if (size <= pending->out_capacity && pending->out != NULL) {
        return FASTER_OK;
    }
    uint8_t *larger = realloc(pending->out, (size_t)capacity);
    if (larger == NULL) {
        return -ENOMEM;
    }
    pending_take(pending->queue, capacity - pending->out_capacity);
    pending->out = larger;
    pending->out_capacity = capacity;
    return FASTER_OK;
}

/* Give a read the value of a record in memory. */
static int give_from_memory(struct faster_session *session,
                            struct faster_pending *pending, const struct found *found) {
    pending->value = pending->out;
    kv_note_read(session, found);
    return record_read_value(&session->kv->layout, found->record, pending->out,
                             pending->out_capacity, &pending->value_size);
}

/* Give a read the value of the copy that came from the device: it is the newest. */
static int give_from_device(struct faster_session *session,
                            struct faster_pending *pending, const struct found *found) {
    const struct record_layout *layout = &session->kv->layout;
    struct record *record = pending->record;
    if (record == NULL || (record_info(record) & INFO_TOMBSTONE) != 0) {
        return FASTER_NOT_FOUND;
    }
    pending->value =
        (const uint8_t *)record + record_value_offset(layout, pending->update.key_size);
    pending->value_size = record_value_size(layout, record);
    kv_keep_copy(session, found, record, pending->address);
    return FASTER_OK;
}

static bool is_blind(const struct faster_pending *pending) {
    return !pending->reads && (pending->update.kind == UPDATE_UPSERT ||
                               pending->update.kind == UPDATE_DISCARD);
}

/* N3: the chain leaves memory at found->address.  If the walk on the device began there
 * it has seen all that is older, and memory holds nothing newer. */
static int attempt_beyond(struct faster_session *session,
                          struct faster_pending *pending, struct found *found) {
    if (!pending->walked || pending->start != found->address) {
        pending->start = found->address;
        pending->walked = false;
        pending->record = NULL;
        return FASTER_PENDING;
    }
    found->record = pending->record;
    return pending->reads ? give_from_device(session, pending, found)
                          : update_fetched(session, &pending->update, found);
}

/* One attempt at ending the operation.  FASTER_PENDING: read the record at `start`. */
static int attempt(struct faster_session *session, struct faster_pending *pending) {
    struct update *update = &pending->update;
    struct found found;
    int looked =
        find_record(session, update->hash, update->key, update->key_size, &found);
    if (looked == FASTER_PENDING && !is_blind(pending)) {
        return attempt_beyond(session, pending, &found);
    }
    if (!pending->reads) {
        return update_found(session, update, looked, &found);
    }
    return looked == FASTER_OK ? give_from_memory(session, pending, &found) : looked;
}

/* The same, until it does not ask for more room or meet somebody. */
static int attempt_all(struct faster_session *session, struct faster_pending *pending) {
    struct update *update = &pending->update;
    int result = make_out(pending, 0);
    while (result == FASTER_OK ||
           result == FASTER_SHORT) { /* ends: values are finite */
        if (update->kind == UPDATE_RMW && !pending->reads) {
            update->out = pending->out;
            update->capacity = pending->out_capacity < pending->out_limit
                                   ? pending->out_capacity
                                   : pending->out_limit;
            update->out_size = &pending->value_size;
        }
        KV_ATTEMPT(session, result, attempt(session, pending));
        if (result != FASTER_SHORT || pending->value_size > pending->out_limit) {
            break;
        }
        int error = make_out(pending, pending->value_size);
        result = error != FASTER_OK ? error : FASTER_SHORT;
    }
    if (result == FASTER_OK && update->kind == UPDATE_RMW && !pending->reads) {
        pending->value = pending->out;
    }
    return result;
}

/* An update that goes to the device takes its serial number now (C1, N4), but for the
 * items of a batch, which are made one after the other. */
static void number(struct faster_session *session, struct faster_pending *pending) {
    if (pending->reads || pending->numbered || pending->batched) {
        return;
    }
    session_issue(session);
    pending->numbered = true;
    pending_count_numbered(pending->queue, 1);
    pending->serial = faster_session_serial(session);
    pending->queue->keys[pending->update.hash % PENDING_KEYS]++;
}

static void account(struct faster_session *session, struct faster_pending *pending) {
    enum update_kind kind = pending->update.kind;
    int status = pending->status;
    if (pending->walks) {
        return;
    }
    if (pending->reads) {
        if (status == FASTER_OK || status == FASTER_NOT_FOUND) {
            session_count(session,
                          status == FASTER_OK ? COUNT_READ_HIT : COUNT_READ_MISS);
        } else if (status < 0) {
            session_count(session, COUNT_FAILED);
        }
        return;
    }
    if (pending->numbered) {
        pending->queue->keys[pending->update.hash % PENDING_KEYS]--;
        pending_count_numbered(pending->queue, -1);
        update_count(session, kind, status);
    } else {
        update_account(session, kind, status);
        pending->serial = status >= FASTER_OK ? faster_session_serial(session) : 0;
    }
}

/* It has to wait, for the device or for what is before it. */
static void note_wait(struct faster_session *session, struct faster_pending *pending) {
    if (!pending->waited && !pending->walks) {
        pending->waited = true;
        session_count(session,
                      pending->reads ? COUNT_READ_PENDING : COUNT_UPDATE_PENDING);
    }
}

static void finish(struct faster_session *session, struct faster_pending *pending,
                   int status) {
    struct pending_queue *queue = pending->queue;
    pending->status = status;
    account(session, pending);
    if (pending->waited && status >= FASTER_OK && status != FASTER_SHORT) {
        timing_add(session->kv, FASTER_TIMED_PENDING, pending->begun);
    }
    tracing_end(session, pending);
    if (pending->forgotten) {
        pending_drop(queue, pending);
        return;
    }
    pending_count_by(queue, -1);
    pending_list_add(pending->claimed ? &queue->kept : &queue->finished, pending);
    pending_set_state(pending, PENDING_FINISHED);
}

/* Ask for what fetch_prepare described, or for the rest of it. */
static void send_off(struct faster_pending *pending, struct pending_outbox *outbox) {
    pending_set_state(pending, PENDING_FLYING);
    pending->device_reads++;
    pending_list_add(&pending->queue->flying, pending);
    pending->arrived_next = outbox->first;
    outbox->first = pending;
}

static void fly(struct faster_session *session, struct faster_pending *pending,
                uint64_t address, uint64_t size, struct pending_outbox *outbox) {
    int result = fetch_prepare(pending, address, size);
    if (result != FASTER_OK) {
        finish(session, pending, result);
        return;
    }
    note_wait(session, pending);
    number(session, pending);
    send_off(pending, outbox);
}

/* For an update that is held: whether what it needs is in memory or was fetched. */
static int look(struct faster_session *session, struct faster_pending *pending) {
    struct update *update = &pending->update;
    struct found found;
    int looked =
        find_record(session, update->hash, update->key, update->key_size, &found);
    bool fetched = pending->walked && pending->start == found.address;
    if (looked == FASTER_PENDING && !is_blind(pending) && !fetched) {
        pending->start = found.address;
        pending->walked = false;
        pending->record = NULL;
        return FASTER_PENDING;
    }
    return looked == FASTER_RETRY ? FASTER_RETRY : FASTER_OK;
}

static void hold(struct faster_pending *pending) {
    if (pending->forgotten) {
        pending_drop(pending->queue, pending);
    } else {
        pending_list_add(&pending->queue->kept, pending);
        pending_set_state(pending, PENDING_HELD);
    }
}

/* C4: whether an update that cannot be done now must not take its serial number yet,
 * because a checkpoint waits until none is left that has one and is not done. */
static bool is_deferred(const struct faster_session *session,
                        const struct faster_pending *pending) {
    return session->watches && !pending->reads && !pending->numbered &&
           !pending->batched;
}

/* Be tried again, before everything that waits. */
static void defer(struct faster_session *session, struct faster_pending *pending) {
    struct pending_list *waiting = &pending->queue->waiting;
    note_wait(session, pending);
    pending->prev = NULL;
    pending->next = waiting->first;
    if (waiting->first != NULL) {
        waiting->first->prev = pending;
    } else {
        waiting->last = pending;
    }
    waiting->first = pending;
    pending_set_state(pending, PENDING_WAITING);
}

static void try_later(struct faster_pending *pending) {
    pending_list_add(&pending->queue->again, pending);
    pending_set_state(pending, PENDING_AGAIN);
}

/* Try to end an operation that is on no list.  False when it was put back to the
 * FIFO's front: nothing behind it may begin. */
static bool advance(struct faster_session *session, struct faster_pending *pending,
                    struct pending_outbox *outbox) {
    if (pending->walks) {
        fly(session, pending, pending->address, fetch_guess(pending->queue), outbox);
        return true;
    }
    int result = pending->hold ? look(session, pending) : attempt_all(session, pending);
    bool ended = result != FASTER_PENDING && result != FASTER_RETRY;
    if (ended && pending->hold && result == FASTER_OK) {
        hold(pending);
    } else if (ended) {
        finish(session, pending, result);
    } else if (is_deferred(session, pending)) {
        defer(session, pending);
        return false;
    } else if (result == FASTER_PENDING) {
        fly(session, pending, pending->start, fetch_guess(pending->queue), outbox);
    } else {
        number(session, pending); /* others must not pass it */
        try_later(pending);
    }
    return true;
}

/* Figures with one writer. */
static void count_failed_read(struct pending_queue *queue, bool retried) {
    /* relaxed, both: figures */
    (void)atomic_fetch_add_explicit(&queue->read_errors, 1, memory_order_relaxed);
    if (retried) {
        /* relaxed: as above */
        (void)atomic_fetch_add_explicit(&queue->read_retries, 1, memory_order_relaxed);
    }
}

/* A record has come, or could not be had. */
static void examine(struct faster_session *session, struct faster_pending *pending,
                    struct pending_outbox *outbox) {
    const struct update *update = &pending->update;
    struct record *record = NULL;
    uint64_t need = pending->read_size;
    int result = fetch_examine(pending, &record, &need);
    if (result == FASTER_RETRY) {
        send_off(pending, outbox);
        return;
    }
    if (result == FASTER_PENDING) {
        fly(session, pending, pending->address, need, outbox);
        return;
    }
    if (result == -EAGAIN) { /* the device takes no more for now */
        try_later(pending);
        return;
    }
    if (result != FASTER_OK) {
        bool once = result != FASTER_E_CORRUPT && !pending->retried;
        uint64_t size = fetch_guess(pending->queue);
        pending->retried = true;
        if (result != FASTER_E_CORRUPT) {
            count_failed_read(pending->queue, once);
            tracing_read_failed(session, pending, result, once);
        }
        if (once) {
            fly(session, pending, pending->address, size, outbox);
        } else {
            finish(session, pending, result);
        }
        return;
    }
    tracing_read_done(session, pending);
    uint64_t info = record_info(record);
    bool mine =
        record_has_key(&session->kv->layout, record, update->key, update->key_size) &&
        (info & INFO_INVALID) == 0 && pending->address < pending->below;
    if (!mine && info_prev(info) >= session->begin) {
        fly(session, pending, info_prev(info), fetch_guess(pending->queue), outbox);
        return;
    }
    pending->walked = true;
    pending->record = mine ? record : NULL;
    if (pending->walks) {
        finish(session, pending, mine ? FASTER_OK : FASTER_NOT_FOUND);
    } else {
        (void)advance(session, pending, outbox);
    }
}

/* Start what waits for its turn, as long as nothing of its key is on its way. */
static void run_waiting(struct faster_session *session, struct pending_outbox *outbox) {
    struct pending_queue *queue = session->queue;
    struct faster_pending *pending = queue->waiting.first;
    uint64_t begun = 0;
    while (pending != NULL &&
           !pending_is_under_way(queue, pending->update.hash)) { /* ends: the list */
        pending_list_remove(&queue->waiting, pending);
        if (!advance(session, pending, outbox)) {
            break;
        }
        if (++begun % RUN_BLOCK == 0) {
            session_refresh(session); /* E5 */
        }
        pending = queue->waiting.first;
    }
}

/* All that has arrived, oldest first. */
static struct faster_pending *take_arrived(struct pending_queue *queue) {
    struct faster_pending *taken = atomic_exchange_explicit(
        &queue->arrived, NULL, memory_order_seq_cst); /* M1, with finish_read */
    struct faster_pending *turned = NULL;
    while (taken != NULL) { /* ends with the list */
        struct faster_pending *next = taken->arrived_next;
        taken->arrived_next = turned;
        turned = taken;
        taken = next;
    }
    return turned;
}

static void run_arrived(struct faster_session *session, struct pending_outbox *outbox) {
    struct pending_queue *queue = session->queue;
    struct faster_pending *pending = take_arrived(queue);
    uint64_t reads = 0;
    uint64_t bytes = 0;
    while (pending != NULL) { /* ends with the list */
        struct faster_pending *next = pending->arrived_next;
        pending_list_remove(&queue->flying, pending);
        reads++;
        bytes += pending->io_moved;
        examine(session, pending, outbox);
        if (reads % RUN_BLOCK == 0) {
            session_refresh(session); /* E5 */
        }
        pending = next;
    }
    if (reads != 0) {
        /* relaxed: figures with one writer */
        (void)atomic_fetch_add_explicit(&queue->reads, reads, memory_order_relaxed);
        /* relaxed: as above */
        (void)atomic_fetch_add_explicit(&queue->read_bytes, bytes,
                                        memory_order_relaxed);
    }
}

static void run_again(struct faster_session *session, struct pending_outbox *outbox) {
    struct pending_queue *queue = session->queue;
    struct pending_list again = queue->again;
    uint64_t tried = 0;
    queue->again = (struct pending_list){NULL, NULL};
    while (again.first != NULL) { /* ends with the list */
        struct faster_pending *pending = again.first;
        pending_list_remove(&again, pending);
        (void)advance(session, pending, outbox);
        if (++tried % RUN_BLOCK == 0) {
            session_refresh(session); /* E5 */
        }
    }
}

void pending_send(struct pending_outbox *outbox) {
    while (outbox->first != NULL) { /* ends with the list */
        struct faster_pending *pending = outbox->first;
        struct pending_queue *queue = pending->queue;
        outbox->first = pending->arrived_next;
        /* relaxed: the submission publishes it (device.h M1) */
        (void)atomic_fetch_add_explicit(&queue->refs, 1, memory_order_relaxed);
        fetch_submit(pending);
    }
}

/* --- api.h ------------------------------------------------------------------------ */

static int start_now(struct faster_session *session, const struct faster_operation *op,
                     void *out, uint64_t capacity, uint64_t *value_size) {
    switch (op->kind) {
    case FASTER_READ:
        return faster_read(session, op->key, op->key_size, out, capacity, value_size);
    case FASTER_UPSERT:
        return faster_upsert(session, op->key, op->key_size, op->value, op->value_size);
    case FASTER_INSERT:
        return faster_insert(session, op->key, op->key_size, op->value, op->value_size);
    case FASTER_DELETE:
        return faster_delete(session, op->key, op->key_size);
    case FASTER_DISCARD:
        return faster_discard(session, op->key, op->key_size);
    case FASTER_RMW:
        return faster_rmw(session, op->merge, op->key, op->key_size, op->value,
                          op->value_size, out, capacity, value_size);
    case FASTER_COMPARE:
        return faster_compare_and_set(session, op->key, op->key_size, op->expected,
                                      op->expected_size, op->value, op->value_size);
    default:
        return -EINVAL;
    }
}

static void wait_turn(struct faster_session *session, struct faster_pending *pending) {
    note_wait(session, pending);
    pending_list_add(&pending->queue->waiting, pending);
    pending_set_state(pending, PENDING_WAITING);
}

int pending_begin(struct faster_session *session,
                  const struct faster_operation *operation, bool hold,
                  struct pending_outbox *outbox, struct faster_pending **out) {
    struct pending_queue *queue = session->queue;
    struct faster_pending *pending;
    int error = pending_make(queue, operation, &pending);
    if (error != FASTER_OK) {
        return error;
    }
    pending->hold = hold;
    pending->batched = hold;
    tracing_begin(session, pending);
    if (!hold && !pending->reads && pending_defers(queue, pending->update.hash)) {
        wait_turn(session, pending);
    } else {
        (void)advance(session, pending, outbox);
    }
    *out = pending;
    return FASTER_OK;
}

void pending_release(struct faster_session *session, struct faster_pending *pending,
                     uint64_t limit, struct pending_outbox *outbox) {
    struct pending_queue *queue = session->queue;
    faster_assert(pending_state(pending) == PENDING_HELD);
    pending_list_remove(&queue->kept, pending);
    pending->hold = false;
    pending->out_limit = limit;
    if (pending_defers(queue, pending->update.hash)) {
        wait_turn(session, pending);
    } else {
        (void)advance(session, pending, outbox);
    }
}

int pending_begin_walk(struct faster_session *session,
                       const struct faster_operation *operation, uint64_t start,
                       uint64_t below, struct pending_outbox *outbox,
                       struct faster_pending **out) {
    struct pending_queue *queue = session->queue;
    struct faster_pending *pending;
    int error = pending_make(queue, operation, &pending);
    if (error != FASTER_OK) {
        return error;
    }
    pending->walks = true;
    pending->below = below;
    fly(session, pending, start, fetch_guess(queue), outbox);
    *out = pending;
    return FASTER_OK;
}

int faster_start(struct faster_session *session,
                 const struct faster_operation *operation, void *out, uint64_t capacity,
                 uint64_t *value_size, struct faster_pending **pending) {
    struct pending_outbox outbox = {NULL};
    int result = start_now(session, operation, out, capacity, value_size);
    if (result != FASTER_PENDING || session->queue == NULL) {
        return result;
    }
    if (pending_crowds(session)) {
        return FASTER_RETRY;
    }
    result = session_enter(session);
    if (result == FASTER_OK) {
        result = pending_begin(session, operation, false, &outbox, pending);
        session_leave(session);
        pending_send(&outbox);
    }
    return result == FASTER_OK ? FASTER_PENDING : result;
}

void pending_claim(struct pending_queue *queue, struct faster_pending *pending) {
    if (pending_state(pending) == PENDING_FINISHED && !pending->claimed) {
        pending_list_remove(&queue->finished, pending);
        pending_list_add(&queue->kept, pending);
    }
    pending->claimed = true;
}

int pending_run(struct faster_session *session, struct faster_pending *pending,
                bool *ready) {
    struct pending_queue *queue = session->queue;
    struct pending_outbox outbox = {NULL};
    int result = session_enter(session);
    if (result != FASTER_OK) {
        return result;
    }
    run_arrived(session, &outbox);
    run_again(session, &outbox);
    run_waiting(session, &outbox);
    bool pressed = queue->again.first != NULL ||
                   (queue->waiting.first != NULL && queue->flying.first == NULL);
    /* relaxed: a hint */
    atomic_store_explicit(&queue->pressed, pressed, memory_order_relaxed);
    if (pending != NULL) {
        pending_claim(queue, pending);
        *ready = pending_state(pending) >= PENDING_HELD;
    } else {
        *ready = queue->finished.first != NULL;
        result = !*ready && pending_count(queue) == 0 ? FASTER_NOT_FOUND : FASTER_OK;
    }
    session_leave(session);
    pending_send(&outbox);
    return result;
}

/* The owner may sleep, or watch a descriptor, for what the helper has just taken. */
static void tell_owner(struct pending_queue *queue, bool finished) {
    int64_t descriptor =
        atomic_load_explicit(&queue->notify, memory_order_acquire); /* M4 */
    if (finished && descriptor >= 0) {
        notify_send(descriptor);
    }
    if (finished &&
        atomic_exchange_explicit(&queue->sleeping, false, memory_order_seq_cst)) {
        wakeup_post(&queue->wakeup); /* M2, pending_rest */
    }
}

void pending_help(struct faster_session *session) {
    struct pending_queue *queue = session->queue;
    struct pending_outbox outbox = {NULL};
    if (pending_numbered(queue) == 0 || session_enter_helper(session) != FASTER_OK) {
        return;
    }
    run_arrived(session, &outbox);
    run_again(session, &outbox);
    /* Claimed ones too: their owner looks at the state. */
    bool finished = queue->finished.first != NULL || queue->kept.first != NULL;
    session_leave(session);
    pending_send(&outbox);
    tell_owner(queue, finished);
}

int faster_forget(struct faster_session *session, struct faster_pending *pending) {
    struct pending_queue *queue = pending->queue;
    int result = session_enter_soon(session);
    if (result != FASTER_OK) {
        return result;
    }
    if (pending_state(pending) >= PENDING_HELD) {
        if (pending_state(pending) == PENDING_HELD) {
            pending_count_by(queue, -1);
        }
        pending_claim(queue, pending);
        pending_list_remove(&queue->kept, pending);
        pending_drop(queue, pending);
    } else if (!pending->forgotten) {
        pending->forgotten = true;
        pending_count_by(queue, -1);
    }
    session_leave(session);
    return FASTER_OK;
}
