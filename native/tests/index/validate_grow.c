/* SPDX-License-Identifier: MIT */
/* validate_grow.c: doubling, step by step, against an oracle of every key */
#include "index/kit.h"

#include <string.h>

enum { BITS = INDEX_BITS_MIN, BUCKETS = 1 << BITS, RECORDS = 1 << 16 };

/* Keys that collide in every way: few tags, few buckets, all sides of
 * many doublings. */
static uint64_t colliding_hash(uint64_t i) {
    uint64_t bucket = (i * 37) % 24 * (BUCKETS / 24);
    return kit_hash(i % 11, i / 5, bucket, BITS);
}

static void check_all(struct kit *kit, struct kit_user *user, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = colliding_hash(i);
        CHECK(kit_mark(kit, user, hash) == (hash | 1), "key %" PRIu64 " is lost", i);
    }
    CHECK_INT(index_audit(&kit->index), 0);
}

static struct index_table *current(struct kit *kit) {
    return index_current(&kit->index);
}

static uint8_t state_of(struct index_table *table, uint64_t chunk) {
    return atomic_load_explicit(&table->chunk_states[chunk], memory_order_acquire);
}

static int step(struct kit *kit, struct kit_user *user) {
    kit_enter(kit, user);
    int result = index_step(&kit->index, current(kit));
    kit_leave(kit, user);
    return result;
}

/* T13: every key of an oracle is found before, during and after each of five doublings,
 * and keys that come meanwhile are too. */
static void t13_every_key_survives_every_doubling(void) {
    enum { DOUBLINGS = 5, FIRST = 600, EACH = 8 };
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    uint64_t count = 0;
    while (count < FIRST) {
        kit_add(kit, &user, colliding_hash(count++));
    }
    for (uint64_t doubling = 1; doubling <= DOUBLINGS; doubling++) {
        struct index_table *old = current(kit);
        check_all(kit, &user, count);
        CHECK_INT(index_grow(&kit->index), FASTER_OK);
        CHECK_INT(index_grow(&kit->index), FASTER_OK); /* under way already */
        while (current(kit) == old) {
            CHECK_INT(step(kit, &user), FASTER_OK);
            for (int i = 0; i < EACH && current(kit) == old; i++) {
                kit_add(kit, &user, colliding_hash(count++));
            }
            check_all(kit, &user, count);
        }
        kit_grown(kit);
        CHECK_U64(kit_growths(kit), doubling);
        CHECK_U64(current(kit)->mask + 1, (uint64_t)BUCKETS << doubling);
        check_all(kit, &user, count);
        kit_check_budget(kit);
    }
    kit_close(kit);
}

/* X11: a growth that is asked for happens: the table doubles and says so once. */
static void x11_growth_grows(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, true);
    struct kit_user user = kit_user(kit);
    for (uint64_t i = 0; i < 100; i++) {
        kit_add(kit, &user, colliding_hash(i));
    }
    for (uint64_t growth = 1; growth <= 3; growth++) {
        CHECK_INT(index_grow(&kit->index), FASTER_OK);
        kit_grown(kit); /* by the worker alone: nobody inserts */
        CHECK_U64(kit_growths(kit), growth);
        CHECK_U64(current(kit)->mask + 1, (uint64_t)BUCKETS << growth);
        CHECK_U64(current(kit)->bits, BITS + growth);
        check_all(kit, &user, 100);
    }
    kit_close(kit);
}

/* G0, X11: the load alone starts growth, at four keys a bucket and not before, and
 * insertions bring it to its end without the worker's help. */
static void g0_load_starts_growth_and_insertions_end_it(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    struct rng rng = rng_stream(3);
    uint64_t threshold = BUCKETS * INDEX_LOAD;
    uint64_t count = 0;
    while (count < threshold) {
        kit_add(kit, &user, rng_next(&rng));
        count++;
        CHECK(!kit_growing(kit), "grows at %" PRIu64, count);
    }
    while (!kit_growing(kit)) {
        kit_add(kit, &user, rng_next(&rng));
        count++;
        CHECK(count <= threshold + 2 * INDEX_COUNT_STEP, "no growth at %" PRIu64,
              count);
    }
    struct index_table *old = current(kit);
    for (uint64_t i = 0; i < old->chunk_count; i++) {
        kit_add(kit, &user, rng_next(&rng));
    }
    CHECK(current(kit) != old, "insertions have not split all chunks");
    CHECK_U64(current(kit)->mask, old->mask * 2 + 1);
    kit_grown(kit);
    rng = rng_stream(3);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t hash = rng_next(&rng);
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
    }
    kit_close(kit);
}

