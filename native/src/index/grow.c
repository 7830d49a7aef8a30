/* SPDX-License-Identifier: MIT */
/* grow.c: doubling the table while it is used (G1), see index.h */
#include <errno.h>

#include "address/address.h"
#include "base/assert.h"
#include "index/table.h"

/* Chunks the worker splits before it looks whether it should stop. */
enum { WORK_CHUNKS = 16 };

static bool is_growing(struct index *index) {
    return atomic_load_explicit(&index->growing, memory_order_acquire); /* M3 */
}

/* The memory that a table of `bytes` beside today's would take (G0). */
static bool growth_fits(struct index *index, uint64_t bytes, uint64_t limit) {
    return index_bytes(index) <= limit && bytes <= limit - index_bytes(index);
}

uint64_t index_allowed(const struct index *index) {
    return atomic_load_explicit(&index->limit, memory_order_seq_cst); /* M8 */
}

void index_allow(struct index *index, uint64_t limit) {
    atomic_store_explicit(&index->limit, limit, memory_order_seq_cst);     /* M8 */
    atomic_store_explicit(&index->saturated, false, memory_order_seq_cst); /* M8 */
}

static void tell(struct index *index, enum faster_event_kind kind, uint64_t since,
                 const uint64_t words[FASTER_EVENT_WORDS]) {
    if (events_wanted(index->events)) {
        events_tell(index->events, kind, FASTER_OK, since, words);
    }
}

/* A limit that has become another one since it was judged by refuses nothing: the next
 * insertions try again. */
static int refuse_growth(struct index *index, uint64_t limit, int error) {
    bool known = atomic_exchange_explicit(&index->saturated, true,
                                          memory_order_seq_cst); /* M8 */
    if (index_allowed(index) != limit) {
        atomic_store_explicit(&index->saturated, false, memory_order_seq_cst); /* M8 */
    } else if (!known) {
        const uint64_t words[FASTER_EVENT_WORDS] = {0};
        tell(index, FASTER_EVENT_NEWS, 0, words);
    }
    atomic_store_explicit(&index->growing, false, memory_order_release); /* M3 */
    return error;
}

static int start_growth(struct index *index) {
    struct index_table *table = index_current(index);
    struct index_table *next;
    uint64_t limit = index_allowed(index);
    if (table->bits >= INDEX_BITS_MAX || !growth_fits(index, table->bytes * 2, limit)) {
        return refuse_growth(index, limit, FASTER_E_FULL);
    }
    int error = worker_start(index->worker);
    if (error == 0 && index->slot == NULL) {
        error = epoch_slot_take(index->epoch, &index->slot);
    }
    if (error == 0) {
        error = table_chunks_new(table);
    }
    if (error == 0) {
        error = table_new(index, table->bits + 1, &next);
    }
    if (error == FASTER_E_FULL &&
        budget_want(index->budget, table->bytes * 2) == FASTER_RETRY) {
        /* The log gives pages up; the next insertions try again. */
        atomic_store_explicit(&index->growing, false, memory_order_release); /* M3 */
        return error;
    }
    budget_sated(index->budget);
    if (error != 0) {
        return refuse_growth(index, limit, error);
    }
    const uint64_t words[FASTER_EVENT_WORDS] = {next->mask + 1};
    /* It was refused before, perhaps, for lack of memory that is there now. */
    atomic_store_explicit(&index->saturated, false, memory_order_seq_cst); /* M8 */
    index->growing_since = clock_ns();
    tell(index, FASTER_EVENT_INDEX_GROWING, 0, words);
    atomic_store_explicit(&table->next, next, memory_order_seq_cst); /* M3 */
    worker_post(index->worker);
    return FASTER_OK;
}

/* Whether a table that a restored one took the place of is still to be freed: there is
 * one word for what waits for that. */
static bool is_retiring(struct index *index) {
    return atomic_load_explicit(&index->retired, memory_order_acquire) != NULL; /* M3 */
}

int index_grow(struct index *index) {
    bool idle = false;
    if (!atomic_compare_exchange_strong_explicit(&index->growing, &idle, true,
                                                 memory_order_acq_rel,
                                                 memory_order_acquire)) { /* M3 */
        return FASTER_OK;
    }
    if (is_retiring(index)) { /* the next insertions try again */
        index_release_growth(index);
        return FASTER_OK;
    }
    return start_growth(index);
}

int index_hold_growth(struct index *index) {
    bool idle = false;
    return atomic_compare_exchange_strong_explicit(&index->growing, &idle, true,
                                                   memory_order_acq_rel,
                                                   memory_order_acquire) /* M3 */
               ? FASTER_OK
               : FASTER_RETRY;
}

