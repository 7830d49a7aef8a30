/* SPDX-License-Identifier: MIT */
/* overflow.c: see overflow.h */
#include "index/overflow.h"

#include <stddef.h>

#include "base/memory.h"

void overflow_init(struct overflow_pool *pool, struct budget *budget) {
    pool->budget = budget;
    atomic_init(&pool->next, 0);
    atomic_init(&pool->bytes, 0);
    atomic_init(&pool->exhausted, false);
    for (int i = 0; i < POOL_PARTS; i++) {
        atomic_init(&pool->parts[i], NULL);
    }
}

void overflow_destroy(struct overflow_pool *pool) {
    for (int i = 0; i < POOL_PARTS; i++) {
        /* relaxed: nobody else is left */
        memory_lines_free(atomic_load_explicit(&pool->parts[i], memory_order_relaxed));
    }
    budget_give(pool->budget, overflow_bytes(pool));
}

static uint64_t part_bytes(uint32_t part) {
    return ((uint64_t)POOL_FIRST << part) * sizeof(struct index_bucket);
}

/* Say why another part cannot be had. */
static bool refuse(struct overflow_pool *pool, bool exhausted) {
    /* relaxed: a hint, see overflow_is_exhausted */
    atomic_store_explicit(&pool->exhausted, exhausted, memory_order_relaxed);
    return false;
}

static bool ensure_part(struct overflow_pool *pool, uint32_t part, bool forced) {
    struct index_bucket *none = NULL;
    uint64_t bytes = part_bytes(part);
    if (atomic_load_explicit(&pool->parts[part], memory_order_acquire) !=
        NULL) { /* M1 */
        return true;
    }
    if (forced) {
        budget_force(pool->budget, bytes);
    } else if (!budget_take(pool->budget, bytes)) {
        return refuse(pool, false);
    }
    budget_sated(pool->budget);
    struct index_bucket *fresh = memory_lines_new(bytes);
    if (fresh == NULL) {
        budget_give(pool->budget, bytes);
        return refuse(pool, true);
    }
    for (uint64_t i = 0; i < ((uint64_t)POOL_FIRST << part); i++) {
        for (int j = 0; j < BUCKET_ENTRIES; j++) {
            atomic_init(&fresh[i].entries[j], 0);
        }
        atomic_init(&fresh[i].overflow, 0);
    }
    if (!atomic_compare_exchange_strong_explicit(&pool->parts[part], &none, fresh,
                                                 memory_order_release,
                                                 memory_order_acquire)) { /* M1 */
        memory_lines_free(fresh);
        budget_give(pool->budget, bytes);
        return true;
    }
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(&pool->bytes, bytes, memory_order_relaxed);
    return true;
}

uint64_t overflow_next_bytes(struct overflow_pool *pool) {
    /* relaxed: what is wanted is a guess all the same */
    uint64_t taken = atomic_load_explicit(&pool->next, memory_order_relaxed);
    return part_bytes(bit_highest(taken + POOL_FIRST) - bit_highest(POOL_FIRST));
}

uint64_t overflow_take(struct overflow_pool *pool, bool forced) {
    /* relaxed: I1 needs only that additions are atomic; the loop gives a number back by
     * not taking it, so that a refusal leaves no hole */
    uint64_t taken = atomic_load_explicit(&pool->next, memory_order_relaxed);
    do {
        uint64_t slot = taken + POOL_FIRST;
        uint32_t part = bit_highest(slot) - bit_highest(POOL_FIRST);
        if (part >= POOL_PARTS || !ensure_part(pool, part, forced)) {
            if (part >= POOL_PARTS) {
                (void)refuse(pool, true);
            }
            return 0;
        }
        /* relaxed: as above */
    } while (!atomic_compare_exchange_weak_explicit(
        &pool->next, &taken, taken + 1, memory_order_relaxed, memory_order_relaxed));
    return taken + 1;
}
