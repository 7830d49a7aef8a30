/* SPDX-License-Identifier: MIT */
/* batch.c: see batch.h */
#include "store/batch.h"

#include <errno.h>

/* Bytes of a record that are worth prefetching when its size is not known: prefix, a
 * short key, and a value of about a hundred bytes. */
enum { PREFETCH_VARLEN = 192, PREFETCH_MAX = 256 };

/* An entry word that no index holds: the lookup must be made the general way. */
#define LANE_FAR UINT64_MAX

/* One item on its way through the stages. */
struct lane {
    uint64_t hash;
    uint64_t seen;           /* the entry's word, 0 when absent, or LANE_FAR */
    _Atomic uint64_t *place; /* where it stands, NULL when absent */
};

/* What holds for a whole block. */
struct block {
    struct faster_session *session;
    struct faster_kv *kv;
    const struct batch *batch;
    uint64_t prefetch; /* bytes of each record */
    uint64_t hits;     /* reads that found their key */
    uint64_t updated;  /* words changed in place and not yet counted */
    struct lane lanes[BATCH_LANES];
};

/* Copies of what the stages read for every item.  A local of the stages' caller: the
 * compiler keeps it in registers, which it may not do with fields of shared structs
 * across atomic loads. */
struct view {
    const struct faster_items *keys;
    const uint8_t *key_data;
    uint64_t key_stride;
    const uint8_t *log_base;
    uint64_t log_mask;
    struct index_table *table; /* the only one, or NULL while the index grows */
    uint32_t hash;
};

FASTER_INLINE const uint8_t *key_at(const struct view *view, uint64_t i, bool words) {
    return words ? view->key_data + i * view->key_stride : item_at(view->keys, i);
}

FASTER_INLINE uint64_t key_size_at(const struct view *view, uint64_t i, bool words) {
    return words ? 8 : item_size(view->keys, i);
}

FASTER_INLINE void stage_hash(struct block *block, const struct view *view, uint64_t i,
                              bool words) {
    struct lane *lane = &block->lanes[i % BATCH_LANES];
    uint64_t hash =
        hash_key(view->hash, key_at(view, i, words), key_size_at(view, i, words));
    lane->hash = hash;
    if (faster_likely(view->table != NULL)) {
        faster_prefetch(index_bucket_hint(view->table, hash));
    }
}

FASTER_INLINE void stage_find(struct block *block, const struct view *view, uint64_t i,
                              bool words) {
    struct lane *lane = &block->lanes[i % BATCH_LANES];
    _Atomic uint64_t *place;
    uint64_t seen;
    if (faster_unlikely(view->table == NULL ||
                        !index_peek(view->table, lane->hash, &place, &seen))) {
        lane->seen = LANE_FAR;
        return;
    }
    lane->seen = seen;
    lane->place = place;
    const uint8_t *record = view->log_base + (entry_address(seen) & view->log_mask);
    faster_prefetch(record);
    for (uint64_t at = CACHE_LINE; !words && at < block->prefetch; at += CACHE_LINE) {
        faster_prefetch(record + at);
    }
}

/* End the lookup that find began. */
FASTER_INLINE int lane_lookup(struct block *block, const struct view *view, uint64_t i,
                              struct found *found, bool words) {
    const struct lane *lane = &block->lanes[i % BATCH_LANES];
    const uint8_t *key = key_at(view, i, words);
    uint64_t key_size = key_size_at(view, i, words);
    if (faster_unlikely(lane->seen == LANE_FAR)) {
        return find_record(block->session, lane->hash, key, key_size, found);
    }
    found->ref.seen = lane->seen;
    return find_in_chain_of(block->session, key, key_size, found);
}

/* Whether the entry is still what find saw.  Items are done in order: between find and
 * now another thread may have set this item and then an earlier one, whose new value
 * has been given already; so a read counts only if nothing has come between. */
FASTER_INLINE bool lane_holds(const struct block *block, const struct view *view,
                              uint64_t i) {
    const struct lane *lane = &block->lanes[i % BATCH_LANES];
    _Atomic uint64_t *place;
    uint64_t seen;
    if (faster_unlikely(lane->seen == LANE_FAR)) {
        return true;
    }
    if (faster_likely(lane->place != NULL)) {
        return atomic_load_explicit(lane->place, memory_order_acquire) ==
               lane->seen; /* index.h M1 */
    }
    return index_peek(view->table, lane->hash, &place, &seen) && seen == 0;
}

