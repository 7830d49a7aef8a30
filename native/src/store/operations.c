/* SPDX-License-Identifier: MIT */
/* operations.c: the single operations of api.h */
#include "store/pending.h"
#include "store/timing.h"

static int read_once(struct faster_session *session, uint64_t hash, const void *key,
                     uint64_t key_size, void *out, uint64_t capacity,
                     uint64_t *value_size) {
    const struct faster_kv *kv = session->kv;
    struct found found;
    int result = find_to_read(session, hash, key, key_size, &found);
    if (result != FASTER_OK) {
        return result;
    }
    if (kv->word_values && capacity >= 8) {
        *value_size = 8;
        return record_read_word(found.record,
                                record_value(&kv->layout, found.record, key_size), out);
    }
    return record_read_value(&kv->layout, found.record, out, capacity, value_size);
}

/* A read that did not find a value. */
static FASTER_NOINLINE void count_other_read(struct faster_session *session,
                                             int result) {
    if (result == FASTER_NOT_FOUND) {
        session_count(session, COUNT_READ_MISS);
    } else if (result < 0) {
        session_count(session, COUNT_FAILED);
    }
}

/* Outside: the same read, between two looks at the clock. */
static FASTER_NOINLINE int read_timed(struct faster_session *session, const void *key,
                                      uint64_t key_size, void *out, uint64_t capacity,
                                      uint64_t *value_size) {
    uint64_t begun = clock_ns();
    int result = faster_read(session, key, key_size, out, capacity, value_size);
    timing_note(session, FASTER_READ, result, begun);
    return result;
}

int faster_read(struct faster_session *session, const void *key, uint64_t key_size,
                void *out, uint64_t capacity, uint64_t *value_size) {
    const struct faster_kv *kv = session->kv;
    int result = check_key(kv, key_size);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    result = session_enter(session);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    if (session_tick(session) && timing_is_due(session)) {
        session_leave(session);
        return read_timed(session, key, key_size, out, capacity, value_size);
    }
    uint64_t hash = kv_hash(kv, key, key_size);
    KV_ATTEMPT(session, result,
               read_once(session, hash, key, key_size, out, capacity, value_size));
    if (faster_likely(result == FASTER_OK)) {
        session_count(session, COUNT_READ_HIT);
    } else {
        count_other_read(session, result);
    }
    session_leave(session);
    return result;
}

static int run_update(struct faster_session *session, struct update *update);

/* Outside: the same update, between two looks at the clock. */
static FASTER_NOINLINE int update_timed(struct faster_session *session,
                                        struct update *update) {
    uint64_t begun = clock_ns();
    int result = run_update(session, update);
    timing_note(session, update_operation(update->kind), result, begun);
    return result;
}

/* Check the sizes, enter, try, number, leave: the frame of every single update. */
static int run_update(struct faster_session *session, struct update *update) {
    const struct faster_kv *kv = session->kv;
    int result = check_key(kv, update->key_size);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    result = session_enter(session);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    if (session_tick(session) && timing_is_due(session)) {
        session_leave(session);
        return update_timed(session, update);
    }
    update->hash = kv_hash(kv, update->key, update->key_size);
    if (faster_unlikely(session->queue != NULL) &&
        pending_defers(session->queue, update->hash)) {
        session_leave(session);
        return FASTER_PENDING; /* C1: behind the update that is on its way */
    }
    KV_ATTEMPT(session, result, update_once(session, update));
    update_account(session, update->kind, result);
    session_leave(session);
    return result;
}

/* The same for updates whose value goes into the store as it is. */
static int run_write(struct faster_session *session, struct update *update) {
    const struct faster_kv *kv = session->kv;
    int result = check_key(kv, update->key_size);
    if (faster_likely(result == FASTER_OK)) {
        result = check_value(kv, update->key_size, update->value_size);
    }
    return faster_likely(result == FASTER_OK) ? run_update(session, update) : result;
}

int faster_upsert(struct faster_session *session, const void *key, uint64_t key_size,
                  const void *value, uint64_t value_size) {
    struct update update = {.kind = UPDATE_UPSERT,
                            .key = key,
                            .key_size = key_size,
                            .value = value,
                            .value_size = value_size};
    return run_write(session, &update);
}

int faster_insert(struct faster_session *session, const void *key, uint64_t key_size,
                  const void *value, uint64_t value_size) {
    struct update update = {.kind = UPDATE_INSERT,
                            .key = key,
                            .key_size = key_size,
                            .value = value,
                            .value_size = value_size};
    return run_write(session, &update);
}

int faster_delete(struct faster_session *session, const void *key, uint64_t key_size) {
    struct update update = {.kind = UPDATE_DELETE, .key = key, .key_size = key_size};
    return run_update(session, &update);
}

int faster_discard(struct faster_session *session, const void *key, uint64_t key_size) {
    struct update update = {.kind = UPDATE_DISCARD, .key = key, .key_size = key_size};
    return run_update(session, &update);
}

int faster_compare_and_set(struct faster_session *session, const void *key,
                           uint64_t key_size, const void *expected,
                           uint64_t expected_size, const void *value,
                           uint64_t value_size) {
    struct update update = {.kind = UPDATE_COMPARE,
                            .key = key,
                            .key_size = key_size,
                            .value = value,
                            .value_size = value_size,
                            .expected = expected,
                            .expected_size = expected_size};
    return run_write(session, &update);
}

