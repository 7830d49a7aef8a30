/* SPDX-License-Identifier: MIT */
/*
 * Batches of several threads: every item does what the single operation would, in
 * order, whatever the others do to the index meanwhile, and a batch that stops says
 * exactly where it stood.
 *
 * Each thread has keys of its own and a model of them; the counters are everybody's and
 * only added to.  A batch draws from few keys, so that many of its items have the same.
 */
#include "store/torture.h"

enum {
    THREADS = 4,
    COUNTERS = 24,
    OWNED = 3000,
    ITEMS = 700, /* more than two blocks */
    VALUE_MAX = 120,
    FIRST = 1000000 /* thread t's keys are numbered from (t + 1) * FIRST on */
};

enum shape {
    WORDS,   /* fixed, 8 + 8 bytes: the stages made for them */
    NARROW,  /* fixed, 8 + 4 bytes */
    NUMBERS, /* varlen keys, 8-byte numbers */
    TEXTS,   /* varlen keys and values; appended to instead of added to */
    SHAPES
};

struct shared {
    struct faster_kv *kv;
    enum shape shape;
    uint64_t batches;
    uint64_t added[THREADS][COUNTERS];
};

/* The items of one batch, in both forms. */
struct items {
    uint8_t data[ITEMS * VALUE_MAX];
    uint64_t offsets[ITEMS + 1];
    struct faster_items items;
};

struct own {
    struct shared *shared;
    struct faster_session *session;
    struct rng rng;
    uint32_t thread;
    uint64_t range;        /* own keys of this batch: below it */
    uint64_t model[OWNED]; /* the number of each key, 0: absent */
    uint64_t seen[COUNTERS];

    /* the present batch */
    uint64_t count;
    uint64_t numbers[ITEMS]; /* of its keys */
    struct items keys;
    struct items values;
    struct items results;
    uint8_t flags[ITEMS];
};

static bool is_fixed(enum shape shape) { return shape == WORDS || shape == NARROW; }

static uint64_t value_size(enum shape shape, uint64_t number) {
    return shape == TEXTS ? 8 + number % (VALUE_MAX - 8) : shape == NARROW ? 4 : 8;
}

static struct kit_bytes value_of(enum shape shape, uint64_t number) {
    struct kit_bytes value = {.size = value_size(shape, number)};
    memcpy(value.data, &number, 8);
    for (uint64_t i = 8; i < value.size; i++) {
        value.data[i] = (uint8_t)(number + i);
    }
    return value;
}

static uint64_t number_of(enum shape shape, const uint8_t *data, uint64_t size) {
    uint64_t number = 0;
    memcpy(&number, data, size < 8 ? (size_t)size : 8);
    struct kit_bytes whole = value_of(shape, number);
    CHECK(size == whole.size && memcmp(data, whole.data, (size_t)size) == 0,
          "a torn value of %" PRIu64 " bytes", size);
    return number;
}

static uint64_t own_number(const struct own *own, uint64_t i) {
    return (uint64_t)(own->thread + 1) * FIRST + i;
}

static struct kit_bytes key_of(enum shape shape, uint64_t number) {
    return kit_key(is_fixed(shape) ? KIT_WORD : KIT_TEXT, number);
}

/* ---- Making a batch ---- */

static void begin_items(struct items *items) { items->offsets[0] = 0; }

static void add_item(struct items *items, uint64_t i, const struct kit_bytes *bytes) {
    memcpy(items->data + items->offsets[i], bytes->data, (size_t)bytes->size);
    items->offsets[i + 1] = items->offsets[i] + bytes->size;
}

/* Fixed sizes go with and without offsets. */
static void end_items(struct own *own, struct items *items, uint64_t size) {
    bool strided = is_fixed(own->shared->shape) && rng_below(&own->rng, 4) != 0;
    items->items = (struct faster_items){.data = items->data,
                                         .offsets = strided ? NULL : items->offsets,
                                         .size = strided ? size : 0,
                                         .stride = strided ? size : 0};
}

