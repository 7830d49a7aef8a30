/* SPDX-License-Identifier: MIT */
/* validate_full.c: a store whose budget is used up loses nothing and goes on */
#include "store/kit.h"

static struct faster_kv_config small_config(enum kit_kind kind) {
    struct faster_kv_config config = kit_config(kind);
    config.page_size = 4096;
    config.memory = 256 << 10;
    return config;
}

/* A growth that ends gives memory back: without one, full is full. */
static void let_growth_end(struct faster_kv *kv) {
    while (atomic_load_explicit(&kv->index.growing, memory_order_acquire)) {
        thread_yield(); /* ends: the worker walks on */
    }
}

/* Fill what is left of the last page, which is less than the smallest record then. */
static void fill_rest(struct faster_session *session) {
    uint8_t key = 0;
    while (faster_upsert(session, &key, 1, "", 0) == FASTER_OK) {
        CHECK(++key != 0, "the last page has no end");
    }
}

/* Put keys until the store is full.  Gives how many it took. */
static uint64_t fill(struct faster_session *session, enum kit_kind kind,
                     uint64_t size) {
    uint64_t serial = faster_session_serial(session);
    for (uint64_t number = 0;; number++) { /* ends: the budget does */
        struct kit_bytes key = kit_key(kind, number);
        struct kit_bytes value = kit_value(kind, number, size);
        int result = kit_upsert(session, &key, &value);
        if (result != FASTER_OK) {
            CHECK_INT(result, FASTER_E_FULL);
            let_growth_end(session->kv);
            result = kit_upsert(session, &key, &value);
        }
        if (result != FASTER_OK) {
            CHECK_INT(result, FASTER_E_FULL);
            CHECK_U64(faster_session_serial(session), serial + number);
            return number;
        }
    }
}

static void expect_filled(struct faster_session *session, enum kit_kind kind,
                          uint64_t count, uint64_t size) {
    for (uint64_t number = 0; number < count; number++) {
        struct kit_bytes key = kit_key(kind, number);
        struct kit_bytes value = kit_value(kind, number, size);
        kit_expect(session, &key, &value);
    }
    struct kit_bytes key = kit_key(kind, count);
    kit_expect(session, &key, NULL);
}

/* What was taken is there; refusals take no serial and no budget; what needs no room
 * goes on: reads, changes in place, deletions and insertions over them. */
static void full_loses_nothing_and_changes_go_on(void) {
    static const struct faster_merge set = {.kind = FASTER_MERGE_SET_IF_ABSENT};
    for (int k = 0; k < KIT_KINDS; k++) {
        enum kit_kind kind = (enum kit_kind)k;
        struct faster_kv_config config = small_config(kind);
        struct faster_kv *kv = kit_open_config(&config);
        struct faster_session *session = kit_session(kv);
        uint64_t count = fill(session, kind, 60);
        CHECK(count > 500, "%" PRIu64, count);
        expect_filled(session, kind, count, 60);
        uint64_t used = budget_used(&kv->budget);
        CHECK(used <= budget_limit(&kv->budget), "%" PRIu64, used);
        for (uint64_t number = 0; number < count; number += 7) {
            struct kit_bytes key = kit_key(kind, number);
            struct kit_bytes other = kit_value(kind, number + 1, 60);
            struct kit_bytes value = kit_value(kind, number, 60);
            struct kit_bytes out;
            CHECK_INT(kit_upsert(session, &key, &other), FASTER_OK);
            kit_expect(session, &key, &other);
            CHECK_INT(kit_delete(session, &key), FASTER_OK);
            kit_expect(session, &key, NULL);
            CHECK_INT(kit_insert(session, &key, &other), FASTER_OK);
            CHECK_INT(kit_rmw(session, &set, &key, &value, &out), FASTER_OK);
            CHECK(kit_same(&out, &other), "set_if_absent changed a value");
            CHECK_INT(kit_compare(session, &key, &other, &value), FASTER_OK);
        }
        expect_filled(session, kind, count, 60);
        CHECK_U64(budget_used(&kv->budget), used);
        CHECK_INT(index_audit(&kv->index), 0);
        kit_close(kv, session);
    }
}

/* Below read_only everything needs room: it is refused, and nothing changes. */
static void full_refuses_what_must_be_copied(void) {
    for (int k = 0; k < KIT_KINDS; k++) {
        enum kit_kind kind = (enum kit_kind)k;
        struct faster_kv_config config = small_config(kind);
        struct faster_kv *kv = kit_open_config(&config);
        struct faster_session *session = kit_session(kv);
        struct faster_session *other = kit_session(kv);
        uint64_t count = fill(session, kind, 60);
        if (kind == KIT_TEXT) {
            fill_rest(session); /* a tombstone is smaller than the record it hides */
        }
        /* It may be the index that found no room, and a page is left. */
        budget_allow(&kv->budget, budget_used(&kv->budget));
        struct faster_kv_stats before = kit_stats(kv);
        for (int region = 0; region < 2; region++) {
            if (region == 0) {
                kit_hold(kv, other);
            }
            uint64_t serial = faster_session_serial(session);
            uint64_t refused = 0;
            for (uint64_t number = 0; number < count; number++) {
                struct kit_bytes key = kit_key(kind, number);
                struct kit_bytes value = kit_value(kind, number, 60);
                int result = kit_upsert(session, &key, &value);
                CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
                refused += result == FASTER_E_FULL;
                if (result == FASTER_E_FULL) {
                    CHECK_INT(kit_delete(session, &key), FASTER_E_FULL);
                    CHECK_INT(kit_compare(session, &key, &value, &value),
                              FASTER_E_FULL);
                }
                serial += result == FASTER_OK;
                CHECK_U64(faster_session_serial(session), serial);
            }
            CHECK(refused > count - 200, "%" PRIu64 " of %" PRIu64, refused, count);
            expect_filled(session, kind, count, 60);
            if (region == 0) {
                kit_unhold(kv, other);
            }
        }
        struct faster_kv_stats after = kit_stats(kv);
        CHECK_U64(after.log_bytes, before.log_bytes);
        CHECK_U64(after.deletes + after.compares, 0);
        faster_session_free(other);
        kit_close(kv, session);
    }
}

