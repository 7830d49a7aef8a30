/* SPDX-License-Identifier: MIT */
/* tracing.h: single operations that are told, and what becomes of those that wait; and
 * the listener's functions of event.h */
#include "store/tracing.h"

#include "store/disk_kit.h"

enum { KEYS = 64, ROOM = 4096 };

struct heard {
    struct kit_disk disk;
    struct faster_event list[ROOM];
    uint64_t count;
};

static const struct kit_disk_options plain = {.rules = NULL};

static void listen(struct heard *heard, enum kit_kind kind, uint32_t every,
                   const struct kit_disk_options *options) {
    heard->disk = kit_disk_open(kind, options);
    CHECK_INT(faster_kv_events_begin(heard->disk.kv), FASTER_OK);
    for (uint64_t i = 0; i < KEYS; i++) {
        struct kit_bytes key = kit_key(kind, i);
        struct kit_bytes value = kit_value(kind, i, i % 300);
        CHECK_INT(kit_upsert(heard->disk.session, &key, &value), FASTER_OK);
    }
    kit_disk_evict(&heard->disk);
    CHECK_INT(faster_kv_sample(heard->disk.kv, every), FASTER_OK);
}

static void hear(struct heard *heard) {
    uint64_t lost = 0;
    int64_t epoch_ns = 0;
    CHECK_INT(faster_kv_events_next(heard->disk.kv, heard->list, ROOM, 0, &heard->count,
                                    &lost, &epoch_ns),
              FASTER_OK);
    CHECK_U64(lost, 0);
    CHECK(heard->count < ROOM, "%s", "there may be more");
}

/* The only event of a kind, or the one with this word. */
static const struct faster_event *find(const struct heard *heard,
                                       enum faster_event_kind kind, uint32_t word,
                                       uint64_t value) {
    const struct faster_event *found = NULL;
    for (uint64_t i = 0; i < heard->count; i++) {
        const struct faster_event *one = &heard->list[i];
        if (one->kind == (uint32_t)kind && one->words[word] == value) {
            CHECK(found == NULL, "two events of kind %d with %" PRIu64, kind, value);
            found = one;
        }
    }
    return found;
}

static uint64_t count_of(const struct heard *heard, enum faster_event_kind kind) {
    uint64_t count = 0;
    for (uint64_t i = 0; i < heard->count; i++) {
        count += heard->list[i].kind == (uint32_t)kind;
    }
    return count;
}

/* Every read that waits is told twice, with one number. */
static void i1_both_halves_of_an_operation_have_one_number(void) {
    for (int kind = 0; kind < KIT_KINDS; kind++) {
        struct heard heard;
        listen(&heard, (enum kit_kind)kind, 1, &plain);
        hear(&heard);
        for (uint64_t i = 0; i < KEYS; i++) {
            struct kit_bytes key = kit_key(heard.disk.kind, i);
            struct kit_bytes out;
            CHECK_INT(kit_run_read(heard.disk.session, &key, &out), FASTER_OK);
            hear(&heard);
            CHECK_U64(count_of(&heard, FASTER_EVENT_OPERATION), 1);
            CHECK_U64(count_of(&heard, FASTER_EVENT_PENDING_COMPLETED), 1);
            const struct faster_event *begun =
                find(&heard, FASTER_EVENT_OPERATION, 0, FASTER_READ);
            const struct faster_event *ended =
                find(&heard, FASTER_EVENT_PENDING_COMPLETED, 0, FASTER_READ);
            CHECK_INT(begun->status, FASTER_PENDING);
            CHECK_INT(ended->status, FASTER_OK);
            CHECK(begun->words[1] != 0, "%s", "no number");
            CHECK_U64(ended->words[1], begun->words[1]);
            CHECK(ended->words[2] >= 1, "%" PRIu64, ended->words[2]);
            CHECK(begun->begin_ns <= begun->end_ns, "%s", "begun");
            CHECK(begun->end_ns <= ended->begin_ns, "%s", "one after the other");
            CHECK(ended->begin_ns <= ended->end_ns, "%s", "ended");
        }
        kit_disk_close(&heard.disk);
    }
}

