/* SPDX-License-Identifier: MIT */
/* One probe in the hands of several threads; clean under ThreadSanitizer. */
#include "device/kit.h"

enum { THREADS = 4, BLOCK = 512 };

struct shared {
    struct faster_probe *probe;
    uint64_t operations;
};

static void drive(void *context, uint32_t thread) {
    struct shared *shared = context;
    struct faster_probe *probe = shared->probe;
    for (uint64_t i = 0; i < shared->operations; i++) {
        uint64_t offset = (i * THREADS + thread) * BLOCK, judged;
        uint64_t wrote = kit_write(probe, offset, (int)thread + 1, BLOCK);
        CHECK_INT(faster_probe_wait(probe, wrote, KIT_WAIT_MS), FASTER_OK);
        CHECK_INT(faster_probe_read(probe, offset, BLOCK, 0, 1, &judged), 0);
        CHECK_INT(faster_probe_wait(probe, judged, KIT_WAIT_MS), FASTER_OK);
        struct faster_probe_result result = kit_result(probe, judged);
        CHECK_INT(result.code, FASTER_OK);
        CHECK_U64(result.completions, 1);
        CHECK_U64(result.foreign, 1);
        kit_filled(probe, judged, (int)thread + 1, BLOCK);
    }
}

static void i1_tickets_are_not_mixed_up(void) {
    struct faster_fault_rule foreign = {.fault = FASTER_FAULT_FOREIGN};
    struct faster_faulty_config config = {
        .size = sizeof config, .rules = &foreign, .rules_count = 1};
    struct faster_device *memory = kit_memory();
    struct faster_faulty *faulty;
    struct shared shared = {.operations = harness_count(500)};
    CHECK_INT(faster_faulty_open(&config, memory, &faulty), 0);
    shared.probe = kit_probe(faster_faulty_device(faulty));
    harness_threads(THREADS, drive, &shared);
    CHECK_U64(faster_probe_submitted(shared.probe), 2 * THREADS * shared.operations);
    CHECK_U64(faster_probe_completed(shared.probe), 2 * THREADS * shared.operations);
    (void)faster_probe_close(shared.probe);
    faster_probe_free(shared.probe);
    faster_faulty_free(faulty);
    faster_device_free(memory);
}

HARNESS_MAIN(TEST(i1_tickets_are_not_mixed_up))
