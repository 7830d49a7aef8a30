/* SPDX-License-Identifier: MIT */
/* events.h: what is read, what is lost, and when a reader sleeps. */
#include "events/events.h"

#include <errno.h>

#include "harness.h"

enum { CAPACITY = 8, LATE_MS = 60000 };

static struct events *begin(uint64_t capacity) {
    static struct events events;
    CHECK_INT(events_init(&events), 0);
    CHECK_INT(events_begin(&events, capacity), FASTER_OK);
    return &events;
}

static void end(struct events *events) { events_destroy(events); }

static struct faster_event event_of(uint64_t number) {
    return (struct faster_event){
        .kind = FASTER_EVENT_PAGE_TURNED,
        .begin_ns = number,
        .end_ns = number + 1,
        .words = {number, number + 1, number + 2, number + 3},
    };
}

static void post(struct events *events, uint64_t number) {
    struct faster_event event = event_of(number);
    event.lost_before = 1000; /* is not the caller's */
    events_post(events, &event);
}

static void check_event(const struct faster_event *event, uint64_t number,
                        uint64_t lost_before) {
    CHECK_U64(event->kind, FASTER_EVENT_PAGE_TURNED);
    CHECK_U64(event->begin_ns, number);
    CHECK_U64(event->end_ns, number + 1);
    CHECK_U64(event->lost_before, lost_before);
    for (uint64_t i = 0; i < FASTER_EVENT_WORDS; i++) {
        CHECK_U64(event->words[i], number + i);
    }
}

/* Read up to `capacity` events without waiting: the first is `number`, of which
 * `count` follow each other; behind them `lost` are missing. */
static void expect(struct events *events, uint64_t capacity, uint64_t number,
                   uint64_t count, uint64_t lost) {
    struct faster_event out[4 * CAPACITY];
    uint64_t found = 99;
    uint64_t missing = 99;
    CHECK_INT(events_next(events, out, capacity, 0, &found, &missing), FASTER_OK);
    CHECK_U64(found, count);
    CHECK_U64(missing, lost);
    for (uint64_t i = 0; i < count; i++) {
        check_event(&out[i], number + i, 0);
    }
}

static void i1_what_is_posted_is_read_once_in_order(void) {
    struct events *events = begin(CAPACITY);
    uint64_t posted = 0;
    uint64_t read = 0;
    struct rng rng = rng_stream(1);
    for (int round = 0; round < 100; round++) {
        uint64_t more = rng_below(&rng, CAPACITY - (posted - read) + 1);
        for (uint64_t i = 0; i < more; i++) {
            post(events, posted++);
        }
        CHECK_U64(events_waiting(events), posted - read);
        uint64_t room = 1 + rng_below(&rng, CAPACITY);
        uint64_t count = posted - read < room ? posted - read : room;
        expect(events, room, read, count, 0);
        read += count;
    }
    CHECK(posted > 4 * CAPACITY, "%" PRIu64, posted);
    CHECK_U64(events_lost(events), 0);
    end(events);
}

static void i1_nothing_is_written_down_before_somebody_listens(void) {
    struct events events;
    struct faster_event out;
    uint64_t count = 0;
    uint64_t lost = 0;
    CHECK_INT(events_init(&events), 0);
    CHECK(!events_wanted(&events), "%s", "before it began");
    CHECK(!events_wanted(NULL), "%s", "where there is none");
    post(&events, 1);
    CHECK_INT(events_next(&events, &out, 1, 0, &count, &lost), -EINVAL);
    CHECK_INT(events_begin(&events, CAPACITY), FASTER_OK);
    CHECK(events_wanted(&events), "%s", "begun");
    CHECK_INT(events_begin(&events, CAPACITY), FASTER_E_BUSY);
    CHECK_U64(events_waiting(&events), 0);
    CHECK_U64(events_lost(&events), 0);
    end(&events);
}

/* The newest are lost: what is in the ring stays as it is. */
static void i4_what_finds_no_room_is_told_where_it_is_missing(void) {
    struct events *events = begin(CAPACITY);
    struct faster_event out[CAPACITY];
    uint64_t count = 0;
    uint64_t lost = 0;
    for (uint64_t i = 0; i < CAPACITY + 3; i++) {
        post(events, i);
    }
    CHECK_U64(events_lost(events), 3);
    CHECK_U64(events_waiting(events), CAPACITY);
    expect(events, 2, 0, 2, 0); /* more follow: the gap is not here */
    post(events, 100);
    post(events, 101);
    post(events, 102); /* lost */
    expect(events, CAPACITY - 2, 2, CAPACITY - 2, 0);
    CHECK_INT(events_next(events, out, CAPACITY, 0, &count, &lost), FASTER_OK);
    CHECK_U64(count, 2);
    check_event(&out[0], 100, 3);
    check_event(&out[1], 101, 0);
    CHECK_U64(lost, 1);
    expect(events, CAPACITY, 0, 0, 0); /* told once */
    CHECK_U64(events_lost(events), 4);
    end(events);
}