/* Keys for a batch: own ones of a narrow or wide range, and perhaps counters. */
static void make_keys(struct own *own, bool counters) {
    own->count = 1 + rng_below(&own->rng, ITEMS);
    own->range = rng_below(&own->rng, 3) == 0 ? 20 : OWNED;
    begin_items(&own->keys);
    for (uint64_t n = 0; n < own->count; n++) {
        bool counter = counters && rng_below(&own->rng, 4) == 0;
        own->numbers[n] = counter ? rng_below(&own->rng, COUNTERS)
                                  : own_number(own, rng_below(&own->rng, own->range));
        struct kit_bytes key = key_of(own->shared->shape, own->numbers[n]);
        add_item(&own->keys, n, &key);
    }
    end_items(own, &own->keys, 8);
    memset(own->flags, 2, sizeof own->flags);
}

/* Results in rows, or appended with room for `room` bytes. */
static struct faster_results results_in(struct own *own, uint64_t room) {
    bool fixed = is_fixed(own->shared->shape);
    begin_items(&own->results);
    memset(own->results.data, 0xee, sizeof own->results.data);
    return (struct faster_results){
        .data = own->results.data,
        .capacity = fixed ? sizeof own->results.data : room,
        .offsets = fixed ? NULL : own->results.offsets,
        .flags = own->flags,
    };
}

static uint64_t result_number(struct own *own, uint64_t n) {
    enum shape shape = own->shared->shape;
    uint64_t width = value_size(shape, 0);
    if (is_fixed(shape)) {
        return number_of(shape, own->results.data + n * width, width);
    }
    uint64_t at = own->results.offsets[n];
    return number_of(shape, own->results.data + at, own->results.offsets[n + 1] - at);
}

/* ---- Batches against the model ---- */

static void see_counter(struct own *own, uint64_t i, uint64_t number, uint64_t more) {
    CHECK(number >= own->seen[i] + more,
          "counter %" PRIu64 ": %" PRIu64 " after %" PRIu64 " and %" PRIu64, i, number,
          own->seen[i], more);
    own->seen[i] = number;
}

static void check_serial(struct own *own, uint64_t before, uint64_t updates) {
    CHECK_U64(faster_session_serial(own->session) - before, updates);
}

static void upsert_batch(struct own *own) {
    enum shape shape = own->shared->shape;
    uint64_t before = faster_session_serial(own->session);
    uint64_t done = 0;
    make_keys(own, false);
    begin_items(&own->values);
    for (uint64_t n = 0; n < own->count; n++) {
        uint64_t number = 1 + rng_below(&own->rng, 1 << 20);
        struct kit_bytes value = value_of(shape, number);
        add_item(&own->values, n, &value);
        own->model[own->numbers[n] % FIRST] = number;
    }
    end_items(own, &own->values, value_size(shape, 0));
    CHECK_INT(faster_upsert_many(own->session, &own->keys.items, &own->values.items,
                                 own->count, &done),
              FASTER_OK);
    CHECK_U64(done, own->count);
    check_serial(own, before, own->count);
}

static void delete_batch(struct own *own) {
    uint64_t before = faster_session_serial(own->session);
    uint64_t done = 0;
    make_keys(own, false);
    CHECK_INT(faster_delete_many(own->session, &own->keys.items, own->count, own->flags,
                                 &done),
              FASTER_OK);
    CHECK_U64(done, own->count);
    check_serial(own, before, own->count);
    for (uint64_t n = 0; n < own->count; n++) {
        uint64_t *model = &own->model[own->numbers[n] % FIRST];
        CHECK(own->flags[n] == (*model != 0), "item %" PRIu64 ": %u, had %" PRIu64, n,
              own->flags[n], *model);
        *model = 0;
    }
}

