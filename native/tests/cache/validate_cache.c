/* SPDX-License-Identifier: MIT */
/* What the read cache gives, what it forgets, and that nobody is ever fooled by it. */
#include "cache/kit.h"

enum { KEYS = 50, PAGES = 16 };

static struct kit_bytes numbered(enum kit_kind kind, uint64_t number) {
    return kit_value(kind, number * 3 + 1, 20 + number % 100);
}

/* A store whose first keys are all on the device alone. */
static struct faster_session *open_evicted(enum kit_kind kind, uint64_t keys) {
    struct faster_kv_config config = cached_config(kind);
    struct faster_kv *kv = cached_open(&config);
    struct faster_session *session = kit_session(kv);
    for (uint64_t i = 0; i < keys; i++) {
        struct kit_bytes key = kit_key(kind, i);
        struct kit_bytes value = numbered(kind, i);
        CHECK_INT(kit_upsert(session, &key, &value), FASTER_OK);
    }
    cached_evict(kv);
    return session;
}

static bool read_numbered(struct faster_session *session, enum kit_kind kind,
                          uint64_t number) {
    struct kit_bytes key = kit_key(kind, number);
    struct kit_bytes value = numbered(kind, number);
    return cached_expect(session, &key, &value);
}

/* A read of what is on the device alone waits once; the next one does not. */
/* Trap X12. */
static void i1_a_second_read_needs_no_device(void) {
    for (enum kit_kind kind = 0; kind < KIT_KINDS; kind++) {
        struct faster_session *session = open_evicted(kind, KEYS);
        struct faster_kv *kv = session->kv;
        for (uint64_t i = 0; i < KEYS; i++) {
            CHECK(read_numbered(session, kind, i), "it was in memory");
            CHECK(!read_numbered(session, kind, i), "it was not kept");
        }
        struct faster_kv_stats stats = kit_stats(kv);
        CHECK_U64(stats.cache_insertions, KEYS);
        CHECK_U64(stats.cache_hits, KEYS);
        CHECK_U64(stats.cache_evictions, 0);
        CHECK_U64(stats.cache_bytes, CACHED_BYTES);
        CHECK_U64(stats.device_reads, KEYS);
        cached_audit(session);
        cached_close(kv, session);
    }
}

/* An update of a copied record goes before the log's records, and not before copies. */
static void i1_an_update_detaches_copies(void) {
    for (enum kit_kind kind = 0; kind < KIT_KINDS; kind++) {
        struct faster_session *session = open_evicted(kind, KEYS);
        struct faster_kv *kv = session->kv;
        for (uint64_t i = 0; i < KEYS; i++) {
            struct kit_bytes key = kit_key(kind, i);
            struct kit_bytes value = numbered(kind, i + 1000);
            uint64_t address;
            (void)read_numbered(session, kind, i);
            CHECK(address_is_cached(entry_address(cached_entry(session, &key))),
                  "no copy");
            CHECK_INT(kit_upsert(session, &key, &value), FASTER_OK);
            CHECK(!address_is_cached(entry_address(cached_entry(session, &key))),
                  "a copy before a newer record");
            struct record *record = kit_record(session, &key, &address);
            CHECK(!cache_holds(&kv->cache, record), "the copy is found");
            CHECK(!address_is_cached(info_prev(record_info(record))),
                  "the log leads to a copy");
            CHECK(!cached_expect(session, &key, &value), "not in memory");
        }
        cached_close(kv, session);
    }
}