/* The arguments as update_word wants them: a word to compute with, a whole key, and
 * room for the result. */
FASTER_INLINE bool is_word_merge(const struct faster_kv *kv,
                                 const struct faster_merge *merge, uint64_t key_size,
                                 uint64_t input_size, const void *out,
                                 uint64_t capacity) {
    return kv->word_values && merge_is_arithmetic(merge->kind) &&
           (kv->merges >> merge->kind & 1u) != 0 && input_size == 8 &&
           (!kv->layout.fixed || key_size == kv->layout.key_size) &&
           key_size <= RECORD_KEY_MAX && (out == NULL || capacity >= 8);
}

/* The merge of a word has to go the general way, where it ticks anew; or has failed. */
static FASTER_NOINLINE int leave_word(struct faster_session *session, int result) {
    if (result < 0) {
        session_count(session, COUNT_FAILED);
        return result;
    }
    session->ticks++;
    return FASTER_PENDING;
}

/* Merge into a live word in place, the way of nearly every counter: the general frame
 * without what only other updates need.  FASTER_PENDING when that was not it;
 * FASTER_SHORT, which a word never is, when its turn to be timed has come. */
FASTER_INLINE int merge_word(struct faster_session *session,
                             const struct faster_merge *merge, const void *key,
                             uint64_t key_size, const void *input, void *out) {
    struct found found;
    uint64_t word;
    uint64_t merged;
    int result = session_enter(session);
    if (faster_unlikely(result != FASTER_OK)) {
        return result;
    }
    if (session_tick(session) && timing_is_due(session)) {
        session_leave(session);
        return FASTER_SHORT;
    }
    uint64_t hash = kv_hash(session->kv, key, key_size);
    bool first =
        faster_likely(session->queue == NULL) || !pending_defers(session->queue, hash);
    result = first ? find_record(session, hash, key, key_size, &found) : FASTER_PENDING;
    if (faster_likely(result == FASTER_OK)) {
        memcpy(&word, input, 8);
        result =
            update_word(session, &found, key_size, UPDATE_RMW, merge, word, &merged);
    } else {
        result = FASTER_PENDING;
    }
    if (faster_likely(result == FASTER_OK)) {
        if (out != NULL) {
            memcpy(out, &merged, 8);
        }
        session_issue(session);
        session_count(session, COUNT_RMW);
    } else {
        result = leave_word(session, result);
    }
    session_leave(session);
    return result;
}

/* Outside: the same merge, between two looks at the clock. */
static FASTER_NOINLINE int rmw_timed(struct faster_session *session,
                                     const struct update *update) {
    uint64_t begun = clock_ns();
    int result =
        faster_rmw(session, update->merge, update->key, update->key_size, update->value,
                   update->value_size, update->out, update->capacity, update->out_size);
    timing_note(session, FASTER_RMW, result, begun);
    return result;
}

int faster_rmw(struct faster_session *session, const struct faster_merge *merge,
               const void *key, uint64_t key_size, const void *input,
               uint64_t input_size, void *out, uint64_t capacity,
               uint64_t *value_size) {
    int result = FASTER_PENDING;
    if (is_word_merge(session->kv, merge, key_size, input_size, out, capacity)) {
        result = merge_word(session, merge, key, key_size, input, out);
        if (faster_likely(result == FASTER_OK)) {
            if (value_size != NULL) {
                *value_size = 8;
            }
            return FASTER_OK;
        }
    }
    struct update update = {.kind = UPDATE_RMW,
                            .key = key,
                            .key_size = key_size,
                            .value = input,
                            .value_size = input_size,
                            .merge = merge,
                            .out = out,
                            .capacity = capacity,
                            .out_size = value_size};
    if (result != FASTER_PENDING) {
        return result == FASTER_SHORT ? rmw_timed(session, &update) : result;
    }
    result = check_merge(session->kv, merge, key_size, input_size);
    return faster_likely(result == FASTER_OK) ? run_update(session, &update) : result;
}

int faster_view_open(struct faster_session *session, const void *key, uint64_t key_size,
                     struct faster_view *view) {
    struct faster_kv *kv = session->kv;
    struct found found;
    int result = check_key(kv, key_size);
    if (result != FASTER_OK) {
        return result;
    }
    result = session_enter(session);
    if (result != FASTER_OK) {
        return result;
    }
    uint64_t hash = kv_hash(kv, key, key_size);
    KV_ATTEMPT(session, result, find_record(session, hash, key, key_size, &found));
    if (result == FASTER_OK && (found.address >= hlog_safe_read_only(&kv->log) ||
                                cache_holds(&kv->cache, found.record))) {
        result = FASTER_MUTABLE; /* E6; and the cache has no pins */
    }
    if (result == FASTER_OK && (record_info(found.record) & INFO_TOMBSTONE) != 0) {
        result = FASTER_NOT_FOUND;
    }
    if (result == FASTER_OK) {
        view->data =
            (const uint8_t *)found.record + record_value_offset(&kv->layout, key_size);
        view->size = record_value_size(&kv->layout, found.record);
        view->page = hlog_pin(&kv->log, found.address);
    }
    session_leave(session);
    return result;
}

void faster_view_close(struct faster_kv *kv, const struct faster_view *view) {
    if (kv->generation == fork_generation()) {
        hlog_unpin(&kv->log, view->page);
    }
}
