/* SPDX-License-Identifier: MIT */
/*
 * validate_regions.c: R2, R3 and R4 at the moments where they matter
 *
 * Each test stops one session at the point named and lets another act there (step.h).
 */
#include "store/kit.h"
#include "store/step.h"

static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
static const struct faster_merge set_if_absent = {.kind = FASTER_MERGE_SET_IF_ABSENT};

/* Two sessions and what the second does while the first is stopped. */
struct duel {
    struct faster_kv *kv;
    struct faster_session *first;
    struct faster_session *second;
    uint64_t key;
    uint64_t result;
    uint64_t address;
};

static struct duel duel_open(const struct faster_kv_config *config) {
    struct duel duel = {.kv = kit_open_config(config), .key = 42};
    duel.first = kit_session(duel.kv);
    duel.second = kit_session(duel.kv);
    return duel;
}

static struct duel duel_words(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    return duel_open(&config);
}

static void duel_close(struct duel *duel) {
    CHECK_INT(index_audit(&duel->kv->index), 0);
    faster_session_free(duel->second);
    kit_close(duel->kv, duel->first);
}

static int add_word(struct faster_session *session, uint64_t key, uint64_t amount) {
    int result;
    KIT_RETRY(session, result,
              faster_rmw(session, &add, &key, 8, &amount, 8, NULL, 0, NULL));
    return result;
}

static void expect_word(struct duel *duel, uint64_t expected) {
    uint64_t value = 0;
    CHECK_INT(kit_get_word(duel->first, duel->key, &value), FASTER_OK);
    CHECK_U64(value, expected);
}

static struct index_bucket *bucket_of(struct duel *duel) {
    struct index_table *table = index_current(&duel->kv->index);
    return &table->buckets[kv_hash(duel->kv, &duel->key, 8) & table->mask];
}

static struct record *record_of(struct duel *duel) {
    struct kit_bytes key = {.size = 8};
    memcpy(key.data, &duel->key, 8);
    return kit_record(duel->first, &key, &duel->address);
}

/* Records of the log with a flag, walked as a scan would. */
static uint64_t records_with(struct faster_kv *kv, uint64_t flag) {
    uint64_t count = 0;
    uint64_t size =
        record_size(&kv->layout, kv->layout.key_size, kv->layout.value_size);
    for (uint64_t at = ADDRESS_FIRST; at < hlog_tail(&kv->log); at += size) {
        count += (record_info(hlog_record(&kv->log, at)) & flag) != 0;
    }
    return count;
}

static void second_copies(void *context) {
    struct duel *duel = context;
    (void)hlog_shift_read_only(&duel->kv->log);
    CHECK_INT(add_word(duel->second, duel->key, 100), FASTER_OK);
}

/* R4, X01: who locks a record that was sealed since it found it starts again.  Both
 * ways of changing a word, single and in a batch, and the general way. */
static void x01_r4_a_sealed_record_is_not_changed(void) {
    for (int way = 0; way < 3; way++) {
        struct duel duel = duel_words();
        uint64_t amount = 1;
        uint64_t done = 0;
        uint64_t out = 0;
        uint64_t size;
        int result;
        CHECK_INT(kit_put_word(duel.first, duel.key, 1000), FASTER_OK);
        struct record *old = record_of(&duel);
        step_at(old, 8, STEP_WRITES, second_copies, &duel);
        if (way == 0) { /* update_word */
            result =
                faster_rmw(duel.first, &add, &duel.key, 8, &amount, 8, &out, 8, &size);
        } else if (way == 1) { /* a batch */
            struct faster_items keys = {(uint8_t *)&duel.key, NULL, 8, 8};
            struct faster_items inputs = {(uint8_t *)&amount, NULL, 8, 8};
            struct faster_results results = {(uint8_t *)&out, 8, NULL, NULL};
            result =
                faster_rmw_many(duel.first, &add, &keys, &inputs, 1, &results, &done);
        } else { /* the general way */
            out = 1100;
            result = faster_compare_and_set(duel.first, &duel.key, 8, &out, 8,
                                            &(uint64_t){1101}, 8);
            out = 1101;
        }
        CHECK_INT(step_taken, 1);
        CHECK_INT(result, FASTER_OK);
        CHECK_U64(out, 1101);
        expect_word(&duel, 1101);
        CHECK((record_info(old) & INFO_SEALED) != 0, "not sealed");
        duel_close(&duel);
    }
}

