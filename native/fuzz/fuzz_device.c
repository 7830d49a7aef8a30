/* SPDX-License-Identifier: MIT */
/* The memory device, through dispatch, against a flat array (device.h V1 to V8). */
#include <errno.h>
#include <string.h>

#include "device/device.h"
#include "faster/status.h"
#include "fuzz.h"

/* Five segments, and one more that is beyond the capacity. */
enum { SEGMENT = 4096, CAPACITY = 5 * SEGMENT, SPACE = 6 * SEGMENT };
enum { DO_WRITE, DO_READ, DO_TRUNCATE, DO_SYNC, DO_KINDS };
enum { OPERATIONS_MAX = 100 };

/* What the device must hold.  Bytes below `begin` may be anything (V8). */
struct model {
    struct faster_device device;
    uint64_t begin;
    uint64_t end;
    uint8_t bytes[SPACE];
};

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The one buffer of both directions, aligned to any alignment used here. */
enum { GUARD = 64, UNTOUCHED = 0xcc };
static _Alignas(512) uint8_t buffer[SPACE + GUARD];

static bool misfits(const struct model *model, uint64_t offset, uint64_t length) {
    return ((offset | length) & (model->device.alignment - 1)) != 0;
}

static void do_write(struct model *model, uint64_t offset, uint64_t length,
                     uint8_t fill) {
    for (uint64_t i = 0; i < length; i++) {
        buffer[i] = (uint8_t)(fill + i / 7);
    }
    int status = device_write_wait(&model->device, offset, buffer, length);
    if (misfits(model, offset, length)) {
        FUZZ_CHECK(status == -EINVAL);
    } else if (offset + length > CAPACITY) {
        FUZZ_CHECK(status == -ENOSPC);
    } else {
        FUZZ_CHECK(status == FASTER_OK);
        memcpy(model->bytes + offset, buffer, length);
        if (length > 0 && model->end < offset + length) {
            model->end = offset + length;
        }
    }
}

static void do_read(struct model *model, uint64_t offset, uint64_t length) {
    uint64_t moved = UINT64_MAX;
    memset(buffer, UNTOUCHED, length + GUARD);
    int status = device_read_wait(&model->device, offset, buffer, length, &moved);
    if (misfits(model, offset, length)) {
        FUZZ_CHECK(status == -EINVAL);
        return;
    }
    uint64_t there = offset < model->end ? model->end - offset : 0;
    FUZZ_CHECK(status == FASTER_OK);
    FUZZ_CHECK(moved == smaller(length, there));
    for (uint64_t i = 0; i < moved; i++) {
        FUZZ_CHECK(offset + i < model->begin || buffer[i] == model->bytes[offset + i]);
    }
    for (uint64_t i = moved; i < length + GUARD; i++) {
        FUZZ_CHECK(buffer[i] == UNTOUCHED);
    }
}

static void step(struct model *model, struct fuzz_input *input) {
    uint32_t what = fuzz_take(input, 1);
    uint64_t offset = fuzz_take(input, 2) % SPACE;
    uint64_t length = smaller(fuzz_take(input, 2) % (2 * SEGMENT), SPACE - offset);
    if (what & 0x80) { /* where few inputs would get by chance */
        offset &= ~(uint64_t)511;
        length &= ~(uint64_t)511;
    }
    switch (what % DO_KINDS) {
    case DO_WRITE:
        do_write(model, offset, length, (uint8_t)what);
        break;
    case DO_READ:
        do_read(model, offset, length);
        break;
    case DO_TRUNCATE:
        FUZZ_CHECK(device_truncate_before(&model->device, offset) == 0);
        model->begin = model->begin < offset ? offset : model->begin;
        break;
    default:
        FUZZ_CHECK(device_sync_wait(&model->device) == FASTER_OK);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t alignments[] = {1, 1, 8, 512};
    static struct model model;
    struct fuzz_input input = {data, size};
    memset(&model, 0, sizeof model);
    FUZZ_CHECK(device_open_memory(SEGMENT, CAPACITY, &model.device) == 0);
    model.device.alignment = alignments[fuzz_take(&input, 1) % 4];
    for (int i = 0; i < OPERATIONS_MAX && input.size > 0; i++) {
        step(&model, &input);
    }
    do_read(&model, 0, SPACE);
    FUZZ_CHECK(device_close(&model.device) == 0);
    return 0;
}