FASTER_INLINE int finish_read(struct block *block, const struct view *view, uint64_t i,
                              bool words) {
    struct faster_kv *kv = block->kv;
    const struct faster_results *results = block->batch->results;
    struct found found;
    uint64_t size = 0;
    int result = lane_lookup(block, view, i, &found, words);
    if (result == FASTER_OK && words) {
        result =
            record_read_word(found.record, record_value(&kv->layout, found.record, 8),
                             results->data + i * 8);
    } else if (result == FASTER_OK) {
        bool fixed = kv->layout.fixed;
        uint8_t *out = fixed ? results->data + i * kv->layout.value_size
                             : results->data + results->offsets[i];
        uint64_t room = fixed ? kv->layout.value_size : room_left(results, i);
        result = record_read_value(&kv->layout, found.record, out, room, &size);
    }
    if (faster_unlikely(result != FASTER_OK && result != FASTER_NOT_FOUND)) {
        return result;
    }
    if (faster_unlikely(!lane_holds(block, view, i))) {
        return FASTER_RETRY;
    }
    block->hits += result == FASTER_OK;
    if (result == FASTER_OK) {
        kv_note_read(block->session, &found);
    }
    note_result(kv, results, i, size, result == FASTER_OK);
    return FASTER_OK;
}

/* Describe item i as a single update. */
static void describe_update(const struct block *block, uint64_t i, uint64_t *size,
                            struct update *update) {
    const struct batch *batch = block->batch;
    const struct faster_results *results = batch->results;
    *update = (struct update){.kind = batch->kind,
                              .key = item_at(batch->keys, i),
                              .key_size = item_size(batch->keys, i),
                              .hash = block->lanes[i % BATCH_LANES].hash,
                              .merge = batch->merge,
                              .out_size = size};
    if (batch->values != NULL) {
        update->value = item_at(batch->values, i);
        update->value_size = item_size(batch->values, i);
    }
    if (results != NULL && results->data != NULL) {
        bool fixed = block->kv->layout.fixed;
        uint64_t width = block->kv->layout.value_size;
        update->out =
            fixed ? results->data + i * width : results->data + results->offsets[i];
        update->capacity = fixed ? width : room_left(results, i);
    }
}

/* Results of an update: the merged value, or whether a key was there to delete. */
static void note_update(const struct block *block, uint64_t i, int result,
                        uint64_t size) {
    const struct faster_results *results = block->batch->results;
    if (results != NULL) {
        note_result(block->kv, results, i, size, result == FASTER_OK);
    }
}

/* The lookup is made again: its lines are in the cache, and a publication needs the
 * entry as it is now. */
static FASTER_NOINLINE int finish_update_general(struct block *block, uint64_t i) {
    struct update update;
    uint64_t size = 0;
    describe_update(block, i, &size, &update);
    int result = update_once(block->session, &update);
    update_account(block->session, update.kind, result);
    if (result < 0 || result == FASTER_RETRY || result == FASTER_SHORT ||
        result == FASTER_PENDING) {
        return result;
    }
    note_update(block, i, result, size);
    return FASTER_OK;
}

/* Change a word in place; FASTER_PENDING when that is not the way. */
FASTER_INLINE int finish_word(struct block *block, uint64_t i,
                              const struct found *found) {
    const struct batch *batch = block->batch;
    const struct faster_results *results = batch->results;
    uint64_t merged;
    uint64_t input;
    memcpy(&input, item_at(batch->values, i), 8);
    int result = update_word(block->session, found, 8, batch->kind, batch->merge, input,
                             &merged);
    if (faster_unlikely(result != FASTER_OK)) {
        if (result < 0) {
            session_count(block->session, COUNT_FAILED);
        }
        return result;
    }
    session_issue(block->session);
    block->updated++;
    if (results != NULL && results->data != NULL) {
        memcpy(results->data + i * 8, &merged, 8);
    }
    if (results != NULL && results->flags != NULL) {
        results->flags[i] = 1;
    }
    return FASTER_OK;
}

FASTER_INLINE int finish_update(struct block *block, const struct view *view,
                                uint64_t i, bool words) {
    if (words) {
        struct found found;
        int looked = lane_lookup(block, view, i, &found, true);
        if (faster_likely(looked == FASTER_OK)) {
            int result = finish_word(block, i, &found);
            if (faster_likely(result != FASTER_PENDING)) {
                return result;
            }
        }
    }
    return finish_update_general(block, i);
}

/* Half-open ranges of items [from, to) through one stage each. */
FASTER_INLINE void hash_group(struct block *block, const struct view *view,
                              uint64_t from, uint64_t to, bool words) {
    for (uint64_t i = from; i < to; i++) {
        stage_hash(block, view, i, words);
    }
}

FASTER_INLINE void find_group(struct block *block, const struct view *view,
                              uint64_t from, uint64_t to, bool words) {
    for (uint64_t i = from; i < to; i++) {
        stage_find(block, view, i, words);
    }
}

