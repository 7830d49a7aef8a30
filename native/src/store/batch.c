/* SPDX-License-Identifier: MIT */
/* batch.c: see batch.h */
#include "store/batch.h"

/* Bytes of a record that are worth prefetching when its size is not known: prefix, a
 * short key, and a value of about a hundred bytes. */
enum { PREFETCH_VARLEN = 192, PREFETCH_MAX = 256 };

/* One item on its way through the stages. */
struct lane {
    const uint8_t *key;
    uint64_t key_size;
    uint64_t hash;
    struct index_table *table;
    struct index_ref ref;
    bool near; /* ref holds what the lookup saw */
};

/* What holds for a whole block. */
struct block {
    struct faster_session *session;
    struct faster_kv *kv;
    const struct batch *batch;
    struct index_table *table; /* the only one, or NULL while the index grows */
    uint64_t prefetch;         /* bytes of each record */
    uint64_t hits;             /* reads that found their key */
    struct lane lanes[BATCH_LANES];
};

FASTER_INLINE const uint8_t *item_at(const struct faster_items *items, uint64_t i) {
    return items->offsets != NULL ? items->data + items->offsets[i]
                                  : items->data + i * items->stride;
}

FASTER_INLINE uint64_t item_size(const struct faster_items *items, uint64_t i) {
    return items->offsets != NULL ? items->offsets[i + 1] - items->offsets[i]
                                  : items->size;
}

FASTER_INLINE void stage_hash(struct block *block, uint64_t i, bool words) {
    struct lane *lane = &block->lanes[i % BATCH_LANES];
    const struct faster_kv *kv = block->kv;
    lane->key = item_at(block->batch->keys, i);
    lane->key_size = words ? 8 : item_size(block->batch->keys, i);
    lane->hash = kv_hash(kv, lane->key, lane->key_size);
    lane->table = block->table;
    if (faster_unlikely(lane->table == NULL) &&
        index_ruling(&block->kv->index, lane->hash, &lane->table) != FASTER_OK) {
        lane->table = NULL;
        return;
    }
    faster_prefetch(index_bucket_hint(lane->table, lane->hash));
}

FASTER_INLINE void stage_find(struct block *block, uint64_t i, bool words) {
    struct lane *lane = &block->lanes[i % BATCH_LANES];
    lane->near = lane->table != NULL &&
                 index_find_near(lane->table, lane->hash, &lane->ref);
    if (faster_likely(lane->near)) {
        const uint8_t *record =
            block->kv->log.base + entry_address(lane->ref.seen);
        faster_prefetch(record);
        for (uint64_t at = CACHE_LINE; !words && at < block->prefetch; at += CACHE_LINE) {
            faster_prefetch(record + at);
        }
    }
}

/* End the lookup that find began. */
FASTER_INLINE int lane_lookup(struct block *block, struct lane *lane,
                              struct found *found) {
    if (faster_unlikely(!lane->near)) {
        return find_record(block->session, lane->hash, lane->key, lane->key_size, found);
    }
    found->ref = lane->ref;
    if (lane->ref.seen == 0) {
        return FASTER_NOT_FOUND;
    }
    return find_in_chain_of(block->session, lane->key, lane->key_size, found);
}

static uint64_t room_left(const struct faster_results *results, uint64_t i) {
    return results->offsets != NULL ? results->capacity - results->offsets[i] : 0;
}

/* Say how item i ended in a read's results. */
FASTER_INLINE void note_result(const struct faster_kv *kv,
                               const struct faster_results *results, uint64_t i,
                               uint64_t size, bool present) {
    if (results->flags != NULL) {
        results->flags[i] = present;
    }
    if (!kv->layout.fixed && results->offsets != NULL) {
        results->offsets[i + 1] = results->offsets[i] + (present ? size : 0);
    }
}

