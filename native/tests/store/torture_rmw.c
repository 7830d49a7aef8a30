/* SPDX-License-Identifier: MIT */
/*
 * Read-modify-writes of several threads: none is lost and none is made twice, in place
 * and by copying, whatever the values look like.
 *
 * Every value is a number, written once or over and over until the value is full.  What
 * each thread adds to each key is counted beside the store; both must agree.  Adding is
 * positive, so the numbers that one thread sees of one key never fall.
 */
#include "store/torture.h"

enum { THREADS = 4, KEYS_MAX = 1000, WIDE_WORDS = KIT_WIDE_SIZE / 8 };

enum shape {
    WORDS,   /* fixed, 8 + 8 bytes: the paths made for them */
    NARROW,  /* fixed, 8 + 4 bytes */
    WIDE,    /* fixed, 8 + 100 bytes, merged by code of the caller's */
    NUMBERS, /* varlen keys, 8-byte numbers */
    SHAPES
};

struct shared {
    struct faster_kv *kv;
    enum shape shape;
    bool shifts; /* keep making what is there read-only */
    bool compares;
    uint64_t keys;
    uint64_t steps;
    uint64_t added[THREADS][KEYS_MAX];
    _Atomic uint8_t *given; /* by new value, for adds of 1 on one key */
};

struct own {
    struct shared *shared;
    struct faster_session *session;
    struct rng rng;
    uint32_t thread;
    uint64_t seen[KEYS_MAX]; /* the largest number seen of each key */
};

static enum kit_kind kind_of(enum shape shape) {
    return shape == WIDE ? KIT_WIDE : shape == NUMBERS ? KIT_TEXT : KIT_WORD;
}

static struct faster_kv *open_shape(enum shape shape) {
    struct faster_kv_config config = kit_config(kind_of(shape));
    config.expected_keys = 1;
    if (shape == NARROW) {
        config.value_type = FASTER_TYPE_U32;
        config.value_size = 4;
    } else if (shape == NUMBERS) {
        config.value_type = FASTER_TYPE_I64;
    }
    return kit_open_config(&config);
}

static struct kit_bytes value_of(enum shape shape, uint64_t number) {
    struct kit_bytes value = {.size = shape == WIDE     ? KIT_WIDE_SIZE
                                      : shape == NARROW ? 4
                                                        : 8};
    for (uint64_t at = 0; at < value.size; at += 8) {
        memcpy(value.data + at, &number, value.size - at < 8 ? value.size - at : 8);
    }
    return value;
}

static uint64_t number_of(enum shape shape, const struct kit_bytes *value) {
    uint64_t number = 0;
    memcpy(&number, value->data, shape == NARROW ? 4 : 8);
    struct kit_bytes whole = value_of(shape, number);
    CHECK(kit_same(value, &whole), "a torn value of %" PRIu64 " bytes", value->size);
    return number;
}

/* Add the input to every word of a wide value. */
static int64_t add_everywhere(uint8_t *value, int64_t value_size, int64_t capacity,
                              const uint8_t *input, int64_t input_size) {
    uint64_t number = 0;
    uint64_t more;
    if (capacity < KIT_WIDE_SIZE || input_size != 8) {
        return KIT_WIDE_SIZE;
    }
    memcpy(&more, input, 8);
    for (int64_t at = 0; at < KIT_WIDE_SIZE; at += 8) {
        size_t size = KIT_WIDE_SIZE - at < 8 ? (size_t)(KIT_WIDE_SIZE - at) : 8;
        if (value_size >= 0) {
            memcpy(&number, value + at, size);
        }
        number += more;
        memcpy(value + at, &number, size);
        number = 0;
    }
    return KIT_WIDE_SIZE;
}

static uint64_t add(struct own *own, uint64_t key_number, uint64_t amount) {
    enum shape shape = own->shared->shape;
    struct faster_merge merge = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes key = kit_key(kind_of(shape), key_number);
    struct kit_bytes input = value_of(shape == WIDE ? WORDS : shape, amount);
    struct kit_bytes merged;
    if (shape == WIDE) {
        merge = (struct faster_merge){.kind = FASTER_MERGE_NATIVE,
                                      .native = add_everywhere};
    }
    CHECK_INT(kit_rmw(own->session, &merge, &key, &input, &merged), FASTER_OK);
    return number_of(shape, &merged);
}

static uint64_t read_number(struct own *own, uint64_t key_number) {
    enum shape shape = own->shared->shape;
    struct kit_bytes key = kit_key(kind_of(shape), key_number);
    struct kit_bytes value;
    int result = kit_read(own->session, &key, &value);
    if (result == FASTER_NOT_FOUND) {
        return 0;
    }
    CHECK_INT(result, FASTER_OK);
    return number_of(shape, &value);
}

