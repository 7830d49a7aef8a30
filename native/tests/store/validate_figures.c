/* SPDX-License-Identifier: MIT */
/* figures.h: every operation is counted once, by its kind and by how it ended; what a
 * store holds is told by what holds it. */
#include <errno.h>

#include "store/disk_kit.h"
#include "store/timing.h"

enum { KEYS = 40 };

static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
static const struct faster_merge append = {.kind = FASTER_MERGE_APPEND};

/* The counts of operations that moved between two snapshots, and by how much. */
static void check_moved(const struct faster_kv_stats *before,
                        const struct faster_kv_stats *after, size_t figure,
                        uint64_t by) {
    static const size_t counts[] = {
        offsetof(struct faster_kv_stats, reads_hit),
        offsetof(struct faster_kv_stats, reads_missed),
        offsetof(struct faster_kv_stats, upserts),
        offsetof(struct faster_kv_stats, inserts),
        offsetof(struct faster_kv_stats, inserts_found),
        offsetof(struct faster_kv_stats, rmws),
        offsetof(struct faster_kv_stats, deletes),
        offsetof(struct faster_kv_stats, deletes_missed),
        offsetof(struct faster_kv_stats, compares),
        offsetof(struct faster_kv_stats, compares_refused),
        offsetof(struct faster_kv_stats, failed),
    };
    bool known = false;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint64_t was;
        uint64_t is;
        memcpy(&was, (const uint8_t *)before + counts[i], 8);
        memcpy(&is, (const uint8_t *)after + counts[i], 8);
        CHECK(is - was == (counts[i] == figure ? by : 0),
              "figure %zu at %zu: %" PRIu64 " to %" PRIu64, i, counts[i], was, is);
        known = known || counts[i] == figure;
    }
    CHECK(known, "no count at %zu", figure);
}

/* Run something that gives `status`, after which one count is one higher. */
#define EXPECT_COUNT(kv, call, status, figure)                                         \
    do {                                                                               \
        struct faster_kv_stats before_ = kit_stats(kv);                                \
        CHECK_INT((call), (status));                                                   \
        struct faster_kv_stats after_ = kit_stats(kv);                                 \
        check_moved(&before_, &after_, offsetof(struct faster_kv_stats, figure), 1);   \
    } while (0)

static int discard(struct faster_session *session, const struct kit_bytes *key) {
    int result;
    KIT_RETRY(session, result, faster_discard(session, key->data, key->size));
    return result;
}

static void every_outcome_of_every_kind_has_its_count(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        struct faster_kv *kv = kit_open((enum kit_kind)kind);
        struct faster_session *s = kit_session(kv);
        struct kit_bytes key = kit_key((enum kit_kind)kind, 1);
        struct kit_bytes a = kit_value((enum kit_kind)kind, 1, 20);
        struct kit_bytes b = kit_value((enum kit_kind)kind, 2, 30);
        struct kit_bytes out;
        EXPECT_COUNT(kv, kit_read(s, &key, &out), FASTER_NOT_FOUND, reads_missed);
        EXPECT_COUNT(kv, kit_delete(s, &key), FASTER_NOT_FOUND, deletes_missed);
        EXPECT_COUNT(kv, discard(s, &key), FASTER_NOT_FOUND, deletes_missed);
        EXPECT_COUNT(kv, kit_compare(s, &key, &a, &b), FASTER_NOT_FOUND,
                     compares_refused);
        EXPECT_COUNT(kv, kit_insert(s, &key, &a), FASTER_OK, inserts);
        EXPECT_COUNT(kv, kit_insert(s, &key, &b), FASTER_EXISTS, inserts_found);
        EXPECT_COUNT(kv, kit_read(s, &key, &out), FASTER_OK, reads_hit);
        EXPECT_COUNT(kv, kit_compare(s, &key, &b, &a), FASTER_MISMATCH,
                     compares_refused);
        EXPECT_COUNT(kv, kit_compare(s, &key, &a, &b), FASTER_OK, compares);
        EXPECT_COUNT(kv, kit_upsert(s, &key, &a), FASTER_OK, upserts);
        EXPECT_COUNT(kv, kit_delete(s, &key), FASTER_OK, deletes);
        EXPECT_COUNT(kv, kit_upsert(s, &key, &a), FASTER_OK, upserts);
        EXPECT_COUNT(kv, discard(s, &key), FASTER_OK, deletes);
        if (kind != KIT_WIDE) { /* bytes that no named merge computes with */
            const struct faster_merge *merge = kind == KIT_WORD ? &add : &append;
            EXPECT_COUNT(kv, kit_rmw(s, merge, &key, &a, NULL), FASTER_OK, rmws);
            EXPECT_COUNT(kv, kit_rmw(s, merge, &key, &a, &out), FASTER_OK, rmws);
        }
        CHECK_U64(kit_stats(kv).retries, kind == KIT_TEXT); /* for room to append */
        kit_close(kv, s);
    }
}

