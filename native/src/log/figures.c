/* SPDX-License-Identifier: MIT */
/* figures.c: see figures.h */
#include "log/figures.h"

void figures_init(struct log_figures *figures) {
    atomic_init(&figures->writes, 0);
    atomic_init(&figures->syncs, 0);
    atomic_init(&figures->retries, 0);
    atomic_init(&figures->errors, 0);
    atomic_init(&figures->flying, 0);
    histogram_init(&figures->write_times);
    histogram_init(&figures->sync_times);
}

static void count(_Atomic uint64_t *figure) {
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(figure, 1, memory_order_relaxed);
}

static void tell(struct events *events, enum faster_event_kind kind, int status,
                 uint64_t first, uint64_t second, uint64_t third) {
    if (events_wanted(events)) {
        const uint64_t words[FASTER_EVENT_WORDS] = {first, second, third};
        events_tell(events, kind, status, 0, words);
    }
}

void figures_set_flying(struct log_figures *figures, uint64_t flying) {
    /* relaxed: a figure with one writer */
    atomic_store_explicit(&figures->flying, flying, memory_order_relaxed);
}

void figures_start(struct figures_request *request) {
    request->started_ns = clock_ns();
    if (request->attempts++ == 0) {
        request->begun_ns = request->started_ns;
    }
}

void figures_fail(struct log_figures *figures, struct figures_request *request,
                  int status) {
    count(&figures->errors);
    request->failed = status;
}

void figures_retry(struct log_figures *figures) { count(&figures->retries); }

void figures_wrote(struct log_figures *figures, struct events *events,
                   const struct figures_request *write, uint64_t from, uint64_t until) {
    struct faster_event event = {
        .kind = FASTER_EVENT_DEVICE_RETRIED,
        .status = write->failed,
        .begin_ns = write->begun_ns,
        .end_ns = write->ended_ns,
        .words = {FASTER_EVENT_WRITE, write->attempts},
    };
    count(&figures->writes);
    histogram_add(&figures->write_times, write->ended_ns - write->started_ns);
    if (write->failed != FASTER_OK) {
        events_post(events, &event);
    }
    event.kind = FASTER_EVENT_PAGES_FLUSHED;
    event.status = FASTER_OK;
    event.words[0] = from;
    event.words[1] = until;
    event.words[2] = until - from;
    events_post(events, &event);
}

void figures_synced(struct log_figures *figures, const struct figures_request *sync) {
    count(&figures->syncs);
    histogram_add(&figures->sync_times, sync->ended_ns - sync->started_ns);
}

void figures_gave_up(struct events *events, enum faster_event_io io, int status,
                     uint64_t from, uint64_t until) {
    tell(events, FASTER_EVENT_DEVICE_FAILED, status, io, from, until);
}

void figures_evicted(struct events *events, uint64_t from, uint64_t until) {
    tell(events, FASTER_EVENT_PAGES_EVICTED, FASTER_OK, from, until, 0);
}

void figures_turned(struct events *events, uint64_t page, uint64_t address) {
    tell(events, FASTER_EVENT_PAGE_TURNED, FASTER_OK, page, address, 0);
}

void figures_resumed(struct events *events) {
    tell(events, FASTER_EVENT_NEWS, FASTER_OK, 0, 0, 0);
}
