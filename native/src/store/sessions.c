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

/* Under the lock: room for what a capture will need of the session once it is closed,
 * so that closing cannot fail. */
static int reserve_departed(struct faster_kv *kv) {
    uint64_t needed = kv->departed_count + kv->named_count + 1;
    if (needed <= kv->departed_capacity) {
        return FASTER_OK;
    }
    uint64_t capacity = 2 * needed;
    struct departed *larger =
        realloc(kv->departed, (size_t)(capacity * sizeof *kv->departed));
    if (larger == NULL) {
        return -ENOMEM;
    }
    kv->departed = larger;
    kv->departed_capacity = capacity;
    return FASTER_OK;
}

static struct departed *find_departed(const struct faster_kv *kv, uint64_t id) {
    for (uint64_t i = 0; i < kv->departed_count; i++) {
        if (kv->departed[i].id == id) {
            return &kv->departed[i];
        }
    }
    return NULL;
}

static void remove_departed(struct faster_kv *kv, struct departed *one) {
    *one = kv->departed[--kv->departed_count];
}

static bool is_open(const struct faster_kv *kv, uint64_t id) {
    for (const struct faster_session *s = kv->sessions; s != NULL; s = s->next) {
        if (s->id == id) {
            return true;
        }
    }
    return false;
}

/* Under the lock: a session begins in the store's version (C5), where it, or the one of
 * its name before it, stood. */
static int begin_session(struct faster_kv *kv, struct faster_session *session,
                         uint64_t serial) {
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    uint64_t committed = serial;
    session->version = state_version(state);
    if (session->id != 0) {
        if (is_open(kv, session->id)) {
            return FASTER_E_BUSY;
        }
        int error = reserve_departed(kv);
        if (error != FASTER_OK) {
            return error;
        }
        struct departed *before = find_departed(kv, session->id);
        if (before != NULL) {
            serial = before->serial;
            committed = before->version == session->version ? before->committed
                                                            : before->serial;
            remove_departed(kv, before);
        }
        kv->named_count++;
    }
    atomic_init(&session->serial, serial);
    atomic_init(&session->committed, committed);
    atomic_init(&session->current, session->version);
    session->seen = STATE_CLOSED; /* no open store's word: the first entry looks */
    return FASTER_OK;
}

/* Inside the slot: the last update that a closed session has made.  Those that are on
 * their way end with it, so none of them nor behind them may count (C5). */
static uint64_t last_made(struct faster_session *session) {
    uint64_t lost = session->queue != NULL ? pending_first(session->queue) : 0;
    return lost != 0 ? lost - 1 : faster_session_serial(session);
}

/* Under the lock: keep what later captures need (C5). */
static void depart(struct faster_kv *kv, struct faster_session *session,
                   uint64_t last) {
    struct departed *one = &kv->departed[kv->departed_count++];
    kv->named_count--;
    *one = (struct departed){
        .id = session->id,
        .serial = last,
        /* relaxed, both: nobody is or gets in */
        .committed = atomic_load_explicit(&session->committed, memory_order_relaxed),
        /* relaxed: as above */
        .version = atomic_load_explicit(&session->current, memory_order_relaxed),
    };
}

static void free_session(struct faster_session *session) {
    if (session->queue != NULL) {
        pending_queue_leave(session->queue);
    }
    free(session->scratch);
    memory_lines_free(session);
}

static int open_session(struct faster_kv *kv, uint64_t id, uint64_t serial,
                        struct faster_session **out) {
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
    session->fuzzy_start = &kv->fuzzy_start;
    session->id = id;
    session->generation = kv->generation;
    int error = kv->log.disk != NULL ? pending_queue_new(kv, &session->queue) : 0;
    if (error != FASTER_OK) {
        memory_lines_free(session);
        return error;
    }
    lock_enter(&kv->lock);
    error = take_place(kv, session);
    if (error == FASTER_OK) {
        error = begin_session(kv, session, serial);
        if (error == FASTER_OK) {
            link_session(kv, session);
        } else {
            epoch_slot_give(session->slot);
        }
    }
    lock_leave(&kv->lock);
    if (error != FASTER_OK) {
        free_session(session);
        return error;
    }
    *out = session;
    return FASTER_OK;
}

int faster_session_open(struct faster_kv *kv, struct faster_session **out) {
    return open_session(kv, 0, 0, out);
}

int faster_session_resume(struct faster_kv *kv, uint64_t id, uint64_t serial,
                          struct faster_session **out) {
    return id != 0 ? open_session(kv, id, serial, out) : -EINVAL;
}

int faster_session_forget(struct faster_kv *kv, uint64_t id) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    lock_enter(&kv->lock);
    struct departed *found = find_departed(kv, id);
    int result = found != NULL     ? FASTER_OK
                 : is_open(kv, id) ? FASTER_E_BUSY
                                   : FASTER_NOT_FOUND;
    if (found != NULL) {
        remove_departed(kv, found);
    }
    lock_leave(&kv->lock);
    return result;
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
    while (result == FASTER_RETRY) { /* ends: a helper is inside for one step */
        thread_yield();
        result = epoch_enter(session->epoch, session->slot);
    }
    if (result != FASTER_OK) {
        return result;
    }
    bool was_closed = atomic_exchange_explicit(&session->closed, true,
                                               memory_order_seq_cst); /* session.h M3 */
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    if (!was_closed && (state & STATE_CLOSED) == 0) {
        index_settle(&kv->index, &session->tally); /* the index waits for our slot */
    }
    uint64_t last = last_made(session);
    epoch_leave(session->epoch, session->slot);
    if (!was_closed) {
        lock_enter(&kv->lock);
        unlink_session(kv, session);
        if (session->id != 0) {
            depart(kv, session, last);
        }
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
