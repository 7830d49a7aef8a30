/* SPDX-License-Identifier: MIT */
/* The memory device under several threads; clean under ThreadSanitizer. */
#include <string.h>

#include "device/device.h"
#include "harness.h"

enum { SEGMENT = 4096, THREADS = 6, SLICE = 24 * 1024 };

static struct faster_device device;

/* Slices are not multiples of a segment, so neighbours share segments. */
static uint64_t slice_begin(uint32_t thread) {
    return (uint64_t)thread * (SLICE + 100);
}

/* Each thread keeps a copy of its slice and compares after each step. */
static void write_and_read_back(void *context, uint32_t thread) {
    const uint64_t *operations = context;
    struct rng rng = rng_stream(thread + 1);
    static uint8_t copies[THREADS][SLICE], rooms[THREADS][SLICE];
    uint8_t *copy = copies[thread], *room = rooms[thread];
    uint64_t written = 0;
    memset(copy, 0, SLICE);
    for (uint64_t i = 0; i < *operations; i++) {
        uint64_t at = rng_below(&rng, SLICE), size = rng_below(&rng, SLICE - at) + 1;
        uint64_t offset = slice_begin(thread) + at;
        uint64_t moved = 0;
        if (rng_next(&rng) & 1) {
            rng_fill(&rng, copy + at, size);
            CHECK_INT(device_write_wait(&device, offset, copy + at, size), 0);
            written = written < at + size ? at + size : written;
        } else {
            CHECK_INT(device_read_wait(&device, offset, room, size, &moved), 0);
            /* Others may have written above, but what is ours is there. */
            uint64_t ours = written > at ? written - at : 0;
            CHECK(moved >= (ours < size ? ours : size), "moved %" PRIu64, moved);
            CHECK(memcmp(room, copy + at, moved) == 0,
                  "thread %u, offset %" PRIu64 ", size %" PRIu64, thread, offset,
                  moved);
        }
    }
}

static void disjoint_ranges_do_not_disturb_each_other(void) {
    uint64_t operations = harness_count(400);
    CHECK_INT(device_open_memory(SEGMENT, 0, &device), 0);
    harness_threads(THREADS, write_and_read_back, &operations);
    CHECK_INT(device_close(&device), 0);
}

/* A page whose bytes all say its number; reads see all of it, or zeros once cut. */
static void append_cut_and_read(void *context, uint32_t thread) {
    const uint64_t *pages = context;
    struct rng rng = rng_stream(100 + thread);
    static uint8_t rooms[THREADS][SEGMENT];
    uint8_t *room = rooms[thread];
    for (uint64_t page = 0; page < *pages; page++) {
        uint64_t moved = 0;
        if (thread == 0) {
            memset(room, (int)(page % 255) + 1, SEGMENT);
            CHECK_INT(device_write_wait(&device, page * SEGMENT, room, SEGMENT), 0);
        } else if (thread == 1) {
            uint64_t cut = page > 8 ? page - 8 : 0;
            CHECK_INT(device_truncate_before(&device, cut * SEGMENT), 0);
            CHECK_INT(device_sync_wait(&device), 0);
        } else {
            uint64_t wanted = rng_below(&rng, *pages);
            CHECK_INT(
                device_read_wait(&device, wanted * SEGMENT, room, SEGMENT, &moved), 0);
            for (uint64_t i = 1; i < moved; i++) {
                CHECK_U64(room[i], room[0]);
            }
            CHECK(moved == 0 || room[0] == 0 || room[0] == wanted % 255 + 1,
                  "page %" PRIu64 " holds %u", wanted, room[0]);
        }
    }
}

static void v8_reads_may_overlap_a_truncation(void) {
    uint64_t pages = harness_count(2000);
    CHECK_INT(device_open_memory(SEGMENT, 0, &device), 0);
    harness_threads(THREADS, append_cut_and_read, &pages);
    CHECK_INT(device_close(&device), 0);
}

HARNESS_MAIN(TEST(disjoint_ranges_do_not_disturb_each_other),
             TEST(v8_reads_may_overlap_a_truncation))
