/* SPDX-License-Identifier: MIT */
/* figures.h: what is counted and told of pages and writes.  The worker is driven by
 * hand, so every order of events here is the only one. */
#include "log/figures.h"

#include "log/disk_kit.h"

enum { PER_PAGE = KIT_PAGE / KIT_RECORD, ROOM = 256 };

struct heard {
    struct kit *kit;
    struct events events;
    struct faster_event list[ROOM];
    uint64_t count;
};

static void listen(struct heard *heard, const struct kit_options *options) {
    heard->kit = kit_begin(options);
    CHECK_INT(events_init(&heard->events), 0);
    CHECK_INT(events_begin(&heard->events, ROOM), FASTER_OK);
    heard->kit->log.events = &heard->events;
}

/* Everything that was told and not yet heard. */
static void hear(struct heard *heard) {
    uint64_t lost = 0;
    CHECK_INT(events_next(&heard->events, heard->list, ROOM, 0, &heard->count, &lost),
              FASTER_OK);
    CHECK_U64(lost, 0);
}

static void end(struct heard *heard) {
    kit_end(heard->kit);
    events_destroy(&heard->events);
}

/* The next event of a kind from *at on, or NULL. */
static const struct faster_event *next_of(const struct heard *heard, uint64_t *at,
                                          enum faster_event_kind kind) {
    for (uint64_t i = *at; i < heard->count; i++) {
        if (heard->list[i].kind == (uint32_t)kind) {
            *at = i + 1;
            return &heard->list[i];
        }
    }
    return NULL;
}

static const struct faster_event *first_of(const struct heard *heard,
                                           enum faster_event_kind kind) {
    uint64_t at = 0;
    return next_of(heard, &at, kind);
}

static uint64_t count_of(const struct heard *heard, enum faster_event_kind kind) {
    uint64_t at = 0;
    uint64_t count = 0;
    while (next_of(heard, &at, kind) != NULL) {
        count++;
    }
    return count;
}

static uint64_t sum_of(struct histogram *histogram) {
    uint64_t counts[HISTOGRAM_BUCKETS] = {0};
    uint64_t total = 0;
    uint64_t sum = 0;
    histogram_read(histogram, counts, &total);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += counts[i];
    }
    return sum;
}

static uint64_t figure(_Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* The ranges that are told follow each other, from 0 to `until`. */
static void check_ranges(const struct heard *heard, enum faster_event_kind kind,
                         uint64_t until) {
    const struct faster_event *event;
    uint64_t at = 0;
    uint64_t reached = 0;
    while ((event = next_of(heard, &at, kind)) != NULL) {
        CHECK_U64(event->words[0], reached);
        CHECK(event->words[1] > reached, "%" PRIu64, event->words[1]);
        CHECK(event->end_ns >= event->begin_ns, "%" PRIu64, event->end_ns);
        reached = event->words[1];
    }
    CHECK_U64(reached, until);
}

static void pages_are_told_without_a_gap(void) {
    struct heard heard;
    listen(&heard, &(struct kit_options){.rules = NULL});
    struct hlog *log = &heard.kit->log;
    kit_fill(heard.kit, 12 * PER_PAGE);
    uint64_t until = kit_want(heard.kit, KIT_PAGE, true);
    kit_settle(heard.kit);
    hear(&heard);
    uint64_t at = 0;
    for (uint64_t page = 1; page <= hlog_tail(log) >> KIT_PAGE_BITS; page++) {
        const struct faster_event *turned =
            next_of(&heard, &at, FASTER_EVENT_PAGE_TURNED);
        if (turned == NULL) {
            CHECK_U64(page << KIT_PAGE_BITS, hlog_tail(log)); /* not yet turned */
            break;
        }
        CHECK_U64(turned->words[0], page);
        CHECK_U64(turned->words[1], page << KIT_PAGE_BITS);
        CHECK_U64(turned->begin_ns, turned->end_ns);
    }
    check_ranges(&heard, FASTER_EVENT_PAGES_FLUSHED, until);
    check_ranges(&heard, FASTER_EVENT_PAGES_EVICTED, disk_closed_until(log));
    struct log_figures *figures = disk_figures(log);
    CHECK_U64(figure(&figures->writes), count_of(&heard, FASTER_EVENT_PAGES_FLUSHED));
    CHECK_U64(sum_of(&figures->write_times), figure(&figures->writes));
    CHECK_U64(figure(&figures->flying), 0);
    CHECK_U64(figure(&figures->errors), 0);
    end(&heard);
}

/* F05: what is tried again is counted once for each time, and told once. */
static void a_write_that_is_tried_again_is_told_when_it_succeeds(void) {
    static const struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                                  .fault = FASTER_FAULT_FAIL,
                                                  .argument = -EIO,
                                                  .times = 3};
    struct heard heard;
    listen(&heard, &(struct kit_options){.rules = &rule, .rules_count = 1});
    kit_fill(heard.kit, 10);
    (void)kit_want(heard.kit, KIT_SECTOR, false);
    kit_settle(heard.kit);
    hear(&heard);
    const struct faster_event *retried = first_of(&heard, FASTER_EVENT_DEVICE_RETRIED);
    CHECK(retried != NULL, "%s", "no retry was told");
    CHECK_INT(retried->status, -EIO);
    CHECK_U64(retried->words[0], FASTER_EVENT_WRITE);
    CHECK_U64(retried->words[1], 4);
    CHECK_U64(count_of(&heard, FASTER_EVENT_DEVICE_RETRIED), 1);
    CHECK_U64(count_of(&heard, FASTER_EVENT_DEVICE_FAILED), 0);
    CHECK_INT(first_of(&heard, FASTER_EVENT_PAGES_FLUSHED)->status, FASTER_OK);
    struct log_figures *figures = disk_figures(&heard.kit->log);
    CHECK_U64(figure(&figures->errors), 3);
    CHECK_U64(figure(&figures->retries), 3);
    CHECK_U64(figure(&figures->writes), 1);
    end(&heard);
}