/* A batch that ran short goes on with more room. */
static void read_batch(struct own *own) {
    uint64_t done = 0;
    make_keys(own, true);
    uint64_t room = own->count * rng_below(&own->rng, VALUE_MAX);
    struct faster_results results = results_in(own, room);
    int result;
    while ((result = faster_read_many(own->session, &own->keys.items, own->count,
                                      &results, &done)) == FASTER_SHORT) {
        CHECK(done < own->count && results.capacity < sizeof own->results.data,
              "short at %" PRIu64 " with room for %" PRIu64, done, results.capacity);
        results.capacity += VALUE_MAX;
    }
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(done, own->count);
    for (uint64_t n = 0; n < own->count; n++) {
        uint64_t i = own->numbers[n] % FIRST;
        bool counter = own->numbers[n] < FIRST;
        bool there = counter || own->model[i] != 0;
        CHECK(own->flags[n] == there, "item %" PRIu64 ": %u", n, own->flags[n]);
        if (counter) {
            see_counter(own, i, result_number(own, n), 0);
        } else if (there) {
            CHECK_U64(result_number(own, n), own->model[i]);
        }
    }
}

static int64_t add_text(uint8_t *value, int64_t size, int64_t capacity,
                        const uint8_t *input, int64_t input_size) {
    uint64_t number = 0;
    uint64_t more;
    (void)input_size;
    memcpy(&more, input, 8);
    if (size >= 0) {
        memcpy(&number, value, 8);
    }
    struct kit_bytes merged = value_of(TEXTS, number + more);
    if ((int64_t)merged.size <= capacity) {
        memcpy(value, merged.data, (size_t)merged.size);
    }
    return (int64_t)merged.size;
}

static void make_amounts(struct own *own, uint64_t *amounts) {
    enum shape shape = own->shared->shape;
    begin_items(&own->values);
    for (uint64_t n = 0; n < own->count; n++) {
        amounts[n] = 1 + rng_below(&own->rng, 3);
        struct kit_bytes amount = {.size = shape == NARROW ? 4 : 8};
        memcpy(amount.data, &amounts[n], 8);
        add_item(&own->values, n, &amount);
    }
    end_items(own, &own->values, value_size(shape, 0));
}

static void note_adds(struct own *own, const uint64_t *amounts, bool wanted) {
    for (uint64_t n = 0; n < own->count; n++) {
        uint64_t i = own->numbers[n] % FIRST;
        if (own->numbers[n] < FIRST) {
            own->shared->added[own->thread][i] += amounts[n];
            if (wanted) {
                see_counter(own, i, result_number(own, n), amounts[n]);
            }
            continue;
        }
        own->model[i] += amounts[n];
        if (wanted) {
            CHECK_U64(result_number(own, n), own->model[i]);
        }
    }
}

static void add_batch(struct own *own) {
    uint64_t amounts[ITEMS];
    uint64_t before = faster_session_serial(own->session);
    uint64_t done = 0;
    bool wanted = rng_below(&own->rng, 3) != 0;
    struct faster_merge merge = {.kind = FASTER_MERGE_ADD};
    if (own->shared->shape == TEXTS) {
        merge = (struct faster_merge){.kind = FASTER_MERGE_NATIVE, .native = add_text};
    }
    make_keys(own, true);
    make_amounts(own, amounts);
    uint64_t room = own->count * rng_below(&own->rng, VALUE_MAX);
    struct faster_results results = results_in(own, room);
    int result;
    while ((result = faster_rmw_many(
                own->session, &merge, &own->keys.items, &own->values.items, own->count,
                wanted ? &results : NULL, &done)) == FASTER_SHORT) {
        CHECK(done < own->count && results.capacity < sizeof own->results.data,
              "short at %" PRIu64 " with room for %" PRIu64, done, results.capacity);
        check_serial(own, before, done);
        results.capacity += VALUE_MAX;
    }
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(done, own->count);
    check_serial(own, before, own->count);
    note_adds(own, amounts, wanted);
}

