/* SPDX-License-Identifier: MIT */
/* The rules of faster/device.h, one by one, on each device of the core. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "device/device.h"
#include "harness.h"

enum { SEGMENT = 4096, CAPACITY = 1 << 20 };

enum { KIND_NULL, KIND_MEMORY, KINDS };

static struct faster_device open_kind(int kind) {
    struct faster_device device;
    if (kind == KIND_NULL) {
        device_open_null(&device);
    } else {
        CHECK_INT(device_open_memory(SEGMENT, CAPACITY, &device), 0);
    }
    CHECK_INT(device_validate(&device), 0);
    return device;
}

static bool keeps(const struct faster_device *device) {
    return (device->capabilities & FASTER_DEVICE_DISCARDS) == 0;
}

/* What a raw completion said, by the table's own words. */
struct ended {
    int count;
    int32_t code;
    uint64_t moved;
};

static void note(void *context, int32_t code, uint64_t moved) {
    struct ended *ended = context;
    ended->count++;
    ended->code = code;
    ended->moved = moved;
}

static void check_ended(const struct ended *ended, uint64_t moved) {
    CHECK_INT(ended->count, 1);
    CHECK_INT(ended->code, FASTER_DEVICE_DONE);
    CHECK_U64(ended->moved, moved);
}

static void v1_v2_v3_v4_an_accepted_request_completes_once_with_its_size(void) {
    uint8_t bytes[1000] = {1};
    for (int kind = 0; kind < KINDS; kind++) {
        struct faster_device d = open_kind(kind);
        struct ended wrote = {0}, synced = {0}, read = {0}, nothing = {0};
        struct faster_completion to_wrote = {note, &wrote}, to_synced = {note, &synced};
        struct faster_completion to_read = {note, &read}, to_nothing = {note, &nothing};
        CHECK_INT(d.write(d.context, 5000, bytes, sizeof bytes, &to_wrote), 0);
        CHECK_INT(d.sync(d.context, &to_synced), 0);
        CHECK_INT(d.read(d.context, 5000, bytes, sizeof bytes, &to_read), 0);
        CHECK_INT(d.write(d.context, 0, bytes, 0, &to_nothing), 0);
        CHECK_INT(d.poll(d.context), 0);
        check_ended(&wrote, sizeof bytes);
        check_ended(&synced, 0);
        check_ended(&read, sizeof bytes);
        check_ended(&nothing, 0);
        CHECK_INT(d.close(d.context), 0);
        CHECK_INT(wrote.count + synced.count + read.count + nothing.count, 4);
    }
}

static void v1_a_refused_request_is_never_completed(void) {
    static uint8_t bytes[1024];
    for (int kind = 0; kind < KINDS; kind++) {
        struct faster_device d = open_kind(kind);
        struct ended ended = {0};
        struct faster_completion to = {note, &ended};
        CHECK_INT(d.read(d.context, UINT64_MAX, bytes, 1, &to), -EINVAL);
        CHECK_INT(d.read(d.context, 1, bytes, UINT64_MAX, &to), -EINVAL);
        CHECK_INT(d.write(d.context, UINT64_MAX, bytes, 1, &to), -EINVAL);
        CHECK_INT(d.write(d.context, DEVICE_OFFSET_MAX, bytes, 1, &to), -EINVAL);
        if (d.capacity != 0) {
            CHECK_INT(d.write(d.context, d.capacity - 1, bytes, 2, &to), -ENOSPC);
            CHECK_INT(d.write(d.context, d.capacity, bytes, 1, &to), -ENOSPC);
        }
        CHECK_INT(d.close(d.context), 0);
        CHECK_INT(ended.count, 0);
    }
}

static void a_refused_write_has_changed_nothing(void) {
    static uint8_t bytes[2 * SEGMENT];
    struct faster_device d = open_kind(KIND_MEMORY);
    uint64_t moved = 77;
    memset(bytes, 0xaa, sizeof bytes);
    CHECK_INT(device_write_wait(&d, CAPACITY - SEGMENT, bytes, sizeof bytes), -ENOSPC);
    CHECK_INT(device_read_wait(&d, 0, bytes, sizeof bytes, &moved), 0);
    CHECK_U64(moved, 0);
    CHECK_INT(device_close(&d), 0);
}

