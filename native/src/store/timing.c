/* SPDX-License-Identifier: MIT */
/* timing.c: see timing.h */
#include "store/timing.h"

#include <errno.h>

#include "log/disk.h"
#include "store/tracing.h"

enum {
    /* A session whose operations are not timed looks so often whether they are now. */
    TICKS_IDLE = 1024,
    /* Whoever is inside leaves within so many looks, or notices by itself. */
    SET_ATTEMPTS = 1000
};

#define SAMPLE_EVERY_MAX ((uint32_t)1 << 31)

uint32_t timing_every(struct faster_kv *kv) {
    /* relaxed: whenever a session sees it is soon enough */
    return atomic_load_explicit(&kv->timing.sample_every, memory_order_relaxed);
}

static uint32_t ticks_for(uint32_t every) { return every != 0 ? every : TICKS_IDLE; }

void timing_init(struct faster_kv *kv, uint32_t every) {
    atomic_init(&kv->timing.sample_every, every);
    atomic_init(&kv->timing.traced, 0);
    for (uint32_t i = 0; i < TIMED_OWN; i++) {
        histogram_init(&kv->timing.histograms[i]);
    }
}

bool timing_is_sane(uint32_t every) {
    return every == 0 || (is_power_of_two(every) && every <= SAMPLE_EVERY_MAX);
}

uint32_t timing_ticks(struct faster_kv *kv) { return ticks_for(timing_every(kv)); }

/* One more than the period: the operation counts again when it calls itself (I1). */
bool timing_is_due(struct faster_session *session) {
    uint32_t every = timing_every(session->kv);
    session->ticks = ticks_for(every) + (every != 0);
    return every != 0;
}

void timing_add(struct faster_kv *kv, uint32_t timed, uint64_t begun) {
    histogram_add(&kv->timing.histograms[timed], clock_ns() - begun);
}

void timing_note(struct faster_session *session, uint32_t operation, int result,
                 uint64_t begun) {
    bool ended = result >= FASTER_OK && result != FASTER_RETRY &&
                 result != FASTER_SHORT && result != FASTER_PENDING;
    if (ended) {
        timing_add(session->kv, operation, begun);
    }
    tracing_timed(session, operation, result, begun);
}

/* As whoever helps (C4), so that the session's own thread is asked to come again. */
static void set_ticks(struct faster_session *session, uint32_t ticks) {
    int result = FASTER_E_BUSY;
    for (uint32_t i = 0; i < SET_ATTEMPTS && result == FASTER_E_BUSY; i++) {
        result = session_enter_helper(session);
        if (result == FASTER_OK) {
            session->ticks = ticks;
            session_leave(session);
        } else if (result == FASTER_E_BUSY) {
            thread_yield();
        }
    }
}

int faster_kv_sample(struct faster_kv *kv, uint32_t every) {
    if (!timing_is_sane(every)) {
        return FASTER_E_CONFIG;
    }
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    /* relaxed: see timing_every */
    atomic_store_explicit(&kv->timing.sample_every, every, memory_order_relaxed);
    lock_enter(&kv->lock);
    for (struct faster_session *one = kv->sessions; one != NULL; one = one->next) {
        set_ticks(one, ticks_for(every));
    }
    lock_leave(&kv->lock);
    return FASTER_OK;
}

/* What the log times: until the store is freed, also when it is closed. */
static void read_of_log(struct faster_kv *kv, uint32_t timed,
                        struct faster_histogram *taken) {
    struct log_figures *figures = disk_figures(&kv->log);
    struct histogram *times = timed == FASTER_TIMED_DEVICE_WRITE ? &figures->write_times
                                                                 : &figures->sync_times;
    histogram_read(times, taken->counts, &taken->total_ns);
}

int faster_kv_histogram(struct faster_kv *kv, uint32_t timed,
                        struct faster_histogram *histogram) {
    struct faster_histogram taken = {.total_ns = 0};
    if (timed < FASTER_TIMED_READ || timed > FASTER_TIMED_DEVICE_SYNC) {
        return -EINVAL;
    }
    if (kv->generation != fork_generation()) {
        return FASTER_E_FORKED;
    }
    if (timed < TIMED_OWN) {
        histogram_read(&kv->timing.histograms[timed], taken.counts, &taken.total_ns);
    } else if (kv->log.disk != NULL) {
        read_of_log(kv, timed, &taken);
    }
    *histogram = taken;
    return FASTER_OK;
}
