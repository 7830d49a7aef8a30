/* SPDX-License-Identifier: MIT */
/* timing.h: one operation in so many is timed, whichever way it goes; what waits for
 * the device always is. */
#include "store/timing.h"

#include <errno.h>

#include "store/disk_kit.h"

enum { TURNS = 40 };

static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
static const struct faster_merge append = {.kind = FASTER_MERGE_APPEND};

static struct faster_kv *open_sampled(enum kit_kind kind, uint32_t every) {
    struct faster_kv_config config = kit_config(kind);
    config.sample_every = every;
    return kit_open_config(&config);
}

static uint64_t samples_of(struct faster_kv *kv, uint32_t timed) {
    struct faster_histogram histogram;
    uint64_t sum = 0;
    CHECK_INT(faster_kv_histogram(kv, timed, &histogram), FASTER_OK);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += histogram.counts[i];
    }
    CHECK(sum != 0 || histogram.total_ns == 0, "%" PRIu64, histogram.total_ns);
    return sum;
}

/* One operation of a kind that ends; what it finds differs from turn to turn. */
static void run_one(struct faster_session *session, enum kit_kind kind, uint32_t which,
                    uint64_t turn) {
    struct kit_bytes key = kit_key(kind, turn % 7);
    struct kit_bytes value = kit_value(kind, turn, 1 + turn % 9);
    struct kit_bytes out;
    int result = FASTER_OK;
    switch (which) {
    case FASTER_TIMED_READ:
        result = kit_read(session, &key, &out);
        break;
    case FASTER_TIMED_UPSERT:
        result = kit_upsert(session, &key, &value);
        break;
    case FASTER_TIMED_INSERT:
        result = kit_insert(session, &key, &value);
        break;
    case FASTER_TIMED_DELETE:
        result = kit_delete(session, &key);
        break;
    case FASTER_TIMED_DISCARD:
        KIT_RETRY(session, result, faster_discard(session, key.data, key.size));
        break;
    case FASTER_TIMED_RMW:
        result =
            kit_rmw(session, kind == KIT_WORD ? &add : &append, &key, &value, NULL);
        break;
    default:
        result = kit_compare(session, &key, &value, &value);
    }
    CHECK(result >= FASTER_OK && result <= FASTER_MISMATCH, "%d", result);
}

/* Each kind by itself, so that a kind that counts twice, or not at all, shows. */
static void check_period(enum kit_kind kind, uint32_t which, uint32_t every) {
    struct faster_kv *kv = open_sampled(kind, every);
    struct faster_session *session = kit_session(kv);
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        run_one(session, kind, which, turn);
    }
    for (uint32_t i = FASTER_TIMED_READ; i <= FASTER_TIMED_COMPARE; i++) {
        uint64_t expected = every != 0 && i == which ? TURNS / every : 0;
        CHECK_U64(samples_of(kv, i), expected);
    }
    CHECK_U64(kit_stats(kv).sample_every, every);
    kit_close(kv, session);
}

static void one_in_so_many_of_each_kind_is_timed(void) {
    static const uint32_t periods[] = {0, 1, 2, 4, 8, 64};
    for (int p = 0; p < 6; p++) {
        for (uint32_t which = FASTER_TIMED_READ; which <= FASTER_TIMED_COMPARE;
             which++) {
            check_period(KIT_WORD, which, periods[p]);
            check_period(KIT_TEXT, which, periods[p]);
        }
    }
}

static void a_timed_operation_has_its_effect_once(void) {
    struct faster_kv *kv = open_sampled(KIT_WORD, 1);
    struct faster_session *session = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    struct kit_bytes one = kit_value(KIT_WORD, 1, 8);
    struct kit_bytes out;
    for (uint64_t turn = 1; turn <= TURNS; turn++) {
        uint64_t value = 0;
        CHECK_INT(kit_rmw(session, &add, &key, &one, &out), FASTER_OK);
        CHECK_INT(kit_get_word(session, 1, &value), FASTER_OK);
        CHECK_U64(value, turn);
        CHECK(memcmp(out.data, &value, 8) == 0 && out.size == 8, "%" PRIu64, turn);
        CHECK_U64(faster_session_serial(session), turn);
    }
    CHECK_U64(kit_stats(kv).rmws, TURNS);
    CHECK_U64(kit_stats(kv).reads_hit, TURNS);
    CHECK_U64(samples_of(kv, FASTER_TIMED_RMW), TURNS);
    kit_close(kv, session);
}

