/* SPDX-License-Identifier: MIT */
/* events.c: see events.h */
#include "events/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

int events_init(struct events *events) {
    atomic_init(&events->wanted, false);
    atomic_init(&events->ended, false);
    atomic_init(&events->cells, NULL);
    events->mask = 0;
    atomic_init(&events->tail, 0);
    atomic_init(&events->missing, 0);
    atomic_init(&events->lost, 0);
    atomic_init(&events->head, 0);
    atomic_init(&events->reading, false);
    atomic_init(&events->asleep, false);
    atomic_init(&events->poked, false);
    return wakeup_init(&events->wakeup);
}

static struct event_cell *cells_of(struct events *events) {
    return atomic_load_explicit(&events->cells, memory_order_acquire); /* M3 */
}

void events_destroy(struct events *events) {
    free((void *)cells_of(events));
    wakeup_destroy(&events->wakeup);
}

static bool has_ended(struct events *events) {
    return atomic_load_explicit(&events->ended, memory_order_seq_cst); /* M2, M5 */
}

static uint64_t capacity_for(uint64_t wanted) {
    uint64_t capacity = wanted != 0 ? wanted : EVENTS_CAPACITY_DEFAULT;
    capacity = capacity > EVENTS_CAPACITY_MIN ? capacity : EVENTS_CAPACITY_MIN;
    capacity = capacity < EVENTS_CAPACITY_MAX ? capacity : EVENTS_CAPACITY_MAX;
    return power_of_two_at_least(capacity);
}

int events_begin(struct events *events, uint64_t capacity) {
    uint64_t count = capacity_for(capacity);
    if (has_ended(events)) {
        return FASTER_E_CLOSED;
    }
    if (cells_of(events) != NULL) {
        return FASTER_E_BUSY;
    }
    struct event_cell *cells = calloc(count, sizeof *cells);
    if (cells == NULL) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < count; i++) {
        atomic_init(&cells[i].turn, i);
    }
    events->mask = count - 1;
    atomic_store_explicit(&events->cells, cells,
                          memory_order_release); /* M3, with cells_of */
    /* relaxed: who sees it late has an event less */
    atomic_store_explicit(&events->wanted, true, memory_order_relaxed);
    return FASTER_OK;
}

/* I5: somebody has stored what a sleeping reader has to see. */
static void rouse(struct events *events) {
    if (atomic_exchange_explicit(&events->asleep, false,
                                 memory_order_seq_cst)) { /* M2, with fall_asleep */
        wakeup_post(&events->wakeup);
    }
}

static void miss(struct events *events) {
    /* relaxed: a figure */
    (void)atomic_fetch_add_explicit(&events->lost, 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&events->missing, 1,
                                    memory_order_seq_cst); /* M2, M6, with last_gap */
}

/* What was lost and not told: whoever takes it tells it. */
static uint64_t take_missing(struct events *events) {
    /* relaxed: mostly 0, and then nothing is written that others would wait for */
    if (atomic_load_explicit(&events->missing, memory_order_relaxed) == 0) {
        return 0;
    }
    /* relaxed: each is taken once whatever the order */
    return atomic_exchange_explicit(&events->missing, 0, memory_order_relaxed);
}

/* The cell of a position that is the caller's from now on; NULL when there is no
 * room. */
static struct event_cell *take_cell(struct events *events, struct event_cell *cells,
                                    uint64_t *position) {
    /* relaxed: a guess, which the CAS judges */
    uint64_t tail = atomic_load_explicit(&events->tail, memory_order_relaxed);
    for (;;) { /* ends: a CAS fails only when another writer has got a cell */
        struct event_cell *cell = &cells[tail & events->mask];
        uint64_t turn =
            atomic_load_explicit(&cell->turn, memory_order_acquire); /* M1 */
        if (turn == tail) {
            /* relaxed: the position guards nothing; the cell's turn does */
            if (atomic_compare_exchange_weak_explicit(&events->tail, &tail, tail + 1,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed)) {
                *position = tail;
                return cell;
            }
        } else if (turn < tail) {
            return NULL;
        } else {
            /* relaxed: another writer was faster */
            tail = atomic_load_explicit(&events->tail, memory_order_relaxed);
        }
    }
}

void events_write(struct events *events, const struct faster_event *event) {
    uint64_t position;
    struct event_cell *cells = cells_of(events);
    if (cells == NULL) {
        return; /* `wanted` guards nothing: it may be seen before the ring is (M3) */
    }
    struct event_cell *cell = take_cell(events, cells, &position);
    if (cell == NULL) {
        miss(events);
    } else {
        cell->event = *event;
        cell->event.lost_before = take_missing(events);
        atomic_store_explicit(&cell->turn, position + 1,
                              memory_order_seq_cst); /* M1, M2, with is_written */
    }
    rouse(events);
}

void events_tell(struct events *events, enum faster_event_kind kind, int status,
                 uint64_t begin_ns, const uint64_t words[FASTER_EVENT_WORDS]) {
    uint64_t now = clock_ns();
    struct faster_event event = {
        .kind = (uint32_t)kind,
        .status = status,
        .begin_ns = begin_ns != 0 ? begin_ns : now,
        .end_ns = now,
    };
    memcpy(event.words, words, sizeof event.words);
    events_post(events, &event);
}

