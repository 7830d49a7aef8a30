/* SPDX-License-Identifier: MIT */
/*
 * ycsb.c: YCSB A, B, C and F against the core alone
 *
 * Usage: bench_ycsb [--name value ...]; without arguments a small run of workload C.
 * `bench_ycsb --help` lists the names.  Every line on stdout is one JSON object:
 * what was loaded, each round, and the medians.
 *
 * Theory of operation
 *   All that a thread does in a round (items, keys, kinds) is laid out in arrays
 *   before the clock starts; under the clock there is the loop and the calls into the
 *   core.  Item i has the key mix(i); its value begins with a stamp.  A write of round
 *   r sets a stamp that depends on the item and on r only, a read-modify-write adds
 *   one.  So the state after a round does not depend on how threads interleaved, and
 *   after each round every item is read back and compared with a model.  A wrong value
 *   ends the program with status 1.
 *
 *   The zipfian generator is the one of Gray et al. (SIGMOD 1994), which YCSB uses; a
 *   seeded permutation says which item has which rank.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "faster/api.h"

enum { READ = 0, WRITE = 1, BUMP = 2 };
enum { KEY_SIZE_MAX = 16, VALUE_SIZE_MAX = 4096, THREADS_MAX = 64, ROUNDS_MAX = 99 };

/* YCSB's constant for its zipfian request distribution. */
static const double THETA = 0.99;

/* Keys and stamps stay below 2^62, as in the Python benchmarks: same keys, same mix. */
static const uint64_t MASK = ((uint64_t)1 << 62) - 1;
static const uint64_t SECOND_HALF = (uint64_t)1 << 40;

struct options {
    char workload; /* 'A', 'B', 'C' or 'F' */
    int zipf;
    int varlen;
    uint64_t key_size;
    uint64_t value_size;
    uint64_t items;
    uint64_t operations; /* of each thread in each round */
    uint64_t threads;
    uint64_t batch; /* 1: single operations */
    uint64_t rounds;
    uint64_t seed;
    uint64_t presize; /* 1: tell the store how many items will come */
};

/* What zipfian ranks are computed from. */
struct zipfian {
    double zeta_items;
    double alpha;
    double eta;
    double first_two;
    uint64_t *item_of_rank;
};

/* One thread's work of one round. */
struct plan {
    uint64_t *numbers;
    uint8_t *kinds;
    uint8_t *keys;   /* operations * key_size */
    uint8_t *values; /* operations * value_size; used by writes */
    uint64_t *reads; /* for each batch: how many of its operations are reads, first */
    uint8_t *out;    /* one batch of results */
    uint64_t *offsets;
    uint64_t *ones;
};

struct bench {
    struct options options;
    struct zipfian zipfian;
    struct faster_kv *kv;
    struct faster_merge merge;
    uint64_t *model; /* the stamp that each item must have */

    /* Written by the threads of a round, under `mutex`. */
    pthread_mutex_t mutex;
    pthread_cond_t gate;
    uint64_t waiting;
    uint64_t begin_ns;
    uint64_t end_ns;
    int failure;
};

struct worker {
    struct bench *bench;
    struct faster_session *session;
    struct plan plan;
};

/* ---- Numbers ------------------------------------------------------------------- */

static uint64_t mix(uint64_t number) {
    static const uint64_t odd[2] = {0x2545F4914F6CDD1Du, 0x1B873593CC9E2D51u};
    uint64_t word = number & MASK;
    for (int step = 0; step < 2; step++) {
        word = (word * odd[step]) & MASK;
        word ^= word >> 31;
    }
    return word;
}

/* SplitMix64: a counter and a finalizer; good enough to draw requests from. */
static uint64_t draw(uint64_t *state) {
    uint64_t word = (*state += 0x9E3779B97F4A7C15u);
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
}

static double draw_unit(uint64_t *state) {
    return (double)(draw(state) >> 11) * 0x1.0p-53;
}

