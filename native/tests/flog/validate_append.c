/* SPDX-License-Identifier: MIT */
/* validate_append.c: what was appended is there, as it was, and nothing else is. */
#include "flog/kit.h"

/* An entry without bytes is an entry, also a thousand of them. */
static void entries_may_be_empty(void) {
    struct kit *kit = kit_open();
    uint64_t address = 0;
    uint64_t end = 0;
    CHECK_INT(faster_flog_append(kit->log, NULL, 0, &address, &end), FASTER_OK);
    CHECK_U64(address, FASTER_FLOG_FIRST);
    CHECK_U64(end, FASTER_FLOG_FIRST + FASTER_FLOG_HEADER);
    kit_remember(kit, (struct kit_entry){0, 0, address, end});
    for (uint64_t i = 1; i < 1000; i++) {
        (void)kit_append(kit, i, 0);
    }
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    CHECK_U64(kit_stats(kit).entries, 1000);
    CHECK_U64(kit_stats(kit).bytes, 0);
    kit_free(kit);
}

/* Every size from 0 to three sectors; ends are where the rule says, addresses grow. */
static void entries_of_every_size(void) {
    struct kit *kit = kit_open();
    uint64_t bytes = 0;
    uint64_t last = 0;
    for (uint64_t size = 0; size < 1536; size++) {
        struct kit_entry entry = kit_append(kit, size, size);
        CHECK(entry.address >= last, "%" PRIu64 " < %" PRIu64, entry.address, last);
        CHECK_U64(entry.end, (entry.address + FASTER_FLOG_HEADER + size + 7) & ~7ull);
        CHECK_U64(entry.address / KIT_PAGE, (entry.end - 1) / KIT_PAGE);
        last = entry.end;
        bytes += size;
        if (size % 100 == 99) {
            (void)kit_commit(kit);
        }
    }
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    CHECK_U64(kit_stats(kit).bytes, bytes);
    kit_free(kit);
}

/* What is behind a payload is zeros, whatever was in the ring there before. */
static void entries_are_padded_with_zeros(void) {
    struct kit *kit = kit_open();
    static uint8_t bytes[KIT_PAGE];
    for (uint64_t i = 0; i < 3000; i++) {
        (void)kit_append(kit, i, i * 13 % 100);
    }
    (void)kit_commit(kit);
    for (uint64_t i = 0; i < kit->count; i++) {
        const struct kit_entry *entry = &kit->entries[i];
        uint64_t used = FASTER_FLOG_HEADER + entry->size;
        kit_peek(kit, entry->address, bytes, entry->end - entry->address);
        for (uint64_t at = used; at < entry->end - entry->address; at++) {
            CHECK(bytes[at] == 0, "byte %" PRIu64 " behind entry %" PRIu64, at - used,
                  i);
        }
    }
    kit_free(kit);
}

