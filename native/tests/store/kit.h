/* SPDX-License-Identifier: MIT */
/*
 * kit.h: stores of three shapes, keys and values for them, and control of the regions
 */
#ifndef TESTS_STORE_KIT_H
#define TESTS_STORE_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "store/update.h"

enum kit_kind {
    KIT_WORD, /* fixed, 8 + 8 bytes, i64 */
    KIT_WIDE, /* fixed, 8 + 100 bytes */
    KIT_TEXT, /* varlen text */
    KIT_KINDS
};

enum { KIT_WIDE_SIZE = 100, KIT_KEY_MAX = 40, KIT_PAGE = 64 << 10 };

/* A key or a value. */
struct kit_bytes {
    uint8_t data[512];
    uint64_t size;
};

static inline struct faster_kv_config kit_config(enum kit_kind kind) {
    struct faster_kv_config config = {
        .size = sizeof config,
        .layout = kind == KIT_TEXT ? FASTER_VARLEN : FASTER_FIXED,
        .hash = FASTER_HASH_XXH3,
        .value_type = kind == KIT_WORD   ? FASTER_TYPE_I64
                      : kind == KIT_TEXT ? FASTER_TYPE_TEXT
                                         : FASTER_TYPE_OPAQUE,
        .key_size = kind == KIT_TEXT ? 0 : 8,
        .value_size = kind == KIT_TEXT   ? 0
                      : kind == KIT_WORD ? 8
                                         : KIT_WIDE_SIZE,
        .page_size = KIT_PAGE,
        .memory = 256 << 20,
    };
    return config;
}

static inline struct faster_kv *kit_open_config(const struct faster_kv_config *config) {
    struct faster_kv *kv;
    CHECK_INT(faster_kv_open(config, &kv), FASTER_OK);
    return kv;
}

static inline struct faster_kv *kit_open(enum kit_kind kind) {
    struct faster_kv_config config = kit_config(kind);
    return kit_open_config(&config);
}

static inline struct faster_session *kit_session(struct faster_kv *kv) {
    struct faster_session *session;
    CHECK_INT(faster_session_open(kv, &session), FASTER_OK);
    return session;
}

static inline void kit_close(struct faster_kv *kv, struct faster_session *session) {
    faster_session_free(session);
    CHECK_INT(faster_kv_close(kv, 60000), FASTER_OK);
    CHECK_U64(budget_used(&kv->budget) - hlog_bytes(&kv->log), 0);
    faster_kv_free(kv);
}

/* Repeat what api.h says is to be repeated.  Ends: nobody holds a record for long. */
#define KIT_RETRY(session, result, call)                                               \
    do {                                                                               \
        while (((result) = (call)) == FASTER_RETRY) {                                  \
            faster_session_wait(session);                                              \
        }                                                                              \
    } while (0)

/* The key of a number: 8 bytes, or text of 2 to 33 bytes. */
static inline struct kit_bytes kit_key(enum kit_kind kind, uint64_t number) {
    struct kit_bytes key = {.size = 8};
    memcpy(key.data, &number, 8);
    if (kind == KIT_TEXT) {
        int length = snprintf((char *)key.data, sizeof key.data, "k%" PRIu64, number);
        key.size = (uint64_t)length + number % 14;
        memset(key.data + length, '.', (size_t)(key.size - (uint64_t)length));
    }
    return key;
}

/* A value that says which one it is: every byte follows from the seed.  The size counts
 * only where sizes vary. */
static inline struct kit_bytes kit_value(enum kit_kind kind, uint64_t seed,
                                         uint64_t size) {
    struct kit_bytes value = {.size = size};
    value.size = kind == KIT_WORD ? 8 : kind == KIT_WIDE ? KIT_WIDE_SIZE : size;
    if (kind == KIT_WORD) {
        memcpy(value.data, &seed, 8);
        return value;
    }
    for (uint64_t i = 0; i < value.size; i++) {
        value.data[i] = (uint8_t)(seed * 31 + i * 7 + (seed >> 8));
    }
    return value;
}

static inline int kit_upsert(struct faster_session *session,
                             const struct kit_bytes *key,
                             const struct kit_bytes *value) {
    int result;
    KIT_RETRY(session, result,
              faster_upsert(session, key->data, key->size, value->data, value->size));
    return result;
}

static inline int kit_insert(struct faster_session *session,
                             const struct kit_bytes *key,
                             const struct kit_bytes *value) {
    int result;
    KIT_RETRY(session, result,
              faster_insert(session, key->data, key->size, value->data, value->size));
    return result;
}

static inline int kit_delete(struct faster_session *session,
                             const struct kit_bytes *key) {
    int result;
    KIT_RETRY(session, result, faster_delete(session, key->data, key->size));
    return result;
}

static inline int kit_read(struct faster_session *session, const struct kit_bytes *key,
                           struct kit_bytes *value) {
    int result;
    KIT_RETRY(session, result,
              faster_read(session, key->data, key->size, value->data,
                          sizeof value->data, &value->size));
    return result;
}

