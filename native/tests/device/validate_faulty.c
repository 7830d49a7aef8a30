/* SPDX-License-Identifier: MIT */
/* faulty.h: what each fault does to a request. */
#include "device/kit.h"

enum { BLOCK = 512 };

/* A faulty device before memory, in the hands of a probe. */
struct bench {
    struct faster_device *memory;
    struct faster_faulty *faulty;
    struct faster_probe *probe;
};

static struct bench bench_of(const struct faster_fault_rule *rules, uint32_t count) {
    struct bench bench = {.memory = kit_memory()};
    struct faster_faulty_config config = {
        .size = sizeof config, .rules = rules, .rules_count = count, .seed = 1};
    CHECK_INT(faster_faulty_open(&config, bench.memory, &bench.faulty), 0);
    bench.probe = kit_probe(faster_faulty_device(bench.faulty));
    return bench;
}

static struct bench bench_with(uint32_t kinds, uint32_t fault, int64_t argument) {
    struct faster_fault_rule rule = {
        .kinds = kinds, .fault = fault, .argument = argument, .times = 1};
    return bench_of(&rule, 1);
}

/* Exactly the one fault was injected. */
static void end(struct bench *bench) {
    CHECK_U64(faster_faulty_fired(bench->faulty, 0), 1);
    (void)faster_probe_close(bench->probe);
    faster_probe_free(bench->probe);
    faster_faulty_free(bench->faulty);
    faster_device_free(bench->memory);
}

static void holds(struct bench *bench, uint64_t offset, int fill, uint64_t length) {
    uint64_t ticket = kit_read(bench->probe, offset, length);
    kit_ended(bench->probe, ticket, FASTER_DEVICE_DONE, length);
    kit_filled(bench->probe, ticket, fill, length);
}

static void wrote(struct bench *bench, uint64_t offset, int fill, uint64_t length) {
    kit_ended(bench->probe, kit_write(bench->probe, offset, fill, length),
              FASTER_DEVICE_DONE, length);
}

static void i1_without_a_rule_nothing_is_different(void) {
    struct bench bench = bench_of(NULL, 0);
    wrote(&bench, 0, 1, 4 * BLOCK);
    holds(&bench, BLOCK, 1, BLOCK);
    kit_ended(bench.probe, kit_sync(bench.probe), FASTER_DEVICE_DONE, 0);
    CHECK_INT(faster_probe_truncate_before(bench.probe, BLOCK), 0);
    CHECK_INT(faster_probe_device_wait(bench.probe, UINT32_MAX), 0);
    struct faster_faulty_stats stats;
    faster_faulty_stats(bench.faulty, &stats);
    CHECK_U64(stats.reads, 1);
    CHECK_U64(stats.writes, 1);
    CHECK_U64(stats.syncs, 1);
    CHECK_U64(stats.truncates, 1);
    CHECK_U64(stats.injected, 0);
    CHECK_INT(faster_probe_close(bench.probe), 0);
    faster_probe_free(bench.probe);
    faster_faulty_free(bench.faulty);
    faster_device_free(bench.memory);
}

/* F05, F09: a write refused, once. */
static void refuse_is_the_submissions_answer(void) {
    uint8_t bytes[BLOCK] = {1};
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_REFUSE, -ENOSPC);
    uint64_t ticket;
    CHECK_INT(faster_probe_write(bench.probe, 0, bytes, BLOCK, 0, 0, &ticket), -ENOSPC);
    CHECK_U64(faster_probe_completed(bench.probe), 0);
    kit_ended(bench.probe, kit_read(bench.probe, 0, BLOCK), FASTER_DEVICE_DONE, 0);
    wrote(&bench, 0, 2, BLOCK);
    end(&bench);
}

/* F05, F07: an I/O error, and nothing done. */
static void fail_completes_without_doing(void) {
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_FAIL, -EIO);
    kit_ended(bench.probe, kit_write(bench.probe, 0, 1, BLOCK), -EIO, 0);
    kit_ended(bench.probe, kit_read(bench.probe, 0, BLOCK), FASTER_DEVICE_DONE, 0);
    wrote(&bench, 0, 2, BLOCK);
    end(&bench);
}

static void a_sync_fails_once_then_works(void) {
    struct bench bench = bench_with(FASTER_KIND_SYNC, FASTER_FAULT_FAIL, -EIO);
    kit_ended(bench.probe, kit_sync(bench.probe), -EIO, 0);
    kit_ended(bench.probe, kit_sync(bench.probe), FASTER_DEVICE_DONE, 0);
    end(&bench);
}