static void second_changes(void *context) {
    struct duel *duel = context;
    CHECK_INT(add_word(duel->second, duel->key, 100), FASTER_OK);
}

/* R3: who loses the CAS of the entry has an invalid record in the log, and its change
 * is made anew on what won. */
static void r3_a_lost_cas_leaves_an_invalid_record(void) {
    struct duel duel = duel_words();
    CHECK_INT(kit_put_word(duel.first, duel.key, 1000), FASTER_OK);
    kit_settle(duel.kv);
    step_at(bucket_of(&duel), 64, STEP_WRITES, second_changes, &duel);
    CHECK_INT(add_word(duel.first, duel.key, 1), FASTER_OK);
    CHECK_INT(step_taken, 1);
    expect_word(&duel, 1101);
    CHECK_U64(records_with(duel.kv, INFO_INVALID), 1);
    CHECK_U64(records_with(duel.kv, INFO_WRITTEN), 3);
    CHECK_U64(faster_session_serial(duel.first), 2);
    duel_close(&duel);
}

static void second_inserts(void *context) {
    struct duel *duel = context;
    uint64_t value = 5;
    int result;
    KIT_RETRY(duel->second, result,
              faster_insert(duel->second, &duel->key, 8, &value, 8));
    CHECK_INT(result, FASTER_OK);
}

/* X03: of two insertions of an absent key one inserts, also when the other has looked
 * before and acts after. */
static void x03_the_second_insertion_sees_the_first(void) {
    struct duel duel = duel_words();
    uint64_t value = 6;
    int result;
    CHECK_INT(kit_put_word(duel.first, 1, 1), FASTER_OK);
    step_at(bucket_of(&duel), 64, STEP_WRITES, second_inserts, &duel);
    KIT_RETRY(duel.first, result, faster_insert(duel.first, &duel.key, 8, &value, 8));
    CHECK_INT(step_taken, 1);
    CHECK_INT(result, FASTER_EXISTS);
    expect_word(&duel, 5);
    CHECK_U64(records_with(duel.kv, INFO_INVALID), 1);
    duel_close(&duel);
}

/* X03, R4: the same over a tombstone that is read-only for some. */
static void x03_insertions_over_a_tombstone(void) {
    struct duel duel = duel_words();
    uint64_t value = 6;
    int result;
    CHECK_INT(kit_put_word(duel.first, duel.key, 1), FASTER_OK);
    CHECK_INT(faster_delete(duel.first, &duel.key, 8), FASTER_OK);
    step_at(record_of(&duel), 8, STEP_WRITES, second_inserts, &duel);
    KIT_RETRY(duel.first, result, faster_insert(duel.first, &duel.key, 8, &value, 8));
    CHECK_INT(step_taken, 1);
    CHECK_INT(result, FASTER_EXISTS);
    expect_word(&duel, 5);
    duel_close(&duel);
}

static void read_only_moves(void *context) {
    struct duel *duel = context;
    uint64_t key = duel->key;
    struct faster_view view;
    (void)hlog_shift_read_only(&duel->kv->log);
    epoch_drain(&duel->kv->epoch);
    CHECK(hlog_read_only(&duel->kv->log) > duel->address, "read_only has not moved");
    CHECK(hlog_safe_read_only(&duel->kv->log) <= duel->address,
          "safe_read_only has passed a record that is about to change");
    CHECK_INT(faster_view_open(duel->second, &key, 8, &view), FASTER_MUTABLE);
}

