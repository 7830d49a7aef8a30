/* SPDX-License-Identifier: MIT */
/*
 * torture_close.c: a log is closed, or fails, while threads are in every call
 *
 * Each thread goes on until it is told that the log is closed.  What was acknowledged
 * until then is found by recovery, and nothing is touched after it was freed.
 */
#include "flog/record_kit.h"

enum { THREADS = 7, TURNS = 16 };

static struct kit *kit;
static _Atomic uint64_t acknowledged; /* everything below, and in what order it came */
static _Atomic uint32_t inside;
static int reason; /* 0: it is only closed */
static uint64_t turn;

static bool goes_on(int result) {
    CHECK(result == FASTER_OK || result == FASTER_RETRY || result == FASTER_NOT_FOUND ||
              result == FASTER_E_TIMEOUT || result == FASTER_E_CLOSED ||
              (reason != 0 && result == reason),
          "%d", result);
    return result != FASTER_E_CLOSED && (reason == 0 || result != reason);
}

static void acknowledge(uint64_t until) {
    uint64_t seen = atomic_load_explicit(&acknowledged, memory_order_relaxed);
    while (seen < until && !atomic_compare_exchange_weak_explicit(
                               &acknowledged, &seen, until, memory_order_relaxed,
                               memory_order_relaxed)) {
    }
}

static bool write_once(struct rng *rng) {
    static const uint8_t data[600];
    struct faster_flog_commit commit = {0, 0};
    uint64_t address;
    uint64_t end = 0;
    int result =
        faster_flog_append(kit->log, data, rng_below(rng, 600), &address, &end);
    if (result == FASTER_RETRY) {
        result = faster_flog_wait(kit->log, 100);
    } else if (result == FASTER_OK && rng_below(rng, 4) == 0) {
        result =
            rng_below(rng, 2) != 0
                ? faster_flog_commit(kit->log, end, KIT_WAIT_MS, &commit)
                : faster_flog_commit_strong(kit->log, data, 5, KIT_WAIT_MS, &commit);
        if (result == FASTER_OK) {
            acknowledge(commit.until);
        }
    } else if (result == FASTER_OK && rng_below(rng, 4) == 0) {
        result = faster_flog_request(kit->log, end);
    }
    return goes_on(result);
}

static bool batch_once(struct rng *rng) {
    static const uint8_t data[2000];
    const uint64_t offsets[5] = {0, 100, 100, 800, 2000};
    struct faster_flog_batch batch = {data, offsets, 4, NULL, 0, 0};
    uint64_t done;
    uint64_t end;
    batch.atomic = (uint32_t)rng_below(rng, 2);
    return goes_on(faster_flog_append_many(kit->log, &batch, 50, &done, &end));
}

static bool wait_once(void) {
    struct faster_flog_commit seen;
    faster_flog_committed(kit->log, &seen);
    return goes_on(faster_flog_wait_committed(kit->log, seen.until, 50));
}

static bool suspend_once(void) {
    int result = faster_flog_suspend(kit->log, 50);
    if (result == FASTER_OK) {
        faster_flog_resume(kit->log);
    }
    return goes_on(result);
}

/* A scan is not told of a failure: what was committed can still be read. */
static void scan_until_closed(void) {
    struct faster_flog_entry entry;
    struct faster_flog_scan_config config = {.size = sizeof config};
    int result = FASTER_OK;
    while (result != FASTER_E_CLOSED) { /* ends: it is closed in the end */
        struct faster_flog_scan *scan = NULL;
        result = faster_flog_scan_open(kit->log, &config, &scan);
        while (result == FASTER_OK) {
            result = kit_next(scan, &entry);
        }
        CHECK(result == FASTER_NOT_FOUND || result == FASTER_E_CLOSED, "%d", result);
        if (scan != NULL) {
            faster_flog_scan_free(scan);
        }
    }
}

static void close_it(void) {
    struct rng rng = rng_stream(1000 + turn);
    /* Ends: all threads begin. */
    while (atomic_load_explicit(&inside, memory_order_acquire) < THREADS) {
        thread_yield();
    }
    for (uint64_t i = rng_below(&rng, 12); i > 0; i--) {
        thread_yield();
    }
    if (reason != 0) {
        faster_flog_poison(kit->log, reason);
    }
    int result;
    do { /* ends: who is inside comes out */
        result = faster_flog_close(kit->log, (uint32_t)rng_below(&rng, 3));
    } while (result == FASTER_E_TIMEOUT);
    CHECK_INT(result, FASTER_OK);
}

static void work(void *context, uint32_t thread) {
    struct rng rng = rng_stream(turn * 100 + thread);
    (void)context;
    if (thread == THREADS) {
        close_it();
        return;
    }
    (void)atomic_fetch_add_explicit(&inside, 1, memory_order_acq_rel);
    bool more = true;
    if (thread == 0) {
        scan_until_closed();
        return;
    }
    while (more) { /* ends: the log is closed */
        switch (thread) {
        case 1:
            more = batch_once(&rng);
            break;
        case 2:
            more = wait_once();
            break;
        case 3:
            more = suspend_once();
            break;
        default:
            more = write_once(&rng);
        }
    }
}

static void run(int status) {
    uint64_t turns = harness_count(TURNS);
    reason = status;
    for (turn = 0; turn < turns; turn++) {
        struct faster_flog_found found;
        struct faster_flog_damage damage;
        kit = kit_new();
        kit->commits_in_flight = 1 + (uint32_t)(turn % 3);
        kit->commit_bytes = turn % 2 != 0 ? 2000 : 0;
        kit->commit_ms = turn % 5 == 0;
        atomic_store_explicit(&acknowledged, 0, memory_order_relaxed);
        atomic_store_explicit(&inside, 0, memory_order_relaxed);
        kit_start(kit);
        harness_threads(THREADS + 1, work, NULL);
        struct faster_flog_commit last = kit_committed(kit);
        faster_flog_free(kit->log);
        kit->log = NULL;
        kit_free_devices(kit);
        CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
        /* relaxed: the threads have ended */
        uint64_t durable = atomic_load_explicit(&acknowledged, memory_order_relaxed);
        CHECK(found.until >= durable && found.until >= last.until,
              "%" PRIu64 " < %" PRIu64, found.until, durable);
        kit_free(kit);
    }
}

static void m3_closed_under_every_call(void) { run(0); }

static void d3_failed_under_every_call(void) { run(-EIO); }

HARNESS_MAIN(TEST(m3_closed_under_every_call), TEST(d3_failed_under_every_call))
