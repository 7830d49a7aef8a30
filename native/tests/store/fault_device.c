/* SPDX-License-Identifier: MIT */
/*
 * fault_device.c: one fixed workload, with operation n of the device failing, and with
 * allocation n failing, for n = 1, 2, 3 ... until a run ends unharmed
 *
 * A model follows what was acknowledged.  After an update that failed a key may have
 * its old value and nothing else: a failed operation has changed nothing.
 */
#include "allocation.h"
#include "store/disk_kit.h"

enum {
    KEYS = 240,
    TURNS = 2,
    SWEEP_MAX = 3000 /* a sweep needs fewer; more means that it does not end */
};

#define ABSENT UINT64_MAX

struct run {
    struct kit_disk disk;
    uint64_t model[KEYS]; /* the value, or ABSENT */
    int fault;            /* the status that the fault has */
    uint64_t errors;
};

static struct kit_bytes word(uint64_t value) { return kit_value(KIT_WORD, value, 8); }

/* Whether an operation failed, with one of the failures that it may have. */
static bool is_failure(struct run *run, int status) {
    if (status >= 0) {
        return false;
    }
    CHECK(status == run->fault || status == -ENOMEM || status == FASTER_E_FULL ||
              status == FASTER_E_TIMEOUT,
          "%d is not what failed", status);
    run->errors++;
    return true;
}

/* An operation that got no memory to wait with is not begun; whatever else it was told,
 * FASTER_RETRY ends when the worker has had its turn. */
static int run_it(struct run *run, const struct faster_operation *operation,
                  struct kit_bytes *out) {
    return kit_run(run->disk.session, operation, out);
}

static void check_read(struct run *run, uint64_t number) {
    struct kit_bytes key = word(number);
    struct kit_bytes out = {.size = 0};
    struct faster_operation read_it = kit_operation(FASTER_READ, &key, NULL);
    int status = run_it(run, &read_it, &out);
    if (!is_failure(run, status)) {
        uint64_t value = ABSENT;
        if (status == FASTER_OK) {
            memcpy(&value, out.data, 8);
        }
        CHECK(value == run->model[number], "key %" PRIu64 " has %" PRIu64, number,
              value);
    }
}

static void put(struct run *run, uint64_t number, uint64_t value) {
    struct kit_bytes key = word(number);
    struct kit_bytes bytes = word(value);
    struct faster_operation upsert = kit_operation(FASTER_UPSERT, &key, &bytes);
    if (!is_failure(run, run_it(run, &upsert, NULL))) {
        run->model[number] = value;
    }
}

static void add(struct run *run, uint64_t number, uint64_t input) {
    static const struct faster_merge merge = {.kind = FASTER_MERGE_ADD};
    struct kit_bytes key = word(number);
    struct kit_bytes bytes = word(input);
    struct kit_bytes out = {.size = 0};
    struct faster_operation rmw = kit_operation(FASTER_RMW, &key, &bytes);
    rmw.merge = &merge;
    if (!is_failure(run, run_it(run, &rmw, &out))) {
        uint64_t sum;
        uint64_t old = run->model[number];
        memcpy(&sum, out.data, 8);
        run->model[number] = old == ABSENT ? input : old + input;
        CHECK_U64(sum, run->model[number]);
    }
}

static void drop(struct run *run, uint64_t number) {
    struct kit_bytes key = word(number);
    struct faster_operation delete = kit_operation(FASTER_DELETE, &key, NULL);
    int status = run_it(run, &delete, NULL);
    if (!is_failure(run, status)) {
        CHECK_INT(status, run->model[number] != ABSENT ? FASTER_OK : FASTER_NOT_FOUND);
        run->model[number] = ABSENT;
    }
}

/* Add to several keys by one batch: from the item that failed on nothing was done. */
static void add_many(struct run *run, uint64_t first) {
    static const struct faster_merge merge = {.kind = FASTER_MERGE_ADD};
    uint64_t keys[40];
    uint64_t inputs[40];
    uint64_t done = 0;
    for (uint64_t i = 0; i < 40; i++) {
        keys[i] = (first + i * 13) % KEYS;
        inputs[i] = i;
    }
    struct faster_items key_items = {(const uint8_t *)keys, NULL, 8, 8};
    struct faster_items input_items = {(const uint8_t *)inputs, NULL, 8, 8};
    int status = faster_rmw_many(run->disk.session, &merge, &key_items, &input_items,
                                 40, NULL, &done);
    CHECK(is_failure(run, status) || done == 40, "%" PRIu64, done);
    for (uint64_t i = 0; i < done; i++) {
        uint64_t *value = &run->model[keys[i]];
        *value = *value == ABSENT ? inputs[i] : *value + inputs[i];
    }
}

