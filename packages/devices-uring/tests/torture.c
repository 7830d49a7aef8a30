/* SPDX-License-Identifier: MIT */
/*
 * torture.c: threads that write, read, sync, poll and wait at once
 *
 * Each thread owns every n-th block, writes it with a pattern of its number and the
 * round, and reads it back, many blocks at a time; some poll, and some wait.  Between
 * its rounds it writes and syncs one block, and waits for each.  A script makes the
 * kernel refuse, shorten and fail some requests meanwhile; with an odd seed it lets the
 * device make plain calls, too.
 * Built and run by test_torture.py, under ThreadSanitizer where there is one.
 *
 *   torture DIRECTORY SEED ROUNDS
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"
#include "uring_device.h"

enum { THREADS = 4, WIDTH = 24, BLOCK = 4096, BLOCKS = 64 };

static const uint64_t SEGMENT = 1u << 16;

struct slot {
    struct faster_completion completion;
    _Atomic uint32_t ends;
    _Atomic int32_t status;
    uint8_t *buffer;
};

struct worker {
    struct faster_device *device;
    uint32_t number;
    uint32_t rounds;
    uint64_t random;
    uint64_t failures; /* scripted ones */
    struct slot slots[WIDTH + 1];
    pthread_t thread;
};

static void die(const char *what, long long value) {
    (void)fprintf(stderr, "%s: %lld\n", what, value);
    exit(1);
}

static uint32_t roll(struct worker *worker, uint32_t below) {
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(worker->random >> 33) % below;
}

static void done(void *context, int32_t status, uint64_t bytes) {
    struct slot *slot = context;
    if (status == FASTER_DEVICE_DONE && bytes != BLOCK && bytes != 0) {
        die("bytes", (long long)bytes);
    }
    /* relaxed: read after `ends` was */
    atomic_store_explicit(&slot->status, status, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&slot->ends, 1, memory_order_release); /* ends */
}

static void wait_for(struct worker *worker, uint32_t count) {
    struct faster_device *device = worker->device;
    for (uint32_t i = 0; i < count; i++) {
        struct slot *slot = &worker->slots[i];
        while (atomic_load_explicit(&slot->ends, memory_order_acquire) ==
               0) { /* ends */
            int got = worker->number % 2 == 0 ? device->poll(device->context)
                                              : device->wait(device->context, 20);
            if (got < 0 && got != -EAGAIN && got != -EBUSY && got != -EINTR) {
                die("turn", got);
            }
        }
        if (atomic_load_explicit(&slot->ends, memory_order_acquire) != 1) { /* ends */
            die("ends", i);
        }
    }
}

static void arm(struct slot *slot) {
    /* relaxed: submitting publishes it */
    atomic_store_explicit(&slot->ends, 0, memory_order_relaxed);
    slot->completion = (struct faster_completion){.done = done, .context = slot};
}

static int32_t status_of(struct worker *worker, uint32_t i) {
    /* relaxed: `ends` was read */
    return atomic_load_explicit(&worker->slots[i].status, memory_order_relaxed);
}

static void run_round(struct worker *worker, uint32_t round) {
    struct faster_device *device = worker->device;
    uint64_t blocks[WIDTH];
    bool written[WIDTH];
    uint32_t start = roll(worker, BLOCKS);
    for (uint32_t i = 0; i < WIDTH; i++) {
        struct slot *slot = &worker->slots[i];
        blocks[i] = (uint64_t)((start + i) % BLOCKS) * THREADS + worker->number;
        memset(slot->buffer, (int)(round * 31 + i + worker->number), BLOCK);
        arm(slot);
        int status = device->write(device->context, blocks[i] * BLOCK, slot->buffer,
                                   BLOCK, &slot->completion);
        if (status != 0) {
            die("write", status);
        }
    }
    wait_for(worker, WIDTH);
    for (uint32_t i = 0; i < WIDTH; i++) {
        written[i] = status_of(worker, i) == FASTER_DEVICE_DONE;
        worker->failures += !written[i];
        arm(&worker->slots[i]);
        memset(worker->slots[i].buffer, 0xEE, BLOCK);
        int status =
            device->read(device->context, blocks[i] * BLOCK, worker->slots[i].buffer,
                         BLOCK, &worker->slots[i].completion);
        if (status != 0) {
            die("read", status);
        }
    }
    arm(&worker->slots[WIDTH]);
    int status = device->sync(device->context, &worker->slots[WIDTH].completion);
    if (status != 0) {
        die("sync", status);
    }
    wait_for(worker, WIDTH + 1);
    for (uint32_t i = 0; i < WIDTH; i++) {
        bool read = status_of(worker, i) == FASTER_DEVICE_DONE;
        worker->failures += !read;
        uint8_t wanted = (uint8_t)(round * 31 + i + worker->number);
        const uint8_t *found = worker->slots[i].buffer;
        if (read && written[i] && (found[0] != wanted || found[BLOCK - 1] != wanted)) {
            die("pattern", (long long)blocks[i]);
        }
    }
}

