/* SPDX-License-Identifier: MIT */
/* sessions.c: opening and closing a store's sessions */
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/pending.h"

static void link_session(struct faster_kv *kv, struct faster_session *session) {
    session->next = kv->sessions;
    if (kv->sessions != NULL) {
        kv->sessions->prev = session;
    }
    kv->sessions = session;
    kv->session_count++;
}

static void unlink_session(struct faster_kv *kv, struct faster_session *session) {
    if (session->prev != NULL) {
        session->prev->next = session->next;
    } else {
        kv->sessions = session->next;
    }
    if (session->next != NULL) {
        session->next->prev = session->prev;
    }
    kv->session_count--;
    if (session->queue != NULL) {
        /* relaxed: figures, both */
        kv->closed_reads +=
            atomic_load_explicit(&session->queue->reads, memory_order_relaxed);
        /* relaxed: as above */
        kv->closed_read_bytes +=
            atomic_load_explicit(&session->queue->read_bytes, memory_order_relaxed);
    }
    for (int i = 0; i < COUNT_KINDS; i++) {
        /* relaxed: a figure */
        kv->closed_counts[i] +=
            atomic_load_explicit(&session->counts[i], memory_order_relaxed);
    }
}

/* Under the lock: a place among the sessions of an open store. */
static int take_place(struct faster_kv *kv, struct faster_session *session) {
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    if ((state & STATE_CLOSED) != 0) {
        return FASTER_E_CLOSED;
    }
    if (kv->session_count >= kv->sessions_max) {
        return FASTER_E_SESSIONS;
    }
    return epoch_slot_take(&kv->epoch, &session->slot);
}

static void free_session(struct faster_session *session) {
    if (session->queue != NULL) {
        pending_queue_leave(session->queue);
    }
    free(session->scratch);
    memory_lines_free(session);
}

int faster_session_open(struct faster_kv *kv, struct faster_session **out) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    struct faster_session *session = memory_lines_new(sizeof *session);
    if (session == NULL) {
        return -ENOMEM;
    }
    memset((void *)session, 0, sizeof *session);
    session->kv = kv;
    session->epoch = &kv->epoch;
    session->log = &kv->log;
    session->state = &kv->state;
    session->generation = kv->generation;
    int error = kv->log.disk != NULL ? pending_queue_new(kv, &session->queue) : 0;
    if (error != FASTER_OK) {
        memory_lines_free(session);
        return error;
    }
    lock_enter(&kv->lock);
    error = take_place(kv, session);
    if (error == FASTER_OK) {
        link_session(kv, session);
    }
    lock_leave(&kv->lock);
    if (error != FASTER_OK) {
        free_session(session);
        return error;
    }
    *out = session;
    return FASTER_OK;
}

/* Mark closed, from inside, so that nobody is or gets in (session.h M3).  The store may
 * be closed already: then only the mark is left to make. */
int faster_session_close(struct faster_session *session) {
    struct faster_kv *kv = session->kv;
    if (session->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if (atomic_load_explicit(&session->closed,
                             memory_order_seq_cst)) { /* session.h M3 */
        return FASTER_OK;
    }
    int result = epoch_enter(session->epoch, session->slot);
    if (result != FASTER_OK) {
        return result;
    }
    bool was_closed = atomic_exchange_explicit(&session->closed, true,
                                               memory_order_seq_cst); /* session.h M3 */
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    if (!was_closed && (state & STATE_CLOSED) == 0) {
        index_settle(&kv->index, &session->tally); /* the index waits for our slot */
    }
    epoch_leave(session->epoch, session->slot);
    if (!was_closed) {
        lock_enter(&kv->lock);
        unlink_session(kv, session);
        epoch_slot_give(session->slot); /* with the count, or an opener finds none */
        lock_leave(&kv->lock);
    }
    return FASTER_OK;
}

void faster_session_free(struct faster_session *session) {
    if (session->generation != fork_generation()) {
        return; /* P4 */
    }
    if (faster_session_close(session) != FASTER_OK) {
        return; /* somebody is inside */
    }
    free_session(session);
}
