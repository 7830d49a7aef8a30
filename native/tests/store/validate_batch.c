/* SPDX-License-Identifier: MIT */
/* validate_batch.c: each batch against the single operations, item by item */
#include "store/kit.h"

enum { KEYS = 150, ITEMS_MAX = 700, DATA_MAX = 256 << 10 };

enum batch_op { READ_MANY, UPSERT_MANY, RMW_MANY, DELETE_MANY, BATCH_OPS };

/* Items in one of the shapes that struct faster_items allows. */
struct pack {
    struct faster_items items;
    uint8_t data[DATA_MAX];
    uint64_t offsets[ITEMS_MAX + 1];
};

/* Two stores that get the same: one by batches, one by single operations. */
struct pair {
    enum kit_kind kind;
    struct faster_kv *kv[2];
    struct faster_session *session[2];
    struct rng rng;
};

/* One batch and what it must give. */
struct run {
    enum batch_op op;
    struct faster_merge merge;
    uint64_t count;
    struct pack keys;
    struct pack values;
    uint8_t data[2][DATA_MAX];
    uint64_t offsets[2][ITEMS_MAX + 1];
    uint8_t flags[2][ITEMS_MAX];
};

static struct run run;         /* too large for a stack */
static uint64_t numbers[KEYS]; /* of the keys */

static const uint8_t *item(const struct pack *pack, uint64_t i, uint64_t *size) {
    if (pack->items.offsets != NULL) {
        *size = pack->offsets[i + 1] - pack->offsets[i];
        return pack->data + pack->offsets[i];
    }
    *size = pack->items.size;
    return pack->data + i * pack->items.stride;
}

/* How items lie: one after the other, with gaps, all in one place, or by offsets. */
enum shape { PACKED, SPACED, ONE, OFFSETS, SHAPES };

static void pack_begin(struct pack *pack, enum shape shape, uint64_t size) {
    pack->items = (struct faster_items){.data = pack->data, .size = size};
    pack->items.stride = shape == PACKED ? size : shape == SPACED ? size + 5 : 0;
    pack->items.offsets = shape == OFFSETS ? pack->offsets : NULL;
    pack->offsets[0] = 0;
}

static void pack_add(struct pack *pack, uint64_t i, const struct kit_bytes *bytes) {
    uint64_t at = i * pack->items.stride;
    if (pack->items.offsets != NULL) {
        at = pack->offsets[i];
        pack->offsets[i + 1] = at + bytes->size;
    }
    CHECK(at + bytes->size <= DATA_MAX, "%" PRIu64, at);
    memcpy(pack->data + at, bytes->data, (size_t)bytes->size);
}

/* Random keys of a small set, so that many stand twice in a block, and values. */
static void fill(struct pair *pair) {
    struct rng *rng = &pair->rng;
    enum kit_kind kind = pair->kind;
    bool varies = kind == KIT_TEXT;
    enum shape key_shape = varies ? OFFSETS : (enum shape)rng_below(rng, SHAPES);
    enum shape value_shape = varies ? OFFSETS : (enum shape)rng_below(rng, SHAPES);
    uint64_t keys = 1 + rng_below(rng, KEYS);
    run.op = (enum batch_op)rng_below(rng, BATCH_OPS);
    run.count = rng_below(rng, 5) == 0 ? rng_below(rng, 5) : rng_below(rng, ITEMS_MAX);
    static const uint32_t merges[KIT_KINDS][3] = {
        {FASTER_MERGE_ADD, FASTER_MERGE_MAX, FASTER_MERGE_SET_IF_ABSENT},
        {FASTER_MERGE_PUT_NEWEST, FASTER_MERGE_SET_IF_ABSENT, FASTER_MERGE_PUT_NEWEST},
        {FASTER_MERGE_APPEND, FASTER_MERGE_PUT_NEWEST, FASTER_MERGE_SET_IF_ABSENT}};
    run.merge = (struct faster_merge){.kind = merges[kind][rng_below(rng, 3)]};
    if (varies && run.op == RMW_MANY) { /* all results lie side by side */
        keys += 20;
        run.count = run.count % 200;
    }
    pack_begin(&run.keys, key_shape, 8);
    pack_begin(&run.values, value_shape, kind == KIT_WORD ? 8 : KIT_WIDE_SIZE);
    for (uint64_t i = 0; i < run.count; i++) {
        struct kit_bytes key = kit_key(kind, numbers[rng_below(rng, keys) % KEYS]);
        struct kit_bytes value =
            kit_value(kind, rng_below(rng, 1000), 8 + rng_below(rng, 30));
        pack_add(&run.keys, i, &key);
        pack_add(&run.values, i, &value);
    }
}