/* I2 */
static void i2_what_fails_or_comes_again_is_not_timed(void) {
    struct faster_kv *kv = open_sampled(KIT_WORD, 1);
    struct faster_session *session = kit_session(kv);
    struct faster_session *other = kit_session(kv);
    struct kit_bytes key = kit_key(KIT_WORD, 1);
    struct kit_bytes most = kit_value(KIT_WORD, INT64_MAX, 8);
    uint64_t size;
    uint8_t byte;
    CHECK_INT(kit_upsert(session, &key, &most), FASTER_OK);
    CHECK_INT(kit_rmw(session, &add, &key, &most, NULL), FASTER_E_OVERFLOW);
    CHECK_INT(faster_read(session, key.data, key.size, &byte, 1, &size), FASTER_SHORT);
    kit_hold(kv, other); /* the record can neither be changed nor copied yet */
    struct record *record = kit_record(session, &key, &size);
    uint32_t seq;
    CHECK_INT(record_lock(record, &seq), FASTER_OK);
    CHECK_INT(faster_upsert(session, key.data, key.size, most.data, 8), FASTER_RETRY);
    record_unlock(record, seq);
    kit_unhold(kv, other);
    CHECK_U64(samples_of(kv, FASTER_TIMED_RMW), 0);
    CHECK_U64(samples_of(kv, FASTER_TIMED_READ), 0);
    CHECK_U64(samples_of(kv, FASTER_TIMED_UPSERT), 1);
    faster_session_free(other);
    kit_close(kv, session);
}

static void batches_are_not_timed(void) {
    struct faster_kv *kv = open_sampled(KIT_WORD, 1);
    struct faster_session *session = kit_session(kv);
    uint64_t keys[TURNS];
    struct faster_items items = {.data = (const uint8_t *)keys, .stride = 8, .size = 8};
    uint64_t done = 0;
    for (uint64_t i = 0; i < TURNS; i++) {
        keys[i] = i;
    }
    CHECK_INT(faster_upsert_many(session, &items, &items, TURNS, &done), FASTER_OK);
    CHECK_U64(kit_stats(kv).upserts, TURNS);
    CHECK_U64(samples_of(kv, FASTER_TIMED_UPSERT), 0);
    kit_close(kv, session);
}

static void the_period_changes_for_sessions_that_are_open(void) {
    struct faster_kv *kv = open_sampled(KIT_WORD, 0);
    struct faster_session *session = kit_session(kv);
    uint64_t expected = 0;
    static const uint32_t periods[] = {1, 4, 0, (uint32_t)1 << 31, 2, 1024, 1};
    for (int p = 0; p < 7; p++) {
        CHECK_INT(faster_kv_sample(kv, periods[p]), FASTER_OK);
        CHECK_U64(kit_stats(kv).sample_every, periods[p]);
        for (uint64_t turn = 0; turn < TURNS; turn++) {
            run_one(session, KIT_WORD, FASTER_TIMED_UPSERT, turn);
        }
        expected += periods[p] != 0 ? TURNS / periods[p] : 0;
        CHECK_U64(samples_of(kv, FASTER_TIMED_UPSERT), expected);
    }
    kit_close(kv, session);
}

/* Whoever is inside is not waited for long, and notices by itself. */
static void a_session_that_is_inside_notices_later(void) {
    struct faster_kv *kv = open_sampled(KIT_WORD, 4);
    struct faster_session *session = kit_session(kv);
    CHECK_INT(session_enter(session), FASTER_OK);
    CHECK_INT(faster_kv_sample(kv, 1), FASTER_OK);
    session_leave(session);
    for (uint64_t turn = 0; turn < 3 + TURNS; turn++) {
        run_one(session, KIT_WORD, FASTER_TIMED_UPSERT, turn);
    }
    CHECK_U64(samples_of(kv, FASTER_TIMED_UPSERT), TURNS);
    kit_close(kv, session);
}

static void other_periods_and_names_are_refused(void) {
    struct faster_histogram histogram = {.total_ns = 7};
    struct faster_kv_config config = kit_config(KIT_WORD);
    struct faster_kv *kv = kit_open(KIT_WORD);
    static const uint32_t wrong[] = {3, 1000, UINT32_MAX};
    for (int i = 0; i < 3; i++) {
        struct faster_kv *none;
        config.sample_every = wrong[i];
        CHECK_INT(faster_kv_open(&config, &none), FASTER_E_CONFIG);
        CHECK_INT(faster_kv_sample(kv, wrong[i]), FASTER_E_CONFIG);
    }
    CHECK_INT(faster_kv_histogram(kv, 0, &histogram), -EINVAL);
    CHECK_INT(faster_kv_histogram(kv, FASTER_TIMED_DEVICE_SYNC + 1, &histogram),
              -EINVAL);
    CHECK_U64(histogram.total_ns, 7);
    CHECK_INT(faster_kv_histogram(kv, FASTER_TIMED_DEVICE_SYNC, &histogram), FASTER_OK);
    CHECK_U64(histogram.total_ns, 0);
    CHECK_INT(faster_kv_close(kv, 60000), FASTER_OK);
    faster_kv_free(kv);
}