static void check_own(struct own *own) {
    enum shape shape = own->shared->shape;
    for (uint64_t i = 0; i < OWNED; i++) {
        struct kit_bytes key = key_of(shape, own_number(own, i));
        struct kit_bytes value = value_of(shape, own->model[i]);
        kit_expect(own->session, &key, own->model[i] != 0 ? &value : NULL);
    }
}

static void run_batches(void *context, uint32_t thread) {
    static void (*const kinds[])(struct own *) = {
        upsert_batch, delete_batch, read_batch, read_batch, add_batch, add_batch};
    struct own *own = calloc(1, sizeof *own);
    CHECK(own != NULL, "no memory");
    own->shared = context;
    own->session = kit_session(own->shared->kv);
    own->rng = rng_stream(thread);
    own->thread = thread;
    for (uint64_t n = 0; n < own->shared->batches; n++) {
        kinds[rng_below(&own->rng, sizeof kinds / sizeof kinds[0])](own);
        if (rng_below(&own->rng, 8) == 0) {
            (void)hlog_shift_read_only(&own->shared->kv->log);
        }
        if (n % 16 == thread * 4) {
            int result = faster_kv_grow_index(own->shared->kv);
            CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
        }
    }
    check_own(own);
    faster_session_free(own->session);
    free(own);
}

static void check_counters(struct shared *shared, struct faster_session *session) {
    for (uint64_t i = 0; i < COUNTERS; i++) {
        uint64_t sum = 0;
        for (uint32_t thread = 0; thread < THREADS; thread++) {
            sum += shared->added[thread][i];
        }
        struct kit_bytes key = key_of(shared->shape, i);
        struct kit_bytes value = value_of(shared->shape, sum);
        kit_expect(session, &key, &value);
    }
}

static struct faster_kv_config config_of(enum shape shape) {
    struct faster_kv_config config = kit_config(is_fixed(shape) ? KIT_WORD : KIT_TEXT);
    config.expected_keys = 1; /* the smallest index */
    if (shape == NARROW) {
        config.value_type = FASTER_TYPE_U32;
        config.value_size = 4;
    } else if (shape == NUMBERS) {
        config.value_type = FASTER_TYPE_I64;
    }
    return config;
}

static void run_shape(enum shape shape) {
    struct shared shared = {.shape = shape, .batches = harness_count(64)};
    struct faster_kv_config config = config_of(shape);
    config.index_permille = 100;
    shared.kv = kit_open_config(&config);
    struct faster_session *session = kit_session(shared.kv);
    for (uint64_t i = 0; i < COUNTERS; i++) {
        struct kit_bytes key = key_of(shape, i);
        struct kit_bytes zero = value_of(shape, 0);
        CHECK_INT(kit_insert(session, &key, &zero), FASTER_OK);
    }
    harness_threads(THREADS, run_batches, &shared);
    check_counters(&shared, session);
    torture_close(shared.kv, session);
}

/* batch.h I2: results, flags, serials and effects, item by item. */
static void i2_batches_agree_with_their_models(void) {
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape);
    }
}

/*
 * The budget's end in the middle of batches.  Every thread puts new keys until there is
 * no room, and is told how many of them are in.
 */
enum {
    FULL_MEMORY = 1 << 20,
    FULL_FORCED = FULL_MEMORY / 2, /* overflow buckets without which no split ends */
    FULL_KEYS = 1 << 16
};

struct full {
    struct faster_kv *kv;
    enum shape shape;
    uint64_t put[THREADS]; /* keys of each thread that are in */
};

static void make_fresh(struct own *own, uint64_t first) {
    enum shape shape = own->shared->shape;
    own->count = 1 + rng_below(&own->rng, ITEMS);
    begin_items(&own->keys);
    begin_items(&own->values);
    for (uint64_t n = 0; n < own->count; n++) {
        struct kit_bytes key = key_of(shape, own_number(own, first + n));
        struct kit_bytes value = value_of(shape, first + n + 1);
        add_item(&own->keys, n, &key);
        add_item(&own->values, n, &value);
    }
    end_items(own, &own->keys, 8);
    end_items(own, &own->values, value_size(shape, 0));
}

