/* SPDX-License-Identifier: MIT */
/* copy_index.h: every entry once, as recovery may use it; index.h I6: what is held does
 * not grow. */
#include "cpr/copy_kit.h"

enum { KEYS = 2000, FAR_MORE_KEYS = 40000, PAIRS_MAX = 1 << 16 };

/* What a stream said: the words of every bucket, those of overflow buckets behind. */
struct gathered {
    uint64_t opening[3];
    uint64_t payloads;
    uint64_t buckets; /* given so far */
    uint64_t *main;   /* 8 words of each */
    uint64_t *pairs;  /* (bucket, entry) */
    uint64_t count;   /* of pairs */
};

static void take_opening(struct gathered *gathered, const uint8_t *payload,
                         uint64_t bytes) {
    CHECK_U64(bytes, sizeof gathered->opening);
    for (int i = 0; i < 3; i++) {
        gathered->opening[i] = word_load64(payload + i * 8);
    }
    CHECK_U64(gathered->opening[2], (uint64_t)1 << gathered->opening[1]);
    gathered->main = calloc(gathered->opening[2], 64);
    CHECK(gathered->main != NULL, "no memory");
}

static void take_run(void *context, const uint8_t *payload, uint64_t bytes) {
    struct gathered *gathered = context;
    if (gathered->payloads++ == 0) {
        take_opening(gathered, payload, bytes);
        return;
    }
    uint32_t type = word_load32(payload);
    uint64_t count = word_load32(payload + 4);
    CHECK(count != 0, "an empty run");
    if (type == INDEX_RUN_MAIN) {
        CHECK_U64(bytes, 16 + count * INDEX_RUN_BUCKET);
        CHECK_U64(word_load64(payload + 8), gathered->buckets);
        CHECK(gathered->buckets + count <= gathered->opening[2], "too many buckets");
        memcpy(gathered->main + gathered->buckets * 8, payload + 16, count * 64);
        gathered->buckets += count;
        return;
    }
    CHECK_U64(type, INDEX_RUN_OVERFLOW);
    CHECK_U64(bytes, 16 + count * INDEX_RUN_PAIR);
    CHECK_U64(word_load64(payload + 8), 0);
    CHECK_U64(gathered->buckets, gathered->opening[2]);
    CHECK(gathered->count + count <= PAIRS_MAX, "too many pairs");
    memcpy(gathered->pairs + gathered->count * 2, payload + 16, count * 16);
    gathered->count += count;
}

static void forget(struct gathered *gathered) {
    free(gathered->main);
    free(gathered->pairs);
}

/* Copy the index; the growth is held by the caller. */
static struct gathered gather(struct copy_kit *kit, uint64_t start, uint64_t capacity,
                              uint64_t *entries) {
    struct copy_index copier;
    struct gathered gathered = {.count = 0};
    gathered.pairs = calloc(PAIRS_MAX, 16);
    CHECK(gathered.pairs != NULL, "no memory");
    CHECK_INT(copy_index_begin(&copier, kit->kv, start, COPY_KIT_SEED), FASTER_OK);
    CHECK_INT(copy_kit_read(kit, FASTER_PART_INDEX, &copier, copy_kit_index_next,
                            capacity, take_run, &gathered),
              FASTER_OK);
    CHECK_U64(gathered.opening[0], start);
    CHECK_U64(gathered.buckets, gathered.opening[2]);
    CHECK_U64(copier.bits, gathered.opening[1]);
    *entries = copier.entries;
    return gathered;
}

static void hold(struct copy_kit *kit) {
    while (index_hold_growth(&kit->kv->index) != FASTER_OK) {
        thread_yield(); /* ends: the worker ends the growth */
    }
}

/* How often the stream has this entry in this bucket. */
static uint64_t times(const struct gathered *gathered, uint64_t bucket,
                      uint64_t entry) {
    uint64_t found = 0;
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        found += gathered->main[bucket * 8 + (uint64_t)i] == entry;
    }
    for (uint64_t i = 0; i < gathered->count; i++) {
        found +=
            gathered->pairs[i * 2] == bucket && gathered->pairs[i * 2 + 1] == entry;
    }
    return found;
}

static uint64_t count_entries(const struct gathered *gathered) {
    uint64_t count = gathered->count;
    for (uint64_t i = 0; i < gathered->buckets * 8; i++) {
        CHECK(i % 8 != 7 || gathered->main[i] == 0, "an overflow word");
        count += gathered->main[i] != 0;
    }
    return count;
}