/* R2, R6: a session that entered before read_only moved may still change in place, and
 * safe_read_only waits for it. */
static void r2_safe_read_only_waits_for_who_entered_before(void) {
    struct duel duel = duel_words();
    CHECK_INT(kit_put_word(duel.first, duel.key, 1000), FASTER_OK);
    uint64_t tail = hlog_tail(&duel.kv->log);
    step_at(record_of(&duel), 8, STEP_WRITES, read_only_moves, &duel);
    CHECK_INT(add_word(duel.first, duel.key, 1), FASTER_OK);
    CHECK_INT(step_taken, 1);
    CHECK_U64(hlog_tail(&duel.kv->log), tail); /* in place */
    expect_word(&duel, 1001);
    epoch_drain(&duel.kv->epoch);
    CHECK(hlog_safe_read_only(&duel.kv->log) > duel.address, "safe_read_only stays");
    CHECK_INT(add_word(duel.first, duel.key, 1), FASTER_OK);
    CHECK(hlog_tail(&duel.kv->log) > tail, "changed in place below read_only");
    expect_word(&duel, 1002);
    duel_close(&duel);
}

static void second_sets_both(void *context) {
    struct duel *duel = context;
    CHECK_INT(kit_put_word(duel->second, 2, 20), FASTER_OK);
    CHECK_INT(kit_put_word(duel->second, 1, 10), FASTER_OK);
}

/* batch.h: items are read in order.  Another thread sets the second key and then the
 * first, while the batch is between looking both up and reading the first: who has read
 * the new first value must not read the old second one. */
static void order_of_the_items_of_a_read_batch(void) {
    struct duel duel = duel_words();
    uint64_t keys[2] = {1, 2};
    uint64_t out[2] = {0, 0};
    uint64_t done = 0;
    struct faster_items items = {(uint8_t *)keys, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)out, sizeof out, NULL, NULL};
    CHECK_INT(kit_put_word(duel.first, 2, 2), FASTER_OK);
    kit_settle(duel.kv); /* the second key moves when it is set */
    duel.key = 1;
    CHECK_INT(kit_put_word(duel.first, 1, 1), FASTER_OK); /* this one does not */
    step_at(record_of(&duel), 8, STEP_ANY, second_sets_both, &duel);
    CHECK_INT(faster_read_many(duel.first, &items, 2, &results, &done), FASTER_OK);
    CHECK_INT(step_taken, 1);
    CHECK_U64(done, 2);
    CHECK_U64(out[0], 10);
    CHECK_U64(out[1], 20);
    duel_close(&duel);
}

/* A store of numbers whose first record has its value at the start of the system's
 * second page, apart from its prefix. */
enum { LONG_KEY = 4096 - ADDRESS_FIRST - RECORD_VARLEN_HEADER };

static uint8_t long_key[LONG_KEY];

static int add_long(struct faster_session *session, uint64_t amount) {
    return faster_rmw(session, &add, long_key, LONG_KEY, &amount, 8, NULL, 0, NULL);
}

static void second_meets_the_lock(void *context) {
    struct duel *duel = context;
    uint64_t value = 7;
    CHECK_INT(add_long(duel->second, 100), FASTER_RETRY);
    CHECK_INT(faster_upsert(duel->second, long_key, LONG_KEY, &value, 8), FASTER_RETRY);
    CHECK_INT(faster_delete(duel->second, long_key, LONG_KEY), FASTER_RETRY);
    CHECK_INT(faster_insert(duel->second, long_key, LONG_KEY, &value, 8), FASTER_RETRY);
    CHECK_U64(faster_session_serial(duel->second), 0);
    duel->result++;
}

/* X01, R2: between a word's old value being read and the new one being written nobody
 * else changes the record. */