/* F79: 0 and made-up codes. */
static void code_does_and_says_something_else(void) {
    static const int32_t codes[] = {0, 1, 12345, -EIO, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_CODE, codes[i]);
        kit_ended(bench.probe, kit_write(bench.probe, 0, 1, BLOCK), codes[i], BLOCK);
        holds(&bench, 0, 1, BLOCK);
        end(&bench);
    }
}

static void bytes_lies_about_the_count(void) {
    struct bench bench = bench_with(FASTER_KIND_READ, FASTER_FAULT_BYTES, 10 * BLOCK);
    wrote(&bench, 0, 1, BLOCK);
    kit_ended(bench.probe, kit_read(bench.probe, 0, BLOCK), FASTER_DEVICE_DONE,
              10 * BLOCK);
    holds(&bench, 0, 1, BLOCK);
    end(&bench);
}

/* F01, F02, F03: short by so many, or nothing at all. */
static void short_moves_only_a_part(void) {
    static const struct {
        int64_t argument;
        uint64_t moved;
    } cases[] = {{0, 0}, {1, 1}, {-1, BLOCK - 1}, {700, BLOCK}, {-700, 0}, {100, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench =
            bench_with(FASTER_KIND_WRITE, FASTER_FAULT_SHORT, cases[i].argument);
        uint64_t moved = cases[i].moved;
        kit_ended(bench.probe, kit_write(bench.probe, 0, 1, BLOCK), FASTER_DEVICE_DONE,
                  moved);
        uint64_t read = kit_read(bench.probe, 0, BLOCK);
        kit_ended(bench.probe, read, FASTER_DEVICE_DONE, moved);
        kit_filled(bench.probe, read, 1, moved);
        end(&bench);
        bench = bench_with(FASTER_KIND_READ, FASTER_FAULT_SHORT, cases[i].argument);
        wrote(&bench, 0, 1, BLOCK);
        kit_ended(bench.probe, kit_read(bench.probe, 0, BLOCK), FASTER_DEVICE_DONE,
                  moved);
        end(&bench);
    }
}

/* F77: the later request ends first. */
static void f77_hold_waits_for_release(void) {
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_HOLD, 0);
    uint64_t held = kit_write(bench.probe, 0, 1, BLOCK);
    wrote(&bench, 0, 2, BLOCK);
    kit_in_flight(bench.probe, held);
    CHECK_INT(faster_probe_device_wait(bench.probe, 1), 0);
    CHECK_INT(faster_faulty_release(bench.faulty), 1);
    kit_ended(bench.probe, held, FASTER_DEVICE_DONE, BLOCK);
    holds(&bench, 0, 1, BLOCK);
    CHECK_INT(faster_faulty_release(bench.faulty), 0);
    end(&bench);
}

static void f77_hold_waits_for_so_many_requests(void) {
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_HOLD, 3);
    uint64_t held = kit_write(bench.probe, 0, 1, BLOCK);
    (void)kit_sync(bench.probe);
    wrote(&bench, BLOCK, 2, BLOCK);
    kit_in_flight(bench.probe, held);
    (void)kit_sync(bench.probe);
    kit_ended(bench.probe, held, FASTER_DEVICE_DONE, BLOCK);
    end(&bench);
}

static void what_is_held_is_done_by_close(void) {
    struct bench bench = bench_with(FASTER_KIND_SYNC, FASTER_FAULT_HOLD, 0);
    uint64_t held = kit_sync(bench.probe);
    CHECK_INT(faster_probe_close(bench.probe), 0);
    kit_ended(bench.probe, held, FASTER_DEVICE_DONE, 0);
    CHECK_INT(faster_probe_close(bench.probe), FASTER_E_CLOSED);
    end(&bench);
}

/* F76: one request never ends, until close. */
static void i3_f76_never_ends_with_close(void) {
    struct bench bench = bench_with(FASTER_KIND_READ, FASTER_FAULT_NEVER, 0);
    uint64_t never = kit_read(bench.probe, 0, BLOCK);
    struct faster_faulty_stats stats;
    faster_faulty_stats(bench.faulty, &stats);
    CHECK_U64(stats.waiting, 1);
    CHECK_INT(faster_probe_wait(bench.probe, never, 30), FASTER_E_TIMEOUT);
    CHECK_INT(faster_faulty_release(bench.faulty), 0);
    CHECK_INT(faster_probe_close(bench.probe), 0);
    kit_ended(bench.probe, never, -ECANCELED, 0);
    end(&bench);
}

/* F78, each of its four. */
static void f78_twice_completes_two_times(void) {
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_TWICE, 0);
    uint64_t ticket = kit_write(bench.probe, 0, 1, BLOCK);
    CHECK_U64(kit_result(bench.probe, ticket).completions, 2);
    CHECK_INT(kit_result(bench.probe, ticket).code, FASTER_DEVICE_DONE);
    end(&bench);
}

