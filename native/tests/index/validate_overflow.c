/* SPDX-License-Identifier: MIT */
/* validate_overflow.c: the pool that chains are led on from */
#include <stdlib.h>

#include "harness.h"
#include "index/overflow.h"

static const uint64_t bucket_size = sizeof(struct index_bucket);

static bool is_zero(struct index_bucket *bucket) {
    uint64_t any = atomic_load_explicit(&bucket->overflow, memory_order_relaxed);
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        any |= atomic_load_explicit(&bucket->entries[i], memory_order_relaxed);
    }
    return any == 0;
}

/* I1, I2: numbers 1, 2, 3 ... over several parts, each a zero bucket of its own that
 * stays where it is. */
static void i1_i2_numbers_are_new_zero_buckets(void) {
    enum { COUNT = POOL_FIRST * 7 };
    struct budget budget;
    struct overflow_pool pool;
    static struct index_bucket *seen[COUNT + 1];
    budget_init(&budget, 0);
    overflow_init(&pool, &budget);
    for (uint64_t i = 1; i <= COUNT; i++) {
        CHECK_U64(overflow_take(&pool, false), i);
        seen[i] = overflow_bucket(&pool, i);
        CHECK(is_zero(seen[i]), "bucket %" PRIu64, i);
        CHECK_U64((uint64_t)(uintptr_t)seen[i] % CACHE_LINE, 0);
        /* relaxed: one thread */
        atomic_store_explicit(&seen[i]->overflow, i, memory_order_relaxed);
    }
    for (uint64_t i = 1; i <= COUNT; i++) {
        CHECK(overflow_bucket(&pool, i) == seen[i], "bucket %" PRIu64 " moved", i);
        /* relaxed: one thread */
        CHECK_U64(atomic_load_explicit(&seen[i]->overflow, memory_order_relaxed), i);
    }
    CHECK_U64(overflow_count(&pool), COUNT);
    CHECK_U64(overflow_bytes(&pool), POOL_FIRST * (1 + 2 + 4) * bucket_size);
    CHECK_U64(budget_used(&budget), overflow_bytes(&pool));
    overflow_destroy(&pool);
    CHECK_U64(budget_used(&budget), 0);
}

/* A refusal takes nothing and leaves no hole; room that comes later is used. */
static void errors_a_refusal_leaves_no_hole(void) {
    struct budget budget;
    struct overflow_pool pool;
    budget_init(&budget, POOL_FIRST * bucket_size);
    overflow_init(&pool, &budget);
    for (uint64_t i = 1; i <= POOL_FIRST; i++) {
        CHECK_U64(overflow_take(&pool, false), i);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_U64(overflow_take(&pool, false), 0);
    }
    CHECK_U64(overflow_count(&pool), POOL_FIRST);
    CHECK_U64(budget_used(&budget), POOL_FIRST * bucket_size);
    budget.limit = POOL_FIRST * 3 * bucket_size;
    CHECK_U64(overflow_take(&pool, false), POOL_FIRST + 1);
    CHECK_U64(budget_used(&budget), POOL_FIRST * 3 * bucket_size);
    overflow_destroy(&pool);
    CHECK_U64(budget_used(&budget), 0);
}

/* A split must end: `forced` goes over the budget, and it is counted. */
static void errors_forced_ignores_the_budget(void) {
    struct budget budget;
    struct overflow_pool pool;
    budget_init(&budget, 1);
    overflow_init(&pool, &budget);
    CHECK_U64(overflow_take(&pool, false), 0);
    CHECK_U64(overflow_take(&pool, true), 1);
    CHECK_U64(overflow_take(&pool, false), 2); /* the part is there now */
    CHECK_U64(budget_used(&budget), POOL_FIRST * bucket_size);
    overflow_destroy(&pool);
    CHECK_U64(budget_used(&budget), 0);
}

/* T14: numbers beyond 2^32 find their part and their place in it. */
static void t14_numbers_beyond_32_bits(void) {
    enum { PART = 30 };
    struct budget budget;
    struct overflow_pool pool;
    uint64_t first = ((uint64_t)POOL_FIRST << PART) - POOL_FIRST + 1;
    struct index_bucket *part = aligned_alloc(CACHE_LINE, 8 * bucket_size);
    CHECK(part != NULL, "no memory");
    budget_init(&budget, 0);
    overflow_init(&pool, &budget);
    CHECK(first > UINT32_MAX, "%" PRIu64, first);
    atomic_store_explicit(&pool.parts[PART], part, memory_order_release);
    atomic_store_explicit(&pool.next, first - 1, memory_order_release);
    for (uint64_t i = 0; i < 8; i++) {
        CHECK_U64(overflow_take(&pool, false), first + i);
        CHECK(overflow_bucket(&pool, first + i) == part + i, "%" PRIu64, i);
    }
    CHECK_U64(budget_used(&budget), 0);
    overflow_destroy(&pool); /* frees the part */
}

/* The last part's end is the end. */
static void limits_after_the_last_part_comes_nothing(void) {
    struct budget budget;
    struct overflow_pool pool;
    budget_init(&budget, 0);
    overflow_init(&pool, &budget);
    uint64_t all = ((uint64_t)POOL_FIRST << POOL_PARTS) - POOL_FIRST;
    atomic_store_explicit(&pool.next, all, memory_order_release);
    CHECK_U64(overflow_take(&pool, false), 0);
    CHECK_U64(overflow_take(&pool, true), 0);
    CHECK_U64(overflow_count(&pool), all);
    overflow_destroy(&pool);
}

HARNESS_MAIN(TEST(i1_i2_numbers_are_new_zero_buckets),
             TEST(errors_a_refusal_leaves_no_hole),
             TEST(errors_forced_ignores_the_budget), TEST(t14_numbers_beyond_32_bits),
             TEST(limits_after_the_last_part_comes_nothing))
