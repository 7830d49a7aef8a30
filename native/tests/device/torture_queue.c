/* SPDX-License-Identifier: MIT */
/* The queue between submitting and serving threads; clean under ThreadSanitizer. */
#include <stdatomic.h>

#include "device/kit.h"

enum { CLIENTS = 3, SERVERS = 3, BLOCK = 512, BLOCKS = 64 };

struct shared {
    struct faster_queue *queue;
    struct faster_device *behind; /* what the servers serve from */
    struct faster_probe *probe;
    uint64_t operations;
    _Atomic uint64_t refused;
    _Atomic uint64_t clients;
    _Atomic uint64_t closes;
};

/* Each client owns the blocks of its number, and knows what it wrote last. */
static void submit(struct shared *shared, uint32_t thread) {
    struct rng rng = rng_stream(thread);
    uint8_t known[BLOCKS] = {0};
    uint8_t bytes[BLOCK];
    for (uint64_t i = 0; i < shared->operations; i++) {
        uint64_t block = rng_below(&rng, BLOCKS);
        uint64_t offset = (block * CLIENTS + thread) * BLOCK, ticket;
        uint8_t fill = (uint8_t)rng_next(&rng);
        bool write = rng_below(&rng, 2) == 0;
        memset(bytes, fill, sizeof bytes);
        int status =
            write
                ? faster_probe_write(shared->probe, offset, bytes, BLOCK, 0, 0, &ticket)
                : faster_probe_read(shared->probe, offset, BLOCK, 0, 0, &ticket);
        if (status == -EAGAIN) {
            /* relaxed: read after the threads were joined */
            atomic_fetch_add_explicit(&shared->refused, 1, memory_order_relaxed);
            (void)faster_probe_device_wait(shared->probe, 1);
            continue;
        }
        CHECK_INT(status, 0);
        CHECK_INT(faster_probe_wait(shared->probe, ticket, KIT_WAIT_MS), FASTER_OK);
        struct faster_probe_result result = kit_result(shared->probe, ticket);
        CHECK_INT(result.code, FASTER_DEVICE_DONE);
        CHECK_U64(result.completions, 1);
        if (write) {
            known[block] = fill;
        } else if (result.bytes == BLOCK) {
            kit_filled(shared->probe, ticket, known[block], BLOCK);
        }
        if (i % 64 == 0) {
            int cut = faster_probe_truncate_before(shared->probe, 0);
            CHECK(cut == 0 || cut == -EAGAIN, "%d", cut);
            /* relaxed: as above */
            atomic_fetch_add_explicit(&shared->refused, cut != 0, memory_order_relaxed);
        }
    }
}

static int32_t serve_one(struct faster_probe *store,
                         const struct faster_queue_request *request, uint64_t *moved) {
    uint64_t ticket = 0;
    if (request->kind == FASTER_KIND_WRITE) {
        CHECK_INT(faster_probe_write(store, request->offset, request->buffer,
                                     request->length, 0, 0, &ticket),
                  0);
    } else if (request->kind == FASTER_KIND_READ) {
        ticket = kit_read(store, request->offset, request->length);
        *moved = kit_result(store, ticket).bytes;
        memcpy(request->buffer, faster_probe_buffer(store, ticket),
               (size_t)request->length);
        return FASTER_DEVICE_DONE;
    }
    *moved = request->length;
    return FASTER_DEVICE_DONE;
}

static void serve(struct shared *shared, struct faster_probe *store) {
    struct faster_queue_request request;
    /* Ends when the queue was stopped, and is empty. */
    for (;;) {
        int status = faster_queue_take(shared->queue, 5, &request);
        if (status == FASTER_E_CLOSED) {
            return;
        }
        if (status == FASTER_NOT_FOUND) {
            continue;
        }
        uint64_t moved = 0;
        int32_t code = serve_one(store, &request, &moved);
        if (request.kind == FASTER_KIND_CLOSE) {
            /* relaxed: read after the threads were joined */
            atomic_fetch_add_explicit(&shared->closes, 1, memory_order_relaxed);
        }
        CHECK_INT(faster_queue_complete(shared->queue, request.id, code, moved), 0);
        CHECK_INT(faster_queue_complete(shared->queue, request.id, code, moved),
                  FASTER_E_CLOSED);
        faster_queue_buffer_free(request.buffer);
    }
}

static struct faster_probe *store;

static void run(void *context, uint32_t thread) {
    struct shared *shared = context;
    if (thread >= CLIENTS) {
        serve(shared, store);
        return;
    }
    submit(shared, thread);
    /* relaxed: only the count matters, and the last one sees all */
    if (atomic_fetch_add_explicit(&shared->clients, 1, memory_order_relaxed) + 1 ==
        CLIENTS) {
        faster_queue_stop(shared->queue);
    }
}

static void i1_f78_each_request_ends_once_among_threads(void) {
    struct shared shared = {.operations = harness_count(1500)};
    struct faster_queue_config config = {
        .size = sizeof config,
        .sector_size = 512,
        .alignment = 512,
        .requests_max = 2, /* fewer than clients: refusals happen */
    };
    CHECK_INT(faster_queue_open(&config, &shared.queue), 0);
    shared.probe = kit_probe(faster_queue_device(shared.queue));
    struct faster_device *memory = kit_memory();
    store = kit_probe(memory);
    harness_threads(CLIENTS + SERVERS, run, &shared);
    CHECK_INT(faster_probe_close(shared.probe), 0);
    struct faster_queue_stats stats;
    faster_queue_stats(shared.queue, &stats);
    CHECK_U64(stats.submitted, stats.completed);
    /* relaxed: the threads were joined */
    CHECK_U64(stats.refused,
              atomic_load_explicit(&shared.refused, memory_order_relaxed));
    CHECK_U64(atomic_load_explicit(&shared.closes, memory_order_relaxed), 1);
    CHECK_U64(stats.strays, stats.completed + 1);
    (void)faster_probe_close(shared.probe);
    faster_probe_free(shared.probe);
    faster_queue_free(shared.queue);
    (void)faster_probe_close(store);
    faster_probe_free(store);
    faster_device_free(memory);
}

HARNESS_MAIN(TEST(i1_f78_each_request_ends_once_among_threads))