/* I1, I2: exactly the entries of the table, as log addresses. */
static void compare(struct copy_kit *kit, uint64_t capacity) {
    struct index_table *table = index_current(&kit->kv->index);
    uint64_t expected = 0;
    uint64_t entries = 0;
    uint64_t before = 0; /* an overflow entry's bucket never comes earlier */
    struct gathered gathered = gather(kit, 4096, capacity, &entries);
    CHECK_INT(kv_enter_slot(kit->kv, kit->slot), FASTER_OK);
    for (uint64_t number = 0; number <= table->mask; number++) {
        struct index_bucket *bucket = &table->buckets[number];
        while (bucket != NULL) {
            for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
                uint64_t word = bucket_entry(bucket, i);
                if (word != 0 && (word & ENTRY_TENTATIVE) == 0) {
                    uint64_t clean = entry_make(word & ~ENTRY_ADDRESS_MASK,
                                                kv_log_address(kit->kv, word));
                    CHECK(!address_is_cached(entry_address(clean)), "a copy");
                    CHECK_U64(times(&gathered, number, clean), 1);
                    expected++;
                }
            }
            uint64_t next = bucket_overflow(bucket);
            bucket = next != 0 ? overflow_bucket(&table->pool, next) : NULL;
        }
    }
    epoch_leave(&kit->kv->epoch, kit->slot);
    CHECK_U64(count_entries(&gathered), expected);
    CHECK_U64(entries, expected);
    for (uint64_t i = 0; i < gathered.count; i++) {
        CHECK(gathered.pairs[i * 2] >= before, "bucket %" PRIu64,
              gathered.pairs[i * 2]);
        before = gathered.pairs[i * 2];
    }
    forget(&gathered);
}

static void put_keys(struct copy_kit *kit, uint64_t first, uint64_t count) {
    for (uint64_t number = first; number < first + count; number++) {
        copy_kit_put(kit, number, number, 0);
    }
}

static void i1_every_entry_is_there_once(void) {
    struct rng rng = rng_stream(0);
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    hold(&kit);
    compare(&kit, COPY_INDEX_ROOM);
    for (int i = 0; i < 4; i++) {
        put_keys(&kit, (uint64_t)i * KEYS, KEYS);
        compare(&kit, COPY_INDEX_ROOM + rng_below(&rng, 1 << 14));
    }
    compare(&kit, 4 << 20);
    index_release_growth(&kit.kv->index);
    copy_kit_close(&kit);
}

/* Chains of many buckets, cut by blocks of every small size. */
static void i1_entries_of_overflow_buckets_are_there_once(void) {
    struct kit_disk_options options = {.memory_size = 20 << 20, .index_permille = 1};
    struct copy_kit kit = copy_kit_open_with(KIT_WORD, &options);
    uint64_t number = 0;
    for (int i = 0; i < 200; i++) {
        number = kit_crowded(kit.kv, KIT_WORD, number + 1, 2);
        copy_kit_put(&kit, number, number, 0);
    }
    hold(&kit);
    CHECK(overflow_count(&index_current(&kit.kv->index)->pool) > 20, "no overflow");
    for (uint64_t capacity = COPY_INDEX_ROOM; capacity < 1024; capacity += 8) {
        compare(&kit, capacity);
    }
    compare(&kit, 1 << 20);
    index_release_growth(&kit.kv->index);
    copy_kit_close(&kit);
}

/* T10: an entry that is being inserted; who replays the log finds its record. */
static void i2_tentative_words_are_dropped(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    put_keys(&kit, 0, 10);
    hold(&kit);
    struct index_table *table = index_current(&kit.kv->index);
    _Atomic uint64_t *place = NULL;
    for (uint64_t number = 0; place == NULL; number++) { /* ends: most are free */
        if (bucket_entry(&table->buckets[number], 0) == 0) {
            place = &table->buckets[number].entries[0];
        }
    }
    uint64_t tag = (uint64_t)5 << ENTRY_TAG_SHIFT;
    uint64_t entries = 0;
    atomic_store_explicit(place, entry_make(tag, 64) | ENTRY_TENTATIVE,
                          memory_order_seq_cst);
    struct gathered gathered = gather(&kit, 4096, 1 << 20, &entries);
    CHECK_U64(count_entries(&gathered), 10);
    CHECK_U64(entries, 10);
    forget(&gathered);
    atomic_store_explicit(place, 0, memory_order_seq_cst);
    compare(&kit, 1 << 20);
    index_release_growth(&kit.kv->index);
    copy_kit_close(&kit);
}