static uint64_t draw_below(uint64_t *state, uint64_t bound) {
    uint64_t number = (uint64_t)(draw_unit(state) * (double)bound);
    return number < bound ? number : bound - 1;
}

/* The natural logarithm of x > 0, by halving x into [1, 2) and the series of artanh:
 * with it and exponential() the program needs no mathematical library. */
static double logarithm(double x) {
    int halvings = 0;
    for (; x >= 2.0; x *= 0.5) {
        halvings++;
    }
    for (; x < 1.0; x *= 2.0) {
        halvings--;
    }
    double ratio = (x - 1.0) / (x + 1.0);
    double square = ratio * ratio;
    double sum = 0.0;
    for (int odd = 35; odd >= 1; odd -= 2) {
        sum = sum * square + 1.0 / odd;
    }
    return 2.0 * ratio * sum + halvings * 0.69314718055994530942;
}

static double exponential(double x) {
    int halvings = 0;
    for (; x > 0.5 || x < -0.5; x *= 0.5) {
        halvings++;
    }
    double sum = 1.0;
    for (int term = 16; term >= 1; term--) {
        sum = 1.0 + sum * x / term;
    }
    for (; halvings > 0; halvings--) {
        sum *= sum;
    }
    return sum;
}

static double power(double base, double exponent) {
    return exponential(exponent * logarithm(base));
}

static void *allocate(uint64_t count, uint64_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fprintf(stderr, "no memory for %" PRIu64 " times %" PRIu64 "\n", count, size);
        exit(1);
    }
    return memory;
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int check(const char *what, int status) {
    if (status < 0) {
        fprintf(stderr, "%s: status %d: %s\n", what, status, faster_strerror(status));
    }
    return status;
}

/* ---- Requests ------------------------------------------------------------------ */

static void permute(uint64_t *numbers, uint64_t count, uint64_t seed) {
    for (uint64_t i = 0; i < count; i++) {
        numbers[i] = i;
    }
    for (uint64_t left = count; left > 1; left--) {
        uint64_t at = draw_below(&seed, left);
        uint64_t kept = numbers[at];
        numbers[at] = numbers[left - 1];
        numbers[left - 1] = kept;
    }
}

static void zipfian_prepare(struct zipfian *zipfian, uint64_t items, uint64_t seed) {
    double sum = 0.0;
    for (uint64_t rank = items; rank >= 1; rank--) {
        sum += power((double)rank, -THETA);
    }
    zipfian->zeta_items = sum;
    zipfian->alpha = 1.0 / (1.0 - THETA);
    zipfian->first_two = 1.0 + power(2.0, -THETA);
    zipfian->eta = (1.0 - power(2.0 / (double)items, 1.0 - THETA)) /
                   (1.0 - zipfian->first_two / sum);
    zipfian->item_of_rank = allocate(items, sizeof(uint64_t));
    permute(zipfian->item_of_rank, items, seed);
}

static uint64_t zipfian_item(const struct zipfian *zipfian, uint64_t items,
                             double unit) {
    double scaled = unit * zipfian->zeta_items;
    uint64_t rank;
    if (scaled < 1.0) {
        rank = 0;
    } else if (scaled < zipfian->first_two) {
        rank = 1;
    } else {
        double base = zipfian->eta * unit - zipfian->eta + 1.0;
        rank = (uint64_t)((double)items * power(base, zipfian->alpha));
    }
    return zipfian->item_of_rank[rank < items ? rank : items - 1];
}

static int reads_percent(char workload) {
    switch (workload) {
    case 'A':
    case 'F':
        return 50;
    case 'B':
        return 95;
    default:
        return 100;
    }
}

static void write_key(uint8_t *key, uint64_t key_size, uint64_t number) {
    uint64_t halves[2] = {mix(number), mix(number + SECOND_HALF)};
    memcpy(key, halves, key_size);
}

