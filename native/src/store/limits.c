/* SPDX-License-Identifier: MIT */
/* limits.c: what may change while a store is open; tests/store/validate_limits.c */
#include "base/fork.h"
#include "base/memory.h"
#include "log/disk.h"
#include "store/store.h"

enum { PERMILLE = 1000 };

/* Under the lock, so that the store is not taken down meanwhile. */
static int enter_open(struct faster_kv *kv) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    lock_enter(&kv->lock);
    uint64_t state =
        atomic_load_explicit(&kv->state, memory_order_seq_cst); /* store.h M1 */
    if ((state & STATE_CLOSED) != 0) {
        lock_leave(&kv->lock);
        return FASTER_E_CLOSED;
    }
    return FASTER_OK;
}

uint64_t faster_kv_memory_most(struct faster_kv *kv) { return kv->log.range; }

int faster_kv_limit_memory(struct faster_kv *kv, uint64_t memory,
                           uint32_t index_permille) {
    if (kv->log.disk != NULL || index_permille == 0 || index_permille > PERMILLE) {
        return FASTER_E_CONFIG;
    }
    if (memory > faster_kv_memory_most(kv)) {
        return FASTER_E_FULL;
    }
    int error = enter_open(kv);
    if (error != FASTER_OK) {
        return error;
    }
    budget_allow(&kv->budget, memory);
    index_allow(&kv->index, kv_index_limit(memory, index_permille));
    lock_leave(&kv->lock);
    return FASTER_OK;
}

int faster_kv_limit_sessions(struct faster_kv *kv, uint32_t most) {
    if (most == 0 || most > KV_SESSIONS_MAX) {
        return FASTER_E_CONFIG;
    }
    int error = enter_open(kv);
    if (error != FASTER_OK) {
        return error;
    }
    kv->sessions_max = most;
    lock_leave(&kv->lock);
    return FASTER_OK;
}

int faster_kv_keep_mutable(struct faster_kv *kv, uint32_t permille) {
    if (permille == 0 || permille > PERMILLE) {
        return FASTER_E_CONFIG;
    }
    int error = enter_open(kv);
    if (error != FASTER_OK) {
        return error;
    }
    if (kv->log.disk != NULL) {
        disk_keep_mutable(&kv->log, permille);
    }
    lock_leave(&kv->lock);
    return FASTER_OK;
}