/* The largest payload goes in, one byte more does not and changes nothing. */
static void entries_up_to_a_page(void) {
    struct kit *kit = kit_open();
    uint64_t max = faster_flog_payload_max(kit->log);
    uint64_t address = 77;
    uint64_t end = 77;
    static uint8_t data[KIT_PAGE + 1];
    CHECK_U64(max, KIT_PAGE - 64 - FASTER_FLOG_HEADER);
    for (uint64_t i = 0; i < 20; i++) {
        (void)kit_append(kit, kit->count, max);
        CHECK_INT(faster_flog_append(kit->log, data, max + 1, &address, &end),
                  FASTER_E_VALUE_SIZE);
        CHECK_INT(faster_flog_append(kit->log, data, UINT64_MAX - i, &address, &end),
                  FASTER_E_VALUE_SIZE);
        (void)kit_append(kit, kit->count, i);
        (void)kit_append(kit, kit->count, max - i);
    }
    CHECK_U64(address, 77); /* results are written on success only */
    CHECK_U64(end, 77);
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* D2: without a commit far more fits than memory; pages that are full are written. */
static void d2_more_than_memory_needs_no_commit(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(1);
    kit_fill(kit, &rng, 2000, 300);
    CHECK_U64(kit_stats(kit).syncs, 0);
    CHECK(kit_stats(kit).address_tail > 4 * (uint64_t)KIT_MEMORY, "%" PRIu64,
          kit_stats(kit).address_tail);
    CHECK(kit_stats(kit).memory_used <= KIT_MEMORY, "%" PRIu64,
          kit_stats(kit).memory_used);
    kit_holds(kit, 0, 0); /* nothing is committed, nothing is seen */
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* D2: when no write ends there is no room in the end; once writes end there is. */
static void d2_no_room_is_retry(void) {
    struct faster_fault_rule hold = {.kinds = FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_HOLD};
    struct kit *kit = kit_new();
    static uint8_t data[1000];
    struct kit_entry entry = {.size = sizeof data};
    kit->rules = &hold;
    kit->rules_count = 1;
    kit_start(kit);
    for (;;) { /* ends: memory does */
        entry.number = kit->count;
        kit_payload(entry.number, data, sizeof data);
        int result =
            faster_flog_append(kit->log, data, sizeof data, &entry.address, &entry.end);
        if (result == FASTER_OK) {
            CHECK(entry.end <= 2 * (uint64_t)KIT_MEMORY, "%" PRIu64, entry.end);
            kit_remember(kit, entry);
            continue;
        }
        CHECK_INT(result, FASTER_RETRY);
        if (kit_held(kit) > 0 && faster_flog_wait(kit->log, 200) != FASTER_OK) {
            break; /* writes are what it waits for */
        }
    }
    CHECK(kit->count > 3, "%" PRIu64, kit->count);
    CHECK_INT(faster_flog_wait(kit->log, 1), FASTER_E_TIMEOUT);
    while (faster_flog_wait(kit->log, 0) != FASTER_OK) { /* ends: writes are let go */
        (void)faster_faulty_release(kit->faulty);
    }
    kit_lift(kit);
    (void)kit_append(kit, kit->count, 1000);
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    kit_free(kit);
}

/* --- batches ---------------------------------------------------------------------- */

enum { BATCH = 500 };

struct many {
    uint8_t data[BATCH * 64];
    uint64_t offsets[BATCH + 1];
    uint64_t addresses[BATCH];
};

static struct many *many_new(struct kit *kit, struct rng *rng, uint64_t count) {
    struct many *many = calloc(1, sizeof *many);
    CHECK(many != NULL, "%s", "no memory");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size = rng_below(rng, 64);
        kit_payload(kit->count + i, many->data + many->offsets[i], size);
        many->offsets[i + 1] = many->offsets[i] + size;
    }
    return many;
}

/* What a batch has appended, from its addresses. */
static void many_remember(struct kit *kit, const struct many *many, uint64_t done) {
    for (uint64_t i = 0; i < done; i++) {
        uint64_t size = many->offsets[i + 1] - many->offsets[i];
        uint64_t address = many->addresses[i];
        uint64_t end = (address + FASTER_FLOG_HEADER + size + 7) & ~(uint64_t)7;
        kit_remember(kit, (struct kit_entry){kit->count, size, address, end});
    }
}

static void batches_are_entries_in_order(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(2);
    for (uint64_t turn = 0; turn < 20; turn++) {
        struct many *many = many_new(kit, &rng, BATCH);
        struct faster_flog_batch batch = {
            many->data, many->offsets, BATCH, many->addresses, 0, 0};
        uint64_t done = 0;
        uint64_t end = 0;
        CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
                  FASTER_OK);
        CHECK_U64(done, BATCH);
        many_remember(kit, many, done);
        CHECK_U64(end, kit->entries[kit->count - 1].end);
        (void)kit_append(kit, kit->count, turn);
        free(many);
    }
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    CHECK_U64(kit_stats(kit).entries, kit->count);
    kit_free(kit);
}

/* No addresses are asked for, or there is nothing to append. */
static void batches_may_be_empty(void) {
    struct kit *kit = kit_open();
    uint64_t offsets[3] = {5, 5, 5};
    uint64_t done = 9;
    uint64_t end = 0;
    for (uint32_t atomic = 0; atomic < 2; atomic++) {
        struct faster_flog_batch batch = {"bytes", offsets, 0, NULL, atomic, 0};
        done = 9;
        CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
                  FASTER_OK);
        CHECK_U64(done, 0);
        batch.count = 2;
        CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
                  FASTER_OK);
        CHECK_U64(done, 2);
    }
    CHECK_U64(kit_stats(kit).entries, 4);
    CHECK_U64(end, FASTER_FLOG_FIRST + 4 * FASTER_FLOG_HEADER);
    kit_free(kit);
}

/* Offsets that descend, or an entry that is too large: what was done is told, and the
 * log holds exactly that. */
