/* SPDX-License-Identifier: MIT */
/* table.c: see table.h and index.h */
#include "index/table.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

uint64_t table_resident(struct index_table *table) {
    /* relaxed: a figure */
    return atomic_load_explicit(&table->resident, memory_order_relaxed);
}

void table_set_resident(struct index_table *table, uint64_t bytes) {
    /* relaxed: a figure */
    atomic_store_explicit(&table->resident, bytes, memory_order_relaxed);
}

static void table_clear(struct index_table *table) {
    table->buckets = NULL;
    table->chunk_states = NULL;
    table->chunk_count = 0;
    table->discarded = 0;
    atomic_init(&table->resident, 0);
    atomic_init(&table->entries, 0);
    atomic_init(&table->next, NULL);
    atomic_init(&table->chunk_claimed, 0);
    atomic_init(&table->chunk_done, 0);
}

/* Memory is reserved whole and zero; the system gives it page by page as it is used. */
static int take_buckets(struct index *index, struct index_table *table) {
    if (!budget_take(index->budget, table->bytes)) {
        return FASTER_E_FULL;
    }
    table->buckets = memory_reserve(table->bytes);
    if (table->buckets == NULL ||
        memory_commit(table->buckets, align_up(table->bytes, MEMORY_GRANULE)) != 0) {
        if (table->buckets != NULL) {
            memory_release(table->buckets, table->bytes);
        }
        budget_give(index->budget, table->bytes);
        return -ENOMEM;
    }
    table_set_resident(table, table->bytes);
    return FASTER_OK;
}

int table_new(struct index *index, uint32_t bits, struct index_table **out) {
    struct index_table *table = memory_lines_new(sizeof(struct index_table));
    if (table == NULL) {
        return -ENOMEM;
    }
    table_clear(table);
    table->bits = bits;
    table->mask = ((uint64_t)1 << bits) - 1;
    table->bytes = (table->mask + 1) * sizeof(struct index_bucket);
    overflow_init(&table->pool, index->budget);
    int error = take_buckets(index, table);
    if (error != FASTER_OK) {
        memory_lines_free(table);
        return error;
    }
    *out = table;
    return FASTER_OK;
}

void table_free(struct index *index, struct index_table *table) {
    budget_give(index->budget, table_resident(table));
    memory_release(table->buckets, table->bytes);
    overflow_destroy(&table->pool);
    free((void *)table->chunk_states);
    memory_lines_free(table);
}

int table_chunks_new(struct index_table *table) {
    if (table->chunk_states != NULL) {
        return FASTER_OK; /* left by a growth that was refused */
    }
    uint64_t count = (table->mask + 1) >> CHUNK_BITS;
    _Atomic uint8_t *states = calloc((size_t)count, sizeof *states);
    if (states == NULL) {
        return -ENOMEM;
    }
    table->chunk_states = states;
    table->chunk_count = count;
    return FASTER_OK;
}

uint32_t index_bits_for(uint64_t keys) {
    uint64_t buckets = keys / INDEX_LOAD + 1;
    uint32_t bits = bit_highest(power_of_two_at_least(buckets));
    if (bits < INDEX_BITS_MIN) {
        return INDEX_BITS_MIN;
    }
    return bits > INDEX_BITS_MAX ? INDEX_BITS_MAX : bits;
}

int index_init(struct index *index, const struct index_records *records,
               struct epoch *epoch, struct worker *worker, struct budget *budget,
               uint64_t limit, uint32_t bits) {
    struct index_table *table;
    index->records = *records;
    index->epoch = epoch;
    index->worker = worker;
    index->budget = budget;
    atomic_init(&index->limit, limit);
    index->slot = NULL;
    index->events = NULL;
    index->growing_since = 0;
    atomic_init(&index->growing, false);
    atomic_init(&index->saturated, false);
    atomic_init(&index->growths, 0);
    atomic_init(&index->retired, NULL);
    atomic_init(&index->table, NULL);
    int error = table_new(index, bits, &table);
    if (error != FASTER_OK) {
        return error;
    }
    atomic_store_explicit(&index->table, table, memory_order_seq_cst); /* M3 */
    return FASTER_OK;
}

void index_destroy(struct index *index) {
    struct index_table *retired =
        atomic_load_explicit(&index->retired, memory_order_acquire); /* M3 */
    struct index_table *table = index_current(index);
    if (retired != NULL) {
        table_free(index, retired);
    }
    while (table != NULL) {
        struct index_table *next = table_next(table);
        table_free(index, table);
        table = next;
    }
}

