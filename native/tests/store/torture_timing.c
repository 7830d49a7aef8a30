/* SPDX-License-Identifier: MIT */
/* timing.h: threads work while another changes what is timed and takes figures: counts
 * never go back, and none is lost. */
#include "store/timing.h"

#include "store/torture.h"

enum { WORKERS = 3, KEYS = 64, STEPS = 50000 };

struct shared {
    struct faster_kv *kv;
    uint64_t steps;
    _Atomic uint32_t working;
};

static void work(struct shared *shared, uint32_t thread) {
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    struct faster_session *session = kit_session(shared->kv);
    struct rng rng = rng_stream(thread + 1);
    for (uint64_t i = 0; i < shared->steps; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, rng_below(&rng, KEYS));
        struct kit_bytes one = kit_value(KIT_WORD, 1, 8);
        struct kit_bytes out;
        if (i % 2 == 0) {
            CHECK_INT(kit_rmw(session, &add, &key, &one, NULL), FASTER_OK);
        } else {
            int result = kit_read(session, &key, &out);
            CHECK(result == FASTER_OK || result == FASTER_NOT_FOUND, "%d", result);
        }
    }
    faster_session_free(session);
    (void)atomic_fetch_sub_explicit(&shared->working, 1, memory_order_release);
}

static uint64_t samples_of(struct faster_kv *kv, uint32_t timed) {
    struct faster_histogram histogram;
    uint64_t sum = 0;
    CHECK_INT(faster_kv_histogram(kv, timed, &histogram), FASTER_OK);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += histogram.counts[i];
    }
    return sum;
}

static void watch(struct shared *shared) {
    static const uint32_t periods[] = {1, 0, 2, 64, 1024};
    uint64_t operations = 0;
    uint64_t samples = 0;
    /* Ends with the workers. */
    for (uint32_t turn = 0;
         atomic_load_explicit(&shared->working, memory_order_acquire) != 0; turn++) {
        CHECK_INT(faster_kv_sample(shared->kv, periods[turn % 5]), FASTER_OK);
        struct faster_kv_stats stats = kit_stats(shared->kv);
        uint64_t now = stats.rmws + stats.reads_hit + stats.reads_missed;
        uint64_t timed = samples_of(shared->kv, FASTER_TIMED_RMW) +
                         samples_of(shared->kv, FASTER_TIMED_READ);
        CHECK(now >= operations && timed >= samples, "%" PRIu64 ", %" PRIu64, now,
              timed);
        operations = now;
        samples = timed;
    }
}

static void run_thread(void *context, uint32_t thread) {
    struct shared *shared = context;
    if (thread == 0) {
        watch(shared);
    } else {
        work(shared, thread);
    }
}

static void figures_hold_while_everybody_works(void) {
    struct shared shared = {.kv = kit_open(KIT_WORD), .steps = harness_count(STEPS)};
    atomic_init(&shared.working, WORKERS);
    harness_threads(WORKERS + 1, run_thread, &shared);
    struct faster_kv_stats stats = kit_stats(shared.kv);
    uint64_t each = shared.steps * WORKERS;
    CHECK_U64(stats.rmws + stats.reads_hit + stats.reads_missed, each);
    CHECK(samples_of(shared.kv, FASTER_TIMED_RMW) <= stats.rmws, "%" PRIu64,
          stats.rmws);
    struct faster_session *session = kit_session(shared.kv);
    torture_close(shared.kv, session);
}

HARNESS_MAIN(TEST(figures_hold_while_everybody_works))