static int single(struct faster_session *session, uint64_t i, uint8_t *out,
                  uint64_t room, uint64_t *size) {
    uint64_t key_size;
    uint64_t value_size;
    const uint8_t *key = item(&run.keys, i, &key_size);
    const uint8_t *value = item(&run.values, i, &value_size);
    int result;
    switch (run.op) {
    case READ_MANY:
        return faster_read(session, key, key_size, out, room, size);
    case UPSERT_MANY:
        return faster_upsert(session, key, key_size, value, value_size);
    case RMW_MANY:
        return faster_rmw(session, &run.merge, key, key_size, value, value_size, out,
                          room, size);
    default:
        result = faster_delete(session, key, key_size);
        return result;
    }
}

/* What the single operations give, from item `from` on: into results 1. */
static void by_singles(struct pair *pair) {
    bool fixed = pair->kind != KIT_TEXT;
    uint64_t width = pair->kv[1]->layout.value_size;
    run.offsets[1][0] = 3;
    for (uint64_t i = 0; i < run.count; i++) {
        uint64_t at = fixed ? i * width : run.offsets[1][i];
        uint64_t size = 0;
        int result;
        CHECK(at + 4096 < DATA_MAX, "%" PRIu64, at);
        KIT_RETRY(pair->session[1], result,
                  single(pair->session[1], i, run.data[1] + at, 4096, &size));
        CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND, "%d", result);
        run.flags[1][i] = result == FASTER_OK;
        run.offsets[1][i + 1] = run.offsets[1][i] + (result == FASTER_OK ? size : 0);
    }
}

/* One call of the batch, with `capacity` bytes for results. */
static int call(struct pair *pair, uint64_t capacity, uint64_t *done) {
    struct faster_session *session = pair->session[0];
    struct faster_results results = {run.data[0], capacity, NULL, run.flags[0]};
    results.offsets = pair->kind == KIT_TEXT ? run.offsets[0] : NULL;
    switch (run.op) {
    case READ_MANY:
        return faster_read_many(session, &run.keys.items, run.count, &results, done);
    case UPSERT_MANY:
        return faster_upsert_many(session, &run.keys.items, &run.values.items,
                                  run.count, done);
    case RMW_MANY:
        return faster_rmw_many(session, &run.merge, &run.keys.items, &run.values.items,
                               run.count, &results, done);
    default:
        return faster_delete_many(session, &run.keys.items, run.count, run.flags[0],
                                  done);
    }
}

/* The batch, resumed with more room after each SHORT: into results 0. */
static void by_batch(struct pair *pair) {
    bool sized = pair->kind != KIT_TEXT;
    uint64_t capacity = sized ? DATA_MAX : rng_below(&pair->rng, 2000);
    uint64_t done = 0;
    run.offsets[0][0] = 3;
    capacity = capacity < 3 ? 3 : capacity;
    for (;;) { /* ends: each SHORT is followed by more room */
        uint64_t before = done;
        int result = call(pair, capacity, &done);
        CHECK(done >= before && done <= run.count, "%" PRIu64, done);
        if (result == FASTER_OK) {
            break;
        }
        CHECK_INT(result, FASTER_SHORT);
        CHECK(!sized && capacity < DATA_MAX / 2, "SHORT with %" PRIu64, capacity);
        CHECK_U64(run.offsets[0][done], run.offsets[1][done]);
        CHECK(run.offsets[1][done + 1] > capacity, "SHORT, but there was room");
        capacity += 1 + rng_below(&pair->rng, 8000);
    }
    CHECK_U64(done, run.count);
}

static void compare_results(struct pair *pair) {
    bool gives = run.op == READ_MANY || run.op == RMW_MANY;
    uint64_t width = pair->kv[0]->layout.value_size;
    for (uint64_t i = 0; i < run.count; i++) {
        if (run.op != UPSERT_MANY) {
            CHECK(run.flags[0][i] == run.flags[1][i], "flag of item %" PRIu64, i);
        }
        if (gives && pair->kind == KIT_TEXT) {
            CHECK_U64(run.offsets[0][i + 1], run.offsets[1][i + 1]);
            uint64_t at = run.offsets[0][i];
            CHECK(memcmp(run.data[0] + at, run.data[1] + at,
                         (size_t)(run.offsets[0][i + 1] - at)) == 0,
                  "item %" PRIu64, i);
        } else if (gives) { /* rows of absent keys are left as they were */
            CHECK(memcmp(run.data[0] + i * width, run.data[1] + i * width,
                         (size_t)width) == 0,
                  "item %" PRIu64, i);
        }
    }
}

