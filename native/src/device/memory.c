/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/thread.h"
#include "device/device.h"

/*
 * Segments are found by number in a sorted table, so that a log that begins far from
 * zero and a file with holes cost what they hold.  The table is guarded by the device's
 * lock; bytes are copied outside of it, under the segment's own lock, so that threads
 * on different segments do not wait for each other.  A pinned segment outlives its
 * removal from the table: a read may overlap the truncation of what it reads (V8).
 */
struct segment {
    uint64_t number;

    /* Guarded by the device's lock. */
    uint32_t pins;
    bool removed;

    struct lock lock; /* held while bytes are copied */
    uint8_t bytes[];
};

struct memory {
    uint64_t segment_size;
    uint64_t capacity;
    struct wakeup last_left; /* posted when `closing` and no call is left */

    struct lock lock; /* guards the rest */
    uint64_t begin;   /* bytes below are gone or going */
    uint64_t end;     /* one past the highest byte written */
    uint64_t calls;   /* requests between submission and the return of done() */
    bool closing;
    struct segment **segments;
    uint64_t count;
    uint64_t room;
};

static struct segment *segment_new(const struct memory *memory, uint64_t number) {
    struct segment *segment = calloc(1, sizeof *segment + (size_t)memory->segment_size);
    if (segment == NULL) {
        return NULL;
    }
    if (lock_init(&segment->lock) != 0) {
        free(segment);
        return NULL;
    }
    segment->number = number;
    return segment;
}

static void segment_free(struct segment *segment) {
    lock_destroy(&segment->lock);
    free(segment);
}