/* I3: while a chunk is SPLITTING its keys are answered with RETRY, others as ever. */
static void g1_a_splitting_chunk_answers_retry(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    uint64_t inside = kit_hash(1, 0, 0, BITS);
    uint64_t outside = kit_hash(1, 0, CHUNK_BUCKETS, BITS);
    struct index_ref ref;
    kit_add(kit, &user, inside);
    kit_add(kit, &user, outside);
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    struct index_table *table = current(kit);
    atomic_store_explicit(&table->chunk_states[0], CHUNK_SPLITTING,
                          memory_order_release);
    CHECK_INT(index_find(&kit->index, inside, &ref), FASTER_RETRY);
    CHECK_INT(index_find(&kit->index, outside, &ref), FASTER_OK);
    CHECK(ref.table == table, "the new table rules too early");
    atomic_store_explicit(&table->chunk_states[0], CHUNK_UNSPLIT, memory_order_release);
    CHECK_INT(step(kit, &user), FASTER_OK);
    CHECK_INT(index_find(&kit->index, inside, &ref), FASTER_OK);
    CHECK(ref.table == table_next(table), "the old table rules a split chunk");
    CHECK_INT(index_find(&kit->index, outside, &ref), FASTER_OK);
    CHECK(ref.table == table, "the new table rules an unsplit chunk");
    kit_grown(kit);
    kit_close(kit);
}

/* M5: after a split every word of the old chain is frozen, so that no lookup made
 * before can still publish there: not on an entry, not on a free place, not behind the
 * end. */
static void m5_lookups_from_before_a_split_cannot_publish(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    struct index_ref entry;
    struct index_ref place;
    struct index_ref end;
    for (uint64_t tag = 0; tag < BUCKET_ENTRIES * 2; tag++) {
        kit_add(kit, &user, kit_hash(tag, 0, 3, BITS)); /* two full buckets */
    }
    kit_add(kit, &user, kit_hash(1, 0, 4, BITS));
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    struct index_table *old = current(kit);
    CHECK_INT(index_find(&kit->index, kit_hash(1, 0, 4, BITS), &entry), FASTER_OK);
    CHECK_INT(index_find(&kit->index, kit_hash(2, 0, 4, BITS), &place),
              FASTER_NOT_FOUND);
    CHECK_INT(index_find(&kit->index, kit_hash(99, 0, 3, BITS), &end),
              FASTER_NOT_FOUND);
    CHECK(place.place != NULL && end.place == NULL, "the chains are not as planned");
    CHECK_INT(step(kit, &user), FASTER_OK);
    for (uint64_t b = 0; b < CHUNK_BUCKETS; b++) {
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            CHECK((kit_word(&old->buckets[b], i) & ENTRY_FROZEN) != 0,
                  "bucket %" PRIu64 " place %d", b, i);
        }
        CHECK((bucket_overflow(&old->buckets[b]) & ENTRY_FROZEN) != 0, "%" PRIu64, b);
    }
    struct index_ref *refs[] = {&entry, &place, &end};
    for (int i = 0; i < 3; i++) {
        uint64_t prev = entry_address(refs[i]->seen);
        uint64_t address = kit_take(kit, refs[i]->hash, prev, 5);
        CHECK_INT(index_publish(&kit->index, refs[i], address, &user.tally),
                  FASTER_RETRY);
        CHECK(kit_mark(kit, &user, refs[i]->hash) != 5, "published into the old table");
    }
    CHECK_INT(kit_put(kit, &user, place.hash, 7, false), KIT_NEW);
    CHECK_U64(kit_mark(kit, &user, place.hash), 7);
    kit_grown(kit);
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