void index_release_growth(struct index *index) {
    atomic_store_explicit(&index->growing, false, memory_order_release); /* M3 */
}

/* Freeze a whole chain (M5) and let the records it names come to the cache. */
static void freeze_chain(struct index *index, struct index_table *table,
                         struct index_bucket *bucket) {
    for (;;) { /* ends with the chain: a frozen overflow word cannot be extended */
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            uint64_t word = atomic_fetch_or_explicit(&bucket->entries[i], ENTRY_FROZEN,
                                                     memory_order_acq_rel); /* M5 */
            if (word != 0) {
                index->records.prefetch(index->records.context, entry_address(word));
            }
        }
        uint64_t overflow = atomic_fetch_or_explicit(&bucket->overflow, ENTRY_FROZEN,
                                                     memory_order_acq_rel); /* M5 */
        if ((overflow & ~ENTRY_FROZEN) == 0) {
            return;
        }
        bucket = overflow_bucket(&table->pool, overflow & ~ENTRY_FROZEN);
    }
}

/* Undo a freeze; words that were tentative go, their owners have been told to retry or
 * will fail on the empty place. */
static void thaw_chain(struct index_table *table, struct index_bucket *bucket) {
    for (;;) { /* ends with the chain */
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            /* relaxed: frozen words change by nobody else (bucket.h I2) */
            uint64_t word =
                atomic_load_explicit(&bucket->entries[i], memory_order_relaxed);
            uint64_t kept = (word & ENTRY_TENTATIVE) != 0 ? 0 : word & ~ENTRY_FROZEN;
            atomic_store_explicit(&bucket->entries[i], kept,
                                  memory_order_release); /* M5 */
        }
        /* relaxed: as above */
        uint64_t overflow =
            atomic_load_explicit(&bucket->overflow, memory_order_relaxed) &
            ~ENTRY_FROZEN;
        atomic_store_explicit(&bucket->overflow, overflow,
                              memory_order_release); /* M5 */
        if (overflow == 0) {
            return;
        }
        bucket = overflow_bucket(&table->pool, overflow);
    }
}

/* Write an entry into a chain that nobody else can see yet. */
static bool place_entry(struct index_table *table, uint64_t bucket_number,
                        uint64_t entry) {
    struct index_bucket *bucket = &table->buckets[bucket_number];
    for (;;) { /* ends with a free place */
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            /* relaxed: published by the chunk's state (M4) */
            if (atomic_load_explicit(&bucket->entries[i], memory_order_relaxed) == 0) {
                /* relaxed: as above */
                atomic_store_explicit(&bucket->entries[i], entry, memory_order_relaxed);
                return true;
            }
        }
        /* relaxed: as above */
        uint64_t overflow =
            atomic_load_explicit(&bucket->overflow, memory_order_relaxed);
        if (overflow == 0) {
            overflow = overflow_take(&table->pool, true);
            if (overflow == 0) {
                return false;
            }
            /* relaxed: as above */
            atomic_store_explicit(&bucket->overflow, overflow, memory_order_relaxed);
        }
        bucket = overflow_bucket(&table->pool, overflow);
    }
}

/* Addresses that one old entry becomes: [0] on the low side, [1] on the high side. */
struct sides {
    uint64_t address[2];
};

/*
 * Find the newest record of each side in a chain.  Where the chain leaves memory, or is
 * long, the rest goes to both sides: records of the other side's keys are passed over
 * by every lookup (I4).
 */
static struct sides divide_chain(struct index *index, uint64_t side_bit,
                                 uint64_t address) {
    struct sides sides = {{0, 0}};
    for (int walked = 0; address != 0; walked++) {
        uint64_t hash;
        uint64_t prev;
        if (walked >= SPLIT_WALK_MAX ||
            !index->records.hash_at(index->records.context, address, &hash, &prev)) {
            sides.address[0] = sides.address[0] != 0 ? sides.address[0] : address;
            sides.address[1] = sides.address[1] != 0 ? sides.address[1] : address;
            break;
        }
        int side = (hash & side_bit) != 0;
        if (sides.address[side] == 0) {
            sides.address[side] = address;
        }
        if (sides.address[0] != 0 && sides.address[1] != 0) {
            break;
        }
        address = prev;
    }
    return sides;
}

/* Where the chain of an entry begins in the log (I4). */
static uint64_t log_address(struct index *index, uint64_t word) {
    uint64_t address = entry_address(word);
    return address_is_cached(address)
               ? index->records.below(index->records.context, address)
               : address;
}

