/* SPDX-License-Identifier: MIT */
/* listening.c: whoever is told what happens in a store, see events.h */
#include <time.h>

#include "store/store.h"

int faster_kv_events_begin(struct faster_kv *kv) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    lock_enter(&kv->lock);
    int result = events_begin(&kv->events, kv->event_capacity);
    lock_leave(&kv->lock);
    return result;
}

/* A thread may be stopped between two looks at clocks. */
enum { CLOCK_LOOKS = 5 };

/* Nanoseconds from 1970 to the moment from which clock_ns counts, by the look at both
 * clocks that took least. */
static int64_t epoch_of_clock(void) {
    uint64_t least = UINT64_MAX;
    int64_t epoch = 0;
    for (int i = 0; i < CLOCK_LOOKS; i++) {
        struct timespec now = {0};
        uint64_t before = clock_ns();
        (void)timespec_get(&now, TIME_UTC);
        uint64_t took = clock_ns() - before;
        if (took < least) {
            least = took;
            epoch = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec -
                    (int64_t)(before + took / 2);
        }
    }
    return epoch;
}

int faster_kv_events_next(struct faster_kv *kv, struct faster_event *events,
                          uint64_t capacity, uint32_t timeout_ms, uint64_t *count,
                          uint64_t *lost, int64_t *epoch_ns) {
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    int result = events_next(&kv->events, events, capacity, timeout_ms, count, lost);
    *epoch_ns = epoch_of_clock();
    return result;
}

void faster_kv_events_wake(struct faster_kv *kv) {
    if (kv->generation == fork_generation()) {
        events_wake(&kv->events);
    }
}

void faster_kv_events_end(struct faster_kv *kv) {
    if (kv->generation == fork_generation()) {
        events_end(&kv->events);
    }
}