/* Updates that need the old value take it from a copy, without the device. */
static void i1_updates_take_the_old_value_from_a_copy(void) {
    struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct faster_session *session = open_evicted(KIT_WORD, 4);
    struct faster_kv *kv = session->kv;
    struct kit_bytes keys[4];
    struct kit_bytes other = numbered(KIT_WORD, 99);
    struct kit_bytes out = {.size = 0};
    for (uint64_t i = 0; i < 4; i++) {
        keys[i] = kit_key(KIT_WORD, i);
        CHECK(read_numbered(session, KIT_WORD, i), "in memory");
    }
    uint64_t reads = kit_stats(kv).device_reads;
    struct kit_bytes now = numbered(KIT_WORD, 0);
    CHECK_INT(kit_insert(session, &keys[0], &other), FASTER_EXISTS);
    CHECK_INT(kit_compare(session, &keys[0], &other, &other), FASTER_MISMATCH);
    CHECK_INT(kit_compare(session, &keys[0], &now, &other), FASTER_OK);
    CHECK_INT(kit_delete(session, &keys[1]), FASTER_OK);
    CHECK_INT(kit_rmw(session, &add, &keys[2], &other, &out), FASTER_OK);
    struct kit_bytes sum = kit_value(KIT_WORD, 2 * 3 + 1 + 99 * 3 + 1, 8);
    CHECK(kit_same(&out, &sum), "another sum");
    CHECK(!cached_expect(session, &keys[0], &other), "waited");
    CHECK(!cached_expect(session, &keys[1], NULL), "waited");
    CHECK(!cached_expect(session, &keys[2], &sum), "waited");
    CHECK_INT(kit_insert(session, &keys[1], &other), FASTER_OK);
    CHECK(!cached_expect(session, &keys[1], &other), "waited");
    CHECK_INT(faster_discard(session, keys[3].data, 8), FASTER_OK);
    CHECK(!cached_expect(session, &keys[3], NULL), "waited");
    CHECK_U64(kit_stats(kv).device_reads, reads);
    cached_close(kv, session);
}

/* A batch finds copies like single operations do. */
static void i1_batches_find_copies(void) {
    struct faster_session *session = open_evicted(KIT_WORD, KEYS);
    struct faster_kv *kv = session->kv;
    uint64_t numbers[KEYS];
    uint64_t values[KEYS];
    uint8_t flags[KEYS];
    uint64_t done = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        numbers[i] = i;
        (void)read_numbered(session, KIT_WORD, i);
    }
    uint64_t reads = kit_stats(kv).device_reads;
    struct faster_items keys = {
        .data = (const uint8_t *)numbers, .stride = 8, .size = 8};
    struct faster_results results = {
        .data = (uint8_t *)values, .capacity = sizeof values, .flags = flags};
    int result;
    KIT_RETRY(session, result, faster_read_many(session, &keys, KEYS, &results, &done));
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(done, KEYS);
    for (uint64_t i = 0; i < KEYS; i++) {
        CHECK_U64(values[i], i * 3 + 1);
    }
    CHECK_U64(kit_stats(kv).device_reads, reads);
    cached_close(kv, session);
}

/* A scan gives a key once, whether a copy of it is kept or not. */
static void i1_scans_give_what_is_copied_once(void) {
    struct faster_session *session = open_evicted(KIT_WORD, KEYS);
    struct faster_cursor cursor = {.position = 0};
    uint64_t numbers[2 * KEYS];
    uint64_t values[2 * KEYS];
    uint64_t found = 0;
    uint64_t need[2];
    for (uint64_t i = 0; i < KEYS; i += 2) {
        (void)read_numbered(session, KIT_WORD, i);
    }
    struct faster_results keys = {.data = (uint8_t *)numbers,
                                  .capacity = sizeof numbers};
    struct faster_results rows = {.data = (uint8_t *)values, .capacity = sizeof values};
    int result;
    KIT_RETRY(session, result,
              faster_scan_next(session, &cursor, &keys, &rows, 2 * KEYS, &found,
                               &need[0], &need[1]));
    CHECK_INT(result, FASTER_OK);
    CHECK_U64(found, KEYS);
    for (uint64_t i = 0; i < KEYS; i++) {
        CHECK_U64(numbers[i], i);
        CHECK_U64(values[i], i * 3 + 1);
    }
    faster_cursor_close(&cursor);
    cached_close(session->kv, session);
}

/* A copy can leave at any time, so nobody borrows it. */
static void i5_a_copy_is_not_borrowed(void) {
    struct faster_session *session = open_evicted(KIT_WIDE, 2);
    struct faster_kv *kv = session->kv;
    struct kit_bytes key = kit_key(KIT_WIDE, 1);
    struct faster_view view;
    CHECK_INT(faster_view_open(session, key.data, key.size, &view), FASTER_PENDING);
    (void)read_numbered(session, KIT_WIDE, 1);
    CHECK_INT(faster_view_open(session, key.data, key.size, &view), FASTER_MUTABLE);
    CHECK_U64(hlog_pinned(&kv->log), 0);
    cached_close(kv, session);
}