/* A write that ends exactly at the capacity is one the device can hold. */
static void the_last_byte_can_be_written(void) {
    uint8_t byte = 0x5a, back = 0;
    uint64_t moved = 0;
    struct faster_device d = open_kind(KIND_MEMORY);
    CHECK_INT(device_write_wait(&d, CAPACITY - 1, &byte, 1), 0);
    CHECK_INT(device_read_wait(&d, CAPACITY - 1, &back, 1, &moved), 0);
    CHECK_U64(moved, 1);
    CHECK_U64(back, byte);
    CHECK_INT(device_close(&d), 0);
}

/* The device may not keep the buffer: it is overwritten once the write is done. */
static void v5_buffers_are_the_callers_again_after_completion(void) {
    uint8_t bytes[3 * SEGMENT / 2], back[sizeof bytes];
    uint64_t moved = 0;
    struct rng rng = rng_stream(5);
    struct faster_device d = open_kind(KIND_MEMORY);
    rng_fill(&rng, bytes, sizeof bytes);
    CHECK_INT(device_write_wait(&d, 100, bytes, sizeof bytes), 0);
    uint8_t first = bytes[0], last = bytes[sizeof bytes - 1];
    memset(bytes, 0, sizeof bytes);
    CHECK_INT(device_read_wait(&d, 100, back, sizeof back, &moved), 0);
    CHECK_U64(moved, sizeof back);
    CHECK_U64(back[0], first);
    CHECK_U64(back[sizeof back - 1], last);
    CHECK_INT(device_close(&d), 0);
}

/* Out of order and overlapping: what was completed last is what stands after a sync. */
static void v6_completed_writes_stand_after_a_sync(void) {
    uint8_t bytes[512], back[2 * SEGMENT];
    uint64_t moved = 0;
    struct faster_device d = open_kind(KIND_MEMORY);
    for (int i = 15; i >= 0; i--) {
        memset(bytes, 0x10 + i, sizeof bytes);
        CHECK_INT(device_write_wait(&d, (uint64_t)i * 512, bytes, sizeof bytes), 0);
    }
    memset(bytes, 0xff, sizeof bytes);
    CHECK_INT(device_write_wait(&d, SEGMENT - 256, bytes, sizeof bytes), 0);
    CHECK_INT(device_sync_wait(&d), 0);
    CHECK_INT(device_read_wait(&d, 0, back, sizeof back, &moved), 0);
    CHECK_U64(moved, sizeof back);
    for (uint64_t i = 0; i < sizeof back; i++) {
        bool over = i >= SEGMENT - 256 && i < SEGMENT + 256;
        CHECK_U64(back[i], over ? 0xff : 0x10 + i / 512);
    }
    CHECK_INT(device_close(&d), 0);
}

static void v7_unwritten_bytes_are_zero_or_end_the_read(void) {
    uint8_t bytes[8 * SEGMENT];
    for (int kind = 0; kind < KINDS; kind++) {
        struct faster_device d = open_kind(kind);
        uint64_t moved = 77;
        /* A hole from 0 to 5 segments, then two bytes, then nothing. */
        CHECK_INT(device_write_wait(&d, 5 * SEGMENT, "ab", 2), 0);
        memset(bytes, 0xee, sizeof bytes);
        CHECK_INT(device_read_wait(&d, 0, bytes, sizeof bytes, &moved), 0);
        CHECK_U64(moved, keeps(&d) ? 5 * SEGMENT + 2 : sizeof bytes);
        for (uint64_t i = 0; i < moved; i++) {
            bool written = keeps(&d) && i >= 5 * SEGMENT;
            CHECK_U64(bytes[i], written ? (uint64_t)'a' + i - 5 * SEGMENT : 0);
        }
        for (uint64_t i = moved; i < sizeof bytes; i++) {
            CHECK_U64(bytes[i], 0xee);
        }
        CHECK_INT(device_close(&d), 0);
    }
}

