/* SPDX-License-Identifier: MIT */
/* Many threads post into a small ring, one reads.  Each writer numbers its events; the
 * reader finds every number once, in the writer's order, or told as lost: the numbers
 * that are missing are as many as were counted. */
#include "events/events.h"
#include "harness.h"

enum { WRITERS = 4, POSTS = 40000, CAPACITY = 16, ROOM = 5, LATE_MS = 60000 };

struct torture {
    struct events events;
    uint64_t read[WRITERS]; /* the reader's */
    uint64_t next[WRITERS]; /* the number that is expected at least */
    uint64_t missing;       /* told as lost */
    _Atomic uint32_t writing;
    bool paced; /* writers give way, so that the ring runs empty, too */
};

static void post_all(struct torture *torture, uint32_t writer) {
    struct rng rng = rng_stream(writer + 1);
    for (uint64_t i = 0; i < harness_count(POSTS); i++) {
        struct faster_event event = {.kind = FASTER_EVENT_PAGES_FLUSHED,
                                     .begin_ns = i,
                                     .end_ns = ~i,
                                     .words = {writer, i, i * 3, writer ^ i}};
        events_post(&torture->events, &event);
        if (torture->paced && rng_below(&rng, 4) == 0) {
            thread_yield();
        }
        if (rng_below(&rng, 1000) == 0) {
            events_wake(&torture->events);
        }
    }
    if (atomic_fetch_sub_explicit(&torture->writing, 1, memory_order_acq_rel) == 1) {
        events_end(&torture->events);
    }
}

static void take(struct torture *torture, const struct faster_event *event) {
    uint64_t writer = event->words[0];
    uint64_t number = event->words[1];
    CHECK(writer < WRITERS, "%" PRIu64, writer);
    CHECK(number >= torture->next[writer],
          "writer %" PRIu64 ": %" PRIu64 " after %" PRIu64, writer, number,
          torture->next[writer]);
    CHECK_U64(event->begin_ns, number);
    CHECK_U64(event->end_ns, ~number);
    CHECK_U64(event->words[2], number * 3);
    CHECK_U64(event->words[3], writer ^ number);
    torture->next[writer] = number + 1;
    torture->read[writer]++;
    torture->missing += event->lost_before;
}

static void read_all(struct torture *torture) {
    struct faster_event out[ROOM];
    for (;;) { /* ends: the last writer ends the events */
        uint64_t count = 0;
        uint64_t lost = 0;
        uint64_t begun = clock_ms();
        int result = events_next(&torture->events, out, ROOM, LATE_MS, &count, &lost);
        torture->missing += lost;
        if (result == FASTER_E_CLOSED) {
            return;
        }
        CHECK_INT(result, FASTER_OK);
        CHECK(count != 0 || clock_ms() - begun < LATE_MS, "%s", "it was not woken");
        for (uint64_t i = 0; i < count; i++) {
            take(torture, &out[i]);
        }
    }
}

static void act(void *context, uint32_t thread) {
    if (thread == 0) {
        read_all(context);
    } else {
        post_all(context, thread - 1);
    }
}

static void run(bool paced) {
    struct torture torture = {.paced = paced};
    uint64_t posted = WRITERS * harness_count(POSTS);
    uint64_t read = 0;
    CHECK_INT(events_init(&torture.events), 0);
    CHECK_INT(events_begin(&torture.events, CAPACITY), FASTER_OK);
    atomic_init(&torture.writing, WRITERS);
    harness_threads(WRITERS + 1, act, &torture);
    for (uint32_t i = 0; i < WRITERS; i++) {
        read += torture.read[i];
    }
    CHECK(read > 0, "%s", "nothing was read");
    CHECK_U64(read + torture.missing, posted);
    CHECK_U64(events_lost(&torture.events), torture.missing);
    CHECK_U64(events_waiting(&torture.events), 0);
    events_destroy(&torture.events);
}

static void i1_i2_every_event_is_read_in_order_or_counted(void) { run(false); }

static void i5_readers_that_sleep_often_are_woken(void) { run(true); }

HARNESS_MAIN(TEST(i1_i2_every_event_is_read_in_order_or_counted),
             TEST(i5_readers_that_sleep_often_are_woken))
