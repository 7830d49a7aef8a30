/* SPDX-License-Identifier: MIT */
/*
 * A small cache over a small log, several sessions, and an index that doubles: what a
 * session has seen of a key it never sees undone.
 *
 * Counters are everybody's and only added to, so they never fall, and in the end each
 * has what was added.  Registers have one owner, who counts them up, deletes them and
 * knows what they hold.  The rest never changes its value; it is there to be read back,
 * to push other pages out of memory, and to fill the cache.
 */
#include "cache/kit.h"
#include "store/torture.h"

enum {
    THREADS = 3,
    COUNTERS = 12,
    REGISTERS = 16, /* of each thread */
    REST = 8000,
    FLIGHT = 6, /* reads of one session under way together */
    FIRST_REGISTER = 1000,
    FIRST_REST = 100000
};

enum shape { WORDS, NUMBERS, SHAPES };

struct shared {
    struct faster_kv *kv;
    enum shape shape;
    uint64_t steps;
    bool grows; /* and pages leave memory because somebody asks */
    uint64_t added[THREADS][COUNTERS];
    uint64_t registers[THREADS][REGISTERS]; /* what they hold, 0: deleted */
};

struct own {
    struct shared *shared;
    struct faster_session *session;
    struct rng rng;
    uint32_t thread;
    uint64_t floor[COUNTERS];            /* of what was seen */
    uint64_t others[THREADS][REGISTERS]; /* the same, of registers */
    uint64_t next;                       /* for registers */
};

/* A read under way: what it may not be below, and where what it finds is kept. */
struct flight {
    struct faster_pending *pending;
    uint64_t number;
    uint64_t least;
    uint64_t *seen; /* NULL: the value is `least` */
    bool may_miss;
};

static struct kit_bytes key_of(const struct own *own, uint64_t number) {
    return kit_key(own->shared->shape == WORDS ? KIT_WORD : KIT_TEXT, number);
}

static uint64_t rest_value(uint64_t number) { return number * 7 + 3; }

static uint64_t word_of(const uint8_t *value, uint64_t size) {
    uint64_t word;
    CHECK_U64(size, 8);
    memcpy(&word, value, 8);
    return word;
}

static void check_read(const struct flight *flight, int status, uint64_t word) {
    if (status == FASTER_NOT_FOUND && flight->may_miss) {
        return;
    }
    CHECK_INT(status, FASTER_OK);
    if (flight->seen == NULL) {
        CHECK_U64(word, flight->least);
        return;
    }
    CHECK(word >= flight->least, "key %" PRIu64 ": %" PRIu64 " after %" PRIu64,
          flight->number, word, flight->least);
    *flight->seen = word > *flight->seen ? word : *flight->seen;
}

/* Begin a read; it may end at once. */
static void begin_read(struct own *own, struct flight *flight) {
    struct kit_bytes key = key_of(own, flight->number);
    struct faster_operation read = {
        .kind = FASTER_READ, .key = key.data, .key_size = key.size};
    uint64_t word = 0;
    uint64_t size = 8;
    int result;
    KIT_RETRY(own->session, result,
              faster_start(own->session, &read, &word, 8, &size, &flight->pending));
    if (result != FASTER_PENDING) {
        flight->pending = NULL;
        check_read(flight, result, word);
    }
}

static void end_read(struct own *own, struct flight *flight) {
    struct faster_result ended;
    if (flight->pending == NULL) {
        return;
    }
    CHECK_INT(faster_wait(own->session, flight->pending, CACHED_WAIT_MS), FASTER_OK);
    faster_result_of(flight->pending, &ended);
    uint64_t word =
        ended.status == FASTER_OK ? word_of(ended.value, ended.value_size) : 0;
    check_read(flight, ended.status, word);
    CHECK_INT(faster_forget(own->session, flight->pending), FASTER_OK);
}

static struct flight choose_read(struct own *own) {
    uint64_t dice = rng_below(&own->rng, 10);
    uint64_t thread = rng_below(&own->rng, THREADS);
    if (dice < 4) {
        uint64_t i = rng_below(&own->rng, COUNTERS);
        return (struct flight){NULL, i, own->floor[i], &own->floor[i], false};
    }
    if (dice < 7) {
        uint64_t i = rng_below(&own->rng, REGISTERS);
        uint64_t number = FIRST_REGISTER * (thread + 1) + i;
        uint64_t *seen = &own->others[thread][i];
        return (struct flight){NULL, number, *seen, seen, true};
    }
    /* Half of the reads go to a tenth of the rest. */
    uint64_t among = rng_below(&own->rng, 2) == 0 ? REST / 10 : REST;
    uint64_t number = FIRST_REST + rng_below(&own->rng, among);
    return (struct flight){NULL, number, rest_value(number), NULL, false};
}