/* Copy one frozen chain into the two of the new table.  False when memory ran out. */
static bool copy_chain(struct index *index, struct index_table *table,
                       struct index_table *next, uint64_t number, uint64_t *copied) {
    uint64_t side_bit = table->mask + 1;
    struct index_bucket *bucket = &table->buckets[number];
    for (;;) { /* ends with the chain */
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            /* relaxed: frozen by this thread */
            uint64_t word =
                atomic_load_explicit(&bucket->entries[i], memory_order_relaxed) &
                ~ENTRY_FROZEN;
            if (word == 0 || (word & ENTRY_TENTATIVE) != 0) {
                continue;
            }
            uint64_t tag = word & ~ENTRY_ADDRESS_MASK;
            struct sides sides =
                divide_chain(index, side_bit, log_address(index, word));
            for (uint64_t side = 0; side < 2; side++) {
                if (sides.address[side] == 0) {
                    continue;
                }
                uint64_t target = number + side * side_bit;
                if (!place_entry(next, target, entry_make(tag, sides.address[side]))) {
                    return false;
                }
                *copied += 1;
            }
        }
        /* relaxed: frozen by this thread */
        uint64_t overflow =
            atomic_load_explicit(&bucket->overflow, memory_order_relaxed) &
            ~ENTRY_FROZEN;
        if (overflow == 0) {
            return true;
        }
        bucket = overflow_bucket(&table->pool, overflow);
    }
}

/* Forget what a split that ran out of memory has placed. */
static void clear_chunk(struct index_table *next, uint64_t first) {
    for (uint64_t b = first; b < first + CHUNK_BUCKETS; b++) {
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            /* relaxed: nobody else sees these buckets (M4) */
            atomic_store_explicit(&next->buckets[b].entries[i], 0,
                                  memory_order_relaxed);
        }
        /* relaxed: as above; the pool keeps the overflow buckets until the table
         * ends */
        atomic_store_explicit(&next->buckets[b].overflow, 0, memory_order_relaxed);
    }
}

static void set_state(struct index_table *table, uint64_t chunk, uint8_t state) {
    atomic_store_explicit(&table->chunk_states[chunk], state,
                          memory_order_seq_cst); /* M4, with index_ruling_slow */
}

/* The last chunk is done: the new table is the table. */
static void finish_growth(struct index *index, struct index_table *table,
                          struct index_table *next) {
    atomic_store_explicit(&index->table, next, memory_order_seq_cst);    /* M3 */
    atomic_store_explicit(&index->retired, table, memory_order_release); /* M3 */
    worker_post(index->worker);
}

/* Split one chunk that this thread has claimed.  FASTER_OK or -ENOMEM. */
static int split_chunk(struct index *index, struct index_table *table, uint64_t chunk) {
    struct index_table *next = table_next(table);
    uint64_t first = chunk << CHUNK_BITS;
    uint64_t copied = 0;
    set_state(table, chunk, CHUNK_SPLITTING);
    for (uint64_t b = first; b < first + CHUNK_BUCKETS; b++) {
        freeze_chain(index, table, &table->buckets[b]);
    }
    for (uint64_t b = first; b < first + CHUNK_BUCKETS; b++) {
        if (!copy_chain(index, table, next, b, &copied)) {
            clear_chunk(next, first);
            clear_chunk(next, first + table->mask + 1);
            for (uint64_t back = first; back < first + CHUNK_BUCKETS; back++) {
                thaw_chain(table, &table->buckets[back]);
            }
            set_state(table, chunk, CHUNK_UNSPLIT);
            return -ENOMEM;
        }
    }
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(&next->entries, copied, memory_order_relaxed);
    set_state(table, chunk, CHUNK_SPLIT);
    uint64_t done = atomic_fetch_add_explicit(&table->chunk_done, 1,
                                              memory_order_acq_rel) + /* M4 */
                    1;
    if (done == table->chunk_count) {
        finish_growth(index, table, next);
    }
    return FASTER_OK;
}

/*
 * Split the next chunk, if one is left.  FASTER_NOT_FOUND when none is.  A chunk whose
 * split ran out of memory is not claimed again: the worker finds it (retry_failed).
 */
