/* SPDX-License-Identifier: MIT */
/* What writes have replaced, for reads that are to be stale: see faulty.h */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "device/faulty.h"
#include "device/queue.h"

struct image {
    uint64_t offset;
    uint64_t length;
    struct bounce *bytes;
};

struct fault_history {
    struct lock lock; /* guards the rest */
    uint64_t count;   /* of all images; the newest FAULTY_HISTORY are there */
    struct image images[FAULTY_HISTORY];
};

struct fault_history *fault_history_new(void) {
    struct fault_history *history = calloc(1, sizeof *history);
    if (history != NULL && lock_init(&history->lock) != 0) {
        free(history);
        return NULL;
    }
    return history;
}

void fault_history_free(struct fault_history *history) {
    if (history == NULL) {
        return;
    }
    for (uint32_t i = 0; i < FAULTY_HISTORY; i++) {
        if (history->images[i].bytes != NULL) {
            bounce_drop(history->images[i].bytes);
        }
    }
    lock_destroy(&history->lock);
    free(history);
}

int fault_history_note(struct fault_history *history,
                       const struct faster_device *behind, uint64_t offset,
                       uint64_t length) {
    struct image image = {.offset = offset, .length = length};
    uint64_t moved = 0;
    image.bytes = bounce_new(length, behind->alignment);
    if (image.bytes == NULL) {
        return -ENOMEM;
    }
    /* What the read does not reach stays zero, as it would read. */
    int status =
        device_read_wait(behind, offset, bounce_data(image.bytes), length, &moved);
    if (status != 0) {
        bounce_drop(image.bytes);
        return status;
    }
    lock_enter(&history->lock);
    struct image *place = &history->images[history->count++ % FAULTY_HISTORY];
    struct image old = *place;
    *place = image;
    lock_leave(&history->lock);
    if (old.bytes != NULL) {
        bounce_drop(old.bytes);
    }
    return 0;
}

/* Whether an image overlaps a range; copies the overlap if so. */
static bool restore(const struct image *image, uint64_t offset, uint8_t *bytes,
                    uint64_t length) {
    uint64_t begin = offset > image->offset ? offset : image->offset;
    uint64_t end = offset + length;
    if (image->offset + image->length < end) {
        end = image->offset + image->length;
    }
    if (begin >= end) {
        return false;
    }
    const uint8_t *from = bounce_data(image->bytes);
    memcpy(bytes + (begin - offset), from + (begin - image->offset),
           (size_t)(end - begin));
    return true;
}

void fault_history_restore(struct fault_history *history, uint64_t offset,
                           uint8_t *bytes, uint64_t length) {
    lock_enter(&history->lock);
    uint64_t known = history->count < FAULTY_HISTORY ? history->count : FAULTY_HISTORY;
    for (uint64_t back = 1; back <= known; back++) {
        uint64_t at = (history->count - back) % FAULTY_HISTORY;
        if (restore(&history->images[at], offset, bytes, length)) {
            break;
        }
    }
    lock_leave(&history->lock);
}
