/* SPDX-License-Identifier: MIT */
/*
 * Everything at once: all operations, scans and views, while the index doubles, regions
 * move and sessions come and go.
 *
 * Each thread has keys of its own, and a model that says what every operation on them
 * must answer.  The counters are everybody's: they are only added to, so none of them
 * may ever be seen to fall, and in the end each has what was added.  A value is a
 * number and, where values are longer than a word, bytes that follow from it.
 */
#include "store/torture.h"

enum {
    THREADS = 4,
    COUNTERS = 16,
    OWNED = 400,
    SESSIONS_MAX = 3,
    ROWS = 64,
    FIRST = 1000000, /* thread t's keys are numbered from (t + 1) * FIRST on */
    TEXT_SPREAD = 90 /* sizes of texts beyond their number */
};

enum shape {
    WORDS,   /* fixed, 8 + 8 bytes */
    WIDE,    /* fixed, 8 + 100 bytes */
    NUMBERS, /* varlen keys, 8-byte numbers */
    TEXTS,   /* varlen keys, values that grow and shrink */
    SHAPES
};

struct shared {
    struct faster_kv *kv;
    enum shape shape;
    uint32_t session_count; /* of each thread */
    uint64_t steps;
    uint64_t added[THREADS][COUNTERS];
    uint64_t live[THREADS]; /* keys, when the thread has ended */
};

struct own {
    struct shared *shared;
    struct rng rng;
    uint32_t thread;

    struct faster_session *session; /* the one for the next operation */
    struct faster_session *sessions[SESSIONS_MAX];
    uint64_t serials[SESSIONS_MAX]; /* updates done through each */
    uint32_t current;

    uint64_t model[OWNED]; /* the number of each key, 0: absent */
    uint64_t seen[COUNTERS];
};

static enum kit_kind kind_of(enum shape shape) {
    return shape == WORDS ? KIT_WORD : shape == WIDE ? KIT_WIDE : KIT_TEXT;
}

static uint64_t own_number(const struct own *own, uint64_t i) {
    return (uint64_t)(own->thread + 1) * FIRST + i;
}

static struct kit_bytes key_of(const struct own *own, uint64_t number) {
    return kit_key(kind_of(own->shared->shape), number);
}

static uint64_t size_of(enum shape shape, uint64_t number) {
    return shape == WIDE    ? KIT_WIDE_SIZE
           : shape == TEXTS ? 8 + number % TEXT_SPREAD
                            : 8;
}

static void write_number(enum shape shape, uint64_t number, uint8_t *data) {
    memcpy(data, &number, 8);
    for (uint64_t i = 8; i < size_of(shape, number); i++) {
        data[i] = (uint8_t)(number * 5 + i);
    }
}

static struct kit_bytes value_of(const struct own *own, uint64_t number) {
    struct kit_bytes value = {.size = size_of(own->shared->shape, number)};
    write_number(own->shared->shape, number, value.data);
    return value;
}

static uint64_t number_of(const struct own *own, const uint8_t *data, uint64_t size) {
    uint64_t number = 0;
    CHECK(size >= 8, "a value of %" PRIu64 " bytes", size);
    memcpy(&number, data, 8);
    struct kit_bytes whole = value_of(own, number);
    CHECK(size == whole.size && memcmp(data, whole.data, (size_t)size) == 0,
          "a torn value of %" PRIu64 " bytes", size);
    return number;
}

/* Adding where values are longer than their number. */
static int64_t add_in(enum shape shape, uint8_t *value, int64_t value_size,
                      int64_t capacity, const uint8_t *input) {
    uint64_t number = 0;
    uint64_t more;
    memcpy(&more, input, 8);
    if (value_size >= 0) {
        memcpy(&number, value, 8);
    }
    int64_t size = (int64_t)size_of(shape, number + more);
    if (size <= capacity) {
        write_number(shape, number + more, value);
    }
    return size;
}

static int64_t add_wide(uint8_t *value, int64_t value_size, int64_t capacity,
                        const uint8_t *input, int64_t input_size) {
    (void)input_size;
    return add_in(WIDE, value, value_size, capacity, input);
}

static int64_t add_text(uint8_t *value, int64_t value_size, int64_t capacity,
                        const uint8_t *input, int64_t input_size) {
    (void)input_size;
    return add_in(TEXTS, value, value_size, capacity, input);
}