/* What ends at once has no second half, and leaves no number behind. */
static void what_does_not_wait_is_told_once(void) {
    struct heard heard;
    listen(&heard, KIT_WIDE, 1, &plain);
    hear(&heard);
    struct kit_bytes new_key = kit_key(KIT_WIDE, KEYS + 1);
    struct kit_bytes value = kit_value(KIT_WIDE, 5, 0);
    struct kit_bytes out;
    CHECK_INT(kit_upsert(heard.disk.session, &new_key, &value), FASTER_OK);
    CHECK_INT(kit_read(heard.disk.session, &new_key, &out), FASTER_OK);
    CHECK_INT(kit_delete(heard.disk.session, &new_key), FASTER_OK);
    hear(&heard);
    CHECK_U64(count_of(&heard, FASTER_EVENT_OPERATION), 3);
    CHECK_U64(count_of(&heard, FASTER_EVENT_PENDING_COMPLETED), 0);
    CHECK_INT(find(&heard, FASTER_EVENT_OPERATION, 0, FASTER_READ)->status, FASTER_OK);
    uint64_t upsert = find(&heard, FASTER_EVENT_OPERATION, 0, FASTER_UPSERT)->words[1];
    uint64_t delete = find(&heard, FASTER_EVENT_OPERATION, 0, FASTER_DELETE)->words[1];
    CHECK_U64(delete, upsert + 2);
    kit_disk_close(&heard.disk);
}

/* A number whose operation nobody began is given to no other one. */
static void i1_a_number_is_not_given_to_another_operation(void) {
    struct heard heard;
    listen(&heard, KIT_WIDE, 1, &plain);
    hear(&heard);
    struct kit_bytes key = kit_key(KIT_WIDE, 3);
    struct kit_bytes value = kit_value(KIT_WIDE, 5, 0);
    struct kit_bytes out;
    CHECK_INT(kit_read(heard.disk.session, &key, &out), FASTER_PENDING);
    CHECK_INT(faster_kv_sample(heard.disk.kv, 0), FASTER_OK);
    CHECK_INT(kit_run_write(heard.disk.session, FASTER_INSERT, &key, &value),
              FASTER_EXISTS);
    hear(&heard);
    CHECK_U64(count_of(&heard, FASTER_EVENT_OPERATION), 1);
    CHECK_U64(count_of(&heard, FASTER_EVENT_PENDING_COMPLETED), 0);
    kit_disk_close(&heard.disk);
}

/* Nor to a later one of the same kind, once it has been told. */
static void i1_a_number_is_told_with_one_operation_that_waited(void) {
    struct heard heard;
    listen(&heard, KIT_WIDE, 1, &plain);
    for (uint64_t i = 0; i < 2; i++) {
        struct kit_bytes key = kit_key(KIT_WIDE, i);
        struct kit_bytes out;
        hear(&heard);
        CHECK_INT(kit_run_read(heard.disk.session, &key, &out), FASTER_OK);
        CHECK_INT(faster_kv_sample(heard.disk.kv, 0), FASTER_OK);
        hear(&heard);
        CHECK_U64(count_of(&heard, FASTER_EVENT_PENDING_COMPLETED), i == 0);
    }
    kit_disk_close(&heard.disk);
}

/* Of a batch one in so many that wait is told, without a number. */
static void one_in_so_many_of_a_batch_is_told(void) {
    struct heard heard;
    uint64_t keys[KEYS];
    uint64_t values[KEYS];
    uint8_t flags[KEYS];
    uint64_t done = 0;
    listen(&heard, KIT_WORD, 8, &plain);
    hear(&heard);
    for (uint64_t i = 0; i < KEYS; i++) {
        keys[i] = i;
    }
    struct faster_items items = {.data = (uint8_t *)keys, .size = 8, .stride = 8};
    struct faster_results results = {
        .data = (uint8_t *)values, .capacity = sizeof values, .flags = flags};
    CHECK_INT(faster_read_many(heard.disk.session, &items, KEYS, &results, &done),
              FASTER_OK);
    CHECK_U64(done, KEYS);
    hear(&heard);
    CHECK_U64(count_of(&heard, FASTER_EVENT_OPERATION), 0);
    CHECK_U64(count_of(&heard, FASTER_EVENT_PENDING_COMPLETED), KEYS / 8);
    for (uint64_t i = 0; i < heard.count; i++) {
        if (heard.list[i].kind == FASTER_EVENT_PENDING_COMPLETED) {
            CHECK_U64(heard.list[i].words[0], FASTER_READ);
            CHECK_U64(heard.list[i].words[1], 0);
        }
    }
    kit_disk_close(&heard.disk);
}

