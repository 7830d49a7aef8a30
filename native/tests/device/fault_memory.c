/* SPDX-License-Identifier: MIT */
/* The memory device when memory is refused: each allocation fails once. */
#include <errno.h>
#include <string.h>

#include "allocation.h"
#include "device/device.h"
#include "harness.h"

enum { SEGMENT = 4096, SIZE = 20 * SEGMENT, TRIES_MAX = 1000 };

static uint8_t bytes[SIZE], back[SIZE];

static void open_fails_cleanly(void) {
    for (uint64_t n = 0; n < TRIES_MAX; n++) {
        struct faster_device device = {.abi = 77};
        allocation_fail_at(n);
        int status = device_open_memory(SEGMENT, 0, &device);
        if (!allocation_failed()) {
            CHECK_INT(status, 0);
            CHECK(n > 0, "open allocated %s", "nothing");
            CHECK_INT(device_close(&device), 0);
            return;
        }
        CHECK_INT(status, -ENOMEM);
        CHECK_INT(device.abi, 77);
    }
    CHECK(false, "%d tries", TRIES_MAX);
}

/* Enough segments that their table grows too. */
static void a_write_without_memory_changes_nothing(void) {
    struct faster_device device;
    uint64_t moved = 77;
    CHECK_INT(device_open_memory(SEGMENT, 0, &device), 0);
    memset(bytes, 0x5a, sizeof bytes);
    for (uint64_t n = 0; n < TRIES_MAX; n++) {
        /* A segment that exists is not allocated again: let go of what was made. */
        CHECK_INT(device_close(&device), 0);
        CHECK_INT(device_open_memory(SEGMENT, 0, &device), 0);
        allocation_fail_at(n);
        int status = device_write_wait(&device, 0, bytes, sizeof bytes);
        bool failed = allocation_failed();
        CHECK_INT(status, failed ? -ENOMEM : 0);
        CHECK_INT(device_read_wait(&device, 0, back, sizeof back, &moved), 0);
        CHECK_U64(moved, failed ? 0 : sizeof back);
        CHECK_INT(device_write_wait(&device, 0, bytes, sizeof bytes), 0);
        CHECK_INT(device_read_wait(&device, 0, back, sizeof back, &moved), 0);
        CHECK(memcmp(back, bytes, sizeof back) == 0, "after failure %" PRIu64, n);
        if (!failed) {
            CHECK_U64(n, SIZE / SEGMENT + 2);
            CHECK_INT(device_close(&device), 0);
            return;
        }
    }
    CHECK(false, "%d tries", TRIES_MAX);
}

HARNESS_MAIN(TEST(open_fails_cleanly), TEST(a_write_without_memory_changes_nothing))
