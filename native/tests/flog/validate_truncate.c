/* SPDX-License-Identifier: MIT */
/* validate_truncate.c: both ends of a log can be cut; what is between them stays. */
#include "flog/record_kit.h"

/* --- the beginning ---------------------------------------------------------------- */

static void begin_moves_up_only(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(1);
    struct faster_flog_damage damage;
    uint8_t data[1000];
    uint64_t size;
    kit_fill(kit, &rng, 100, 500);
    CHECK_INT(faster_flog_begin_at(kit->log, kit->entries[0].end), -EINVAL);
    uint64_t until = kit_commit(kit).until;
    for (uint64_t first = 0; first < 100; first += 9) {
        CHECK_INT(faster_flog_begin_at(kit->log, kit->entries[first].address),
                  FASTER_OK);
        CHECK_INT(faster_flog_begin_at(kit->log, FASTER_FLOG_FIRST), FASTER_OK);
        CHECK_U64(kit_stats(kit).address_begin, kit->entries[first].address);
        kit_holds(kit, first, 100);
        if (first > 0) {
            CHECK_INT(faster_flog_read(kit->log, kit->entries[first - 1].address, data,
                                       sizeof data, &size, &damage),
                      -EINVAL);
        }
        CHECK_INT(faster_flog_read(kit->log, kit->entries[first].address, data,
                                   sizeof data, &size, &damage),
                  FASTER_OK);
    }
    CHECK_INT(faster_flog_begin_at(kit->log, kit->entries[99].end - 8), -EINVAL);
    CHECK_INT(faster_flog_begin_at(kit->log, until + 8), -EINVAL);
    CHECK_INT(faster_flog_begin_at(kit->log, until), FASTER_OK);
    kit_holds(kit, 0, 0);
    (void)kit_append(kit, kit->count, 5);
    (void)kit_commit(kit);
    kit_holds(kit, 100, 101);
    kit_free(kit);
}

/* A scan that stands below the beginning says so; one that stands above goes on. */
static void begin_overtakes_scans(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(2);
    struct faster_flog_entry entry;
    struct faster_flog_piece piece;
    kit_fill(kit, &rng, 400, 300);
    (void)kit_commit(kit);
    struct faster_flog_scan *behind = kit_scan(kit, 0, 0);
    struct faster_flog_scan *fresh = kit_scan(kit, 0, 0);
    struct faster_flog_scan *ahead = kit_scan(kit, kit->entries[300].address, 0);
    CHECK_INT(kit_next(behind, &entry), FASTER_OK);
    CHECK_INT(faster_flog_begin_at(kit->log, kit->entries[300].address), FASTER_OK);
    CHECK_INT(faster_flog_free_space(kit->log), FASTER_OK);
    CHECK_INT(kit_next(behind, &entry), -ENOENT);
    CHECK_INT(kit_piece(behind, &piece), -ENOENT);
    CHECK_INT(kit_next(fresh, &entry), -ENOENT);
    kit_expect(kit, ahead, 300, 400);
    faster_flog_scan_free(behind);
    faster_flog_scan_free(fresh);
    faster_flog_scan_free(ahead);
    kit_free(kit);
}

/* Space is given back below the beginning when it is asked for, and not before. */
static void begin_gives_space_back(void) {
    struct kit *kit = kit_new();
    struct rng rng = rng_stream(3);
    kit->recorded = true;
    kit_start(kit);
    for (uint64_t turn = 1; turn <= 10; turn++) {
        kit_fill(kit, &rng, 300, 300);
        (void)kit_commit(kit);
        uint64_t first = kit->count - 20;
        CHECK_INT(faster_flog_begin_at(kit->log, kit->entries[first].address),
                  FASTER_OK);
        CHECK_U64(record_kinds(kit, FASTER_KIND_TRUNCATE), turn - 1);
        CHECK_INT(faster_flog_free_space(kit->log), FASTER_OK);
        CHECK_U64(record_kinds(kit, FASTER_KIND_TRUNCATE), turn);
        uint64_t count = faster_recording_count(kit->recording);
        for (uint64_t i = 0; i < count; i++) {
            struct faster_recording_event event = record_event(kit, i);
            CHECK(event.kind != FASTER_KIND_TRUNCATE ||
                      event.offset <= kit->entries[first].address,
                  "%" PRIu64, event.offset);
        }
        kit_holds(kit, first, kit->count);
    }
    kit_free(kit);
}

