/* SPDX-License-Identifier: MIT */
/* Sessions are freed and resumed with updates on their way to the device, while
 * checkpoints are taken: each update that has got a serial number has its effect once,
 * and no other has any (C5, session.h I5). */
#include "cpr/cpr_kit.h"

enum {
    WORKERS = 3,
    KEYS = 3000,
    ROUNDS = 150,
    STARTS = 24,
    CHECKPOINTS = 12,
    TRIES_MAX = 100000
};

static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};

static struct {
    struct kit_disk disk;
    uint64_t last[WORKERS]; /* the serial number that each has seen */
} torture;

/* As soon as the updates of the session before are done. */
static struct faster_session *resume(uint64_t id) {
    struct faster_session *session = NULL;
    int result = FASTER_E_BUSY;
    for (int i = 0; i < TRIES_MAX && result == FASTER_E_BUSY; i++) {
        (void)faster_kv_drain(torture.disk.kv, i == 0 ? 0 : 1);
        result = faster_session_resume(torture.disk.kv, id, 0, &session);
    }
    CHECK_INT(result, FASTER_OK);
    return session;
}

static void start_add(struct faster_session *session, uint64_t number) {
    struct kit_bytes key = kit_key(KIT_WORD, number);
    struct kit_bytes one = kit_value(KIT_WORD, 1, 8);
    struct kit_bytes out = {.size = 0};
    struct faster_operation operation = kit_operation(FASTER_RMW, &key, &one);
    struct faster_pending *pending = NULL;
    operation.merge = &add;
    int result = kit_start(session, &operation, &out, &pending);
    CHECK(result == FASTER_OK || result == FASTER_PENDING, "%d", result);
}

static void work(uint32_t thread) {
    struct rng rng = rng_stream(100 + thread);
    for (uint64_t round = 0; round < harness_count(ROUNDS); round++) {
        struct faster_session *session = resume(thread + 1);
        CHECK(faster_session_serial(session) >= torture.last[thread], "%s",
              "went back");
        for (uint64_t left = rng_below(&rng, STARTS); left > 0; left--) {
            start_add(session, rng_below(&rng, KEYS));
        }
        torture.last[thread] = faster_session_serial(session);
        if (round % 4 == 0) {
            CHECK_INT(faster_session_drain(session, KIT_DISK_WAIT_MS), FASTER_OK);
            CHECK_INT(faster_session_close(session), FASTER_OK);
        }
        faster_session_free(session);
    }
}

static void run(void *context, uint32_t thread) {
    (void)context;
    if (thread < WORKERS) {
        work(thread);
        return;
    }
    for (int i = 0; i < CHECKPOINTS; i++) {
        cpr_fold_over(torture.disk.kv);
        kit_disk_evict(&torture.disk);
    }
}

static uint64_t sum_of_values(void) {
    uint64_t sum = 0;
    for (uint64_t number = 0; number < KEYS; number++) {
        struct kit_bytes key = kit_key(KIT_WORD, number);
        struct kit_bytes value = {.size = 0};
        uint64_t word;
        CHECK_INT(kit_run_read(torture.disk.session, &key, &value), FASTER_OK);
        memcpy(&word, value.data, 8);
        sum += word;
    }
    return sum;
}

static void numbered_updates_count_once(void) {
    static const struct kit_disk_options plain;
    struct kit_bytes zero = kit_value(KIT_WORD, 0, 8);
    uint64_t serials = 0;
    torture.disk = kit_disk_open(KIT_WORD, &plain);
    for (uint64_t number = 0; number < KEYS; number++) {
        struct kit_bytes key = kit_key(KIT_WORD, number);
        CHECK_INT(kit_upsert(torture.disk.session, &key, &zero), FASTER_OK);
    }
    kit_disk_evict(&torture.disk);
    harness_threads(WORKERS + 1, run, NULL);
    for (uint32_t thread = 0; thread < WORKERS; thread++) {
        struct faster_session *session = resume(thread + 1);
        serials += faster_session_serial(session);
        CHECK(faster_session_serial(session) >= torture.last[thread], "%s",
              "went back");
        faster_session_free(session);
    }
    CHECK(serials != 0, "%s", "nothing was done");
    CHECK_U64(sum_of_values(), serials);
    kit_disk_close(&torture.disk);
}

HARNESS_MAIN(TEST(numbered_updates_count_once))