static int64_t refuse(uint8_t *value, int64_t value_size, int64_t capacity,
                      const uint8_t *input, int64_t input_size) {
    (void)value;
    (void)value_size;
    (void)capacity;
    (void)input;
    (void)input_size;
    return -1;
}

static int run_batch(struct faster_session *session, uint64_t key, uint64_t input) {
    struct faster_items keys = {.data = (const uint8_t *)&key, .stride = 8, .size = 8};
    struct faster_items inputs = {
        .data = (const uint8_t *)&input, .stride = 8, .size = 8};
    uint64_t done = 0;
    return faster_rmw_many(session, &add, &keys, &inputs, 1, NULL, &done);
}

static void every_way_to_fail_is_counted_once(void) {
    static const struct faster_merge native = {.kind = FASTER_MERGE_NATIVE,
                                               .native = refuse};
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    struct kit_bytes most = kit_value(KIT_WORD, INT64_MAX, 8);
    EXPECT_COUNT(kv, kit_upsert(session, &key, &most), FASTER_OK, upserts);
    EXPECT_COUNT(kv, kit_rmw(session, &add, &key, &most, NULL), FASTER_E_OVERFLOW,
                 failed);
    EXPECT_COUNT(kv, kit_rmw(session, &native, &key, &most, NULL), FASTER_E_MERGE,
                 failed);
    EXPECT_COUNT(kv, run_batch(session, 1, INT64_MAX), FASTER_E_OVERFLOW, failed);
    kit_settle(kv); /* the general way */
    EXPECT_COUNT(kv, kit_rmw(session, &add, &key, &most, NULL), FASTER_E_OVERFLOW,
                 failed);
    EXPECT_COUNT(kv, run_batch(session, 1, INT64_MAX), FASTER_E_OVERFLOW, failed);
    CHECK_U64(faster_session_serial(session), 1);
    kit_close(kv, session);
}

static void what_was_no_operation_is_not_counted(void) {
    struct faster_kv *kv = kit_open(KIT_WIDE);
    struct faster_session *session = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_WIDE, 1);
    struct kit_bytes value = kit_value(KIT_WIDE, 1, 0);
    uint64_t size;
    uint8_t byte;
    EXPECT_COUNT(kv, kit_upsert(session, &key, &value), FASTER_OK, upserts);
    CHECK_INT(faster_read(session, key.data, 8, &byte, 1, &size), FASTER_SHORT);
    CHECK_INT(faster_read(session, key.data, 7, &byte, 1, &size), FASTER_E_KEY_SIZE);
    CHECK_INT(faster_upsert(session, key.data, 8, value.data, 1), FASTER_E_VALUE_SIZE);
    EXPECT_COUNT(kv, kit_delete(session, &key), FASTER_OK, deletes);
    kit_close(kv, session);
}

static void sessions_that_end_leave_their_counts(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *stays = kit_session(kv);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct faster_session *goes = kit_session(kv);
        struct kit_bytes key = kit_key(KIT_WORD, i);
        CHECK_INT(kit_insert(goes, &key, &key), FASTER_OK);
        CHECK_INT(kit_insert(stays, &key, &key), FASTER_EXISTS);
        CHECK_INT(discard(goes, &key), FASTER_OK);
        CHECK_INT(kit_delete(stays, &key), FASTER_NOT_FOUND);
        faster_session_free(goes);
    }
    struct faster_kv_stats stats = kit_stats(kv);
    CHECK_U64(stats.inserts, KEYS);
    CHECK_U64(stats.inserts_found, KEYS);
    CHECK_U64(stats.deletes, KEYS);
    CHECK_U64(stats.deletes_missed, KEYS);
    kit_close(kv, stays);
}

/* --- on a device ------------------------------------------------------------------ */

/* Holds reads once it is armed. */
static const struct faster_fault_rule holding = {
    .kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_HOLD, KIT_DISK_UNARMED};

static struct kit_disk begin_held(void) {
    const struct kit_disk_options options = {.rules = &holding, .rules_count = 1};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &options);
    for (uint64_t i = 0; i < KEYS; i++) {
        CHECK_INT(kit_put_word(disk.session, i, i), FASTER_OK);
    }
    kit_disk_evict(&disk);
    return disk;
}

