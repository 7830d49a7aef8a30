/* SPDX-License-Identifier: MIT */
/*
 * torture.c: threads that write, read, sync, poll and wait at once
 *
 * Each thread owns every n-th block, writes some with a pattern of its number and the
 * round, and reads them back; some poll, and some wait.  Between its rounds it writes
 * and syncs one block, and waits for each.  The system shortens, interrupts and fails
 * some calls meanwhile, and the log is cut off below what the threads use.
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

#include "faulty_os.h"
#include "file_device.h"

enum { THREADS = 4, WIDTH = 24, BLOCK = 4096, BLOCKS = 64, FAILURES = 6 };

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
    uint64_t failures; /* those that were made */
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

static uint32_t ends_of(struct slot *slot) {
    return atomic_load_explicit(&slot->ends, memory_order_acquire); /* ends */
}

static void wait_for(struct worker *worker, uint32_t count) {
    struct faster_device *device = worker->device;
    for (uint32_t i = 0; i < count; i++) {
        struct slot *slot = &worker->slots[i];
        while (ends_of(slot) == 0) {
            int got = worker->number % 2 == 0 ? device->poll(device->context)
                                              : device->wait(device->context, 20);
            if (got < 0) {
                die("turn", got);
            }
        }
        if (ends_of(slot) != 1) {
            die("ends", i);
        }
    }
}

static void arm(struct slot *slot) {
    /* relaxed: submitting publishes it */
    atomic_store_explicit(&slot->ends, 0, memory_order_relaxed);
    slot->completion = (struct faster_completion){.done = done, .context = slot};
}

static bool went_well(struct worker *worker, uint32_t i) {
    /* relaxed: `ends` was read */
    return atomic_load_explicit(&worker->slots[i].status, memory_order_relaxed) ==
           FASTER_DEVICE_DONE;
}

static void submit_write(struct worker *worker, uint32_t i, uint64_t block,
                         int pattern) {
    struct faster_device *device = worker->device;
    struct slot *slot = &worker->slots[i];
    memset(slot->buffer, pattern, BLOCK);
    arm(slot);
    int status = device->write(device->context, block * BLOCK, slot->buffer, BLOCK,
                               &slot->completion);
    if (status != 0) {
        die("write", status);
    }
}

static void submit_read(struct worker *worker, uint32_t i, uint64_t block) {
    struct faster_device *device = worker->device;
    struct slot *slot = &worker->slots[i];
    memset(slot->buffer, 0xEE, BLOCK);
    arm(slot);
    int status = device->read(device->context, block * BLOCK, slot->buffer, BLOCK,
                              &slot->completion);
    if (status != 0) {
        die("read", status);
    }
}

static void submit_sync(struct worker *worker, uint32_t i) {
    struct faster_device *device = worker->device;
    arm(&worker->slots[i]);
    int status = device->sync(device->context, &worker->slots[i].completion);
    if (status != 0) {
        die("sync", status);
    }
}

/* Blocks of one's own; the first segment is cut off, so that it is nobody's. */
static uint64_t block_of(const struct worker *worker, uint32_t number) {
    return SEGMENT / BLOCK + (uint64_t)(number % BLOCKS) * THREADS + worker->number;
}

static void run_round(struct worker *worker, uint32_t round) {
    bool written[WIDTH];
    uint32_t start = roll(worker, BLOCKS);
    for (uint32_t i = 0; i < WIDTH; i++) {
        int pattern = (int)(round * 31 + i + worker->number);
        submit_write(worker, i, block_of(worker, start + i), pattern);
    }
    wait_for(worker, WIDTH);
    for (uint32_t i = 0; i < WIDTH; i++) {
        written[i] = went_well(worker, i);
        worker->failures += !written[i];
        submit_read(worker, i, block_of(worker, start + i));
    }
    submit_sync(worker, WIDTH);
    wait_for(worker, WIDTH + 1);
    for (uint32_t i = 0; i < WIDTH; i++) {
        bool read = went_well(worker, i);
        worker->failures += !read;
        uint8_t wanted = (uint8_t)(round * 31 + i + worker->number);
        const uint8_t *found = worker->slots[i].buffer;
        if (read && written[i] && (found[0] != wanted || found[BLOCK - 1] != wanted)) {
            die("pattern", i);
        }
    }
}

/* What a durable log does: one write, and one sync behind it. */
static void run_single(struct worker *worker) {
    submit_write(worker, 0, block_of(worker, roll(worker, BLOCKS)), 0x55);
    wait_for(worker, 1);
    worker->failures += !went_well(worker, 0);
    submit_sync(worker, 0);
    wait_for(worker, 1);
    if (!went_well(worker, 0)) {
        die("synced", 0);
    }
}

static void *run(void *argument) {
    struct worker *worker = argument;
    for (uint32_t round = 0; round < worker->rounds; round++) {
        run_round(worker, round);
        run_single(worker);
        int status = worker->device->truncate_before(worker->device->context, SEGMENT);
        if (status != 0) {
            die("truncate", status);
        }
    }
    return NULL;
}

static void plan(struct faulty_os *faulty) {
    static const struct faulty_rule rules[] = {
        {FAULTY_READ_FILE, 50, 12, 512},     {FAULTY_WRITE_FILE, 50, 12, 512},
        {FAULTY_READ_FILE, 200, 9, -EAGAIN}, {FAULTY_WRITE_FILE, 200, 9, -EINTR},
        {FAULTY_READ_FILE, 300, 3, -EIO},    {FAULTY_WRITE_FILE, 300, 3, -EIO},
        {FAULTY_SYNC_FILE, 60, 2, -EINTR},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (faulty_os_add(faulty, &rules[i]) != 0) {
            die("rule", (long long)i);
        }
    }
}

static void start(struct worker *worker, struct faster_device *device, uint32_t number,
                  char **texts) {
    worker->device = device;
    worker->number = number;
    worker->random = strtoull(texts[2], NULL, 10) + number;
    worker->rounds = (uint32_t)strtoul(texts[3], NULL, 10);
    for (uint32_t i = 0; i < WIDTH; i++) {
        void *memory = NULL;
        if (posix_memalign(&memory, BLOCK, BLOCK) != 0) {
            die("memory", i);
        }
        worker->slots[i].buffer = memory;
    }
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
        die("thread", number);
    }
}

static uint64_t finish(struct worker *worker) {
    (void)pthread_join(worker->thread, NULL);
    for (uint32_t i = 0; i < WIDTH; i++) {
        free(worker->slots[i].buffer);
    }
    return worker->failures;
}

int main(int count, char **texts) {
    if (count != 4) {
        return 2;
    }
    (void)printf("seed %s\n", texts[2]);
    static struct faulty_os faulty;
    if (faulty_os_init(&faulty, os_system()) != 0) {
        return 2;
    }
    plan(&faulty);
    const struct segments_settings settings = {.path = texts[1],
                                               .store_id = 1,
                                               .generation = 1,
                                               .segment_size = SEGMENT,
                                               .direct = SEGMENTS_TRY,
                                               .fresh = true};
    struct faster_device device;
    struct segments_problem problem;
    int status = file_device_open(&settings, 3, &faulty.os, &device, &problem);
    if (status != 0) {
        die("open", status);
    }
    static struct worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        start(&workers[i], &device, i, texts);
    }
    uint64_t failures = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        failures += finish(&workers[i]);
    }
    status = device.close(device.context);
    faulty_os_destroy(&faulty);
    (void)printf("%llu failures, close %d\n", (unsigned long long)failures, status);
    return status == 0 && failures == FAILURES ? 0 : 1;
}
