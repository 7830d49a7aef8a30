/* SPDX-License-Identifier: MIT */
/*
 * uring_raw.c: what the device costs over the ring itself
 *
 * Random reads of 4 KiB from one file, past the cache, so many in flight at once, from
 * one thread: first by a loop around the ring's system calls and nothing else, then
 * through the device's table, in turns.  Prints the rates, their ratio, and what one
 * read took of system calls and of the processor.
 *
 *   cc -O2 -std=c11 -D_GNU_SOURCE -Icsrc bench/uring_raw.c csrc/[!m]*.c -lpthread
 *   ./a.out DIRECTORY [SECONDS [DEPTH [ROUNDS [SEED]]]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "uring_device.h"

enum { BLOCK = 4096, SPAN = 1 << 20, DEPTH_MAX = 1024 };

static const uint64_t SIZE = (uint64_t)1 << 30;

struct clock {
    double seconds;
    double processor_us;
};

struct rate {
    double reads;
    double seconds;
    double processor_us;
    double enters;
};

static struct clock look(void) {
    struct timespec now;
    struct rusage used;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)getrusage(RUSAGE_SELF, &used);
    double us = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
                (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    return (struct clock){(double)now.tv_sec + (double)now.tv_nsec * 1e-9, us};
}

static void stop(const char *what, int status) {
    (void)fprintf(stderr, "%s: %s\n", what, strerror(-status));
    exit(1);
}

static uint64_t next_block(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % (SIZE / BLOCK) * BLOCK;
}

static uint8_t *buffers(void) {
    void *memory = NULL;
    if (posix_memalign(&memory, BLOCK, (size_t)SPAN + (size_t)DEPTH_MAX * BLOCK) != 0) {
        stop("memory", -12);
    }
    memset(memory, 7, (size_t)SPAN);
    return memory;
}

/* ---- the ring alone ----------------------------------------------------------------
 */

static void ask(struct ring *ring, int file, uint8_t *buffer, uint64_t number,
                uint64_t *seed) {
    struct io_uring_sqe *entry = ring_take(ring);
    entry->opcode = IORING_OP_READ;
    entry->fd = file;
    entry->off = 4096 + next_block(seed);
    entry->addr = (uint64_t)(uintptr_t)(buffer + number * BLOCK);
    entry->len = BLOCK;
    entry->user_data = number;
}

static struct rate run_raw(const char *path, double seconds, uint32_t depth,
                           uint64_t seed, uint8_t *buffer) {
    struct ring ring;
    int file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    int status = file < 0 ? -2 : ring_open(&ring, 1024, 2048, &ring_system);
    if (status != 0) {
        stop(path, status);
    }
    for (uint32_t i = 0; i < depth; i++) {
        ask(&ring, file, buffer, i, &seed);
    }
    uint64_t reads = 0, enters = 0, flying = depth;
    uint32_t asked = depth;
    struct clock begin = look(), now = begin;
    while (flying > 0) {
        ring_publish(&ring);
        int taken = ring_enter(&ring, asked, 1, 1000000);
        enters++;
        if (taken < 0) {
            stop("ring", taken);
        }
        asked -= (uint32_t)taken;
        struct ring_result results[64];
        uint32_t count = ring_reap(&ring, results, 64);
        reads += count;
        flying -= count;
        if ((reads & 255) < count) {
            now = look();
        }
        for (uint32_t i = 0; i < count; i++) {
            if (results[i].result != BLOCK) {
                stop("read", results[i].result);
            }
            if (now.seconds - begin.seconds < seconds) {
                ask(&ring, file, buffer, results[i].user_data, &seed);
                asked++;
                flying++;
            }
        }
    }
    now = look();
    ring_close(&ring, false);
    (void)close(file);
    return (struct rate){(double)reads, now.seconds - begin.seconds,
                         now.processor_us - begin.processor_us, (double)enters};
}

/* ---- through the table -------------------------------------------------------------
 */

struct runner {
    struct faster_device *device;
    double end;
    uint64_t seed;
    uint64_t reads;
    uint64_t flying;
    double now;
};

struct reader {
    struct runner *runner;
    uint8_t *buffer;
    struct faster_completion completion;
};

static void read_again(struct reader *reader) {
    struct faster_device *device = reader->runner->device;
    int status = device->read(device->context, next_block(&reader->runner->seed),
                              reader->buffer, BLOCK, &reader->completion);
    if (status != 0) {
        stop("device", status);
    }
}

