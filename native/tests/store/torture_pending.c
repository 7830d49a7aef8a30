/* SPDX-License-Identifier: MIT */
/* Sessions over a store far larger than its memory: sums are exact, no read goes back
 * in time, and nothing is lost, while the index grows and completions come from
 * anywhere. */
#include "store/disk_kit.h"
#include "store/torture.h"

enum { THREADS = 3, KEYS = 8000, STEPS = 4000, DEPTH = 24, BATCH = 64 };

static const struct faster_fault_rule rules[] = {
    {.kinds = FASTER_KIND_READ | FASTER_KIND_WRITE,
     .fault = FASTER_FAULT_FOREIGN,
     .every = 3},
    {.kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_HOLD, .every = 5, .argument = 2},
    {.kinds = FASTER_KIND_WRITE,
     .fault = FASTER_FAULT_FAIL,
     .argument = -EIO,
     .nth = 4,
     .every = 9},
};

struct torture {
    struct kit_disk disk;
    _Atomic uint64_t added[KEYS]; /* by operations that ended well */
    _Atomic uint32_t running;
};

static struct torture torture;

static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};

/* What one thread knows. */
struct mine {
    struct faster_session *session;
    struct rng rng;
    uint64_t seen[KEYS]; /* the largest sum read so far */
    uint64_t last_serial;
    uint64_t in_flight;
};

static void note_add(uint64_t key, uint64_t input) {
    /* relaxed: counted after the threads have been joined */
    (void)atomic_fetch_add_explicit(&torture.added[key], input, memory_order_relaxed);
}

static void note_read(struct mine *mine, uint64_t key, int status, uint64_t value) {
    CHECK_INT(status, FASTER_OK);
    CHECK(value >= mine->seen[key], "key %" PRIu64 " went from %" PRIu64 " to %" PRIu64,
          key, mine->seen[key], value);
    mine->seen[key] = value;
}

/* Reads that overlap may end in any order: only what ended before one began binds it,
 * so the floor travels with it. */
static uint64_t context_of(uint64_t key, uint64_t floor) { return floor << 16 | key; }

static void take_all(struct mine *mine) {
    struct faster_pending *pending = NULL;
    while (faster_next_finished(mine->session, &pending) == FASTER_OK) {
        struct faster_result result;
        uint64_t value = 0;
        faster_result_of(pending, &result);
        uint64_t key = result.context & 0xffff;
        CHECK_INT(result.status, FASTER_OK);
        memcpy(&value, result.value, 8);
        CHECK(value >= result.context >> 16, "key %" PRIu64 " went back", key);
        if (result.kind == FASTER_RMW) {
            note_add(key, 1);
        }
        mine->seen[key] = value > mine->seen[key] ? value : mine->seen[key];
        CHECK_INT(faster_forget(mine->session, pending), FASTER_OK);
        mine->in_flight--;
    }
}

static void start_one(struct mine *mine) {
    uint64_t key = rng_below(&mine->rng, KEYS);
    bool reads = rng_below(&mine->rng, 2) == 0;
    struct kit_bytes bytes = kit_key(KIT_WORD, key);
    struct kit_bytes one = kit_value(KIT_WORD, 1, 8);
    struct kit_bytes out = {.size = 0};
    struct faster_operation operation =
        kit_operation(reads ? FASTER_READ : FASTER_RMW, &bytes, &one);
    struct faster_pending *pending = NULL;
    operation.merge = &add;
    operation.context = context_of(key, mine->seen[key]);
    int status = kit_start(mine->session, &operation, &out, &pending);
    if (status == FASTER_PENDING) {
        mine->in_flight++;
        return;
    }
    uint64_t value;
    memcpy(&value, out.data, 8);
    if (!reads) {
        note_add(key, 1);
    }
    note_read(mine, key, status, value);
}

static void drain(struct mine *mine) {
    while (mine->in_flight != 0) { /* ends: each wait brings one */
        int result = faster_wait(mine->session, NULL, KIT_DISK_WAIT_MS);
        CHECK_INT(result, FASTER_OK);
        take_all(mine);
    }
}

static void add_many(struct mine *mine) {
    uint64_t keys[BATCH];
    uint64_t inputs[BATCH];
    uint64_t sums[BATCH];
    uint64_t done = 0;
    for (int i = 0; i < BATCH; i++) {
        keys[i] = rng_below(&mine->rng, KEYS);
        inputs[i] = 2;
    }
    struct faster_items key_items = {(const uint8_t *)keys, NULL, 8, 8};
    struct faster_items input_items = {(const uint8_t *)inputs, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)sums, sizeof sums, NULL, NULL};
    CHECK_INT(faster_rmw_many(mine->session, &add, &key_items, &input_items, BATCH,
                              &results, &done),
              FASTER_OK);
    for (int i = 0; i < BATCH; i++) {
        note_add(keys[i], 2);
        note_read(mine, keys[i], FASTER_OK, sums[i]);
    }
}

static void read_many(struct mine *mine) {
    uint64_t keys[BATCH];
    uint64_t values[BATCH];
    uint8_t flags[BATCH];
    uint64_t done = 0;
    for (int i = 0; i < BATCH; i++) {
        keys[i] = rng_below(&mine->rng, KEYS);
    }
    struct faster_items items = {(const uint8_t *)keys, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)values, sizeof values, NULL, flags};
    uint64_t floor[BATCH];
    for (int i = 0; i < BATCH; i++) {
        floor[i] = mine->seen[keys[i]];
    }
    CHECK_INT(faster_read_many(mine->session, &items, BATCH, &results, &done),
              FASTER_OK);
    for (int i = 0; i < BATCH; i++) {
        CHECK(flags[i] == 1 && values[i] >= floor[i], "key %" PRIu64, keys[i]);
    }
}

