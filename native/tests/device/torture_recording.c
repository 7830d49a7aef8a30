/* SPDX-License-Identifier: MIT */
/* The recording under several threads, before a device that completes on its own. */
#include "device/kit.h"

enum { THREADS = 4, BLOCK = 512 };

struct shared {
    struct faster_recording *recording;
    struct faster_probe *probe;
    uint64_t operations;
};

/* Each thread writes its blocks one after the other, and syncs. */
static void write_and_sync(void *context, uint32_t thread) {
    struct shared *shared = context;
    for (uint64_t i = 0; i < shared->operations; i++) {
        uint64_t offset = (i * THREADS + thread) * BLOCK;
        uint64_t ticket = kit_write(shared->probe, offset, (int)thread, BLOCK);
        CHECK_INT(faster_probe_wait(shared->probe, ticket, KIT_WAIT_MS), FASTER_OK);
        if (i % 8 == 7) {
            ticket = kit_sync(shared->probe);
            CHECK_INT(faster_probe_wait(shared->probe, ticket, KIT_WAIT_MS), FASTER_OK);
        }
    }
}

/* I1: no number twice.  I3: submissions in order.  I2: a thread that waits for each
 * completion has submitted its next request after it. */
static void check_events(struct shared *shared, uint64_t expected) {
    uint64_t before = 0, latest[THREADS] = {0};
    uint64_t sum = 0;
    CHECK_U64(faster_recording_count(shared->recording), expected);
    for (uint64_t i = 0; i < expected; i++) {
        struct faster_recording_event event;
        CHECK_INT(faster_recording_event(shared->recording, i, &event), FASTER_OK);
        CHECK(event.submitted > before, "%" PRIu64, event.submitted);
        CHECK(event.completed > event.submitted, "%" PRIu64, event.completed);
        before = event.submitted;
        sum += event.submitted + event.completed;
        if (event.kind == FASTER_KIND_WRITE) {
            uint64_t thread = event.offset / BLOCK % THREADS;
            CHECK(event.submitted > latest[thread], "%" PRIu64, event.submitted);
            latest[thread] = event.completed;
            CHECK_INT(*(const uint8_t *)event.bytes, (int64_t)thread);
        }
    }
    CHECK_U64(sum, 2 * expected * (2 * expected + 1) / 2); /* each of 1 to 2n once */
}

static void i1_i2_i3_the_clock_orders_all(void) {
    struct faster_fault_rule foreign = {.fault = FASTER_FAULT_FOREIGN, .every = 2};
    struct faster_faulty_config faults = {
        .size = sizeof faults, .rules = &foreign, .rules_count = 1};
    struct faster_recording_config config = {.size = sizeof config,
                                             .flags = FASTER_RECORD_BYTES};
    struct faster_device *memory = kit_memory();
    struct faster_faulty *faulty;
    struct shared shared = {.operations = 8 * harness_count(100)};
    CHECK_INT(faster_faulty_open(&faults, memory, &faulty), 0);
    CHECK_INT(
        faster_recording_open(&config, faster_faulty_device(faulty), &shared.recording),
        0);
    shared.probe = kit_probe(faster_recording_device(shared.recording));
    harness_threads(THREADS, write_and_sync, &shared);
    check_events(&shared, THREADS * (shared.operations + shared.operations / 8));
    (void)faster_probe_close(shared.probe);
    faster_probe_free(shared.probe);
    faster_recording_free(shared.recording);
    faster_faulty_free(faulty);
    faster_device_free(memory);
}

HARNESS_MAIN(TEST(i1_i2_i3_the_clock_orders_all))