static void write_value(uint8_t *value, uint64_t value_size, uint64_t stamp) {
    memcpy(value, &stamp, sizeof stamp);
    for (uint64_t i = sizeof stamp; i < value_size; i++) {
        value[i] = (uint8_t)(i * 7);
    }
}

/* Stamps are halved, so that bumps never reach 2^62. */
static uint64_t first_stamp(uint64_t number) { return mix(number) >> 1; }

static uint64_t round_stamp(uint64_t number, uint64_t round) {
    return mix(number + ((round + 1) << 44)) >> 1;
}

/* Within a batch, reads come first: then a batch is two calls. */
static void sort_batches(const struct options *options, struct plan *plan) {
    uint64_t *rest = allocate(options->batch, sizeof *rest);
    for (uint64_t first = 0; first < options->operations; first += options->batch) {
        uint64_t left = options->operations - first;
        uint64_t count = left < options->batch ? left : options->batch;
        uint8_t kind = READ;
        uint64_t reads = 0;
        uint64_t others = 0;
        for (uint64_t i = first; i < first + count; i++) {
            if (plan->kinds[i] == READ) {
                plan->numbers[first + reads++] = plan->numbers[i];
            } else {
                kind = plan->kinds[i];
                rest[others++] = plan->numbers[i];
            }
        }
        memcpy(plan->numbers + first + reads, rest, others * sizeof *rest);
        memset(plan->kinds + first, READ, reads);
        memset(plan->kinds + first + reads, kind, others);
        plan->reads[first / options->batch] = reads;
    }
    free(rest);
}

static void plan_fill(const struct bench *bench, struct plan *plan, uint64_t round,
                      uint64_t thread) {
    const struct options *options = &bench->options;
    uint64_t state = mix(options->seed + (round << 20) + (thread << 8));
    uint64_t reads = (uint64_t)reads_percent(options->workload);
    uint8_t other = options->workload == 'F' ? BUMP : WRITE;
    for (uint64_t i = 0; i < options->operations; i++) {
        plan->numbers[i] = options->zipf ? zipfian_item(&bench->zipfian, options->items,
                                                        draw_unit(&state))
                                         : draw_below(&state, options->items);
        plan->kinds[i] = draw_below(&state, 100) < reads ? READ : other;
    }
    if (options->batch > 1) {
        sort_batches(options, plan);
    }
    for (uint64_t i = 0; i < options->operations; i++) {
        write_key(plan->keys + i * options->key_size, options->key_size,
                  plan->numbers[i]);
        write_value(plan->values + i * options->value_size, options->value_size,
                    round_stamp(plan->numbers[i], round));
    }
}

static void plan_open(const struct options *options, struct plan *plan) {
    uint64_t operations = options->operations;
    plan->numbers = allocate(operations, sizeof *plan->numbers);
    plan->kinds = allocate(operations, 1);
    plan->keys = allocate(operations, options->key_size);
    plan->values = allocate(operations, options->value_size);
    plan->reads = allocate(operations / options->batch + 1, sizeof *plan->reads);
    plan->out = allocate(options->batch, options->value_size);
    plan->offsets = allocate(options->batch + 1, sizeof *plan->offsets);
    plan->ones = allocate(options->batch, sizeof *plan->ones);
    for (uint64_t i = 0; i < options->batch; i++) {
        plan->ones[i] = 1;
    }
}

static void plan_close(struct plan *plan) {
    free(plan->numbers);
    free(plan->kinds);
    free(plan->keys);
    free(plan->values);
    free(plan->reads);
    free(plan->out);
    free(plan->offsets);
    free(plan->ones);
}

/* ---- Under the clock ----------------------------------------------------------- */

/* The merge for values that are not one integer: add one to the stamp in front. */
static int64_t bump_stamp(uint8_t *value, int64_t value_size, int64_t capacity,
                          const uint8_t *input, int64_t input_size) {
    uint64_t stamp;
    uint64_t more;
    if (value_size < 8 || input_size != 8 || capacity < value_size) {
        return -1;
    }
    memcpy(&stamp, value, sizeof stamp);
    memcpy(&more, input, sizeof more);
    stamp += more;
    memcpy(value, &stamp, sizeof stamp);
    return value_size;
}