static void x01_r2_a_word_is_changed_under_the_lock(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.value_type = FASTER_TYPE_I64;
    struct duel duel = duel_open(&config);
    uint64_t value = 0;
    uint64_t size;
    if (sysconf(_SC_PAGESIZE) == 4096) {
        CHECK_INT(add_long(duel.first, 1000), FASTER_OK);
        step_at(duel.kv->log.base + 4096, 8, STEP_WRITES, second_meets_the_lock, &duel);
        CHECK_INT(add_long(duel.first, 1), FASTER_OK);
        CHECK_INT(step_taken, 1);
        CHECK_U64(duel.result, 1);
        CHECK_INT(faster_read(duel.first, long_key, LONG_KEY, &value, 8, &size),
                  FASTER_OK);
        CHECK_U64(value, 1001);
    }
    duel_close(&duel);
}

/* Values over two pages of the system. */
enum { HUGE_VALUE = 8192 };

static uint8_t huge[4][HUGE_VALUE];

static struct duel duel_huge(void) {
    struct faster_kv_config config = kit_config(KIT_WIDE);
    config.value_size = HUGE_VALUE;
    for (int i = 0; i < 4; i++) {
        memset(huge[i], 'a' + i, HUGE_VALUE);
    }
    return duel_open(&config);
}

/* The middle of the value: a page of the system that the prefix is not on. */
static uint8_t *middle_of(struct duel *duel) {
    struct record *record = record_of(duel);
    return (uint8_t *)record + HUGE_VALUE / 2 + 64;
}

static int put_huge(struct faster_session *session, uint64_t key, int which) {
    return faster_upsert(session, &key, 8, huge[which], HUGE_VALUE);
}

static void second_overwrites(void *context) {
    struct duel *duel = context;
    CHECK_INT(put_huge(duel->second, duel->key, 1), FASTER_OK);
}

/* record.h M2: a value that changes while it is copied out is not given out torn. */
static void m2_a_read_in_the_middle_of_a_change_starts_again(void) {
    struct duel duel = duel_huge();
    uint64_t size;
    CHECK_INT(put_huge(duel.first, duel.key, 0), FASTER_OK);
    step_at(middle_of(&duel), 8, STEP_ANY, second_overwrites, &duel);
    CHECK_INT(faster_read(duel.first, &duel.key, 8, huge[3], HUGE_VALUE, &size),
              FASTER_OK);
    CHECK_INT(step_taken, 1);
    CHECK(memcmp(huge[3], huge[1], HUGE_VALUE) == 0, "a torn value");
    duel_close(&duel);
}

static void second_meets_a_change(void *context) {
    struct duel *duel = context;
    uint64_t size = 1;
    uint64_t key = duel->key;
    uint64_t other = 43;
    CHECK_INT(faster_read(duel->second, &key, 8, huge[3], HUGE_VALUE, &size),
              FASTER_RETRY);
    CHECK_INT(put_huge(duel->second, key, 2), FASTER_RETRY);
    CHECK_INT(faster_delete(duel->second, &key, 8), FASTER_RETRY);
    CHECK_INT(faster_compare_and_set(duel->second, &key, 8, huge[0], HUGE_VALUE,
                                     huge[2], HUGE_VALUE),
              FASTER_RETRY);
    CHECK_INT(faster_rmw(duel->second, &set_if_absent, &key, 8, huge[2], HUGE_VALUE,
                         NULL, 0, NULL),
              FASTER_RETRY);
    CHECK_U64(faster_session_serial(duel->second), 0);
    /* E4: nobody else is held up. */
    CHECK_INT(put_huge(duel->second, other, 2), FASTER_OK);
    duel->result++;
}

/* E4, record.h M1: who meets a record in the middle of a change gets RETRY and has done
 * nothing; then the change is whole. */