static void f78_late_completes_after_close(void) {
    struct bench bench = bench_with(FASTER_KIND_READ, FASTER_FAULT_LATE, 0);
    uint64_t late = kit_read(bench.probe, 0, BLOCK);
    CHECK_INT(faster_faulty_release(bench.faulty), 0);
    CHECK_INT(faster_probe_close(bench.probe), 0);
    kit_in_flight(bench.probe, late);
    CHECK_INT(faster_faulty_release(bench.faulty), 1);
    kit_ended(bench.probe, late, FASTER_DEVICE_DONE, 0);
    end(&bench);
    /* Or never: freeing forgets it. */
    bench = bench_with(FASTER_KIND_READ, FASTER_FAULT_LATE, 0);
    late = kit_read(bench.probe, 0, BLOCK);
    CHECK_INT(faster_probe_close(bench.probe), 0);
    kit_in_flight(bench.probe, late);
    end(&bench);
}

static void f78_foreign_completes_on_another_thread(void) {
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_FOREIGN, 0);
    uint64_t ticket = kit_write(bench.probe, 0, 1, BLOCK);
    kit_ended(bench.probe, ticket, FASTER_DEVICE_DONE, BLOCK);
    CHECK_U64(kit_result(bench.probe, ticket).foreign, 1);
    end(&bench);
}

/* Behind it is a device that would complete later. */
static void f78_inline_completes_inside_the_submission(void) {
    struct faster_fault_rule hold = {.fault = FASTER_FAULT_FOREIGN};
    struct faster_fault_rule now = {.fault = FASTER_FAULT_INLINE, .nth = 2};
    struct bench bench = bench_of(&hold, 1);
    struct faster_faulty_config config = {
        .size = sizeof config, .rules = &now, .rules_count = 1};
    struct faster_faulty *outer;
    CHECK_INT(faster_faulty_open(&config, faster_faulty_device(bench.faulty), &outer),
              0);
    struct faster_probe *probe = kit_probe(faster_faulty_device(outer));
    kit_ended(probe, kit_sync(probe), FASTER_DEVICE_DONE, 0);
    uint64_t ticket = kit_write(probe, 0, 1, BLOCK);
    CHECK_U64(kit_result(probe, ticket).inside, 1);
    CHECK_U64(kit_result(probe, ticket).foreign, 0);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
    faster_faulty_free(outer);
    CHECK_INT(faster_probe_close(bench.probe), FASTER_E_CLOSED);
    faster_probe_free(bench.probe);
    faster_faulty_free(bench.faulty);
    faster_device_free(bench.memory);
}

static void flip_changes_one_bit(void) {
    struct bench bench = bench_with(FASTER_KIND_READ, FASTER_FAULT_FLIP, 8 * 100 + 3);
    wrote(&bench, 0, 0, BLOCK);
    uint64_t read = kit_read(bench.probe, 0, BLOCK);
    kit_ended(bench.probe, read, FASTER_DEVICE_DONE, BLOCK);
    uint8_t *bytes = faster_probe_buffer(bench.probe, read);
    CHECK_INT(bytes[100], 8);
    bytes[100] = 0;
    kit_filled(bench.probe, read, 0, BLOCK);
    holds(&bench, 0, 0, BLOCK);
    end(&bench);
    bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_FLIP, 8 * (BLOCK + 1));
    uint64_t write = kit_write(bench.probe, 0, 0, BLOCK);
    kit_ended(bench.probe, write, FASTER_DEVICE_DONE, BLOCK);
    kit_filled(bench.probe, write, 0, BLOCK); /* the log's own bytes are untouched */
    holds(&bench, 0, 0, 1);
    holds(&bench, 1, 1, 1);
    holds(&bench, 2, 0, BLOCK - 2);
    end(&bench);
}

static void drop_does_nothing_and_says_done(void) {
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_DROP, 0);
    wrote(&bench, 0, 1, BLOCK);
    kit_ended(bench.probe, kit_read(bench.probe, 0, BLOCK), FASTER_DEVICE_DONE, 0);
    end(&bench);
}