/* M2: a tentative word is not carried over: its owner will retry in the new table. */
static void m2_tentative_words_are_dropped_by_a_split(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    uint64_t hash = kit_hash(9, 0, 7, BITS);
    uint64_t address = kit_take(kit, hash, 0, 1);
    uint64_t word = entry_make(entry_tag_of_hash(hash), address) | ENTRY_TENTATIVE;
    kit_plant(&current(kit)->buckets[7].entries[2], word);
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    struct index_table *old = current(kit);
    CHECK_INT(step(kit, &user), FASTER_OK);
    CHECK_U64(kit_word(&old->buckets[7], 2), word | ENTRY_FROZEN);
    kit_grown(kit);
    CHECK_INT(index_audit(&kit->index), 0);
    CHECK_U64(kit_mark(kit, &user, hash), 0);
    kit_close(kit);
}

/* Build one chain of `length` records of one tag; record i is on side_of(i). */
static void build_chain(struct kit *kit, struct kit_user *user, uint64_t length,
                        uint64_t (*side_of)(uint64_t i)) {
    for (uint64_t i = 0; i < length; i++) {
        kit_add(kit, user, kit_hash(1, i << 1 | side_of(i), 0, BITS));
    }
}

static void check_chain(struct kit *kit, struct kit_user *user, uint64_t length,
                        uint64_t (*side_of)(uint64_t i)) {
    for (uint64_t i = 0; i < length; i++) {
        uint64_t hash = kit_hash(1, i << 1 | side_of(i), 0, BITS);
        CHECK(kit_mark(kit, user, hash) == (hash | 1), "record %" PRIu64, i);
    }
}

static uint64_t side_alternates(uint64_t i) { return i & 1; }
static uint64_t side_low(uint64_t i) { return i * 0; }
static uint64_t side_high_is_oldest(uint64_t i) { return i < 20; }

/* Entries of tag 1 in the two buckets that bucket 0 became. */
static uint64_t entries_of_chain(struct kit *kit, uint64_t side) {
    struct index_table *table = current(kit);
    struct index_bucket *bucket = &table->buckets[side << (table->bits - 1)];
    uint64_t count = 0;
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        count += kit_word(bucket, i) != 0;
    }
    return count;
}

/* I4: each side begins at its newest record; a side without records gets no entry; a
 * chain longer than a split looks goes to both sides whole. */
static void i4_chains_of_mixed_sides_stay_reachable(void) {
    static const struct {
        uint64_t length;
        uint64_t (*side_of)(uint64_t i);
        uint64_t entries[2];
    } cases[] = {
        {1, side_low, {1, 0}},
        {50, side_low, {1, 0}},
        {200, side_alternates, {1, 1}},
        {SPLIT_WALK_MAX + 10, side_high_is_oldest, {1, 1}},
        {3 * SPLIT_WALK_MAX, side_high_is_oldest, {1, 1}},
        {3 * SPLIT_WALK_MAX, side_low, {1, 1}}, /* what was not looked at: both */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
        struct kit_user user = kit_user(kit);
        build_chain(kit, &user, cases[i].length, cases[i].side_of);
        CHECK_INT(index_grow(&kit->index), FASTER_OK);
        kit_grown(kit);
        check_chain(kit, &user, cases[i].length, cases[i].side_of);
        CHECK_U64(entries_of_chain(kit, 0), cases[i].entries[0]);
        CHECK_U64(entries_of_chain(kit, 1), cases[i].entries[1]);
        CHECK_INT(index_grow(&kit->index), FASTER_OK);
        kit_grown(kit);
        check_chain(kit, &user, cases[i].length, cases[i].side_of);
        CHECK_INT(index_audit(&kit->index), 0);
        kit_close(kit);
    }
}

/* I4, G1: where a chain leaves memory, the rest is put on both sides. */
static void i4_what_is_not_in_memory_goes_to_both_sides(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    build_chain(kit, &user, 40, side_high_is_oldest);
    kit->in_memory_from = 21 * KIT_STEP; /* all of the high side is elsewhere */
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    kit_grown(kit);
    kit->in_memory_from = 0;
    check_chain(kit, &user, 40, side_high_is_oldest);
    uint64_t word = kit_word(&current(kit)->buckets[BUCKETS], 0);
    CHECK_U64(entry_address(word), 20 * KIT_STEP);
    kit_close(kit);
}