/* Position of the first segment at or above `number`.  Inside the lock. */
static uint64_t find_position(const struct memory *memory, uint64_t number) {
    uint64_t low = 0, high = memory->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (memory->segments[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has_segment(const struct memory *memory, uint64_t position,
                        uint64_t number) {
    return position < memory->count && memory->segments[position]->number == number;
}

/* Make room for one more in the table.  Inside the lock. */
static int table_grow(struct memory *memory) {
    if (memory->count < memory->room) {
        return 0;
    }
    uint64_t room = memory->room == 0 ? 16 : 2 * memory->room;
    struct segment **table =
        realloc(memory->segments, (size_t)room * sizeof *memory->segments);
    if (table == NULL) {
        return -ENOMEM;
    }
    memory->segments = table;
    memory->room = room;
    return 0;
}

/* Have a segment, made if need be.  Inside the lock. */
static int ensure_segment(struct memory *memory, uint64_t number) {
    uint64_t position = find_position(memory, number);
    if (has_segment(memory, position, number)) {
        return 0;
    }
    if (table_grow(memory) != 0) {
        return -ENOMEM;
    }
    struct segment *segment = segment_new(memory, number);
    if (segment == NULL) {
        return -ENOMEM;
    }
    struct segment **at = memory->segments + position;
    memmove(at + 1, at, (size_t)(memory->count - position) * sizeof *at);
    *at = segment;
    memory->count++;
    return 0;
}

/* Have every segment of a range that truncation has left, before a byte is copied, so
 * that a refused write has changed nothing.  Inside the lock. */
static int ensure_range(struct memory *memory, uint64_t offset, uint64_t length) {
    if (length == 0) {
        return 0;
    }
    uint64_t number = offset / memory->segment_size;
    uint64_t last = (offset + length - 1) / memory->segment_size;
    uint64_t first_left = memory->begin / memory->segment_size;
    for (number = number < first_left ? first_left : number; number <= last; number++) {
        int status = ensure_segment(memory, number);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* Hold a segment for copying; NULL where there is none. */
static struct segment *pin(struct memory *memory, uint64_t number) {
    struct segment *segment = NULL;
    lock_enter(&memory->lock);
    uint64_t position = find_position(memory, number);
    if (has_segment(memory, position, number)) {
        segment = memory->segments[position];
        segment->pins++;
    }
    lock_leave(&memory->lock);
    return segment;
}

static void unpin(struct memory *memory, struct segment *segment) {
    lock_enter(&memory->lock);
    segment->pins--;
    bool last = segment->removed && segment->pins == 0;
    lock_leave(&memory->lock);
    if (last) {
        segment_free(segment);
    }
}

/* The part of [offset, offset + length) that lies in the segment of `offset`. */
static uint64_t piece_size(const struct memory *memory, uint64_t offset,
                           uint64_t length) {
    uint64_t left = memory->segment_size - (offset & (memory->segment_size - 1));
    return length < left ? length : left;
}

static void copy_out(struct memory *memory, uint64_t offset, uint8_t *to,
                     uint64_t length) {
    while (length > 0) {
        uint64_t size = piece_size(memory, offset, length);
        struct segment *segment = pin(memory, offset / memory->segment_size);
        if (segment == NULL) {
            memset(to, 0, (size_t)size); /* a hole (V7), or truncated (V8) */
        } else {
            lock_enter(&segment->lock);
            memcpy(to, segment->bytes + (offset & (memory->segment_size - 1)),
                   (size_t)size);
            lock_leave(&segment->lock);
            unpin(memory, segment);
        }
        offset += size;
        to += size;
        length -= size;
    }
}

static void copy_in(struct memory *memory, uint64_t offset, const uint8_t *from,
                    uint64_t length) {
    while (length > 0) {
        uint64_t size = piece_size(memory, offset, length);
        struct segment *segment = pin(memory, offset / memory->segment_size);
        if (segment != NULL) { /* else truncated: nobody may ask for these bytes */
            lock_enter(&segment->lock);
            memcpy(segment->bytes + (offset & (memory->segment_size - 1)), from,
                   (size_t)size);
            lock_leave(&segment->lock);
            unpin(memory, segment);
        }
        offset += size;
        from += size;
        length -= size;
    }
}

/* Tell the caller, then forget the call: only then may close free the device (V9). */
static void finish_call(struct memory *memory,
                        const struct faster_completion *completion, uint64_t moved) {
    completion->done(completion->context, FASTER_DEVICE_DONE, moved);
    lock_enter(&memory->lock);
    memory->calls--;
    if (memory->calls == 0 && memory->closing) {
        wakeup_post(&memory->last_left);
    }
    lock_leave(&memory->lock);
}

static int memory_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                       const struct faster_completion *completion) {
    struct memory *memory = context;
    if (!device_range_exists(offset, length)) {
        return -EINVAL;
    }
    lock_enter(&memory->lock);
    memory->calls++;
    uint64_t left = offset < memory->end ? memory->end - offset : 0;
    lock_leave(&memory->lock);
    uint64_t moved = length < left ? length : left;
    copy_out(memory, offset, buffer, moved);
    finish_call(memory, completion, moved);
    return 0;
}

static int memory_write(void *context, uint64_t offset, const void *buffer,
                        uint64_t length, const struct faster_completion *completion) {
    struct memory *memory = context;
    if (!device_range_exists(offset, length)) {
        return -EINVAL;
    }
    if (memory->capacity != 0 && offset + length > memory->capacity) {
        return -ENOSPC;
    }
    lock_enter(&memory->lock);
    int status = ensure_range(memory, offset, length);
    if (status == 0) {
        memory->calls++;
    }
    lock_leave(&memory->lock);
    if (status != 0) {
        return status;
    }
    copy_in(memory, offset, buffer, length);
    lock_enter(&memory->lock);
    if (length > 0 && memory->end < offset + length) {
        memory->end = offset + length;
    }
    lock_leave(&memory->lock);
    finish_call(memory, completion, length);
    return 0;
}

static int memory_sync(void *context, const struct faster_completion *completion) {
    struct memory *memory = context;
    lock_enter(&memory->lock);
    memory->calls++;
    lock_leave(&memory->lock);
    finish_call(memory, completion, 0);
    return 0;
}

/* Take the first `count` segments out of the table.  Inside the lock, or alone. */
static void remove_first(struct memory *memory, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        struct segment *segment = memory->segments[i];
        segment->removed = true;
        if (segment->pins == 0) {
            segment_free(segment);
        }
    }
    if (count > 0) {
        memory->count -= count;
        memmove(memory->segments, memory->segments + count,
                (size_t)memory->count * sizeof *memory->segments);
    }
}

static int memory_truncate_before(void *context, uint64_t offset) {
    struct memory *memory = context;
    lock_enter(&memory->lock);
    if (memory->begin < offset) {
        memory->begin = offset;
        remove_first(memory, find_position(memory, offset / memory->segment_size));
    }
    lock_leave(&memory->lock);
    return 0;
}

static int memory_poll(void *context) {
    (void)context;
    return 0; /* everything was completed when it was submitted */
}

/* V11: as null_wait. */
static int memory_wait(void *context, uint32_t timeout_ms) {
    (void)timeout_ms;
    return memory_poll(context);
}

static void memory_free(struct memory *memory) {
    remove_first(memory, memory->count);
    lock_destroy(&memory->lock);
    wakeup_destroy(&memory->last_left);
    free(memory->segments);
    free(memory);
}

static int memory_close(void *context) {
    struct memory *memory = context;
    lock_enter(&memory->lock);
    memory->closing = true;
    bool busy = memory->calls > 0;
    lock_leave(&memory->lock);
    if (busy) {
        wakeup_wait(&memory->last_left); /* finish_call posts: done() never blocks */
    }
    /* Whoever posted did so inside the lock: after this it has left it. */
    lock_enter(&memory->lock);
    lock_leave(&memory->lock);
    memory_free(memory);
    return 0;
}

static struct memory *memory_new(uint64_t segment_size, uint64_t capacity) {
    struct memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return NULL;
    }
    if (lock_init(&memory->lock) != 0) {
        goto no_lock;
    }
    if (wakeup_init(&memory->last_left) != 0) {
        goto no_wakeup;
    }
    memory->segment_size = segment_size;
    memory->capacity = capacity;
    return memory;
no_wakeup:
    lock_destroy(&memory->lock);
no_lock:
    free(memory);
    return NULL;
}

int device_open_memory(uint64_t segment_size, uint64_t capacity,
                       struct faster_device *device) {
    if (!is_power_of_two(segment_size) || segment_size < DEVICE_SEGMENT_MIN ||
        segment_size > DEVICE_SEGMENT_MAX) {
        return -EINVAL;
    }
    struct memory *memory = memory_new(segment_size, capacity);
    if (memory == NULL) {
        return -ENOMEM;
    }
    *device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof *device,
        .context = memory,
        .capabilities = FASTER_DEVICE_VOLATILE | FASTER_DEVICE_TRUNCATES,
        .sector_size = 512,
        .alignment = 1,
        .capacity = capacity,
        .read = memory_read,
        .write = memory_write,
        .sync = memory_sync,
        .truncate_before = memory_truncate_before,
        .poll = memory_poll,
        .wait = memory_wait,
        .close = memory_close,
    };
    return 0;
}
