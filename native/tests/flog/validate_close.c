/* SPDX-License-Identifier: MIT */
/* validate_close.c: a closed log answers at once, and so does a failed one; whoever
 * waits is woken by either. */
#include <sys/wait.h>
#include <unistd.h>

#include "flog/kit.h"

static void expect_all(struct kit *kit, int status) {
    uint64_t address;
    uint64_t end;
    uint64_t done;
    struct faster_flog_commit commit;
    const uint64_t offsets[2] = {0, 1};
    struct faster_flog_batch batch = {"x", offsets, 1, NULL, 0, 0};
    CHECK_INT(faster_flog_append(kit->log, "x", 1, &address, &end), status);
    CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
              status);
    CHECK_INT(faster_flog_commit_strong(kit->log, "x", 1, KIT_WAIT_MS, &commit),
              status);
    CHECK_INT(faster_flog_wait(kit->log, KIT_WAIT_MS), status);
    CHECK_INT(faster_flog_wait_committed(kit->log, UINT64_MAX - 1, KIT_WAIT_MS),
              status);
    CHECK_INT(faster_flog_suspend(kit->log, KIT_WAIT_MS), status);
}

static void closed_logs_say_so(void) {
    struct kit *kit = kit_open();
    struct faster_flog_commit commit;
    struct faster_flog_entry entry;
    struct faster_flog_piece piece;
    struct faster_flog_damage damage;
    uint8_t data[64];
    uint64_t size;
    (void)kit_append(kit, 0, 10);
    (void)kit_commit(kit);
    (void)kit_append(kit, 1, 10);
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    CHECK_INT(faster_flog_close(kit->log, KIT_WAIT_MS), FASTER_OK);
    expect_all(kit, FASTER_E_CLOSED);
    CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), FASTER_E_CLOSED);
    CHECK_INT(faster_flog_request(kit->log, 0), FASTER_E_CLOSED);
    CHECK_INT(faster_flog_attach(kit->log, "x", 1), FASTER_E_CLOSED);
    CHECK_INT(faster_flog_begin_at(kit->log, FASTER_FLOG_FIRST), FASTER_E_CLOSED);
    CHECK_INT(faster_flog_free_space(kit->log), FASTER_E_CLOSED);
    CHECK_INT(faster_flog_read(kit->log, kit->entries[0].address, data, sizeof data,
                               &size, &damage),
              FASTER_E_CLOSED);
    CHECK_INT(kit_next(scan, &entry), FASTER_E_CLOSED);
    CHECK_INT(kit_piece(scan, &piece), FASTER_E_CLOSED);
    CHECK_INT(faster_flog_close(kit->log, 0), FASTER_OK); /* a second one */
    faster_flog_scan_free(scan);
    faster_flog_free(kit->log);
    kit->log = NULL;
    kit_free_devices(kit);
    /* Nothing was committed by closing. */
    struct faster_flog_found found;
    CHECK_INT(kit_find(kit, &found, &damage), FASTER_OK);
    CHECK_U64(found.number, 1);
    CHECK_U64(found.entries, 1);
    kit_free(kit);
}

/* --- who waits -------------------------------------------------------------------- */

enum { WAITERS = 8, BATCH = 64 };

struct crowd {
    struct kit *kit;
    _Atomic uint32_t inside;
    _Atomic uint32_t outside;
    int status;
    bool poisoned;
};

/* Far more than memory, so that appending it waits for writes. */
static uint8_t data[64 * 1000];
static uint64_t offsets[BATCH + 1];

static int wait_in_some_way(struct kit *kit, uint32_t way) {
    struct faster_flog_commit commit;
    uint64_t done = 0;
    uint64_t end = 0;
    struct faster_flog_batch batch = {data, offsets, BATCH, NULL, 0, 0};
    switch (way % 4) {
    case 0:
        return faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit);
    case 1:
        return faster_flog_commit_strong(kit->log, NULL, 0, KIT_WAIT_MS, &commit);
    case 2:
        return faster_flog_wait_committed(kit->log, FASTER_FLOG_FIRST, KIT_WAIT_MS);
    default:
        return faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end);
    }
}