static void tear_writes_only_some_sectors(void) {
    struct faster_fault_rule rule = {
        .fault = FASTER_FAULT_TEAR, .mask = 1, .argument = 1, .nth = 2, .times = 1};
    struct bench bench = bench_of(&rule, 1);
    wrote(&bench, 0, 1, 4 * BLOCK);
    wrote(&bench, 0, 2, 4 * BLOCK); /* only the last sector is */
    holds(&bench, 0, 1, 3 * BLOCK);
    holds(&bench, 3 * BLOCK, 2, BLOCK);
    end(&bench);
    rule.argument = 0;
    rule.mask = 5;
    bench = bench_of(&rule, 1);
    wrote(&bench, 0, 1, 3 * BLOCK + 100);
    wrote(&bench, 0, 2, 3 * BLOCK + 100);
    holds(&bench, 0, 2, BLOCK);
    holds(&bench, BLOCK, 1, BLOCK);
    holds(&bench, 2 * BLOCK, 2, BLOCK);
    holds(&bench, 3 * BLOCK, 1, 100);
    end(&bench);
}

static void misdirect_goes_elsewhere(void) {
    struct bench bench = bench_with(FASTER_KIND_WRITE, FASTER_FAULT_MISDIRECT, -BLOCK);
    wrote(&bench, BLOCK, 1, BLOCK);
    holds(&bench, 0, 1, BLOCK);
    kit_ended(bench.probe, kit_read(bench.probe, BLOCK, BLOCK), FASTER_DEVICE_DONE, 0);
    end(&bench);
}

static void stale_reads_what_was_there_before(void) {
    struct faster_fault_rule rule = {.fault = FASTER_FAULT_STALE, .nth = 2, .times = 1};
    struct bench bench = bench_of(&rule, 1);
    wrote(&bench, 0, 1, 2 * BLOCK);
    wrote(&bench, BLOCK, 2, BLOCK);
    holds(&bench, BLOCK, 2, BLOCK);
    holds(&bench, 0, 1, 2 * BLOCK); /* the second half is 2 by now */
    holds(&bench, BLOCK, 2, BLOCK);
    end(&bench);
}

static void truncation_fails_as_told(void) {
    struct bench bench = bench_with(FASTER_KIND_TRUNCATE, FASTER_FAULT_FAIL, -EIO);
    wrote(&bench, 0, 1, 3 * 4096);
    CHECK_INT(faster_probe_truncate_before(bench.probe, 4096), -EIO);
    holds(&bench, 0, 1, BLOCK);
    CHECK_INT(faster_probe_truncate_before(bench.probe, 4096), 0);
    holds(&bench, 0, 0, BLOCK);
    end(&bench);
    bench = bench_with(FASTER_KIND_TRUNCATE, FASTER_FAULT_DROP, 0);
    wrote(&bench, 0, 1, 3 * 4096);
    CHECK_INT(faster_probe_truncate_before(bench.probe, 4096), 0);
    holds(&bench, 0, 1, BLOCK);
    end(&bench);
}

/* F81: the table claims what is not true. */
static void f81_the_table_says_what_it_is_told(void) {
    struct faster_device *memory = kit_memory();
    struct faster_faulty *faulty;
    struct faster_faulty_config config = {
        .size = sizeof config,
        .capabilities_set = FASTER_DEVICE_FLUSHES,
        .capabilities_clear = FASTER_DEVICE_VOLATILE,
        .max_io = 4096,
        .sector_size = 1024,
        .alignment = 8,
    };
    CHECK_INT(faster_faulty_open(&config, memory, &faulty), 0);
    const struct faster_device *device = faster_faulty_device(faulty);
    CHECK_U64(device->capabilities, FASTER_DEVICE_FLUSHES | FASTER_DEVICE_TRUNCATES);
    CHECK_U64(device->max_io, 4096);
    CHECK_U64(device->sector_size, 1024);
    CHECK_U64(device->alignment, 8);
    CHECK_INT(faster_device_close(device), 0);
    faster_faulty_free(faulty);
    faster_device_free(memory);
}

HARNESS_MAIN(TEST(i1_without_a_rule_nothing_is_different),
             TEST(refuse_is_the_submissions_answer), TEST(fail_completes_without_doing),
             TEST(a_sync_fails_once_then_works),
             TEST(code_does_and_says_something_else), TEST(bytes_lies_about_the_count),
             TEST(short_moves_only_a_part), TEST(f77_hold_waits_for_release),
             TEST(f77_hold_waits_for_so_many_requests),
             TEST(what_is_held_is_done_by_close), TEST(i3_f76_never_ends_with_close),
             TEST(f78_twice_completes_two_times), TEST(f78_late_completes_after_close),
             TEST(f78_foreign_completes_on_another_thread),
             TEST(f78_inline_completes_inside_the_submission),
             TEST(flip_changes_one_bit), TEST(drop_does_nothing_and_says_done),
             TEST(tear_writes_only_some_sectors), TEST(misdirect_goes_elsewhere),
             TEST(stale_reads_what_was_there_before), TEST(truncation_fails_as_told),
             TEST(f81_the_table_says_what_it_is_told))