static struct faster_merge adding(enum shape shape) {
    struct faster_merge merge = {.kind = FASTER_MERGE_ADD};
    if (shape == WIDE || shape == TEXTS) {
        merge.kind = FASTER_MERGE_NATIVE;
        merge.native = shape == WIDE ? add_wide : add_text;
    }
    return merge;
}

/* ---- Sessions ---- */

static void open_one(struct own *own, uint32_t i) {
    own->sessions[i] = kit_session(own->shared->kv);
    own->serials[i] = 0;
}

static void close_one(struct own *own, uint32_t i) {
    CHECK_U64(faster_session_serial(own->sessions[i]), own->serials[i]);
    CHECK_INT(faster_session_close(own->sessions[i]), FASTER_OK);
    faster_session_free(own->sessions[i]);
}

static void use(struct own *own, uint32_t i) {
    own->current = i;
    own->session = own->sessions[i];
}

static void use_any(struct own *own) {
    use(own, (uint32_t)rng_below(&own->rng, own->shared->session_count));
}

/* The update that has just been made took one serial number. */
static void number_one(struct own *own) {
    own->serials[own->current]++;
    CHECK_U64(faster_session_serial(own->session), own->serials[own->current]);
}

/* ---- Operations ---- */

static uint64_t add_to(struct own *own, uint64_t key_number, uint64_t amount) {
    struct faster_merge merge = adding(own->shared->shape);
    struct kit_bytes key = key_of(own, key_number);
    struct kit_bytes input = {.size = 8};
    struct kit_bytes merged;
    memcpy(input.data, &amount, 8);
    CHECK_INT(kit_rmw(own->session, &merge, &key, &input, &merged), FASTER_OK);
    number_one(own);
    return number_of(own, merged.data, merged.size);
}

static void see_counter(struct own *own, uint64_t i, uint64_t number) {
    CHECK(number >= own->seen[i], "counter %" PRIu64 ": %" PRIu64 " after %" PRIu64, i,
          number, own->seen[i]);
    own->seen[i] = number;
}

static void add_to_counter(struct own *own) {
    uint64_t i = rng_below(&own->rng, COUNTERS);
    uint64_t amount = 1 + rng_below(&own->rng, 3);
    uint64_t number = add_to(own, i, amount);
    CHECK(number >= own->seen[i] + amount,
          "counter %" PRIu64 ": %" PRIu64 " after %" PRIu64 " and %" PRIu64, i, number,
          own->seen[i], amount);
    see_counter(own, i, number);
    own->shared->added[own->thread][i] += amount;
}

static void read_counter(struct own *own) {
    uint64_t i = rng_below(&own->rng, COUNTERS);
    struct kit_bytes key = key_of(own, i);
    struct kit_bytes value;
    CHECK_INT(kit_read(own->session, &key, &value), FASTER_OK);
    see_counter(own, i, number_of(own, value.data, value.size));
}

static void check_own(struct own *own, uint64_t i) {
    struct kit_bytes key = key_of(own, own_number(own, i));
    struct kit_bytes value = value_of(own, own->model[i]);
    kit_expect(own->session, &key, own->model[i] != 0 ? &value : NULL);
}

static uint64_t any_number(struct own *own) {
    return 1 + rng_below(&own->rng, 1 << 20);
}

static void put_own(struct own *own, uint64_t i, bool only_absent) {
    uint64_t number = any_number(own);
    struct kit_bytes key = key_of(own, own_number(own, i));
    struct kit_bytes value = value_of(own, number);
    bool refused = only_absent && own->model[i] != 0;
    CHECK_INT(only_absent ? kit_insert(own->session, &key, &value)
                          : kit_upsert(own->session, &key, &value),
              refused ? FASTER_EXISTS : FASTER_OK);
    number_one(own);
    own->model[i] = refused ? own->model[i] : number;
}

static void delete_own(struct own *own, uint64_t i) {
    struct kit_bytes key = key_of(own, own_number(own, i));
    CHECK_INT(kit_delete(own->session, &key),
              own->model[i] != 0 ? FASTER_OK : FASTER_NOT_FOUND);
    number_one(own);
    own->model[i] = 0;
}