static int do_one(struct worker *worker, uint64_t i, uint64_t *value_size) {
    const struct options *options = &worker->bench->options;
    const struct plan *plan = &worker->plan;
    const uint8_t *key = plan->keys + i * options->key_size;
    switch (plan->kinds[i]) {
    case READ:
        return faster_read(worker->session, key, options->key_size, plan->out,
                           options->value_size, value_size);
    case WRITE:
        return faster_upsert(worker->session, key, options->key_size,
                             plan->values + i * options->value_size,
                             options->value_size);
    default:
        return faster_rmw(worker->session, &worker->bench->merge, key,
                          options->key_size, plan->ones, sizeof *plan->ones, plan->out,
                          options->value_size, value_size);
    }
}

static int run_singles(struct worker *worker) {
    uint64_t value_size;
    for (uint64_t i = 0; i < worker->bench->options.operations; i++) {
        int status = do_one(worker, i, &value_size);
        while (status == FASTER_RETRY) {
            faster_session_wait(worker->session);
            status = do_one(worker, i, &value_size);
        }
        if (status != FASTER_OK) {
            return status;
        }
    }
    return FASTER_OK;
}

static int read_batch(struct worker *worker, uint64_t first, uint64_t count) {
    const struct options *options = &worker->bench->options;
    const struct plan *plan = &worker->plan;
    const struct faster_items keys = {plan->keys + first * options->key_size, NULL,
                                      options->key_size, options->key_size};
    const struct faster_results results = {
        plan->out, options->batch * options->value_size,
        options->varlen ? plan->offsets : NULL, NULL};
    uint64_t done = 0;
    return faster_read_many(worker->session, &keys, count, &results, &done);
}

static int change_batch(struct worker *worker, uint64_t first, uint64_t count) {
    const struct options *options = &worker->bench->options;
    const struct plan *plan = &worker->plan;
    const struct faster_items keys = {plan->keys + first * options->key_size, NULL,
                                      options->key_size, options->key_size};
    uint64_t done = 0;
    if (options->workload == 'F') {
        const struct faster_items inputs = {(const uint8_t *)plan->ones, NULL,
                                            sizeof *plan->ones, sizeof *plan->ones};
        const struct faster_results none = {NULL, 0, NULL, NULL};
        return faster_rmw_many(worker->session, &worker->bench->merge, &keys, &inputs,
                               count, &none, &done);
    }
    const struct faster_items values = {plan->values + first * options->value_size,
                                        NULL, options->value_size, options->value_size};
    return faster_upsert_many(worker->session, &keys, &values, count, &done);
}

static int run_batches(struct worker *worker) {
    const struct options *options = &worker->bench->options;
    for (uint64_t first = 0; first < options->operations; first += options->batch) {
        uint64_t left = options->operations - first;
        uint64_t count = left < options->batch ? left : options->batch;
        uint64_t reads = worker->plan.reads[first / options->batch];
        int status = FASTER_OK;
        if (reads) {
            status = read_batch(worker, first, reads);
        }
        if (status == FASTER_OK && reads < count) {
            status = change_batch(worker, first + reads, count - reads);
        }
        if (status != FASTER_OK) {
            return status;
        }
    }
    return FASTER_OK;
}

/* All threads of a round start together; the last to come opens the gate. */
static void wait_for_all(struct bench *bench) {
    pthread_mutex_lock(&bench->mutex);
    bench->waiting++;
    if (bench->waiting == bench->options.threads) {
        bench->begin_ns = now_ns();
        pthread_cond_broadcast(&bench->gate);
    }
    while (bench->waiting < bench->options.threads) {
        pthread_cond_wait(&bench->gate, &bench->mutex);
    }
    pthread_mutex_unlock(&bench->mutex);
}