static void compare_stores(struct pair *pair) {
    struct faster_kv_stats a = kit_stats(pair->kv[0]);
    struct faster_kv_stats b = kit_stats(pair->kv[1]);
    CHECK_U64(faster_session_serial(pair->session[0]),
              faster_session_serial(pair->session[1]));
    CHECK_U64(a.reads_hit, b.reads_hit);
    CHECK_U64(a.reads_missed, b.reads_missed);
    CHECK_U64(a.upserts, b.upserts);
    CHECK_U64(a.rmws, b.rmws);
    CHECK_U64(a.deletes, b.deletes);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(pair->kind, numbers[i]);
        uint8_t out[2][4096];
        uint64_t size[2] = {0, 0};
        int result[2];
        for (int s = 0; s < 2; s++) {
            result[s] = faster_read(pair->session[s], key.data, key.size, out[s],
                                    sizeof out[s], &size[s]);
        }
        CHECK(result[0] == result[1], "key %" PRIu64 ": %d and %d", i, result[0],
              result[1]);
        if (result[0] == FASTER_OK) {
            CHECK_U64(size[0], size[1]);
            CHECK(memcmp(out[0], out[1], (size_t)size[0]) == 0, "key %" PRIu64, i);
        }
    }
}

/* Keep texts from growing beyond what `run` has room for. */
static void forget_long_texts(struct pair *pair) {
    for (uint64_t i = 0; pair->kind == KIT_TEXT && i < KEYS; i++) {
        struct kit_bytes key = kit_key(pair->kind, numbers[i]);
        for (int s = 0; s < 2; s++) {
            (void)kit_delete(pair->session[s], &key);
        }
    }
}

/* `few` buckets for all keys; 0: as they come. */
static void run_pair(enum kit_kind kind, const struct faster_kv_config *config,
                     uint64_t few, uint64_t rounds) {
    struct pair pair = {.kind = kind, .rng = rng_stream((uint64_t)kind)};
    for (int s = 0; s < 2; s++) {
        pair.kv[s] = kit_open_config(config);
        pair.session[s] = kit_session(pair.kv[s]);
    }
    for (uint64_t i = 0, next = 0; i < KEYS; i++) {
        numbers[i] = few == 0 ? i : kit_crowded(pair.kv[0], kind, next, few);
        next = numbers[i] + 1;
    }
    for (uint64_t round = 0; round < rounds; round++) {
        fill(&pair);
        memset(run.data, (int)round, sizeof run.data);
        by_singles(&pair);
        by_batch(&pair);
        compare_results(&pair);
        compare_stores(&pair);
        if (rng_below(&pair.rng, 3) == 0) {
            kit_settle(pair.kv[0]); /* the other store need not do the same */
        }
        if (round % 2 == 1) {
            forget_long_texts(&pair);
        }
    }
    for (int s = 0; s < 2; s++) {
        CHECK_INT(index_audit(&pair.kv[s]->index), 0);
        kit_close(pair.kv[s], pair.session[s]);
    }
}

static void i2_words_like_singles(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    run_pair(KIT_WORD, &config, 0, harness_count(300));
}

static void i2_wide_values_like_singles(void) {
    struct faster_kv_config config = kit_config(KIT_WIDE);
    run_pair(KIT_WIDE, &config, 0, harness_count(150));
}

static void i2_texts_like_singles(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    run_pair(KIT_TEXT, &config, 0, harness_count(200));
}

/* All keys in few buckets: the pipeline's short way finds little. */
static void i2_crowded_words_like_singles(void) {
    struct faster_kv_config config = kit_config_crowded(KIT_WORD);
    run_pair(KIT_WORD, &config, 3, harness_count(100));
}

static void i2_crowded_texts_like_singles(void) {
    struct faster_kv_config config = kit_config_crowded(KIT_TEXT);
    run_pair(KIT_TEXT, &config, 2, harness_count(60));
}

/* I1, R3: an item that depends on one before it in the same block sees it, also where
 * both must be copied: a stale lookup must not decide. */