static void work(struct mine *mine) {
    for (uint64_t i = 0; i < harness_count(STEPS); i++) {
        start_one(mine);
        if (mine->in_flight >= DEPTH) {
            CHECK_INT(faster_wait(mine->session, NULL, KIT_DISK_WAIT_MS), FASTER_OK);
        }
        take_all(mine);
        if (i % 256 == 128) {
            drain(mine);
            add_many(mine);
            read_many(mine);
        }
        uint64_t serial = faster_session_serial(mine->session);
        CHECK(serial >= mine->last_serial, "%" PRIu64, serial);
        mine->last_serial = serial;
    }
    drain(mine);
}

/* New keys, so that the index grows and the log turns; scans and evictions beside. */
static void disturb(struct mine *mine) {
    for (uint64_t i = 0; /* ends with the others */
         atomic_load_explicit(&torture.running, memory_order_acquire) != 0; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, KEYS + i % (2 * KEYS));
        int result;
        KIT_RETRY(mine->session, result,
                  faster_upsert(mine->session, key.data, 8, key.data, 8));
        CHECK(result == FASTER_OK || result == FASTER_E_FULL, "%d", result);
        if (i % 1024 == 0) {
            CHECK_INT(faster_kv_evict(torture.disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        }
        (void)faster_faulty_release(torture.disk.faulty);
    }
}

static void act(void *context, uint32_t thread) {
    static struct mine mines[THREADS + 1];
    struct mine *mine = &mines[thread];
    (void)context;
    memset(mine, 0, sizeof *mine);
    mine->rng = rng_stream(thread);
    mine->session = kit_session(torture.disk.kv);
    if (thread == THREADS) {
        disturb(mine);
    } else {
        work(mine);
        (void)atomic_fetch_sub_explicit(&torture.running, 1, memory_order_acq_rel);
    }
    faster_session_free(mine->session);
}

static void run(const struct kit_disk_options *options) {
    torture.disk = kit_disk_open(KIT_WORD, options);
    atomic_store_explicit(&torture.running, THREADS, memory_order_relaxed);
    for (uint64_t i = 0; i < KEYS; i++) {
        atomic_store_explicit(&torture.added[i], 0, memory_order_relaxed);
        CHECK_INT(kit_put_word(torture.disk.session, i, 0), FASTER_OK);
    }
    harness_threads(THREADS + 1, act, NULL);
    kit_disk_lift(&torture.disk);
    kit_disk_evict(&torture.disk);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i);
        uint64_t sum = atomic_load_explicit(&torture.added[i], memory_order_relaxed);
        struct kit_bytes value = kit_value(KIT_WORD, sum, 8);
        kit_disk_expect(torture.disk.session, &key, &value);
    }
    torture_grown(torture.disk.session);
    kit_disk_close(&torture.disk);
}

static void sums_are_exact_and_reads_monotonic(void) {
    run(&(struct kit_disk_options){
        .rules = rules, .rules_count = 3, .memory_size = 320 << 10});
}

static void the_same_with_a_read_cache(void) {
    run(&(struct kit_disk_options){.rules = rules,
                                   .rules_count = 3,
                                   .memory_size = 448 << 10,
                                   .read_cache = 64 << 10});
}

/* Trap X03: of several inserts of one absent key exactly one wins, whether the key was
 * never there, is a tombstone on the device, or shares its chain with what is there. */
static void insert_all(void *context, uint32_t thread) {
    struct faster_session *session = kit_session(torture.disk.kv);
    struct kit_bytes value = kit_value(KIT_WORD, thread, 8);
    (void)context;
    for (uint64_t i = 0; i < 2 * KEYS; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i);
        int status = kit_run_write(session, FASTER_INSERT, &key, &value);
        CHECK(status == FASTER_OK || status == FASTER_EXISTS, "%d", status);
        if (status == FASTER_OK) {
            CHECK(i >= KEYS || i % 2 == 0, "key %" PRIu64 " was there", i);
            note_add(i % KEYS, i < KEYS ? 1 : 1000);
        }
        if (i % 512 == 0) {
            CHECK_INT(faster_kv_evict(torture.disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
        }
    }
    faster_session_free(session);
}

static void x03_one_insert_wins(void) {
    torture.disk =
        kit_disk_open(KIT_WORD, &(struct kit_disk_options){.memory_size = 512 << 10});
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(KIT_WORD, i);
        atomic_store_explicit(&torture.added[i], 0, memory_order_relaxed);
        CHECK_INT(kit_put_word(torture.disk.session, i, 7), FASTER_OK);
        if (i % 2 == 0) {
            CHECK_INT(kit_run_write(torture.disk.session, FASTER_DELETE, &key, NULL),
                      FASTER_OK);
        }
    }
    kit_disk_evict(&torture.disk);
    harness_threads(THREADS, insert_all, NULL);
    for (uint64_t i = 0; i < KEYS; i++) {
        uint64_t wins = atomic_load_explicit(&torture.added[i], memory_order_relaxed);
        CHECK_U64(wins, 1000 + (i % 2 == 0));
    }
    torture_grown(torture.disk.session);
    kit_disk_close(&torture.disk);
}

HARNESS_MAIN(TEST(sums_are_exact_and_reads_monotonic), TEST(the_same_with_a_read_cache),
             TEST(x03_one_insert_wins))