/* F06: a write that is given up is told with its place; so is that it goes on. */
static void a_write_that_is_given_up_is_told(void) {
    static const struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                                  .fault = FASTER_FAULT_FAIL,
                                                  .argument = -ENOSPC,
                                                  .times = DISK_ATTEMPTS};
    struct heard heard;
    struct disk_failure failure;
    listen(&heard, &(struct kit_options){.rules = &rule, .rules_count = 1});
    struct log_figures *figures = disk_figures(&heard.kit->log);
    kit_fill(heard.kit, 10);
    (void)kit_want(heard.kit, KIT_SECTOR, false);
    kit_settle(heard.kit);
    CHECK_INT(disk_failed(&heard.kit->log, &failure), -ENOSPC);
    hear(&heard);
    const struct faster_event *failed = first_of(&heard, FASTER_EVENT_DEVICE_FAILED);
    CHECK(failed != NULL, "%s", "no failure was told");
    CHECK_INT(failed->status, -ENOSPC);
    CHECK_U64(failed->words[0], FASTER_EVENT_WRITE);
    CHECK_U64(failed->words[1], failure.from);
    CHECK_U64(failed->words[2], failure.until);
    CHECK_U64(count_of(&heard, FASTER_EVENT_PAGES_FLUSHED), 0);
    CHECK_U64(figure(&figures->errors), DISK_ATTEMPTS);
    CHECK_U64(figure(&figures->flying), 1);
    disk_resume(&heard.kit->log);
    kit_settle(heard.kit);
    hear(&heard);
    CHECK_U64(count_of(&heard, FASTER_EVENT_NEWS), 1);
    CHECK_U64(count_of(&heard, FASTER_EVENT_PAGES_FLUSHED), 1);
    CHECK_U64(first_of(&heard, FASTER_EVENT_DEVICE_RETRIED)->words[1],
              DISK_ATTEMPTS + 1);
    CHECK_U64(figure(&figures->errors), DISK_ATTEMPTS); /* each counted once */
    CHECK_U64(figure(&figures->retries), DISK_ATTEMPTS);
    CHECK_U64(figure(&figures->flying), 0);
    end(&heard);
}

/* A device that is full for now has neither failed nor been tried again. */
static void a_device_that_is_full_is_no_failure(void) {
    static const struct faster_fault_rule rule = {.kinds = FASTER_KIND_WRITE,
                                                  .fault = FASTER_FAULT_REFUSE,
                                                  .argument = -EAGAIN,
                                                  .times = 7};
    struct heard heard;
    listen(&heard, &(struct kit_options){.rules = &rule, .rules_count = 1});
    struct log_figures *figures = disk_figures(&heard.kit->log);
    kit_fill(heard.kit, 10);
    uint64_t until = kit_want(heard.kit, KIT_SECTOR, false);
    for (int i = 0; i < 10; i++) {
        (void)kit_round(heard.kit);
    }
    CHECK_U64(disk_flushed_until(&heard.kit->log), until);
    hear(&heard);
    CHECK_U64(figure(&figures->errors), 0);
    CHECK_U64(figure(&figures->retries), 0);
    CHECK_U64(count_of(&heard, FASTER_EVENT_DEVICE_RETRIED), 0);
    CHECK_U64(count_of(&heard, FASTER_EVENT_PAGES_FLUSHED), 1);
    end(&heard);
}

/* Nobody who listens, and no events at all: everything is counted all the same. */
static void figures_need_no_listener(void) {
    struct kit *kit = kit_begin(&(struct kit_options){.rules = NULL});
    kit_fill(kit, 10);
    (void)kit_want(kit, KIT_SECTOR, false);
    kit_settle(kit);
    CHECK_INT(disk_sync(&kit->log, 1000), FASTER_OK);
    CHECK_U64(figure(&disk_figures(&kit->log)->writes), 1);
    CHECK_U64(figure(&disk_figures(&kit->log)->syncs), 1);
    CHECK_U64(sum_of(&disk_figures(&kit->log)->sync_times), 1);
    kit_end(kit);
}

HARNESS_MAIN(TEST(pages_are_told_without_a_gap),
             TEST(a_write_that_is_tried_again_is_told_when_it_succeeds),
             TEST(a_write_that_is_given_up_is_told),
             TEST(a_device_that_is_full_is_no_failure), TEST(figures_need_no_listener))