/* --- the end ---------------------------------------------------------------------- */

/* Cut the log off below entry `first`, in the way that an owner does it. */
static void cut(struct kit *kit, uint64_t first) {
    uint64_t at = kit->entries[first].address;
    CHECK_INT(faster_flog_suspend(kit->log, KIT_WAIT_MS), FASTER_OK);
    struct faster_flog_commit last = kit_committed(kit);
    CHECK(last.until >= kit->entries[kit->count - 1].end, "%" PRIu64, last.until);
    kit_next_life(kit, at, last.number);
    CHECK_INT(faster_flog_restart(kit->log, kit->lives, kit->life_count, last.number),
              FASTER_OK);
    CHECK_U64(kit_committed(kit).until, kit_round(at, KIT_SECTOR));
    CHECK_U64(kit_committed(kit).number, last.number);
    kit->count = first;
}

/* What is below the cut stays, what is above is gone, and appending goes on. */
static void end_is_cut_anywhere(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(4);
    for (uint64_t turn = 0; turn < 40; turn++) {
        kit_fill(kit, &rng, 1 + rng_below(&rng, 80), 400);
        (void)kit_commit(kit);
        if (turn % 2 != 0) {
            kit_fill(kit, &rng, 1, 400); /* suspending makes it durable */
        }
        cut(kit, kit->count - 1 - rng_below(&rng, kit->count < 90 ? kit->count : 90));
        kit_holds(kit, 0, kit->count);
    }
    kit_fill(kit, &rng, 50, 400);
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* A cut outlives a crash: what was cut off does not come back, with or without new
 * entries over it. */
static void end_is_cut_for_good(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(5);
    for (uint64_t turn = 0; turn < 25; turn++) {
        kit_fill(kit, &rng, 20 + rng_below(&rng, 20), 400);
        (void)kit_commit(kit);
        cut(kit, kit->count - 1 - rng_below(&rng, 20));
        if (turn % 2 != 0) {
            kit_fill(kit, &rng, rng_below(&rng, 5), 400);
            (void)kit_commit(kit);
        }
        (void)kit_crash(kit);
        kit_holds(kit, 0, kit->count);
    }
    kit_free(kit);
}

/* Who stands above the cut is told; who stands below goes on into the new life. */
static void end_is_cut_below_scans(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(6);
    struct faster_flog_entry entry;
    struct faster_flog_damage damage;
    uint8_t data[1000];
    uint64_t size;
    kit_fill(kit, &rng, 300, 300);
    (void)kit_commit(kit);
    struct faster_flog_scan *above = kit_scan(kit, kit->entries[250].address, 0);
    struct faster_flog_scan *below = kit_scan(kit, 0, 0);
    struct faster_flog_scan *at_end = kit_scan(kit, kit_committed(kit).until, 0);
    CHECK_INT(kit_next(above, &entry), FASTER_OK);
    CHECK_INT(kit_next(below, &entry), FASTER_OK);
    CHECK_INT(kit_next(at_end, &entry), FASTER_NOT_FOUND);
    uint64_t gone = kit->entries[270].address;
    cut(kit, 100);
    CHECK_INT(kit_next(above, &entry), -ERANGE);
    CHECK_INT(kit_next(at_end, &entry), -ERANGE);
    CHECK_INT(faster_flog_read(kit->log, gone, data, sizeof data, &size, &damage),
              -EINVAL);
    kit_fill(kit, &rng, 10, 300);
    (void)kit_commit(kit);
    kit_expect(kit, below, 1, 110);
    faster_flog_scan_free(above);
    faster_flog_scan_free(below);
    faster_flog_scan_free(at_end);
    kit_free(kit);
}

/* What is committed behind a cut is as durable as anything; the sectors that were there
 * before do not count. */
static void end_is_cut_and_durable_again(void) {
    struct kit *kit = kit_new();
    struct rng rng = rng_stream(9);
    kit->recorded = true;
    kit_start(kit);
    for (uint64_t turn = 0; turn < 20; turn++) {
        kit_fill(kit, &rng, 40, 400);
        (void)kit_commit(kit);
        cut(kit, kit->count - 30);
        CHECK_INT(faster_recording_clear(kit->recording), 0);
        uint64_t first = kit_committed(kit).until;
        for (uint64_t i = 0; i < 5; i++) {
            kit_fill(kit, &rng, 2, 400);
            record_durable(kit, first, kit_commit(kit).until);
        }
        record_once(kit);
    }
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* Everything is cut off, down to the first entry; then it begins anew. */
static void end_is_cut_to_nothing(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(7);
    for (uint64_t turn = 0; turn < 5; turn++) {
        kit_fill(kit, &rng, 50, 300);
        (void)kit_commit(kit);
        cut(kit, 0);
        kit_holds(kit, 0, 0);
        (void)kit_append(kit, 0, 3);
        (void)kit_commit(kit);
        kit_holds(kit, 0, 1);
    }
    kit_free(kit);
}

/* Lives that make no sense are refused; the log stays suspended and can go on. */
static void end_is_cut_with_sense(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(8);
    uint64_t address;
    uint64_t end;
    kit_fill(kit, &rng, 50, 300);
    (void)kit_commit(kit);
    CHECK_INT(faster_flog_suspend(kit->log, KIT_WAIT_MS), FASTER_OK);
    struct faster_flog_life lives[2] = {{1, FASTER_FLOG_FIRST, 512}, {1, 512, 0}};
    CHECK_INT(faster_flog_restart(kit->log, lives, 2, 1), -EINVAL); /* not a new one */
    lives[1].generation = 2;
    lives[1].first = 520;
    CHECK_INT(faster_flog_restart(kit->log, lives, 2, 1), -EINVAL); /* inside a unit */
    lives[1].first = 512;
    lives[1].until = 1024;
    CHECK_INT(faster_flog_restart(kit->log, lives, 2, 1), -EINVAL); /* it is over */
    CHECK_INT(faster_flog_restart(kit->log, lives, 0, 1), -EINVAL);
    CHECK_INT(faster_flog_append(kit->log, "x", 1, &address, &end), FASTER_RETRY);
    faster_flog_resume(kit->log);
    (void)kit_append(kit, kit->count, 1);
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* --- suspending ------------------------------------------------------------------- */

static void suspended_logs_wait(void) {
    struct kit *kit = kit_new();
    uint64_t address;
    uint64_t end;
    uint64_t done;
    struct faster_flog_commit commit;
    const uint64_t offsets[2] = {0, 1};
    struct faster_flog_batch batch = {"x", offsets, 1, NULL, 0, 0};
    kit->recorded = true;
    kit_start(kit);
    for (uint64_t turn = 0; turn < 5; turn++) {
        (void)kit_append(kit, kit->count, 100);
        CHECK_INT(faster_flog_suspend(kit->log, KIT_WAIT_MS), FASTER_OK);
        commit = kit_committed(kit);
        CHECK(commit.until >= kit->entries[kit->count - 1].end, "%" PRIu64,
              commit.until);
        record_durable(kit, 0, commit.until);
        CHECK_INT(faster_flog_append(kit->log, "x", 1, &address, &end), FASTER_RETRY);
        CHECK_INT(faster_flog_append_many(kit->log, &batch, 1, &done, &end),
                  FASTER_E_TIMEOUT);
        CHECK_U64(done, 0);
        CHECK_INT(faster_flog_wait(kit->log, 1), FASTER_E_TIMEOUT);
        CHECK_INT(faster_flog_commit_strong(kit->log, "c", 1, 1, &commit),
                  FASTER_E_TIMEOUT);
        kit_holds(kit, 0, kit->count); /* reading goes on */
        faster_flog_resume(kit->log);
    }
    record_once(kit);
    (void)kit_append(kit, kit->count, 100);
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

HARNESS_MAIN(TEST(begin_moves_up_only), TEST(begin_overtakes_scans),
             TEST(begin_gives_space_back), TEST(end_is_cut_anywhere),
             TEST(end_is_cut_for_good), TEST(end_is_cut_below_scans),
             TEST(end_is_cut_and_durable_again), TEST(end_is_cut_to_nothing),
             TEST(end_is_cut_with_sense), TEST(suspended_logs_wait))
