/* SPDX-License-Identifier: MIT */
/* log/sync.h: durable is what the device has confirmed, and the first failure is the
 * last answer (F12 to F15) */
#include "cpr/recovery_kit.h"

enum { KEYS = 100, PUTS = 1000, SYNCERS = 4, ROUNDS = 50 };

/* A store on a device that does so to syncs, with everything written. */
static struct vault *open_faulty(const struct faster_fault_rule *rule) {
    struct vault *vault = vault_new(KIT_WORD);
    struct rng rng = rng_stream(1);
    vault->options.rules = rule;
    vault->options.rules_count = rule != NULL ? 1 : 0;
    vault_begin(vault);
    vault_fill(vault, &rng, KEYS, PUTS);
    (void)vault_flush(vault);
    return vault;
}

static uint64_t syncs(struct vault *vault) {
    struct faster_faulty_stats stats;
    faster_faulty_stats(vault->faulty, &stats);
    return stats.syncs;
}

/* I1: what is said to be durable was written when the sync began; what is durable
 * already needs no other one. */
static void i1_a_sync_covers_what_was_written(void) {
    struct rng rng = rng_stream(2);
    struct vault *vault = open_faulty(NULL);
    struct hlog *log = &vault->kv->log;
    uint64_t until = disk_flushed_until(log);
    CHECK_U64(disk_synced_until(log), 0);
    CHECK_INT(disk_sync(log, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_U64(disk_synced_until(log), until);
    CHECK_U64(syncs(vault), 1);
    CHECK_INT(disk_sync(log, 0), FASTER_OK);
    CHECK_INT(disk_sync_until(log, until, 0), FASTER_OK);
    CHECK_U64(syncs(vault), 1);
    CHECK_INT(disk_sync_until(log, until + 512, 0), -EINVAL);
    vault_fill(vault, &rng, KEYS, PUTS);
    until = vault_flush(vault);
    CHECK_INT(disk_sync_until(log, until, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_U64(disk_synced_until(log), until);
    CHECK_U64(syncs(vault), 2);
    vault_end(vault);
    vault_free(vault);
}

/* F12, F13, F14: one failure, then a device that would say yes: it is not asked, and
 * operations go on. */
static void f12_the_first_failure_is_the_last_answer(void) {
    static const struct faster_fault_rule rules[] = {
        {.fault = FASTER_FAULT_FAIL, .argument = -EIO, .times = 1},
        {.fault = FASTER_FAULT_CODE, .argument = -EIO, .times = 1},
        {.fault = FASTER_FAULT_REFUSE, .argument = -ENODEV, .times = 1},
        {.fault = FASTER_FAULT_CODE, .argument = 0, .times = 1}, /* device.h V3 */
    };
    static const int expected[] = {-EIO, -EIO, -ENODEV, -EIO};
    for (int i = 0; i < 4; i++) {
        struct rng rng = rng_stream(3);
        struct faster_fault_rule rule = rules[i];
        struct disk_failure failure;
        rule.kinds = FASTER_KIND_SYNC;
        struct vault *vault = open_faulty(&rule);
        struct hlog *log = &vault->kv->log;
        uint64_t until = disk_flushed_until(log);
        CHECK_INT(disk_sync_failed(log, &failure), FASTER_OK);
        for (int again = 0; again < 3; again++) {
            CHECK_INT(disk_sync(log, KIT_DISK_WAIT_MS), expected[i]);
            CHECK_INT(disk_sync_until(log, 0, 0), expected[i]);
            CHECK_U64(syncs(vault), 1);
        }
        CHECK_INT(disk_sync_failed(log, &failure), expected[i]);
        CHECK_U64(failure.from, 0);
        CHECK_U64(failure.until, until);
        CHECK_U64(disk_synced_until(log), 0);
        vault_fill(vault, &rng, KEYS, PUTS);
        vault_check(vault, KEYS);
        (void)vault_flush(vault); /* bytes still go to the device */
        CHECK_INT(disk_sync(log, KIT_DISK_WAIT_MS), expected[i]);
        CHECK_U64(syncs(vault), 1);
        vault_end(vault);
        vault_free(vault);
    }
}

/* A device that is full for now has not failed. */
static void a_device_that_is_full_is_asked_again(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_SYNC,
                                     .fault = FASTER_FAULT_REFUSE,
                                     .argument = -EAGAIN,
                                     .times = 3};
    struct vault *vault = open_faulty(&rule);
    CHECK_INT(disk_sync(&vault->kv->log, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_U64(syncs(vault), 4);
    vault_end(vault);
    vault_free(vault);
}

/* A wait that ran out of time is gone on with: the sync under way counts for what it
 * covers, and not for what was written since. */
static void short_waits_end_too(void) {
    struct rng rng = rng_stream(4);
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_SYNC,
                                     .fault = FASTER_FAULT_HOLD,
                                     .argument = 0,
                                     .times = 1};
    struct vault *vault = open_faulty(&rule);
    struct hlog *log = &vault->kv->log;
    uint64_t first = disk_flushed_until(log);
    CHECK_INT(disk_sync_until(log, first, 0), FASTER_E_TIMEOUT);
    CHECK_INT(disk_sync_until(log, first, 1), FASTER_E_TIMEOUT);
    CHECK_U64(disk_synced_until(log), 0);
    CHECK_U64(syncs(vault), 1);
    vault_fill(vault, &rng, KEYS, PUTS);
    uint64_t second = vault_flush(vault);
    (void)faster_faulty_release(vault->faulty);
    CHECK_INT(disk_sync_until(log, first, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_U64(disk_synced_until(log), first);
    CHECK_U64(syncs(vault), 1);
    CHECK_INT(disk_sync_until(log, second, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_U64(disk_synced_until(log), second);
    CHECK_U64(syncs(vault), 2);
    vault_end(vault);
    vault_free(vault);
}

/* A sync that is under way when the store is closed is completed, and is no answer. */
static void close_completes_what_is_under_way(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_SYNC,
                                     .fault = FASTER_FAULT_NEVER};
    struct vault *vault = open_faulty(&rule);
    CHECK_INT(disk_sync(&vault->kv->log, 0), FASTER_E_TIMEOUT);
    faster_session_free(vault->session);
    CHECK_INT(faster_kv_close(vault->kv, KIT_DISK_WAIT_MS), FASTER_OK);
    CHECK_INT(disk_sync(&vault->kv->log, 0), FASTER_E_CLOSED);
    faster_kv_free(vault->kv);
    faster_faulty_free(vault->faulty);
    vault_free(vault);
}

static void sync_often(void *context, uint32_t thread) {
    struct vault *vault = context;
    struct hlog *log = &vault->kv->log;
    struct rng rng = rng_stream(100 + thread);
    for (int i = 0; i < ROUNDS; i++) {
        if (thread == 0) {
            vault_fill(vault, &rng, KEYS, 20);
            (void)vault_flush(vault);
        }
        uint64_t until = disk_flushed_until(log);
        CHECK_INT(disk_sync_until(log, until, KIT_DISK_WAIT_MS), FASTER_OK);
        CHECK(disk_synced_until(log) >= until, "%" PRIu64, until);
        CHECK(disk_synced_until(log) <= disk_flushed_until(log), "%" PRIu64, until);
    }
}

/* Several who wait share syncs, and each gets what it waited for. */
static void waiters_share_syncs(void) {
    struct faster_fault_rule rule = {.kinds = FASTER_KIND_SYNC,
                                     .fault = FASTER_FAULT_FOREIGN};
    struct vault *vault = open_faulty(&rule);
    harness_threads(SYNCERS, sync_often, vault);
    CHECK(syncs(vault) <= SYNCERS * ROUNDS, "%" PRIu64, syncs(vault));
    vault_end(vault);
    vault_free(vault);
}

HARNESS_MAIN(TEST(i1_a_sync_covers_what_was_written),
             TEST(f12_the_first_failure_is_the_last_answer),
             TEST(a_device_that_is_full_is_asked_again), TEST(short_waits_end_too),
             TEST(close_completes_what_is_under_way), TEST(waiters_share_syncs))