static int change(struct own *own, uint32_t kind, uint64_t number, uint64_t word,
                  uint64_t *out) {
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes key = key_of(own, number);
    struct kit_bytes given = {.size = 0};
    bool waited;
    struct faster_operation operation = {.kind = kind,
                                         .key = key.data,
                                         .key_size = key.size,
                                         .value = &word,
                                         .value_size = kind == FASTER_DELETE ? 0 : 8,
                                         .merge = kind == FASTER_RMW ? &add : NULL};
    int result = cached_do(own->session, &operation, &given, &waited);
    if (out != NULL) {
        CHECK_INT(result, FASTER_OK);
        *out = word_of(given.data, given.size);
    }
    return result;
}

static void add_to_counter(struct own *own) {
    uint64_t i = rng_below(&own->rng, COUNTERS);
    uint64_t by = 1 + rng_below(&own->rng, 5);
    uint64_t sum;
    CHECK_INT(change(own, FASTER_RMW, i, by, &sum), FASTER_OK);
    CHECK(sum >= own->floor[i] + by, "counter %" PRIu64 ": %" PRIu64 " after %" PRIu64,
          i, sum, own->floor[i]);
    own->floor[i] = sum;
    own->shared->added[own->thread][i] += by;
}

/* Read an own register, to the end: it holds what its owner knows. */
static void check_register(struct own *own, uint64_t i) {
    uint64_t held = own->shared->registers[own->thread][i];
    struct kit_bytes key = key_of(own, FIRST_REGISTER * (own->thread + 1) + i);
    struct kit_bytes value = kit_value(KIT_WORD, held, 8);
    (void)cached_expect(own->session, &key, held != 0 ? &value : NULL);
}

static void change_register(struct own *own) {
    uint64_t i = rng_below(&own->rng, REGISTERS);
    uint64_t number = FIRST_REGISTER * (own->thread + 1) + i;
    uint64_t *held = &own->shared->registers[own->thread][i];
    uint64_t dice = rng_below(&own->rng, 6);
    if (dice == 0) {
        CHECK_INT(change(own, FASTER_DELETE, number, 0, NULL),
                  *held != 0 ? FASTER_OK : FASTER_NOT_FOUND);
        *held = 0;
    } else if (dice == 1) {
        int expected = *held != 0 ? FASTER_EXISTS : FASTER_OK;
        CHECK_INT(change(own, FASTER_INSERT, number, own->next, NULL), expected);
        *held = expected == FASTER_OK ? own->next : *held;
    } else {
        CHECK_INT(change(own, FASTER_UPSERT, number, own->next, NULL), FASTER_OK);
        *held = own->next;
    }
    own->next++;
    check_register(own, i);
}

static void write_rest(struct own *own) {
    uint64_t number = FIRST_REST + rng_below(&own->rng, REST);
    CHECK_INT(change(own, FASTER_UPSERT, number, rest_value(number), NULL), FASTER_OK);
}

/* Some reads, and changes while they are on their way. */
static void step(struct own *own) {
    struct flight flights[FLIGHT];
    for (int i = 0; i < FLIGHT; i++) {
        flights[i] = choose_read(own);
        begin_read(own, &flights[i]);
    }
    uint64_t dice = rng_below(&own->rng, 10);
    if (dice < 4) {
        add_to_counter(own);
    } else if (dice < 8) {
        change_register(own);
    } else {
        write_rest(own);
    }
    for (int i = 0; i < FLIGHT; i++) {
        end_read(own, &flights[i]);
    }
}

/* Now and then: have everything leave memory, or the index double. */
static void disturb(struct own *own, uint64_t n) {
    struct faster_kv *kv = own->shared->kv;
    uint64_t steps = own->shared->steps;
    if (n % 400 == own->thread * 100) {
        cached_evict(kv);
    }
    if (n == (own->thread + 1) * steps / (THREADS + 1)) { /* apart from one another */
        CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
    }
}

