/* SPDX-License-Identifier: MIT */
/* fault_memory.c: what gets no memory has changed nothing (F53). */
#include "allocation.h"
#include "flog/kit.h"

enum { SWEEP_MAX = 500 /* a sweep needs fewer; more means that it does not end */ };

/* Opening fails whole at each of its allocations, and then succeeds; the device is
 * closed each time. */
static void errors_open_fails_whole(void) {
    struct kit *kit = kit_new();
    int result = -ENOMEM;
    uint64_t failures = 0;
    for (uint64_t n = 0; result != FASTER_OK; n++) { /* ends: it needs only so many */
        struct faster_flog_config config = kit_config(kit);
        struct faster_flog *log = NULL;
        CHECK(n < SWEEP_MAX, "%" PRIu64, n);
        config.device = kit_devices(kit);
        allocation_fail_at(n);
        result = faster_flog_open(&config, &log);
        bool failed = allocation_failed();
        CHECK(result == (failed ? -ENOMEM : FASTER_OK), "%d at %" PRIu64, result, n);
        failures += failed;
        if (result != FASTER_OK) {
            kit_free_devices(kit);
        }
        kit->log = log;
    }
    CHECK(failures > 0, "%s", "opening allocates nothing");
    (void)kit_append(kit, 0, 5);
    (void)kit_commit(kit);
    kit_holds(kit, 0, 1);
    kit_free(kit);
}