static void batches_that_are_wrong(void) {
    struct kit *kit = kit_open();
    static uint8_t data[2 * KIT_PAGE];
    uint64_t large[4] = {0, 10, 10 + KIT_PAGE, 20 + KIT_PAGE};
    uint64_t descending[4] = {0, 10, 5, 20};
    uint64_t before = 0;
    for (uint32_t atomic = 0; atomic < 2; atomic++) {
        struct faster_flog_batch batch = {data, descending, 3, NULL, atomic, 0};
        uint64_t done = 0;
        uint64_t end = 0;
        CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
                  -EINVAL);
        CHECK(done <= (atomic != 0 ? 0 : 1), "%" PRIu64, done);
        CHECK_U64(kit_stats(kit).entries, before + done);
        before += done;
        batch.offsets = large;
        done = 0;
        CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
                  FASTER_E_VALUE_SIZE);
        CHECK(done <= (atomic != 0 ? 0 : 1), "%" PRIu64, done);
        CHECK_U64(kit_stats(kit).entries, before + done);
        before += done;
    }
    kit_free(kit);
}

/* An atomic batch is in one piece, whatever came before it; too much for a page is not
 * taken at all. */
static void batches_may_be_atomic(void) {
    struct kit *kit = kit_open();
    struct rng rng = rng_stream(3);
    for (uint64_t turn = 0; turn < 200; turn++) {
        uint64_t count = 1 + rng_below(&rng, 45);
        struct many *many = many_new(kit, &rng, count);
        struct faster_flog_batch batch = {
            many->data, many->offsets, count, many->addresses, 1, 0};
        uint64_t done = 0;
        uint64_t end = 0;
        CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
                  FASTER_OK);
        CHECK_U64(done, count);
        many_remember(kit, many, done);
        for (uint64_t i = kit->count - count + 1; i < kit->count; i++) {
            CHECK_U64(kit->entries[i].address, kit->entries[i - 1].end);
        }
        CHECK_U64(end, kit->entries[kit->count - 1].end);
        CHECK_U64(many->addresses[0] / KIT_PAGE, (end - 1) / KIT_PAGE);
        if (turn % 7 == 0) {
            (void)kit_commit(kit);
        }
        free(many);
    }
    (void)kit_commit(kit);
    kit_holds(kit, 0, kit->count);
    struct many *many = many_new(kit, &rng, BATCH); /* 500 headers alone are a page */
    struct faster_flog_batch batch = {many->data, many->offsets, BATCH, NULL, 1, 0};
    uint64_t done = 0;
    uint64_t end = 0;
    CHECK_INT(faster_flog_append_many(kit->log, &batch, KIT_WAIT_MS, &done, &end),
              FASTER_E_VALUE_SIZE);
    CHECK_U64(done, 0);
    CHECK_U64(kit_stats(kit).entries, kit->count);
    free(many);
    kit_free(kit);
}

/* A batch larger than memory stops when its time is over, and goes on where it was. */
static void batches_go_on_after_a_timeout(void) {
    struct faster_fault_rule hold = {.kinds = FASTER_KIND_WRITE,
                                     .fault = FASTER_FAULT_HOLD};
    struct kit *kit = kit_new();
    enum { COUNT = 2000, SIZE = 90 };
    static uint8_t data[COUNT * SIZE];
    static uint64_t offsets[COUNT + 1];
    static uint64_t addresses[COUNT];
    kit->rules = &hold;
    kit->rules_count = 1;
    kit_start(kit);
    for (uint64_t i = 0; i < COUNT; i++) {
        kit_payload(i, data + i * SIZE, SIZE);
        offsets[i + 1] = (i + 1) * SIZE;
    }
    uint64_t taken = 0;
    uint64_t timeouts = 0;
    while (taken < COUNT) { /* ends: each turn lets writes go */
        struct faster_flog_batch batch = {
            data, offsets + taken, COUNT - taken, addresses + taken, 0, 0};
        uint64_t done = 0;
        uint64_t end = 0;
        int result = faster_flog_append_many(kit->log, &batch, 0, &done, &end);
        CHECK(result == FASTER_OK || result == FASTER_E_TIMEOUT, "%d", result);
        CHECK(result == FASTER_OK ? done == COUNT - taken : done < COUNT - taken,
              "%" PRIu64, done);
        taken += done;
        timeouts += result == FASTER_E_TIMEOUT;
        (void)faster_faulty_release(kit->faulty);
    }
    CHECK(timeouts > 2, "%" PRIu64, timeouts);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t end = (addresses[i] + FASTER_FLOG_HEADER + SIZE + 7) & ~(uint64_t)7;
        kit_remember(kit, (struct kit_entry){i, SIZE, addresses[i], end});
    }
    kit_lift(kit);
    (void)kit_commit(kit);
    kit_holds(kit, 0, COUNT);
    kit_free(kit);
}

/* --- opening ---------------------------------------------------------------------- */