static void *run_worker(void *argument) {
    struct worker *worker = argument;
    struct bench *bench = worker->bench;
    wait_for_all(bench);
    int status = bench->options.batch > 1 ? run_batches(worker) : run_singles(worker);
    uint64_t end = now_ns();
    pthread_mutex_lock(&bench->mutex);
    if (end > bench->end_ns) {
        bench->end_ns = end;
    }
    if (status != FASTER_OK) {
        bench->failure = status;
    }
    pthread_mutex_unlock(&bench->mutex);
    return NULL;
}

/* ---- Rounds -------------------------------------------------------------------- */

static int run_threads(struct bench *bench, struct worker *workers) {
    pthread_t threads[THREADS_MAX];
    bench->waiting = 0;
    bench->end_ns = 0;
    bench->failure = FASTER_OK;
    for (uint64_t i = 0; i < bench->options.threads; i++) {
        if (pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0) {
            fprintf(stderr, "no thread could be started\n");
            exit(1); /* those started already wait for ever at the gate */
        }
    }
    for (uint64_t i = 0; i < bench->options.threads; i++) {
        pthread_join(threads[i], NULL);
    }
    if (bench->failure != FASTER_OK) {
        fprintf(stderr, "an operation failed: status %d: %s\n", bench->failure,
                faster_strerror(bench->failure));
        return 1;
    }
    return 0;
}

static void model_apply(struct bench *bench, const struct plan *plan, uint64_t round) {
    for (uint64_t i = 0; i < bench->options.operations; i++) {
        if (plan->kinds[i] == WRITE) {
            bench->model[plan->numbers[i]] = round_stamp(plan->numbers[i], round);
        } else if (plan->kinds[i] == BUMP) {
            bench->model[plan->numbers[i]]++;
        }
    }
}

static int check_all(struct bench *bench, struct faster_session *session) {
    const struct options *options = &bench->options;
    uint8_t key[KEY_SIZE_MAX];
    uint8_t found[VALUE_SIZE_MAX];
    uint8_t expected[VALUE_SIZE_MAX];
    for (uint64_t number = 0; number < options->items; number++) {
        uint64_t size = 0;
        write_key(key, options->key_size, number);
        write_value(expected, options->value_size, bench->model[number]);
        int status;
        while ((status = faster_read(session, key, options->key_size, found,
                                     options->value_size, &size)) == FASTER_RETRY) {
            faster_session_wait(session);
        }
        if (status != FASTER_OK || size != options->value_size ||
            memcmp(found, expected, options->value_size) != 0) {
            fprintf(stderr, "item %" PRIu64 " is wrong (status %d, seed %" PRIu64 ")\n",
                    number, status, options->seed);
            return 1;
        }
    }
    return 0;
}

static void print_case(const struct options *options) {
    printf("\"workload\": \"%c\", \"distribution\": \"%s\", \"layout\": \"%s\", "
           "\"key_size\": %" PRIu64 ", \"value_size\": %" PRIu64 ", \"items\": %" PRIu64
           ", \"threads\": %" PRIu64 ", \"batch\": %" PRIu64 ", \"seed\": %" PRIu64,
           options->workload, options->zipf ? "zipf" : "uniform",
           options->varlen ? "varlen" : "fixed", options->key_size, options->value_size,
           options->items, options->threads, options->batch, options->seed);
}

static void print_figure(const struct options *options, const char *event, double ns) {
    printf("{\"event\": \"%s\", ", event);
    print_case(options);
    printf(", \"ns_per_operation\": %.2f, \"operations_per_second\": %.0f}\n", ns,
           1e9 / ns);
    fflush(stdout);
}

