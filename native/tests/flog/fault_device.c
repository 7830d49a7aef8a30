/* SPDX-License-Identifier: MIT */
/*
 * fault_device.c: one workload, with request n of the device going wrong, for n = 1, 2,
 * 3 ... until a run ends unharmed (F05 - F09, F12, D3)
 *
 * What was acknowledged is remembered by the kit; after each run the bytes are
 * recovered: all that was acknowledged is there, in order, and nothing that was not
 * appended.
 */
#include "flog/record_kit.h"

enum { SWEEP_MAX = 400, TURNS = 12 };

struct run {
    struct kit *kit;
    int status; /* that the fault has */
    uint64_t acknowledged;
    bool failed;
};

static int append_all(struct kit *kit, uint64_t count, uint64_t size) {
    static uint8_t data[KIT_PAGE];
    struct kit_entry entry = {.size = size};
    for (uint64_t i = 0; i < count; i++) {
        entry.number = kit->count;
        kit_payload(entry.number, data, size);
        int result;
        do { /* ends: there is room, or writing has stopped */
            result =
                faster_flog_append(kit->log, data, size, &entry.address, &entry.end);
            if (result == FASTER_RETRY) {
                int waited = faster_flog_wait(kit->log, KIT_WAIT_MS);
                result = waited < 0 ? waited : result;
            }
        } while (result == FASTER_RETRY);
        if (result != FASTER_OK) {
            return result;
        }
        kit_remember(kit, entry);
    }
    return FASTER_OK;
}

/* Everything says the same from the first failure on, and asks the device for no more
 * syncs. */
static void is_latched(struct run *run) {
    struct kit *kit = run->kit;
    struct faster_flog_commit commit;
    uint64_t from = 0;
    uint64_t until = 0;
    uint64_t address;
    uint64_t end;
    uint64_t syncs = record_kinds(kit, FASTER_KIND_SYNC);
    uint64_t committed = kit_committed(kit).until;
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_INT(faster_flog_failed(kit->log, &from, &until), run->status);
        CHECK(from >= committed && until >= from, "%" PRIu64 " %" PRIu64, from, until);
        CHECK_INT(faster_flog_append(kit->log, "x", 1, &address, &end), run->status);
        CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), run->status);
        CHECK_INT(faster_flog_commit_strong(kit->log, NULL, 0, KIT_WAIT_MS, &commit),
                  run->status);
        CHECK_INT(faster_flog_wait_committed(kit->log, committed, KIT_WAIT_MS),
                  run->status);
        CHECK_U64(kit_committed(kit).until, committed);
    }
    CHECK_U64(record_kinds(kit, FASTER_KIND_SYNC), syncs);
    kit_holds(kit, 0, run->acknowledged);
}

static void work(struct run *run) {
    struct kit *kit = run->kit;
    struct faster_flog_commit commit;
    for (uint64_t turn = 0; turn < TURNS && !run->failed; turn++) {
        int result = append_all(kit, 1 + turn * 7 % 25, turn * 37 % 300);
        if (result == FASTER_OK) {
            result = faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit);
        }
        if (result == FASTER_OK) {
            record_durable(kit, 0, commit.until);
            run->acknowledged = kit->count;
        } else {
            CHECK(result == run->status, "%d is not what failed", result);
            run->failed = true;
        }
    }
}

/* What outlives the run: a prefix that has all that was acknowledged. */
static void judge(struct run *run) {
    struct kit *kit = run->kit;
    uint64_t appended = kit->count;
    kit->rules_count = 0;
    kit->number = 0;
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
    CHECK(found.entries >= run->acknowledged && found.entries <= appended,
          "%" PRIu64 " were found, %" PRIu64 " acknowledged, %" PRIu64 " appended",
          found.entries, run->acknowledged, appended);
    kit_next_life(kit, found.until, found.number);
    kit_start(kit);
    kit->count = found.entries;
    kit_holds(kit, 0, found.entries);
    (void)kit_append(kit, kit->count, 10);
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
}

