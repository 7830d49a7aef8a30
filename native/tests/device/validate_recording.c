/* SPDX-License-Identifier: MIT */
/* recording.h: what is written down, and what follows from it. */
#include "device/kit.h"

enum { BLOCK = 512 };

struct bench {
    struct faster_device *memory;
    struct faster_faulty *faulty; /* to hold, refuse and fail what is recorded */
    struct faster_recording *recording;
    struct faster_probe *probe;
};

static struct bench bench_with(struct faster_recording_config config,
                               const struct faster_fault_rule *rules, uint32_t count) {
    struct bench bench = {.memory = kit_memory()};
    struct faster_faulty_config faults = {
        .size = sizeof faults, .rules = rules, .rules_count = count};
    config.size = sizeof config;
    CHECK_INT(faster_faulty_open(&faults, bench.memory, &bench.faulty), 0);
    CHECK_INT(faster_recording_open(&config, faster_faulty_device(bench.faulty),
                                    &bench.recording),
              0);
    bench.probe = kit_probe(faster_recording_device(bench.recording));
    return bench;
}

static struct bench bench_of(uint32_t flags) {
    return bench_with((struct faster_recording_config){.flags = flags}, NULL, 0);
}

static void end(struct bench *bench) {
    (void)faster_probe_close(bench->probe);
    faster_probe_free(bench->probe);
    faster_recording_free(bench->recording);
    faster_faulty_free(bench->faulty);
    faster_device_free(bench->memory);
}

static struct faster_recording_event event_at(struct bench *bench, uint64_t index) {
    struct faster_recording_event event;
    CHECK_INT(faster_recording_event(bench->recording, index, &event), FASTER_OK);
    return event;
}

static void every_request_is_written_down(void) {
    struct bench bench = bench_of(FASTER_RECORD_BYTES | FASTER_RECORD_READS);
    (void)kit_write(bench.probe, BLOCK, 3, BLOCK);
    (void)kit_sync(bench.probe);
    (void)kit_read(bench.probe, BLOCK, 2 * BLOCK);
    CHECK_INT(faster_probe_truncate_before(bench.probe, 77), 0);
    static const uint32_t kinds[] = {FASTER_KIND_WRITE, FASTER_KIND_SYNC,
                                     FASTER_KIND_READ, FASTER_KIND_TRUNCATE};
    CHECK_U64(faster_recording_count(bench.recording), 4);
    for (uint64_t i = 0; i < 4; i++) {
        struct faster_recording_event event = event_at(&bench, i);
        CHECK_U64(event.kind, kinds[i]);
        CHECK_U64(event.submitted, 2 * i + 1);
        CHECK_U64(event.completed, 2 * i + 2);
        CHECK_INT(event.result, 0);
        CHECK_INT(event.code, FASTER_DEVICE_DONE);
        CHECK_U64(event.completions, 1);
    }
    struct faster_recording_event write = event_at(&bench, 0);
    CHECK_U64(write.offset, BLOCK);
    CHECK_U64(write.length, BLOCK);
    CHECK_U64(write.moved, BLOCK);
    CHECK_INT(((const uint8_t *)write.bytes)[BLOCK - 1], 3);
    CHECK_U64(event_at(&bench, 2).moved, BLOCK);
    CHECK_U64(event_at(&bench, 3).offset, 77);
    struct faster_recording_event none;
    CHECK_INT(faster_recording_event(bench.recording, 4, &none), FASTER_NOT_FOUND);
    end(&bench);
}

static void reads_and_bytes_are_kept_only_when_asked_for(void) {
    struct bench bench = bench_of(0);
    (void)kit_write(bench.probe, 0, 'a', 1);
    (void)kit_read(bench.probe, 0, 1);
    CHECK_U64(faster_recording_count(bench.recording), 1);
    CHECK(event_at(&bench, 0).bytes == NULL, "%s", "bytes were kept");
    CHECK_U64(event_at(&bench, 0).hash, 0xaf63dc4c8601ec8cu); /* FNV-1a of "a" */
    end(&bench);
}

/* What a power cut spares: the rule by which a crash is simulated (V6). */
static void i1_i2_a_sync_covers_what_was_completed_before_it(void) {
    struct faster_fault_rule hold = {
        .kinds = FASTER_KIND_WRITE, .fault = FASTER_FAULT_HOLD, .nth = 2, .times = 1};
    struct bench bench = bench_with((struct faster_recording_config){0}, &hold, 1);
    (void)kit_write(bench.probe, 0, 1, BLOCK);
    (void)kit_write(bench.probe, BLOCK, 2, BLOCK);
    (void)kit_sync(bench.probe);
    CHECK_U64(event_at(&bench, 1).completed, 0);
    CHECK_INT(faster_recording_clear(bench.recording), -EBUSY);
    CHECK_INT(faster_faulty_release(bench.faulty), 1);
    struct faster_recording_event first = event_at(&bench, 0);
    struct faster_recording_event second = event_at(&bench, 1);
    struct faster_recording_event sync = event_at(&bench, 2);
    CHECK(first.completed < sync.submitted, "%" PRIu64, first.completed);
    CHECK(second.submitted < sync.submitted, "%" PRIu64, second.submitted);
    CHECK(second.completed > sync.submitted, "%" PRIu64, second.completed);
    end(&bench);
}

