/* SPDX-License-Identifier: MIT */
/* The device tools when memory is refused (F53): each allocation fails once. */
#include "allocation.h"
#include "device/kit.h"

enum { TRIES_MAX = 100, BLOCK = 512 };

static const struct faster_fault_rule stale = {.fault = FASTER_FAULT_STALE};
static const struct faster_faulty_config faults = {
    .size = sizeof faults, .rules = &stale, .rules_count = 1};
static const struct faster_recording_config records = {.size = sizeof records,
                                                       .flags = FASTER_RECORD_BYTES};
static const struct faster_queue_config requests = {.size = sizeof requests,
                                                    .sector_size = 512,
                                                    .alignment = 512,
                                                    .requests_max = 2,
                                                    .timeout_ms = 1};

/* What is opened by each step, before the device `memory`. */
struct opened {
    struct faster_device *memory;
    struct faster_device *extra;
    struct faster_queue *queue;
    struct faster_faulty *faulty;
    struct faster_recording *recording;
    struct faster_probe *probe;
};

enum { OPEN_MEMORY, OPEN_NULL, OPEN_QUEUE, OPEN_FAULTY, OPEN_RECORDING, OPEN_PROBE };

static int open_one(struct opened *opened, int what) {
    switch (what) {
    case OPEN_MEMORY:
        return faster_device_memory(4096, 0, &opened->extra);
    case OPEN_NULL:
        return faster_device_null(&opened->extra);
    case OPEN_QUEUE:
        return faster_queue_open(&requests, &opened->queue);
    case OPEN_FAULTY:
        return faster_faulty_open(&faults, opened->memory, &opened->faulty);
    case OPEN_RECORDING:
        return faster_recording_open(&records, opened->memory, &opened->recording);
    default:
        return faster_probe_open(opened->memory, &opened->probe);
    }
}

static const struct faster_device *table_of(const struct opened *opened) {
    if (opened->extra != NULL) {
        return opened->extra;
    }
    if (opened->queue != NULL) {
        return faster_queue_device(opened->queue);
    }
    if (opened->faulty != NULL) {
        return faster_faulty_device(opened->faulty);
    }
    return opened->recording != NULL ? faster_recording_device(opened->recording)
                                     : opened->memory;
}

static void end(struct opened *opened) {
    int closed = opened->probe != NULL ? faster_probe_close(opened->probe)
                                       : faster_device_close(table_of(opened));
    CHECK_INT(closed, opened->queue != NULL ? -ETIMEDOUT : 0);
    if (opened->extra != NULL) {
        faster_device_free(opened->extra);
    }
    if (opened->queue != NULL) {
        faster_queue_free(opened->queue);
    }
    if (opened->faulty != NULL) {
        faster_faulty_free(opened->faulty);
    }
    if (opened->recording != NULL) {
        faster_recording_free(opened->recording);
    }
    if (opened->probe != NULL) {
        faster_probe_free(opened->probe);
    }
}

/* Open until nothing is refused any more; what failed has left nothing behind. */
static void check_open(int what) {
    for (uint64_t n = 0; n < TRIES_MAX; n++) {
        struct opened opened = {.memory = kit_memory()};
        allocation_fail_at(n);
        int status = open_one(&opened, what);
        bool failed = allocation_failed();
        CHECK_INT(status, failed ? -ENOMEM : 0);
        bool alone = opened.extra != NULL || opened.queue != NULL;
        if (alone || failed) {
            CHECK_INT(faster_device_close(opened.memory), 0);
        }
        if (!failed) {
            CHECK(n > 0, "opening %d allocated nothing", what);
            end(&opened);
        }
        faster_device_free(opened.memory);
        if (!failed) {
            return;
        }
    }
    CHECK(false, "%d tries", TRIES_MAX);
}

static void f53_opening_fails_cleanly(void) {
    for (int what = OPEN_MEMORY; what <= OPEN_PROBE; what++) {
        check_open(what);
    }
}

static void count_end(void *context, int32_t code, uint64_t bytes) {
    int *ends = context;
    (void)code, (void)bytes;
    ++*ends;
}

/* Without memory a write is refused and never ends; with memory it is accepted. */
static void check_write(const struct faster_device *device, int ends_inside) {
    static _Alignas(512) uint8_t bytes[BLOCK];
    static int ends; /* there until close, which ends what a queue has accepted */
    const struct faster_completion completion = {count_end, &ends};
    ends = 0;
    for (uint64_t n = 0; n < TRIES_MAX; n++) {
        allocation_fail_at(n);
        int status = device->write(device->context, 0, bytes, BLOCK, &completion);
        bool failed = allocation_failed();
        CHECK_INT(status, failed ? -ENOMEM : 0);
        CHECK_INT(ends, failed ? 0 : ends_inside);
        if (!failed) {
            CHECK(n > 0, "%s", "nothing was allocated");
            return;
        }
    }
    CHECK(false, "%d tries", TRIES_MAX);
}

static void f53_a_submission_without_memory_is_refused(void) {
    static const int kinds[] = {OPEN_QUEUE, OPEN_FAULTY, OPEN_RECORDING};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct opened opened = {.memory = kit_memory()};
        CHECK_INT(open_one(&opened, kinds[i]), 0);
        check_write(table_of(&opened), kinds[i] == OPEN_QUEUE ? 0 : 1);
        if (opened.queue != NULL) {
            CHECK_INT(faster_device_close(opened.memory), 0);
        }
        end(&opened);
        faster_device_free(opened.memory);
    }
}

static void f53_a_probe_without_memory_has_no_ticket(void) {
    struct faster_device *memory = kit_memory();
    struct faster_probe *probe = kit_probe(memory);
    for (uint64_t n = 0; n < TRIES_MAX; n++) {
        uint64_t ticket = UINT64_MAX;
        allocation_fail_at(n);
        int status = faster_probe_read(probe, 0, BLOCK, 0, 0, &ticket);
        if (!allocation_failed()) {
            CHECK_INT(status, 0);
            CHECK(n > 0, "%s", "nothing was allocated");
            CHECK_U64(ticket, 0);
            CHECK_INT(faster_probe_close(probe), 0);
            faster_probe_free(probe);
            faster_device_free(memory);
            return;
        }
        CHECK_INT(status, -ENOMEM);
        CHECK_U64(ticket, UINT64_MAX);
    }
    CHECK(false, "%d tries", TRIES_MAX);
}

HARNESS_MAIN(TEST(f53_opening_fails_cleanly),
             TEST(f53_a_submission_without_memory_is_refused),
             TEST(f53_a_probe_without_memory_has_no_ticket))
