/* SPDX-License-Identifier: MIT */
/*
 * cache.h: records that came back from the device, kept for the next who wants them
 *
 * Level 3.  Includes: address, base, epoch, hash, index, record, worker.
 *
 * Purpose
 *   A record that has left memory costs a device read each time it is asked for.  What
 *   is read is often read again, so a copy is kept in a ring of pages of fixed size.
 *   The copies are found through the index like every record, and a lookup that meets
 *   none pays one branch for them.
 *
 * Model
 *   An index entry may name a copy (ADDRESS_CACHE).  A copy's prev is what the entry
 *   named before it, so copies form the front of a chain, and records of the log never
 *   name one:
 *
 *      entry -> copy -> copy -> record in memory -> record on the device -> ...
 *               '-- the front -'
 *
 *   A copy is the record as the log has it, but for prev, behind a word that says where
 *   in the log it is from (origin) and whether it was asked for since it came:
 *
 *      63          62..48  47..0
 *      referenced  zero    log address      then the record
 *
 *   insert   reserve room, copy, CAS of the entry from exactly the word that the lookup
 *            saw.  No room, or a lost CAS: the copy is forgotten; nobody waits.
 *   update   a new record's prev is the first log address of the chain (cache_below),
 *            and the CAS of its publication detaches the whole front.
 *   split    of an index chunk: begins below the front, which is so dropped (index.h).
 *   evict    the worker keeps two pages free ahead of the tail.  It takes the oldest
 *            page, detaches every front that has a copy in it, lets everyone leave who
 *            may still look, and clears the page.  A copy that was asked for is copied
 *            to the tail instead, up to half a page of them; the last free page is kept
 *            for that.
 *
 *   Room is counted by a word that never falls, of page number and offset; the frame is
 *   the page number modulo page_count, which is a power of two, while page_size is not:
 *   so all the memory given is used.  An address is what of that word fits below the
 *   mark; it comes again after 2^47 bytes, and I5 says why it could do so earlier.
 *
 * Invariants
 *   I1  A copy that an entry leads to is of its key's newest record: it was so when the
 *       entry's CAS succeeded, and a newer record's CAS detaches it.
 *   I2  Only a CAS of the entry from a word that was seen before the chain was looked
 *       at puts a copy into a chain, or takes it out.
 *   I3  A copy is in at most one chain: splits drop fronts instead of dividing them.
 *   I4  A published copy never changes, but for the referenced bit.
 *   I5  A page is cleared only after no entry leads into it and everyone has left who
 *       was inside then.  So an address that was seen inside an epoch names the same
 *       copy until the epoch is left, and a CAS cannot be fooled by one that came
 *       again.
 *   I6  Whoever reserves room writes a record there, valid or invalid, before it leaves
 *       or refreshes.
 *
 * Ordering
 *   M1  tail: CAS acq_rel, and loaded acquire by the worker.  Whoever reserved in a
 *       page that the tail has left entered before the worker's next scan of the slots,
 *       which therefore waits for it (I6).  Without it the worker could walk over room
 *       that is still being written.
 *   M2  ready: stored release after the page was cleared, loaded acquire by who
 *       reserves.  Without it clearing could erase a copy.
 *   A copy's words are written before the entry's CAS (record.h M4, index.h M1).
 *
 * Progress   find: wait-free.  insert: lock-free.  work: waits for other threads'
 *            epochs.
 * Threads    find and insert: any, inside an epoch; work: the worker, outside
 * Errors     insert: FASTER_RETRY when the entry has changed, FASTER_E_FULL without
 *            room.  Both are harmless.
 * Limits     CACHE_BYTES_MIN at least; no copy of a record that is longer than a page
 *            of the cache, which has a sixteenth of it up to CACHE_PAGE_MAX
 * Source     Chandramouli et al., SIGMOD 2018, on caching what reads bring back; the
 *            second chance after Corbato's clock (1968)
 * Tests      tests/cache/{validate_cache,torture_cache}.c
 */
#ifndef FASTER_CACHE_CACHE_H
#define FASTER_CACHE_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address/address.h"
#include "base/budget.h"
#include "base/compiler.h"
#include "epoch/epoch.h"
#include "index/index.h"
#include "record/record.h"
#include "worker/worker.h"

enum {
    CACHE_BYTES_MIN = 64 << 10, /* sixteen pages of 4 KiB */
    /* Two pages are free and one is partly filled: a sixteenth each is little. */
    CACHE_PAGES_MIN = 16,
    /* Emptying a page looks up each of its records: a few milliseconds at this size. */
    CACHE_PAGE_MAX = 1 << 20
};

struct cache {
    /* set once */
    uint8_t *base; /* NULL: there is no cache */
    uint64_t bytes;
    uint64_t page_size;
    uint64_t page_count; /* a power of two */
    uint32_t page_bits;  /* of an offset */
    uint32_t hash;       /* enum faster_hash */
    const struct record_layout *layout;
    struct index *index;
    struct epoch *epoch;
    struct worker *worker;
    struct budget *budget;
    struct epoch_slot *slot;

    /* the worker's own: the page that is being emptied */
    bool emptying;
    uint64_t position; /* the record to look at next */
    uint64_t kept;     /* bytes that got a second chance */

    /* written by who inserts */
    _Alignas(CACHE_LINE) _Atomic uint64_t tail; /* M1 */
    _Atomic uint64_t insertions;

    /* written by the worker */
    _Alignas(CACHE_LINE) _Atomic uint64_t ready; /* pages below may be filled (M2) */
    _Atomic uint64_t evictions;
};

struct cache_config {
    uint64_t bytes; /* taken from the budget; 0: no cache */
    const struct record_layout *layout;
    uint32_t hash;
    struct index *index;
    struct epoch *epoch;
    struct worker *worker; /* its work calls cache_work; started by the caller */
    struct budget *budget;
};

/* Errors: FASTER_E_CONFIG below CACHE_BYTES_MIN, FASTER_E_FULL when the budget has not
 * the bytes, -ENOMEM, and epoch_slot_take's. */
int cache_init(struct cache *cache, const struct cache_config *config);
void cache_destroy(struct cache *cache);

/* Look for a key in the front of a chain that begins at *address.  The copy, and
 * *address is where in the log it is from; or NULL, and *address is where the chain
 * goes on in the log.  What is from below `begin` is passed over. */
struct record *cache_find(struct cache *cache, uint64_t begin, const void *key,
                          uint64_t key_size, uint64_t *address);

/* The first log address of the chain that begins at `address`. */
uint64_t cache_below(const struct cache *cache, uint64_t address);

/* Keep a copy of the record at log address `origin`, which a lookup that saw ref->seen
 * found to be its key's newest (I1). */
int cache_insert(struct cache *cache, const struct index_ref *ref,
                 struct record *record, uint64_t origin);

/* A bounded piece of the worker's share; true when there may be more. */
bool cache_work(struct cache *cache);

/* Walk the whole cache (nobody else inside): 0, or the number of the broken
 * invariant. */
int cache_audit(struct cache *cache);

/* Whether a record is a copy in the cache. */
static inline bool cache_holds(const struct cache *cache, const struct record *record) {
    uintptr_t from = (uintptr_t)cache->base;
    return (uintptr_t)record >= from && (uintptr_t)record < from + cache->bytes;
}

#endif
