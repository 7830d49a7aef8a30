/* SPDX-License-Identifier: MIT */
/* validate_commit.c: what a commit says is durable is, by the device's own record. */
#include "flog/record_kit.h"

static struct kit *open_recorded(void) {
    struct kit *kit = kit_new();
    kit->recorded = true;
    kit_start(kit);
    return kit;
}

/* D1: when a commit has returned, what it covers lies below a sync that followed it. */
static void d1_durable_when_it_returns(void) {
    struct kit *kit = open_recorded();
    struct rng rng = rng_stream(1);
    uint64_t last = FASTER_FLOG_FIRST;
    uint64_t number = 0;
    for (uint64_t turn = 0; turn < 200; turn++) {
        kit_fill(kit, &rng, 1 + rng_below(&rng, 12), 1500 >> rng_below(&rng, 8));
        struct faster_flog_commit commit = kit_commit(kit);
        CHECK(commit.until >= kit->entries[kit->count - 1].end, "%" PRIu64,
              commit.until);
        CHECK(commit.until > last && commit.number > number, "%" PRIu64, commit.number);
        last = commit.until;
        number = commit.number;
        record_durable(kit, 0, commit.until);
        CHECK_U64(kit_committed(kit).until, commit.until);
        CHECK_U64(kit_committed(kit).number, commit.number);
    }
    CHECK_U64(kit_stats(kit).commits, number);
    record_once(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* Committing up to an address: below it all is durable, and what is durable already
 * costs nothing. */
static void d1_up_to_an_address(void) {
    struct kit *kit = open_recorded();
    struct rng rng = rng_stream(2);
    struct faster_flog_commit commit;
    kit_fill(kit, &rng, 1000, 200);
    for (uint64_t i = 0; i < kit->count; i += 100) {
        uint64_t end = kit->entries[i].end;
        CHECK_INT(faster_flog_commit(kit->log, end, KIT_WAIT_MS, &commit), FASTER_OK);
        CHECK(commit.until >= end, "%" PRIu64 " < %" PRIu64, commit.until, end);
        record_durable(kit, 0, end);
        uint64_t syncs = record_kinds(kit, FASTER_KIND_SYNC);
        for (uint64_t j = 0; j <= i; j++) {
            CHECK_INT(faster_flog_commit(kit->log, kit->entries[j].end, 0, &commit),
                      FASTER_OK);
            CHECK(commit.until >= kit->entries[j].end, "%" PRIu64, commit.until);
        }
        CHECK_U64(record_kinds(kit, FASTER_KIND_SYNC), syncs);
    }
    record_once(kit);
    kit_free(kit);
}

/* Nothing was appended: nothing is to be done. */
static void d1_nothing_to_commit(void) {
    struct kit *kit = open_recorded();
    struct faster_flog_commit commit;
    CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), FASTER_OK);
    CHECK_U64(commit.until, FASTER_FLOG_FIRST);
    CHECK_U64(commit.number, 0);
    CHECK_U64(faster_recording_count(kit->recording), 0);
    (void)kit_append(kit, 0, 10);
    struct faster_flog_commit first = kit_commit(kit);
    uint64_t events = faster_recording_count(kit->recording);
    CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), FASTER_OK);
    CHECK_U64(commit.until, first.until);
    CHECK_U64(commit.number, first.number);
    CHECK_U64(faster_recording_count(kit->recording), events);
    kit_free(kit);
}

/* L5: with sectors of every size a commit ends with its sector. */
static void l5_ends_are_ends_of_sectors(void) {
    for (uint32_t sector = 512; sector <= KIT_PAGE / 4; sector *= 2) {
        struct kit *kit = kit_new();
        struct rng rng = rng_stream(sector);
        kit->recorded = true;
        kit->sector = sector;
        kit_start(kit);
        for (uint64_t turn = 0; turn < 100; turn++) {
            (void)kit_append(kit, kit->count, rng_below(&rng, 600));
            struct faster_flog_commit commit = kit_commit(kit);
            CHECK_U64(commit.until % sector, 0);
            record_durable(kit, 0, commit.until);
        }
        record_once(kit);
        kit_holds(kit, 0, kit->count);
        kit_free(kit);
    }
}

/* Every distance to the end of a sector and of a page: the record and its filler fit
 * what is left, or go on behind it. */
