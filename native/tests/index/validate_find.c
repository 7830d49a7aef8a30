/* SPDX-License-Identifier: MIT */
/* validate_find.c: lookups, and two-phase insertion against planted rivals */
#include "index/kit.h"

#include <string.h>

enum { BITS = 8, RECORDS = 4096 };

static struct kit *open_small(void) {
    return kit_open(BITS, RECORDS, UINT64_MAX, 0, false);
}

static struct index_bucket *bucket_of(struct kit *kit, uint64_t hash) {
    struct index_table *table = index_current(&kit->index);
    return &table->buckets[hash & table->mask];
}

/* index_format.h I2: no bit of the hash decides both bucket and tag, in the largest
 * table; and no tag is 0, so that a free place has nobody's tag. */
static void i2_tag_and_bucket_are_disjoint(void) {
    uint64_t mask = ((uint64_t)1 << INDEX_BITS_MAX) - 1;
    uint64_t hash = UINT64_C(0x5a5a5a5a5a5a5a5a);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t other = hash ^ (uint64_t)1 << bit;
        bool in_tag = entry_tag_of_hash(hash) != entry_tag_of_hash(other);
        bool in_bucket = (hash & mask) != (other & mask);
        CHECK(!(in_tag && in_bucket), "bit %d", bit);
        CHECK(in_tag == (bit >= 64 - ENTRY_TAG_BITS), "bit %d", bit);
    }
    for (uint64_t tag = 0; tag < 1 << ENTRY_TAG_BITS; tag++) {
        uint64_t word = entry_tag_of_hash(tag << (64 - ENTRY_TAG_BITS));
        CHECK_U64(word, (tag == 0 ? 1 : tag) << ENTRY_TAG_SHIFT);
    }
    uint64_t word = entry_make(entry_tag_of_hash(UINT64_MAX), ENTRY_ADDRESS_MASK);
    CHECK_U64(word, ~(ENTRY_TENTATIVE | ENTRY_FROZEN));
    CHECK_U64(entry_address(word), ENTRY_ADDRESS_MASK);
}