static void read_many(struct run *run) {
    static uint64_t keys[KEYS];
    static uint64_t values[KEYS];
    static uint8_t flags[KEYS];
    uint64_t done = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        keys[i] = i;
    }
    struct faster_items items = {(const uint8_t *)keys, NULL, 8, 8};
    struct faster_results results = {(uint8_t *)values, sizeof values, NULL, flags};
    int status = faster_read_many(run->disk.session, &items, KEYS, &results, &done);
    CHECK(is_failure(run, status) || done == KEYS, "%" PRIu64, done);
    for (uint64_t i = 0; i < done; i++) {
        CHECK_U64(flags[i], run->model[i] != ABSENT);
        CHECK(flags[i] == 0 || values[i] == run->model[i], "key %" PRIu64, i);
    }
}

/* Scan: each key at most once, with its value; all of them if nothing failed. */
static void scan(struct run *run) {
    uint8_t seen[KEYS] = {0};
    uint64_t keys[50];
    uint64_t values[50];
    struct faster_results key_rows = {(uint8_t *)keys, sizeof keys, NULL, NULL};
    struct faster_results value_rows = {(uint8_t *)values, sizeof values, NULL, NULL};
    struct faster_cursor cursor = {.position = 0};
    uint64_t found = 0;
    bool lossy = false; /* a lack of memory loses nothing */
    for (;;) {          /* ends: a page that fails is passed */
        uint64_t need_key;
        uint64_t need_value;
        int status = faster_scan_next(run->disk.session, &cursor, &key_rows,
                                      &value_rows, 50, &found, &need_key, &need_value);
        if (is_failure(run, status)) {
            lossy |= status != -ENOMEM;
            CHECK_U64(found, 0);
            CHECK(run->errors < SWEEP_MAX, "%s", "the scan stands still");
            continue;
        }
        if (found == 0) {
            break;
        }
        for (uint64_t i = 0; i < found; i++) {
            CHECK(keys[i] < KEYS && seen[keys[i]]++ == 0, "%" PRIu64, keys[i]);
            CHECK_U64(values[i], run->model[keys[i]]);
        }
    }
    faster_cursor_close(&cursor);
    for (uint64_t i = 0; i < KEYS && !lossy; i++) {
        CHECK(seen[i] == (run->model[i] != ABSENT), "key %" PRIu64, i);
    }
}

static void workload(struct run *run) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        for (uint64_t i = 0; i < KEYS; i++) {
            put(run, i, (turn + 1) * 10000 + i);
        }
        (void)is_failure(run, faster_kv_flush(run->disk.kv, KIT_DISK_WAIT_MS));
        for (uint64_t i = turn; i < KEYS; i += 7) {
            add(run, i, 1);
        }
        (void)is_failure(run, faster_kv_evict(run->disk.kv, KIT_DISK_WAIT_MS));
        for (uint64_t i = turn; i < KEYS; i += 5) {
            add(run, i, 3);
            drop(run, (i + 2) % KEYS);
        }
        add_many(run, turn);
        for (uint64_t i = 0; i < KEYS; i += 9) {
            check_read(run, i);
        }
        read_many(run);
        scan(run);
    }
}

