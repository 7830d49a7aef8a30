/* SPDX-License-Identifier: MIT */
/*
 * torture_order.c: the items of a batch are done in order
 *
 * One thread sets key n (a new one each time) and then the counter to n.  Another reads
 * the counter and the key after it in one batch, in this order: if the counter has
 * reached the key, the key must be there.
 */
#include <stdatomic.h>

#include "harness.h"
#include "kit.h"

enum { COUNTER = 1, FIRST_KEY = 1000, FILL = 14 };

static struct faster_kv *store;
static _Atomic bool over;

static void set_word(struct faster_session *session, uint64_t key, uint64_t value) {
    int result;
    do {
        result = faster_upsert(session, &key, 8, &value, 8);
        if (result == FASTER_RETRY) {
            faster_session_wait(session);
        }
    } while (result == FASTER_RETRY);
    CHECK_INT(result, FASTER_OK);
}

static void write_keys(struct faster_session *session) {
    uint64_t count = harness_count(250000);
    for (uint64_t n = 1; n <= count; n++) {
        set_word(session, FIRST_KEY + n, n);
        set_word(session, COUNTER, n);
    }
    atomic_store_explicit(&over, true, memory_order_release);
}

/* Read the counter and the key that is likely to be written meanwhile. */
static void read_pair(struct faster_session *session, uint64_t next) {
    uint64_t keys[FILL + 2];
    uint64_t values[FILL + 2] = {0};
    uint8_t flags[FILL + 2];
    uint64_t done = 0;
    for (uint64_t i = 0; i < FILL; i++) {
        keys[i] = i + 2; /* absent: they only fill the pipeline */
    }
    keys[FILL] = COUNTER;
    keys[FILL + 1] = FIRST_KEY + next;
    struct faster_items items = {(const uint8_t *)keys, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)values, sizeof values, NULL, flags};
    CHECK_INT(faster_read_many(session, &items, FILL + 2, &results, &done), FASTER_OK);
    CHECK(values[FILL] < next || flags[FILL + 1] == 1,
          "the counter is %" PRIu64 ", but key %" PRIu64 " is absent", values[FILL],
          next);
}

static void read_counter(struct faster_session *session) {
    uint64_t size;
    uint64_t key = COUNTER;
    while (!atomic_load_explicit(&over, memory_order_acquire)) {
        uint64_t seen = 0;
        int result = faster_read(session, &key, 8, &seen, 8, &size);
        if (result == FASTER_RETRY) {
            faster_session_wait(session);
            continue;
        }
        read_pair(session, seen + 1);
    }
}

static void work(void *context, uint32_t thread) {
    struct faster_session *session = kit_session(store);
    (void)context;
    if (thread == 0) {
        write_keys(session);
    } else {
        read_counter(session);
    }
    faster_session_free(session);
}

static void i2_a_later_item_sees_what_an_earlier_one_saw(void) {
    store = kit_open(KIT_WORD);
    atomic_store_explicit(&over, false, memory_order_relaxed);
    harness_threads(2, work, NULL);
    faster_kv_free(store);
}

HARNESS_MAIN(TEST(i2_a_later_item_sees_what_an_earlier_one_saw))
