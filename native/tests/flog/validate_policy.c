/* SPDX-License-Identifier: MIT */
/* validate_policy.c: commits that nobody waits for, and being told of commits. */
#include <sys/socket.h>
#include <unistd.h>

#include "flog/record_kit.h"

static void wait_beyond(struct kit *kit, uint64_t seen) {
    CHECK_INT(faster_flog_wait_committed(kit->log, seen, KIT_WAIT_MS), FASTER_OK);
    CHECK(kit_committed(kit).until > seen, "%" PRIu64, seen);
}

/* Each wait is for more than one look has shown: a second look may show the last commit
 * that there is, and nothing comes beyond that. */
static void wait_until(struct kit *kit, uint64_t end) {
    uint64_t seen = kit_committed(kit).until;
    while (seen < end) { /* ends: whoever calls has seen to a commit */
        wait_beyond(kit, seen);
        seen = kit_committed(kit).until;
    }
}

/* What was asked for becomes durable without anybody's waiting. */
static void requests_are_carried_out(void) {
    struct kit *kit = kit_new();
    kit->recorded = true;
    kit_start(kit);
    CHECK_INT(faster_flog_request(kit->log, 0), FASTER_OK); /* of nothing */
    for (uint64_t i = 0; i < 50; i++) {
        struct kit_entry entry = kit_append(kit, i, 20);
        CHECK_INT(faster_flog_request(kit->log, i % 2 != 0 ? entry.end : 0), FASTER_OK);
        wait_until(kit, entry.end);
        record_durable(kit, 0, entry.end);
    }
    record_once(kit);
    kit_holds(kit, 0, 50);
    kit_free(kit);
}

/* So many bytes are never left waiting. */
static void bytes_that_wait_are_committed(void) {
    struct kit *kit = kit_new();
    kit->commit_bytes = 3000;
    kit->recorded = true;
    kit_start(kit);
    uint64_t seen = FASTER_FLOG_FIRST;
    (void)kit_append(kit, 0, 100); /* not enough */
    CHECK_INT(faster_flog_wait_committed(kit->log, seen, 5), FASTER_E_TIMEOUT);
    for (uint64_t turn = 0; turn < 30; turn++) {
        for (uint64_t i = 0; i < 16; i++) {
            (void)kit_append(kit, kit->count, 200);
        }
        wait_beyond(kit, seen);
        seen = kit_committed(kit).until;
        record_durable(kit, 0, seen);
    }
    record_once(kit);
    kit_free(kit);
}

/* An entry that is alone becomes durable when it has waited. */
static void entries_that_wait_are_committed(void) {
    struct kit *kit = kit_new();
    kit->commit_ms = 1;
    kit->recorded = true;
    kit_start(kit);
    for (uint64_t i = 0; i < 20; i++) {
        struct kit_entry entry = kit_append(kit, i, 10);
        wait_until(kit, entry.end);
        record_durable(kit, 0, entry.end);
    }
    record_once(kit);
    kit_holds(kit, 0, 20);
    kit_free(kit);
}

/* A policy of its own makes no commit when nothing was appended. */
static void nothing_is_not_committed(void) {
    struct kit *kit = kit_new();
    kit->commit_ms = 1;
    kit_start(kit);
    CHECK_INT(faster_flog_wait_committed(kit->log, FASTER_FLOG_FIRST, 20),
              FASTER_E_TIMEOUT);
    (void)kit_append(kit, 0, 1);
    wait_beyond(kit, FASTER_FLOG_FIRST);
    uint64_t commits = kit_stats(kit).commits;
    CHECK_INT(faster_flog_wait_committed(kit->log, kit_committed(kit).until, 20),
              FASTER_E_TIMEOUT);
    CHECK_U64(kit_stats(kit).commits, commits);
    kit_free(kit);
}

static void waiting_sees_what_is_already_there(void) {
    struct kit *kit = kit_open();
    CHECK_INT(faster_flog_wait_committed(kit->log, FASTER_FLOG_FIRST, 0),
              FASTER_E_TIMEOUT);
    (void)kit_append(kit, 0, 1);
    (void)kit_commit(kit);
    CHECK_INT(faster_flog_wait_committed(kit->log, FASTER_FLOG_FIRST, 0), FASTER_OK);
    CHECK_INT(faster_flog_wait_committed(kit->log, 0, 0), FASTER_OK);
    CHECK_INT(faster_flog_wait_committed(kit->log, kit_committed(kit).until, 0),
              FASTER_E_TIMEOUT);
    kit_free(kit);
}

