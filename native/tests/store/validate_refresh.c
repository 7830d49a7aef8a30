/* SPDX-License-Identifier: MIT */
/*
 * validate_refresh.c: a long batch does not hold an epoch back
 *
 * A native merge runs inside the batch, under its session's entry: from there the test
 * bumps the epoch, and later looks whether everybody has been seen to move on.
 */
#include "harness.h"
#include "kit.h"
#include "store/batch.h"

enum { ITEMS = 3 * BATCH_BLOCK };

static struct epoch *watched;
static uint64_t bumped_from;
static int calls;
static int safe_at; /* the first call that found the bump safe */

static int64_t look(uint8_t *value, int64_t value_size, int64_t capacity,
                    const uint8_t *input, int64_t input_size) {
    (void)value_size;
    (void)capacity;
    if (calls == 0) {
        bumped_from = epoch_bump(watched);
    } else if (safe_at == 0 && epoch_is_safe(watched, bumped_from)) {
        safe_at = calls;
    }
    calls++;
    memcpy(value, input, (size_t)input_size);
    return input_size;
}

static void e5_a_batch_moves_on_after_256_items(void) {
    struct faster_kv *kv = kit_open(KIT_WORD);
    struct faster_session *session = kit_session(kv);
    struct faster_merge merge = {.kind = FASTER_MERGE_NATIVE, .native = look};
    uint64_t keys[ITEMS];
    uint64_t one = 1;
    uint64_t done = 0;
    for (uint64_t i = 0; i < ITEMS; i++) {
        keys[i] = i;
    }
    struct faster_items items = {(const uint8_t *)keys, NULL, 8, 8};
    struct faster_items inputs = {(const uint8_t *)&one, NULL, 8, 0};
    watched = &kv->epoch;
    CHECK_INT(faster_rmw_many(session, &merge, &items, &inputs, ITEMS, NULL, &done),
              FASTER_OK);
    CHECK_INT(calls, ITEMS);
    CHECK(safe_at > 0, "the batch held its first epoch to the end");
    CHECK(safe_at <= 256, "only item %d found the epoch left", safe_at);
    faster_session_free(session);
    faster_kv_free(kv);
}

HARNESS_MAIN(TEST(e5_a_batch_moves_on_after_256_items))