/* --- the reader ------------------------------------------------------------------- */

static uint64_t head_of(struct events *events) {
    /* relaxed: the reader's own word */
    return atomic_load_explicit(&events->head, memory_order_relaxed);
}

/* Whether the next cell has something for the reader. */
static bool is_written(struct events *events) {
    uint64_t head = head_of(events);
    struct event_cell *cell = &cells_of(events)[head & events->mask];
    return atomic_load_explicit(&cell->turn, memory_order_seq_cst) ==
           head + 1; /* M1, M2, with events_write */
}

static uint64_t take_events(struct events *events, struct faster_event *out,
                            uint64_t capacity) {
    struct event_cell *cells = cells_of(events);
    uint64_t taken = 0;
    while (taken < capacity && is_written(events)) {
        uint64_t head = head_of(events);
        struct event_cell *cell = &cells[head & events->mask];
        out[taken++] = cell->event;
        atomic_store_explicit(&cell->turn, head + events->mask + 1,
                              memory_order_release); /* M1, with take_cell */
        /* relaxed: the reader's own; for figures */
        atomic_store_explicit(&events->head, head + 1, memory_order_relaxed);
    }
    return taken;
}

/* How many were lost behind all that was read; 0 while a writer has a position that was
 * not, since what it writes may be older. */
static uint64_t last_gap(struct events *events) {
    uint64_t gap =
        atomic_load_explicit(&events->missing, memory_order_seq_cst); /* M2, M6 */
    return gap != 0 && events_waiting(events) == 0 ? gap : 0;
}

static uint64_t take_last_gap(struct events *events) {
    uint64_t gap = last_gap(events);
    /* Ends: a CAS fails only when a writer has lost one more, or has taken the gap. */
    while (gap != 0 && !atomic_compare_exchange_strong_explicit(
                           &events->missing, &gap, 0, memory_order_seq_cst,
                           memory_order_seq_cst)) { /* M6 */
        gap = last_gap(events);
    }
    return gap;
}

/* Sleep until there may be something to see, or the time is over. */
static void fall_asleep(struct events *events, uint32_t timeout_ms) {
    atomic_store_explicit(&events->asleep, true, memory_order_seq_cst);      /* M2 */
    bool poked = atomic_load_explicit(&events->poked, memory_order_seq_cst); /* M2 */
    if (!is_written(events) && !poked && !has_ended(events) && last_gap(events) == 0) {
        (void)wakeup_wait_ms(&events->wakeup, timeout_ms);
    }
    /* A post that came between is taken by the next sleep, which ends early. */
    atomic_store_explicit(&events->asleep, false, memory_order_seq_cst); /* M2 */
}

/* What there is, after having waited for it once. */
static int read_some(struct events *events, struct faster_event *out, uint64_t capacity,
                     uint32_t timeout_ms, uint64_t *count, uint64_t *lost) {
    *count = 0;
    *lost = 0;
    if (cells_of(events) == NULL) {
        return has_ended(events) ? FASTER_E_CLOSED : -EINVAL;
    }
    bool ended = has_ended(events); /* M5: before the ring is looked at */
    *count = take_events(events, out, capacity);
    if (*count == 0 && !ended && timeout_ms != 0) {
        fall_asleep(events, timeout_ms);
        ended = has_ended(events);
        *count = take_events(events, out, capacity);
    }
    atomic_store_explicit(&events->poked, false, memory_order_seq_cst); /* M2 */
    *lost = take_last_gap(events);
    return *count == 0 && *lost == 0 && ended ? FASTER_E_CLOSED : FASTER_OK;
}

int events_next(struct events *events, struct faster_event *out, uint64_t capacity,
                uint32_t timeout_ms, uint64_t *count, uint64_t *lost) {
    bool free_word = false;
    if (!atomic_compare_exchange_strong_explicit(&events->reading, &free_word, true,
                                                 memory_order_acquire,
                                                 memory_order_relaxed)) { /* M4 */
        return FASTER_E_BUSY;
    }
    int result = read_some(events, out, capacity, timeout_ms, count, lost);
    atomic_store_explicit(&events->reading, false, memory_order_release); /* M4 */
    return result;
}

void events_wake(struct events *events) {
    atomic_store_explicit(&events->poked, true, memory_order_seq_cst); /* M2 */
    rouse(events);
}

void events_end(struct events *events) {
    /* relaxed: who posts a little longer is read, or nobody reads */
    atomic_store_explicit(&events->wanted, false, memory_order_relaxed);
    atomic_store_explicit(&events->ended, true, memory_order_seq_cst); /* M2, M5 */
    rouse(events);
}

uint64_t events_waiting(struct events *events) {
    uint64_t head = head_of(events);
    /* relaxed: a figure */
    uint64_t tail = atomic_load_explicit(&events->tail, memory_order_relaxed);
    return tail > head ? tail - head : 0;
}

uint64_t events_lost(struct events *events) {
    /* relaxed: a figure */
    return atomic_load_explicit(&events->lost, memory_order_relaxed);
}