static void run_steps(void *context, uint32_t thread) {
    struct own *own = calloc(1, sizeof *own);
    CHECK(own != NULL, "no memory");
    own->shared = context;
    own->thread = thread;
    own->rng = rng_stream(thread);
    own->session = kit_session(own->shared->kv);
    own->next = 1;
    uint64_t steps = own->shared->steps;
    for (uint64_t n = 0; n < steps; n++) {
        step(own);
        if (own->shared->grows) {
            disturb(own, n);
        }
    }
    for (uint64_t i = 0; i < REGISTERS; i++) {
        check_register(own, i);
    }
    faster_session_free(own->session);
    free(own);
}

static void fill(struct own *own) {
    for (uint64_t i = 0; i < COUNTERS; i++) {
        CHECK_INT(change(own, FASTER_UPSERT, i, 0, NULL), FASTER_OK);
    }
    for (uint64_t i = FIRST_REST; i < FIRST_REST + REST; i++) {
        CHECK_INT(change(own, FASTER_UPSERT, i, rest_value(i), NULL), FASTER_OK);
    }
}

/* When all have ended: the counters' sums, the registers, and all the rest. */
static void check_end(struct own *own) {
    struct shared *shared = own->shared;
    for (uint64_t i = 0; i < COUNTERS; i++) {
        uint64_t sum = 0;
        for (uint32_t thread = 0; thread < THREADS; thread++) {
            sum += shared->added[thread][i];
        }
        struct kit_bytes key = key_of(own, i);
        struct kit_bytes value = kit_value(KIT_WORD, sum, 8);
        (void)cached_expect(own->session, &key, &value);
    }
    for (own->thread = 0; own->thread < THREADS; own->thread++) {
        for (uint64_t i = 0; i < REGISTERS; i++) {
            check_register(own, i);
        }
    }
    for (uint64_t i = FIRST_REST; i < FIRST_REST + REST; i++) {
        struct kit_bytes key = key_of(own, i);
        struct kit_bytes value = kit_value(KIT_WORD, rest_value(i), 8);
        (void)cached_expect(own->session, &key, &value);
    }
}

/* A tiny log that is larger than memory by itself, or one of which all leaves. */
static struct faster_kv_config config_of(enum shape shape, bool grows) {
    struct faster_kv_config config =
        cached_config(shape == WORDS ? KIT_WORD : KIT_TEXT);
    config.value_type = FASTER_TYPE_I64;
    config.expected_keys = 1;
    config.memory = grows ? 4 << 20 : 200 << 10;
    config.index_permille = grows ? 500 : 300;
    config.mutable_permille = grows ? 900 : 200;
    return config;
}

static void run_shape(enum shape shape, bool grows, uint64_t steps) {
    struct shared shared = {.shape = shape, .grows = grows, .steps = steps};
    struct own own = {.shared = &shared, .rng = rng_stream(THREADS)};
    struct faster_kv_config config = config_of(shape, grows);
    shared.kv = cached_open(&config);
    own.session = kit_session(shared.kv);
    fill(&own);
    harness_threads(THREADS, run_steps, &shared);
    check_end(&own);
    torture_grown(own.session);
    struct faster_kv_stats stats = kit_stats(shared.kv);
    printf("  %" PRIu64 " doublings, %" PRIu64 " device reads, %" PRIu64
           " hits, %" PRIu64 " copies, %" PRIu64 " gone\n",
           stats.index_growths, stats.device_reads, stats.cache_hits,
           stats.cache_insertions, stats.cache_evictions);
    CHECK(stats.cache_evictions <= stats.cache_insertions, "more gone than came");
    CHECK_INT(index_audit(&shared.kv->index), 0);
    cached_audit(own.session);
    cached_close(shared.kv, own.session);
}

/* Trap T09. */
static void i1_nobody_sees_what_was_overtaken(void) {
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape, false, harness_count(20000));
    }
}

static void i3_nobody_sees_it_while_the_index_doubles(void) {
    for (int shape = 0; shape < SHAPES; shape++) {
        run_shape((enum shape)shape, true, harness_count(12000));
    }
}

HARNESS_MAIN(TEST(i1_nobody_sees_what_was_overtaken),
             TEST(i3_nobody_sees_it_while_the_index_doubles))