static void waiting_operations_show_while_they_wait(void) {
    struct kit_disk disk = begin_held();
    worker_stop(&disk.kv->worker); /* it may still be taking frames */
    struct faster_kv_stats before = kit_stats(disk.kv);
    struct faster_pending *pending[KEYS];
    kit_disk_arm(&disk, 0, 0);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i / 2);
        struct faster_operation operation =
            kit_operation(i % 2 == 0 ? FASTER_READ : FASTER_RMW, &key, &key);
        operation.merge = i % 2 == 0 ? NULL : &add;
        pending[i] = kit_start_pending(disk.session, &operation);
    }
    struct faster_kv_stats during = kit_stats(disk.kv);
    CHECK_U64(during.pending, KEYS);
    CHECK_U64(during.reads_in_flight, KEYS);
    CHECK_U64(during.reads_pending, KEYS / 2);
    CHECK_U64(during.updates_pending, KEYS / 2);
    CHECK(during.pending_bytes >= KEYS * sizeof(struct faster_pending), "%" PRIu64,
          during.pending_bytes);
    CHECK_U64(during.memory_used - before.memory_used, during.pending_bytes);
    kit_disk_lift(&disk);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct faster_result result;
        CHECK_INT(kit_take(disk.session, pending[i], NULL, &result), FASTER_OK);
    }
    struct faster_kv_stats after = kit_stats(disk.kv);
    CHECK_U64(after.pending, 0);
    CHECK_U64(after.reads_in_flight, 0);
    CHECK_U64(after.reads_hit, KEYS / 2);
    CHECK_U64(after.rmws, KEYS / 2);
    CHECK_U64(after.reads_pending + after.updates_pending, KEYS);
    kit_disk_close(&disk);
}

/* An update behind another of its key waits without the device, and counts as well. */
static void updates_that_wait_their_turn_have_waited(void) {
    struct kit_disk disk = begin_held();
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    struct faster_operation merge = kit_operation(FASTER_RMW, &key, &key);
    struct faster_operation write = kit_operation(FASTER_UPSERT, &key, &key);
    struct faster_result result;
    merge.merge = &add;
    kit_disk_arm(&disk, 0, 0);
    struct faster_pending *first = kit_start_pending(disk.session, &merge);
    struct faster_pending *second = kit_start_pending(disk.session, &write);
    CHECK_U64(kit_stats(disk.kv).updates_pending, 2);
    CHECK_U64(kit_stats(disk.kv).reads_in_flight, 1);
    kit_disk_lift(&disk);
    CHECK_INT(kit_take(disk.session, first, NULL, &result), FASTER_OK);
    CHECK_INT(kit_take(disk.session, second, NULL, &result), FASTER_OK);
    CHECK_U64(kit_stats(disk.kv).updates_pending, 2);
    struct faster_histogram histogram;
    CHECK_INT(faster_kv_histogram(disk.kv, FASTER_TIMED_PENDING, &histogram),
              FASTER_OK);
    uint64_t samples = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        samples += histogram.counts[i];
    }
    CHECK_U64(samples, 2);
    kit_disk_close(&disk);
}

/* --- of the store ----------------------------------------------------------------- */

static void the_safe_epoch_is_that_of_who_is_furthest_behind(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    struct faster_kv_stats idle = kit_stats(kv);
    CHECK_U64(idle.epoch_safe, idle.epoch);
    CHECK_INT(session_enter(session), FASTER_OK);
    for (uint64_t i = 0; i < 5; i++) {
        (void)epoch_bump(&kv->epoch);
    }
    struct faster_kv_stats behind = kit_stats(kv);
    CHECK_U64(behind.epoch - idle.epoch, 5);
    CHECK_U64(behind.epoch_safe, idle.epoch);
    session_leave(session);
    struct faster_kv_stats after = kit_stats(kv);
    CHECK_U64(after.epoch_safe, after.epoch);
    kit_close(kv, session);
}

static void sessions_are_told_with_what_they_hold(void) {
    struct faster_kv *kv = kit_open(KIT_TEXT);
    struct faster_session *session = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_TEXT, 1);
    struct kit_bytes value = kit_value(KIT_TEXT, 1, 300);
    CHECK_U64(kit_stats(kv).session_bytes, sizeof *session);
    CHECK_INT(kit_upsert(session, &key, &value), FASTER_OK);
    CHECK_INT(kit_rmw(session, &append, &key, &value, NULL), FASTER_OK);
    CHECK(kit_stats(kv).session_bytes >= sizeof *session + 600, "%" PRIu64,
          kit_stats(kv).session_bytes);
    faster_session_free(session);
    CHECK_U64(kit_stats(kv).session_bytes, 0);
    session = kit_session(kv);
    kit_close(kv, session);
}

HARNESS_MAIN(TEST(every_outcome_of_every_kind_has_its_count),
             TEST(every_way_to_fail_is_counted_once),
             TEST(what_was_no_operation_is_not_counted),
             TEST(sessions_that_end_leave_their_counts),
             TEST(waiting_operations_show_while_they_wait),
             TEST(updates_that_wait_their_turn_have_waited),
             TEST(the_safe_epoch_is_that_of_who_is_furthest_behind),
             TEST(sessions_are_told_with_what_they_hold))