/* --- what waits for the device ---------------------------------------------------- */

static struct kit_disk begin_disk(const struct kit_disk_options *options) {
    struct kit_disk disk = kit_disk_open(KIT_WORD, options);
    for (uint64_t i = 0; i < TURNS; i++) {
        CHECK_INT(kit_put_word(disk.session, i, i), FASTER_OK);
    }
    kit_disk_evict(&disk);
    return disk;
}

static void each_operation_that_waits_is_timed(void) {
    struct kit_disk disk = begin_disk(&(struct kit_disk_options){.rules = NULL});
    struct kit_bytes one = kit_value(KIT_WORD, 1, 8);
    CHECK_INT(faster_kv_sample(disk.kv, 1), FASTER_OK);
    for (uint64_t i = 0; i < TURNS; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i);
        struct kit_bytes value = kit_value(KIT_WORD, i, 8);
        if (i % 2 == 0) {
            kit_disk_expect(disk.session, &key, &value);
        } else {
            CHECK_INT(kit_run_merge(disk.session, FASTER_MERGE_ADD, &key, &one, NULL),
                      FASTER_OK);
        }
    }
    struct faster_kv_stats stats = kit_stats(disk.kv);
    CHECK_U64(stats.reads_pending, TURNS / 2);
    CHECK_U64(stats.updates_pending, TURNS / 2);
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_PENDING), TURNS);
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_DEVICE_READ), stats.device_reads);
    CHECK_U64(stats.device_reads, TURNS);
    /* Nothing ended in memory, so nothing is sampled. */
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_READ), 0);
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_RMW), 0);
    kit_disk_close(&disk);
}

/* F07 */
static void f07_a_read_that_failed_is_counted_and_not_timed(void) {
    static const struct faster_fault_rule rule = {.kinds = FASTER_KIND_READ,
                                                  .fault = FASTER_FAULT_FAIL,
                                                  .argument = -EIO,
                                                  KIT_DISK_UNARMED};
    const struct kit_disk_options options = {.rules = &rule, .rules_count = 1};
    struct kit_disk disk = begin_disk(&options);
    struct kit_bytes key = kit_key(KIT_WORD, 3);
    struct kit_bytes out;
    kit_disk_arm(&disk, 0, 1);
    CHECK_INT(kit_run_read(disk.session, &key, &out), FASTER_OK);
    CHECK_U64(kit_stats(disk.kv).device_retries, 1);
    CHECK_U64(kit_stats(disk.kv).device_errors, 1);
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_DEVICE_READ), 1);
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_PENDING), 1);
    kit_disk_arm(&disk, 0, 2);
    CHECK_INT(kit_run_read(disk.session, &key, &out), -EIO);
    CHECK_U64(kit_stats(disk.kv).device_retries, 2);
    CHECK_U64(kit_stats(disk.kv).device_errors, 3);
    CHECK_U64(kit_stats(disk.kv).failed, 1);
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_DEVICE_READ), 1);
    CHECK_U64(samples_of(disk.kv, FASTER_TIMED_PENDING), 1);
    faster_session_free(disk.session); /* what it has counted stays */
    disk.session = kit_session(disk.kv);
    CHECK_U64(kit_stats(disk.kv).device_retries, 2);
    CHECK_U64(kit_stats(disk.kv).device_errors, 3);
    CHECK_U64(kit_stats(disk.kv).failed, 1);
    kit_disk_close(&disk);
}

HARNESS_MAIN(TEST(one_in_so_many_of_each_kind_is_timed),
             TEST(a_timed_operation_has_its_effect_once),
             TEST(i2_what_fails_or_comes_again_is_not_timed),
             TEST(batches_are_not_timed),
             TEST(the_period_changes_for_sessions_that_are_open),
             TEST(a_session_that_is_inside_notices_later),
             TEST(other_periods_and_names_are_refused),
             TEST(each_operation_that_waits_is_timed),
             TEST(f07_a_read_that_failed_is_counted_and_not_timed))