static void l5_every_distance_to_the_end(void) {
    struct kit *kit = open_recorded();
    for (uint64_t size = 0; size < KIT_PAGE - 600; size += 8) {
        uint64_t first = kit->count;
        (void)kit_append(kit, kit->count, size);
        struct faster_flog_commit commit = kit_commit(kit);
        CHECK_U64(commit.until % KIT_SECTOR, 0);
        struct faster_flog_scan *scan = kit_scan(kit, kit->entries[first].address, 0);
        kit_expect(kit, scan, first, kit->count);
        faster_flog_scan_free(scan);
    }
    record_once(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* --- several at once -------------------------------------------------------------- */

struct group {
    struct kit *kit;
    _Atomic uint32_t appended;
    uint32_t count;
};

static void wait_for(_Atomic uint32_t *word, uint32_t value) {
    /* Ends: the other threads count up to it. */
    while (atomic_load_explicit(word, memory_order_acquire) < value) {
        thread_yield();
    }
}

/* Thread 0's sync is held until all others have appended; their commits need one more
 * sync in all. */
static void group_member(void *context, uint32_t thread) {
    struct group *group = context;
    struct faster_flog *log = group->kit->log;
    struct faster_flog_commit commit;
    uint64_t address = 0;
    uint64_t end = 0;
    if (thread == group->count) {
        wait_for(&group->appended, group->count);
        kit_lift(group->kit);
        return;
    }
    if (thread != 0) {
        while (kit_held(group->kit) == 0) { /* ends: thread 0 gets to its sync */
            thread_yield();
        }
    }
    CHECK_INT(faster_flog_append(log, &thread, sizeof thread, &address, &end),
              FASTER_OK);
    (void)atomic_fetch_add_explicit(&group->appended, 1, memory_order_acq_rel);
    CHECK_INT(faster_flog_commit(log, end, KIT_WAIT_MS, &commit), FASTER_OK);
    CHECK(commit.until >= end, "%" PRIu64, commit.until);
}

static void d1_commits_share_a_sync(void) {
    static const struct faster_fault_rule hold = {
        .kinds = FASTER_KIND_SYNC, .fault = FASTER_FAULT_HOLD, .times = 1};
    struct kit *kit = kit_new();
    kit->rules = &hold;
    kit->rules_count = 1;
    kit->recorded = true;
    kit_start(kit);
    struct group group = {.kit = kit, .count = 12};
    harness_threads(group.count + 1, group_member, &group);
    CHECK_U64(record_kinds(kit, FASTER_KIND_SYNC), 2);
    CHECK_U64(kit_stats(kit).syncs, 2);
    CHECK_U64(kit_stats(kit).commits, 2);
    CHECK(kit_stats(kit).commit_waits > 0, "%" PRIu64, kit_stats(kit).commit_waits);
    record_once(kit);
    kit_free(kit);
}

/* A commit that is not done in time has lost nothing; the next call goes on. */
static void d1_a_timeout_loses_nothing(void) {
    static const struct faster_fault_rule hold = {
        .kinds = FASTER_KIND_SYNC, .fault = FASTER_FAULT_HOLD, .times = 1};
    struct kit *kit = kit_new();
    struct faster_flog_commit commit;
    kit->rules = &hold;
    kit->rules_count = 1;
    kit->recorded = true;
    kit_start(kit);
    (void)kit_append(kit, 0, 100);
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_INT(faster_flog_commit(kit->log, 0, 1, &commit), FASTER_E_TIMEOUT);
        CHECK_U64(kit_committed(kit).until, FASTER_FLOG_FIRST);
        kit_holds(kit, 0, 0);
    }
    kit_lift(kit);
    CHECK_INT(faster_flog_commit(kit->log, 0, KIT_WAIT_MS, &commit), FASTER_OK);
    record_durable(kit, 0, commit.until);
    kit_holds(kit, 0, 1);
    CHECK_U64(kit_stats(kit).commits, 1); /* they went on with the first one's record */
    (void)kit_append(kit, 1, 100);
    (void)kit_commit(kit);
    kit_holds(kit, 0, 2);
    record_once(kit);
    kit_free(kit);
}

/* With several in flight the order of numbers is that of addresses, and the last one's
 * end covers all. */
static void d1_several_in_flight(void) {
    struct kit *kit = kit_new();
    struct rng rng = rng_stream(3);
    kit->commits_in_flight = 4;
    kit->recorded = true;
    kit_start(kit);
    for (uint64_t turn = 0; turn < 50; turn++) {
        kit_fill(kit, &rng, 10, 100);
        CHECK_INT(faster_flog_request(kit->log, 0), FASTER_OK);
        (void)kit_append(kit, kit->count, 10);
        struct faster_flog_commit commit = kit_commit(kit);
        record_durable(kit, 0, commit.until);
    }
    record_once(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* --- records ---------------------------------------------------------------------- */

/* What the commit record before `until` says, from a scan that gives records, too. */
static struct faster_flog_record last_record(struct kit *kit, uint8_t *room,
                                             uint64_t *count) {
    struct faster_flog_scan_config config = {.size = sizeof config, .commits = 1};
    struct faster_flog_scan *scan = NULL;
    struct faster_flog_entry entry;
    struct faster_flog_record record = {.number = 0};
    uint64_t data = 0;
    int result;
    *count = 0;
    CHECK_INT(faster_flog_scan_open(kit->log, &config, &scan), FASTER_OK);
    while ((result = kit_next(scan, &entry)) == FASTER_OK) {
        if (entry.kind == FASTER_FLOG_DATA) {
            kit_is(&kit->entries[data++], &entry);
            continue;
        }
        CHECK_U64(entry.kind, FASTER_FLOG_COMMIT);
        CHECK(entry.size <= 16384, "%" PRIu64, entry.size);
        memcpy(room, entry.data, (size_t)entry.size);
        uint64_t before = record.number;
        CHECK_INT(faster_flog_record_read(room, entry.size, &record), FASTER_OK);
        CHECK(record.number > before, "%" PRIu64, record.number);
        CHECK(record.until >= entry.address && record.until <= kit_committed(kit).until,
              "%" PRIu64, record.until);
        CHECK(record.durable <= entry.address, "%" PRIu64, record.durable);
        ++*count;
    }
    CHECK_INT(result, FASTER_NOT_FOUND);
    CHECK_U64(data, kit->count);
    faster_flog_scan_free(scan);
    return record;
}

static void records_carry_a_cookie(void) {
    struct kit *kit = kit_new();
    static uint8_t room[16384];
    static uint8_t cookie[FASTER_FLOG_COOKIE_MAX + 1];
    struct faster_flog_commit commit;
    uint64_t count = 0;
    kit->page_size = 65536;
    kit->memory = 4 * 65536;
    kit_start(kit);
    kit_payload(1, cookie, sizeof cookie);
    for (uint64_t turn = 0; turn < 20; turn++) {
        uint64_t size = turn * FASTER_FLOG_COOKIE_MAX / 19;
        if (turn % 3 != 0) { /* also without any entry since the last one */
            (void)kit_append(kit, kit->count, turn);
        }
        CHECK_INT(faster_flog_commit_strong(kit->log, size != 0 ? cookie : NULL, size,
                                            KIT_WAIT_MS, &commit),
                  FASTER_OK);
        CHECK_U64(commit.number, turn + 1);
        CHECK_U64(kit_committed(kit).until, commit.until);
        struct faster_flog_record record = last_record(kit, room, &count);
        CHECK_U64(count, turn + 1);
        CHECK_U64(record.number, commit.number);
        CHECK_U64(record.begin, FASTER_FLOG_FIRST);
        CHECK_U64(record.cookie_size, size);
        CHECK(size == 0 || memcmp(record.cookie, cookie, size) == 0, "%s", "cookie");
        CHECK_U64(record.attachment_size, 0);
    }
    CHECK_INT(faster_flog_commit_strong(kit->log, cookie, FASTER_FLOG_COOKIE_MAX + 1,
                                        KIT_WAIT_MS, &commit),
              FASTER_E_VALUE_SIZE);
    kit_free(kit);
}

static void records_carry_what_is_attached(void) {
    struct kit *kit = kit_new();
    static uint8_t room[16384];
    static uint8_t bytes[FASTER_FLOG_ATTACHMENT_MAX + 1];
    struct faster_flog_commit commit;
    uint64_t count = 0;
    kit->page_size = 65536;
    kit->memory = 4 * 65536;
    kit_start(kit);
    kit_payload(2, bytes, sizeof bytes);
    for (uint64_t turn = 0; turn < 12; turn++) {
        uint64_t size = turn * FASTER_FLOG_ATTACHMENT_MAX / 11;
        if (turn % 2 == 0) { /* it stays attached */
            CHECK_INT(faster_flog_attach(kit->log, bytes, size), FASTER_OK);
        } else {
            size = (turn - 1) * FASTER_FLOG_ATTACHMENT_MAX / 11;
        }
        (void)kit_append(kit, kit->count, 1);
        if (turn % 3 == 0) {
            CHECK_INT(
                faster_flog_commit_strong(kit->log, "ab", 2, KIT_WAIT_MS, &commit),
                FASTER_OK);
        } else {
            (void)kit_commit(kit);
        }
        struct faster_flog_record record = last_record(kit, room, &count);
        CHECK_U64(record.attachment_size, size);
        CHECK(size == 0 || memcmp(record.attachment, bytes, size) == 0, "%s", "bytes");
        CHECK_U64(record.cookie_size, turn % 3 == 0 ? 2 : 0);
    }
    CHECK_INT(faster_flog_attach(kit->log, bytes, FASTER_FLOG_ATTACHMENT_MAX + 1),
              FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_flog_attach(kit->log, NULL, 0), FASTER_OK);
    (void)kit_append(kit, kit->count, 1);
    (void)kit_commit(kit);
    CHECK_U64(last_record(kit, room, &count).attachment_size, 0);
    kit_free(kit);
}

/* The largest cookie beside the largest attachment, wherever in the page that falls. */
static void records_of_the_largest_kind(void) {
    struct kit *kit = kit_new();
    static uint8_t bytes[FASTER_FLOG_ATTACHMENT_MAX];
    struct faster_flog_commit commit;
    uint64_t count = 0;
    kit->page_size = 65536;
    kit->memory = 4 * 65536;
    kit_start(kit);
    CHECK_INT(faster_flog_attach(kit->log, bytes, sizeof bytes), FASTER_OK);
    for (uint64_t turn = 0; turn < 40; turn++) {
        (void)kit_append(kit, kit->count, turn * 401);
        CHECK_INT(faster_flog_commit_strong(kit->log, bytes, FASTER_FLOG_COOKIE_MAX,
                                            KIT_WAIT_MS, &commit),
                  FASTER_OK);
    }
    struct faster_flog_scan_config config = {.size = sizeof config, .commits = 1};
    struct faster_flog_scan *scan = NULL;
    struct faster_flog_entry entry;
    CHECK_INT(faster_flog_scan_open(kit->log, &config, &scan), FASTER_OK);
    while (kit_next(scan, &entry) == FASTER_OK) {
        count += entry.kind == FASTER_FLOG_COMMIT;
    }
    CHECK_U64(count, 40);
    faster_flog_scan_free(scan);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* In small pages less fits, and what does not is refused when it is given. */
static void records_in_small_pages(void) {
    struct kit *kit = kit_open();
    static uint8_t bytes[KIT_PAGE];
    struct faster_flog_commit commit;
    uint64_t max = faster_flog_payload_max(kit->log);
    CHECK_INT(faster_flog_attach(kit->log, bytes, max / 4 + 1), FASTER_E_VALUE_SIZE);
    CHECK_INT(faster_flog_attach(kit->log, bytes, max / 4), FASTER_OK);
    CHECK_INT(
        faster_flog_commit_strong(kit->log, bytes, max / 8 + 1, KIT_WAIT_MS, &commit),
        FASTER_E_VALUE_SIZE);
    for (uint64_t i = 0; i < 300; i++) {
        (void)kit_append(kit, kit->count, i * 11);
        CHECK_INT(
            faster_flog_commit_strong(kit->log, bytes, max / 8, KIT_WAIT_MS, &commit),
            FASTER_OK);
        CHECK_U64(commit.number, i + 1);
    }
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

static uint64_t samples_of(struct kit *kit, uint32_t timed) {
    struct faster_histogram histogram;
    uint64_t samples = 0;
    CHECK_INT(faster_flog_histogram(kit->log, timed, &histogram), FASTER_OK);
    for (int i = 0; i < 64; i++) {
        samples += histogram.counts[i];
    }
    return samples;
}

/* Each commit, and each request that it took; one that had nothing to do is none. */
static void each_commit_is_timed(void) {
    struct kit *kit = open_recorded();
    struct faster_histogram histogram;
    struct faster_flog_commit commit;
    for (uint64_t i = 1; i <= 20; i++) {
        (void)kit_append(kit, kit->count, i * 11);
        (void)kit_commit(kit);
        uint64_t until = kit_committed(kit).until;
        CHECK_INT(faster_flog_commit(kit->log, until, KIT_WAIT_MS, &commit), FASTER_OK);
        CHECK_U64(samples_of(kit, FASTER_FLOG_TIMED_COMMIT), i);
        CHECK_U64(samples_of(kit, FASTER_FLOG_TIMED_DEVICE_WRITE),
                  record_kinds(kit, FASTER_KIND_WRITE));
        CHECK_U64(samples_of(kit, FASTER_FLOG_TIMED_DEVICE_SYNC),
                  record_kinds(kit, FASTER_KIND_SYNC));
    }
    CHECK_INT(faster_flog_histogram(kit->log, 0, &histogram), -EINVAL);
    CHECK_INT(
        faster_flog_histogram(kit->log, FASTER_FLOG_TIMED_DEVICE_SYNC + 1, &histogram),
        -EINVAL);
    kit_free(kit);
}

HARNESS_MAIN(TEST(d1_durable_when_it_returns), TEST(d1_up_to_an_address),
             TEST(d1_nothing_to_commit), TEST(l5_ends_are_ends_of_sectors),
             TEST(l5_every_distance_to_the_end), TEST(d1_commits_share_a_sync),
             TEST(d1_a_timeout_loses_nothing), TEST(d1_several_in_flight),
             TEST(records_carry_a_cookie), TEST(records_carry_what_is_attached),
             TEST(records_of_the_largest_kind), TEST(records_in_small_pages),
             TEST(each_commit_is_timed))
