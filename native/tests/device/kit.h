/* SPDX-License-Identifier: MIT */
/* What the tests of the device tools share: probing with everything checked. */
#ifndef DEVICE_KIT_H
#define DEVICE_KIT_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "faster/device_tools.h"
#include "faster/status.h"
#include "harness.h"

enum { KIT_WAIT_MS = 100000 }; /* only a test that fails waits so long */

static inline struct faster_probe *kit_probe(const struct faster_device *device) {
    struct faster_probe *probe = NULL;
    CHECK_INT(faster_probe_open(device, &probe), 0);
    return probe;
}

static inline struct faster_device *kit_memory(void) {
    struct faster_device *device = NULL;
    CHECK_INT(faster_device_memory(4096, 0, &device), 0);
    return device;
}

static inline struct faster_probe_result kit_result(struct faster_probe *probe,
                                                    uint64_t ticket) {
    struct faster_probe_result result;
    CHECK_INT(faster_probe_result(probe, ticket, &result), FASTER_OK);
    return result;
}

/* Write raw bytes of one value; gives the ticket of an accepted request. */
static inline uint64_t kit_write(struct faster_probe *probe, uint64_t offset, int fill,
                                 uint64_t length) {
    static const uint64_t size_max = 65536;
    uint8_t bytes[65536];
    uint64_t ticket = UINT64_MAX;
    CHECK(length <= size_max, "%" PRIu64, length);
    memset(bytes, fill, (size_t)length);
    CHECK_INT(faster_probe_write(probe, offset, bytes, length, 0, 0, &ticket), 0);
    return ticket;
}

static inline uint64_t kit_read(struct faster_probe *probe, uint64_t offset,
                                uint64_t length) {
    uint64_t ticket = UINT64_MAX;
    CHECK_INT(faster_probe_read(probe, offset, length, 0, 0, &ticket), 0);
    return ticket;
}

static inline uint64_t kit_sync(struct faster_probe *probe) {
    uint64_t ticket = UINT64_MAX;
    CHECK_INT(faster_probe_sync(probe, 0, &ticket), 0);
    return ticket;
}

/* A request has ended once, as said. */
static inline void kit_ended(struct faster_probe *probe, uint64_t ticket, int32_t code,
                             uint64_t bytes) {
    CHECK_INT(faster_probe_wait(probe, ticket, KIT_WAIT_MS), FASTER_OK);
    struct faster_probe_result result = kit_result(probe, ticket);
    CHECK_INT(result.code, code);
    CHECK_U64(result.bytes, bytes);
    CHECK_U64(result.completions, 1);
    CHECK_U64(result.overrun, 0);
}

static inline void kit_in_flight(struct faster_probe *probe, uint64_t ticket) {
    CHECK_U64(kit_result(probe, ticket).completions, 0);
}

/* All of a request's buffer is this value. */
static inline void kit_filled(struct faster_probe *probe, uint64_t ticket, int fill,
                              uint64_t length) {
    const uint8_t *bytes = faster_probe_buffer(probe, ticket);
    for (uint64_t i = 0; i < length; i++) {
        CHECK(bytes[i] == fill, "byte %" PRIu64 " is %d, not %d", i, bytes[i], fill);
    }
}

#endif