/* --- descriptors ------------------------------------------------------------------ */

static uint64_t told(int descriptor) {
    uint64_t words[64];
    ssize_t got = recv(descriptor, words, sizeof words, MSG_DONTWAIT);
    return got > 0 ? (uint64_t)got / 8 : 0;
}

static void pairs_open(int *pairs, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs + 2 * i), 0);
    }
}

static void pairs_close(int *pairs, uint64_t count) {
    for (uint64_t i = 0; i < 2 * count; i++) {
        CHECK_INT(close(pairs[i]), 0);
    }
}

/* A commit is told to every descriptor, once it is durable; to none that has left. */
static void descriptors_are_told(void) {
    struct kit *kit = kit_open();
    int pairs[4];
    pairs_open(pairs, 2);
    CHECK_INT(faster_flog_notify(kit->log, pairs[0]), FASTER_OK);
    CHECK_INT(faster_flog_notify(kit->log, pairs[2]), FASTER_OK);
    (void)kit_append(kit, 0, 1);
    CHECK_U64(told(pairs[1]), 0);
    (void)kit_commit(kit);
    CHECK_U64(told(pairs[1]), 1);
    CHECK_U64(told(pairs[3]), 1);
    (void)kit_commit(kit); /* nothing more is durable */
    CHECK_U64(told(pairs[1]), 0);
    faster_flog_notify_end(kit->log, pairs[0]);
    faster_flog_notify_end(kit->log, pairs[0]); /* it is not there any more */
    (void)kit_append(kit, 1, 1);
    (void)kit_commit(kit);
    CHECK_U64(told(pairs[1]), 0);
    CHECK_U64(told(pairs[3]), 1);
    kit_stop(kit);
    CHECK(told(pairs[3]) > 0, "%s", "a close is told");
    CHECK_U64(told(pairs[1]), 0);
    kit_free(kit);
    pairs_close(pairs, 2);
}

static void descriptors_are_told_of_a_failure(void) {
    struct kit *kit = kit_open();
    int pairs[2];
    pairs_open(pairs, 1);
    CHECK_INT(faster_flog_notify(kit->log, pairs[0]), FASTER_OK);
    faster_flog_poison(kit->log, -EIO);
    CHECK(told(pairs[1]) > 0, "%s", "a failure is told");
    kit_free(kit);
    pairs_close(pairs, 1);
}

static void descriptors_may_be_many(void) {
    struct kit *kit = kit_open();
    int pairs[2 * 65];
    pairs_open(pairs, 65);
    for (uint64_t i = 0; i < 64; i++) {
        CHECK_INT(faster_flog_notify(kit->log, pairs[2 * i]), FASTER_OK);
    }
    faster_flog_notify_end(kit->log, pairs[10]);
    CHECK_INT(faster_flog_notify(kit->log, pairs[128]), FASTER_OK);
    (void)kit_append(kit, 0, 1);
    (void)kit_commit(kit);
    for (uint64_t i = 0; i < 65; i++) {
        CHECK_U64(told(pairs[2 * i + 1]), i != 5);
    }
    for (uint64_t i = 64; i < 4096; i++) { /* of nobody: nothing is written */
        CHECK_INT(faster_flog_notify(kit->log, -1), FASTER_OK);
    }
    CHECK_INT(faster_flog_notify(kit->log, pairs[128]), FASTER_E_FULL);
    kit_free(kit);
    pairs_close(pairs, 65);
}

HARNESS_MAIN(TEST(requests_are_carried_out), TEST(bytes_that_wait_are_committed),
             TEST(entries_that_wait_are_committed), TEST(nothing_is_not_committed),
             TEST(waiting_sees_what_is_already_there), TEST(descriptors_are_told),
             TEST(descriptors_are_told_of_a_failure), TEST(descriptors_may_be_many))