static void compare_own(struct own *own, uint64_t i) {
    uint64_t number = any_number(own);
    bool right = rng_below(&own->rng, 3) != 0;
    struct kit_bytes key = key_of(own, own_number(own, i));
    struct kit_bytes expected = value_of(own, own->model[i] + !right);
    struct kit_bytes value = value_of(own, number);
    CHECK_INT(kit_compare(own->session, &key, &expected, &value),
              own->model[i] == 0 ? FASTER_NOT_FOUND
              : right            ? FASTER_OK
                                 : FASTER_MISMATCH);
    number_one(own);
    own->model[i] = own->model[i] != 0 && right ? number : own->model[i];
}

static void add_to_own(struct own *own, uint64_t i) {
    uint64_t amount = 1 + rng_below(&own->rng, 1000);
    own->model[i] += amount;
    CHECK_U64(add_to(own, own_number(own, i), amount), own->model[i]);
}

static void change_own(struct own *own, uint64_t i) {
    uint64_t dice = rng_below(&own->rng, 100);
    if (dice < 35) {
        put_own(own, i, false);
    } else if (dice < 50) {
        put_own(own, i, true);
    } else if (dice < 68) {
        delete_own(own, i);
    } else if (dice < 84) {
        compare_own(own, i);
    } else {
        add_to_own(own, i);
    }
}

/* What was borrowed stays as it was while the key goes on. */
static void view_own(struct own *own, uint64_t i) {
    struct kit_bytes key = key_of(own, own_number(own, i));
    uint64_t number = own->model[i];
    struct faster_view view;
    int result;
    KIT_RETRY(own->session, result,
              faster_view_open(own->session, key.data, key.size, &view));
    if (result == FASTER_OK) {
        change_own(own, i);
        CHECK_U64(number_of(own, view.data, view.size), number);
        faster_view_close(own->shared->kv, &view);
        return;
    }
    CHECK(result == FASTER_MUTABLE || (result == FASTER_NOT_FOUND && number == 0), "%d",
          result);
}

/* ---- Scans ---- */

struct rows {
    uint8_t keys[ROWS * KIT_KEY_MAX];
    uint8_t values[ROWS * KIT_WIDE_SIZE];
    uint64_t key_offsets[ROWS + 1];
    uint64_t value_offsets[ROWS + 1];
};

/* How often each key was given. */
struct given {
    uint8_t counters[COUNTERS];
    uint8_t keys[THREADS][OWNED];
    uint64_t before[OWNED]; /* own numbers when the scan began */
};

static uint64_t number_of_key(const struct own *own, const uint8_t *data,
                              uint64_t size) {
    uint64_t number = 0;
    struct kit_bytes key = {.size = size};
    CHECK(size <= KIT_KEY_MAX, "a key of %" PRIu64 " bytes", size);
    memcpy(key.data, data, (size_t)size);
    memcpy(&number, data, 8 < size ? 8 : (size_t)size);
    if (kind_of(own->shared->shape) == KIT_TEXT) {
        number = strtoull((const char *)key.data + 1, NULL, 10);
    }
    struct kit_bytes whole = key_of(own, number);
    CHECK(kit_same(&key, &whole), "a key that nobody wrote: %" PRIu64, number);
    return number;
}

/* Own keys are given with what they hold, or held since the scan began: they are only
 * added to meanwhile. */
static void take_row(struct own *own, struct given *given, uint64_t key_number,
                     uint64_t number) {
    uint64_t i = key_number % FIRST;
    uint64_t thread = key_number / FIRST;
    CHECK(thread <= THREADS && i < (thread == 0 ? COUNTERS : OWNED),
          "key %" PRIu64 " was never written", key_number);
    uint8_t *times = thread == 0 ? &given->counters[i] : &given->keys[thread - 1][i];
    CHECK(*times == 0, "key %" PRIu64 " was given twice", key_number);
    *times = 1;
    if (thread == 0) {
        see_counter(own, i, number);
    } else if (thread - 1 == own->thread) {
        CHECK(number >= given->before[i] && number <= own->model[i] && number != 0,
              "key %" PRIu64 " with %" PRIu64 ", not %" PRIu64 " to %" PRIu64,
              key_number, number, given->before[i], own->model[i]);
    }
}

