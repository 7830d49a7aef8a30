/* SPDX-License-Identifier: MIT */
/* fault_memory.c: an operation that gets no memory has changed nothing */
#include <errno.h>

#include "allocation.h"
#include "store/kit.h"

/* Opening fails whole at each of its allocations, and then succeeds. */
static void errors_open_fails_whole(void) {
    struct faster_kv_config config = kit_config(KIT_WORD);
    struct faster_kv *kv = NULL;
    int result = -ENOMEM;
    uint64_t failures = 0;
    for (uint64_t n = 0; result != FASTER_OK; n++) { /* ends: it needs only so many */
        allocation_fail_at(n);
        result = faster_kv_open(&config, &kv);
        bool failed = allocation_failed();
        CHECK(result == (failed ? -ENOMEM : FASTER_OK), "%d at %" PRIu64, result, n);
        failures += failed;
    }
    CHECK(failures > 0, "opening allocates nothing");
    kit_close(kv, kit_session(kv));
}

/* A growth without memory does not start; lookups go on in the old table; the next
 * attempt succeeds. */
static void errors_growth_starts_whole(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    for (uint64_t key = 0; key < 1000; key++) {
        CHECK_INT(kit_put_word(session, key, key), FASTER_OK);
    }
    allocation_fail_at(0);
    CHECK_INT(faster_kv_grow_index(kv), -ENOMEM);
    CHECK(allocation_failed(), "a growth allocates nothing");
    CHECK_U64(kit_stats(kv).index_growing, 0);
    CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
    for (uint64_t key = 0; key < 1000; key++) {
        uint64_t value = 0;
        CHECK_INT(kit_get_word(session, key, &value), FASTER_OK);
        CHECK_U64(value, key);
    }
    while (kit_stats(kv).index_growths == 0) { /* ends: the worker walks on */
        thread_yield();
    }
    CHECK_INT(index_audit(&kv->index), 0);
    kit_close(kv, session);
}

/* Append until the session's scratch must grow; without memory for it the operation
 * fails, takes no serial, and can be made again. */
static void errors_a_merge_without_scratch_changes_nothing(void) {
    struct faster_kv *kv = kit_open(KIT_TEXT);
    struct faster_session *session = kit_session(kv);
    static const struct faster_merge append = {.kind = FASTER_MERGE_APPEND};
    struct kit_bytes key = kit_key(KIT_TEXT, 1);
    struct kit_bytes piece = kit_value(KIT_TEXT, 1, 100);
    uint64_t failures = 0;
    uint64_t size = 0;
    CHECK_INT(kit_upsert(session, &key, &piece), FASTER_OK);
    for (uint64_t i = 1; i < 40; i++) {
        uint64_t serial = faster_session_serial(session);
        allocation_fail_at(0);
        int result = kit_rmw(session, &append, &key, &piece, NULL);
        if (allocation_failed()) {
            failures++;
            CHECK_INT(result, -ENOMEM);
            CHECK_U64(faster_session_serial(session), serial);
            CHECK_INT(faster_read(session, key.data, key.size, NULL, 0, &size),
                      FASTER_SHORT);
            CHECK_U64(size, i * 100);
            result = kit_rmw(session, &append, &key, &piece, NULL);
        }
        CHECK_INT(result, FASTER_OK);
        CHECK_INT(faster_read(session, key.data, key.size, NULL, 0, &size),
                  FASTER_SHORT);
        CHECK_U64(size, (i + 1) * 100);
    }
    CHECK(failures > 5, "%" PRIu64, failures);
    kit_close(kv, session);
}

/* In a batch the item that got no memory is the one it stands at. */
static void errors_a_batch_stands_where_memory_ended(void) {
    struct faster_kv *kv = kit_open(KIT_TEXT);
    struct faster_session *session = kit_session(kv);
    static const struct faster_merge append = {.kind = FASTER_MERGE_APPEND};
    enum { COUNT = 60 };
    uint8_t data[COUNT * 40];
    uint64_t key_offsets[COUNT + 1];
    uint64_t offsets[COUNT + 1];
    uint64_t done = 0;
    uint64_t failures = 0;
    struct faster_items keys = {data, key_offsets, 0, 0};
    struct faster_items inputs = {data, offsets, 0, 0};
    for (uint64_t i = 0; i <= COUNT; i++) {
        key_offsets[i] = i; /* all of one byte: keys are the same */
        offsets[i] = i * 40;
    }
    memset(data, 'x', sizeof data);
    while (done < COUNT) { /* ends: after each failure the item is made */
        uint64_t size = 0;
        allocation_fail_at(0);
        int result =
            faster_rmw_many(session, &append, &keys, &inputs, COUNT, NULL, &done);
        bool failed = allocation_failed();
        CHECK(result == (failed ? -ENOMEM : FASTER_OK), "%d", result);
        CHECK_U64(faster_session_serial(session), done);
        if (done > 0) {
            CHECK_INT(faster_read(session, "x", 1, NULL, 0, &size), FASTER_SHORT);
        }
        CHECK_U64(size, done * 40);
        failures += failed;
        if (failed) { /* this one with memory */
            CHECK_INT(faster_rmw_many(session, &append, &keys, &inputs, done + 1, NULL,
                                      &done),
                      FASTER_OK);
        }
    }
    CHECK(failures > 3, "%" PRIu64, failures);
    kit_close(kv, session);
}

HARNESS_MAIN(TEST(errors_open_fails_whole), TEST(errors_growth_starts_whole),
             TEST(errors_a_merge_without_scratch_changes_nothing),
             TEST(errors_a_batch_stands_where_memory_ended))