/* The fault is over: all that was acknowledged is there, and can be changed. */
static void check_all(struct run *run) {
    run->errors = 0;
    CHECK_INT(faster_kv_resume_writes(run->disk.kv), FASTER_OK);
    CHECK_INT(faster_kv_evict(run->disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
    for (uint64_t i = 0; i < KEYS; i++) {
        check_read(run, i);
        add(run, i, 1);
        check_read(run, i);
    }
    scan(run);
    CHECK_U64(run->errors, 0);
}

static const struct kit_disk_options small = {.memory_size = 64 << 10};

static struct run *begin(const struct faster_fault_rule *rule) {
    static struct run run;
    struct kit_disk_options options = small;
    options.rules = rule;
    options.rules_count = rule != NULL;
    memset(&run, 0, sizeof run);
    run.fault = rule != NULL ? (int)rule->argument : FASTER_OK;
    run.disk = kit_disk_open(KIT_WORD, &options);
    for (uint64_t i = 0; i < KEYS; i++) {
        run.model[i] = ABSENT;
    }
    return &run;
}

/* One run; whether the fault was reached. */
static bool sweep_once(struct faster_fault_rule rule, uint64_t n) {
    rule.nth = n;
    struct run *run = begin(&rule);
    workload(run);
    bool reached = faster_faulty_fired(run->disk.faulty, 0) != 0;
    CHECK(reached || run->errors == 0, "%" PRIu64 " errors", run->errors);
    kit_disk_lift(&run->disk);
    check_all(run);
    kit_disk_close(&run->disk);
    return reached;
}

/* `step` passes over operations, so that a sweep that pauses at each stays short. */
static void sweep(struct faster_fault_rule rule, uint64_t step) {
    uint64_t n = 1;
    for (; sweep_once(rule, n); n += step) {
        CHECK(n < SWEEP_MAX, "operation %" PRIu64 " and no end", n);
    }
    CHECK(n > 8, "only %" PRIu64 " operations", n);
}

/* F05, F07: operation n fails, once. */
static void f05_f07_each_operation_fails_once(void) {
    sweep((struct faster_fault_rule){.kinds = FASTER_KIND_READ | FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_FAIL,
                                     .times = 1,
                                     .argument = -EIO},
          1);
}

/* F06, F08: write n and all later ones fail; so do reads, apart from them. */
static void f06_f08_each_operation_and_all_behind_it_fail(void) {
    sweep((struct faster_fault_rule){.kinds = FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_FAIL,
                                     .argument = -EIO},
          2);
    sweep((struct faster_fault_rule){.kinds = FASTER_KIND_READ,
                                     .fault = FASTER_FAULT_FAIL,
                                     .argument = -EIO},
          101);
}

/* F01, F04: write n is cut short, once; read n has another bit. */
static void f01_f04_each_operation_is_wrong_once(void) {
    sweep((struct faster_fault_rule){.kinds = FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_SHORT,
                                     .times = 1,
                                     .argument = 512},
          3);
    sweep((struct faster_fault_rule){.kinds = FASTER_KIND_READ,
                                     .fault = FASTER_FAULT_SHORT,
                                     .times = 1,
                                     .argument = 8},
          29);
}

/* F09: from write n on there is no space; F10 likewise. */
static void f09_space_ends_at_each_write(void) {
    sweep((struct faster_fault_rule){.kinds = FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_FAIL,
                                     .argument = -ENOSPC},
          2);
}

/* F53: allocation n fails, once. */
static void f53_each_allocation_fails_once(void) {
    bool failed = true;
    for (uint64_t n = 0; failed; n += 1 + n / 20) {
        CHECK(n < SWEEP_MAX * 100, "allocation %" PRIu64 " and no end", n);
        struct run *run = begin(NULL);
        allocation_fail_at(n);
        workload(run);
        failed = allocation_failed();
        CHECK(failed || run->errors == 0, "%" PRIu64 " errors", run->errors);
        check_all(run);
        kit_disk_close(&run->disk);
    }
}

/* F53: a scan that gets no memory stands where it was. */
static void f53_a_scan_without_memory_loses_nothing(void) {
    struct run *run = begin(NULL);
    bool failed = true;
    for (uint64_t i = 0; i < KEYS; i++) {
        put(run, i, i);
    }
    CHECK_INT(faster_kv_evict(run->disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
    for (uint64_t n = 0; failed; n++) { /* ends: a scan needs only so many */
        allocation_fail_at(n);
        scan(run);
        failed = allocation_failed();
        CHECK(n < SWEEP_MAX, "allocation %" PRIu64 " and no end", n);
    }
    CHECK(run->errors > 0, "%s", "a scan allocates nothing");
    kit_disk_close(&run->disk);
}

/* F53: opening on a device fails whole at each of its allocations, and closes the
 * device, which is the store's from the call on. */
static void f53_open_fails_whole(void) {
    int result = -ENOMEM;
    for (uint64_t n = 0; result != FASTER_OK; n++) { /* ends: it needs only so many */
        struct kit_disk disk = {.kind = KIT_WORD};
        struct faster_kv_config config = kit_disk_config(KIT_WORD, &small);
        kit_disk_devices(&disk, &small);
        config.device = faster_faulty_device(disk.faulty);
        allocation_fail_at(n);
        result = faster_kv_open(&config, &disk.kv);
        bool failed = allocation_failed();
        CHECK(result == (failed ? -ENOMEM : FASTER_OK), "%d at %" PRIu64, result, n);
        if (failed) {
            CHECK(disk.faulty->closed || disk.faulty->closing, "%s", "still open");
            kit_disk_free_devices(&disk);
        } else {
            disk.session = kit_session(disk.kv);
            kit_disk_close(&disk);
        }
    }
}

HARNESS_MAIN(TEST(f53_open_fails_whole), TEST(f05_f07_each_operation_fails_once),
             TEST(f06_f08_each_operation_and_all_behind_it_fail),
             TEST(f01_f04_each_operation_is_wrong_once),
             TEST(f09_space_ends_at_each_write), TEST(f53_each_allocation_fails_once),
             TEST(f53_a_scan_without_memory_loses_nothing))