/* A growth divides the log's chains; no copy may be in two. */
static void i3_a_split_drops_copies(void) {
    struct faster_session *session = open_evicted(KIT_WORD, KEYS);
    struct faster_kv *kv = session->kv;
    for (uint64_t i = 0; i < KEYS; i++) {
        (void)read_numbered(session, KIT_WORD, i);
    }
    CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
    while (kit_stats(kv).index_growths == 0) { /* ends: the worker splits */
        faster_session_wait(session);
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i);
        uint64_t address = entry_address(cached_entry(session, &key));
        CHECK(address != 0 && !address_is_cached(address), "%" PRIx64, address);
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        CHECK(read_numbered(session, KIT_WORD, i), "a copy survived");
        CHECK(!read_numbered(session, KIT_WORD, i), "it was not kept");
    }
    cached_audit(session);
    cached_close(kv, session);
}

/* What is asked for again and again stays, whatever else passes through. */
static void evicting_keeps_what_is_asked_for(void) {
    enum { COLD = 8000, HOT = 20, EVERY = 50 };
    struct faster_session *session = open_evicted(KIT_WORD, COLD);
    struct faster_kv *kv = session->kv;
    for (uint64_t i = 0; i < HOT; i++) {
        (void)read_numbered(session, KIT_WORD, i);
    }
    for (uint64_t i = HOT; i < COLD; i++) {
        (void)read_numbered(session, KIT_WORD, i);
        for (uint64_t hot = 0; i % EVERY == 0 && hot < HOT; hot++) {
            CHECK(!read_numbered(session, KIT_WORD, hot), "%" PRIu64 " was lost", hot);
        }
        if (i % EVERY == 0) {
            cached_settle(session);
        }
    }
    struct faster_kv_stats stats = kit_stats(kv);
    uint64_t most = CACHED_BYTES / 40;
    CHECK_U64(stats.cache_insertions, COLD);
    CHECK(stats.cache_evictions >= COLD - most, "%" PRIu64, stats.cache_evictions);
    CHECK(stats.cache_evictions < COLD - most / 2, "%" PRIu64, stats.cache_evictions);
    CHECK_U64(stats.cache_bytes, CACHED_BYTES);
    cached_audit(session);
    cached_close(kv, session);
}

/* A second chance is not a third one. */
static void evicting_forgets_what_was_asked_for_long_ago(void) {
    enum { COLD = 8000, EVERY = 50 };
    struct faster_session *session = open_evicted(KIT_WORD, COLD);
    struct faster_kv *kv = session->kv;
    (void)read_numbered(session, KIT_WORD, 0);
    CHECK(!read_numbered(session, KIT_WORD, 0), "it was not kept");
    for (uint64_t i = 1; i < COLD; i++) {
        (void)read_numbered(session, KIT_WORD, i);
        if (i % EVERY == 0) {
            cached_settle(session);
        }
    }
    CHECK(read_numbered(session, KIT_WORD, 0), "it was kept for ever");
    cached_close(kv, session);
}

/* Second chances are bounded: what is asked for must not keep everything else out. */
static void evicting_ends_when_everything_is_asked_for(void) {
    enum { ALL = 8000 };
    struct faster_session *session = open_evicted(KIT_WORD, ALL);
    struct faster_kv *kv = session->kv;
    for (uint64_t i = 0; i < ALL; i++) {
        (void)read_numbered(session, KIT_WORD, i);
        CHECK(!read_numbered(session, KIT_WORD, i), "%" PRIu64 " was not kept", i);
        cached_settle(session);
    }
    CHECK_U64(kit_stats(kv).cache_insertions, ALL);
    cached_audit(session);
    cached_close(kv, session);
}

/* A record longer than a page of the cache is read from the device each time. */
static void a_record_longer_than_a_page_is_not_kept(void) {
    enum { LONG = 5000 };
    struct faster_kv_config config = cached_config(KIT_TEXT);
    config.page_size = 1 << 16;
    struct faster_kv *kv = cached_open(&config);
    struct faster_session *session = kit_session(kv);
    uint8_t *value = calloc(1, LONG);
    CHECK(value != NULL, "no memory");
    int result;
    KIT_RETRY(session, result, faster_upsert(session, "long", 4, value, LONG));
    CHECK_INT(result, FASTER_OK);
    cached_evict(kv);
    for (int i = 0; i < 3; i++) {
        struct faster_operation read = {
            .kind = FASTER_READ, .key = "long", .key_size = 4};
        struct faster_pending *pending;
        struct faster_result ended;
        uint64_t size;
        CHECK_INT(faster_start(session, &read, NULL, 0, &size, &pending),
                  FASTER_PENDING);
        CHECK_INT(faster_wait(session, pending, CACHED_WAIT_MS), FASTER_OK);
        faster_result_of(pending, &ended);
        CHECK_INT(ended.status, FASTER_OK);
        CHECK_U64(ended.value_size, LONG);
        CHECK_INT(faster_forget(session, pending), FASTER_OK);
    }
    CHECK_U64(kit_stats(kv).cache_insertions, 0);
    free(value);
    cached_close(kv, session);
}

