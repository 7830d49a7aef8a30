/* SPDX-License-Identifier: MIT */
/*
 * recovery.c: how many records a second come back from a log without an index
 *
 * Usage: bench_recovery [keys [threads [rounds]]]; without arguments a small run.
 * Every line on stdout is one JSON object: what was written, each round.
 *
 * Theory of operation
 *   Each key is written once, 8 + 8 bytes, to a store on a device of memory; the log is
 *   flushed, and the store is closed while the bytes stay.  A round opens a store on
 *   them, lets the threads link all records, and finishes: that is the time.  Then a
 *   sample of keys is read back; a wrong value ends the program with status 1.  The
 *   copying of the device is a part of the time.  On a machine that others use, too,
 *   the time of the processor says more than the clock.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "faster/api.h"
#include "faster/device.h"
#include "faster/device_tools.h"
#include "index/index.h"
#include "log/hlog.h"
#include "store/store.h"

enum { THREADS_MAX = 64, SAMPLE = 1000, WAIT_MS = 600000 };

static const uint64_t PAGE = (uint64_t)4 << 20;

struct part {
    pthread_t thread;
    struct faster_recovery *recovery;
    uint64_t from;
    uint64_t until;
    int status;
};

static void check(int status, const char *what) {
    if (status != FASTER_OK) {
        fprintf(stderr, "%s: status %d: %s\n", what, status, faster_strerror(status));
        exit(1);
    }
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t word) {
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static int keep(void *context) {
    (void)context;
    return 0;
}

static struct faster_kv *open_store(const struct faster_device *device, uint64_t keys,
                                    uint64_t log_until) {
    struct faster_kv *kv;
    struct faster_kv_config config = {
        .size = sizeof config,
        .layout = FASTER_FIXED,
        .hash = FASTER_HASH_XXH3,
        .key_size = 8,
        .value_size = 8,
        .page_size = PAGE,
        .memory = ((uint64_t)256 << 20) + keys * 64,
        .index_permille = 700,
        .expected_keys = log_until == 0 ? keys : 0,
        .device = device,
        .store_id = 1,
        .log_until = log_until,
        .log_start = log_until & ~(PAGE - 1),
    };
    check(faster_kv_open(&config, &kv), "open");
    return kv;
}

/* Write the keys; gives where the log ends, and the bits of its table. */
static uint64_t fill(const struct faster_device *device, uint64_t keys,
                     uint64_t *bits) {
    struct faster_kv *kv = open_store(device, keys, 0);
    struct faster_session *session;
    check(faster_session_open(kv, &session), "session");
    for (uint64_t i = 0; i < keys; i++) {
        uint64_t key = mix(i);
        int status = faster_upsert(session, &key, 8, &i, 8);
        while (status == FASTER_RETRY) { /* ends: the worker makes room */
            faster_session_wait(session);
            status = faster_upsert(session, &key, 8, &i, 8);
        }
        check(status, "upsert");
    }
    check(faster_kv_flush(kv, WAIT_MS), "flush");
    uint64_t until = hlog_tail(&kv->log);
    *bits = index_current(&kv->index)->bits;
    faster_session_free(session);
    check(faster_kv_close(kv, WAIT_MS), "close");
    faster_kv_free(kv);
    return until;
}

static void *link_part(void *context) {
    struct part *part = context;
    part->status = faster_recovery_log(part->recovery, part->from, part->until);
    return NULL;
}

static void link_all(struct faster_recovery *recovery, uint64_t until,
                     uint64_t threads) {
    static struct part parts[THREADS_MAX];
    uint64_t pages = (until + PAGE - 1) / PAGE;
    for (uint64_t i = 0; i < threads; i++) {
        uint64_t from = pages * i / threads * PAGE;
        uint64_t end = pages * (i + 1) / threads * PAGE;
        parts[i].recovery = recovery;
        parts[i].from = from > ADDRESS_FIRST ? from : ADDRESS_FIRST;
        parts[i].until = end < until ? end : until;
        if (pthread_create(&parts[i].thread, NULL, link_part, &parts[i]) != 0) {
            fprintf(stderr, "no thread could be started\n");
            exit(1);
        }
    }
    for (uint64_t i = 0; i < threads; i++) {
        (void)pthread_join(parts[i].thread, NULL);
        check(parts[i].status, "log");
    }
}

static void read_sample(struct faster_kv *kv, uint64_t keys) {
    struct faster_session *session;
    check(faster_session_open(kv, &session), "session");
    for (uint64_t i = 0; i < SAMPLE; i++) {
        uint64_t number = mix(i + keys) % keys;
        uint64_t key = mix(number);
        uint64_t value = 0;
        uint64_t size = 0;
        struct faster_pending *pending = NULL;
        struct faster_result result = {.status = FASTER_OK};
        struct faster_operation read = {
            .kind = FASTER_READ, .key = &key, .key_size = 8};
        int status = faster_start(session, &read, &value, 8, &size, &pending);
        if (status == FASTER_PENDING) {
            check(faster_wait(session, pending, WAIT_MS), "wait");
            faster_result_of(pending, &result);
            check(result.status, "read");
            memcpy(&value, result.value, 8);
            check(faster_forget(session, pending), "forget");
        }
        if (value != number) {
            fprintf(stderr, "item %" PRIu64 " is wrong\n", number);
            exit(1);
        }
    }
    faster_session_free(session);
}

static void run(const struct faster_device *device, uint64_t keys, uint64_t threads,
                uint64_t until, uint64_t bits) {
    struct faster_recovery *recovery;
    struct faster_kv *kv = open_store(device, keys, until);
    struct faster_recovery_config config = {
        .size = sizeof config,
        .version = 1,
        .begin = ADDRESS_FIRST,
        .table_bits = bits,
        .fuzzy_start = until,
        .log_until = until,
        .final = until,
    };
    double start = seconds_of(CLOCK_MONOTONIC);
    double busy = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    check(faster_recovery_begin(kv, &config, &recovery), "begin");
    link_all(recovery, until, threads);
    check(faster_recovery_finish(recovery), "finish");
    double seconds = seconds_of(CLOCK_MONOTONIC) - start;
    busy = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - busy;
    faster_recovery_free(recovery);
    printf("{\"event\": \"recovered\", \"threads\": %" PRIu64 ", \"records\": %" PRIu64
           ", \"seconds\": %.4f, \"records_per_second\": %.0f, "
           "\"records_per_processor_second\": %.0f, \"bytes_per_second\": %.0f}\n",
           threads, keys, seconds, (double)keys / seconds, (double)keys / busy,
           (double)until / seconds);
    read_sample(kv, keys);
    check(faster_kv_close(kv, WAIT_MS), "close");
    faster_kv_free(kv);
}

int main(int argc, char **argv) {
    uint64_t keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;
    uint64_t threads = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t rounds = argc > 3 ? strtoull(argv[3], NULL, 10) : 3;
    struct faster_device *memory;
    uint64_t bits;
    if (keys == 0 || threads == 0 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: bench_recovery [keys [threads [rounds]]]\n");
        return 2;
    }
    check(faster_device_memory(16 << 20, 0, &memory), "device");
    struct faster_device shelf = *memory;
    shelf.close = keep;
    uint64_t until = fill(&shelf, keys, &bits);
    printf("{\"event\": \"written\", \"records\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"table_bits\": %" PRIu64 "}\n",
           keys, until, bits);
    for (uint64_t i = 0; i < rounds; i++) {
        run(&shelf, keys, threads, until, bits);
    }
    check(faster_device_close(memory), "close the device");
    faster_device_free(memory);
    return 0;
}
