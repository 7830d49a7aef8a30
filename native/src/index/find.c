/* SPDX-License-Identifier: MIT */
/* find.c: lookup and two-phase insertion, see index.h */
#include "address/address.h"
#include "base/assert.h"
#include "index/index.h"

static int find_in_chain(struct index_table *table, uint64_t hash,
                         struct index_ref *ref) {
    uint64_t tag = entry_tag_of_hash(hash);
    struct index_bucket *bucket = &table->buckets[hash & table->mask];
    ref->table = table;
    ref->hash = hash;
    ref->place = NULL;
    ref->seen = 0;
    for (;;) { /* ends with the chain, which only grows by inserted entries */
        if (index_match(bucket, tag, ref)) {
            return FASTER_OK;
        }
        struct bucket_room room = bucket_room(bucket, tag);
        if (faster_unlikely(room.again)) {
            return FASTER_RETRY;
        }
        ref->bucket = bucket;
        if (room.empty != 0 && ref->place == NULL) {
            ref->place = &bucket->entries[bit_lowest(room.empty)];
        }
        if (room.overflow == 0) {
            ref->seen = 0;
            return FASTER_NOT_FOUND;
        }
        bucket = overflow_bucket(&table->pool, room.overflow);
    }
}

int index_ruling_slow(struct index_table *table, uint64_t hash,
                      struct index_table **ruling) {
    struct index_table *next = table_next(table);
    while (next != NULL) { /* at most two tables live: one step */
        uint64_t chunk = (hash & table->mask) >> CHUNK_BITS;
        uint8_t state = atomic_load_explicit(&table->chunk_states[chunk],
                                             memory_order_seq_cst); /* M4 */
        if (state == CHUNK_SPLITTING) {
            return FASTER_RETRY;
        }
        if (state == CHUNK_UNSPLIT) {
            break;
        }
        table = next;
        next = table_next(table);
    }
    *ruling = table;
    return FASTER_OK;
}

int index_find_far(struct index *index, uint64_t hash, struct index_ref *ref) {
    struct index_table *table;
    int result = index_ruling(index, hash, &table);
    return result == FASTER_OK ? find_in_chain(table, hash, ref) : result;
}

/* Lead from the last bucket of a full chain to a new one. */
static int extend_chain(const struct index_ref *ref, _Atomic uint64_t **place) {
    uint64_t none = 0;
    uint64_t number = overflow_take(&ref->table->pool, false);
    if (number == 0) {
        struct overflow_pool *pool = &ref->table->pool;
        return overflow_is_exhausted(pool)
                   ? FASTER_E_FULL
                   : budget_want(pool->budget, overflow_next_bytes(pool));
    }
    /* seq_cst as in M2: a rescan that does not see the link is before it.  The number
     * of a lost CAS stays unused until the table ends; losses are rare. */
    if (!atomic_compare_exchange_strong_explicit(&ref->bucket->overflow, &none, number,
                                                 memory_order_seq_cst,
                                                 memory_order_relaxed)) { /* M2 */
        return FASTER_RETRY;
    }
    *place = &overflow_bucket(&ref->table->pool, number)->entries[0];
    return FASTER_OK;
}

/* Whether another word of the tag, final or tentative, or a frozen word is in the
 * chain: then the tentative word at `own` must go. */
static bool has_rival(const struct index_ref *ref, const _Atomic uint64_t *own) {
    uint64_t tag = entry_tag_of_hash(ref->hash);
    struct index_table *table = ref->table;
    struct index_bucket *bucket = &table->buckets[ref->hash & table->mask];
    for (;;) { /* ends with the chain */
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            uint64_t word = atomic_load_explicit(&bucket->entries[i],
                                                 memory_order_seq_cst); /* M2 */
            uint64_t found = word & ~ENTRY_ADDRESS_MASK & ~ENTRY_TENTATIVE;
            bool other = &bucket->entries[i] != own && word != 0 && found == tag;
            if (other || (word & ENTRY_FROZEN) != 0) {
                return true;
            }
        }
        uint64_t overflow =
            atomic_load_explicit(&bucket->overflow, memory_order_seq_cst); /* M2 */
        if ((overflow & ENTRY_FROZEN) != 0) {
            return true;
        }
        if (overflow == 0) {
            return false;
        }
        bucket = overflow_bucket(&table->pool, overflow);
    }
}

/* Add what a session has inserted to the table's count, and see whether it is time. */
static void add_tally(struct index *index, struct index_table *table,
                      struct index_tally *tally) {
    /* relaxed: a figure; the threshold need not be met exactly */
    uint64_t entries = atomic_fetch_add_explicit(&table->entries, tally->inserted,
                                                 memory_order_relaxed) +
                       tally->inserted;
    tally->inserted = 0;
    if (entries > (table->mask + 1) * INDEX_LOAD) {
        (void)index_grow(index); /* a refusal is remembered there (saturated) */
    }
}

static void count_insertion(struct index *index, struct index_table *table,
                            struct index_tally *tally) {
    if (++tally->inserted == INDEX_COUNT_STEP) {
        add_tally(index, table, tally);
    }
}

void index_settle(struct index *index, struct index_tally *tally) {
    if (tally->inserted != 0) {
        add_tally(index, index_current(index), tally);
    }
}

int index_make_place(struct index_ref *ref) {
    if (ref->seen != 0 || ref->place != NULL) {
        return FASTER_OK;
    }
    return extend_chain(ref, &ref->place);
}

static int publish_absent(struct index *index, const struct index_ref *ref,
                          uint64_t address, struct index_tally *tally) {
    _Atomic uint64_t *place = ref->place;
    uint64_t final = entry_make(entry_tag_of_hash(ref->hash), address);
    uint64_t tentative = final | ENTRY_TENTATIVE;
    uint64_t none = 0;
    if (place == NULL) {
        int result = extend_chain(ref, &place);
        if (result != FASTER_OK) {
            return result;
        }
    }
    if (!atomic_compare_exchange_strong_explicit(place, &none, tentative,
                                                 memory_order_seq_cst,
                                                 memory_order_relaxed)) { /* M2 */
        return FASTER_RETRY;
    }
    uint64_t seen = tentative;
    if (has_rival(ref, place)) {
        /* A frozen word stays as it is: a split drops tentative words. */
        (void)atomic_compare_exchange_strong_explicit(
            place, &seen, 0, memory_order_release, memory_order_relaxed); /* M1 */
        return FASTER_RETRY;
    }
    if (!atomic_compare_exchange_strong_explicit(place, &seen, final,
                                                 memory_order_seq_cst,
                                                 memory_order_relaxed)) { /* M1, M2 */
        return FASTER_RETRY;
    }
    count_insertion(index, ref->table, tally);
    struct index_table *table = index_current(index);
    if (faster_unlikely(table_next(table) != NULL)) {
        (void)index_step(index, table); /* pays for the growth it caused */
    }
    return FASTER_OK;
}

int index_publish(struct index *index, const struct index_ref *ref, uint64_t address,
                  struct index_tally *tally) {
    if (ref->seen == 0) {
        return publish_absent(index, ref, address, tally);
    }
    uint64_t seen = ref->seen;
    faster_assert(entry_address(seen) < address ||
                  address_is_cached(entry_address(seen))); /* I2 */
    uint64_t final = entry_make(seen & ~ENTRY_ADDRESS_MASK, address);
    return atomic_compare_exchange_strong_explicit(ref->place, &seen, final,
                                                   memory_order_release,
                                                   memory_order_relaxed) /* M1 */
               ? FASTER_OK
               : FASTER_RETRY;
}