static void crowd_member(void *context, uint32_t thread) {
    struct crowd *crowd = context;
    if (thread < WAITERS) {
        (void)atomic_fetch_add_explicit(&crowd->inside, 1, memory_order_acq_rel);
        int result = wait_in_some_way(crowd->kit, thread);
        CHECK(result == crowd->status, "%d in way %" PRIu32, result, thread % 4);
        (void)atomic_fetch_add_explicit(&crowd->outside, 1, memory_order_acq_rel);
        return;
    }
    /* Ends: all of them come. */
    while (atomic_load_explicit(&crowd->inside, memory_order_acquire) < WAITERS) {
        thread_yield();
    }
    while (kit_held(crowd->kit) == 0) { /* ends: a commit gets to its write */
        thread_yield();
    }
    if (crowd->poisoned) {
        faster_flog_poison(crowd->kit->log, crowd->status);
        return;
    }
    int result;
    do { /* ends: who is inside comes out, then the device is told to go on */
        result = faster_flog_close(crowd->kit->log, 1);
        if (atomic_load_explicit(&crowd->outside, memory_order_acquire) == WAITERS) {
            (void)faster_faulty_release(crowd->kit->faulty);
        }
    } while (result == FASTER_E_TIMEOUT);
    CHECK_INT(result, FASTER_OK);
}

static void crowd_of(int status, bool poisoned) {
    static const struct faster_fault_rule hold = {.kinds = FASTER_KIND_WRITE,
                                                  .fault = FASTER_FAULT_HOLD};
    struct kit *kit = kit_new();
    kit->rules = &hold;
    kit->rules_count = 1;
    kit_start(kit);
    for (uint64_t i = 1; i <= BATCH; i++) {
        offsets[i] = i * sizeof data / BATCH;
    }
    (void)kit_append(kit, 0, 10);
    struct crowd crowd = {.kit = kit, .status = status, .poisoned = poisoned};
    harness_threads(WAITERS + 1, crowd_member, &crowd);
    if (poisoned) {
        kit_lift(kit);
        CHECK_INT(faster_flog_close(kit->log, KIT_WAIT_MS), FASTER_OK);
    }
    faster_flog_free(kit->log);
    kit->log = NULL;
    kit_free_devices(kit);
    kit_free(kit);
}

static void close_wakes_whoever_waits(void) {
    for (uint64_t turn = 0; turn < 10; turn++) {
        crowd_of(FASTER_E_CLOSED, false);
    }
}

static void d3_poison_wakes_whoever_waits(void) {
    for (uint64_t turn = 0; turn < 10; turn++) {
        crowd_of(-ENOSPC, true);
    }
}

/* What a child gets: 0 when every call refuses it. */
static int ask_as_child(struct kit *kit, struct faster_flog_scan *scan) {
    struct faster_flog_commit commit;
    struct faster_flog_damage damage;
    struct faster_flog_entry entry;
    uint64_t address;
    uint64_t end;
    uint64_t size;
    const int results[] = {
        faster_flog_append(kit->log, "x", 1, &address, &end),
        faster_flog_wait(kit->log, 0),
        faster_flog_commit(kit->log, 0, 0, &commit),
        faster_flog_commit_strong(kit->log, NULL, 0, 0, &commit),
        faster_flog_request(kit->log, 0),
        faster_flog_read(kit->log, FASTER_FLOG_FIRST, NULL, 0, &size, &damage),
        faster_flog_suspend(kit->log, 0),
        kit_next(scan, &entry),
        faster_flog_close(kit->log, 0),
    };
    int wrong = 0;
    for (uint64_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        wrong = results[i] == FASTER_E_FORKED ? wrong : (int)i + 1;
    }
    faster_flog_scan_free(scan);
    faster_flog_free(kit->log);
    return wrong;
}

