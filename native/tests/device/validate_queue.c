/* SPDX-License-Identifier: MIT */
/* queue.h: ids, bounces and ends, one step after the other. */
#include "device/kit.h"

enum { SLOTS = 4 };

static struct faster_queue_config usual(void) {
    return (struct faster_queue_config){
        .size = sizeof(struct faster_queue_config),
        .sector_size = 512,
        .alignment = 512,
        .capacity = 1 << 20,
        .max_io = 65536,
        .requests_max = SLOTS,
        .timeout_ms = 1, /* what is not served in these tests never will be */
    };
}

static struct faster_queue *open_usual(void) {
    struct faster_queue_config config = usual();
    struct faster_queue *queue = NULL;
    CHECK_INT(faster_queue_open(&config, &queue), 0);
    return queue;
}

static struct faster_queue_request take(struct faster_queue *queue, uint32_t kind) {
    struct faster_queue_request request = {0};
    CHECK_INT(faster_queue_take(queue, 0, &request), FASTER_OK);
    CHECK_U64(request.kind, kind);
    return request;
}

static struct faster_queue_stats stats_of(struct faster_queue *queue) {
    struct faster_queue_stats stats;
    faster_queue_stats(queue, &stats);
    return stats;
}

/* Serve CLOSE beforehand, so that close finds it reported. */
static void serve_close(struct faster_queue *queue) {
    struct faster_queue_request none;
    faster_queue_stop(queue);
    struct faster_queue_request last = take(queue, FASTER_KIND_CLOSE);
    CHECK_INT(faster_queue_take(queue, 0, &none), FASTER_E_CLOSED);
    CHECK_INT(faster_queue_complete(queue, last.id, FASTER_DEVICE_DONE, 0), 0);
}

static void end(struct faster_probe *probe, struct faster_queue *queue) {
    serve_close(queue);
    CHECK_INT(faster_probe_close(probe), 0);
    faster_probe_free(probe);
    faster_queue_free(queue);
}

static void configurations_that_make_no_sense_are_refused(void) {
    struct faster_queue *queue = NULL;
    struct faster_queue_config config = usual();
    config.size--;
    CHECK_INT(faster_queue_open(&config, &queue), FASTER_E_ABI);
    config = usual();
    config.alignment = 3;
    CHECK_INT(faster_queue_open(&config, &queue), -EINVAL);
    config = usual();
    config.sector_size = 100;
    CHECK_INT(faster_queue_open(&config, &queue), -EINVAL);
    config = usual();
    config.requests_max = UINT32_MAX;
    CHECK_INT(faster_queue_open(&config, &queue), -EINVAL);
    CHECK(queue == NULL, "%p", (void *)queue);
}

static void a_request_arrives_as_it_was_submitted(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    uint64_t wrote = kit_write(probe, 1024, 7, 512);
    uint64_t read = kit_read(probe, 512, 1024);
    uint64_t synced = kit_sync(probe);
    struct faster_queue_request write = take(queue, FASTER_KIND_WRITE);
    CHECK_U64(write.offset, 1024);
    CHECK_U64(write.length, 512);
    CHECK_INT(*(uint8_t *)write.buffer, 7);
    CHECK_U64((uintptr_t)write.buffer % 512, 0);
    CHECK_INT(faster_queue_complete(queue, write.id, FASTER_DEVICE_DONE, 512), 0);
    struct faster_queue_request got = take(queue, FASTER_KIND_READ);
    CHECK_INT(*(uint8_t *)got.buffer, 0);
    memset(got.buffer, 9, 1024);
    CHECK_INT(faster_queue_complete(queue, got.id, FASTER_DEVICE_DONE, 600), 0);
    struct faster_queue_request sync = take(queue, FASTER_KIND_SYNC);
    CHECK(sync.buffer == NULL, "%p", sync.buffer);
    CHECK_INT(faster_queue_complete(queue, sync.id, -EIO, 0), 0);
    kit_ended(probe, wrote, FASTER_DEVICE_DONE, 512);
    kit_ended(probe, read, FASTER_DEVICE_DONE, 600);
    kit_ended(probe, synced, -EIO, 0);
    kit_filled(probe, read, 9, 600);
    CHECK_INT(((uint8_t *)faster_probe_buffer(probe, read))[600], 0xee);
    faster_queue_buffer_free(write.buffer);
    faster_queue_buffer_free(got.buffer);
    end(probe, queue);
}