static uint64_t cached_entries(struct copy_kit *kit) {
    struct index_table *table = index_current(&kit->kv->index);
    uint64_t count = 0;
    for (uint64_t number = 0; number <= table->mask; number++) {
        for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
            uint64_t word = bucket_entry(&table->buckets[number], i);
            count += address_is_cached(entry_address(word));
        }
    }
    return count;
}

static void i2_copies_of_the_cache_are_looked_through(void) {
    struct kit_disk_options options = {.memory_size = COPY_KIT_MEMORY,
                                       .read_cache = 256 << 10};
    struct copy_kit kit = copy_kit_open_with(KIT_WORD, &options);
    put_keys(&kit, 0, KEYS);
    kit_disk_evict(&kit.disk);
    for (uint64_t number = 0; number < KEYS; number += 4) {
        struct kit_bytes key = kit_key(KIT_WORD, number);
        struct kit_bytes value = kit_value(KIT_WORD, number, 0);
        kit_disk_expect(kit.session, &key, &value);
    }
    hold(&kit);
    CHECK(cached_entries(&kit) > 0, "no entry names a copy");
    compare(&kit, 1 << 20);
    compare(&kit, COPY_INDEX_ROOM);
    index_release_growth(&kit.kv->index);
    copy_kit_close(&kit);
}

static void what_cannot_be_is_told(void) {
    struct copy_kit kit = copy_kit_open(KIT_WORD);
    uint8_t *buffer = copy_kit_buffer(1024);
    struct copy_index copier;
    uint64_t size = 1;
    hold(&kit);
    CHECK_INT(copy_index_begin(&copier, kit.kv, 64, COPY_KIT_SEED), FASTER_OK);
    CHECK_INT(copy_index_next(&copier, kit.slot, buffer + 4, 1000, &size), -EINVAL);
    CHECK_INT(copy_index_next(&copier, kit.slot, buffer, COPY_INDEX_ROOM - 1, &size),
              FASTER_SHORT);
    CHECK_U64(size, 0);
    index_release_growth(&kit.kv->index);
    free(buffer);
    copy_kit_close(&kit);
}

static uint64_t growths(struct copy_kit *kit) {
    return kit_stats(kit->kv).index_growths;
}

/* I6: as many keys as would double it several times. */
static void i6_a_held_index_does_not_grow(void) {
    struct kit_disk_options options = {.memory_size = 16 << 20};
    struct copy_kit kit = copy_kit_open_with(KIT_WORD, &options);
    hold(&kit);
    CHECK_INT(index_hold_growth(&kit.kv->index), FASTER_RETRY);
    struct index_table *table = index_current(&kit.kv->index);
    put_keys(&kit, 0, FAR_MORE_KEYS);
    CHECK(table == index_current(&kit.kv->index), "another table");
    CHECK(table_next(table) == NULL, "a growth has begun");
    CHECK_INT(faster_kv_grow_index(kit.kv), FASTER_OK);
    CHECK(table_next(table) == NULL, "a growth has begun");
    CHECK_U64(growths(&kit), 0);
    index_release_growth(&kit.kv->index);
    put_keys(&kit, FAR_MORE_KEYS, INDEX_COUNT_STEP); /* notices that it is time */
    hold(&kit); /* waits for the end of the growth */
    CHECK(growths(&kit) > 0, "it did not grow");
    CHECK(table != index_current(&kit.kv->index), "the same table");
    index_release_growth(&kit.kv->index);
    for (uint64_t number = 0; number < FAR_MORE_KEYS; number++) {
        uint64_t value = 0;
        CHECK_INT(kit_get_word(kit.session, number, &value), FASTER_OK);
        CHECK_U64(value, number);
    }
    copy_kit_close(&kit);
}

HARNESS_MAIN(TEST(i1_every_entry_is_there_once),
             TEST(i1_entries_of_overflow_buckets_are_there_once),
             TEST(i2_tentative_words_are_dropped),
             TEST(i2_copies_of_the_cache_are_looked_through),
             TEST(what_cannot_be_is_told), TEST(i6_a_held_index_does_not_grow))
