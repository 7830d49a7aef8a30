/* SPDX-License-Identifier: MIT */
/* session.c: see session.h */
#include "session/session.h"

#include <errno.h>
#include <stdlib.h>

#include "base/thread.h"
#include "faster/api.h"

/* Yields before a wait becomes a short sleep: by then the other thread is not
 * running. */
enum { WAIT_YIELDS = 32, WAIT_PAUSE_US = 50 };

void session_switch(struct faster_session *session, uint64_t state) {
    uint32_t version = state_version(state);
    uint32_t phase = state_phase(state);
    if (version != session->version) { /* C1: also over several versions at once */
        /* relaxed: one writer */
        uint64_t serial = atomic_load_explicit(&session->serial, memory_order_relaxed);
        atomic_store_explicit(&session->committed, serial,
                              memory_order_release); /* M4 */
        atomic_store_explicit(&session->current, version,
                              memory_order_release); /* M4 */
        session->version = version;
    }
    session->seen = state;
    session->stamps = phase < FASTER_PHASE_PREPARE;
    session->watches = phase == FASTER_PHASE_PREPARE;
    session->new_from = 0;
    if (phase > FASTER_PHASE_PREPARE) {
        session->new_from = atomic_load_explicit(session->fuzzy_start,
                                                 memory_order_acquire); /* store.h M2 */
    }
}

int session_again(struct faster_session *session) {
    session_count(session, COUNT_RETRY);
    session_refresh(session);
    if (session->scratch_need > session->scratch_size) {
        uint8_t *larger = realloc(session->scratch, (size_t)session->scratch_need);
        if (larger == NULL) {
            return -ENOMEM;
        }
        session->scratch = larger;
        session->scratch_size = session->scratch_need;
        /* relaxed: a figure */
        atomic_store_explicit(&session->held, session->scratch_size,
                              memory_order_relaxed);
        return FASTER_OK;
    }
    cpu_relax();
    return FASTER_OK;
}

int session_enter_soon(struct faster_session *session) {
    int result = session_enter(session);
    while (result == FASTER_RETRY) { /* ends: a helper never waits inside (E4) */
        faster_session_wait(session);
        result = session_enter(session);
    }
    return result;
}

uint64_t faster_session_serial(const struct faster_session *session) {
    return atomic_load_explicit(&session->serial, memory_order_acquire); /* M2 */
}

void faster_session_wait(struct faster_session *session) {
    if (session->generation != fork_generation()) {
        return;
    }
    /* relaxed: a count of this session's waits, guarding nothing */
    uint32_t waits =
        atomic_fetch_add_explicit(&session->waits, 1, memory_order_relaxed);
    if ((waits + 1) % WAIT_YIELDS != 0) {
        thread_yield();
    } else {
        thread_pause_us(WAIT_PAUSE_US);
    }
}