static int try_open(struct kit *kit, const struct faster_flog_config *config) {
    struct faster_flog_config tried = *config;
    struct faster_flog *log = NULL;
    tried.device = kit_devices(kit);
    int result = faster_flog_open(&tried, &log);
    CHECK(result != FASTER_OK && log == NULL, "%d", result);
    if (result == FASTER_E_ABI) { /* what is in the struct is not known then */
        CHECK_INT(device_close(tried.device), 0);
    }
    kit_free_devices(kit); /* it was closed: else it would be left, and be reported */
    return result;
}

/* What makes no sense is refused, and the device is closed all the same. */
static void openings_are_checked(void) {
    struct kit *kit = kit_new();
    struct faster_flog_life two[2] = {{2, 64, 512}, {1, 512, 0}};
    struct faster_flog_config config = kit_config(kit);
    config.size = 4;
    CHECK_INT(try_open(kit, &config), FASTER_E_ABI);
    config = kit_config(kit);
    config.page_size = 5000;
    CHECK_INT(try_open(kit, &config), FASTER_E_CONFIG);
    config.page_size = 2048;
    CHECK_INT(try_open(kit, &config), FASTER_E_CONFIG);
    config.page_size = (uint64_t)2 << 30;
    CHECK_INT(try_open(kit, &config), FASTER_E_CONFIG);
    config = kit_config(kit);
    config.life_count = 0;
    CHECK_INT(try_open(kit, &config), FASTER_E_CONFIG);
    config = kit_config(kit);
    config.lives = two; /* generations that descend */
    config.life_count = 2;
    config.committed = 512;
    CHECK_INT(try_open(kit, &config), FASTER_E_CONFIG);
    kit->sector = KIT_PAGE / 2;
    config = kit_config(kit);
    CHECK_INT(try_open(kit, &config), -EINVAL); /* a page of two units */
    kit->sector = KIT_SECTOR;
    kit->lives[0] = (struct faster_flog_life){1, 520, 0};
    kit->committed = 520;
    config = kit_config(kit);
    CHECK_INT(try_open(kit, &config), -EINVAL); /* a life in the middle of a unit */
    kit->lives[0] = (struct faster_flog_life){1, FASTER_FLOG_FIRST, 0};
    kit->committed = FASTER_FLOG_FIRST;
    kit_start(kit);
    kit_free(kit);
}

/* Zeros in the configuration are what the header says. */
static void openings_have_defaults(void) {
    struct kit *kit = kit_new();
    kit->page_size = 0;
    kit->memory = 0;
    kit_start(kit);
    CHECK_U64(faster_flog_payload_max(kit->log), ((uint64_t)4 << 20) - 80);
    (void)kit_append(kit, 0, faster_flog_payload_max(kit->log));
    (void)kit_append(kit, 1, 3);
    (void)kit_commit(kit);
    kit_holds(kit, 0, 2);
    kit_free(kit);
}

/* Nothing can be appended to a log that is only read. */
static void openings_to_read_do_not_append(void) {
    struct kit *kit = kit_open();
    uint64_t address = 0;
    uint64_t end = 0;
    struct faster_flog_commit commit;
    (void)kit_append(kit, 0, 5);
    (void)kit_commit(kit);
    kit_stop(kit);
    kit->read_only = true;
    kit_start(kit);
    kit_holds(kit, 0, 1);
    CHECK_INT(faster_flog_append(kit->log, "x", 1, &address, &end), -EROFS);
    CHECK_INT(faster_flog_commit(kit->log, 0, 0, &commit), -EROFS);
    CHECK_INT(faster_flog_commit_strong(kit->log, NULL, 0, 0, &commit), -EROFS);
    CHECK_INT(faster_flog_begin_at(kit->log, kit->entries[0].end), -EROFS);
    CHECK_INT(faster_flog_free_space(kit->log), -EROFS);
    CHECK_INT(faster_flog_suspend(kit->log, 0), -EROFS);
    struct faster_faulty_stats stats;
    faster_faulty_stats(kit->faulty, &stats);
    CHECK_U64(stats.writes + stats.syncs + stats.truncates, 0);
    kit_free(kit);
}

HARNESS_MAIN(TEST(entries_may_be_empty), TEST(entries_of_every_size),
             TEST(entries_are_padded_with_zeros), TEST(entries_up_to_a_page),
             TEST(d2_more_than_memory_needs_no_commit), TEST(d2_no_room_is_retry),
             TEST(batches_are_entries_in_order), TEST(batches_may_be_empty),
             TEST(batches_that_are_wrong), TEST(batches_may_be_atomic),
             TEST(batches_go_on_after_a_timeout), TEST(openings_are_checked),
             TEST(openings_have_defaults), TEST(openings_to_read_do_not_append))
