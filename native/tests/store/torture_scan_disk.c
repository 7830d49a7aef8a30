/* SPDX-License-Identifier: MIT */
/* scan.h while others write and evict: a key that is live all the time comes exactly
 * once in every scan, with a value that it had */
#include "base/thread.h"
#include "store/disk_kit.h"
#include "store/torture.h"

enum { WRITERS = 2, KEYS = 3000, SCANS = 8, ROWS = 50, PER_SCAN = 1000 };

static const struct faster_fault_rule foreign = {
    .kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_FOREIGN, .every = 3};

struct torture {
    struct kit_disk disk;
    _Atomic uint64_t written[KEYS]; /* the value that a key has, or is about to have */
    _Atomic uint64_t scans; /* done; a scan reads the whole log, so writers wait */
    _Atomic bool over;
};

static struct torture torture;

/* Each writer has keys of its own, whose values rise; others come and go. */
static void write_on(uint32_t thread) {
    struct faster_session *session = kit_session(torture.disk.kv);
    struct rng rng = rng_stream(thread);
    uint64_t written = 0;
    while (!atomic_load_explicit(&torture.over, memory_order_acquire)) {
        uint64_t scans = atomic_load_explicit(&torture.scans, memory_order_acquire);
        if (written >= (scans + 1) * PER_SCAN) {
            thread_yield();
            continue;
        }
        written++;
        uint64_t key = rng_below(&rng, KEYS / WRITERS) * WRITERS + thread;
        uint64_t value =
            1 + atomic_load_explicit(&torture.written[key], memory_order_acquire);
        atomic_store_explicit(&torture.written[key], value, memory_order_release);
        CHECK_INT(kit_put_word(session, key, value), FASTER_OK);
        struct kit_bytes other = kit_key(KIT_WORD, KEYS + key);
        uint32_t kind = rng_below(&rng, 2) == 0 ? FASTER_UPSERT : FASTER_DISCARD;
        int status = kit_run_write(session, kind, &other, &other);
        CHECK(status == FASTER_OK || status == FASTER_NOT_FOUND, "%d", status);
        if (rng_below(&rng, 300) == 0) {
            CHECK_INT(faster_kv_evict(torture.disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        }
    }
    faster_session_free(session);
}

static void scan_once(struct faster_session *session, uint64_t *floor) {
    uint64_t keys[ROWS];
    uint64_t values[ROWS];
    static uint8_t times[2 * KEYS];
    struct faster_results key_rows = {(uint8_t *)keys, sizeof keys, NULL, NULL};
    struct faster_results value_rows = {(uint8_t *)values, sizeof values, NULL, NULL};
    struct faster_cursor cursor = {.position = 0};
    uint64_t found = 1;
    memset(times, 0, sizeof times);
    while (found != 0) { /* ends with the scan */
        uint64_t need[2];
        CHECK_INT(faster_scan_next(session, &cursor, &key_rows, &value_rows, ROWS,
                                   &found, &need[0], &need[1]),
                  FASTER_OK);
        for (uint64_t i = 0; i < found; i++) {
            CHECK(keys[i] < 2 * KEYS, "%" PRIu64, keys[i]);
            CHECK(times[keys[i]]++ == 0, "key %" PRIu64 " again", keys[i]);
            if (keys[i] >= KEYS) {
                CHECK_U64(values[i], keys[i]);
                continue;
            }
            uint64_t most =
                atomic_load_explicit(&torture.written[keys[i]], memory_order_acquire);
            CHECK(values[i] >= floor[keys[i]] && values[i] <= most,
                  "key %" PRIu64 ": %" PRIu64, keys[i], values[i]);
        }
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        CHECK(times[key] == 1, "key %" PRIu64 " is missing", key);
    }
    faster_cursor_close(&cursor);
}

static void scan_on(void) {
    static uint64_t floor[KEYS];
    for (uint64_t i = 0; i < harness_count(SCANS); i++) {
        for (uint64_t key = 0; key < KEYS; key++) {
            /* The last but one is surely there: the last may not be written yet. */
            uint64_t written =
                atomic_load_explicit(&torture.written[key], memory_order_acquire);
            floor[key] = written == 0 ? 0 : written - 1;
        }
        scan_once(torture.disk.session, floor);
        (void)atomic_fetch_add_explicit(&torture.scans, 1, memory_order_acq_rel);
    }
    atomic_store_explicit(&torture.over, true, memory_order_release);
}

static void act(void *context, uint32_t thread) {
    (void)context;
    if (thread < WRITERS) {
        write_on(thread);
    } else {
        scan_on();
    }
}

static void live_keys_come_once(void) {
    struct kit_disk_options options = {
        .rules = &foreign, .rules_count = 1, .memory_size = 384 << 10};
    torture.disk = kit_disk_open(KIT_WORD, &options);
    for (uint64_t key = 0; key < KEYS; key++) {
        CHECK_INT(kit_put_word(torture.disk.session, key, 0), FASTER_OK);
    }
    kit_disk_evict(&torture.disk);
    harness_threads(WRITERS + 1, act, NULL);
    CHECK(kit_disk_reads(&torture.disk) > 100, "%" PRIu64,
          kit_disk_reads(&torture.disk));
    torture_grown(torture.disk.session);
    kit_disk_close(&torture.disk);
}

HARNESS_MAIN(TEST(live_keys_come_once))
