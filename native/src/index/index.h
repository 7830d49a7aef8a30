/* SPDX-License-Identifier: MIT */
/*
 * index.h: from a hash to the newest record of its chain
 *
 * Level 2.  Includes: address, base, format, epoch, events, worker.
 *
 * Purpose
 *   The index answers one question: at which address does the chain of records for this
 *   hash begin?  It knows nothing of what records hold.  It is never locked, and it
 *   doubles while it is used.
 *
 * Model
 *   A table is 2^bits buckets (bucket.h) and a pool of overflow buckets.  The bucket is
 *   the low bits of the hash, the tag its highest 14.  While the index grows there are
 *   two tables, and `next` of the old one names the new one.  The old table is split in
 *   chunks of CHUNK_BUCKETS buckets, in order; a chunk's state says which table rules:
 *
 *      UNSPLIT     the old one
 *      SPLITTING   neither: who comes gets FASTER_RETRY
 *      SPLIT       the new one
 *
 *   A split first freezes every word of the old chain (fetch_or of the frozen bit), so
 *   that no later CAS on it can succeed, then copies, then says SPLIT.  Whoever meets a
 *   frozen word looks at the chunk's state anew.  So a growth starts without waiting
 *   for anybody: an operation that has not noticed it works on in the old table until
 *   it meets the first frozen word.
 *
 *   Chunks are claimed by a counter.  Every insertion of a new entry splits one chunk
 *   while the index grows, so the growth is over after at most one insertion for each
 *   CHUNK_BUCKETS buckets; the worker walks on when nobody inserts.  Because chunks are
 *   split in order, the memory of the old table is given back in order, and the two
 *   tables together take hardly more than the new one alone.
 *
 * Invariants
 *   I1  At most one final entry per tag in a chain (two-phase insertion).
 *   I2  An entry's address is below the tail, and only grows while the entry lives; but
 *       it may name copies before the log's records (cache.h), which come and go.
 *   I3  In each chunk exactly one table rules, or none while it is SPLITTING.
 *   I4  From every record of a key that is reachable in the old chain, the same record
 *       is reachable in the new chain of its hash.  Copies of the cache are left
 *       behind: none may be in two chains.
 *   I5  A table is freed, and its parts are discarded, only after everyone has left who
 *       could have found them (epoch).
 *   I6  While the growth is held (G1) there is one table, and no word is frozen.
 *
 * Ordering
 *   M1  Entries: CAS release (seq_cst for the tentative step), loads acquire; the
 *       record that an entry names is seen whole (record.h M4).
 *   M2  Two-phase insertion: both inserters' CAS of their tentative word and both
 *       rescans are seq_cst.  In their single order the later rescan sees the other's
 *       word, so at most one of two insertions of a tag becomes final.
 *   M3  `table` is stored (seq_cst) and loaded (seq_cst) after the slot's CAS, as
 *       guarded state (epoch.h M1).  `next` is stored (seq_cst) after the new table is
 *       ready, and loaded (seq_cst).
 *   M4  A chunk's state: SPLIT is stored (seq_cst) after the new buckets are filled,
 *       and loaded (seq_cst).  Without release and acquire a lookup in the new table
 *       could miss an entry.  And like `next` it is guarded state: who enters after the
 *       bump that precedes a discard must see that the chunk is split, or it would take
 *       buckets that were given back for empty ones.
 *   M5  fetch_or of frozen is acq_rel: it reads what the last CAS published, and a CAS
 *       that fails on it is ordered after it.
 *   M6  Chunks are claimed acq_rel, and "all are claimed" is loaded acquire: the
 *       worker, which then waits for everyone inside, knows of every claimant.  Without
 *       it a chunk could be split twice.
 *   M7  A growth is counted (release) after it was told: who loads the count (acquire)
 *       and then looks for events finds the event, unless it was lost.
 *   M8  `limit` and `saturated` are seq_cst: a refusal sets `saturated` and then looks
 *       at the limit again, a change sets the limit and then clears `saturated`.  One
 *       of the two sees the other: no refusal by an old limit is left standing.
 *
 * Progress   find: wait-free but for FASTER_RETRY.  publish: lock-free.  A chunk that
 *            is SPLITTING belongs to one thread that waits for nothing.
 * Threads    any, inside an epoch; index_work on the worker, outside
 * Errors     FASTER_E_FULL, -ENOMEM, FASTER_RETRY
 * Limits     INDEX_BITS_MIN ... INDEX_BITS_MAX
 * Source     Chandramouli et al., SIGMOD 2018, sections 3.1-3.3; freezing words before
 *            copying after Click's non-blocking hash table (2007)
 * Tests      tests/index/{validate_find,validate_grow,torture_insert,torture_grow}.c
 */
#ifndef FASTER_INDEX_INDEX_H
#define FASTER_INDEX_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/compiler.h"
#include "epoch/epoch.h"
#include "events/events.h"
#include "faster/status.h"
#include "index/bucket.h"
#include "index/overflow.h"
#include "worker/worker.h"