int index_step(struct index *index, struct index_table *table) {
    /* Who finds all chunks claimed (the worker, before retry_failed) is ordered after
     * the claimants' entries, so its scan of the slots finds them inside. */
    uint64_t chunk =
        atomic_load_explicit(&table->chunk_claimed, memory_order_acquire); /* M6 */
    if (chunk >= table->chunk_count) {
        return FASTER_NOT_FOUND;
    }
    chunk = atomic_fetch_add_explicit(&table->chunk_claimed, 1,
                                      memory_order_acq_rel); /* M6 */
    return chunk < table->chunk_count ? split_chunk(index, table, chunk)
                                      : FASTER_NOT_FOUND;
}

/* All chunks are claimed but not all are done: split those that had to be given up.
 * Only the worker comes here, so a chunk it finds UNSPLIT has no other owner once every
 * claimant has left. */
static int retry_failed(struct index *index, struct index_table *table) {
    for (uint64_t chunk = 0; chunk < table->chunk_count; chunk++) {
        if (atomic_load_explicit(&table->chunk_states[chunk], memory_order_acquire) ==
            CHUNK_UNSPLIT) { /* M4 */
            int error = split_chunk(index, table, chunk);
            if (error != FASTER_OK) {
                return error;
            }
        }
    }
    return FASTER_OK;
}

/* Bytes at the start of the old table whose chunks are all split. */
static uint64_t split_prefix(struct index_table *table) {
    uint64_t chunk = table->discarded / (CHUNK_BUCKETS * sizeof(struct index_bucket));
    while (chunk < table->chunk_count &&
           atomic_load_explicit(&table->chunk_states[chunk], memory_order_acquire) ==
               CHUNK_SPLIT) { /* M4 */
        chunk++;
    }
    return chunk * CHUNK_BUCKETS * sizeof(struct index_bucket);
}

/* Give back what no lookup can reach any more (I5). */
static void discard_prefix(struct index *index, struct index_table *table) {
    uint64_t end = split_prefix(table) & ~((uint64_t)MEMORY_HUGE - 1);
    if (end <= table->discarded) {
        return;
    }
    epoch_wait(index->epoch, epoch_bump(index->epoch));
    memory_discard((uint8_t *)table->buckets + table->discarded,
                   end - table->discarded);
    budget_give(index->budget, end - table->discarded);
    table->discarded = end;
    table_set_resident(table, table->bytes - end);
}

static void walk_chunks(struct index *index, struct index_table *table) {
    while (epoch_enter(index->epoch, index->slot) != FASTER_OK) {
        thread_yield(); /* ends: nobody but the worker uses its slot */
    }
    int result = FASTER_OK;
    for (int i = 0; i < WORK_CHUNKS && result == FASTER_OK; i++) {
        result = index_step(index, table);
    }
    epoch_leave(index->epoch, index->slot);
    if (result == FASTER_NOT_FOUND) {
        /* After the wait every claimant has split or given up its chunk. */
        epoch_wait(index->epoch, epoch_bump(index->epoch));
        while (epoch_enter(index->epoch, index->slot) != FASTER_OK) {
            thread_yield(); /* ends: as above */
        }
        result = retry_failed(index, table);
        epoch_leave(index->epoch, index->slot);
        if (result != FASTER_OK) {
            thread_pause_us(1000); /* no memory: others must give some back first */
        }
    }
}

static void tell_growth(struct index *index) {
    /* relaxed: the worker's own count */
    uint64_t growths = atomic_load_explicit(&index->growths, memory_order_relaxed) + 1;
    const uint64_t words[FASTER_EVENT_WORDS] = {growths, index_current(index)->mask + 1,
                                                index_bytes(index)};
    tell(index, FASTER_EVENT_INDEX_GROWN, index->growing_since, words);
}

/* One that was split into a larger one ends a growth; one that a restored table took
 * the place of does not. */
static void free_retired(struct index *index, struct index_table *retired) {
    bool grown = table_next(retired) != NULL;
    epoch_wait(index->epoch, epoch_bump(index->epoch));
    atomic_store_explicit(&index->retired, NULL, memory_order_release); /* M3 */
    table_free(index, retired);
    if (grown) {
        tell_growth(index);
        (void)atomic_fetch_add_explicit(&index->growths, 1,
                                        memory_order_release);               /* M7 */
        atomic_store_explicit(&index->growing, false, memory_order_release); /* M3 */
    }
}

bool index_work(struct index *index) {
    struct index_table *retired =
        atomic_load_explicit(&index->retired, memory_order_acquire); /* M3 */
    if (retired != NULL) {
        free_retired(index, retired);
        return true;
    }
    struct index_table *table = index_current(index);
    if (!is_growing(index) || table_next(table) == NULL) {
        return false;
    }
    walk_chunks(index, table);
    discard_prefix(index, table);
    return true;
}