static const struct faster_fault_rule bad_reads = {.kinds = FASTER_KIND_READ,
                                                   .fault = FASTER_FAULT_FAIL,
                                                   .argument = -EIO,
                                                   KIT_DISK_UNARMED};
static const struct kit_disk_options failing = {.rules = &bad_reads, .rules_count = 1};

/* F07: a read that fails once is made again, and told when it has succeeded. */
static void a_read_that_is_tried_again_is_told(void) {
    struct heard heard;
    struct kit_bytes key = kit_key(KIT_WIDE, 3);
    struct kit_bytes out;
    listen(&heard, KIT_WIDE, 0, &failing);
    hear(&heard);
    kit_disk_arm(&heard.disk, 0, 1);
    CHECK_INT(kit_run_read(heard.disk.session, &key, &out), FASTER_OK);
    hear(&heard);
    const struct faster_event *retried =
        find(&heard, FASTER_EVENT_DEVICE_RETRIED, 0, FASTER_EVENT_READ);
    CHECK(retried != NULL, "%s", "no retry was told");
    CHECK_INT(retried->status, -EIO);
    CHECK_U64(retried->words[1], 2);
    CHECK_U64(count_of(&heard, FASTER_EVENT_DEVICE_FAILED), 0);
    CHECK_U64(kit_stats(heard.disk.kv).device_retries, 1);
    CHECK_U64(kit_stats(heard.disk.kv).device_errors, 1);
    kit_disk_close(&heard.disk);
}

/* One that fails twice is given up; the operation that needed it is told, too. */
static void a_read_that_is_given_up_is_told(void) {
    struct heard heard;
    struct kit_bytes key = kit_key(KIT_WIDE, 3);
    struct kit_bytes out;
    listen(&heard, KIT_WIDE, 1, &failing);
    hear(&heard);
    kit_disk_arm(&heard.disk, 0, 2);
    CHECK_INT(kit_run_read(heard.disk.session, &key, &out), -EIO);
    hear(&heard);
    const struct faster_event *failed =
        find(&heard, FASTER_EVENT_DEVICE_FAILED, 0, FASTER_EVENT_READ);
    CHECK(failed != NULL, "%s", "no failure was told");
    CHECK_INT(failed->status, -EIO);
    CHECK(failed->words[1] < failed->words[2], "%" PRIu64, failed->words[1]);
    CHECK_U64(count_of(&heard, FASTER_EVENT_DEVICE_RETRIED), 0);
    CHECK_INT(find(&heard, FASTER_EVENT_PENDING_COMPLETED, 0, FASTER_READ)->status,
              -EIO);
    kit_disk_close(&heard.disk);
}

/* Closing ends the events behind the last of them, and begins none. */
static void closing_ends_the_events(void) {
    struct heard heard;
    uint64_t lost = 0;
    int64_t epoch_ns = 0;
    listen(&heard, KIT_WIDE, 0, &plain);
    CHECK_INT(faster_kv_events_begin(heard.disk.kv), FASTER_E_BUSY);
    faster_kv_events_wake(heard.disk.kv);
    CHECK_INT(faster_session_close(heard.disk.session), FASTER_OK);
    CHECK_INT(faster_kv_close(heard.disk.kv, KIT_DISK_WAIT_MS), FASTER_OK);
    hear(&heard);
    CHECK(heard.count > 0, "%s", "nothing was left");
    CHECK_INT(faster_kv_events_next(heard.disk.kv, heard.list, ROOM, KIT_DISK_WAIT_MS,
                                    &heard.count, &lost, &epoch_ns),
              FASTER_E_CLOSED);
    CHECK_U64(heard.count, 0);
    CHECK(epoch_ns > 0, "%" PRId64, epoch_ns);
    faster_kv_events_end(heard.disk.kv);
    faster_session_free(heard.disk.session);
    faster_kv_free(heard.disk.kv);
    kit_disk_free_devices(&heard.disk);
}

HARNESS_MAIN(TEST(i1_both_halves_of_an_operation_have_one_number),
             TEST(what_does_not_wait_is_told_once),
             TEST(i1_a_number_is_not_given_to_another_operation),
             TEST(i1_a_number_is_told_with_one_operation_that_waited),
             TEST(one_in_so_many_of_a_batch_is_told),
             TEST(a_read_that_is_tried_again_is_told),
             TEST(a_read_that_is_given_up_is_told), TEST(closing_ends_the_events))
