/* SPDX-License-Identifier: MIT */
/*
 * torture.h: what the torture tests of the store share beyond kit.h
 */
#ifndef TESTS_STORE_TORTURE_H
#define TESTS_STORE_TORTURE_H

#include "store/kit.h"

/* The worker sees a growth to its end when nobody inserts; the old table has then been
 * given back. */
static inline void torture_grown(struct faster_session *session) {
    struct index *index = &session->kv->index;
    while (atomic_load_explicit(&index->growing, memory_order_acquire)) {
        faster_session_wait(session);
    }
}

/* After the threads have ended: the index holds together, and the store closes. */
static inline void torture_close(struct faster_kv *kv, struct faster_session *session) {
    torture_grown(session);
    CHECK_INT(index_audit(&kv->index), 0);
    kit_close(kv, session);
}

#endif