enum {
    INDEX_BITS_MIN = 8,  /* 16 KiB: a store of a handful of keys costs nothing */
    INDEX_BITS_MAX = 40, /* 64 TiB of buckets */
    CHUNK_BITS = 6,
    CHUNK_BUCKETS = 1 << CHUNK_BITS, /* a split of about 256 records: microseconds */
    /* Growth starts at 4 keys per bucket (G0): at that load about one chain in twenty
     * has overflowed, and a table of half that load would cost 16 bytes a key more. */
    INDEX_LOAD = 4,
    /* Insertions a session counts by itself before it adds them to the table's
     * count. */
    INDEX_COUNT_STEP = 32,
    /* Records of a chain that a split looks at before it puts the rest on both
     * sides. */
    SPLIT_WALK_MAX = 64
};

enum chunk_state { CHUNK_UNSPLIT = 0, CHUNK_SPLITTING = 1, CHUNK_SPLIT = 2 };

struct index_table {
    struct index_bucket *buckets;
    uint64_t mask;
    uint32_t bits;
    uint64_t bytes;

    /* written now and then by those who insert */
    _Alignas(CACHE_LINE) _Atomic uint64_t entries;
    struct overflow_pool pool;

    /* while the table is being split into `next` */
    _Alignas(CACHE_LINE) _Atomic(struct index_table *) next; /* M3 */
    _Atomic uint8_t *chunk_states;                           /* M4 */
    uint64_t chunk_count;
    _Atomic uint64_t chunk_claimed;
    _Atomic uint64_t chunk_done;
    uint64_t discarded;        /* bytes of buckets given back; the worker's */
    _Atomic uint64_t resident; /* bytes of buckets still held */
};

/* What the index asks of whoever owns the records. */
struct index_records {
    void *context;
    /* The hash of a record's key and the address it points to.  False when the record
     * is not in memory. */
    bool (*hash_at)(void *context, uint64_t address, uint64_t *hash, uint64_t *prev);
    void (*prefetch)(void *context, uint64_t address);
    /* The first log address of a chain that begins with a copy.  NULL: there are no
     * copies. */
    uint64_t (*below)(void *context, uint64_t address);
};

struct index {
    _Alignas(CACHE_LINE) _Atomic(struct index_table *) table; /* M3 */
    struct index_records records;
    struct epoch *epoch;
    struct worker *worker;
    struct budget *budget;
    _Atomic uint64_t limit; /* M8; bytes that tables and pools may take together */
    struct events *events;  /* growth is told there, or NULL; set by the owner */
    uint64_t growing_since; /* by clock_ns; whoever starts the growth, before `next` */

    _Alignas(CACHE_LINE) _Atomic bool growing;
    _Atomic bool saturated;                /* M8 */
    _Atomic uint64_t growths;              /* M7 */
    struct epoch_slot *slot;               /* the worker's own */
    _Atomic(struct index_table *) retired; /* finished, waits for the worker */
};

/* A lookup's result, and what a publication needs to know. */
struct index_ref {
    struct index_table *table;
    _Atomic uint64_t *place;     /* the entry found, or a free one, or NULL */
    struct index_bucket *bucket; /* the last of the chain */
    uint64_t hash;
    uint64_t seen; /* the entry's word, 0 when absent */
};

/* Insertions that a session has not yet added to the table's count. */
struct index_tally {
    uint32_t inserted;
};

int index_init(struct index *index, const struct index_records *records,
               struct epoch *epoch, struct worker *worker, struct budget *budget,
               uint64_t limit, uint32_t bits);

/* Allow tables and pools other than before.  Any thread. */
void index_allow(struct index *index, uint64_t limit);
uint64_t index_allowed(const struct index *index);
void index_destroy(struct index *index);

/* Bits of the smallest table that holds so many keys below the growth threshold. */
uint32_t index_bits_for(uint64_t keys);

/* Find the entry of a hash.  FASTER_OK, FASTER_NOT_FOUND (ref tells where to insert),
 * or FASTER_RETRY.  index_find tries the common case first. */
int index_find_far(struct index *index, uint64_t hash, struct index_ref *ref);

/* Put `address` where the lookup looked, if nothing has changed there since: the entry
 * still has the word seen, or is still absent.  FASTER_OK, FASTER_RETRY,
 * FASTER_E_FULL. */
int index_publish(struct index *index, const struct index_ref *ref, uint64_t address,
                  struct index_tally *tally);

/* Make a free place for a lookup that found none, before anything is reserved for it:
 * what is refused then has cost nothing.  FASTER_OK, FASTER_RETRY, FASTER_E_FULL. */
int index_make_place(struct index_ref *ref);

/* Count what a session has inserted and not yet counted, before it ends: many short
 * sessions make the index grow, too. */
void index_settle(struct index *index, struct index_tally *tally);

/* Start doubling.  FASTER_OK also when it is under way, held, or to be tried again when
 * the worker has freed what a restored table replaced; FASTER_E_FULL, -errno. */
int index_grow(struct index *index);

/* Keep the index from growing, until index_release_growth: it then has one table, which
 * stays, and no word of it is frozen.  FASTER_OK, or FASTER_RETRY while a growth is
 * under way (or held by somebody else); the worker ends it. */