FASTER_INLINE int finish_group(struct block *block, const struct view *view,
                               uint64_t *done, uint64_t to, bool reads, bool words) {
    for (uint64_t i = *done; i < to; i++) {
        int result = reads ? finish_read(block, view, i, words)
                           : finish_update(block, view, i, words);
        if (faster_unlikely(result != FASTER_OK)) {
            *done = i;
            return result;
        }
    }
    *done = to;
    return FASTER_OK;
}

static struct view view_of(const struct block *block) {
    const struct faster_items *keys = block->batch->keys;
    struct index_table *table = index_current(&block->kv->index);
    return (struct view){.keys = keys,
                         .key_data = keys->data,
                         .key_stride = keys->stride,
                         .log_base = block->kv->log.base,
                         .log_mask = block->kv->log.ring_mask,
                         .table = table_next(table) == NULL ? table : NULL,
                         .hash = (uint32_t)block->kv->hash};
}

FASTER_INLINE uint64_t at_most(uint64_t value, uint64_t limit) {
    return value < limit ? value : limit;
}

/* Bring items [*done, end) through the stages, a group at a time: two groups are on
 * their way while one is finished.  Stops before the item that cannot be finished and
 * gives its result. */
FASTER_INLINE int run_stages(struct block *block, uint64_t *done, uint64_t end,
                             bool reads, bool words) {
    struct view view = view_of(block);
    uint64_t first = *done;
    hash_group(block, &view, first, at_most(first + 2 * BATCH_GROUP, end), words);
    find_group(block, &view, first, at_most(first + BATCH_GROUP, end), words);
    for (uint64_t i = first; i < end; i += BATCH_GROUP) {
        uint64_t next = at_most(i + BATCH_GROUP, end);
        uint64_t after = at_most(i + 2 * BATCH_GROUP, end);
        hash_group(block, &view, after, at_most(i + 3 * BATCH_GROUP, end), words);
        find_group(block, &view, next, after, words);
        int result = finish_group(block, &view, done, next, reads, words);
        if (faster_unlikely(result != FASTER_OK)) {
            return result;
        }
    }
    return FASTER_OK;
}

static FASTER_NOINLINE int run_words_read(struct block *block, uint64_t *done,
                                          uint64_t end) {
    return run_stages(block, done, end, true, true);
}

static FASTER_NOINLINE int run_words_update(struct block *block, uint64_t *done,
                                            uint64_t end) {
    return run_stages(block, done, end, false, true);
}

static FASTER_NOINLINE int run_general(struct block *block, uint64_t *done,
                                       uint64_t end) {
    return run_stages(block, done, end, block->batch->reads, false);
}

static int run_block(struct block *block, uint64_t *done) {
    const struct batch *batch = block->batch;
    uint64_t end = at_most(*done + BATCH_BLOCK, batch->count);
    int result;
    bool words = block->kv->words && batch->keys->offsets == NULL;
    if (words && batch->reads) {
        result = run_words_read(block, done, end);
    } else if (words && update_is_word(batch->kind, batch->merge)) {
        result = run_words_update(block, done, end);
    } else {
        result = run_general(block, done, end);
    }
    return result;
}

/* The item at *done could not be finished in the pipeline: look it up anew. */
static int attempt_alone(struct block *block, uint64_t i) {
    if (block->batch->reads) {
        struct view view = view_of(block);
        block->lanes[i % BATCH_LANES].seen = LANE_FAR;
        return finish_read(block, &view, i, false);
    }
    return finish_update_general(block, i);
}

static uint64_t record_bytes_hint(const struct faster_kv *kv) {
    if (!kv->layout.fixed) {
        return PREFETCH_VARLEN;
    }
    uint64_t size =
        record_size(&kv->layout, kv->layout.key_size, kv->layout.value_size);
    return size < PREFETCH_MAX ? size : PREFETCH_MAX;
}

static void count_entry(struct block *block, uint64_t items) {
    struct faster_session *session = block->session;
    if (block->batch->reads) {
        session_count_by(session, COUNT_READ_HIT, block->hits);
        session_count_by(session, COUNT_READ_MISS, items - block->hits);
    } else if (block->updated != 0) {
        session_count_by(session,
                         block->batch->kind == UPDATE_RMW ? COUNT_RMW : COUNT_UPSERT,
                         block->updated);
    }
}

