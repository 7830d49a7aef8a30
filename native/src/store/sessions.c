/* SPDX-License-Identifier: MIT */
/* sessions.c: opening and closing a store's sessions */
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "store/pending.h"
#include "store/timing.h"

enum { ORPHAN_PAUSE_US = 100 }; /* between two looks at what the device has done */

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
        pending_add_figures(session->queue, &kv->closed_figures);
    }
    for (int i = 0; i < COUNT_KINDS; i++) {
        /* relaxed: a figure */
        kv->closed_counts[i] +=
            atomic_load_explicit(&session->counts[i], memory_order_relaxed);
    }
}

/* A hint: whether sessions are left whose handles are gone. */
static bool has_orphans(struct faster_kv *kv) {
    /* relaxed: who needs to know has the lock, and looks at each */
    return atomic_load_explicit(&kv->orphans, memory_order_relaxed) != 0;
}

/* Under the lock: a place among the sessions of an open store. */
static int take_place(struct faster_kv *kv, struct faster_session *session) {
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    if ((state & STATE_CLOSED) != 0) {
        return FASTER_E_CLOSED;
    }
    if (kv->session_count >= kv->sessions_max) {
        return has_orphans(kv) ? FASTER_E_BUSY : FASTER_E_SESSIONS;
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

/* The session of this id that is open, or an orphan (session.h M5). */
static struct faster_session *find_open(const struct faster_kv *kv, uint64_t id) {
    struct faster_session *session = kv->sessions;
    while (session != NULL && session->id != id) { /* ends with the list */
        session = session->next;
    }
    return session;
}

/* Under the lock: a session begins in the store's version (C5), where it, or the one of
 * its name before it, stood. */
static int begin_session(struct faster_kv *kv, struct faster_session *session,
                         uint64_t serial) {
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    uint64_t committed = serial;
    session->version = state_version(state);
    if (session->id != 0) {
        if (find_open(kv, session->id) != NULL) {
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

/* Under the lock: keep what later captures need (C5). */
static void depart(struct faster_kv *kv, struct faster_session *session) {
    struct departed *one = &kv->departed[kv->departed_count++];
    kv->named_count--;
    *one = (struct departed){
        .id = session->id,
        .serial = faster_session_serial(session),
        /* relaxed, both: nobody is or gets in */
        .committed = atomic_load_explicit(&session->committed, memory_order_relaxed),
        /* relaxed: as above */
        .version = atomic_load_explicit(&session->current, memory_order_relaxed),
    };
}

/* Under the lock: take a session that was ended off the list. */
static void leave_store(struct faster_kv *kv, struct faster_session *session) {
    unlink_session(kv, session);
    if (session->id != 0) {
        depart(kv, session);
    }
    epoch_slot_give(session->slot); /* with the count, or an opener finds none */
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
    (void)sessions_drain_orphans(kv, 0);
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
    session->ticks = timing_ticks(kv);
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

/* Under the lock: the orphan's commit point is not kept. */
static void forget_orphan(struct faster_kv *kv, struct faster_session *orphan) {
    orphan->id = 0;
    kv->named_count--;
}

int faster_session_forget(struct faster_kv *kv, uint64_t id) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    int result = FASTER_OK;
    lock_enter(&kv->lock);
    struct departed *found = find_departed(kv, id);
    struct faster_session *open = find_open(kv, id);
    if (found != NULL) {
        remove_departed(kv, found);
    } else if (open == NULL) {
        result = FASTER_NOT_FOUND;
    } else if (session_is_orphan(open)) {
        forget_orphan(kv, open);
    } else {
        result = FASTER_E_BUSY;
    }
    lock_leave(&kv->lock);
    return result;
}

/* --- closing ---------------------------------------------------------------------- */

/* Inside the slot: mark closed, so that nobody is or gets in (session.h M3).  An update
 * that has its serial number is done first (C5), unless the store has ended: then only
 * the mark is left to make.  FASTER_OK: it has to leave the store; FASTER_NOT_FOUND: it
 * was closed; FASTER_PENDING: such updates are left. */
static int end_session(struct faster_session *session) {
    struct faster_kv *kv = session->kv;
    uint64_t state = atomic_load_explicit(&kv->state, memory_order_seq_cst); /* M1 */
    if (session_is_closed(session)) {
        return FASTER_NOT_FOUND;
    }
    if ((state & STATE_CLOSED) == 0) {
        if (session->queue != NULL && pending_numbered(session->queue) != 0) {
            return FASTER_PENDING;
        }
        index_settle(&kv->index, &session->tally); /* the index waits for our slot */
    }
    atomic_store_explicit(&session->closed, true,
                          memory_order_seq_cst); /* session.h M3 */
    return FASTER_OK;
}

int faster_session_close(struct faster_session *session) {
    struct faster_kv *kv = session->kv;
    if (session->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if (session_is_closed(session)) {
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
    result = end_session(session);
    epoch_leave(session->epoch, session->slot);
    if (result == FASTER_OK) {
        lock_enter(&kv->lock);
        leave_store(kv, session);
        lock_leave(&kv->lock);
    }
    return result == FASTER_NOT_FOUND ? FASTER_OK : result;
}

/* Under the lock: end a session whose handle is gone, unless it has to stay. */
static bool end_orphan(struct faster_kv *kv, struct faster_session *orphan) {
    if (epoch_enter(orphan->epoch, orphan->slot) != FASTER_OK) {
        return false; /* misuse: a thread is inside a session that was freed */
    }
    int result = end_session(orphan);
    epoch_leave(orphan->epoch, orphan->slot);
    if (result != FASTER_OK) {
        return false;
    }
    leave_store(kv, orphan);
    free_session(orphan);
    /* relaxed: a hint */
    (void)atomic_fetch_sub_explicit(&kv->orphans, 1, memory_order_relaxed);
    return true;
}

bool sessions_end_orphans(struct faster_kv *kv, bool help) {
    struct faster_session *session = has_orphans(kv) ? kv->sessions : NULL;
    bool left = false;
    while (session != NULL) { /* ends with the list */
        struct faster_session *next = session->next;
        if (session_is_orphan(session)) {
            if (help && session->queue != NULL) {
                pending_help(session);
            }
            left = !end_orphan(kv, session) || left;
        }
        session = next;
    }
    return left;
}

static void poll_device(struct faster_kv *kv) {
    if (kv->log.disk != NULL && disk_enter_device(&kv->log) == FASTER_OK) {
        (void)device_poll(disk_device(&kv->log)); /* device.h V10 */
        disk_leave_device(&kv->log);
    }
}

bool sessions_drain_orphans(struct faster_kv *kv, uint64_t deadline) {
    bool left = has_orphans(kv);
    while (left) { /* ends at the deadline */
        poll_device(kv);
        lock_enter(&kv->lock);
        left = sessions_end_orphans(kv, true);
        lock_leave(&kv->lock);
        if (left && clock_ms() >= deadline) {
            break;
        }
        if (left) {
            thread_pause_us(ORPHAN_PAUSE_US);
        }
    }
    return left;
}

int faster_kv_drain(struct faster_kv *kv, uint32_t timeout_ms) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    return sessions_drain_orphans(kv, clock_ms() + timeout_ms) ? FASTER_E_TIMEOUT
                                                               : FASTER_OK;
}

void sessions_free_orphans(struct faster_kv *kv) {
    lock_enter(&kv->lock);
    (void)sessions_end_orphans(kv, false);
    lock_leave(&kv->lock);
}

/* Somebody may have the lock who waits for the caller, so nobody is waited for. */
void faster_session_free(struct faster_session *session) {
    struct faster_kv *kv = session->kv;
    if (session->generation != fork_generation()) {
        return; /* P4 */
    }
    if (session_is_closed(session)) {
        free_session(session);
        return;
    }
    (void)faster_session_notify(session, -1);
    /* relaxed: a hint */
    (void)atomic_fetch_add_explicit(&kv->orphans, 1, memory_order_relaxed);
    atomic_store_explicit(&session->orphan, true,
                          memory_order_release); /* session.h M5 */
    if (lock_try(&kv->lock)) {
        (void)sessions_end_orphans(kv, false);
        lock_leave(&kv->lock);
    }
}