/* Add by reading and comparing, until nobody came between. */
static uint64_t add_by_comparing(struct own *own, uint64_t key_number,
                                 uint64_t amount) {
    enum shape shape = own->shared->shape;
    struct kit_bytes key = kit_key(kind_of(shape), key_number);
    for (;;) { /* ends: each failure is another's success */
        uint64_t before = read_number(own, key_number);
        struct kit_bytes expected = value_of(shape, before);
        struct kit_bytes value = value_of(shape, before + amount);
        int result = before == 0 ? kit_insert(own->session, &key, &value)
                                 : kit_compare(own->session, &key, &expected, &value);
        if (result == FASTER_OK) {
            return before + amount;
        }
        CHECK_INT(result, before == 0 ? FASTER_EXISTS : FASTER_MISMATCH);
        faster_session_wait(own->session);
    }
}

static void see(struct own *own, uint64_t key, uint64_t number, const char *how) {
    CHECK(number >= own->seen[key], "key %" PRIu64 " %s as %" PRIu64 " after %" PRIu64,
          key, how, number, own->seen[key]);
    own->seen[key] = number;
}

static void step(struct own *own) {
    struct shared *shared = own->shared;
    uint64_t key = rng_below(&own->rng, shared->keys);
    uint64_t amount = shared->given != NULL ? 1 : 1 + rng_below(&own->rng, 3);
    uint64_t number =
        shared->compares ? add_by_comparing(own, key, amount) : add(own, key, amount);
    CHECK(number >= own->seen[key] + amount,
          "key %" PRIu64 ": %" PRIu64 " after %" PRIu64 " and %" PRIu64, key, number,
          own->seen[key], amount);
    see(own, key, number, "made");
    shared->added[own->thread][key] += amount;
    if (shared->given != NULL) {
        CHECK(number <= THREADS * shared->steps, "%" PRIu64, number);
        CHECK(atomic_exchange_explicit(&shared->given[number - 1], 1,
                                       memory_order_relaxed) == 0,
              "%" PRIu64 " was made twice", number);
    }
    key = rng_below(&own->rng, 4) == 0 ? rng_below(&own->rng, shared->keys) : key;
    see(own, key, read_number(own, key), "read");
}

static void run_steps(void *context, uint32_t thread) {
    struct own *own = calloc(1, sizeof *own);
    CHECK(own != NULL, "no memory");
    own->shared = context;
    own->session = kit_session(own->shared->kv);
    own->rng = rng_stream(thread);
    own->thread = thread;
    for (uint64_t i = 0; i < own->shared->steps; i++) {
        step(own);
        if (own->shared->shifts && rng_below(&own->rng, 48) == 0) {
            (void)hlog_shift_read_only(&own->shared->kv->log);
        }
    }
    faster_session_free(own->session);
    free(own);
}

static void check_sums(struct shared *shared) {
    struct own own = {.shared = shared, .session = kit_session(shared->kv)};
    for (uint64_t key = 0; key < shared->keys; key++) {
        uint64_t sum = 0;
        for (uint32_t thread = 0; thread < THREADS; thread++) {
            sum += shared->added[thread][key];
        }
        CHECK_U64(read_number(&own, key), sum);
    }
    torture_close(shared->kv, own.session);
}

static void run_shape(enum shape shape, bool shifts, bool compares, uint64_t keys,
                      uint64_t steps, bool unique) {
    struct shared *shared = calloc(1, sizeof *shared);
    CHECK(shared != NULL, "no memory");
    shared->kv = open_shape(shape);
    shared->shape = shape;
    shared->shifts = shifts;
    shared->compares = compares;
    shared->keys = keys;
    shared->steps = steps;
    if (unique) {
        shared->given = calloc((size_t)(THREADS * steps), 1);
        CHECK(shared->given != NULL, "no memory");
    }
    harness_threads(THREADS, run_steps, shared);
    check_sums(shared);
    free((void *)shared->given);
    free(shared);
}

/* R2-R4: every sum, on one key and on many, in place and through copies. */
static void x01_increments_are_conserved(void) {
    uint64_t steps = harness_count(10000);
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape, false, false, 3, steps, false);
        run_shape((enum shape)shape, true, false, 3, steps, false);
        run_shape((enum shape)shape, true, false, KEYS_MAX, steps, false);
    }
}

/* No two of the adds on one key began from the same value, and together they made
 * every value: a number is given once, and the sum says how many there were. */
static void x01_no_two_adds_begin_alike(void) {
    uint64_t steps = harness_count(10000);
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape, false, false, 1, steps, true);
        run_shape((enum shape)shape, true, false, 1, steps, true);
    }
}