static uint64_t take_rows(struct own *own, struct given *given, struct rows *rows,
                          struct faster_cursor *cursor, uint64_t *room) {
    bool fixed = kind_of(own->shared->shape) != KIT_TEXT;
    uint64_t width = size_of(own->shared->shape, 0);
    struct faster_results keys = {rows->keys, sizeof rows->keys,
                                  fixed ? NULL : rows->key_offsets, NULL};
    struct faster_results values = {rows->values, fixed ? sizeof rows->values : *room,
                                    fixed ? NULL : rows->value_offsets, NULL};
    uint64_t count = 1 + rng_below(&own->rng, ROWS);
    uint64_t found;
    uint64_t need_key;
    uint64_t need_value;
    rows->key_offsets[0] = 0;
    rows->value_offsets[0] = 0;
    int result = faster_scan_next(own->session, cursor, &keys, &values, count, &found,
                                  &need_key, &need_value);
    if (result == FASTER_SHORT) {
        CHECK(found == 0 && need_value > *room && need_value < 8 + TEXT_SPREAD,
              "%" PRIu64 " rows, %" PRIu64 " needed", found, need_value);
        *room = sizeof rows->values;
        return 1; /* not the end */
    }
    CHECK_INT(result, FASTER_OK);
    CHECK(found <= count, "%" PRIu64 " rows of %" PRIu64, found, count);
    for (uint64_t row = 0; row < found; row++) {
        uint64_t key_at = fixed ? row * 8 : rows->key_offsets[row];
        uint64_t key_size = fixed ? 8 : rows->key_offsets[row + 1] - key_at;
        uint64_t at = fixed ? row * width : rows->value_offsets[row];
        uint64_t size = fixed ? width : rows->value_offsets[row + 1] - at;
        take_row(own, given, number_of_key(own, rows->keys + key_at, key_size),
                 number_of(own, rows->values + at, size));
    }
    return found;
}

/* Between two pieces of a scan: add to keys that are there. */
static void add_meanwhile(struct own *own, uint32_t scanning) {
    for (int n = 0; n < 8; n++) {
        uint64_t i = rng_below(&own->rng, OWNED);
        use_any(own);
        if (own->model[i] != 0) {
            add_to_own(own, i);
        }
    }
    use(own, scanning);
}

/* Counters and own keys that are there from begin to end are given exactly once, in
 * spite of their changes, and nothing else of ours is. */
static void scan_all(struct own *own) {
    struct rows *rows = malloc(sizeof *rows);
    struct given *given = calloc(1, sizeof *given);
    struct faster_cursor cursor = {.position = 0};
    uint64_t room = 8 + rng_below(&own->rng, TEXT_SPREAD);
    uint32_t scanning = own->current;
    CHECK(rows != NULL && given != NULL, "no memory");
    memcpy(given->before, own->model, sizeof given->before);
    while (take_rows(own, given, rows, &cursor, &room) != 0) { /* ends with the log */
        add_meanwhile(own, scanning);
    }
    for (uint64_t i = 0; i < COUNTERS; i++) {
        CHECK(given->counters[i] == 1, "counter %" PRIu64 " was not given", i);
    }
    for (uint64_t i = 0; i < OWNED; i++) {
        CHECK(given->keys[own->thread][i] == (own->model[i] != 0),
              "own key %" PRIu64 " was given %u times", i, given->keys[own->thread][i]);
    }
    free(given);
    free(rows);
}

/* ---- Threads ---- */

static void disturb(struct own *own) {
    struct faster_kv *kv = own->shared->kv;
    uint64_t dice = rng_below(&own->rng, 100);
    if (dice < 60) {
        (void)hlog_shift_read_only(&kv->log);
    } else if (dice < 90) {
        close_one(own, own->current);
        open_one(own, own->current);
        use(own, own->current);
    } else {
        struct faster_kv_stats stats = kit_stats(kv);
        CHECK(stats.address_begin <= stats.address_read_only &&
                  stats.address_read_only <= stats.address_tail &&
                  stats.sessions >= own->shared->session_count,
              "%u sessions", stats.sessions);
    }
}

static void step(struct own *own) {
    uint64_t dice = rng_below(&own->rng, 100);
    uint64_t i = rng_below(&own->rng, OWNED);
    use_any(own);
    if (dice < 25) {
        check_own(own, i);
    } else if (dice < 65) {
        change_own(own, i);
    } else if (dice < 82) {
        add_to_counter(own);
    } else if (dice < 92) {
        read_counter(own);
    } else if (dice < 97) {
        view_own(own, i);
    } else {
        disturb(own);
    }
}

