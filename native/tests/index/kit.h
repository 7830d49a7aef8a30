/* SPDX-License-Identifier: MIT */
/*
 * kit.h: an index over records that are nothing but hashes
 *
 * The index knows its records through two callbacks only, so its tests need no log.  A
 * key is its own 64-bit hash, which lets a test choose bucket, tag and side.
 */
#ifndef TESTS_INDEX_KIT_H
#define TESTS_INDEX_KIT_H

#include <errno.h>
#include <stdlib.h>

#include "harness.h"
#include "index/table.h"

/* Address a is records[a / KIT_STEP]; 0 is no record. */
enum { KIT_STEP = 8 };

struct kit_record {
    uint64_t hash;
    uint64_t prev;
    uint64_t mark; /* what the test says about this version of the key */
};

struct kit {
    struct index index;
    struct epoch epoch;
    struct worker worker;
    struct budget budget;
    struct kit_record *records;
    uint64_t capacity;
    _Atomic uint64_t used;
    uint64_t in_memory_from; /* addresses below are said to be elsewhere */
    bool works;              /* false: the test itself calls index_work */
};

/* One user of the index: what a session is to a store. */
struct kit_user {
    struct epoch_slot *slot;
    struct index_tally tally;
};

enum kit_put { KIT_NEW, KIT_THERE, KIT_CHANGED, KIT_FULL };

static inline struct kit_record *kit_record(struct kit *kit, uint64_t address) {
    return &kit->records[address / KIT_STEP];
}

static bool kit_hash_at(void *context, uint64_t address, uint64_t *hash,
                        uint64_t *prev) {
    struct kit *kit = context;
    if (address < kit->in_memory_from) {
        return false;
    }
    *hash = kit_record(kit, address)->hash;
    *prev = kit_record(kit, address)->prev;
    return true;
}

static void kit_prefetch(void *context, uint64_t address) {
    struct kit *kit = context;
    faster_prefetch(kit_record(kit, address));
}

static bool kit_work(void *context) {
    struct kit *kit = context;
    return kit->works && index_work(&kit->index);
}

/* `limit` bounds tables and pools together; `budget` (0: none) is the store's. */
static inline struct kit *kit_open(uint32_t bits, uint64_t capacity, uint64_t limit,
                                   uint64_t budget, bool works) {
    struct kit *kit = aligned_alloc(CACHE_LINE, align_up(sizeof *kit, CACHE_LINE));
    CHECK(kit != NULL, "no memory");
    struct index_records records = {kit, kit_hash_at, kit_prefetch, NULL};
    kit->capacity = capacity;
    kit->records = calloc((size_t)capacity, sizeof *kit->records);
    CHECK(kit->records != NULL, "no memory");
    kit->in_memory_from = 0;
    kit->works = works;
    atomic_init(&kit->used, 1);
    budget_init(&kit->budget, budget);
    epoch_init(&kit->epoch, 64);
    CHECK_INT(worker_init(&kit->worker, kit_work, kit), 0);
    CHECK_INT(index_init(&kit->index, &records, &kit->epoch, &kit->worker, &kit->budget,
                         limit, bits),
              FASTER_OK);
    return kit;
}

static inline void kit_close(struct kit *kit) {
    worker_stop(&kit->worker);
    index_destroy(&kit->index);
    CHECK_U64(budget_used(&kit->budget), 0); /* table.h I1, to the end */
    worker_destroy(&kit->worker);
    epoch_destroy(&kit->epoch);
    free(kit->records);
    free(kit);
}

static inline struct kit_user kit_user(struct kit *kit) {
    struct kit_user user = {NULL, {0}};
    CHECK_INT(epoch_slot_take(&kit->epoch, &user.slot), 0);
    return user;
}

static inline void kit_enter(struct kit *kit, struct kit_user *user) {
    CHECK_INT(epoch_enter(&kit->epoch, user->slot), FASTER_OK);
}

static inline void kit_leave(struct kit *kit, struct kit_user *user) {
    epoch_leave(&kit->epoch, user->slot);
}

/* A hash with these parts; `middle` are the bits between bucket and tag.  Tags are
 * counted from 1, since 0 is no tag (index_format.h I2). */