static void finish(void *context, int32_t status, uint64_t bytes) {
    struct reader *reader = context;
    struct runner *runner = reader->runner;
    if (status != FASTER_DEVICE_DONE || bytes != BLOCK) {
        stop("read", status);
    }
    runner->reads++;
    if ((runner->reads & 255) == 0) {
        runner->now = look().seconds;
    }
    if (runner->now < runner->end) {
        read_again(reader);
    } else {
        runner->flying--;
    }
}

static struct rate run_device(struct faster_device *device, double seconds,
                              uint32_t depth, uint64_t seed, uint8_t *buffer) {
    struct uring_figures before, after;
    uring_device_figures(device, &before);
    static struct reader readers[DEPTH_MAX];
    struct clock begin = look();
    struct runner runner = {.device = device,
                            .end = begin.seconds + seconds,
                            .seed = seed,
                            .flying = depth,
                            .now = begin.seconds};
    for (uint32_t i = 0; i < depth; i++) {
        readers[i] = (struct reader){&runner,
                                     buffer + (uint64_t)i * BLOCK,
                                     {.done = finish, .context = &readers[i]}};
        read_again(&readers[i]);
    }
    while (runner.flying > 0) {
        int count = device->wait(device->context, 1000);
        if (count < 0) {
            stop("wait", count);
        }
    }
    struct clock now = look();
    uring_device_figures(device, &after);
    return (struct rate){(double)runner.reads, now.seconds - begin.seconds,
                         now.processor_us - begin.processor_us,
                         (double)(after.enters - before.enters)};
}

/* ---- the program -------------------------------------------------------------------
 */

static void fill_done(void *context, int32_t status, uint64_t bytes) {
    if (status != FASTER_DEVICE_DONE || bytes != SPAN) {
        stop("fill", status);
    }
    *(uint64_t *)context += bytes;
}

static void fill(struct faster_device *device, const uint8_t *buffer) {
    uint64_t written = 0;
    struct faster_completion completion = {fill_done, &written};
    for (uint64_t offset = 0; offset < SIZE; offset += SPAN) {
        int status = device->write(device->context, offset, buffer, SPAN, &completion);
        if (status != 0) {
            stop("fill", status);
        }
        while (written <= offset) {
            (void)device->wait(device->context, 1000);
        }
    }
}

static void show(const char *name, const struct rate *rate) {
    (void)printf("%-7s %9.0f reads/s  %.3f enters/read  %.2f us of processor/read\n",
                 name, rate->reads / rate->seconds, rate->enters / rate->reads,
                 rate->processor_us / rate->reads);
}

static double number(int count, char **texts, int at, double otherwise) {
    return at < count ? strtod(texts[at], NULL) : otherwise;
}

int main(int count, char **texts) {
    if (count < 2) {
        (void)fprintf(stderr, "usage: %s DIRECTORY [SECONDS DEPTH ROUNDS SEED]\n",
                      texts[0]);
        return 2;
    }
    double seconds = number(count, texts, 2, 2);
    uint32_t depth = (uint32_t)number(count, texts, 3, 64);
    int rounds = (int)number(count, texts, 4, 3);
    uint64_t seed = (uint64_t)number(count, texts, 5, 1);
    if (depth == 0 || depth > DEPTH_MAX) {
        stop("depth", -22);
    }
    struct uring_settings settings = {
        .segments = {.path = texts[1],
                     .store_id = 1,
                     .generation = 1,
                     .segment_size = SIZE,
                     .direct = SEGMENTS_DIRECT,
                     .fresh = true},
        .depth = 2048,
    };
    struct faster_device device;
    struct segments_problem problem;
    bool ring_refused = false;
    int status = uring_device_open(&settings, &device, &problem, &ring_refused);
    if (status != 0) {
        stop(ring_refused ? "ring" : texts[1], status);
    }
    uint8_t *buffer = buffers();
    fill(&device, buffer);
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/log/%020x.seg", texts[1], 0u);
    (void)printf("depth %u, seed %llu\n", depth, (unsigned long long)seed);
    double raw_total = 0, device_total = 0;
    for (int i = 0; i < rounds; i++) {
        struct rate raw = run_raw(path, seconds, depth, seed, buffer);
        struct rate ours = run_device(&device, seconds, depth, seed, buffer);
        show("raw", &raw);
        show("device", &ours);
        raw_total += raw.reads / raw.seconds;
        device_total += ours.reads / ours.seconds;
    }
    (void)printf("ratio %.3f\n", device_total / raw_total);
    free(buffer);
    return device.close(device.context) == 0 ? 0 : 1;
}