int index_hold_growth(struct index *index);
void index_release_growth(struct index *index);

/* Give an index that has no entry, and whose growth is held, a table of at least so
 * many bits; the running worker frees the other.  FASTER_OK, FASTER_E_FULL, -ENOMEM. */
int index_restore(struct index *index, uint32_t bits);

/* Put the words of a bucket that nobody has used, and that nobody else uses, into the
 * bucket of a restored table; counted by `tally`. */
void index_restore_bucket(struct index *index, uint64_t number,
                          const uint64_t words[BUCKET_ENTRIES],
                          struct index_tally *tally);

/* Ask of every entry of a restored table whose address is not below `from`, which is
 * above 0, whether that fits.  False when one does not: then which, and in which
 * bucket's chain. */
bool index_check(struct index *index, uint64_t from,
                 bool (*fits)(void *context, uint64_t address), void *context,
                 uint64_t *bucket, uint64_t *address);

/* The worker's share: split, discard, retire.  True when there may be more. */
bool index_work(struct index *index);

/* Walk the whole index (nobody else inside): 0, or the number of the broken
 * invariant. */
int index_audit(struct index *index);

uint64_t index_bytes(struct index *index);

FASTER_INLINE struct index_table *index_current(struct index *index) {
    return atomic_load_explicit(&index->table, memory_order_seq_cst); /* M3 */
}

FASTER_INLINE struct index_table *table_next(struct index_table *table) {
    return atomic_load_explicit(&table->next, memory_order_seq_cst); /* M3 */
}

int index_step(struct index *index, struct index_table *table);
int index_ruling_slow(struct index_table *table, uint64_t hash,
                      struct index_table **ruling);

/* The table that rules the chunk of a hash (I3). */
FASTER_INLINE int index_ruling(struct index *index, uint64_t hash,
                               struct index_table **ruling) {
    struct index_table *table = index_current(index);
    if (faster_likely(table_next(table) == NULL)) {
        *ruling = table;
        return FASTER_OK;
    }
    return index_ruling_slow(table, hash, ruling);
}

/* The bucket to prefetch for a hash: a hint that a growth may make wrong. */
FASTER_INLINE struct index_bucket *index_bucket_hint(struct index_table *table,
                                                     uint64_t hash) {
    return &table->buckets[hash & table->mask];
}

/* Look for the tag in one bucket.  The word is loaded again after the match, because
 * another thread may have moved the entry on; what is seen is one load. */
FASTER_INLINE bool index_match(struct index_bucket *bucket, uint64_t tag,
                               struct index_ref *ref) {
    uint32_t matches = bucket_match(bucket, tag);
    if (matches == 0) {
        return false;
    }
    uint32_t i = bit_lowest(matches);
    uint64_t word = bucket_entry(bucket, i);
    if (faster_unlikely(!entry_is(word, tag))) {
        return false; /* frozen meanwhile: bucket_room will tell */
    }
    ref->place = &bucket->entries[i];
    ref->seen = word;
    return true;
}

/*
 * The common cases of index_find, inlined: one table, and the entry in the first
 * bucket, or no entry and no overflow.  False when the general way must be gone.
 */
FASTER_INLINE bool index_find_near(struct index_table *table, uint64_t hash,
                                   struct index_ref *ref) {
    struct index_bucket *bucket = &table->buckets[hash & table->mask];
    uint64_t tag = entry_tag_of_hash(hash);
    ref->table = table;
    ref->bucket = bucket;
    ref->hash = hash;
    if (faster_likely(index_match(bucket, tag, ref))) {
        return true;
    }
    struct bucket_room room = bucket_room(bucket, tag);
    if (room.again || room.overflow != 0 || room.empty == 0) {
        return false;
    }
    ref->place = &bucket->entries[bit_lowest(room.empty)];
    ref->seen = 0;
    return true;
}

/* For who only reads: the word of the entry and where it stands, 0 and NULL when
 * absent. False as index_find_near. */
FASTER_INLINE bool index_peek(struct index_table *table, uint64_t hash,
                              _Atomic uint64_t **place, uint64_t *seen) {
    struct index_bucket *bucket = &table->buckets[hash & table->mask];
    uint64_t tag = entry_tag_of_hash(hash);
    uint32_t matches = bucket_match(bucket, tag);
    if (faster_likely(matches != 0)) {
        uint32_t i = bit_lowest(matches);
        *place = &bucket->entries[i];
        *seen = bucket_entry(bucket, i);
        return entry_is(*seen, tag);
    }
    struct bucket_room room = bucket_room(bucket, tag);
    *place = NULL;
    *seen = 0;
    return !room.again && room.overflow == 0;
}

FASTER_INLINE int index_find(struct index *index, uint64_t hash,
                             struct index_ref *ref) {
    struct index_table *table = index_current(index);
    if (faster_likely(table_next(table) == NULL) &&
        faster_likely(index_find_near(table, hash, ref))) {
        return ref->seen != 0 ? FASTER_OK : FASTER_NOT_FOUND;
    }
    return index_find_far(index, hash, ref);
}

#endif