/* Appending takes no memory. */
static void errors_append_allocates_nothing(void) {
    struct kit *kit = kit_open();
    uint8_t data[100];
    struct kit_entry entry = {.size = sizeof data};
    for (uint64_t at = 0; at < 1 << 20; at += 1 << 16) {
        kit_poke(kit, at, data, 1); /* the device has its memory already */
    }
    for (uint64_t i = 0; i < 2000; i++) {
        entry.number = i;
        kit_payload(i, data, sizeof data);
        allocation_fail_at(0);
        int result =
            faster_flog_append(kit->log, data, sizeof data, &entry.address, &entry.end);
        bool asked = allocation_failed();
        CHECK(!asked, "append number %" PRIu64 " allocates", i);
        if (result == FASTER_RETRY) {
            CHECK_INT(faster_flog_wait(kit->log, KIT_WAIT_MS), FASTER_OK);
            i--; /* ends: there is room now */
            continue;
        }
        CHECK_INT(result, FASTER_OK);
        kit_remember(kit, entry);
    }
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

static bool is_lack(int result, bool failed) {
    CHECK(result == FASTER_OK || (failed && result == -ENOMEM), "%d", result);
    return result != FASTER_OK;
}

/* A commit, an attachment, a restart that got no memory can be made again; what was
 * committed stays, and nothing is latched. */
static void errors_calls_can_be_made_again(void) {
    struct kit *kit = kit_open();
    struct faster_flog_commit commit;
    uint64_t from;
    uint64_t until;
    static uint8_t bytes[1000];
    for (uint64_t n = 0; n < 12; n++) {
        (void)kit_append(kit, kit->count, 100);
        allocation_fail_at(n);
        int result = faster_flog_attach(kit->log, bytes, sizeof bytes);
        if (is_lack(result, allocation_failed())) {
            CHECK_INT(faster_flog_attach(kit->log, bytes, sizeof bytes), FASTER_OK);
        }
        allocation_fail_at(n);
        result = faster_flog_commit_strong(kit->log, bytes, 10, KIT_WAIT_MS, &commit);
        if (is_lack(result, allocation_failed())) {
            CHECK_INT(
                faster_flog_commit_strong(kit->log, bytes, 10, KIT_WAIT_MS, &commit),
                FASTER_OK);
        }
        CHECK_INT(faster_flog_suspend(kit->log, KIT_WAIT_MS), FASTER_OK);
        commit = kit_committed(kit);
        kit_next_life(kit, commit.until, commit.number);
        allocation_fail_at(n);
        result =
            faster_flog_restart(kit->log, kit->lives, kit->life_count, commit.number);
        if (is_lack(result, allocation_failed())) {
            CHECK_INT(faster_flog_restart(kit->log, kit->lives, kit->life_count,
                                          commit.number),
                      FASTER_OK);
        }
        CHECK_INT(faster_flog_failed(kit->log, &from, &until), FASTER_OK);
        kit_holds(kit, 0, kit->count);
    }
    kit_free(kit);
}

/* A scan that got no memory goes on where it was. */
static void errors_scans_go_on(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(1);
    uint64_t failures = 0;
    kit_fill(kit, &rng, 300, 300);
    kit_fill(kit, &rng, 1200, 10); /* more in a page than a piece has at first */
    (void)kit_commit(kit);
    for (uint64_t n = 0; n < 60; n++) {
        struct faster_flog_scan_config config = {.size = sizeof config};
        struct faster_flog_scan *scan = NULL;
        struct faster_flog_entry entry;
        struct faster_flog_piece piece;
        allocation_fail_at(n);
        int result = faster_flog_scan_open(kit->log, &config, &scan);
        if (result == -ENOMEM) {
            failures += allocation_failed();
            CHECK(scan == NULL, "%s", "a scan that is none");
            continue;
        }
        uint64_t seen = 0;
        bool failed = false;
        while (seen < kit->count) { /* ends: each turn has an entry, once all failed */
            if (seen < 300 && seen % 5 != 0) {
                result = kit_next(scan, &entry);
                if (result == FASTER_OK) {
                    kit_is(&kit->entries[seen++], &entry);
                    continue;
                }
            } else {
                result = kit_piece(scan, &piece);
                if (result == FASTER_OK) {
                    seen += piece.count;
                    faster_flog_piece_free(piece.chunk);
                    continue;
                }
            }
            CHECK_INT(result, -ENOMEM);
            CHECK(!failed, "%s", "one allocation failed twice");
            failed = true;
            failures++;
        }
        (void)allocation_failed();
        CHECK_U64(seen, kit->count);
        faster_flog_scan_free(scan);
    }
    CHECK(failures > 2, "%" PRIu64, failures);
    kit_free(kit);
}

/* Recovery, and a read: whole or not at all. */
static void errors_recovery_is_whole(void) {
    struct kit *kit = kit_open();
    struct faster_flog_commit commit;
    struct faster_flog_found found;
    struct faster_flog_damage damage;
    struct rng rng = rng_stream(2);
    static uint8_t data[KIT_PAGE];
    uint64_t size;
    kit_fill(kit, &rng, 100, 300);
    CHECK_INT(faster_flog_attach(kit->log, "attached", 8), FASTER_OK);
    CHECK_INT(faster_flog_commit_strong(kit->log, "cookie", 6, KIT_WAIT_MS, &commit),
              FASTER_OK);
    int result = -ENOMEM;
    for (uint64_t n = 0; result != FASTER_OK; n++) { /* ends: it needs only so many */
        CHECK(n < SWEEP_MAX, "%" PRIu64, n);
        allocation_fail_at(n);
        result = faster_flog_read(kit->log, kit->entries[50].address, data, sizeof data,
                                  &size, &damage);
        (void)is_lack(result, allocation_failed());
    }
    kit_same(&kit->entries[50], data, size);
    kit_stop(kit);
    kit->number = 0;
    result = -ENOMEM;
    uint64_t failures = 0;
    for (uint64_t n = 0; result != FASTER_OK; n++) { /* ends: as above */
        CHECK(n < SWEEP_MAX, "%" PRIu64, n);
        allocation_fail_at(n);
        result = kit_find(kit, &found, &damage);
        failures += is_lack(result, allocation_failed());
    }
    CHECK(failures > 0, "%s", "recovery allocates nothing");
    CHECK_U64(found.entries, 100);
    CHECK_U64(found.cookie_size, 6);
    kit_free(kit);
}

HARNESS_MAIN(TEST(errors_open_fails_whole), TEST(errors_append_allocates_nothing),
             TEST(errors_calls_can_be_made_again), TEST(errors_scans_go_on),
             TEST(errors_recovery_is_whole))