/* G0: a growth that would cross the index's limit is refused; all goes on, also with a
 * load far beyond the threshold; with a larger limit it grows after all. */
static void g0_a_refused_growth_changes_nothing(void) {
    uint64_t table_bytes = BUCKETS * sizeof(struct index_bucket);
    struct kit *kit = kit_open(BITS, RECORDS, 3 * table_bytes - 1, 0, false);
    struct kit_user user = kit_user(kit);
    struct index_table *table = current(kit);
    CHECK_INT(index_grow(&kit->index), FASTER_E_FULL);
    CHECK(!kit_growing(kit), "growing");
    /* relaxed: one thread */
    CHECK(atomic_load_explicit(&kit->index.saturated, memory_order_relaxed),
          "not told");
    for (uint64_t i = 0; i < BUCKETS * INDEX_LOAD * 2; i++) {
        kit_add(kit, &user, colliding_hash(i));
    }
    CHECK(current(kit) == table && table_next(table) == NULL, "the table has changed");
    check_all(kit, &user, BUCKETS * INDEX_LOAD * 2);
    kit_check_budget(kit);
    index_allow(&kit->index, UINT64_MAX);
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    kit_grown(kit);
    CHECK_U64(current(kit)->mask + 1, 2 * BUCKETS);
    check_all(kit, &user, BUCKETS * INDEX_LOAD * 2);
    kit_close(kit);
}

/* G0: the store's budget refuses as well, and takes nothing then. */
static void g0_a_refusal_by_the_budget_takes_nothing(void) {
    uint64_t table_bytes = BUCKETS * sizeof(struct index_bucket);
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 3 * table_bytes - 64, false);
    struct kit_user user = kit_user(kit);
    kit_add(kit, &user, colliding_hash(0));
    for (int i = 0; i < 3; i++) {
        CHECK_INT(index_grow(&kit->index), FASTER_E_FULL);
        CHECK(!kit_growing(kit), "growing");
        kit_check_budget(kit);
    }
    kit->budget.limit += 64;
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    kit_grown(kit);
    check_all(kit, &user, 1);
    kit_check_budget(kit);
    kit_close(kit);
}

/* G0: a growth that has begun ends, also when the budget is used up meanwhile: the few
 * overflow buckets that it needs are forced, and counted. */
static void g0_a_growth_that_has_begun_ends_without_budget(void) {
    uint64_t table_bytes = BUCKETS * sizeof(struct index_bucket);
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 100 * table_bytes, false);
    struct kit_user user = kit_user(kit);
    for (uint64_t tag = 0; tag < 40; tag++) {
        kit_add(kit, &user, kit_hash(tag, 0, tag % 2, BITS));
    }
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    struct index_table *old = current(kit);
    kit->budget.limit = budget_used(&kit->budget);
    kit_grown(kit);
    CHECK(current(kit) != old, "the growth has not ended");
    kit_check_budget(kit);
    for (uint64_t tag = 0; tag < 40; tag++) {
        uint64_t hash = kit_hash(tag, 0, tag % 2, BITS);
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
    }
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

static void forget_wish(void *context) { (void)context; }

/* An insertion is told that there is no room also where somebody could give memory
 * back, but the budget is not what refuses: else it would be tried for ever. */
static void errors_a_pool_that_has_ended_is_full(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 1 << 30, false);
    struct kit_user user = kit_user(kit);
    struct overflow_pool *pool = &current(kit)->pool;
    struct index_ref ref;
    uint64_t address;
    kit->budget.yield = forget_wish;
    for (uint64_t tag = 0; tag < BUCKET_ENTRIES; tag++) {
        kit_add(kit, &user, kit_hash(tag, 0, 0, BITS));
    }
    atomic_store_explicit(&pool->next,
                          ((uint64_t)POOL_FIRST << POOL_PARTS) - POOL_FIRST,
                          memory_order_release);
    kit_enter(kit, &user);
    CHECK_INT(
        kit_find_inside(kit, kit_hash(BUCKET_ENTRIES, 0, 0, BITS), &ref, &address),
        FASTER_NOT_FOUND);
    CHECK_INT(index_make_place(&ref), FASTER_E_FULL);
    kit_leave(kit, &user);
    atomic_store_explicit(&pool->next, 0, memory_order_release);
    kit_add(kit, &user, kit_hash(BUCKET_ENTRIES, 0, 0, BITS));
    kit_close(kit);
}