static void refused_and_failed_requests_are_told_apart(void) {
    static const struct faster_fault_rule rules[] = {
        {.kinds = FASTER_KIND_WRITE,
         .fault = FASTER_FAULT_REFUSE,
         .argument = -ENOSPC,
         .times = 1},
        {.kinds = FASTER_KIND_SYNC, .fault = FASTER_FAULT_FAIL, .argument = -EIO},
        {.kinds = FASTER_KIND_TRUNCATE, .fault = FASTER_FAULT_REFUSE, .argument = -1},
        {.kinds = FASTER_KIND_WRITE, .fault = FASTER_FAULT_TWICE}};
    struct bench bench = bench_with((struct faster_recording_config){0}, rules, 4);
    uint8_t bytes[BLOCK] = {0};
    uint64_t ticket;
    CHECK_INT(faster_probe_write(bench.probe, 0, bytes, BLOCK, 0, 0, &ticket), -ENOSPC);
    (void)kit_sync(bench.probe);
    CHECK_INT(faster_probe_truncate_before(bench.probe, 9), -1);
    (void)kit_write(bench.probe, 0, 1, BLOCK);
    CHECK_INT(event_at(&bench, 0).result, -ENOSPC);
    CHECK_U64(event_at(&bench, 0).completed, 0);
    CHECK_INT(event_at(&bench, 1).code, -EIO);
    CHECK_INT(event_at(&bench, 2).result, -1);
    CHECK_U64(event_at(&bench, 2).completed, 0);
    CHECK_U64(event_at(&bench, 3).completions, 2);
    CHECK_U64(kit_result(bench.probe, 2).completions, 2); /* handed on, both */
    CHECK_INT(faster_recording_clear(bench.recording), 0);
    end(&bench);
}

static void what_is_recorded_is_bounded(void) {
    struct faster_recording_config config = {
        .flags = FASTER_RECORD_BYTES, .events_max = 3, .bytes_max = BLOCK + 10};
    struct bench bench = bench_with(config, NULL, 0);
    for (int i = 0; i < 5; i++) {
        kit_ended(bench.probe, kit_write(bench.probe, 0, i, BLOCK), FASTER_DEVICE_DONE,
                  BLOCK);
    }
    CHECK_U64(faster_recording_count(bench.recording), 3);
    CHECK_U64(faster_recording_lost(bench.recording), 2);
    CHECK(event_at(&bench, 0).bytes != NULL, "%s", "there was room for the first");
    CHECK(event_at(&bench, 1).bytes == NULL, "%s", "there was none for the second");
    CHECK(event_at(&bench, 1).hash != event_at(&bench, 2).hash, "%s", "same hash");
    CHECK_INT(faster_recording_clear(bench.recording), 0);
    CHECK_U64(faster_recording_count(bench.recording), 0);
    CHECK_U64(faster_recording_lost(bench.recording), 0);
    (void)kit_write(bench.probe, 0, 9, BLOCK);
    CHECK(event_at(&bench, 0).bytes != NULL, "%s", "there is room again");
    CHECK_U64(event_at(&bench, 0).submitted, 7); /* the clock goes on */
    end(&bench);
}

static void configurations_that_make_no_sense_are_refused(void) {
    struct faster_device *memory = kit_memory();
    struct faster_recording *recording = NULL;
    struct faster_recording_config config = {.size = sizeof config - 1};
    CHECK_INT(faster_recording_open(&config, memory, &recording), FASTER_E_ABI);
    config = (struct faster_recording_config){.size = sizeof config, .flags = 4};
    CHECK_INT(faster_recording_open(&config, memory, &recording), -EINVAL);
    config.flags = 0;
    memory->alignment = 3;
    CHECK_INT(faster_recording_open(&config, memory, &recording), -EINVAL);
    CHECK(recording == NULL, "%p", (void *)recording);
    CHECK_INT(faster_device_close(memory), 0);
    faster_device_free(memory);
}

HARNESS_MAIN(TEST(every_request_is_written_down),
             TEST(reads_and_bytes_are_kept_only_when_asked_for),
             TEST(i1_i2_a_sync_covers_what_was_completed_before_it),
             TEST(refused_and_failed_requests_are_told_apart),
             TEST(what_is_recorded_is_bounded),
             TEST(configurations_that_make_no_sense_are_refused))