/* The first two steps of a writer, and the last, as if it stood still between them. */
static void take_first_cell(struct events *events) {
    CHECK_U64(atomic_fetch_add_explicit(&events->tail, 1, memory_order_relaxed), 0);
}

static void write_first_cell(struct events *events, uint64_t number) {
    struct event_cell *cell =
        atomic_load_explicit(&events->cells, memory_order_relaxed);
    cell->event = event_of(number);
    atomic_store_explicit(&cell->turn, 1, memory_order_seq_cst);
}

static void i4_a_gap_is_told_behind_a_writer_that_stands_still(void) {
    struct events *events = begin(2);
    take_first_cell(events);
    post(events, 1);
    post(events, 2);            /* lost */
    expect(events, 2, 0, 0, 0); /* nothing can be read, and the gap is behind it */
    write_first_cell(events, 0);
    expect(events, 2, 0, 2, 1);
    expect(events, 2, 0, 0, 0);
    end(events);
}

/* `wanted` guards nothing, so who posts may see it before it sees the ring. */
static void m3_nothing_is_written_where_no_ring_is_seen(void) {
    struct events events;
    CHECK_INT(events_init(&events), 0);
    atomic_store_explicit(&events.wanted, true, memory_order_relaxed);
    post(&events, 1);
    CHECK_U64(events_waiting(&events), 0);
    CHECK_U64(events_lost(&events), 0);
    CHECK_INT(events_begin(&events, CAPACITY), FASTER_OK);
    post(&events, 2);
    expect(&events, CAPACITY, 2, 1, 0);
    end(&events);
}

