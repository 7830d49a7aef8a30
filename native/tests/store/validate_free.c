/* SPDX-License-Identifier: MIT */
/* validate_free.c: what a store gives back, and what a refusal costs */
#include <stdio.h>

#include "harness.h"
#include "kit.h"

/* Threads of this process, or 0 where the system does not say. */
static int thread_count(void) {
    char line[256];
    int count = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, status) != NULL) {
        (void)sscanf(line, "Threads: %d", &count);
    }
    (void)fclose(status);
    return count;
}

enum { LOOKS = 200, LOOKS_MOST = 1000000 };

static void do_nothing(void *context, uint32_t thread) {
    (void)context;
    (void)thread;
}

/* The fewest of many looks, until there are no more than these: the system may count a
 * thread for a while after it was joined. */
static int fewest_threads(int looks, int wanted) {
    int fewest = thread_count();
    for (int i = 0; i < looks && fewest > wanted; i++) {
        thread_yield();
        int count = thread_count();
        fewest = count < fewest ? count : fewest;
    }
    return fewest;
}

static void set_word(struct faster_session *session, uint64_t key, int expected) {
    int result;
    do {
        result = faster_upsert(session, &key, 8, &key, 8);
        if (result == FASTER_RETRY) {
            faster_session_wait(session);
        }
    } while (result == FASTER_RETRY);
    CHECK_INT(result, expected);
}

/* The worker is inside when the handle is freed: it is waited for, not left behind. */
static void p5_free_ends_the_worker_in_the_middle_of_a_growth(void) {
    harness_threads(1, do_nothing,
                    NULL); /* with the first a sanitizer starts its own */
    int before = fewest_threads(LOOKS, 0);
    for (int round = 0; round < 5; round++) {
        struct faster_kv_config config = kit_config(KIT_WORD);
        config.memory = 0;
        config.expected_keys = 200000;
        struct faster_kv *kv = kit_open_config(&config);
        struct faster_session *session = kit_session(kv);
        for (uint64_t key = 0; key < 20000; key++) {
            set_word(session, key, FASTER_OK);
        }
        CHECK_INT(faster_kv_grow_index(kv), FASTER_OK);
        faster_session_free(session);
        faster_kv_free(kv);
        int after = fewest_threads(LOOKS_MOST, before);
        CHECK(after <= before, "%d threads, not %d", after, before);
    }
}

/* An insertion that finds no place in the index has not reserved a record for it. */
static void i1_refused_insertions_cost_no_log(void) {
    struct faster_kv_config config = kit_config(KIT_TEXT);
    config.memory = 4 << 20;
    config.page_size = 1 << 20;
    config.index_permille = 10;
    struct faster_kv *kv = kit_open_config(&config);
    struct faster_session *session = kit_session(kv);
    struct faster_kv_stats stats = {.size = sizeof stats};
    uint64_t key = 0;
    int result = FASTER_OK;
    while (result != FASTER_E_FULL) { /* ends: the budget is bounded */
        result = faster_upsert(session, &key, 8, &key, 8);
        if (result == FASTER_RETRY) {
            faster_session_wait(session);
        } else {
            key++;
        }
    }
    CHECK_INT(faster_kv_stats(kv, &stats), FASTER_OK);
    uint64_t tail = stats.address_tail;
    for (int i = 0; i < 1000; i++) {
        set_word(session, key - 1, FASTER_E_FULL);
    }
    CHECK_INT(faster_kv_stats(kv, &stats), FASTER_OK);
    CHECK_U64(stats.address_tail, tail);
    faster_session_free(session);
    faster_kv_free(kv);
}

HARNESS_MAIN(TEST(p5_free_ends_the_worker_in_the_middle_of_a_growth),
             TEST(i1_refused_insertions_cost_no_log))
