/* SPDX-License-Identifier: MIT */
/* validate_limits.c: what may change while a store is open, and what may not */
#include "log/disk.h"
#include "store/disk_kit.h"
#include "store/kit.h"

enum { SMALL = 256 << 10 };

static struct faster_kv_config small_config(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.page_size = 4096;
    config.memory = SMALL;
    return config;
}

/* A growth that ends gives memory back: without one, full is full. */
static void let_growth_end(struct faster_kv *kv) {
    while (atomic_load_explicit(&kv->index.growing, memory_order_acquire)) {
        thread_yield(); /* ends: the worker walks on */
    }
}

/* Put keys from `number` on until the store is full.  Gives the first that was not. */
static uint64_t fill_from(struct faster_session *session, uint64_t number) {
    for (;; number++) { /* ends: the budget does */
        struct kit_bytes key = kit_key(KIT_TEXT, number);
        struct kit_bytes value = kit_value(KIT_TEXT, number, 60);
        int result = kit_upsert(session, &key, &value);
        if (result != FASTER_OK) {
            CHECK_INT(result, FASTER_E_FULL);
            let_growth_end(session->kv);
            result = kit_upsert(session, &key, &value);
        }
        if (result != FASTER_OK) {
            CHECK_INT(result, FASTER_E_FULL);
            return number;
        }
    }
}

/* A full store that is given more goes on, index and log; with less it refuses. */
static void budget_follows_up_and_down(void) {
    struct faster_kv_config config = small_config();
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    uint64_t most = faster_kv_memory_most(kv);
    CHECK(most >= 2 * SMALL, "%" PRIu64, most);
    uint64_t before = fill_from(session, 0);
    CHECK_INT(faster_kv_limit_memory(kv, 2 * SMALL, 500), FASTER_OK);
    CHECK_U64(kit_stats(kv).memory_limit, 2 * SMALL);
    uint64_t after = fill_from(session, before);
    CHECK(after > before + before / 2, "%" PRIu64 " after %" PRIu64, after, before);
    CHECK(budget_used(&kv->budget) <= 2 * SMALL, "beyond the budget");
    CHECK_INT(faster_kv_limit_memory(kv, SMALL, 500), FASTER_OK);
    CHECK_U64(fill_from(session, after), after);
    CHECK_INT(faster_kv_limit_memory(kv, most + 1, 500), FASTER_E_FULL);
    CHECK_U64(kit_stats(kv).memory_limit, SMALL);
    CHECK_INT(faster_kv_limit_memory(kv, 0, 500), FASTER_OK);
    CHECK_U64(kit_stats(kv).memory_limit, 0);
    CHECK(fill_from(session, after) > after, "nothing came of no budget");
    for (uint64_t number = 0; number < after; number += 3) {
        struct kit_bytes key = kit_key(KIT_TEXT, number);
        struct kit_bytes value = kit_value(KIT_TEXT, number, 60);
        kit_expect(session, &key, &value);
    }
    CHECK_INT(index_audit(&kv->index), 0);
    kit_close(kv, session);
}

/* A growth that was refused for its share takes place when the share is larger. */
static void index_grows_once_it_may(void) {
    struct faster_kv_config config = small_config();
    config.memory = 4 << 20;
    config.index_permille = 10; /* less than two of the first tables */
    struct faster_kv *kv = kit_open_config(&config);
    CHECK_INT(faster_kv_grow_index(kv), FASTER_E_FULL);
    CHECK_INT((int)kit_stats(kv).index_saturated, 1);
    uint64_t buckets = kit_stats(kv).index_buckets;
    CHECK_INT(faster_kv_limit_memory(kv, config.memory, 500), FASTER_OK);
    CHECK_INT((int)kit_stats(kv).index_saturated, 0);
    CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
    let_growth_end(kv);
    CHECK_U64(kit_stats(kv).index_buckets, 2 * buckets);
    CHECK_INT(faster_kv_close(kv, 60000), FASTER_OK);
    faster_kv_free(kv);
}

/* One session more may be open when that is said, and those that are stay. */
static void sessions_follow_up_and_down(void) {
    struct faster_kv_config config = small_config();
    config.sessions_max = 1;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *first = kit_session(kv);
    struct faster_session *second = NULL;
    CHECK_INT(faster_session_open(kv, &second), FASTER_E_SESSIONS);
    CHECK_INT(faster_kv_limit_sessions(kv, 2), FASTER_OK);
    second = kit_session(kv);
    CHECK_INT(faster_kv_limit_sessions(kv, 1), FASTER_OK);
    struct faster_session *third = NULL;
    CHECK_INT(faster_session_open(kv, &third), FASTER_E_SESSIONS);
    struct kit_bytes key = kit_key(KIT_TEXT, 1);
    struct kit_bytes value = kit_value(KIT_TEXT, 1, 8);
    CHECK_INT(kit_upsert(second, &key, &value), FASTER_OK);
    kit_expect(first, &key, &value);
    CHECK_INT(faster_kv_limit_sessions(kv, 0), FASTER_E_CONFIG);
    CHECK_INT(faster_kv_limit_sessions(kv, KV_SESSIONS_MAX + 1), FASTER_E_CONFIG);
    CHECK_INT(faster_kv_limit_sessions(kv, KV_SESSIONS_MAX), FASTER_OK);
    faster_session_free(second);
    kit_close(kv, first);
}

/* On a device the log has its place for good; what stays mutable may change, and the
 * worker goes by it at once. */
static void device_keeps_its_place_and_moves_its_regions(void) {
    struct kit_disk_options options = {0};
    struct kit_disk disk = kit_disk_open(KIT_WORD, &options);
    CHECK_INT(faster_kv_limit_memory(disk.kv, 2 * KIT_DISK_MEMORY, 500),
              FASTER_E_CONFIG);
    CHECK_INT(faster_kv_keep_mutable(disk.kv, 0), FASTER_E_CONFIG);
    CHECK_INT(faster_kv_keep_mutable(disk.kv, 1001), FASTER_E_CONFIG);
    for (uint64_t key = 1; key <= 2000; key++) {
        int result;
        KIT_RETRY(disk.session, result, kit_put_word(disk.session, key, key));
        CHECK_INT(result, FASTER_OK);
    }
    uint64_t before = hlog_read_only(&disk.kv->log);
    uint64_t goal = hlog_tail(&disk.kv->log) - 4 * (uint64_t)KIT_DISK_PAGE;
    CHECK(before < goal, "%" PRIu64 " of %" PRIu64, before, goal);
    CHECK_INT(faster_kv_keep_mutable(disk.kv, 1), FASTER_OK);
    while (hlog_read_only(&disk.kv->log) < goal) {
        thread_yield(); /* ends: the worker was asked */
    }
    kit_disk_close(&disk);
}

/* A closed store says so. */
static void closed_is_said(void) {
    struct faster_kv_config config = small_config();
    struct faster_kv *kv = kit_open_config(&config);
    CHECK_INT(faster_kv_close(kv, 60000), FASTER_OK);
    CHECK_INT(faster_kv_limit_memory(kv, SMALL, 500), FASTER_E_CLOSED);
    CHECK_INT(faster_kv_limit_sessions(kv, 2), FASTER_E_CLOSED);
    CHECK_INT(faster_kv_keep_mutable(kv, 500), FASTER_E_CLOSED);
    faster_kv_free(kv);
}

HARNESS_MAIN(TEST(budget_follows_up_and_down), TEST(index_grows_once_it_may),
             TEST(sessions_follow_up_and_down),
             TEST(device_keeps_its_place_and_moves_its_regions), TEST(closed_is_said))