static void limits_a_capacity_is_a_power_of_two_within_limits(void) {
    static const struct {
        uint64_t asked;
        uint64_t given;
    } cases[] = {{0, EVENTS_CAPACITY_DEFAULT},
                 {1, EVENTS_CAPACITY_MIN},
                 {2, 2},
                 {5, 8},
                 {4096, 4096},
                 {UINT64_MAX, EVENTS_CAPACITY_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct events *events = begin(cases[i].asked);
        for (uint64_t n = 0; n <= cases[i].given; n++) {
            post(events, n);
        }
        CHECK_U64(events_waiting(events), cases[i].given);
        CHECK_U64(events_lost(events), 1);
        end(events);
    }
}

static void m5_what_was_posted_before_the_end_is_read(void) {
    struct events *events = begin(CAPACITY);
    struct faster_event out[CAPACITY];
    uint64_t count = 0;
    uint64_t lost = 0;
    for (uint64_t i = 0; i < CAPACITY + 1; i++) {
        post(events, i);
    }
    events_end(events);
    post(events, 50); /* nobody wants it any more */
    CHECK(!events_wanted(events), "%s", "ended");
    CHECK_INT(events_begin(events, CAPACITY), FASTER_E_CLOSED);
    expect(events, 1, 0, 1, 0);
    expect(events, CAPACITY, 1, CAPACITY - 1, 1);
    CHECK_INT(events_next(events, out, 1, LATE_MS, &count, &lost), FASTER_E_CLOSED);
    CHECK_U64(count, 0);
    CHECK_INT(events_next(events, out, 1, LATE_MS, &count, &lost), FASTER_E_CLOSED);
    CHECK_U64(events_lost(events), 1);
    end(events);
}

static void m5_an_end_without_a_beginning_is_an_end(void) {
    struct events events;
    struct faster_event out;
    uint64_t count = 0;
    uint64_t lost = 0;
    CHECK_INT(events_init(&events), 0);
    events_end(&events);
    CHECK_INT(events_begin(&events, 0), FASTER_E_CLOSED);
    CHECK_INT(events_next(&events, &out, 1, 0, &count, &lost), FASTER_E_CLOSED);
    end(&events);
}

struct waiting {
    struct events *events;
    _Atomic bool reads;
};

/* Wait for something; whether it came before the time was over. */
static int await(struct events *events, uint64_t *count) {
    struct faster_event out[CAPACITY];
    uint64_t lost = 0;
    uint64_t deadline = clock_ms() + LATE_MS;
    int result;
    do { /* ends: a wait that was ended early for nothing is ended so once */
        result = events_next(events, out, CAPACITY, LATE_MS, count, &lost);
    } while (result == FASTER_OK && *count == 0 && clock_ms() < deadline);
    return result;
}

static void post_or_await(void *context, uint32_t thread) {
    struct events *events = context;
    uint64_t count = 0;
    if (thread == 0) {
        CHECK_INT(await(events, &count), FASTER_OK);
        CHECK_U64(count, 1);
    } else {
        post(events, 7);
    }
}

static void i5_a_sleeping_reader_is_woken_by_an_event(void) {
    for (uint64_t i = 0; i < harness_count(200); i++) {
        struct events *events = begin(CAPACITY);
        harness_threads(2, post_or_await, events);
        end(events);
    }
}

static void end_or_await(void *context, uint32_t thread) {
    struct events *events = context;
    uint64_t count = 0;
    if (thread == 0) {
        CHECK_INT(await(events, &count), FASTER_E_CLOSED);
    } else {
        events_end(events);
    }
}

static void i5_a_sleeping_reader_is_woken_by_the_end(void) {
    for (uint64_t i = 0; i < harness_count(200); i++) {
        struct events *events = begin(CAPACITY);
        harness_threads(2, end_or_await, events);
        end(events);
    }
}

static void wake_or_read(void *context, uint32_t thread) {
    struct events *events = context;
    struct faster_event out[CAPACITY];
    uint64_t count = 1;
    uint64_t lost = 1;
    if (thread == 0) {
        uint64_t begun = clock_ms();
        CHECK_INT(events_next(events, out, CAPACITY, LATE_MS, &count, &lost),
                  FASTER_OK);
        CHECK_U64(count, 0);
        CHECK(clock_ms() - begun < LATE_MS, "%s", "nobody woke it");
    } else {
        events_wake(events);
    }
}

static void i5_a_sleeping_reader_is_woken_to_look(void) {
    for (uint64_t i = 0; i < harness_count(200); i++) {
        struct events *events = begin(CAPACITY);
        harness_threads(2, wake_or_read, events);
        end(events);
    }
}

/* A writer found the ring full, and says so when the reader has taken everything: what
 * it does then wakes nobody who is awake. */
static void m2_a_reader_does_not_sleep_over_a_gap(void) {
    struct events *events = begin(CAPACITY);
    struct faster_event out;
    uint64_t count = 1;
    uint64_t lost = 0;
    uint64_t begun = clock_ms();
    (void)atomic_fetch_add_explicit(&events->missing, 1, memory_order_seq_cst);
    CHECK_INT(events_next(events, &out, 1, LATE_MS, &count, &lost), FASTER_OK);
    CHECK_U64(count, 0);
    CHECK_U64(lost, 1);
    CHECK(clock_ms() - begun < LATE_MS, "%s", "it slept");
    end(events);
}

static void a_reader_that_nobody_wakes_comes_back(void) {
    struct events *events = begin(CAPACITY);
    struct faster_event out;
    uint64_t count = 1;
    uint64_t lost = 1;
    CHECK_INT(events_next(events, &out, 1, 1, &count, &lost), FASTER_OK);
    CHECK_U64(count, 0);
    CHECK_U64(lost, 0);
    end(events);
}

/* Whoever comes second is refused, also while the first one sleeps. */
static void read_or_intrude(void *context, uint32_t thread) {
    struct waiting *waiting = context;
    struct faster_event out;
    uint64_t count = 0;
    uint64_t lost = 0;
    if (thread == 0) {
        atomic_store_explicit(&waiting->reads, true, memory_order_release);
        int result;
        do { /* ends: the other one reads for a moment only, until it was refused */
            result = await(waiting->events, &count);
        } while (result == FASTER_E_BUSY);
        CHECK_INT(result, FASTER_E_CLOSED);
        return;
    }
    while (!atomic_load_explicit(&waiting->reads, memory_order_acquire)) {
        thread_yield(); /* ends: the other thread has started */
    }
    for (;;) { /* ends: the other thread reads soon, and sleeps then */
        if (events_next(waiting->events, &out, 1, 0, &count, &lost) == FASTER_E_BUSY) {
            break;
        }
        thread_yield();
    }
    events_end(waiting->events);
}

static void m4_there_is_one_reader(void) {
    struct waiting waiting = {.events = begin(CAPACITY)};
    harness_threads(2, read_or_intrude, &waiting);
    end(waiting.events);
}

HARNESS_MAIN(TEST(i1_what_is_posted_is_read_once_in_order),
             TEST(i1_nothing_is_written_down_before_somebody_listens),
             TEST(i4_what_finds_no_room_is_told_where_it_is_missing),
             TEST(i4_a_gap_is_told_behind_a_writer_that_stands_still),
             TEST(m3_nothing_is_written_where_no_ring_is_seen),
             TEST(limits_a_capacity_is_a_power_of_two_within_limits),
             TEST(m5_what_was_posted_before_the_end_is_read),
             TEST(m5_an_end_without_a_beginning_is_an_end),
             TEST(i5_a_sleeping_reader_is_woken_by_an_event),
             TEST(i5_a_sleeping_reader_is_woken_by_the_end),
             TEST(i5_a_sleeping_reader_is_woken_to_look),
             TEST(m2_a_reader_does_not_sleep_over_a_gap),
             TEST(a_reader_that_nobody_wakes_comes_back), TEST(m4_there_is_one_reader))
