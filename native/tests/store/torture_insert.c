/* SPDX-License-Identifier: MIT */
/*
 * Several threads insert the same keys: each key is inserted once, and only its
 * inserter's value is ever seen, while the index grows from its smallest size and where
 * keys share their index entries.
 */
#include "store/torture.h"

enum {
    THREADS = 4,
    KEYS = 200000,
    NOBODY = 0xff,
    COLLIDING = 2000, /* keys of one bucket */
    TAG_SHARE = 64,   /* one tag of so many */
    RIVALS = 12,
    HOT_STEPS = 1024,   /* by turns, one key's copies come before all the others' */
    LARGE_KEYS = 100000 /* a table of 2 MiB, the least of which a part goes back */
};

struct shared {
    struct faster_kv *kv;
    enum kit_kind kind;
    uint64_t count;
    const uint64_t *numbers;   /* of the keys; NULL: 0 ... count - 1 */
    _Atomic uint8_t *inserter; /* of each key */
    _Atomic uint64_t inserted;
    uint64_t grow_each; /* keys after which a thread asks for growth; 0: never */
    bool apart; /* each thread has its own order of keys; else all go side by side */
};

static struct kit_bytes key_at(const struct shared *shared, uint64_t i) {
    return kit_key(shared->kind, shared->numbers != NULL ? shared->numbers[i] : i);
}

static struct kit_bytes value_of(const struct shared *shared, uint64_t i,
                                 uint64_t thread) {
    return kit_value(shared->kind, i * THREADS + thread, 8 + i % 24);
}

/* Whoever inserted the key is known only once it says so; until then any one value. */
static void check_present(struct shared *shared, struct faster_session *session,
                          uint64_t i) {
    struct kit_bytes key = key_at(shared, i);
    struct kit_bytes found;
    CHECK_INT(kit_read(session, &key, &found), FASTER_OK);
    uint8_t inserter = atomic_load_explicit(&shared->inserter[i], memory_order_acquire);
    for (uint64_t thread = 0; thread < THREADS; thread++) {
        struct kit_bytes value = value_of(shared, i, thread);
        if (kit_same(&found, &value)) {
            CHECK(inserter == NOBODY || inserter == thread,
                  "key %" PRIu64 " has the value of thread %" PRIu64 ", not %u", i,
                  thread, inserter);
            return;
        }
    }
    CHECK(false, "key %" PRIu64 " has a value that nobody wrote", i);
}

static bool insert_one(struct shared *shared, struct faster_session *session,
                       uint64_t i, uint32_t thread) {
    struct kit_bytes key = key_at(shared, i);
    struct kit_bytes value = value_of(shared, i, thread);
    int result = kit_insert(session, &key, &value);
    if (result == FASTER_OK) {
        uint8_t before = atomic_exchange_explicit(&shared->inserter[i], (uint8_t)thread,
                                                  memory_order_acq_rel);
        CHECK(before == NOBODY, "key %" PRIu64 " was inserted by %u and by %u", i,
              before, thread);
    } else {
        CHECK_INT(result, FASTER_EXISTS);
    }
    return result == FASTER_OK;
}

static void grow(struct faster_kv *kv) {
    int result = faster_kv_grow_index(kv);
    CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
}

static void insert_all(void *context, uint32_t thread) {
    struct shared *shared = context;
    struct faster_session *session = kit_session(shared->kv);
    struct rng rng = rng_stream(thread);
    uint64_t stride = shared->apart ? 1 + 2 * rng_below(&rng, 1 << 20) : 1;
    uint64_t first = shared->apart ? rng_below(&rng, shared->count) : 0;
    uint64_t inserted = 0;
    for (uint64_t n = 0; n < shared->count; n++) {
        uint64_t i = (first + n * stride) % shared->count;
        inserted += insert_one(shared, session, i, thread);
        if (rng_below(&rng, 32) == 0) {
            check_present(shared, session, i);
        }
        if (shared->grow_each != 0 && n % shared->grow_each == 0) {
            grow(shared->kv);
        }
    }
    (void)atomic_fetch_add_explicit(&shared->inserted, inserted, memory_order_acq_rel);
    faster_session_free(session);
}