/* F62: a child is refused by every call, and the parent goes on. */
static void f62_children_are_refused(void) {
    struct kit *kit = kit_open();
    int status = 0;
    (void)kit_append(kit, 0, 10);
    (void)kit_commit(kit);
    struct faster_flog_scan *scan = kit_scan(kit, 0, 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(ask_as_child(kit, scan));
    }
    CHECK(child > 0, "%d", (int)child);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "call %d answered the child",
          WEXITSTATUS(status));
    (void)kit_append(kit, 1, 10);
    (void)kit_commit(kit);
    kit_expect(kit, scan, 0, 2);
    faster_flog_scan_free(scan);
    kit_free(kit);
}

/* F76: a close comes back in its time although the device does not. */
static void f76_close_comes_back(void) {
    static const uint32_t kinds[] = {FASTER_KIND_WRITE, FASTER_KIND_SYNC};
    for (uint64_t i = 0; i < 2; i++) {
        struct faster_fault_rule hold = {.kinds = kinds[i], .fault = FASTER_FAULT_HOLD};
        struct kit *kit = kit_new();
        kit->rules = &hold;
        kit->rules_count = 1;
        kit_start(kit);
        (void)kit_append(kit, 0, 10);
        CHECK_INT(faster_flog_request(kit->log, 0), FASTER_OK);
        while (kit_held(kit) == 0) { /* ends: the log's own thread gets there */
            thread_yield();
        }
        int result = faster_flog_close(kit->log, 1);
        CHECK(result == FASTER_OK || result == FASTER_E_TIMEOUT, "%d", result);
        kit_lift(kit);
        CHECK_INT(faster_flog_close(kit->log, KIT_WAIT_MS), FASTER_OK);
        faster_flog_free(kit->log);
        kit->log = NULL;
        kit_free_devices(kit);
        kit_free(kit);
    }
}

/* D3: after the poison everything has its status, and reading goes on. */
static void d3_poison_is_for_good(void) {
    struct kit *kit = kit_open();
    struct faster_flog_commit commit;
    uint64_t from = 0;
    uint64_t until = 0;
    CHECK_INT(faster_flog_failed(kit->log, &from, &until), FASTER_OK);
    (void)kit_append(kit, 0, 10);
    struct faster_flog_commit last = kit_commit(kit);
    uint64_t end = kit_append(kit, 1, 10).end;
    faster_flog_poison(kit->log, -EROFS);
    faster_flog_poison(kit->log, -EIO); /* the first reason stays */
    for (uint64_t turn = 0; turn < 3; turn++) {
        expect_all(kit, -EROFS);
        CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), -EROFS);
        CHECK_INT(faster_flog_commit(kit->log, end, KIT_WAIT_MS, &commit), -EROFS);
        CHECK_INT(faster_flog_commit(kit->log, last.until, 0, &commit), FASTER_OK);
        CHECK_INT(faster_flog_failed(kit->log, &from, &until), -EROFS);
        CHECK_U64(from, last.until);
        CHECK(until >= end, "%" PRIu64 " < %" PRIu64, until, end);
        CHECK_U64(kit_committed(kit).until, last.until);
        kit_holds(kit, 0, 1);
    }
    kit_free(kit);
}

/* A suspended log that fails lets go of whoever waits for its end. */
static void d3_poison_ends_a_suspension(void) {
    struct kit *kit = kit_open();
    (void)kit_append(kit, 0, 10);
    CHECK_INT(faster_flog_suspend(kit->log, KIT_WAIT_MS), FASTER_OK);
    faster_flog_poison(kit->log, -EIO);
    expect_all(kit, -EIO);
    faster_flog_resume(kit->log);
    expect_all(kit, -EIO);
    kit_holds(kit, 0, 1);
    kit_free(kit);
}

HARNESS_MAIN(TEST(closed_logs_say_so), TEST(close_wakes_whoever_waits),
             TEST(d3_poison_wakes_whoever_waits), TEST(f62_children_are_refused),
             TEST(f76_close_comes_back), TEST(d3_poison_is_for_good),
             TEST(d3_poison_ends_a_suspension))
