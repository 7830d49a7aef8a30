/* SPDX-License-Identifier: MIT */
/*
 * batch_window.c: the items of a batch that need the device, see batch.h
 *
 * A window runs over the items: behind its front, reads are begun, a group at a time;
 * at its back, results are given in item order.  So many reads are in flight, and the
 * results of a varlen batch can still be appended.  Reads take their value whenever it
 * comes.  Updates only fetch what they need ahead of time and are made at the back, one
 * after the other: an item that fails leaves those behind it undone (batch.h I2).
 */
#include <errno.h>

#include "base/memory.h"
#include "store/batch.h"

enum {
    /* Items in flight at most: several times what a device works on at once, so that it
     * never waits for us. */
    WINDOW = 512,
    GROUP = 32,
    /* So many items without the device end the window: the pipeline is faster. */
    QUIET = 2 * WINDOW,
    REST_MS = 100,
    /* The part of the budget for items in flight, and about what one of them takes. */
    BUDGET_SHARE = 8,
    IN_FLIGHT_BYTES = 2 << 10
};

static_assert(WINDOW % GROUP == 0 && QUIET > WINDOW, "whole groups; a window is quiet");

struct window {
    struct faster_session *session;
    struct faster_kv *kv;
    const struct batch *batch;
    uint64_t depth; /* items in flight at most */
    uint64_t back;  /* next item to give */
    uint64_t front; /* next item to begin */
    uint64_t last;  /* the item that last needed the device */
    uint64_t hits;
    uint64_t misses;
    struct pending_outbox outbox;

    /* of items back ... front; NULL for one that is done or needs nothing */
    struct faster_pending *slots[WINDOW];
};

static struct faster_operation describe(const struct batch *batch, uint64_t i) {
    static const uint8_t kinds[] = {
        [UPDATE_UPSERT] = FASTER_UPSERT,
        [UPDATE_DELETE] = FASTER_DELETE,
        [UPDATE_RMW] = FASTER_RMW,
    };
    struct faster_operation operation = {
        .kind = batch->reads ? FASTER_READ : kinds[batch->kind],
        .flags = FASTER_CLAIMED,
        .key = item_at(batch->keys, i),
        .key_size = item_size(batch->keys, i),
        .merge = batch->merge,
        .context = i,
    };
    if (batch->values != NULL) {
        operation.value = item_at(batch->values, i);
        operation.value_size = item_size(batch->values, i);
    }
    return operation;
}

/* A read whose row has its place: FASTER_PENDING when memory does not have it. */
static int read_row(struct window *window, uint64_t i, uint64_t hash) {
    struct faster_kv *kv = window->kv;
    const struct batch *batch = window->batch;
    const struct faster_results *results = batch->results;
    uint64_t width = kv->layout.value_size;
    uint64_t size;
    struct found found;
    int result = find_record(window->session, hash, item_at(batch->keys, i),
                             item_size(batch->keys, i), &found);
    if (result == FASTER_OK) {
        kv_note_read(window->session, &found);
        result = record_read_value(&kv->layout, found.record, results->data + i * width,
                                   width, &size);
    }
    if (result != FASTER_OK && result != FASTER_NOT_FOUND) {
        return FASTER_PENDING; /* also one that met somebody: as an object it waits */
    }
    note_result(kv, results, i, width, result == FASTER_OK);
    window->hits += result == FASTER_OK;
    window->misses += result != FASTER_OK;
    return FASTER_OK;
}

/* Whether an update must fetch something before it can be made. */
static bool must_fetch(struct window *window, uint64_t i, uint64_t hash) {
    const struct batch *batch = window->batch;
    struct found found;
    return batch->kind != UPDATE_UPSERT &&
           find_record(window->session, hash, item_at(batch->keys, i),
                       item_size(batch->keys, i), &found) == FASTER_PENDING;
}

/* Begin item i, inside the slot. */
static int begin_item(struct window *window, uint64_t i, uint64_t hash) {
    const struct batch *batch = window->batch;
    struct faster_pending **slot = &window->slots[i % WINDOW];
    *slot = NULL;
    bool direct = batch->reads && window->kv->layout.fixed;
    if (direct && read_row(window, i, hash) == FASTER_OK) {
        return FASTER_OK;
    }
    if (!batch->reads && !must_fetch(window, i, hash)) {
        return FASTER_OK;
    }
    struct faster_operation operation = describe(batch, i);
    int result = pending_begin(window->session, &operation, !batch->reads,
                               &window->outbox, slot);
    if (result == FASTER_OK && pending_state(*slot) < PENDING_HELD) {
        window->last = i;
    }
    return result;
}

/* Begin a group: buckets come near first, as in the pipeline. */
static int begin_group(struct window *window) {
    struct faster_session *session = window->session;
    const struct batch *batch = window->batch;
    uint64_t hashes[GROUP];
    uint64_t end = window->front + GROUP;
    end = end < batch->count ? end : batch->count;
    int result = session_enter(session);
    if (result != FASTER_OK) {
        return result;
    }
    struct index_table *table = index_current(&window->kv->index);
    uint64_t first = window->front;
    for (uint64_t i = first; i < end; i++) {
        uint64_t hash =
            kv_hash(window->kv, item_at(batch->keys, i), item_size(batch->keys, i));
        faster_prefetch(index_bucket_hint(table, hash));
        hashes[i - first] = hash;
    }
    for (uint64_t i = first; i < end && result == FASTER_OK; i++) {
        result = begin_item(window, i, hashes[i - first]);
        window->front += result == FASTER_OK;
    }
    session_leave(session);
    pending_send(&window->outbox);
    return result;
}