/* Keys of this thread below `put` are in, with their values; the next is not. */
static void check_put(struct own *own, uint64_t put) {
    enum shape shape = own->shared->shape;
    for (uint64_t i = 0; i <= put; i++) {
        struct kit_bytes key = key_of(shape, own_number(own, i));
        struct kit_bytes value = value_of(shape, i + 1);
        kit_expect(own->session, &key, i < put ? &value : NULL);
    }
}

static void fill(void *context, uint32_t thread) {
    struct full *full = context;
    struct shared shared = {.kv = full->kv, .shape = full->shape};
    struct own *own = calloc(1, sizeof *own);
    uint64_t put = 0;
    int result = FASTER_OK;
    CHECK(own != NULL, "no memory");
    own->shared = &shared;
    own->session = kit_session(full->kv);
    own->rng = rng_stream(500 + thread);
    own->thread = thread;
    while (result == FASTER_OK) { /* ends with the budget */
        uint64_t done = 0;
        make_fresh(own, put);
        result = faster_upsert_many(own->session, &own->keys.items, &own->values.items,
                                    own->count, &done);
        CHECK(result == FASTER_E_FULL || done == own->count, "%d after %" PRIu64,
              result, done);
        put += done;
        check_serial(own, 0, put);
        CHECK(put < FULL_KEYS, "%" PRIu64 " keys in %d bytes", put, FULL_MEMORY);
    }
    CHECK_INT(result, FASTER_E_FULL);
    check_put(own, put);
    full->put[thread] = put;
    faster_session_free(own->session);
    free(own);
}

static uint64_t count_all(struct faster_session *session, enum shape shape) {
    static uint8_t keys[ITEMS * KIT_KEY_MAX];
    static uint64_t offsets[ITEMS + 1];
    struct faster_results results = {keys, sizeof keys,
                                     is_fixed(shape) ? NULL : offsets, NULL};
    struct faster_cursor cursor = {.position = 0};
    uint64_t need[2];
    uint64_t all = 0;
    uint64_t found = 1;
    while (found != 0) { /* ends with the log */
        CHECK_INT(faster_scan_next(session, &cursor, &results, NULL, ITEMS, &found,
                                   &need[0], &need[1]),
                  FASTER_OK);
        all += found;
    }
    return all;
}

static void run_full(enum shape shape) {
    struct full full = {.shape = shape};
    struct faster_kv_config config = config_of(shape);
    config.memory = FULL_MEMORY;
    config.page_size = 16 << 10;
    full.kv = kit_open_config(&config);
    struct faster_session *session = kit_session(full.kv);
    harness_threads(THREADS, fill, &full);
    uint64_t put = 0;
    for (uint32_t thread = 0; thread < THREADS; thread++) {
        put += full.put[thread];
    }
    torture_grown(session);
    struct faster_kv_stats stats = kit_stats(full.kv);
    uint64_t used = stats.log_bytes + stats.index_bytes;
    CHECK_U64(budget_used(&full.kv->budget), used);
    CHECK(used <= FULL_MEMORY + FULL_FORCED, "%" PRIu64 " and %" PRIu64 " bytes",
          stats.log_bytes, stats.index_bytes);
    CHECK_U64(stats.upserts, put);
    CHECK_U64(count_all(session, shape), put);
    torture_close(full.kv, session);
}

/* A full store has every item that was counted as done, and no other. */
static void i2_a_full_store_loses_nothing(void) {
    for (uint64_t round = harness_count(3); round > 0; round--) {
        for (int shape = 0; shape < SHAPES; shape++) {
            run_full((enum shape)shape);
        }
    }
}

HARNESS_MAIN(TEST(i2_batches_agree_with_their_models),
             TEST(i2_a_full_store_loses_nothing))
