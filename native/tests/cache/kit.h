/* SPDX-License-Identifier: MIT */
/*
 * kit.h: stores with a device in memory and a read cache, and reads that may wait
 */
#ifndef TESTS_CACHE_KIT_H
#define TESTS_CACHE_KIT_H

#include "store/kit.h"
#include "store/pending.h"

enum {
    CACHED_PAGE = 4096,      /* of the log */
    CACHED_BYTES = 64 << 10, /* the smallest cache */
    CACHED_MEMORY = 1 << 20,
    CACHED_WAIT_MS = 60000 /* ends what hangs */
};

/* A store over a device in memory, which the store closes.  One is open at a time. */
static inline struct faster_kv *cached_open(struct faster_kv_config *config) {
    static struct faster_device device; /* outlives the call */
    CHECK_INT(device_open_memory(1 << 16, 0, &device), FASTER_OK);
    config->device = &device;
    return kit_open_config(config);
}

static inline struct faster_kv_config cached_config(enum kit_kind kind) {
    struct faster_kv_config config = kit_config(kind);
    config.page_size = CACHED_PAGE;
    config.memory = CACHED_MEMORY;
    config.read_cache = CACHED_BYTES;
    config.store_id = 7;
    return config;
}

static inline void cached_close(struct faster_kv *kv, struct faster_session *session) {
    faster_session_free(session);
    CHECK_INT(faster_kv_close(kv, CACHED_WAIT_MS), FASTER_OK);
    faster_kv_free(kv);
}

/* Write all that is in memory, and let it leave. */
static inline void cached_evict(struct faster_kv *kv) {
    CHECK_INT(faster_kv_evict(kv, CACHED_WAIT_MS), FASTER_OK);
}

/* Do an operation to its end.  *waited: whether the device was asked. */
static inline int cached_do(struct faster_session *session,
                            const struct faster_operation *operation,
                            struct kit_bytes *out, bool *waited) {
    struct faster_pending *pending;
    struct faster_result ended;
    int result;
    KIT_RETRY(session, result,
              faster_start(session, operation, out->data, sizeof out->data, &out->size,
                           &pending));
    *waited = result == FASTER_PENDING;
    if (!*waited) {
        return result;
    }
    CHECK_INT(faster_wait(session, pending, CACHED_WAIT_MS), FASTER_OK);
    faster_result_of(pending, &ended);
    CHECK(ended.value_size <= sizeof out->data, "%" PRIu64, ended.value_size);
    out->size = ended.value_size;
    if (ended.value != NULL) {
        memcpy(out->data, ended.value, (size_t)ended.value_size);
    }
    result = ended.status;
    CHECK_INT(faster_forget(session, pending), FASTER_OK);
    return result;
}

/* Read to the end: the value must be this one, NULL: none.  Whether it had to wait. */
static inline bool cached_expect(struct faster_session *session,
                                 const struct kit_bytes *key,
                                 const struct kit_bytes *value) {
    struct faster_operation operation = {
        .kind = FASTER_READ, .key = key->data, .key_size = key->size};
    struct kit_bytes found = {.size = 0};
    bool waited;
    int result = cached_do(session, &operation, &found, &waited);
    CHECK_INT(result, value != NULL ? FASTER_OK : FASTER_NOT_FOUND);
    if (value != NULL) {
        CHECK(kit_same(&found, value),
              "another value of %" PRIu64 " bytes, not %" PRIu64, found.size,
              value->size);
    }
    return waited;
}

/* The word of a key's index entry. */
static inline uint64_t cached_entry(struct faster_session *session,
                                    const struct kit_bytes *key) {
    struct faster_kv *kv = session->kv;
    struct index_ref ref;
    int result;
    CHECK_INT(session_enter(session), FASTER_OK);
    do { /* ends with a split */
        result = index_find(&kv->index, kv_hash(kv, key->data, key->size), &ref);
    } while (result == FASTER_RETRY);
    session_leave(session);
    return ref.seen;
}

/* Wait until the worker has emptied what it has to. */
static inline void cached_settle(struct faster_session *session) {
    struct cache *cache = &session->kv->cache;
    uint64_t tail = atomic_load_explicit(&cache->tail, memory_order_acquire);
    while (atomic_load_explicit(&cache->ready, memory_order_acquire) <
           (tail >> cache->page_bits) + 3) { /* ends: nobody inserts */
        faster_session_wait(session);
        tail = atomic_load_explicit(&cache->tail, memory_order_acquire);
    }
}

/* Audit the cache while nobody changes it. */
static inline void cached_audit(struct faster_session *session) {
    cached_settle(session);
    CHECK_INT(session_enter(session), FASTER_OK);
    CHECK_INT(cache_audit(&session->kv->cache), 0);
    session_leave(session);
}

#endif