static void v8_truncation_leaves_what_is_above(void) {
    uint8_t bytes[4 * SEGMENT], back[4 * SEGMENT];
    struct rng rng = rng_stream(8);
    rng_fill(&rng, bytes, sizeof bytes);
    static const uint64_t cuts[] = {0,       1,           SEGMENT - 1, SEGMENT,
                                    SEGMENT, SEGMENT + 1, 3 * SEGMENT};
    struct faster_device d = open_kind(KIND_MEMORY);
    CHECK_INT(device_write_wait(&d, 0, bytes, sizeof bytes), 0);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        uint64_t moved = 0, cut = cuts[i];
        CHECK_INT(device_truncate_before(&d, cut), 0);
        CHECK_INT(device_read_wait(&d, cut, back, sizeof back, &moved), 0);
        CHECK_U64(moved, sizeof back - cut);
        CHECK(memcmp(back, bytes + cut, moved) == 0, "cut at %" PRIu64, cut);
    }
    CHECK_INT(device_close(&d), 0);
}

/* A cut never moves down, a write below it is dropped, one across it keeps the rest. */
static void v8_writes_below_a_truncation_are_dropped(void) {
    uint8_t bytes[2 * SEGMENT], back[2 * SEGMENT];
    uint64_t moved = 0;
    struct faster_device d = open_kind(KIND_MEMORY);
    memset(bytes, 0x77, sizeof bytes);
    CHECK_INT(device_truncate_before(&d, 3 * SEGMENT), 0);
    CHECK_INT(device_truncate_before(&d, SEGMENT), 0);
    CHECK_INT(device_write_wait(&d, SEGMENT, bytes, SEGMENT), 0);
    CHECK_INT(device_write_wait(&d, 2 * SEGMENT, bytes, sizeof bytes), 0);
    CHECK_INT(device_read_wait(&d, SEGMENT, back, sizeof back, &moved), 0);
    CHECK_U64(moved, sizeof back);
    CHECK_U64(back[0] | back[sizeof back - 1], 0);
    CHECK_INT(device_read_wait(&d, 3 * SEGMENT, back, SEGMENT, &moved), 0);
    CHECK_U64(moved, SEGMENT);
    CHECK(memcmp(back, bytes, SEGMENT) == 0, "first byte %u", back[0]);
    CHECK_INT(device_truncate_before(&d, UINT64_MAX), 0);
    CHECK_INT(device_close(&d), 0);
}

/* A completion that takes its time, on a thread of its own. */
struct slow {
    struct faster_device device;
    _Atomic bool entered;
    _Atomic bool closing;
    _Atomic bool finished;
};

static void finish_slowly(void *context, int32_t code, uint64_t moved) {
    struct slow *slow = context;
    CHECK_INT(code, FASTER_DEVICE_DONE);
    CHECK_U64(moved, 5);
    atomic_store_explicit(&slow->entered, true, memory_order_release);
    while (!atomic_load_explicit(&slow->closing, memory_order_acquire)) {
        thread_yield(); /* ended by v9's other thread */
    }
    for (int i = 0; i < 1000; i++) {
        thread_yield(); /* let close come too early, if it can */
    }
    atomic_store_explicit(&slow->finished, true, memory_order_release);
}

static void write_or_close(void *context, uint32_t thread) {
    struct slow *slow = context;
    struct faster_device *d = &slow->device;
    if (thread == 0) {
        struct faster_completion completion = {finish_slowly, slow};
        CHECK_INT(d->write(d->context, 0, "bytes", 5, &completion), 0);
        return;
    }
    while (!atomic_load_explicit(&slow->entered, memory_order_acquire)) {
        thread_yield(); /* ended by the write's completion */
    }
    atomic_store_explicit(&slow->closing, true, memory_order_release);
    CHECK_INT(d->close(d->context), 0);
    CHECK(atomic_load_explicit(&slow->finished, memory_order_acquire),
          "closed before the completion %s", "had returned");
}