static void e4_others_get_retry_in_the_middle_of_a_change(void) {
    struct duel duel = duel_huge();
    uint64_t size;
    CHECK_INT(put_huge(duel.first, duel.key, 0), FASTER_OK);
    step_at(middle_of(&duel), 8, STEP_WRITES, second_meets_a_change, &duel);
    CHECK_INT(put_huge(duel.first, duel.key, 1), FASTER_OK);
    CHECK_INT(step_taken, 1);
    CHECK_U64(duel.result, 1);
    CHECK_INT(faster_read(duel.second, &duel.key, 8, huge[3], HUGE_VALUE, &size),
              FASTER_OK);
    CHECK(memcmp(huge[3], huge[1], HUGE_VALUE) == 0, "not the value set");
    duel_close(&duel);
}

/* R4: a record that is being copied is locked until its successor is published; who
 * comes then gets RETRY, and finds the successor after. */
static void r4_nobody_changes_a_record_that_is_being_copied(void) {
    struct duel duel = duel_huge();
    uint64_t size;
    CHECK_INT(put_huge(duel.first, duel.key, 0), FASTER_OK);
    struct record *old = record_of(&duel);
    struct faster_session *third = kit_session(duel.kv);
    kit_hold(duel.kv, third);
    uint64_t tail = hlog_tail(&duel.kv->log);
    step_at(duel.kv->log.base + tail + HUGE_VALUE / 2 + 64, 8, STEP_WRITES,
            second_meets_a_change, &duel);
    int result;
    KIT_RETRY(duel.first, result, put_huge(duel.first, duel.key, 1));
    CHECK_INT(result, FASTER_OK);
    CHECK_INT(step_taken, 1);
    CHECK_U64(duel.result, 1);
    CHECK((record_info(old) & INFO_SEALED) != 0, "not sealed");
    kit_unhold(duel.kv, third);
    CHECK_INT(faster_read(duel.second, &duel.key, 8, huge[3], HUGE_VALUE, &size),
              FASTER_OK);
    CHECK(memcmp(huge[3], huge[1], HUGE_VALUE) == 0, "not the value set");
    faster_session_free(third);
    duel_close(&duel);
}

/* A record of its own: prefix and key at the end of one page, the value word at the
 * start of the next. */
struct lone {
    uint8_t *pages;
    struct record *record;
    _Atomic uint64_t *value;
};

static void half_revived(void *context) {
    struct lone *lone = context;
    record_set_info(lone->record, record_info(lone->record) | INFO_TOMBSTONE);
    word_store(lone->value, 2); /* as an insertion does before it clears the bit */
}

/* record.h M3: a word that is read while the key is deleted and about to come back is
 * not given out before it has. */
static void m3_a_word_is_not_read_before_its_key_is_back(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct lone lone;
    uint64_t out = 77;
    lone.pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(lone.pages != MAP_FAILED, "no memory");
    lone.record = (struct record *)(void *)(lone.pages + page - 24);
    lone.value = (_Atomic uint64_t *)(void *)(lone.pages + page);
    word_store(lone.value, 1);
    record_finish(lone.record, info_make(0, 1, 0));
    CHECK_INT(record_read_word(lone.record, lone.value, &out), FASTER_OK);
    CHECK_U64(out, 1);
    step_at(lone.value, 8, STEP_ANY, half_revived, &lone);
    CHECK_INT(record_read_word(lone.record, lone.value, &out), FASTER_RETRY);
    CHECK_INT(step_taken, 1);
    CHECK_INT(record_read_word(lone.record, lone.value, &out), FASTER_NOT_FOUND);
    CHECK_U64(out, 1);
    CHECK_INT(munmap(lone.pages, 2 * page), 0);
}

static void second_doubles_the_index(void *context) {
    struct duel *duel = context;
    struct index *index = &duel->kv->index;
    struct index_table *table = index_current(index);
    CHECK_INT(faster_kv_grow_index(duel->kv), FASTER_OK);
    CHECK_INT(session_enter(duel->second), FASTER_OK);
    while (index_step(index, table) == FASTER_OK) {
        /* ends with the last chunk */
    }
    session_leave(duel->second);
    while (index_current(index) == table) { /* ends: the worker finishes its chunks */
        thread_yield();
    }
}