/* A record too large for what is left of the last page does not keep smaller
 * ones out. */
static void full_leaves_room_for_smaller_records(void) {
    struct faster_kv_config config = small_config(KIT_TEXT);
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    static uint8_t data[4096];
    int result = FASTER_OK;
    for (uint64_t i = 0; result == FASTER_OK; i++) {
        struct kit_bytes key = kit_key(KIT_TEXT, i);
        result = faster_upsert(session, key.data, key.size, data, 2100);
    }
    CHECK_INT(result, FASTER_E_FULL);
    uint64_t small = 0;
    for (result = FASTER_OK; result == FASTER_OK; small++) {
        struct kit_bytes key = kit_key(KIT_TEXT, 100000 + small);
        struct kit_bytes value = kit_value(KIT_TEXT, small, 16);
        result = kit_upsert(session, &key, &value);
    }
    CHECK_INT(result, FASTER_E_FULL);
    CHECK(small > 20, "%" PRIu64 " smaller records", small - 1);
    for (uint64_t i = 0; i + 1 < small; i++) {
        struct kit_bytes key = kit_key(KIT_TEXT, 100000 + i);
        struct kit_bytes value = kit_value(KIT_TEXT, i, 16);
        kit_expect(session, &key, &value);
    }
    kit_close(kv, session);
}

/* G0: an index that may not grow goes on with longer chains until the log is full. */
static void g0_a_saturated_index_goes_on(void) {
    struct faster_kv_config config = kit_config_crowded(KIT_WORD);
    config.memory = 32 << 20;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    for (uint64_t key = 0; key < 20000; key++) {
        CHECK_INT(kit_put_word(session, key, key), FASTER_OK);
    }
    struct faster_kv_stats stats = kit_stats(kv);
    CHECK_U64(stats.index_saturated, 1);
    CHECK_U64(stats.index_growing, 0);
    CHECK(stats.index_overflow > 1000, "%" PRIu64, stats.index_overflow);
    for (uint64_t key = 0; key < 20000; key++) {
        uint64_t value = 0;
        CHECK_INT(kit_get_word(session, key, &value), FASTER_OK);
        CHECK_U64(value, key);
    }
    CHECK_INT(index_audit(&kv->index), 0);
    kit_close(kv, session);
}

/* A refusal for want of an overflow bucket leaves no trace and takes no room; keys
 * whose chains have places, and changes of all others, go on. */
static void full_index_refuses_new_keys_only(void) {
    enum { KEYS = 1000, FEW = 16 };
    struct faster_kv_config config = kit_config_crowded(KIT_WORD);
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    struct overflow_pool *pool = &index_current(&kv->index)->pool;
    uint64_t refused = 0;
    uint64_t key = 0;
    CHECK_U64(overflow_take(pool, false), 1); /* the pool's first part is to be had */
    budget_allow(&kv->budget, budget_used(&kv->budget));
    for (uint64_t i = 0; i < KEYS; i++) {
        key = kit_crowded(kv, KIT_WORD, key + 1, FEW);
        uint64_t tail = hlog_tail(&kv->log);
        int result = kit_put_word(session, key, key);
        uint64_t value = 0;
        CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
        CHECK(result == FASTER_OK || hlog_tail(&kv->log) == tail, "a refusal costs");
        refused += result == FASTER_E_FULL;
        CHECK_INT(kit_get_word(session, key, &value),
                  result == FASTER_OK ? FASTER_OK : FASTER_NOT_FOUND);
    }
    CHECK(refused >= KEYS - (FEW + POOL_FIRST) * BUCKET_ENTRIES, "%" PRIu64, refused);
    CHECK_U64(faster_session_serial(session), KEYS - refused);
    CHECK(refused < KEYS - FEW * BUCKET_ENTRIES, "%" PRIu64, refused);
    for (uint64_t other = 1 << 20; other < (1 << 20) + 500; other++) {
        bool crowded = kit_crowded(kv, KIT_WORD, other, FEW) == other;
        CHECK_INT(kit_put_word(session, other, 1), crowded ? FASTER_E_FULL : FASTER_OK);
    }
    CHECK_INT(index_audit(&kv->index), 0);
    kit_close(kv, session);
}

HARNESS_MAIN(TEST(full_loses_nothing_and_changes_go_on),
             TEST(full_refuses_what_must_be_copied),
             TEST(full_leaves_room_for_smaller_records),
             TEST(g0_a_saturated_index_goes_on), TEST(full_index_refuses_new_keys_only))