static inline int kit_rmw(struct faster_session *session,
                          const struct faster_merge *merge, const struct kit_bytes *key,
                          const struct kit_bytes *input, struct kit_bytes *out) {
    int result;
    KIT_RETRY(session, result,
              faster_rmw(session, merge, key->data, key->size, input->data, input->size,
                         out != NULL ? out->data : NULL,
                         out != NULL ? sizeof out->data : 0,
                         out != NULL ? &out->size : NULL));
    return result;
}

static inline int kit_compare(struct faster_session *session,
                              const struct kit_bytes *key,
                              const struct kit_bytes *expected,
                              const struct kit_bytes *value) {
    int result;
    KIT_RETRY(session, result,
              faster_compare_and_set(session, key->data, key->size, expected->data,
                                     expected->size, value->data, value->size));
    return result;
}

static inline bool kit_same(const struct kit_bytes *a, const struct kit_bytes *b) {
    return a->size == b->size && memcmp(a->data, b->data, (size_t)a->size) == 0;
}

/* The key's value must be this one; NULL: it must be absent. */
static inline void kit_expect(struct faster_session *session,
                              const struct kit_bytes *key,
                              const struct kit_bytes *value) {
    struct kit_bytes found = {.size = 0};
    int result = kit_read(session, key, &found);
    CHECK_INT(result, value != NULL ? FASTER_OK : FASTER_NOT_FOUND);
    if (value != NULL) {
        CHECK(kit_same(&found, value),
              "another value of %" PRIu64 " bytes, not %" PRIu64, found.size,
              value->size);
    }
}

/* 8-byte keys and values. */
static inline int kit_put_word(struct faster_session *session, uint64_t key,
                               uint64_t value) {
    int result;
    KIT_RETRY(session, result, faster_upsert(session, &key, 8, &value, 8));
    return result;
}

static inline int kit_get_word(struct faster_session *session, uint64_t key,
                               uint64_t *value) {
    int result;
    uint64_t size;
    KIT_RETRY(session, result, faster_read(session, &key, 8, value, 8, &size));
    return result;
}

/* Make all that is in the log immutable for everyone.  Nobody may be inside. */
static inline void kit_settle(struct faster_kv *kv) {
    uint64_t read_only = hlog_shift_read_only(&kv->log);
    epoch_drain(&kv->epoch);
    CHECK_U64(read_only, hlog_tail(&kv->log));
    CHECK_U64(hlog_safe_read_only(&kv->log), read_only);
}

/* The same while `other` is inside, until kit_unhold: what is in the log is read-only,
 * and not everyone has seen it. */
static inline void kit_hold(struct faster_kv *kv, struct faster_session *other) {
    CHECK_INT(epoch_enter(&kv->epoch, other->slot), FASTER_OK);
    uint64_t safe = hlog_safe_read_only(&kv->log);
    (void)hlog_shift_read_only(&kv->log);
    epoch_drain(&kv->epoch);
    CHECK_U64(hlog_safe_read_only(&kv->log), safe);
}

static inline void kit_unhold(struct faster_kv *kv, struct faster_session *other) {
    epoch_leave(&kv->epoch, other->slot);
    epoch_drain(&kv->epoch);
    CHECK_U64(hlog_safe_read_only(&kv->log), hlog_read_only(&kv->log));
}

/* Look a key's newest record up, tombstones too; NULL when there is none. */
static inline struct record *kit_record(struct faster_session *session,
                                        const struct kit_bytes *key,
                                        uint64_t *address) {
    struct found found;
    CHECK_INT(session_enter(session), FASTER_OK);
    int result = find_record(session, kv_hash(session->kv, key->data, key->size),
                             key->data, key->size, &found);
    session_leave(session);
    CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND, "%d", result);
    *address = result == FASTER_OK ? found.address : 0;
    return result == FASTER_OK ? found.record : NULL;
}

static inline struct faster_kv_stats kit_stats(struct faster_kv *kv) {
    struct faster_kv_stats stats = {.size = sizeof stats};
    CHECK_INT(faster_kv_stats(kv, &stats), FASTER_OK);
    return stats;
}

/* An index as small as can be, and not allowed to grow. */
static inline struct faster_kv_config kit_config_crowded(enum kit_kind kind) {
    struct faster_kv_config config = kit_config(kind);
    config.index_permille = 1;
    config.memory = 20 << 20; /* of which the index gets 20 KiB, a table 16 */
    return config;
}

/* From `from` on, the first number whose key is in one of `few` buckets. */
static inline uint64_t kit_crowded(struct faster_kv *kv, enum kit_kind kind,
                                   uint64_t from, uint64_t few) {
    for (;; from++) { /* ends: hashes are spread */
        struct kit_bytes key = kit_key(kind, from);
        if ((kv_hash(kv, key.data, key.size) & 0xff) < few) {
            return from;
        }
    }
}

#endif