static void check_all(struct shared *shared, struct faster_session *session) {
    uint64_t inserted = atomic_load_explicit(&shared->inserted, memory_order_acquire);
    for (uint64_t i = 0; i < shared->count; i++) {
        check_present(shared, session, i);
    }
    CHECK_U64(inserted, shared->count);
    CHECK_U64(kit_stats(shared->kv).inserts, shared->count);
}

/* Each key below `count` or in `numbers`, by every thread. */
static void run_inserts(struct shared *shared) {
    struct faster_kv_config config = kit_config(shared->kind);
    config.expected_keys = 1; /* the smallest index */
    shared->kv = kit_open_config(&config);
    shared->inserter = malloc((size_t)shared->count);
    CHECK(shared->inserter != NULL, "no memory");
    memset((void *)shared->inserter, NOBODY, (size_t)shared->count);
    harness_threads(THREADS, insert_all, shared);
    struct faster_session *session = kit_session(shared->kv);
    check_all(shared, session);
    torture_close(shared->kv, session);
    free((void *)shared->inserter);
}

/* index.h I1: growth upon growth, with all threads at the same keys. */
static void x03_each_key_is_inserted_once(void) {
    struct shared words = {.kind = KIT_WORD, .count = harness_count(KEYS)};
    struct shared texts = {.kind = KIT_TEXT, .count = harness_count(KEYS / 16)};
    run_inserts(&words);
    run_inserts(&texts);
}

/* The same with every thread going its own way, so that they meet anywhere: an odd
 * stride passes every key of a power of two. */
static void x03_keys_in_any_order_are_inserted_once(void) {
    struct shared words = {.kind = KIT_WORD,
                           .count = power_of_two_at_least(harness_count(KEYS / 4)),
                           .apart = true};
    run_inserts(&words);
}

/* Numbers whose keys go to the first bucket of the smallest table under a few tags;
 * those of one tag follow one another. */
static uint64_t colliding[COLLIDING];

static uint64_t hash_of(uint64_t number) {
    return hash_key(FASTER_HASH_XXH3, &number, 8);
}

static int by_tag(const void *a, const void *b) {
    uint64_t x = entry_tag_of_hash(hash_of(*(const uint64_t *)a));
    uint64_t y = entry_tag_of_hash(hash_of(*(const uint64_t *)b));
    return (x > y) - (x < y);
}

static void find_colliding(void) {
    uint64_t buckets = (uint64_t)1 << INDEX_BITS_MIN;
    uint64_t found = colliding[0] != 0 ? COLLIDING : 0; /* done before */
    for (uint64_t number = 1; found < COLLIDING; number++) {
        uint64_t hash = hash_of(number);
        if (hash % buckets == 0 && (hash >> 50) % TAG_SHARE == 1) {
            colliding[found++] = number;
        }
    }
    qsort(colliding, COLLIDING, sizeof colliding[0], by_tag);
}

/* Several keys to an index entry, and entries in one long chain of buckets: what tells
 * keys apart is the chain of records, which growth divides meanwhile. */
static void t13_colliding_keys_are_inserted_once(void) {
    find_colliding();
    for (uint64_t round = harness_count(6); round > 0; round--) {
        struct shared words = {.kind = KIT_WORD,
                               .count = COLLIDING,
                               .numbers = colliding,
                               .grow_each = COLLIDING / 4,
                               .apart = round % 2 == 0};
        run_inserts(&words);
    }
}

/* Inserts and deletes of a few colliding keys, counted by key. */
struct rivals {
    struct faster_kv *kv;
    uint64_t steps;
    _Atomic uint64_t inserted[RIVALS];
    _Atomic uint64_t deleted[RIVALS];
};