static int compare_doubles(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

static double median(double *figures, uint64_t count) {
    qsort(figures, count, sizeof *figures, compare_doubles);
    return (figures[(count - 1) / 2] + figures[count / 2]) / 2.0;
}

static int run_rounds(struct bench *bench, struct worker *workers) {
    const struct options *options = &bench->options;
    double figures[ROUNDS_MAX];
    for (uint64_t round = 0; round < options->rounds; round++) {
        for (uint64_t i = 0; i < options->threads; i++) {
            plan_fill(bench, &workers[i].plan, round, i);
        }
        if (run_threads(bench, workers) != 0) {
            return 1;
        }
        figures[round] = (double)(bench->end_ns - bench->begin_ns) /
                         (double)(options->operations * options->threads);
        for (uint64_t i = 0; i < options->threads; i++) {
            model_apply(bench, &workers[i].plan, round);
        }
        if (check_all(bench, workers[0].session) != 0) {
            return 1;
        }
        print_figure(options, "round", figures[round]);
    }
    print_figure(options, "median", median(figures, options->rounds));
    return 0;
}

static int run_workers(struct bench *bench) {
    struct worker workers[THREADS_MAX] = {0};
    int result = 0;
    for (uint64_t i = 0; i < bench->options.threads; i++) {
        workers[i].bench = bench;
        plan_open(&bench->options, &workers[i].plan);
        if (check("open a session",
                  faster_session_open(bench->kv, &workers[i].session)) < 0) {
            result = 1;
        }
    }
    if (result == 0) {
        result = run_rounds(bench, workers);
    }
    for (uint64_t i = 0; i < bench->options.threads; i++) {
        if (workers[i].session) {
            faster_session_free(workers[i].session);
        }
        plan_close(&workers[i].plan);
    }
    return result;
}

/* ---- Loading ------------------------------------------------------------------- */

static int load_items(struct bench *bench, struct faster_session *session) {
    const struct options *options = &bench->options;
    uint8_t key[KEY_SIZE_MAX];
    uint8_t value[VALUE_SIZE_MAX];
    for (uint64_t number = 0; number < options->items; number++) {
        bench->model[number] = first_stamp(number);
        write_key(key, options->key_size, number);
        write_value(value, options->value_size, bench->model[number]);
        int status;
        while ((status = faster_upsert(session, key, options->key_size, value,
                                       options->value_size)) == FASTER_RETRY) {
            faster_session_wait(session);
        }
        if (status != FASTER_OK) {
            return check("load", status);
        }
    }
    return FASTER_OK;
}

static int load(struct bench *bench) {
    struct faster_session *session;
    struct faster_kv_stats stats = {.size = sizeof stats};
    if (check("open a session", faster_session_open(bench->kv, &session)) < 0) {
        return 1;
    }
    uint64_t begin = now_ns();
    int status = load_items(bench, session);
    uint64_t spent = now_ns() - begin;
    faster_session_free(session);
    if (status != FASTER_OK || check("stats", faster_kv_stats(bench->kv, &stats)) < 0) {
        return 1;
    }
    printf("{\"event\": \"loaded\", ");
    print_case(&bench->options);
    printf(", \"ns_per_operation\": %.2f, \"log_bytes\": %" PRIu64
           ", \"index_bytes\": %" PRIu64 ", \"index_growths\": %" PRIu64 "}\n",
           (double)spent / (double)bench->options.items, stats.log_bytes,
           stats.index_bytes, stats.index_growths);
    return 0;
}

static int open_store(struct bench *bench) {
    const struct options *options = &bench->options;
    int word = options->value_size == 8 && !options->varlen;
    struct faster_kv_config config = {
        .size = sizeof config,
        .layout = options->varlen ? FASTER_VARLEN : FASTER_FIXED,
        .hash = FASTER_HASH_XXH3,
        .value_type = word ? FASTER_TYPE_U64 : FASTER_TYPE_OPAQUE,
        .key_size = options->varlen ? 0 : (uint32_t)options->key_size,
        .value_size = options->varlen ? 0 : (uint32_t)options->value_size,
        .expected_keys = options->presize ? options->items : 0,
    };
    bench->merge.kind = word ? FASTER_MERGE_ADD : FASTER_MERGE_NATIVE;
    bench->merge.native = word ? NULL : bump_stamp;
    return check("open the store", faster_kv_open(&config, &bench->kv));
}

/* ---- The command line ---------------------------------------------------------- */

struct numeric {
    const char *name;
    uint64_t *value;
    uint64_t low;
    uint64_t high;
};

static int set_numeric(struct options *options, const char *name, const char *text) {
    const struct numeric table[] = {
        {"--key-size", &options->key_size, 8, KEY_SIZE_MAX},
        {"--value-size", &options->value_size, 8, VALUE_SIZE_MAX},
        {"--items", &options->items, 2, (uint64_t)1 << 40},
        {"--operations", &options->operations, 1, (uint64_t)1 << 40},
        {"--threads", &options->threads, 1, THREADS_MAX},
        {"--batch", &options->batch, 1, (uint64_t)1 << 24},
        {"--rounds", &options->rounds, 1, ROUNDS_MAX},
        {"--seed", &options->seed, 0, (uint64_t)1 << 40},
        {"--presize", &options->presize, 0, 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(name, table[i].name) == 0) {
            char *end;
            uint64_t value = strtoull(text, &end, 10);
            if (*end || end == text || value < table[i].low || value > table[i].high) {
                return -1;
            }
            *table[i].value = value;
            return 0;
        }
    }
    return -1;
}

static int set_option(struct options *options, const char *name, const char *text) {
    if (strcmp(name, "--workload") == 0) {
        options->workload = text[0];
        return text[0] && strchr("ABCF", text[0]) && !text[1] ? 0 : -1;
    }
    if (strcmp(name, "--distribution") == 0) {
        options->zipf = strcmp(text, "zipf") == 0;
        return options->zipf || strcmp(text, "uniform") == 0 ? 0 : -1;
    }
    if (strcmp(name, "--layout") == 0) {
        options->varlen = strcmp(text, "varlen") == 0;
        return options->varlen || strcmp(text, "fixed") == 0 ? 0 : -1;
    }
    return set_numeric(options, name, text);
}

static int usage(void) {
    fprintf(stderr,
            "usage: bench_ycsb [--name value ...]\n"
            "  --workload A|B|C|F  --distribution uniform|zipf  --layout fixed|varlen\n"
            "  --key-size 8|16  --value-size BYTES  --items N  --operations N\n"
            "  --threads N  --batch N (1: single operations)  --rounds N  --seed N\n"
            "  --presize 0|1 (1: the store is told how many items will come)\n");
    return 2;
}

static int parse(struct options *options, int count, char **arguments) {
    for (int i = 1; i < count; i += 2) {
        if (strcmp(arguments[i], "--help") == 0) {
            return -1;
        }
        if (i + 1 == count || set_option(options, arguments[i], arguments[i + 1]) < 0) {
            fprintf(stderr, "not understood: %s\n", arguments[i]);
            return -1;
        }
    }
    if (options->key_size != 8 && options->key_size != 16) {
        fprintf(stderr, "--key-size is 8 or 16\n");
        return -1;
    }
    return 0;
}

int main(int count, char **arguments) {
    struct bench bench = {
        .options = {.workload = 'C',
                    .key_size = 8,
                    .value_size = 8,
                    .items = 100000,
                    .operations = 100000,
                    .threads = 1,
                    .batch = 1,
                    .rounds = 3,
                    .seed = 1},
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .gate = PTHREAD_COND_INITIALIZER,
    };
    if (parse(&bench.options, count, arguments) < 0) {
        return usage();
    }
    bench.model = allocate(bench.options.items, sizeof *bench.model);
    if (bench.options.zipf) {
        zipfian_prepare(&bench.zipfian, bench.options.items, bench.options.seed);
    }
    int result = 1;
    if (open_store(&bench) == FASTER_OK) {
        result = load(&bench);
        if (result == 0) {
            result = run_workers(&bench);
        }
        faster_kv_free(bench.kv);
    }
    free(bench.zipfian.item_of_rank);
    free(bench.model);
    return result;
}