/* Whether the rule fired. */
static bool run_once(struct faster_fault_rule rule, int status) {
    struct run run = {.kit = kit_new(), .status = status};
    run.kit->rules = &rule;
    run.kit->rules_count = 1;
    run.kit->recorded = true;
    kit_start(run.kit);
    work(&run);
    bool fired = faster_faulty_fired(run.kit->faulty, 0) > 0;
    if (run.failed) {
        is_latched(&run);
    }
    CHECK(run.failed || status == 0 || !fired, "a fault was swallowed, %d", status);
    kit_stop(run.kit);
    judge(&run);
    kit_free(run.kit);
    return fired;
}

static void sweep(uint32_t kind, uint32_t fault, int64_t argument, int status,
                  uint64_t times) {
    uint64_t n = 1;
    struct faster_fault_rule rule = {.kinds = kind,
                                     .fault = fault,
                                     .argument = argument,
                                     .times = times,
                                     .mask = 0x5555555555555555};
    do { /* ends: the workload has only so many requests */
        rule.nth = n++;
        CHECK(n < SWEEP_MAX, "%" PRIu64, n);
    } while (run_once(rule, status));
    CHECK(n > 3, "%" PRIu64, n);
}

/* D3, F12: a failed sync is the last one, although the next would succeed. */
static void f12_a_failed_sync_is_the_last(void) {
    sweep(FASTER_KIND_SYNC, FASTER_FAULT_FAIL, -EIO, -EIO, 1);
    sweep(FASTER_KIND_SYNC, FASTER_FAULT_CODE, -EIO, -EIO, 1);
    sweep(FASTER_KIND_SYNC, FASTER_FAULT_REFUSE, -EIO, -EIO, 1);
}

/* Work while a rule fires, and judge what is left: an error is for good. */
static void work_under(const struct faster_fault_rule *rule, int status) {
    struct run run = {.kit = kit_new(), .status = status};
    run.kit->rules = rule;
    run.kit->rules_count = 1;
    run.kit->recorded = true;
    kit_start(run.kit);
    work(&run);
    if (run.failed) {
        is_latched(&run);
    }
    kit_stop(run.kit);
    judge(&run);
    kit_free(run.kit);
}

/* What no repetition heals stops the log. */
static void f06_writes_that_fail_for_good(void) {
    sweep(FASTER_KIND_WRITE, FASTER_FAULT_FAIL, -EIO, -EIO, 0);
    sweep(FASTER_KIND_WRITE, FASTER_FAULT_REFUSE, -EIO, -EIO, 0);
}

/* A write that fails once: it is repeated, or the log stops; what was acknowledged is
 * durable either way. */
static void f05_writes_that_fail_once(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_FAIL,
                                     .argument = -EIO,
                                     .times = 1};
    for (rule.nth = 1; rule.nth < 40; rule.nth++) {
        work_under(&rule, -EIO);
    }
}

/* F01: a write that moved less than was asked counts as none. */
static void f01_short_writes(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_SHORT,
                                     .argument = -KIT_SECTOR,
                                     .times = 1};
    for (rule.nth = 1; rule.nth < 30; rule.nth++) {
        work_under(&rule, -EIO);
    }
}

/* F77: completions that come inside the submission, or from another thread, change
 * nothing. */
static void f77_inline_and_foreign_completions(void) {
    static const uint32_t faults[] = {FASTER_FAULT_FOREIGN, FASTER_FAULT_INLINE};
    for (uint64_t i = 0; i < 8; i++) {
        struct faster_fault_rule rule = {.fault = faults[i % 2],
                                         .every = 1 + i / 2,
                                         .kinds = FASTER_KIND_WRITE | FASTER_KIND_SYNC};
        CHECK(run_once(rule, 0), "%s", "nothing was different");
    }
}

/* F77: writes that end out of their order: a commit waits for all below it. */
static void f77_writes_that_end_late(void) {
    for (uint64_t every = 2; every < 6; every++) {
        struct faster_fault_rule rule = {
            .kinds = FASTER_KIND_WRITE, .fault = FASTER_FAULT_HOLD, .every = every};
        struct run run = {.kit = kit_new()};
        struct faster_flog_commit commit;
        run.kit->rules = &rule;
        run.kit->rules_count = 1;
        run.kit->recorded = true;
        kit_start(run.kit);
        for (uint64_t turn = 0; turn < 20; turn++) {
            int result;
            CHECK_INT(append_all(run.kit, 15, turn * 17), FASTER_OK);
            do { /* ends: each turn lets go what is held */
                result = faster_flog_commit(run.kit->log, 0, 1, &commit);
                (void)faster_faulty_release(run.kit->faulty);
            } while (result == FASTER_E_TIMEOUT);
            CHECK_INT(result, FASTER_OK);
            record_durable(run.kit, 0, commit.until);
            run.acknowledged = run.kit->count;
        }
        record_once(run.kit);
        kit_stop(run.kit);
        judge(&run);
        kit_free(run.kit);
    }
}

