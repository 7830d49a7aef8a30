/* SPDX-License-Identifier: MIT */
/*
 * cost_workload.c: single operations, for tests/store/validate_cost.c to count
 *
 * Argument: none (the loop alone), read, upsert or rmw.  Stops itself before and behind
 * the operations, each of which finds its key in memory and, but for reads, changes it
 * in place.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cost_workload.h"
#include "faster/api.h"

typedef int (*operation_fn)(struct faster_session *session, uint64_t key);

static int do_nothing(struct faster_session *session, uint64_t key) {
    (void)session;
    (void)key;
    return FASTER_OK;
}

static int do_read(struct faster_session *session, uint64_t key) {
    uint64_t value;
    uint64_t size;
    return faster_read(session, &key, sizeof key, &value, sizeof value, &size);
}

static int do_upsert(struct faster_session *session, uint64_t key) {
    return faster_upsert(session, &key, sizeof key, &key, sizeof key);
}

static int do_rmw(struct faster_session *session, uint64_t key) {
    static const struct faster_merge add = {.kind = FASTER_MERGE_ADD};
    uint64_t one = 1;
    uint64_t size;
    return faster_rmw(session, &add, &key, sizeof key, &one, sizeof one, &key,
                      sizeof key, &size);
}

static operation_fn operation_of(const char *name) {
    static const struct {
        const char *name;
        operation_fn run;
    } known[] = {{"none", do_nothing},
                 {"read", do_read},
                 {"upsert", do_upsert},
                 {"rmw", do_rmw}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].run;
        }
    }
    return NULL;
}

/* How many operations did not end as they should. */
static int run(struct faster_session *session, operation_fn operation) {
    int failures = 0;
    for (uint64_t key = 0; key < COST_OPERATIONS; key++) {
        failures += operation(session, key) != FASTER_OK;
    }
    return failures;
}

int main(int argc, char **argv) {
    operation_fn operation = argc == 2 ? operation_of(argv[1]) : NULL;
    struct faster_kv_config config = {.size = sizeof config,
                                      .layout = FASTER_FIXED,
                                      .hash = FASTER_HASH_XXH3,
                                      .value_type = FASTER_TYPE_I64,
                                      .key_size = 8,
                                      .value_size = 8,
                                      .memory = 64 << 20,
                                      .sample_every = COST_OPERATIONS};
    struct faster_kv *kv;
    struct faster_session *session;
    if (operation == NULL || faster_kv_open(&config, &kv) != FASTER_OK ||
        faster_session_open(kv, &session) != FASTER_OK) {
        return 1;
    }
    int failures = run(session, do_upsert) + run(session, operation);
    (void)raise(SIGSTOP);
    failures += run(session, operation);
    (void)raise(SIGSTOP);
    faster_session_free(session);
    faster_kv_free(kv);
    return failures != 0;
}