static void v9_close_waits_for_what_is_in_flight(void) {
    for (uint64_t i = 0; i < harness_count(20); i++) {
        struct slow slow = {.device = open_kind(KIND_MEMORY)};
        /* What ended long ago must not count as what close waits for. */
        CHECK_INT(device_sync_wait(&slow.device), 0);
        harness_threads(2, write_or_close, &slow);
    }
}

static void the_tables_say_what_the_devices_do(void) {
    struct faster_device null = open_kind(KIND_NULL), memory = open_kind(KIND_MEMORY);
    CHECK_U64(null.capabilities, FASTER_DEVICE_VOLATILE | FASTER_DEVICE_DISCARDS);
    CHECK_U64(memory.capabilities, FASTER_DEVICE_VOLATILE | FASTER_DEVICE_TRUNCATES);
    CHECK_U64(null.capacity, 0);
    CHECK_U64(memory.capacity, CAPACITY);
    CHECK_INT(device_close(&null), 0);
    CHECK_INT(device_close(&memory), 0);
}

static void odd_segment_sizes_are_refused(void) {
    struct faster_device device = {.abi = 77};
    static const uint64_t bad[] = {0, 1, 2048, 4097, (uint64_t)DEVICE_SEGMENT_MAX * 2};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(device_open_memory(bad[i], 0, &device), -EINVAL);
    }
    CHECK_INT(device.abi, 77);
}

/* Far offsets cost only what is written there. */
static void a_sparse_device_reaches_the_last_offset(void) {
    struct faster_device d;
    uint64_t moved = 0;
    char back[4];
    CHECK_INT(device_open_memory(SEGMENT, 0, &d), 0);
    CHECK_INT(device_write_wait(&d, DEVICE_OFFSET_MAX - 3, "end", 3), 0);
    CHECK_INT(device_write_wait(&d, 1, "begin", 5), 0);
    CHECK_INT(device_read_wait(&d, DEVICE_OFFSET_MAX - 4, back, 4, &moved), 0);
    CHECK_U64(moved, 4);
    CHECK(memcmp(back, "\0end", 4) == 0, "%.3s", back + 1);
    CHECK_INT(device_truncate_before(&d, DEVICE_OFFSET_MAX - 3), 0);
    CHECK_INT(device_read_wait(&d, DEVICE_OFFSET_MAX - 3, back, 3, &moved), 0);
    CHECK(memcmp(back, "end", 3) == 0, "%.3s", back);
    CHECK_INT(device_close(&d), 0);
}

/* Nothing is in flight on either device: waiting for its end takes no time. */
static void v11_wait_returns_at_once_without_anything_in_flight(void) {
    uint8_t bytes[512] = {1};
    for (int kind = 0; kind < KINDS; kind++) {
        struct faster_device d = open_kind(kind);
        CHECK_INT(d.wait(d.context, UINT32_MAX), 0);
        CHECK_INT(device_write_wait(&d, 0, bytes, sizeof bytes), 0);
        CHECK_INT(device_wait(&d, UINT32_MAX), 0);
        CHECK_INT(d.close(d.context), 0);
    }
}

HARNESS_MAIN(TEST(v11_wait_returns_at_once_without_anything_in_flight),
             TEST(v1_v2_v3_v4_an_accepted_request_completes_once_with_its_size),
             TEST(v1_a_refused_request_is_never_completed),
             TEST(a_refused_write_has_changed_nothing),
             TEST(the_last_byte_can_be_written),
             TEST(v5_buffers_are_the_callers_again_after_completion),
             TEST(v6_completed_writes_stand_after_a_sync),
             TEST(v7_unwritten_bytes_are_zero_or_end_the_read),
             TEST(v8_truncation_leaves_what_is_above),
             TEST(v8_writes_below_a_truncation_are_dropped),
             TEST(v9_close_waits_for_what_is_in_flight),
             TEST(the_tables_say_what_the_devices_do),
             TEST(odd_segment_sizes_are_refused),
             TEST(a_sparse_device_reaches_the_last_offset))