/* One entry: a block, and the item that stopped it. */
static int run_entry(struct block *block, uint64_t *done) {
    struct faster_session *session = block->session;
    int result = session_enter(session);
    if (result != FASTER_OK) {
        return result;
    }
    uint64_t first = *done;
    block->hits = 0;
    block->updated = 0;
    if (faster_unlikely(session->queue != NULL) && !block->batch->reads &&
        pending_busy(session->queue)) {
        session_leave(session);
        return FASTER_PENDING; /* C1: behind the updates that are on their way */
    }
    result = run_block(block, done);
    if (result == FASTER_RETRY) {
        uint64_t i = *done;
        KV_ATTEMPT(session, result, attempt_alone(block, i));
        if (result == FASTER_OK) {
            *done = i + 1;
        }
    }
    count_entry(block, *done - first);
    session_leave(session);
    return result;
}

/* Check one item's sizes as the single operations do. */
static int check_item(const struct faster_kv *kv, const struct batch *batch,
                      uint64_t i) {
    uint64_t key_size = item_size(batch->keys, i);
    int result = check_key(kv, key_size);
    if (result != FASTER_OK || batch->values == NULL) {
        return result;
    }
    uint64_t size = item_size(batch->values, i);
    return batch->merge != NULL ? check_merge(kv, batch->merge, key_size, size)
                                : check_value(kv, key_size, size);
}

/* Sizes are checked before anything is touched, so the stages need not.  Items without
 * offsets are all alike. */
static int check_items(const struct faster_kv *kv, const struct batch *batch,
                       uint64_t first) {
    bool alike = batch->keys->offsets == NULL &&
                 (batch->values == NULL || batch->values->offsets == NULL);
    uint64_t end = alike && first < batch->count ? first + 1 : batch->count;
    int result = FASTER_OK;
    for (uint64_t i = first; i < end && result == FASTER_OK; i++) {
        result = check_item(kv, batch, i);
    }
    return result;
}

/* Rows have their places before anything is done: all of them in a fixed layout, the
 * first one's in the other. */
static int check_rows(const struct faster_kv *kv, const struct batch *batch) {
    const struct faster_results *results = batch->results;
    uint64_t width = kv->layout.fixed ? kv->value_width : 0;
    if (batch->count == 0) {
        return FASTER_OK;
    }
    if (results == NULL || (results->data == NULL && !batch->reads)) {
        return batch->reads ? -EINVAL : FASTER_OK;
    }
    if (!kv->layout.fixed) {
        return results->offsets != NULL ? FASTER_OK : -EINVAL;
    }
    if (width == 0) {
        return FASTER_OK;
    }
    bool fits = results->data != NULL && results->capacity / width >= batch->count;
    return fits ? FASTER_OK : -EINVAL;
}

int batch_run(struct faster_session *session, const struct batch *batch,
              uint64_t *done) {
    struct block block = {
        .session = session,
        .kv = session->kv,
        .batch = batch,
        .prefetch = record_bytes_hint(session->kv),
    };
    int result = check_items(session->kv, batch, *done);
    if (result == FASTER_OK) {
        result = check_rows(session->kv, batch);
    }
    while (result == FASTER_OK && *done < batch->count) {
        result = run_entry(&block, done);
        if (result == FASTER_RETRY) {
            faster_session_wait(session); /* E4: outside */
            result = FASTER_OK;
        } else if (result == FASTER_PENDING) {
            result = batch_run_window(session, batch, done);
        }
    }
    return result;
}

int faster_read_many(struct faster_session *session, const struct faster_items *keys,
                     uint64_t count, const struct faster_results *results,
                     uint64_t *done) {
    struct batch batch = {
        .reads = true, .count = count, .keys = keys, .results = results};
    return batch_run(session, &batch, done);
}

int faster_upsert_many(struct faster_session *session, const struct faster_items *keys,
                       const struct faster_items *values, uint64_t count,
                       uint64_t *done) {
    struct batch batch = {
        .kind = UPDATE_UPSERT, .count = count, .keys = keys, .values = values};
    return batch_run(session, &batch, done);
}

int faster_rmw_many(struct faster_session *session, const struct faster_merge *merge,
                    const struct faster_items *keys, const struct faster_items *inputs,
                    uint64_t count, const struct faster_results *results,
                    uint64_t *done) {
    struct batch batch = {.kind = UPDATE_RMW,
                          .count = count,
                          .keys = keys,
                          .values = inputs,
                          .results = results,
                          .merge = merge};
    return batch_run(session, &batch, done);
}

int faster_delete_many(struct faster_session *session, const struct faster_items *keys,
                       uint64_t count, uint8_t *flags, uint64_t *done) {
    struct faster_results results = {.flags = flags};
    struct batch batch = {
        .kind = UPDATE_DELETE, .count = count, .keys = keys, .results = &results};
    return batch_run(session, &batch, done);
}
