/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Written once, before the first test runs. */
static uint64_t run_seed = UINT64_C(0xfa57e2);
static uint64_t run_percent = 100;
static const char *run_test = "none";

/* _Exit, because other threads may still be running the code under test. */
static _Noreturn void leave(int code) {
    fflush(stdout);
    fflush(stderr);
    _Exit(code);
}

void check_failed(const char *file, int line, const char *condition, const char *format,
                  ...) {
    va_list values;
    fprintf(stderr, "%s:%d: in %s: CHECK(%s) failed: ", file, line, run_test,
            condition);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, " [seed %" PRIu64 "]\n", run_seed);
    leave(1);
}

void check_u64(const char *file, int line, const char *condition, uint64_t actual,
               uint64_t expected) {
    if (actual != expected) {
        check_failed(file, line, condition,
                     "%" PRIu64 " (0x%" PRIx64 "), expected %" PRIu64 " (0x%" PRIx64
                     ")",
                     actual, actual, expected, expected);
    }
}

void check_int(const char *file, int line, const char *condition, int64_t actual,
               int64_t expected) {
    if (actual != expected) {
        check_failed(file, line, condition, "%" PRId64 ", expected %" PRId64, actual,
                     expected);
    }
}

static uint64_t parse(const char *text, const char *what) {
    char *end = NULL;
    uint64_t value = strtoull(text, &end, 0);
    if (end == text || *end != '\0') {
        fprintf(stderr, "%s must be a number, not '%s'\n", what, text);
        leave(2);
    }
    return value;
}

int harness_run(int argc, char **argv, const struct harness_test *tests, size_t count) {
    if (argc > 1) {
        run_seed = parse(argv[1], "the seed");
    }
    if (argc > 2) {
        run_percent = parse(argv[2], "the percentage");
    }
    printf("seed %" PRIu64 "\n", run_seed);
    for (size_t i = 0; i < count; i++) {
        run_test = tests[i].name;
        printf("%s\n", run_test);
        fflush(stdout);
        tests[i].run();
    }
    printf("%zu held\n", count);
    return 0;
}

uint64_t harness_seed(void) { return run_seed; }

uint64_t harness_count(uint64_t usual) {
    uint64_t scaled = usual * run_percent / 100;
    return scaled == 0 ? 1 : scaled;
}

void harness_skip(const char *why) {
    printf("skipped: %s\n", why);
    leave(77);
}

/* splitmix64: spreads a seed over the state, which must not be all zero. */
static uint64_t spread(uint64_t *seed) {
    uint64_t word = *seed += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

struct rng rng_seeded(uint64_t seed) {
    struct rng rng;
    for (size_t i = 0; i < 4; i++) {
        rng.state[i] = spread(&seed);
    }
    return rng;
}

struct rng rng_stream(uint64_t stream) {
    uint64_t mixed = run_seed;
    return rng_seeded(spread(&mixed) ^ stream);
}

static uint64_t rotate(uint64_t word, unsigned count) {
    return (word << count) | (word >> (64 - count));
}

uint64_t rng_next(struct rng *rng) {
    uint64_t *s = rng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound) { return rng_next(rng) % bound; }

void rng_fill(struct rng *rng, void *bytes, size_t size) {
    unsigned char *at = bytes;
    while (size > 0) {
        uint64_t word = rng_next(rng);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(at, &word, part);
        at += part;
        size -= part;
    }
}

/* The gate is held shut while threads are made, so that they start together. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    int open;

    void (*body)(void *context, uint32_t thread);
    void *context;
};

struct runner {
    struct gate *gate;
    pthread_t handle;
    uint32_t thread;
};

static void *run_body(void *argument) {
    struct runner *runner = argument;
    struct gate *gate = runner->gate;
    pthread_mutex_lock(&gate->mutex);
    while (!gate->open) { /* ended by harness_threads, or by its CHECK */
        pthread_cond_wait(&gate->opened, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
    gate->body(gate->context, runner->thread);
    return NULL;
}

void harness_threads(uint32_t count, void (*body)(void *context, uint32_t thread),
                     void *context) {
    struct gate gate = {.open = 0, .body = body, .context = context};
    struct runner runners[HARNESS_THREADS_MAX];
    CHECK(count <= HARNESS_THREADS_MAX, "%u threads", count);
    pthread_mutex_init(&gate.mutex, NULL);
    pthread_cond_init(&gate.opened, NULL);
    for (uint32_t i = 0; i < count; i++) {
        runners[i] = (struct runner){.gate = &gate, .thread = i};
        int failed = pthread_create(&runners[i].handle, NULL, run_body, &runners[i]);
        CHECK(failed == 0, "pthread_create: %d", failed);
    }
    pthread_mutex_lock(&gate.mutex);
    gate.open = 1;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.mutex);
    for (uint32_t i = 0; i < count; i++) {
        int failed = pthread_join(runners[i].handle, NULL);
        CHECK(failed == 0, "pthread_join: %d", failed);
    }
    pthread_cond_destroy(&gate.opened);
    pthread_mutex_destroy(&gate.mutex);
}