/* F09: a full device stops writing; what waited can be lost, what was committed cannot;
 * or appends wait until there is space. */
static void f09_no_space(void) {
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                         .fault = FASTER_FAULT_FAIL,
                                         .argument = -ENOSPC,
                                         .nth = nth,
                                         .times = 2};
        work_under(&rule, -ENOSPC);
    }
}

/* F07: a read that fails is its reader's matter: the status is the device's, the scan
 * goes on where it was, and writing goes on. */
static void f07_reads_that_fail(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_READ,
                                     .fault = FASTER_FAULT_FAIL,
                                     .argument = -EIO,
                                     .times = 1};
    uint64_t failures = 0;
    for (rule.nth = 1; rule.nth < 30; rule.nth++) {
        struct kit *kit = kit_new();
        struct rng rng = rng_stream(1);
        struct faster_flog_entry entry;
        kit->rules = &rule;
        kit->rules_count = 1;
        kit_start(kit);
        kit_fill(kit, &rng, 200, 500);
        (void)kit_commit(kit);
        struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
        for (uint64_t i = 0; i < kit->count;) { /* ends: it fails once */
            int result = kit_next(scan, &entry);
            if (result == FASTER_OK) {
                kit_is(&kit->entries[i++], &entry);
                continue;
            }
            CHECK_INT(result, -EIO);
            failures++;
        }
        faster_flog_scan_free(scan);
        kit_lift(kit);
        (void)kit_append(kit, kit->count, 5);
        (void)kit_commit(kit);
        kit_holds(kit, 0, kit->count);
        kit_free(kit);
    }
    CHECK(failures > 5, "%" PRIu64, failures);
}

/* F03: a short read is read on; F31: a bit that is another is noticed. */
static void f31_reads_that_lie(void) {
    struct faster_fault_rule rule = {
        .kinds = FASTER_KIND_READ, .fault = FASTER_FAULT_FLIP, .times = 1};
    for (rule.nth = 1; rule.nth < 12; rule.nth++) {
        struct kit *kit = kit_new();
        struct rng rng = rng_stream(rule.nth);
        struct faster_flog_entry entry;
        struct faster_flog_damage damage;
        rule.argument = (int64_t)(8 * 64 + rng_below(&rng, 8 * (KIT_PAGE - 64)));
        kit->rules = &rule;
        kit->rules_count = 1;
        kit_start(kit);
        kit_fill(kit, &rng, 100, 500);
        (void)kit_commit(kit);
        struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
        int result;
        uint64_t seen = 0;
        while ((result = kit_next(scan, &entry)) == FASTER_OK) {
            kit_is(&kit->entries[seen++], &entry); /* never another payload */
        }
        CHECK(result == FASTER_NOT_FOUND || result == FASTER_E_CORRUPT, "%d", result);
        if (result == FASTER_E_CORRUPT) {
            faster_flog_scan_damage(scan, &damage);
            CHECK(damage.what != FASTER_FLOG_WHOLE, "%" PRIu32, damage.what);
        } else {
            CHECK_U64(seen, kit->count);
        }
        faster_flog_scan_free(scan);
        kit_lift(kit);
        kit_holds(kit, 0, kit->count); /* what the device holds is whole */
        kit_free(kit);
    }
}

HARNESS_MAIN(TEST(f12_a_failed_sync_is_the_last), TEST(f06_writes_that_fail_for_good),
             TEST(f05_writes_that_fail_once), TEST(f01_short_writes),
             TEST(f77_inline_and_foreign_completions), TEST(f77_writes_that_end_late),
             TEST(f09_no_space), TEST(f07_reads_that_fail), TEST(f31_reads_that_lie))