int index_restore(struct index *index, uint32_t bits) {
    struct index_table *old = index_current(index);
    struct index_table *table;
    if (bits <= old->bits) {
        return FASTER_OK;
    }
    if (bits > INDEX_BITS_MAX ||
        (sizeof(struct index_bucket) << bits) > index_allowed(index)) {
        return FASTER_E_FULL;
    }
    int error = table_new(index, bits, &table);
    if (error != FASTER_OK) {
        return error;
    }
    while (atomic_load_explicit(&index->retired, memory_order_acquire) != NULL) {
        thread_yield(); /* M3; ends: the worker frees what was retired before */
    }
    atomic_store_explicit(&index->table, table, memory_order_seq_cst); /* M3 */
    atomic_store_explicit(&index->retired, old, memory_order_release); /* M3 */
    worker_post(index->worker);
    return FASTER_OK;
}

void index_restore_bucket(struct index *index, uint64_t number,
                          const uint64_t words[BUCKET_ENTRIES],
                          struct index_tally *tally) {
    struct index_bucket *bucket = &index_current(index)->buckets[number];
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        atomic_store_explicit(&bucket->entries[i], words[i],
                              memory_order_release); /* M1 */
        tally->inserted += (uint32_t)(words[i] != 0);
    }
    if (tally->inserted >= INDEX_COUNT_STEP) {
        index_settle(index, tally);
    }
}

/* Whether no entry of a bucket is at or above an address; mostly so, and then without a
 * branch for each. */
static bool all_below(struct index_bucket *bucket, uint64_t from) {
    bool below = true;
    for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
        below &= entry_address(bucket_entry(bucket, i)) < from;
    }
    return below;
}

bool index_check(struct index *index, uint64_t from,
                 bool (*fits)(void *context, uint64_t address), void *context,
                 uint64_t *bucket, uint64_t *address) {
    struct index_table *table = index_current(index);
    for (uint64_t number = 0; number <= table->mask; number++) {
        struct index_bucket *at = &table->buckets[number];
        uint64_t overflow;
        do { /* ends with the chain */
            uint32_t count = all_below(at, from) ? 0 : BUCKET_ENTRIES;
            for (uint32_t i = 0; i < count; i++) {
                *address = entry_address(bucket_entry(at, i));
                if (*address >= from && !fits(context, *address)) {
                    *bucket = number;
                    return false;
                }
            }
            overflow = bucket_overflow(at);
            at = overflow != 0 ? overflow_bucket(&table->pool, overflow) : at;
        } while (overflow != 0);
    }
    return true;
}

uint64_t index_bytes(struct index *index) {
    uint64_t bytes = 0;
    struct index_table *table = index_current(index);
    while (table != NULL) {
        bytes += table_resident(table) + overflow_bytes(&table->pool);
        table = table_next(table);
    }
    return bytes;
}

/* Whether a tag stands before place (bucket, i) in the chain too. */
static bool stands_earlier(struct index_table *table, uint64_t number, uint64_t tag,
                           const struct index_bucket *bucket, int i) {
    struct index_bucket *at = &table->buckets[number];
    for (;;) { /* ends at `bucket`, which is in the chain */
        for (int j = 0; j < BUCKET_ENTRIES; j++) {
            if (at == bucket && j == i) {
                return false;
            }
            uint64_t word =
                atomic_load_explicit(&at->entries[j], memory_order_acquire); /* M1 */
            if (entry_is(word, tag)) {
                return true;
            }
        }
        at = overflow_bucket(
            &table->pool,
            atomic_load_explicit(&at->overflow, memory_order_acquire)); /* M1 */
    }
}

static int audit_chain(struct index_table *table, uint64_t number) {
    struct index_bucket *bucket = &table->buckets[number];
    for (;;) { /* ends with the chain */
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            uint64_t word = atomic_load_explicit(&bucket->entries[i],
                                                 memory_order_acquire); /* M1 */
            if (word == 0) {
                continue;
            }
            if ((word & (ENTRY_TENTATIVE | ENTRY_FROZEN)) != 0) {
                return 3;
            }
            if (stands_earlier(table, number, word & ~ENTRY_ADDRESS_MASK, bucket, i)) {
                return 1;
            }
        }
        uint64_t overflow =
            atomic_load_explicit(&bucket->overflow, memory_order_acquire); /* M1 */
        if (overflow == 0) {
            return 0;
        }
        bucket = overflow_bucket(&table->pool, overflow);
    }
}

/* The chains of bucket `number`, in the table that rules it. */
static int audit_bucket(struct index_table *table, uint64_t number) {
    struct index_table *next = table_next(table);
    if (next == NULL ||
        atomic_load_explicit(&table->chunk_states[number >> CHUNK_BITS],
                             memory_order_acquire) != CHUNK_SPLIT) { /* M4 */
        return audit_chain(table, number);
    }
    int broken = audit_chain(next, number);
    return broken != 0 ? broken : audit_chain(next, number + table->mask + 1);
}

int index_audit(struct index *index) {
    struct index_table *table = index_current(index);
    int broken = 0;
    for (uint64_t number = 0; number <= table->mask && broken == 0; number++) {
        broken = audit_bucket(table, number);
    }
    return broken;
}