static void ranges_that_do_not_fit_are_refused(void) {
    static uint8_t bytes[131072];
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    uint64_t t;
    CHECK_INT(faster_probe_write(probe, 1, bytes, 512, 0, 0, &t), -EINVAL);
    CHECK_INT(faster_probe_write(probe, 0, bytes, 100, 0, 0, &t), -EINVAL);
    CHECK_INT(faster_probe_write(probe, 0, bytes, 131072, 0, 0, &t), -EINVAL);
    CHECK_INT(faster_probe_write(probe, 1 << 20, bytes, 512, 0, 0, &t), -ENOSPC);
    CHECK_INT(faster_probe_read(probe, UINT64_MAX - 511, 512, 0, 0, &t), -EINVAL);
    CHECK_U64(stats_of(queue).submitted, 0);
    CHECK_U64(faster_probe_completed(probe), 0);
    end(probe, queue);
}

/* F78: a completion comes twice, late, or for nobody. */
static void i2_f78_a_stray_completion_reaches_nobody(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    uint64_t first = kit_sync(probe);
    struct faster_queue_request request = take(queue, FASTER_KIND_SYNC);
    const uint64_t made_up[] = {
        0,          1,     request.id + 1,    request.id ^ (1ull << 32),
        UINT64_MAX, SLOTS, SLOTS | 1ull << 32};
    for (size_t i = 0; i < sizeof made_up / sizeof made_up[0]; i++) {
        CHECK_INT(faster_queue_complete(queue, made_up[i], FASTER_DEVICE_DONE, 0),
                  FASTER_E_CLOSED);
    }
    kit_in_flight(probe, first);
    CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0), 0);
    CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0),
              FASTER_E_CLOSED);
    /* The slot is used again: the old id is still nobody's. */
    uint64_t second = kit_sync(probe);
    struct faster_queue_request again = take(queue, FASTER_KIND_SYNC);
    CHECK(again.id != request.id, "%" PRIu64, again.id);
    CHECK_INT(faster_queue_complete(queue, request.id, -EIO, 0), FASTER_E_CLOSED);
    kit_in_flight(probe, second);
    CHECK_INT(faster_queue_complete(queue, again.id, FASTER_DEVICE_DONE, 0), 0);
    kit_ended(probe, first, FASTER_DEVICE_DONE, 0);
    kit_ended(probe, second, FASTER_DEVICE_DONE, 0);
    CHECK_U64(stats_of(queue).strays, 9);
    end(probe, queue);
}

/* Not yet taken: an id exists, but nobody was given it. */
static void i2_a_queued_request_cannot_be_completed(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    uint64_t ticket = kit_sync(probe);
    for (uint64_t slot = 0; slot <= SLOTS; slot++) {
        CHECK_INT(
            faster_queue_complete(queue, 1ull << 32 | slot, FASTER_DEVICE_DONE, 0),
            FASTER_E_CLOSED);
    }
    kit_in_flight(probe, ticket);
    struct faster_queue_request request = take(queue, FASTER_KIND_SYNC);
    CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0), 0);
    end(probe, queue);
}

/* F77: completions come in any order. */
static void f77_requests_may_be_reported_in_any_order(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    struct faster_queue_request taken[SLOTS];
    uint64_t tickets[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        tickets[i] = kit_write(probe, (uint64_t)i * 512, i, 512);
        taken[i] = take(queue, FASTER_KIND_WRITE);
    }
    for (int i = SLOTS - 1; i >= 0; i--) {
        kit_in_flight(probe, tickets[i]);
        CHECK_INT(faster_queue_complete(queue, taken[i].id, FASTER_DEVICE_DONE, 512),
                  0);
        kit_ended(probe, tickets[i], FASTER_DEVICE_DONE, 512);
        faster_queue_buffer_free(taken[i].buffer);
    }
    end(probe, queue);
}

static void a_full_queue_refuses_and_recovers(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    uint64_t ticket;
    for (int i = 0; i < SLOTS; i++) {
        (void)kit_sync(probe);
    }
    CHECK_INT(faster_probe_sync(probe, 0, &ticket), -EAGAIN);
    CHECK_INT(faster_probe_truncate_before(probe, 0), -EAGAIN);
    CHECK_U64(stats_of(queue).refused, 2);
    struct faster_queue_request request = take(queue, FASTER_KIND_SYNC);
    CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0), 0);
    CHECK_INT(faster_probe_sync(probe, 0, &ticket), 0);
    for (int i = 0; i < SLOTS; i++) {
        request = take(queue, FASTER_KIND_SYNC);
        CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0), 0);
    }
    CHECK_INT(faster_queue_take(queue, 0, &request), FASTER_NOT_FOUND);
    CHECK_U64(faster_probe_completed(probe), SLOTS + 1);
    end(probe, queue);
}