static void insert_and_delete(void *context, uint32_t thread) {
    struct rivals *rivals = context;
    struct faster_session *session = kit_session(rivals->kv);
    struct rng rng = rng_stream(50 + thread);
    for (uint64_t n = 0; n < rivals->steps; n++) {
        uint64_t i = n / HOT_STEPS % 2 == 0 ? rng_below(&rng, RIVALS) : 0;
        struct kit_bytes key = kit_key(KIT_WORD, colliding[i]);
        struct kit_bytes value = kit_value(KIT_WORD, n, 8);
        bool inserts = rng_below(&rng, 2) == 0;
        int result =
            inserts ? kit_insert(session, &key, &value) : kit_delete(session, &key);
        if (result == FASTER_OK) {
            _Atomic uint64_t *count =
                inserts ? &rivals->inserted[i] : &rivals->deleted[i];
            (void)atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
        } else {
            CHECK_INT(result, inserts ? FASTER_EXISTS : FASTER_NOT_FOUND);
        }
        if (rng_below(&rng, 16) == 0) { /* chains of many copies */
            (void)hlog_shift_read_only(&rivals->kv->log);
        }
        if (n % (rivals->steps / 2 + 1) == rivals->steps / 5) {
            grow(rivals->kv);
        }
    }
    faster_session_free(session);
}

/* Each insert that answered OK is followed by one delete that did, but for the last.
 * The keys share index entries, whose chains grow long between two doublings. */
static void x03_inserts_and_deletes_alternate(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    config.expected_keys = 1; /* the smallest index */
    config.index_permille = 10;
    struct rivals rivals = {.kv = kit_open_config(&config),
                            .steps = harness_count(20000)};
    find_colliding();
    harness_threads(THREADS, insert_and_delete, &rivals);
    struct faster_session *session = kit_session(rivals.kv);
    for (uint64_t i = 0; i < RIVALS; i++) {
        uint64_t value;
        uint64_t inserted =
            atomic_load_explicit(&rivals.inserted[i], memory_order_acquire);
        uint64_t deleted =
            atomic_load_explicit(&rivals.deleted[i], memory_order_acquire);
        bool there = kit_get_word(session, colliding[i], &value) == FASTER_OK;
        CHECK_U64(inserted, deleted + there);
    }
    torture_close(rivals.kv, session);
}

/* Tables so large that parts of them are given back while the rest is split. */
struct large {
    struct faster_kv *kv;
    uint64_t keys; /* of each thread */
};

static void check_large(struct faster_session *session, uint64_t key) {
    uint64_t value;
    CHECK_INT(kit_get_word(session, key, &value), FASTER_OK);
    CHECK_U64(value, ~key);
}

static void insert_and_read(void *context, uint32_t thread) {
    struct large *large = context;
    struct faster_session *session = kit_session(large->kv);
    struct rng rng = rng_stream(70 + thread);
    uint64_t first = (uint64_t)thread << 40;
    for (uint64_t i = 0; i < large->keys; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, first + i);
        struct kit_bytes value = kit_value(KIT_WORD, ~(first + i), 8);
        CHECK_INT(kit_insert(session, &key, &value), FASTER_OK);
        check_large(session, first + rng_below(&rng, i + 1));
        if (i % 64 == thread) {
            grow(large->kv);
        }
    }
    for (uint64_t i = 0; i < large->keys; i++) {
        check_large(session, first + i);
    }
    faster_session_free(session);
}

/* index.h I5, T13: what was in a part of a table that has gone is in the next one. */
static void t13_parts_given_back_were_empty(void) {
    for (uint64_t round = harness_count(4); round > 0; round--) {
        struct faster_kv_config config = kit_config(KIT_WORD);
        config.expected_keys = LARGE_KEYS;
        config.index_permille = 100;
        struct large large = {.kv = kit_open_config(&config), .keys = 9000};
        harness_threads(THREADS, insert_and_read, &large);
        struct faster_session *session = kit_session(large.kv);
        CHECK_U64(kit_stats(large.kv).inserts, THREADS * large.keys);
        torture_close(large.kv, session);
    }
}

HARNESS_MAIN(TEST(x03_each_key_is_inserted_once),
             TEST(x03_keys_in_any_order_are_inserted_once),
             TEST(t13_colliding_keys_are_inserted_once),
             TEST(x03_inserts_and_deletes_alternate),
             TEST(t13_parts_given_back_were_empty))
