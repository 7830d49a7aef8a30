/* SPDX-License-Identifier: MIT */
/* tracing.c: see tracing.h */
#include "store/tracing.h"

#include "log/figures.h"
#include "store/timing.h"

/* A session's word: the number of a timed operation that has to wait, and its kind;
 * 0 for none. */
enum { KIND_BITS = 8 };

static uint64_t word_of(uint64_t number, uint32_t operation) {
    return number << KIND_BITS | operation;
}

static bool goes_on(int result) {
    return result == FASTER_RETRY || result == FASTER_SHORT;
}

void tracing_timed(struct faster_session *session, uint32_t operation, int result,
                   uint64_t begun) {
    struct faster_kv *kv = session->kv;
    if (!events_wanted(&kv->events) || goes_on(result)) {
        return;
    }
    /* relaxed: a counter */
    uint64_t number =
        atomic_fetch_add_explicit(&kv->timing.traced, 1, memory_order_relaxed) + 1;
    const uint64_t words[FASTER_EVENT_WORDS] = {operation, number};
    bool waits = result == FASTER_PENDING;
    /* relaxed: the session's own word */
    atomic_store_explicit(&session->traced, waits ? word_of(number, operation) : 0,
                          memory_order_relaxed);
    events_tell(&kv->events, FASTER_EVENT_OPERATION, result, begun, words);
}

/* Whether this is one in so many. */
static bool is_due(struct faster_session *session) {
    uint32_t every = timing_every(session->kv);
    return every != 0 && ++session->untraced % every == 0;
}

void tracing_begin(struct faster_session *session, struct faster_pending *pending) {
    if (!events_wanted(&session->kv->events)) {
        return;
    }
    /* relaxed: the session's own word */
    uint64_t word = atomic_load_explicit(&session->traced, memory_order_relaxed);
    uint64_t number = word >> KIND_BITS;
    if (number != 0 && word == word_of(number, pending_kind(pending))) {
        pending->traced = true;
        pending->number = number;
        /* relaxed: as above */
        atomic_store_explicit(&session->traced, 0, memory_order_relaxed);
    } else {
        pending->traced = is_due(session);
    }
}

void tracing_end(struct faster_session *session, const struct faster_pending *pending) {
    struct events *events = &session->kv->events;
    if (pending->traced && pending->waited && !goes_on(pending->status) &&
        events_wanted(events)) {
        const uint64_t words[FASTER_EVENT_WORDS] = {
            pending_kind(pending), pending->number, pending->device_reads};
        events_tell(events, FASTER_EVENT_PENDING_COMPLETED, pending->status,
                    pending->begun, words);
    }
}

void tracing_read_failed(struct faster_session *session, struct faster_pending *pending,
                         int status, bool again) {
    pending->read_failed = again ? status : FASTER_OK;
    if (!again) {
        figures_gave_up(&session->kv->events, FASTER_EVENT_READ, status,
                        pending->read_from, pending->read_from + pending->read_size);
    }
}

void tracing_read_done(struct faster_session *session, struct faster_pending *pending) {
    int status = pending->read_failed;
    pending->read_failed = FASTER_OK;
    if (status != FASTER_OK && events_wanted(&session->kv->events)) {
        /* A read is made twice at most. */
        const uint64_t words[FASTER_EVENT_WORDS] = {FASTER_EVENT_READ, 2};
        events_tell(&session->kv->events, FASTER_EVENT_DEVICE_RETRIED, status,
                    pending->begun, words);
    }
}