static void i1_an_item_sees_the_items_before_it(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    uint64_t keys[4] = {1, 1, 1, 1};
    int64_t start = INT64_MAX - 10;
    int64_t inputs[4] = {-100, 50, -INT64_MAX, 3};
    int64_t out[4] = {0};
    struct faster_items key_items = {(uint8_t *)keys, NULL, 8, 8};
    struct faster_items input_items = {(uint8_t *)inputs, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)out, sizeof out, NULL, NULL};
    for (int settled = 0; settled < 2; settled++) {
        uint64_t done = 0;
        CHECK_INT(kit_put_word(session, 1, (uint64_t)start), FASTER_OK);
        if (settled != 0) {
            kit_settle(kv);
        }
        CHECK_INT(faster_rmw_many(session, &add, &key_items, &input_items, 4, &results,
                                  &done),
                  FASTER_OK);
        CHECK_U64(done, 4);
        CHECK_INT(out[0], start - 100);
        CHECK_INT(out[1], start - 50);
        CHECK_INT(out[2], start - 50 - INT64_MAX);
        CHECK_INT(out[3], start - 50 - INT64_MAX + 3);
    }
    kit_close(kv, session);
}

/* I2: an item that fails stops the batch exactly there: before it all is done, from it
 * on nothing; the caller may go on behind it. */
static void i2_an_error_stops_exactly_there(void) {
    enum { COUNT = 600 };
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    uint64_t keys[COUNT];
    uint64_t inputs[COUNT];
    for (uint64_t bad = 0; bad < COUNT; bad += 37) {
        struct faster_kv *kv = kit_open(KIT_WORD);
        struct faster_session *session = kit_session(kv);
        struct faster_items key_items = {(uint8_t *)keys, NULL, 8, 8};
        struct faster_items input_items = {(uint8_t *)inputs, NULL, 8, 8};
        uint64_t done = 0;
        for (uint64_t i = 0; i < COUNT; i++) {
            keys[i] = i;
            inputs[i] = i + 1;
        }
        CHECK_INT(kit_put_word(session, bad, INT64_MAX), FASTER_OK);
        uint64_t serial = faster_session_serial(session);
        CHECK_INT(faster_rmw_many(session, &add, &key_items, &input_items, COUNT, NULL,
                                  &done),
                  FASTER_E_OVERFLOW);
        CHECK_U64(done, bad);
        CHECK_U64(faster_session_serial(session), serial + bad);
        for (uint64_t i = 0; i < COUNT; i++) {
            uint64_t value = 0;
            int result = kit_get_word(session, i, &value);
            CHECK_INT(result, i <= bad ? FASTER_OK : FASTER_NOT_FOUND);
            CHECK_U64(value, i < bad ? i + 1 : i == bad ? INT64_MAX : 0);
        }
        done++;
        CHECK_INT(faster_rmw_many(session, &add, &key_items, &input_items, COUNT, NULL,
                                  &done),
                  FASTER_OK);
        CHECK_U64(done, COUNT);
        CHECK_U64(faster_session_serial(session), serial + COUNT - 1);
        CHECK_U64(kit_stats(kv).rmws, COUNT - 1);
        kit_close(kv, session);
    }
}

/* Sizes are refused before anything is done, wherever the wrong one stands. */
static void limits_wrong_sizes_are_refused_first(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    static uint8_t data[4096];
    uint64_t offsets[301];
    uint64_t done = 0;
    struct faster_items right = {data, NULL, 8, 8};
    struct faster_items wrong = {data, NULL, 7, 8};
    struct faster_items mixed = {data, offsets, 0, 0};
    struct faster_results results = {data, sizeof data, NULL, NULL};
    for (uint64_t i = 0; i <= 300; i++) {
        offsets[i] = i * 8 - (i > 298); /* item 298 has 7 bytes */
    }
    CHECK_INT(faster_upsert_many(session, &wrong, &right, 10, &done),
              FASTER_E_KEY_SIZE);
    CHECK_INT(faster_upsert_many(session, &right, &wrong, 10, &done),
              FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_upsert_many(session, &mixed, &right, 300, &done),
              FASTER_E_KEY_SIZE);
    CHECK_INT(faster_upsert_many(session, &right, &mixed, 300, &done),
              FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_read_many(session, &mixed, 300, &results, &done),
              FASTER_E_KEY_SIZE);
    CHECK_INT(faster_delete_many(session, &wrong, 1, NULL, &done), FASTER_E_KEY_SIZE);
    CHECK_U64(done, 0);
    CHECK_U64(faster_session_serial(session), 0);
    CHECK_INT(faster_upsert_many(session, &wrong, &wrong, 0, &done), FASTER_OK);
    CHECK_INT(faster_upsert_many(session, &mixed, &right, 298, &done), FASTER_OK);
    CHECK_U64(done, 298);
    CHECK_INT(faster_upsert_many(session, &mixed, &right, 298, &done), FASTER_OK);
    CHECK_U64(faster_session_serial(session), 298);
    kit_close(kv, session);
}