static void run_steps(void *context, uint32_t thread) {
    struct own *own = calloc(1, sizeof *own);
    CHECK(own != NULL, "no memory");
    own->shared = context;
    own->thread = thread;
    own->rng = rng_stream(thread);
    uint64_t steps = own->shared->steps;
    for (uint32_t i = 0; i < own->shared->session_count; i++) {
        open_one(own, i);
    }
    for (uint64_t n = 0; n < steps; n++) {
        step(own);
        if (n % (steps / 4 + 1) == steps / 8) {
            scan_all(own);
        }
        if (n % (steps / 4 + 1) == thread * steps / 20) { /* apart from one another */
            int result = faster_kv_grow_index(own->shared->kv);
            CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
        }
    }
    for (uint64_t i = 0; i < OWNED; i++) {
        check_own(own, i);
        own->shared->live[thread] += own->model[i] != 0;
    }
    for (uint32_t i = 0; i < own->shared->session_count; i++) {
        close_one(own, i);
    }
    free(own);
}

static void put_counters(struct own *own) {
    for (uint64_t i = 0; i < COUNTERS; i++) {
        struct kit_bytes key = key_of(own, i);
        struct kit_bytes zero = value_of(own, 0);
        CHECK_INT(kit_insert(own->session, &key, &zero), FASTER_OK);
    }
}

/* When all have ended: the counters' sums, and as many keys as the models say. */
static void check_end(struct own *own) {
    struct shared *shared = own->shared;
    uint64_t live = COUNTERS;
    uint64_t found = 0;
    struct faster_cursor cursor = {.position = 0};
    struct given *given = calloc(1, sizeof *given);
    struct rows *rows = malloc(sizeof *rows);
    uint64_t room = sizeof rows->values;
    CHECK(rows != NULL && given != NULL, "no memory");
    for (uint64_t i = 0; i < COUNTERS; i++) {
        uint64_t sum = 0;
        for (uint32_t thread = 0; thread < THREADS; thread++) {
            sum += shared->added[thread][i];
        }
        struct kit_bytes key = key_of(own, i);
        struct kit_bytes value = value_of(own, sum);
        kit_expect(own->session, &key, &value);
    }
    for (uint32_t thread = 0; thread < THREADS; thread++) {
        live += shared->live[thread];
    }
    for (uint64_t n = 1; n != 0; found += n) {
        n = take_rows(own, given, rows, &cursor, &room);
    }
    CHECK_U64(found, live);
    free(given);
    free(rows);
}

static void run_shape(enum shape shape, uint32_t session_count, uint64_t steps) {
    struct shared shared = {
        .shape = shape, .session_count = session_count, .steps = steps};
    struct own *own = calloc(1, sizeof *own);
    struct faster_kv_config config = kit_config(kind_of(shape));
    CHECK(own != NULL, "no memory");
    config.expected_keys = 1;
    config.index_permille = 100; /* room for tables of which parts are given back */
    if (shape == NUMBERS) {
        config.value_type = FASTER_TYPE_I64;
    }
    shared.kv = kit_open_config(&config);
    own->shared = &shared;
    own->thread = THREADS; /* nobody's keys */
    own->rng = rng_stream(THREADS);
    own->session = kit_session(shared.kv);
    put_counters(own);
    harness_threads(THREADS, run_steps, &shared);
    check_end(own);
    torture_grown(own->session);
    struct faster_kv_stats stats = kit_stats(shared.kv);
    printf("  %" PRIu64 " doublings, %" PRIu64 " retries, %" PRIu64 " bytes of log\n",
           stats.index_growths, stats.retries, stats.log_bytes);
    torture_close(shared.kv, own->session);
    free(own);
}

static void i1_mixed_operations_agree_with_their_models(void) {
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape, 1, harness_count(9000));
    }
}

/* Sessions of one thread are in nobody's way: what one has written the other reads at
 * once, scans of the one go on while the others change, and each counts its own. */
static void x20_two_sessions_on_one_thread(void) {
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape, SESSIONS_MAX, harness_count(5000));
    }
}

HARNESS_MAIN(TEST(i1_mixed_operations_agree_with_their_models),
             TEST(x20_two_sessions_on_one_thread))