/* F76: a device that never answers; what it held comes back after all is over. */
static void i1_i3_f76_close_gives_up_what_never_ends(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    uint64_t read = kit_read(probe, 0, 512), queued = kit_write(probe, 0, 3, 512);
    struct faster_queue_request taken = take(queue, FASTER_KIND_READ);
    CHECK_INT(faster_probe_close(probe), -ETIMEDOUT);
    kit_ended(probe, read, -ETIMEDOUT, 0);
    kit_ended(probe, queued, -ETIMEDOUT, 0);
    CHECK_U64(stats_of(queue).timeouts, 2);
    /* The server is still at work in its own memory, and reports. */
    memset(taken.buffer, 5, 512);
    struct faster_queue_request last;
    CHECK_INT(faster_queue_take(queue, 0, &last), FASTER_E_CLOSED);
    CHECK_INT(faster_queue_complete(queue, taken.id, FASTER_DEVICE_DONE, 512),
              FASTER_E_CLOSED);
    kit_filled(probe, read, 0xee, 512);
    CHECK_U64(kit_result(probe, read).completions, 1);
    CHECK_U64(stats_of(queue).strays, 1);
    /* I4: now that nobody is out the device itself is closed. */
    last = take(queue, FASTER_KIND_CLOSE);
    CHECK_INT(faster_queue_complete(queue, last.id, FASTER_DEVICE_DONE, 0), 0);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
    faster_queue_free(queue);
    faster_queue_buffer_free(taken.buffer);
}

static void f76_truncation_is_given_up(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    struct faster_queue_request none;
    CHECK_INT(faster_probe_truncate_before(probe, 512), -ETIMEDOUT);
    CHECK_INT(faster_queue_take(queue, 0, &none), FASTER_NOT_FOUND);
    CHECK_U64(stats_of(queue).timeouts, 1);
    end(probe, queue);
}

static void after_stop_nothing_is_accepted(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    uint64_t before = kit_sync(probe), ticket;
    faster_queue_stop(queue);
    CHECK_INT(faster_probe_sync(probe, 0, &ticket), -ECANCELED);
    CHECK_INT(faster_probe_read(probe, 0, 512, 0, 0, &ticket), -ECANCELED);
    CHECK_INT(faster_probe_truncate_before(probe, 0), -ECANCELED);
    struct faster_queue_request request = take(queue, FASTER_KIND_SYNC);
    CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0), 0);
    kit_ended(probe, before, FASTER_DEVICE_DONE, 0);
    end(probe, queue);
}

static void close_gives_what_the_server_said(void) {
    struct faster_queue *queue = open_usual();
    faster_queue_stop(queue);
    struct faster_queue_request last = take(queue, FASTER_KIND_CLOSE);
    CHECK_INT(faster_queue_complete(queue, last.id, -ENOSPC, 0), 0);
    CHECK_INT(faster_queue_complete(queue, last.id, FASTER_DEVICE_DONE, 0),
              FASTER_E_CLOSED);
    CHECK_INT(faster_device_close(faster_queue_device(queue)), -ENOSPC);
    faster_queue_free(queue);
}

static void v11_wait_tells_what_was_completed_since(void) {
    struct faster_queue *queue = open_usual();
    struct faster_probe *probe = kit_probe(faster_queue_device(queue));
    CHECK_INT(faster_probe_device_wait(probe, UINT32_MAX), 0); /* nothing in flight */
    (void)kit_sync(probe);
    (void)kit_sync(probe);
    CHECK_INT(faster_probe_device_wait(probe, 0), 0);
    struct faster_queue_request request = take(queue, FASTER_KIND_SYNC);
    CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0), 0);
    CHECK_INT(faster_probe_device_wait(probe, UINT32_MAX), 1);
    CHECK_INT(faster_probe_poll(probe), 0);
    request = take(queue, FASTER_KIND_SYNC);
    CHECK_INT(faster_queue_complete(queue, request.id, FASTER_DEVICE_DONE, 0), 0);
    CHECK_INT(faster_probe_poll(probe), 1);
    end(probe, queue);
}

HARNESS_MAIN(TEST(configurations_that_make_no_sense_are_refused),
             TEST(a_request_arrives_as_it_was_submitted),
             TEST(ranges_that_do_not_fit_are_refused),
             TEST(i2_f78_a_stray_completion_reaches_nobody),
             TEST(i2_a_queued_request_cannot_be_completed),
             TEST(f77_requests_may_be_reported_in_any_order),
             TEST(a_full_queue_refuses_and_recovers),
             TEST(i1_i3_f76_close_gives_up_what_never_ends),
             TEST(f76_truncation_is_given_up), TEST(after_stop_nothing_is_accepted),
             TEST(close_gives_what_the_server_said),
             TEST(v11_wait_tells_what_was_completed_since))