/* A record of a word store as the device would give it. */
struct fetched {
    struct record record;
    uint64_t key;
    uint64_t value;
};

static void fill_fetched(struct fetched *fetched, uint64_t key, uint64_t value) {
    fetched->key = key;
    fetched->value = value;
    record_finish(&fetched->record, info_make(ADDRESS_FIRST, 1, 0));
}

/* Look a key up inside `session`, which stays inside. */
static struct found enter_and_find(struct faster_session *session, uint64_t key) {
    struct faster_kv *kv = session->kv;
    struct found found;
    CHECK_INT(session_enter(session), FASTER_OK);
    CHECK_INT(find_record(session, kv_hash(kv, &key, 8), &key, 8, &found),
              FASTER_PENDING);
    return found;
}

/* Whoever was overtaken by an update puts nothing before it. */
static void i2_a_copy_that_came_late_is_forgotten(void) {
    struct faster_session *session = open_evicted(KIT_WORD, 4);
    struct faster_kv *kv = session->kv;
    struct faster_session *other = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_WORD, 2);
    struct kit_bytes fresh = numbered(KIT_WORD, 77);
    struct fetched fetched;
    fill_fetched(&fetched, 2, 2 * 3 + 1);
    struct found found = enter_and_find(session, 2);
    CHECK_INT(kit_upsert(other, &key, &fresh), FASTER_OK);
    CHECK_INT(cache_insert(&kv->cache, &found.ref, &fetched.record, found.address),
              FASTER_RETRY);
    session_leave(session);
    CHECK_U64(kit_stats(kv).cache_insertions, 0);
    CHECK(!cached_expect(session, &key, &fresh), "waited");
    CHECK(!cached_expect(other, &key, &fresh), "waited");
    faster_session_free(other);
    cached_close(kv, session);
}

/* Two who bring the same record back leave one copy. */
static void i2_one_of_two_copies_is_forgotten(void) {
    struct faster_session *session = open_evicted(KIT_WORD, 4);
    struct faster_kv *kv = session->kv;
    struct faster_session *other = kit_session(kv);
    struct fetched fetched;
    fill_fetched(&fetched, 3, 3 * 3 + 1);
    struct found found = enter_and_find(session, 3);
    CHECK(read_numbered(other, KIT_WORD, 3), "in memory");
    CHECK_INT(cache_insert(&kv->cache, &found.ref, &fetched.record, found.address),
              FASTER_RETRY);
    session_leave(session);
    CHECK(!read_numbered(session, KIT_WORD, 3), "waited");
    CHECK_U64(kit_stats(kv).cache_insertions, 1);
    cached_audit(session);
    faster_session_free(other);
    cached_close(kv, session);
}

/* Fill the cache as far as it goes while somebody is inside. */
static void fill_cache(struct faster_session *session, uint64_t keys) {
    uint64_t most = (PAGES - 1) * (CACHED_BYTES / PAGES / 40);
    for (uint64_t i = 0; i < keys; i++) {
        (void)read_numbered(session, KIT_WORD, i);
        if (i % 100 == 0) {
            thread_yield();
        }
    }
    CHECK_U64(kit_stats(session->kv).cache_insertions, most);
}

static uint64_t epoch_now(struct faster_kv *kv) {
    return atomic_load_explicit(&kv->epoch.current, memory_order_seq_cst);
}

/* While somebody is inside, no page is filled again: what is inside stays readable,
 * also for who comes when the worker has begun to empty the page. */