static inline uint64_t kit_hash(uint64_t tag, uint64_t middle, uint64_t bucket,
                                uint32_t bits) {
    uint64_t low = bucket & (((uint64_t)1 << bits) - 1);
    uint64_t between = (middle << bits) & (((uint64_t)1 << (64 - ENTRY_TAG_BITS)) - 1);
    return (tag + 1) << (64 - ENTRY_TAG_BITS) | between | low;
}

static inline uint64_t kit_take(struct kit *kit, uint64_t hash, uint64_t prev,
                                uint64_t mark) {
    /* relaxed: a number; the entry's CAS publishes the record */
    uint64_t i = atomic_fetch_add_explicit(&kit->used, 1, memory_order_relaxed);
    CHECK(i < kit->capacity, "%" PRIu64 " records", i);
    kit->records[i] = (struct kit_record){hash, prev, mark};
    return i * KIT_STEP;
}

/* The newest record of a key in the chain that begins at `address`, or 0. */
static inline uint64_t kit_walk(struct kit *kit, uint64_t address, uint64_t hash) {
    while (address != 0 && kit_record(kit, address)->hash != hash) {
        address = kit_record(kit, address)->prev;
    }
    return address;
}

/* Find a key from inside; RETRY is passed on. */
static inline int kit_find_inside(struct kit *kit, uint64_t hash, struct index_ref *ref,
                                  uint64_t *address) {
    int result = index_find(&kit->index, hash, ref);
    *address = 0;
    if (result == FASTER_OK) {
        *address = kit_walk(kit, entry_address(ref->seen), hash);
    }
    return result;
}

/* The mark of a key's newest record, 0 when the key is absent. */
static inline uint64_t kit_mark(struct kit *kit, struct kit_user *user, uint64_t hash) {
    for (;;) { /* ends: a split waits for nobody */
        struct index_ref ref;
        uint64_t address;
        kit_enter(kit, user);
        int result = kit_find_inside(kit, hash, &ref, &address);
        uint64_t mark = address != 0 ? kit_record(kit, address)->mark : 0;
        kit_leave(kit, user);
        if (result != FASTER_RETRY) {
            return mark;
        }
        thread_yield();
    }
}

/* Put a key with `step` added to its mark.  Without `again` only if it is absent. */
static inline enum kit_put kit_put(struct kit *kit, struct kit_user *user,
                                   uint64_t hash, uint64_t step, bool again) {
    for (;;) { /* ends: a lost race means that somebody won it */
        struct index_ref ref;
        uint64_t old;
        kit_enter(kit, user);
        int result = kit_find_inside(kit, hash, &ref, &old);
        if (result == FASTER_RETRY || (old != 0 && !again)) {
            kit_leave(kit, user);
            if (result == FASTER_RETRY) {
                thread_yield();
                continue;
            }
            return KIT_THERE;
        }
        uint64_t mark = step + (old != 0 ? kit_record(kit, old)->mark : 0);
        uint64_t address = kit_take(kit, hash, entry_address(ref.seen), mark);
        result = index_publish(&kit->index, &ref, address, &user->tally);
        kit_leave(kit, user);
        if (result == FASTER_OK) {
            return old != 0 ? KIT_CHANGED : KIT_NEW;
        }
        if (result == FASTER_E_FULL) {
            return KIT_FULL;
        }
        CHECK_INT(result, FASTER_RETRY);
    }
}

static inline void kit_add(struct kit *kit, struct kit_user *user, uint64_t hash) {
    CHECK_INT(kit_put(kit, user, hash, hash | 1, false), KIT_NEW);
}

static inline bool kit_growing(struct kit *kit) {
    return atomic_load_explicit(&kit->index.growing, memory_order_acquire);
}

static inline uint64_t kit_growths(struct kit *kit) {
    return atomic_load_explicit(&kit->index.growths, memory_order_acquire);
}

/* Let a growth end; nobody may be inside. */
static inline void kit_grown(struct kit *kit) {
    while (kit_growing(kit)) { /* ends: the worker, or this loop, walks on */
        if (kit->works) {
            thread_yield();
        } else {
            (void)index_work(&kit->index);
        }
    }
}

/* table.h I1: what the budget holds is what the index says it holds. */
static inline void kit_check_budget(struct kit *kit) {
    CHECK_U64(budget_used(&kit->budget), index_bytes(&kit->index));
}

static inline uint64_t kit_word(struct index_bucket *bucket, int i) {
    return atomic_load_explicit(&bucket->entries[i], memory_order_acquire);
}

static inline void kit_plant(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_seq_cst);
}

#endif
