/* SPDX-License-Identifier: MIT */
/* torture_insert.c: threads insert the same keys at the same time */
#include "index/kit.h"

enum { BITS = INDEX_BITS_MIN, THREADS = 4, KEYS = 6, ROUNDS = 6000 };

struct shared {
    struct kit *kit;
    uint64_t rounds;
    _Atomic uint64_t arrived;
    _Atomic uint8_t *wins; /* per key of each round */
};

/* Keys of a round fight for one bucket: three of one tag, the others of tags of their
 * own.  A bucket gets several rounds, so that chains are led on too. */
static uint64_t key_of(uint64_t round, uint64_t i) {
    uint64_t tag = i < 3 ? round % 97 : round % 97 + 100 * i;
    return kit_hash(tag, round * KEYS + i, round, BITS);
}

/* All start a round together.  Ends: nobody waits but here. */
static void meet(struct shared *shared, uint64_t round) {
    (void)atomic_fetch_add_explicit(&shared->arrived, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&shared->arrived, memory_order_acquire) <
           (round + 1) * THREADS) {
        thread_yield();
    }
}

static void insert_rounds(void *context, uint32_t thread) {
    struct shared *shared = context;
    struct kit_user user = kit_user(shared->kit);
    struct rng rng = rng_stream(thread);
    for (uint64_t round = 0; round < shared->rounds; round++) {
        uint64_t first = rng_below(&rng, KEYS);
        meet(shared, round);
        for (uint64_t i = 0; i < KEYS; i++) {
            uint64_t key = (first + i) % KEYS;
            uint64_t hash = key_of(round, key);
            enum kit_put put = kit_put(shared->kit, &user, hash, thread + 1, false);
            if (put == KIT_NEW) {
                (void)atomic_fetch_add_explicit(&shared->wins[round * KEYS + key], 1,
                                                memory_order_acq_rel);
            } else {
                CHECK_INT(put, KIT_THERE);
            }
            uint64_t mark = kit_mark(shared->kit, &user, hash);
            CHECK(mark >= 1 && mark <= THREADS, "mark %" PRIu64, mark);
        }
    }
}

/* How often a key stands in its chain. */
static uint64_t times_in_chain(struct kit *kit, uint64_t hash) {
    struct index_ref ref;
    uint64_t times = 0;
    CHECK_INT(index_find(&kit->index, hash, &ref), FASTER_OK);
    uint64_t at = kit_walk(kit, entry_address(ref.seen), hash);
    while (at != 0) {
        times++;
        at = kit_walk(kit, kit_record(kit, at)->prev, hash);
    }
    return times;
}

/* X03, I1, M2: each key is inserted by exactly one thread, and each (chain, tag) has
 * one entry, however the two-phase insertions interleave. */
static void x03_each_key_is_inserted_exactly_once(void) {
    struct shared shared = {.rounds = harness_count(ROUNDS)};
    uint64_t keys = shared.rounds * KEYS;
    shared.kit = kit_open(BITS, keys * THREADS * 4 + 4096, 0, 0, false);
    shared.wins = calloc((size_t)keys, sizeof *shared.wins);
    CHECK(shared.wins != NULL, "no memory");
    harness_threads(THREADS, insert_rounds, &shared);
    for (uint64_t round = 0; round < shared.rounds; round++) {
        for (uint64_t i = 0; i < KEYS; i++) {
            /* relaxed: the threads have been joined */
            uint8_t wins = atomic_load_explicit(&shared.wins[round * KEYS + i],
                                                memory_order_relaxed);
            CHECK(wins == 1, "round %" PRIu64 " key %" PRIu64 ": %u wins", round, i,
                  wins);
            CHECK_U64(times_in_chain(shared.kit, key_of(round, i)), 1);
        }
    }
    CHECK_INT(index_audit(&shared.kit->index), 0);
    kit_check_budget(shared.kit);
    free((void *)shared.wins);
    kit_close(shared.kit);
}

enum { NUMBERS = 40000 };

struct takers {
    struct budget budget;
    struct overflow_pool pool;
    uint64_t each;
    _Atomic uint8_t *taken; /* by number */
};

static void take_numbers(void *context, uint32_t thread) {
    struct takers *takers = context;
    (void)thread;
    for (uint64_t i = 0; i < takers->each; i++) {
        uint64_t number = overflow_take(&takers->pool, false);
        CHECK(number != 0 && number <= takers->each * THREADS, "%" PRIu64, number);
        CHECK(atomic_fetch_add_explicit(&takers->taken[number], 1,
                                        memory_order_acq_rel) == 0,
              "number %" PRIu64 " was given twice", number);
        struct index_bucket *bucket = overflow_bucket(&takers->pool, number);
        for (int j = 0; j < BUCKET_ENTRIES; j++) {
            CHECK_U64(kit_word(bucket, j), 0);
            kit_plant(&bucket->entries[j], number);
        }
    }
}

/* overflow.h I1, I2, M1: numbers are given once, each for a zero bucket, also while
 * parts of the pool are added; and the budget knows what they take. */
static void i1_overflow_buckets_are_given_once(void) {
    struct takers takers = {.each = harness_count(NUMBERS)};
    budget_init(&takers.budget, 0);
    overflow_init(&takers.pool, &takers.budget);
    takers.taken = calloc((size_t)(takers.each * THREADS + 1), sizeof *takers.taken);
    CHECK(takers.taken != NULL, "no memory");
    harness_threads(THREADS, take_numbers, &takers);
    CHECK_U64(overflow_count(&takers.pool), takers.each * THREADS);
    CHECK_U64(budget_used(&takers.budget), overflow_bytes(&takers.pool));
    overflow_destroy(&takers.pool);
    CHECK_U64(budget_used(&takers.budget), 0);
    free((void *)takers.taken);
}

HARNESS_MAIN(TEST(i1_overflow_buckets_are_given_once),
             TEST(x03_each_key_is_inserted_exactly_once))