/* FULL in the middle of a batch: what was done is there, the rest is not. */
static void i2_full_stops_exactly_there(void) {
    enum { COUNT = 6000 }; /* records are larger than the budget */
    static uint64_t keys[COUNT];
    struct faster_kv_config config = kit_config(KIT_WORD);
    config.page_size = 4096;
    config.memory = 128 << 10;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    struct faster_items items = {(uint8_t *)keys, NULL, 8, 8};
    uint64_t done = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        keys[i] = i;
    }
    uint64_t stood;
    do { /* ends: a growth that ends gives memory back, and there are few */
        while (atomic_load_explicit(&kv->index.growing, memory_order_acquire)) {
            thread_yield(); /* ends: the worker walks on */
        }
        stood = done;
        CHECK_INT(faster_upsert_many(session, &items, &items, COUNT, &done),
                  FASTER_E_FULL);
        CHECK(done > 500 && done < COUNT, "%" PRIu64, done);
        CHECK_U64(faster_session_serial(session), done);
    } while (done != stood);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t value = 0;
        CHECK_INT(kit_get_word(session, i, &value),
                  i < done ? FASTER_OK : FASTER_NOT_FOUND);
        CHECK_U64(value, i < done ? i : 0);
    }
    kit_close(kv, session);
}

/* A record that somebody holds, in the middle of a batch. */
struct held {
    struct faster_kv *kv;
    struct faster_session *session;
    struct record *record;
    uint32_t seq;
};

static void batch_or_release(void *context, uint32_t thread) {
    enum { COUNT = 300 };
    struct held *held = context;
    if (thread == 1) {
        _Atomic uint64_t *retries = &held->session->counts[COUNT_RETRY];
        /* relaxed: a figure.  Ends: the batch retries until the record is free. */
        while (atomic_load_explicit(retries, memory_order_relaxed) < 5 * ATTEMPTS_MAX) {
            thread_yield();
        }
        record_unlock(held->record, held->seq);
        return;
    }
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    uint64_t keys[COUNT];
    uint64_t out[COUNT];
    uint64_t done = 0;
    struct faster_items items = {(uint8_t *)keys, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)out, sizeof out, NULL, NULL};
    for (uint64_t i = 0; i < COUNT; i++) {
        keys[i] = i;
    }
    CHECK_INT(
        faster_rmw_many(held->session, &add, &items, &items, COUNT, &results, &done),
        FASTER_OK);
    CHECK_U64(done, COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        CHECK_U64(out[i], i == 150 ? 1150 : i);
    }
}

/* Progress: a record that is locked for long holds the batch up, outside the epoch, and
 * costs it nothing else. */
static void e4_a_batch_waits_outside_for_a_locked_record(void) {
    struct held held = {.kv = kit_open(KIT_WORD)};
    held.session = kit_session(held.kv);
    struct kit_bytes key = kit_key(KIT_WORD, 150);
    uint64_t address;
    CHECK_INT(kit_put_word(held.session, 150, 1000), FASTER_OK);
    held.record = kit_record(held.session, &key, &address);
    CHECK_INT(record_lock(held.record, &held.seq), FASTER_OK);
    harness_threads(2, batch_or_release, &held);
    CHECK_U64(faster_session_serial(held.session), 301);
    CHECK_U64(kit_stats(held.kv).rmws, 300);
    kit_close(held.kv, held.session);
}

HARNESS_MAIN(TEST(i2_words_like_singles), TEST(i2_wide_values_like_singles),
             TEST(i2_texts_like_singles), TEST(i2_crowded_words_like_singles),
             TEST(i2_crowded_texts_like_singles),
             TEST(i1_an_item_sees_the_items_before_it),
             TEST(i2_an_error_stops_exactly_there),
             TEST(limits_wrong_sizes_are_refused_first),
             TEST(i2_full_stops_exactly_there),
             TEST(e4_a_batch_waits_outside_for_a_locked_record))