/* Wait until the operation of a slot is finished or held. */
static int wait_slot(struct window *window, struct faster_pending *pending) {
    bool ready = false;
    for (;;) { /* ends: the device completes what it accepted (device.h V2) */
        int result = pending_run(window->session, pending, &ready);
        if (ready || (result != FASTER_OK && result != FASTER_RETRY)) {
            return ready ? FASTER_OK : result;
        }
        pending_rest(window->session, REST_MS);
    }
}

/* Put a finished item's result into its place.  FASTER_SHORT when there is no room. */
static int give(struct window *window, uint64_t i,
                const struct faster_pending *pending) {
    struct faster_kv *kv = window->kv;
    const struct faster_results *results = window->batch->results;
    bool present = pending->status == FASTER_OK;
    uint64_t size = present ? pending->value_size : 0;
    if (pending->status < 0 || pending->status == FASTER_SHORT) {
        return pending->status;
    }
    if (results == NULL) {
        return FASTER_OK;
    }
    if (window->batch->reads && !kv->layout.fixed && size > room_left(results, i)) {
        return FASTER_SHORT;
    }
    if (present && results->data != NULL && pending->value != NULL) {
        bool fixed = kv->layout.fixed;
        if (!fixed && size > room_left(results, i)) {
            return FASTER_SHORT;
        }
        uint64_t at = fixed ? i * kv->layout.value_size : results->offsets[i];
        memcpy(results->data + at, pending->value, (size_t)size);
    }
    note_result(kv, results, i, results->data != NULL ? size : 0, present);
    return FASTER_OK;
}

/* Make an update, now that everything before it is made. */
static int make_update(struct window *window, uint64_t i,
                       struct faster_pending **pending) {
    struct faster_session *session = window->session;
    const struct faster_results *results = window->batch->results;
    bool bounded =
        !window->kv->layout.fixed && results != NULL && results->data != NULL;
    uint64_t limit = bounded ? room_left(results, i) : UINT64_MAX;
    int result = session_enter_soon(session);
    if (result != FASTER_OK) {
        return result;
    }
    if (*pending == NULL) {
        struct faster_operation operation = describe(window->batch, i);
        result = pending_begin(session, &operation, true, &window->outbox, pending);
    }
    if (result == FASTER_OK && pending_state(*pending) == PENDING_HELD) {
        pending_release(session, *pending, limit, &window->outbox);
    }
    session_leave(session);
    pending_send(&window->outbox);
    return result;
}

/* What a held update needs may leave memory before it is released; then it is not
 * finished at once. */
static int finish_update(struct window *window, uint64_t i,
                         struct faster_pending **pending) {
    int result = FASTER_OK;
    while (result == FASTER_OK &&
           (*pending == NULL || pending_state(*pending) != PENDING_FINISHED)) {
        /* ends: as wait_slot */
        if (*pending != NULL) {
            result = wait_slot(window, *pending);
        }
        if (result == FASTER_OK &&
            (*pending == NULL || pending_state(*pending) == PENDING_HELD)) {
            result = make_update(window, i, pending);
        }
    }
    return result;
}

/* Give the item at the back. */
static int finish_item(struct window *window) {
    uint64_t i = window->back;
    struct faster_pending **slot = &window->slots[i % WINDOW];
    int result = FASTER_OK;
    if (!window->batch->reads) {
        result = finish_update(window, i, slot);
    } else if (*slot != NULL && pending_state(*slot) != PENDING_FINISHED) {
        result = wait_slot(window, *slot);
    }
    if (result != FASTER_OK) {
        return result;
    }
    if (*slot != NULL) {
        result = give(window, i, *slot);
        if (result != FASTER_OK) {
            return result;
        }
        (void)faster_forget(window->session, *slot);
        *slot = NULL;
    }
    window->back++;
    return FASTER_OK;
}

/* What was begun and not given ends unseen. */
static void abandon(struct window *window) {
    for (uint64_t i = window->back; i < window->front; i++) {
        struct faster_pending *pending = window->slots[i % WINDOW];
        if (pending != NULL) {
            (void)faster_forget(window->session, pending);
        }
    }
}

static int run_window(struct window *window) {
    uint64_t count = window->batch->count;
    int result = FASTER_OK;
    while (result == FASTER_OK && window->back < count) {
        bool room = window->front < count &&
                    window->front - window->back <= window->depth - GROUP &&
                    window->front - window->last < QUIET;
        if (room) {
            result = begin_group(window);
            if (result == FASTER_RETRY) {
                faster_session_wait(window->session);
                result = FASTER_OK;
            }
        } else if (window->back == window->front) {
            break; /* quiet: the pipeline goes on */
        } else {
            result = finish_item(window);
        }
    }
    return result;
}

/* What is in flight counts against the budget and cannot wait for it: so a small budget
 * gets a small window. */
static uint64_t depth_for(struct budget *budget) {
    uint64_t share = budget_limit(budget) / BUDGET_SHARE / IN_FLIGHT_BYTES;
    uint64_t depth = share < WINDOW ? share & ~(uint64_t)(GROUP - 1) : WINDOW;
    return depth > GROUP ? depth : GROUP;
}

int batch_run_window(struct faster_session *session, const struct batch *batch,
                     uint64_t *done) {
    struct window *window = memory_lines_new(sizeof *window);
    if (window == NULL) {
        return -ENOMEM;
    }
    memset(window, 0, sizeof *window);
    window->session = session;
    window->kv = session->kv;
    window->batch = batch;
    window->depth = depth_for(&session->kv->budget);
    window->back = window->front = window->last = *done;
    int result = run_window(window);
    abandon(window);
    if (session_enter_soon(session) == FASTER_OK) {
        session_count_by(session, COUNT_READ_HIT, window->hits);
        session_count_by(session, COUNT_READ_MISS, window->misses);
        session_leave(session);
    }
    *done = window->back;
    memory_lines_free(window);
    return result;
}