/* I1: distinct tags of one bucket get an entry each, in as few buckets as hold them. */
static void i1_one_bucket_holds_a_chain_of_tags(void) {
    enum { TAGS = 100 };
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    for (uint64_t tag = 0; tag < TAGS; tag++) {
        kit_add(kit, &user, kit_hash(tag, tag, 5, BITS));
    }
    for (uint64_t tag = 0; tag < TAGS; tag++) {
        uint64_t hash = kit_hash(tag, tag, 5, BITS);
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
        CHECK_U64(kit_mark(kit, &user, hash ^ (1u << BITS)), 0);
    }
    uint64_t beyond = TAGS - BUCKET_ENTRIES;
    CHECK_U64(overflow_count(&index_current(&kit->index)->pool),
              (beyond + BUCKET_ENTRIES - 1) / BUCKET_ENTRIES);
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

/* I1: keys of one tag share one entry, which leads to the newest of them. */
static void i1_one_tag_is_one_entry(void) {
    enum { KEYS = 100 };
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    for (uint64_t i = 0; i < KEYS; i++) {
        kit_add(kit, &user, kit_hash(77, i, 9, BITS));
    }
    struct index_bucket *bucket = bucket_of(kit, 9);
    CHECK_U64(entry_address(kit_word(bucket, 0)), KEYS * KIT_STEP);
    for (int i = 1; i < BUCKET_ENTRIES; i++) {
        CHECK_U64(kit_word(bucket, i), 0);
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        uint64_t hash = kit_hash(77, i, 9, BITS);
        CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
    }
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

/* The inlined lookup, where it answers, answers what the general one does. */
static void find_near_agrees_with_find(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    struct rng rng = rng_stream(1);
    uint64_t answered = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t hash = kit_hash(rng_below(&rng, 24), 0, rng_below(&rng, 64), BITS);
        struct index_ref near;
        struct index_ref far;
        _Atomic uint64_t *place;
        uint64_t seen;
        struct index_table *table = index_current(&kit->index);
        int result = index_find(&kit->index, hash, &far);
        if (index_find_near(table, hash, &near)) {
            answered++;
            CHECK(near.place == far.place && near.bucket == far.bucket, "hash %" PRIx64,
                  hash);
            CHECK_U64(near.seen, far.seen);
            CHECK_U64(near.hash, hash);
            CHECK_INT(result, near.seen != 0 ? FASTER_OK : FASTER_NOT_FOUND);
            CHECK(index_peek(table, hash, &place, &seen), "near, but not to be seen");
            CHECK_U64(seen, near.seen);
            CHECK(place == (seen != 0 ? near.place : NULL), "another place");
        }
        if (rng_below(&rng, 2) == 0) {
            (void)kit_put(kit, &user, hash, 1, false);
        }
    }
    CHECK(answered > 500, "%" PRIu64, answered);
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

/* M2: a tentative word is no entry, and its place is not free. */
static void m2_tentative_words_are_invisible(void) {
    struct kit *kit = open_small();
    uint64_t hash = kit_hash(3, 0, 1, BITS);
    struct index_bucket *bucket = bucket_of(kit, hash);
    struct index_ref ref;
    kit_plant(&bucket->entries[0],
              entry_make(entry_tag_of_hash(hash), 64) | ENTRY_TENTATIVE);
    CHECK_INT(index_find(&kit->index, hash, &ref), FASTER_NOT_FOUND);
    CHECK(ref.place == &bucket->entries[1], "place %d",
          (int)(ref.place - bucket->entries));
    CHECK(index_find_near(index_current(&kit->index), hash, &ref), "not near");
    CHECK_U64(ref.seen, 0);
    CHECK_INT(index_audit(&kit->index), 3);
    kit_plant(&bucket->entries[0], 0);
    kit_close(kit);
}

/* Look a hash up, plant `rival` at `at`, publish: it must be refused without
 * a trace. */
static void refuse(struct kit *kit, uint64_t hash, _Atomic uint64_t *at,
                   uint64_t rival) {
    struct kit_user user = kit_user(kit);
    struct index_bucket before;
    struct index_bucket *bucket = bucket_of(kit, hash);
    struct index_ref ref;
    CHECK_INT(index_find(&kit->index, hash, &ref), FASTER_NOT_FOUND);
    CHECK(ref.place != at, "the rival stands where we would");
    kit_plant(at, rival);
    memcpy(&before, bucket, sizeof before);
    uint64_t address = kit_take(kit, hash, 0, 1);
    CHECK_INT(index_publish(&kit->index, &ref, address, &user.tally), FASTER_RETRY);
    CHECK(memcmp(&before, bucket, sizeof before) == 0, "publish left a trace");
    kit_plant(at, 0);
    CHECK_INT(user.tally.inserted, 0);
    epoch_slot_give(user.slot);
}

/* M2: a rival of the tag, tentative or final, before or behind, makes publish retry. */
static void m2_rivals_of_the_tag_make_publish_retry(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    uint64_t hash = kit_hash(40, 0, 2, BITS);
    uint64_t tag = entry_tag_of_hash(hash);
    struct index_bucket *bucket = bucket_of(kit, hash);
    for (uint64_t other = 0; other < 3; other++) {
        kit_add(kit, &user, kit_hash(other, 0, 2, BITS));
    }
    for (int i = 4; i < BUCKET_ENTRIES; i++) {
        refuse(kit, hash, &bucket->entries[i], entry_make(tag, 640) | ENTRY_TENTATIVE);
        refuse(kit, hash, &bucket->entries[i], entry_make(tag, 640));
    }
    CHECK_INT(index_audit(&kit->index), 0);
    kit_add(kit, &user, hash);
    kit_close(kit);
}

/* M2: the rescan goes to the chain's end: a rival in an overflow bucket counts. */
static void m2_rivals_in_overflow_buckets_count(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    uint64_t hash = kit_hash(200, 0, 3, BITS);
    struct index_bucket *bucket = bucket_of(kit, hash);
    struct overflow_pool *pool = &index_current(&kit->index)->pool;
    for (uint64_t other = 0; other < 9; other++) {
        kit_add(kit, &user, kit_hash(other, 0, 3, BITS));
    }
    struct index_bucket *second = overflow_bucket(
        pool, atomic_load_explicit(&bucket->overflow, memory_order_acquire));
    kit_plant(&bucket->entries[2], 0); /* our place will be in the first bucket */
    uint64_t behind = kit_hash(8, 0, 3, BITS);
    _Atomic uint64_t *place;
    uint64_t seen;
    struct index_ref ref;
    CHECK_U64(kit_mark(kit, &user, behind), behind | 1); /* behind a free place */
    CHECK(!index_find_near(index_current(&kit->index), behind, &ref), "not behind");
    CHECK(!index_peek(index_current(&kit->index), behind, &place, &seen), "not behind");
    refuse(kit, hash, &second->entries[5],
           entry_make(entry_tag_of_hash(hash), 640) | ENTRY_TENTATIVE);
    refuse(kit, hash, &second->entries[6], entry_make(entry_tag_of_hash(hash), 640));
    kit_add(kit, &user, hash);
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

/* A place that was free at the lookup and is not any more: retry, and nobody
 * is hurt. */
static void m1_a_taken_place_is_not_overwritten(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    uint64_t hash = kit_hash(11, 0, 4, BITS);
    uint64_t other = kit_hash(12, 0, 4, BITS);
    struct index_ref ref;
    CHECK_INT(index_find(&kit->index, hash, &ref), FASTER_NOT_FOUND);
    kit_add(kit, &user, other);
    uint64_t address = kit_take(kit, hash, 0, 1);
    CHECK_INT(index_publish(&kit->index, &ref, address, &user.tally), FASTER_RETRY);
    CHECK_U64(kit_mark(kit, &user, other), other | 1);
    CHECK_U64(kit_mark(kit, &user, hash), 0);
    kit_close(kit);
}

/* An entry that changed since the lookup keeps its change (R3: publish from
 * the seen). */
static void m1_a_changed_entry_is_not_overwritten(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    uint64_t first = kit_hash(11, 0, 4, BITS);
    uint64_t second = kit_hash(11, 1, 4, BITS);
    uint64_t third = kit_hash(11, 2, 4, BITS);
    struct index_ref ref;
    kit_add(kit, &user, first);
    CHECK_INT(index_find(&kit->index, third, &ref), FASTER_OK);
    kit_add(kit, &user, second);
    uint64_t address = kit_take(kit, third, entry_address(ref.seen), 1);
    CHECK_INT(index_publish(&kit->index, &ref, address, &user.tally), FASTER_RETRY);
    CHECK_U64(kit_mark(kit, &user, first), first | 1);
    CHECK_U64(kit_mark(kit, &user, second), second | 1);
    CHECK_U64(kit_mark(kit, &user, third), 0);
    kit_close(kit);
}

/* Two insertions that both found the chain full: one leads it on, the other retries. */
static void m2_a_full_chain_is_led_on_once(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    struct index_ref one;
    struct index_ref two;
    for (uint64_t tag = 0; tag < BUCKET_ENTRIES; tag++) {
        kit_add(kit, &user, kit_hash(tag, 0, 6, BITS));
    }
    uint64_t hash_one = kit_hash(50, 0, 6, BITS);
    uint64_t hash_two = kit_hash(51, 0, 6, BITS);
    CHECK_INT(index_find(&kit->index, hash_one, &one), FASTER_NOT_FOUND);
    CHECK_INT(index_find(&kit->index, hash_two, &two), FASTER_NOT_FOUND);
    CHECK(one.place == NULL && two.place == NULL, "the chain is not full");
    CHECK_INT(
        index_publish(&kit->index, &two, kit_take(kit, hash_two, 0, 2), &user.tally),
        FASTER_OK);
    CHECK_INT(
        index_publish(&kit->index, &one, kit_take(kit, hash_one, 0, 1), &user.tally),
        FASTER_RETRY);
    CHECK_U64(kit_mark(kit, &user, hash_two), 2);
    kit_add(kit, &user, hash_one);
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

/* A place made for a lookup that found none is used by its publication; where there is
 * one, or an entry, nothing is made. */
static void m2_a_place_is_made_before_it_is_needed(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    struct overflow_pool *pool = &index_current(&kit->index)->pool;
    uint64_t hash = kit_hash(50, 0, 6, BITS);
    struct index_ref one;
    struct index_ref two;
    for (uint64_t tag = 0; tag < BUCKET_ENTRIES; tag++) {
        CHECK_INT(index_find(&kit->index, kit_hash(tag, 0, 6, BITS), &one),
                  FASTER_NOT_FOUND);
        CHECK_INT(index_make_place(&one), FASTER_OK);
        kit_add(kit, &user, kit_hash(tag, 0, 6, BITS));
    }
    CHECK_INT(index_find(&kit->index, kit_hash(1, 0, 6, BITS), &one), FASTER_OK);
    CHECK_INT(index_make_place(&one), FASTER_OK);
    CHECK_U64(overflow_count(pool), 0);
    CHECK_INT(index_find(&kit->index, hash, &one), FASTER_NOT_FOUND);
    two = one;
    CHECK_INT(index_make_place(&one), FASTER_OK);
    CHECK_INT(index_make_place(&two), FASTER_RETRY);
    CHECK_U64(kit_mark(kit, &user, hash), 0);
    CHECK_INT(index_publish(&kit->index, &one, kit_take(kit, hash, 0, 5), &user.tally),
              FASTER_OK);
    CHECK_U64(kit_mark(kit, &user, hash), 5);
    CHECK_INT(index_audit(&kit->index), 0);
    kit->budget.limit = 1;
    kit_plant(&pool->next, POOL_FIRST); /* the next number needs a part */
    for (uint64_t tag = 51; tag < 57; tag++) {
        kit_add(kit, &user, kit_hash(tag, 0, 6, BITS));
    }
    CHECK_INT(index_find(&kit->index, kit_hash(60, 0, 6, BITS), &one),
              FASTER_NOT_FOUND);
    CHECK_INT(index_make_place(&one), FASTER_E_FULL);
    CHECK_U64(kit_mark(kit, &user, hash), 5);
    kit_close(kit);
}

/* bucket.h I2: a frozen word is answered with RETRY and stays as it is. */
static void i2_frozen_words_are_left_alone(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    uint64_t hash = kit_hash(11, 0, 4, BITS);
    uint64_t absent = kit_hash(12, 0, 4, BITS);
    struct index_bucket *bucket = bucket_of(kit, hash);
    struct index_ref there;
    struct index_ref missing;
    kit_add(kit, &user, hash);
    CHECK_INT(index_find(&kit->index, hash, &there), FASTER_OK);
    CHECK_INT(index_find(&kit->index, absent, &missing), FASTER_NOT_FOUND);
    _Atomic uint64_t *words[] = {&bucket->entries[0], &bucket->entries[1],
                                 &bucket->entries[6], &bucket->overflow};
    for (int i = 0; i < 4; i++) {
        uint64_t before = atomic_load_explicit(words[i], memory_order_acquire);
        struct index_ref ref;
        struct index_table *table = index_current(&kit->index);
        _Atomic uint64_t *place;
        uint64_t seen;
        kit_plant(words[i], before | ENTRY_FROZEN);
        CHECK_INT(index_find(&kit->index, absent, &ref), FASTER_RETRY);
        CHECK(!index_find_near(table, absent, &ref), "word %d", i);
        CHECK(!index_peek(table, absent, &place, &seen), "word %d", i);
        if (i == 0) {
            CHECK_INT(index_find(&kit->index, hash, &ref), FASTER_RETRY);
            CHECK(!index_find_near(table, hash, &ref), "a frozen entry was found");
            CHECK(!index_peek(table, hash, &place, &seen), "a frozen entry was found");
        }
        CHECK_INT(index_publish(&kit->index, &missing, kit_take(kit, absent, 0, 1),
                                &user.tally),
                  FASTER_RETRY);
        CHECK_U64(atomic_load_explicit(words[i], memory_order_acquire),
                  before | ENTRY_FROZEN);
        kit_plant(words[i], before);
    }
    kit_plant(&bucket->entries[0], there.seen | ENTRY_FROZEN);
    CHECK_INT(
        index_publish(&kit->index, &there, kit_take(kit, hash, 0, 1), &user.tally),
        FASTER_RETRY);
    CHECK_U64(kit_word(bucket, 0), there.seen | ENTRY_FROZEN);
    kit_plant(&bucket->entries[0], there.seen);
    CHECK_U64(kit_mark(kit, &user, hash), hash | 1);
    kit_close(kit);
}

/* A lookup looks for the tag first and for room then.  An entry that was frozen at the
 * first look and thawed before the second (a split that ran out of memory) is there. */
static void i2_a_thawed_entry_is_not_taken_for_absent(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    uint64_t hash = kit_hash(11, 0, 4, BITS);
    uint64_t tag = entry_tag_of_hash(hash);
    struct index_bucket *bucket = bucket_of(kit, hash);
    struct index_ref ref;
    kit_add(kit, &user, hash);
    uint64_t word = kit_word(bucket, 0);
    kit_plant(&bucket->entries[0], word | ENTRY_FROZEN);
    CHECK(!index_match(bucket, tag, &ref), "a frozen entry was found");
    kit_plant(&bucket->entries[0], word);
    struct bucket_room room = bucket_room(bucket, tag);
    CHECK(room.again, "an entry that is there would be taken for absent");
    CHECK(!bucket_room(bucket, entry_tag_of_hash(kit_hash(12, 0, 4, BITS))).again,
          "another tag's lookup is held up");
    kit_close(kit);
}

/* The audit sees what it is there to see: a tag that stands twice in a chain. */
static void i1_audit_finds_a_double_entry(void) {
    struct kit *kit = open_small();
    struct kit_user user = kit_user(kit);
    for (uint64_t tag = 0; tag < 10; tag++) {
        kit_add(kit, &user, kit_hash(tag, 0, 255, BITS));
    }
    struct index_bucket *bucket = bucket_of(kit, 255);
    uint64_t link = atomic_load_explicit(&bucket->overflow, memory_order_acquire);
    struct index_bucket *second =
        overflow_bucket(&index_current(&kit->index)->pool, link);
    CHECK_INT(index_audit(&kit->index), 0);
    kit_plant(&second->entries[6], kit_word(bucket, 0));
    CHECK_INT(index_audit(&kit->index), 1);
    kit_plant(&second->entries[6], 0);
    CHECK_INT(index_audit(&kit->index), 0);
    kit_close(kit);
}

/* index_bits_for: the table is not over its load with that many keys, and no larger
 * than twice what is needed. */
static void limits_bits_hold_the_keys(void) {
    uint64_t keys[] = {0, 1, 1023, 1024, 1025, 4096, 1000000, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint64_t buckets = (uint64_t)1 << index_bits_for(keys[i]);
        CHECK(keys[i] <= buckets * INDEX_LOAD, "%" PRIu64, keys[i]);
        CHECK(buckets == 1u << INDEX_BITS_MIN ||
                  buckets <= keys[i] / INDEX_LOAD * 2 + 2,
              "%" PRIu64, keys[i]);
    }
    CHECK_U64(index_bits_for(UINT64_MAX), INDEX_BITS_MAX);
}

HARNESS_MAIN(TEST(i2_tag_and_bucket_are_disjoint),
             TEST(i1_one_bucket_holds_a_chain_of_tags), TEST(i1_one_tag_is_one_entry),
             TEST(find_near_agrees_with_find), TEST(m2_tentative_words_are_invisible),
             TEST(m2_rivals_of_the_tag_make_publish_retry),
             TEST(m2_rivals_in_overflow_buckets_count),
             TEST(m1_a_taken_place_is_not_overwritten),
             TEST(m1_a_changed_entry_is_not_overwritten),
             TEST(m2_a_full_chain_is_led_on_once),
             TEST(m2_a_place_is_made_before_it_is_needed),
             TEST(i2_frozen_words_are_left_alone),
             TEST(i2_a_thawed_entry_is_not_taken_for_absent),
             TEST(i1_audit_finds_a_double_entry), TEST(limits_bits_hold_the_keys))
