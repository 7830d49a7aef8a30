/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "device/queue.h"

/* Lies before its data, whose address is all that a server knows. */
struct bounce {
    void *block;
    _Atomic uint32_t owners;
};

struct bounce *bounce_new(uint64_t length, uint32_t alignment) {
    uint64_t unit = alignment < 64 ? 64 : alignment;
    if (length > SIZE_MAX / 2) {
        return NULL;
    }
    uint8_t *block = calloc(1, sizeof(struct bounce) + unit + (size_t)length);
    if (block == NULL) {
        return NULL;
    }
    uint64_t begin = (uintptr_t)block + sizeof(struct bounce);
    uint64_t shift = (unit - begin % unit) % unit;
    struct bounce *bounce = (struct bounce *)(void *)(block + shift);
    bounce->block = block;
    atomic_init(&bounce->owners, 1);
    return bounce;
}

void *bounce_data(struct bounce *bounce) { return bounce + 1; }

void bounce_hold(struct bounce *bounce) {
    /* relaxed: whoever adds an owner is one */
    (void)atomic_fetch_add_explicit(&bounce->owners, 1, memory_order_relaxed);
}

void bounce_drop(struct bounce *bounce) {
    /* queue.h M1, with the load */
    if (atomic_fetch_sub_explicit(&bounce->owners, 1, memory_order_release) == 1) {
        /* queue.h M1, with the subtractions of the others */
        (void)atomic_load_explicit(&bounce->owners, memory_order_acquire);
        free(bounce->block);
    }
}

void faster_queue_buffer_free(void *buffer) {
    if (buffer != NULL) {
        bounce_drop((struct bounce *)buffer - 1);
    }
}