FASTER_INLINE int finish_read(struct block *block, uint64_t i, bool words) {
    struct lane *lane = &block->lanes[i % BATCH_LANES];
    struct faster_kv *kv = block->kv;
    const struct faster_results *results = block->batch->results;
    struct found found;
    uint64_t size = 0;
    int result = lane_lookup(block, lane, &found);
    if (result == FASTER_OK && words) {
        result = record_read_word(found.record,
                                  record_value(&kv->layout, found.record, 8),
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
    block->hits += result == FASTER_OK;
    note_result(kv, results, i, size, result == FASTER_OK);
    return FASTER_OK;
}

/* Describe item i as a single update. */
static void describe_update(const struct block *block, uint64_t i, uint64_t *size,
                            struct update *update) {
    const struct batch *batch = block->batch;
    const struct faster_results *results = batch->results;
    const struct lane *lane = &block->lanes[i % BATCH_LANES];
    *update = (struct update){.kind = batch->kind,
                              .key = lane->key,
                              .key_size = lane->key_size,
                              .hash = lane->hash,
                              .merge = batch->merge,
                              .out_size = size};
    if (batch->values != NULL) {
        update->value = item_at(batch->values, i);
        update->value_size = item_size(batch->values, i);
    }
    if (results != NULL && results->data != NULL) {
        bool fixed = block->kv->layout.fixed;
        uint64_t width = block->kv->layout.value_size;
        update->out = fixed ? results->data + i * width
                            : results->data + results->offsets[i];
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

static FASTER_NOINLINE int finish_update_general(struct block *block, uint64_t i,
                                                 int looked, struct found *found) {
    struct update update;
    uint64_t size = 0;
    describe_update(block, i, &size, &update);
    int result = update_found(block->session, &update, looked, found);
    update_account(block->session, update.kind, result);
    if (result < 0 || result == FASTER_RETRY || result == FASTER_SHORT) {
        return result;
    }
    note_update(block, i, result, size);
    return FASTER_OK;
}

FASTER_INLINE int finish_update(struct block *block, uint64_t i, bool words) {
    struct lane *lane = &block->lanes[i % BATCH_LANES];
    struct faster_kv *kv = block->kv;
    const struct batch *batch = block->batch;
    struct found found;
    int looked = lane_lookup(block, lane, &found);
    if (words && faster_likely(looked == FASTER_OK) && update_is_word(batch->kind, batch->merge)) {
        uint64_t merged;
        uint64_t input;
        memcpy(&input, item_at(batch->values, i), 8);
        int result = update_word(block->session, &found, batch->kind, batch->merge, input,
                                 &merged);
        if (faster_likely(result == FASTER_OK)) {
            session_issue(block->session);
            session_count(block->session,
                          batch->kind == UPDATE_RMW ? COUNT_RMW : COUNT_UPSERT);
            if (batch->results != NULL && batch->results->data != NULL) {
                memcpy(batch->results->data + i * 8, &merged, 8);
            }
            if (batch->results != NULL) {
                note_result(kv, batch->results, i, 8, true);
            }
            return FASTER_OK;
        }
        if (result != FASTER_PENDING) {
            return result;
        }
    }
    return finish_update_general(block, i, looked, &found);
}

/* Bring items [*done, end) through the stages.  Stops before the item that cannot be
 * finished and gives its result. */
FASTER_INLINE int run_stages(struct block *block, uint64_t *done, uint64_t end,
                             bool reads, bool words) {
    uint64_t first = *done;
    uint64_t steps = end - first + 2 * BATCH_DEPTH;
    for (uint64_t step = 0; step < steps; step++) {
        uint64_t i = first + step;
        if (i < end) {
            stage_hash(block, i, words);
        }
        if (step >= BATCH_DEPTH && i - BATCH_DEPTH < end) {
            stage_find(block, i - BATCH_DEPTH, words);
        }
        if (step >= 2 * BATCH_DEPTH) {
            uint64_t item = i - 2 * BATCH_DEPTH;
            int result = reads ? finish_read(block, item, words)
                               : finish_update(block, item, words);
            if (faster_unlikely(result != FASTER_OK)) {
                return result;
            }
            *done = item + 1;
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
    struct index_table *table = index_current(&block->kv->index);
    uint64_t left = batch->count - *done;
    uint64_t first = *done;
    uint64_t end = first + (left < BATCH_BLOCK ? left : BATCH_BLOCK);
    int result;
    block->table = table_next(table) == NULL ? table : NULL;
    if (block->kv->words && batch->keys->offsets == NULL) {
        result = batch->reads ? run_words_read(block, done, end)
                              : run_words_update(block, done, end);
    } else {
        result = run_general(block, done, end);
    }
    return result;
}

/* The item at *done could not be finished in the pipeline: look it up anew. */
static int attempt_alone(struct block *block, uint64_t i) {
    struct lane *lane = &block->lanes[i % BATCH_LANES];
    lane->near = false;
    if (block->batch->reads) {
        return finish_read(block, i, block->kv->words);
    }
    struct found found;
    int looked =
        find_record(block->session, lane->hash, lane->key, lane->key_size, &found);
    return finish_update_general(block, i, looked, &found);
}

static uint64_t record_bytes_hint(const struct faster_kv *kv) {
    if (!kv->layout.fixed) {
        return PREFETCH_VARLEN;
    }
    uint64_t size = record_size(&kv->layout, kv->layout.key_size, kv->layout.value_size);
    return size < PREFETCH_MAX ? size : PREFETCH_MAX;
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
    result = run_block(block, done);
    if (result == FASTER_RETRY) {
        uint64_t i = *done;
        KV_ATTEMPT(session, result, attempt_alone(block, i));
        if (result == FASTER_OK) {
            *done = i + 1;
        }
    }
    if (block->batch->reads) {
        session_count_by(session, COUNT_READ_HIT, block->hits);
        session_count_by(session, COUNT_READ_MISS, *done - first - block->hits);
    }
    session_leave(session);
    return result;
}

/* Check one item's sizes as the single operations do. */
static int check_item(const struct faster_kv *kv, const struct batch *batch, uint64_t i) {
    uint64_t key_size = item_size(batch->keys, i);
    int result = check_key(kv, key_size);
    if (result != FASTER_OK || batch->values == NULL) {
        return result;
    }
    uint64_t size = item_size(batch->values, i);
    return batch->merge != NULL ? kv_check_input(kv, batch->merge, key_size, size)
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

int batch_run(struct faster_session *session, const struct batch *batch, uint64_t *done) {
    struct block block = {
        .session = session,
        .kv = session->kv,
        .batch = batch,
        .prefetch = record_bytes_hint(session->kv),
    };
    int result = check_items(session->kv, batch, *done);
    while (result == FASTER_OK && *done < batch->count) {
        result = run_entry(&block, done);
        if (result == FASTER_RETRY) {
            faster_session_wait(session); /* E4: outside */
            result = FASTER_OK;
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