/* index.h I5: a restored table does not grow before the one that it took the place of
 * is gone: only one is remembered until it can be freed. */
static void i5_a_restored_table_grows_later(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    CHECK_INT(index_hold_growth(&kit->index), FASTER_OK);
    CHECK_INT(index_restore(&kit->index, BITS + 1), FASTER_OK);
    index_release_growth(&kit->index);
    struct index_table *restored = current(kit);
    CHECK_INT(index_grow(&kit->index), FASTER_OK); /* not now */
    for (uint64_t i = 0; i < 100; i++) {
        kit_add(kit, &user, colliding_hash(i));
    }
    CHECK(current(kit) == restored, "it has grown");
    while (index_work(&kit->index)) {
        /* ends: the old table is freed */
    }
    CHECK(!kit_growing(kit), "growing");
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    kit_grown(kit);
    CHECK_U64(kit_growths(kit), 1);
    CHECK_U64(current(kit)->bits, BITS + 2);
    check_all(kit, &user, 100);
    kit_check_budget(kit);
    kit_close(kit);
}

/* table.h I1: a table of several huge pages is given back as it is emptied, and the
 * budget holds exactly what the tables hold, at each moment. */
static void i1_memory_goes_back_as_chunks_are_split(void) {
    enum { LARGE_BITS = 17 }; /* 8 MiB: four huge pages */
    struct kit *kit = kit_open(LARGE_BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    struct rng rng = rng_stream(4);
    for (int i = 0; i < 2000; i++) {
        kit_add(kit, &user, rng_next(&rng));
    }
    struct index_table *old = current(kit);
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    uint64_t least = old->bytes;
    uint64_t rounds = 0;
    while (current(kit) == old) {
        CHECK(index_work(&kit->index), "the work stops in the middle");
        CHECK(table_resident(old) <= least, "%" PRIu64, table_resident(old));
        least = table_resident(old);
        CHECK_U64(least % MEMORY_HUGE, 0);
        kit_check_budget(kit);
        rounds++;
    }
    CHECK_U64(least, 0);
    CHECK(rounds > 4, "%" PRIu64, rounds);
    kit_grown(kit);
    kit_check_budget(kit);
    CHECK_U64(index_bytes(&kit->index),
              current(kit)->bytes + overflow_bytes(&current(kit)->pool));
    rng = rng_stream(4);
    for (int i = 0; i < 2000; i++) {
        uint64_t hash = rng_next(&rng);
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
    }
    kit_close(kit);
}

/* Every bucket of the chunk and of both its halves in the new table is as it was before
 * the split: nothing frozen here, nothing placed there. */
static void check_undone(struct kit *kit, uint64_t chunk) {
    struct index_table *old = current(kit);
    struct index_table *next = table_next(old);
    CHECK_INT(state_of(old, chunk), CHUNK_UNSPLIT);
    for (uint64_t b = chunk * CHUNK_BUCKETS; b < (chunk + 1) * CHUNK_BUCKETS; b++) {
        uint64_t any = 0;
        for (int i = 0; i < BUCKET_ENTRIES; i++) {
            CHECK((kit_word(&old->buckets[b], i) & ENTRY_FROZEN) == 0, "%" PRIu64, b);
            any |= kit_word(&next->buckets[b], i);
            any |= kit_word(&next->buckets[b + BUCKETS], i);
        }
        CHECK((bucket_overflow(&old->buckets[b]) & ENTRY_FROZEN) == 0, "%" PRIu64, b);
        any |= bucket_overflow(&next->buckets[b]);
        any |= bucket_overflow(&next->buckets[b + BUCKETS]);
        CHECK(any == 0, "bucket %" PRIu64 " of the new table is not empty", b);
    }
}

/* A split that finds no memory for its second overflow bucket is undone, everything in
 * its chunk can be used, and a later attempt completes it. */
static void errors_a_split_without_memory_is_undone_and_made_later(void) {
    enum { TAGS = 30 }; /* of one side: five buckets in the new table too */
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    uint64_t all = ((uint64_t)POOL_FIRST << POOL_PARTS) - POOL_FIRST;
    for (uint64_t tag = 0; tag < TAGS; tag++) {
        kit_add(kit, &user, kit_hash(tag, 0, 70, BITS)); /* of chunk 1 */
        kit_add(kit, &user, kit_hash(tag, 0, tag, BITS));
    }
    kit_plant(&current(kit)->buckets[71].entries[3],
              entry_make(entry_tag_of_hash(UINT64_MAX), 8) | ENTRY_TENTATIVE);
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    struct index_table *old = current(kit);
    struct overflow_pool *pool = &table_next(old)->pool;
    CHECK_INT(step(kit, &user), FASTER_OK); /* chunk 0 needs no overflow bucket */
    CHECK_U64(overflow_take(pool, true), 1);
    CHECK_U64(overflow_count(pool), 1);
    kit_plant(&pool->next, all); /* the pool's end (overflow.h Limits) */
    CHECK_INT(step(kit, &user), -ENOMEM);
    check_undone(kit, 1);
    CHECK_U64(kit_word(&old->buckets[71], 3), 0); /* tentative words go */
    for (uint64_t tag = 0; tag < TAGS; tag++) {
        uint64_t hash = kit_hash(tag, 0, 70, BITS);
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
        CHECK_INT(kit_put(kit, &user, hash, 1, true), KIT_CHANGED);
        CHECK_INT(kit_put(kit, &user, kit_hash(tag, 1, 70, BITS), 9, false), KIT_NEW);
    }
    for (uint64_t i = 0; i < 10; i++) {
        CHECK(index_work(&kit->index), "the growth is forgotten");
        check_undone(kit, 1);
    }
    CHECK(current(kit) == old, "the growth ended without chunk 1");
    kit_plant(&pool->next, 1);
    kit_grown(kit);
    CHECK_U64(kit_growths(kit), 1);
    for (uint64_t tag = 0; tag < TAGS; tag++) {
        uint64_t hash = kit_hash(tag, 0, 70, BITS);
        CHECK_U64(kit_mark(kit, &user, hash), (hash | 1) + 1);
        CHECK_U64(kit_mark(kit, &user, kit_hash(tag, 1, 70, BITS)), 9);
        hash = kit_hash(tag, 0, tag, BITS);
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
    }
    CHECK_INT(index_audit(&kit->index), 0);
    kit_check_budget(kit);
    kit_close(kit);
}

/* The audit looks at the table that rules each chunk, also while the index grows. */
static void i1_audit_looks_into_both_tables(void) {
    struct kit *kit = kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
    struct kit_user user = kit_user(kit);
    kit_add(kit, &user, kit_hash(1, 0, 0, BITS));
    kit_add(kit, &user, kit_hash(1, 1, 0, BITS));
    CHECK_INT(index_grow(&kit->index), FASTER_OK);
    CHECK_INT(step(kit, &user), FASTER_OK);
    CHECK_INT(index_audit(&kit->index), 0);
    for (uint64_t side = 0; side < 2; side++) {
        struct index_bucket *bucket =
            &table_next(current(kit))->buckets[side * BUCKETS];
        kit_plant(&bucket->entries[4], kit_word(bucket, 0));
        CHECK_INT(index_audit(&kit->index), 1);
        kit_plant(&bucket->entries[4], 0);
    }
    kit_close(kit); /* in the middle of a growth */
}

/* A reader who has found an entry of the old table, and the work that must wait. */
struct visit {
    struct kit *kit;
    struct kit_user reader;
    struct index_ref ref;
    uint64_t epoch; /* before the work */
    _Atomic bool worked;
};

static bool has_worked(struct visit *visit) {
    return atomic_load_explicit(&visit->worked, memory_order_acquire);
}

static void work_or_stay(void *context, uint32_t thread) {
    struct visit *visit = context;
    struct kit *kit = visit->kit;
    if (thread == 0) {
        (void)index_work(&kit->index);
        atomic_store_explicit(&visit->worked, true, memory_order_release);
        return;
    }
    /* Ends: the work bumps and waits for us; or it is wrong, and done. */
    while (atomic_load_explicit(&kit->epoch.current, memory_order_seq_cst) ==
               visit->epoch &&
           !has_worked(visit)) {
        thread_yield();
    }
    for (int i = 0; i < 1000; i++) {
        CHECK(!has_worked(visit), "memory was given back under a reader");
        CHECK_U64(atomic_load_explicit(visit->ref.place, memory_order_acquire),
                  visit->ref.seen | ENTRY_FROZEN);
        CHECK_U64(table_resident(visit->ref.table), visit->ref.table->bytes);
        thread_yield();
    }
    kit_leave(kit, &visit->reader);
}

/* Let a reader find an entry, split `chunks` chunks, and then let the work go on that
 * gives back what they held. */
static void work_under_a_reader(uint32_t bits, uint64_t chunks) {
    struct visit visit = {.kit = kit_open(bits, RECORDS, UINT64_MAX, 0, false)};
    struct kit_user writer = kit_user(visit.kit);
    uint64_t hash = kit_hash(1, 0, 1, bits);
    visit.reader = kit_user(visit.kit);
    kit_add(visit.kit, &writer, hash);
    kit_enter(visit.kit, &visit.reader);
    CHECK_INT(index_find(&visit.kit->index, hash, &visit.ref), FASTER_OK);
    CHECK_INT(index_grow(&visit.kit->index), FASTER_OK);
    for (uint64_t i = 0; i < chunks; i++) {
        CHECK_INT(step(visit.kit, &writer), FASTER_OK);
    }
    visit.epoch = atomic_load_explicit(&visit.kit->epoch.current, memory_order_seq_cst);
    harness_threads(2, work_or_stay, &visit);
    kit_grown(visit.kit);
    CHECK_U64(kit_growths(visit.kit), 1);
    CHECK_U64(kit_mark(visit.kit, &writer, hash), hash | 1);
    kit_check_budget(visit.kit);
    kit_close(visit.kit);
}

/* I5: the old table is not freed while a user is inside who may have found it. */
static void i5_the_old_table_waits_for_its_users(void) {
    work_under_a_reader(BITS, BUCKETS / CHUNK_BUCKETS);
}

/* I5: nor are buckets of split chunks given back: they would read as empty. */
static void i5_buckets_are_not_discarded_under_a_reader(void) {
    enum { LARGE_BITS = 16, PART = MEMORY_HUGE / (CHUNK_BUCKETS * 64) };
    work_under_a_reader(LARGE_BITS, PART);
}

HARNESS_MAIN(TEST(t13_every_key_survives_every_doubling), TEST(x11_growth_grows),
             TEST(g0_load_starts_growth_and_insertions_end_it),
             TEST(g1_a_splitting_chunk_answers_retry),
             TEST(m5_lookups_from_before_a_split_cannot_publish),
             TEST(m2_tentative_words_are_dropped_by_a_split),
             TEST(i4_chains_of_mixed_sides_stay_reachable),
             TEST(i4_what_is_not_in_memory_goes_to_both_sides),
             TEST(g0_a_refused_growth_changes_nothing),
             TEST(g0_a_refusal_by_the_budget_takes_nothing),
             TEST(g0_a_growth_that_has_begun_ends_without_budget),
             TEST(errors_a_pool_that_has_ended_is_full),
             TEST(i5_a_restored_table_grows_later),
             TEST(i1_memory_goes_back_as_chunks_are_split),
             TEST(errors_a_split_without_memory_is_undone_and_made_later),
             TEST(i1_audit_looks_into_both_tables),
             TEST(i5_the_old_table_waits_for_its_users),
             TEST(i5_buckets_are_not_discarded_under_a_reader))