static void i5_no_page_is_cleared_under_a_reader(void) {
    enum { MANY = 8000, LOOKS = 1000 };
    struct faster_session *session = open_evicted(KIT_WORD, MANY);
    struct faster_kv *kv = session->kv;
    struct faster_session *first = kit_session(kv);
    struct faster_session *reader = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_WORD, 5);
    uint64_t address;
    CHECK_INT(session_enter(first), FASTER_OK);
    uint64_t before = epoch_now(kv);
    fill_cache(session, MANY);
    while (epoch_now(kv) == before) { /* ends: the worker has been asked */
        thread_yield();
    }
    CHECK_INT(session_enter(reader), FASTER_OK);
    struct record *copy = kit_record(session, &key, &address);
    CHECK(cache_holds(&kv->cache, copy), "no copy");
    uint64_t entry = cached_entry(session, &key);
    session_leave(first);
    while (cached_entry(session, &key) == entry) {
        thread_yield(); /* ends: the worker detaches the copies of the page */
    }
    for (int i = 0; i < LOOKS; i++) {
        CHECK_U64(atomic_load_explicit(&kv->cache.ready, memory_order_acquire), PAGES);
        CHECK(record_has_key(&kv->layout, copy, key.data, 8), "it was cleared");
        thread_yield();
    }
    session_leave(reader);
    cached_settle(session);
    (void)read_numbered(session, KIT_WORD, MANY - 1);
    CHECK(!read_numbered(session, KIT_WORD, MANY - 1), "no room, still");
    faster_session_free(first);
    faster_session_free(reader);
    cached_close(kv, session);
}

/* Keys of one index entry: the first is given, the others are found. */
static void find_rivals(struct faster_kv *kv, uint64_t *numbers, int count) {
    uint64_t mask = index_current(&kv->index)->mask;
    uint64_t wanted = 0;
    int found = 0;
    for (uint64_t number = 0; found < count; number++) { /* ends: hashes are spread */
        uint64_t hash = kv_hash(kv, &number, 8);
        uint64_t place = (hash & mask) ^ entry_tag_of_hash(hash);
        if (found == 0 || place == wanted) {
            wanted = place;
            numbers[found++] = number;
        }
    }
}

/* Keys that share an entry have their copies one behind the other. */
static void i1_copies_of_several_keys_share_a_chain(void) {
    enum { RIVALS = 3 };
    struct faster_kv_config config = cached_config(KIT_WORD);
    config.expected_keys = 1;
    struct faster_kv *kv = cached_open(&config);
    struct faster_session *session = kit_session(kv);
    uint64_t numbers[RIVALS];
    find_rivals(kv, numbers, RIVALS);
    for (int i = 0; i < RIVALS; i++) {
        CHECK_INT(kit_put_word(session, numbers[i], numbers[i] * 3 + 1), FASTER_OK);
    }
    cached_evict(kv);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < RIVALS; i++) {
            CHECK(read_numbered(session, KIT_WORD, numbers[i]) == (round == 0),
                  "round %d, key %d", round, i);
        }
    }
    cached_audit(session);
    CHECK_INT(kit_put_word(session, numbers[1], 5), FASTER_OK);
    uint64_t value;
    CHECK_INT(kit_get_word(session, numbers[1], &value), FASTER_OK);
    CHECK_U64(value, 5);
    CHECK(read_numbered(session, KIT_WORD, numbers[0]), "a copy was not detached");
    CHECK(read_numbered(session, KIT_WORD, numbers[2]), "a copy was not detached");
    CHECK(!read_numbered(session, KIT_WORD, numbers[0]), "it was not kept");
    CHECK_INT(kit_get_word(session, numbers[1], &value), FASTER_OK);
    CHECK_U64(value, 5);
    cached_close(kv, session);
}

/* A copy behind another is detached with it when its page is cleared. */
static void i5_copies_behind_others_are_evicted(void) {
    enum { OTHERS = 900, BETWEEN = 70, PAST = 425, FIRST = 1 << 30 };
    struct faster_kv_config config = cached_config(KIT_WIDE);
    config.expected_keys = 1;
    struct faster_kv *kv = cached_open(&config);
    struct faster_session *session = kit_session(kv);
    uint64_t rivals[2];
    find_rivals(kv, rivals, 2);
    for (uint64_t i = 0; i < OTHERS + 2; i++) {
        uint64_t number = i < 2 ? rivals[i] : FIRST + i - 2;
        struct kit_bytes key = kit_key(KIT_WIDE, number);
        struct kit_bytes value = numbered(KIT_WIDE, number);
        CHECK_INT(kit_upsert(session, &key, &value), FASTER_OK);
    }
    cached_evict(kv);
    struct kit_bytes last = kit_key(KIT_WIDE, rivals[1]);
    (void)read_numbered(session, KIT_WIDE, rivals[0]);
    for (uint64_t i = 0; i < PAST; i++) {
        if (i == BETWEEN) {
            (void)read_numbered(session, KIT_WIDE, rivals[1]);
            cached_audit(session);
        }
        (void)read_numbered(session, KIT_WIDE, FIRST + i);
    }
    cached_settle(session);
    CHECK(!address_is_cached(entry_address(cached_entry(session, &last))),
          "a copy leads to a page that was cleared");
    CHECK(read_numbered(session, KIT_WIDE, rivals[0]), "a copy was not evicted");
    CHECK(!read_numbered(session, KIT_WIDE, rivals[0]), "it was not kept");
    CHECK(read_numbered(session, KIT_WIDE, rivals[1]), "a copy was not detached");
    CHECK_U64(kit_stats(kv).index_growths, 0);
    cached_audit(session);
    cached_close(kv, session);
}