/* The same sums by compare-and-set. */
static void x01_compared_increments_are_conserved(void) {
    uint64_t steps = harness_count(5000);
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape, true, true, 3, steps, false);
        run_shape((enum shape)shape, true, true, 1, steps, true);
    }
}

/*
 * Appends.  A token is 8 bytes of thread and number; each key must have got every
 * token that was appended to it, in the order of each thread.  An append that ended in
 * FASTER_SHORT has appended nothing.
 */
enum { TEXT_KEYS = 6, TEXT_MAX = 60000, NEVER = 0x7fffffff };

struct texts {
    struct faster_kv *kv;
    uint64_t steps;
    uint32_t appended[THREADS][TEXT_KEYS];
};

struct token {
    uint32_t thread;
    uint32_t number;
};

static int append(struct faster_session *session, const struct kit_bytes *key,
                  struct token token, uint8_t *out, uint64_t capacity, uint64_t *size) {
    struct faster_merge merge = {.kind = FASTER_MERGE_APPEND};
    int result;
    KIT_RETRY(session, result,
              faster_rmw(session, &merge, key->data, key->size, &token, sizeof token,
                         out, capacity, size));
    return result;
}

static void append_once(struct texts *texts, struct faster_session *session,
                        struct rng *rng, uint32_t thread, uint8_t *out) {
    uint64_t k = rng_below(rng, TEXT_KEYS);
    struct kit_bytes key = kit_key(KIT_TEXT, k);
    struct token token = {thread, texts->appended[thread][k]++};
    uint64_t size = 0;
    switch (rng_below(rng, 8)) {
    case 0:
        CHECK_INT(append(session, &key, (struct token){thread, NEVER}, out, 7, &size),
                  FASTER_SHORT);
        CHECK(size >= sizeof token, "room for %" PRIu64, size);
        break;
    case 1:
        CHECK_INT(append(session, &key, token, NULL, 0, NULL), FASTER_OK);
        return;
    default:
        break;
    }
    CHECK_INT(append(session, &key, token, out, TEXT_MAX, &size), FASTER_OK);
    CHECK(size % sizeof token == 0 &&
              memcmp(out + size - sizeof token, &token, sizeof token) == 0,
          "%" PRIu64 " bytes that do not end with the token", size);
}

static void run_appends(void *context, uint32_t thread) {
    struct texts *texts = context;
    struct faster_session *session = kit_session(texts->kv);
    struct rng rng = rng_stream(100 + thread);
    uint8_t *out = malloc(TEXT_MAX);
    CHECK(out != NULL, "no memory");
    for (uint64_t i = 0; i < texts->steps; i++) {
        append_once(texts, session, &rng, thread, out);
        if (rng_below(&rng, 32) == 0) {
            (void)hlog_shift_read_only(&texts->kv->log);
        }
    }
    free(out);
    faster_session_free(session);
}

static void check_text(struct texts *texts, struct faster_session *session,
                       uint64_t k) {
    static uint8_t text[TEXT_MAX];
    struct kit_bytes key = kit_key(KIT_TEXT, k);
    uint32_t next[THREADS] = {0};
    uint64_t size = 0;
    int result;
    KIT_RETRY(session, result,
              faster_read(session, key.data, key.size, text, TEXT_MAX, &size));
    CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND, "%d", result);
    for (uint64_t at = 0; result == FASTER_OK && at < size;
         at += sizeof(struct token)) {
        struct token token;
        memcpy(&token, text + at, sizeof token);
        CHECK(token.thread < THREADS, "thread %u", token.thread);
        CHECK_U64(token.number, next[token.thread]);
        next[token.thread]++;
    }
    for (uint32_t thread = 0; thread < THREADS; thread++) {
        CHECK_U64(next[thread], texts->appended[thread][k]);
    }
}

static void x01_appends_are_conserved(void) {
    uint64_t rounds =
        harness_count(4); /* so that more operations make no longer texts */
    for (uint64_t round = 0; round < rounds; round++) {
        struct texts texts = {.kv = kit_open(KIT_TEXT), .steps = 1200};
        harness_threads(THREADS, run_appends, &texts);
        struct faster_session *session = kit_session(texts.kv);
        for (uint64_t k = 0; k < TEXT_KEYS; k++) {
            check_text(&texts, session, k);
        }
        torture_close(texts.kv, session);
    }
}

HARNESS_MAIN(TEST(x01_increments_are_conserved), TEST(x01_no_two_adds_begin_alike),
             TEST(x01_compared_increments_are_conserved),
             TEST(x01_appends_are_conserved))