/* index.h I3: the table doubles between an operation's lookup and its publication: the
 * old table takes nothing any more, the operation ends in the new one. */
static void i3_a_publication_meets_a_doubled_table(void) {
    for (int present = 0; present < 2; present++) {
        struct duel duel = duel_words();
        for (uint64_t key = 100; key < 1100; key++) {
            CHECK_INT(kit_put_word(duel.first, key, key), FASTER_OK);
        }
        if (present != 0) {
            CHECK_INT(kit_put_word(duel.first, duel.key, 1000), FASTER_OK);
            kit_settle(duel.kv);
        }
        step_at(bucket_of(&duel), 64, STEP_WRITES, second_doubles_the_index, &duel);
        CHECK_INT(add_word(duel.first, duel.key, 1), FASTER_OK);
        CHECK_INT(step_taken, 1);
        expect_word(&duel, present != 0 ? 1001 : 1);
        for (uint64_t key = 100; key < 1100; key++) {
            uint64_t value = 0;
            CHECK_INT(kit_get_word(duel.second, key, &value), FASTER_OK);
            CHECK_U64(value, key);
        }
        duel_close(&duel);
    }
}

/* E6: a view is of a record that cannot change: it shows the same bytes whatever
 * becomes of the key; a key whose record may still change is not lent. */
static void e6_views_are_of_immutable_records(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        struct faster_kv *kv = kit_open((enum kit_kind)kind);
        struct faster_session *session = kit_session(kv);
        struct faster_session *other = kit_session(kv);
        struct kit_bytes key = kit_key((enum kit_kind)kind, 1);
        struct kit_bytes old = kit_value((enum kit_kind)kind, 10, 33);
        struct kit_bytes fresh = kit_value((enum kit_kind)kind, 11, 60);
        struct faster_view view;
        CHECK_INT(faster_view_open(session, key.data, key.size, &view),
                  FASTER_NOT_FOUND);
        CHECK_INT(kit_upsert(session, &key, &old), FASTER_OK);
        CHECK_INT(faster_view_open(session, key.data, key.size, &view), FASTER_MUTABLE);
        kit_hold(kv, other);
        CHECK_INT(faster_view_open(session, key.data, key.size, &view), FASTER_MUTABLE);
        kit_unhold(kv, other);
        CHECK_INT(faster_view_open(session, key.data, key.size, &view), FASTER_OK);
        CHECK_U64(hlog_pinned(&kv->log), 1);
        CHECK_INT(kit_upsert(session, &key, &fresh), FASTER_OK);
        CHECK_INT(kit_delete(session, &key), FASTER_OK);
        CHECK(view.size == old.size &&
                  memcmp(view.data, old.data, (size_t)old.size) == 0,
              "the view has changed");
        kit_settle(kv);
        struct faster_view none;
        CHECK_INT(faster_view_open(session, key.data, key.size, &none),
                  FASTER_NOT_FOUND);
        faster_view_close(kv, &view);
        CHECK_U64(hlog_pinned(&kv->log), 0);
        faster_session_free(other);
        kit_close(kv, session);
    }
}

HARNESS_MAIN(TEST(e6_views_are_of_immutable_records),
             TEST(x01_r4_a_sealed_record_is_not_changed),
             TEST(r3_a_lost_cas_leaves_an_invalid_record),
             TEST(x03_the_second_insertion_sees_the_first),
             TEST(x03_insertions_over_a_tombstone),
             TEST(r2_safe_read_only_waits_for_who_entered_before),
             TEST(order_of_the_items_of_a_read_batch),
             TEST(x01_r2_a_word_is_changed_under_the_lock),
             TEST(m2_a_read_in_the_middle_of_a_change_starts_again),
             TEST(e4_others_get_retry_in_the_middle_of_a_change),
             TEST(r4_nobody_changes_a_record_that_is_being_copied),
             TEST(m3_a_word_is_not_read_before_its_key_is_back),
             TEST(i3_a_publication_meets_a_doubled_table))