/* What a durable log does: one write, and one sync behind it. */
static void run_single(struct worker *worker) {
    struct faster_device *device = worker->device;
    struct slot *slot = &worker->slots[0];
    uint64_t block = (uint64_t)roll(worker, BLOCKS) * THREADS + worker->number;
    memset(slot->buffer, 0x55, BLOCK);
    arm(slot);
    int status = device->write(device->context, block * BLOCK, slot->buffer, BLOCK,
                               &slot->completion);
    if (status != 0) {
        die("single write", status);
    }
    wait_for(worker, 1);
    worker->failures += status_of(worker, 0) != FASTER_DEVICE_DONE;
    arm(slot);
    status = device->sync(device->context, &slot->completion);
    if (status != 0) {
        die("single sync", status);
    }
    wait_for(worker, 1);
    if (status_of(worker, 0) != FASTER_DEVICE_DONE) {
        die("synced", status_of(worker, 0));
    }
}

static void *run(void *argument) {
    struct worker *worker = argument;
    for (uint32_t round = 0; round < worker->rounds; round++) {
        run_round(worker, round);
        run_single(worker);
    }
    return NULL;
}

static void plan(struct script *script) {
    static const struct script_rule rules[] = {
        {IORING_OP_READ, 50, 20, 512, SCRIPT_ASK},
        {IORING_OP_WRITE, 50, 20, 512, SCRIPT_ASK},
        {IORING_OP_READ, 99, 9, 0, -EAGAIN},
        {IORING_OP_WRITE, 99, 9, 0, -EINTR},
        {IORING_OP_READ, 80, 3, 0, -EIO},
        {IORING_OP_WRITE, 80, 3, 0, -EIO},
        {IORING_OP_FSYNC, 2, 2, 0, -ECANCELED},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        (void)script_rule(script, &rules[i]);
    }
    for (int i = 0; i < SCRIPT_ANSWERS; i++) {
        int32_t answer = i % 9 == 3 ? -EAGAIN : i % 9 == 6 ? -EBUSY : SCRIPT_ASK;
        (void)script_answer(script, SCRIPT_ENTER, answer);
    }
}

int main(int count, char **texts) {
    if (count != 4) {
        return 2;
    }
    uint64_t seed = strtoull(texts[2], NULL, 10);
    (void)printf("seed %llu\n", (unsigned long long)seed);
    struct script *script = script_new();
    plan(script);
    if (seed % 2 != 0) {
        script_performs(script);
    }
    struct ring_calls calls = script_calls(script);
    struct uring_settings settings = {
        .segments = {.path = texts[1],
                     .store_id = 1,
                     .generation = 1,
                     .segment_size = SEGMENT,
                     .direct = SEGMENTS_TRY,
                     .fresh = true},
        .depth = 64,
        .calls = &calls,
    };
    struct faster_device device;
    struct segments_problem problem;
    bool refused = false;
    int status = uring_device_open(&settings, &device, &problem, &refused);
    if (status != 0) {
        die("open", status);
    }
    static struct worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].device = &device;
        workers[i].number = i;
        workers[i].random = seed + i;
        workers[i].rounds = (uint32_t)strtoul(texts[3], NULL, 10);
        for (uint32_t j = 0; j < WIDTH; j++) {
            void *memory = NULL;
            if (posix_memalign(&memory, BLOCK, BLOCK) != 0) {
                die("memory", j);
            }
            workers[i].slots[j].buffer = memory;
        }
        (void)pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    uint64_t failures = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        failures += workers[i].failures;
        for (uint32_t j = 0; j < WIDTH; j++) {
            free(workers[i].slots[j].buffer);
        }
    }
    status = device.close(device.context);
    script_free(script);
    (void)printf("%llu scripted failures, close %d\n", (unsigned long long)failures,
                 status);
    return status == 0 && failures == 6 ? 0 : 1;
}