/* What the log no longer has, a copy does not give. */
static void copies_from_below_begin_are_passed_over(void) {
    struct faster_session *session = open_evicted(KIT_WORD, 2);
    struct faster_kv *kv = session->kv;
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    (void)read_numbered(session, KIT_WORD, 1);
    uint64_t first = entry_address(cached_entry(session, &key));
    uint64_t at = first;
    CHECK(cache_find(&kv->cache, 0, key.data, 8, &at) != NULL, "no copy");
    uint64_t origin = at;
    at = first;
    CHECK(cache_find(&kv->cache, origin, key.data, 8, &at) != NULL, "no copy");
    at = first;
    CHECK(cache_find(&kv->cache, origin + 1, key.data, 8, &at) == NULL, "a copy");
    CHECK(!address_is_cached(at), "%" PRIx64, at);
    CHECK_U64(at, cache_below(&kv->cache, first));
    cached_close(kv, session);
}

/* The bytes are within the budget from the beginning, or the store does not open. */
static void the_budget_has_the_cache_in_it(void) {
    struct faster_kv_config config = cached_config(KIT_WORD);
    struct faster_kv *kv = cached_open(&config);
    struct faster_session *session = kit_session(kv);
    CHECK(kit_stats(kv).memory_used >= CACHED_BYTES, "%" PRIu64,
          kit_stats(kv).memory_used);
    cached_close(kv, session);

    struct faster_device device;
    CHECK_INT(device_open_memory(1 << 16, 0, &device), FASTER_OK);
    config.device = &device;
    config.read_cache = CACHED_BYTES - 1;
    CHECK_INT(faster_kv_open(&config, &kv), FASTER_E_CONFIG);
    CHECK_INT(device_open_memory(1 << 16, 0, &device), FASTER_OK);
    config.read_cache = CACHED_MEMORY;
    CHECK_INT(faster_kv_open(&config, &kv), FASTER_E_FULL);

    config.read_cache = 0;
    kv = cached_open(&config);
    session = kit_session(kv);
    CHECK_U64(kit_stats(kv).cache_bytes, 0);
    CHECK_INT(kit_put_word(session, 1, 4), FASTER_OK);
    cached_evict(kv);
    CHECK(read_numbered(session, KIT_WORD, 1), "in memory");
    CHECK(read_numbered(session, KIT_WORD, 1), "in memory");
    CHECK_U64(kit_stats(kv).cache_insertions, 0);
    cached_close(kv, session);
}

HARNESS_MAIN(TEST(i1_a_second_read_needs_no_device), TEST(i1_an_update_detaches_copies),
             TEST(i1_updates_take_the_old_value_from_a_copy),
             TEST(i1_batches_find_copies), TEST(i1_scans_give_what_is_copied_once),
             TEST(i5_a_copy_is_not_borrowed), TEST(i3_a_split_drops_copies),
             TEST(evicting_keeps_what_is_asked_for),
             TEST(evicting_forgets_what_was_asked_for_long_ago),
             TEST(evicting_ends_when_everything_is_asked_for),
             TEST(a_record_longer_than_a_page_is_not_kept),
             TEST(i2_a_copy_that_came_late_is_forgotten),
             TEST(i2_one_of_two_copies_is_forgotten),
             TEST(i5_no_page_is_cleared_under_a_reader),
             TEST(i1_copies_of_several_keys_share_a_chain),
             TEST(i5_copies_behind_others_are_evicted),
             TEST(copies_from_below_begin_are_passed_over),
             TEST(the_budget_has_the_cache_in_it))
